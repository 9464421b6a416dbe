// SPDX-License-Identifier: GPL-2.0

//! Memory in use once everything was dropped that can be.
//!
//! The difference of MemFree would be simpler, but lists of free pages of each processor hold megabytes or not.

use crate::backing;
use crate::system::{get, put, run, Res};
use std::fmt;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Lines of /proc/meminfo that are memory of the kernel or of files, and do not overlap.
const PARTS: [&str; 5] = ["Slab", "VmallocUsed", "Percpu", "Cached", "Buffers"];

/// How often caches are dropped: inodes go when what they wait for, such as the log, has gone.
const TIMES: u32 = 3;

/// Bytes, by part.
#[derive(Debug, PartialEq)]
pub struct Memory([f64; PARTS.len()]);

impl Memory {
    /// What is in use now.
    pub fn now() -> Res<Self> {
        for _ in 0..TIMES {
            run("sync", &[])?;
            backing::settle()?;
            put("/proc/sys/vm/drop_caches", "3")?;
            // What is freed after a grace period.
            sleep(Duration::from_millis(200));
        }
        // Pages of slabs in which nothing is left.
        for cache in fs::read_dir("/sys/kernel/slab")
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = fs::write(cache.path().join("shrink"), "1");
        }
        Self::parse(&get("/proc/meminfo")?)
    }

    fn parse(text: &str) -> Res<Self> {
        let mut memory = Self([0.0; PARTS.len()]);
        for (part, bytes) in PARTS.iter().zip(&mut memory.0) {
            *bytes = field(text, part)?;
        }
        Ok(memory)
    }

    /// What came since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let mut since = Self(self.0);
        for (bytes, before) in since.0.iter_mut().zip(before.0) {
            *bytes -= before;
        }
        since
    }

    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for (part, bytes) in PARTS.iter().zip(self.0) {
            write!(f, "{gap}{part} {:.0} KiB", bytes / 1024.0)?;
            gap = ", ";
        }
        Ok(())
    }
}

fn field(text: &str, name: &str) -> Res<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok())
        .map(|kib| kib * 1024.0)
        .ok_or(format!("no {name} in /proc/meminfo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_in_bytes_and_differences_are_by_part() {
        let text = |slab| {
            format!(
                "MemTotal: 100 kB\nSlab: {slab} kB\nVmallocUsed: 2 kB\nPercpu: 3 kB\nCached: 4 kB\nBuffers: 5 kB\n"
            )
        };
        let memory = |slab| Memory::parse(&text(slab)).unwrap();
        assert_eq!(memory(1).total(), 15.0 * 1024.0);
        let since = memory(9).since(&memory(1));
        assert_eq!(since.total(), 8192.0);
        assert!(since
            .to_string()
            .starts_with("Slab 8 KiB, VmallocUsed 0 KiB"));
        assert!(Memory::parse("Slab: 1 kB\n").is_err());
    }
}
