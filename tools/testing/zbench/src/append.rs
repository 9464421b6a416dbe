// SPDX-License-Identifier: GPL-2.0

//! Native zone appends. No system call makes one, so a module does (`append/zloop_append.rs`): it appends while it
//! is loaded, prints what it did to the kernel log, and refuses to stay.

use crate::system::{run, tried, Res};
use std::os::unix::fs::MetadataExt;
use zbd::kernel_log::KernelLog;

/// Appends in flight.
pub const DEPTH: u32 = 32;

/// Appends `count` times so many bytes to empty zones, one zone after the other, `batch` of them submitted together, and
/// returns the seconds it took. `batch` divides [`DEPTH`] and `count`.
pub fn append(
    module: &str,
    device: &str,
    zone_bytes: u64,
    bytes: u64,
    count: u64,
    batch: u32,
) -> Res<f64> {
    let number = tried(device, std::fs::metadata(device))?.rdev();
    let (major, minor) = (libc::major(number), libc::minor(number));
    let mut log = tried("/dev/kmsg", KernelLog::from_now())?;
    let params = [
        format!("major={major}"),
        format!("minor={minor}"),
        format!("zone_bytes={zone_bytes}"),
        format!("bytes={bytes}"),
        format!("count={count}"),
        format!("depth={DEPTH}"),
        format!("batch={batch}"),
    ];
    let mut args = vec![module];
    args.extend(params.iter().map(String::as_str));
    let loaded = run("insmod", &args);
    outcome(&log.lines(), count).ok_or_else(|| match loaded {
        Err(e) => e,
        Ok(_) => "the append module said nothing".into(),
    })?
}

/// The seconds in the module's last line, None without one.
fn outcome(log: &[String], count: u64) -> Option<Res<f64>> {
    let line = log.iter().rev().find_map(|line| {
        line.strip_prefix("zloop_append: ")
            .filter(|text| text.contains("appends"))
    })?;
    let mut numbers = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse::<u64>().ok());
    let (done, failed, ns) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some(if done == count && failed == 0 {
        Ok(ns as f64 / 1e9)
    } else {
        Err(line.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(lines: &[&str]) -> Option<Res<f64>> {
        let lines: Vec<_> = lines.iter().map(|line| line.to_string()).collect();
        outcome(&lines, 5)
    }

    #[test]
    fn the_last_line_of_the_module_counts() {
        let log = [
            "zloop_append: 5 appends, 0 failed, 100 ns",
            "zloop_append: loading out-of-tree module",
            "zloop_append: 5 appends, 0 failed, 2000 ns",
            "other: 9 appends",
        ];
        assert_eq!(outcome_of(&log), Some(Ok(2e-6)));
    }

    #[test]
    fn failed_or_missing_appends_are_errors() {
        assert_eq!(outcome_of(&["zloop: appends"]), None);
        for line in [
            "zloop_append: 5 appends, 1 failed, 2 ns",
            "zloop_append: 4 appends, 0 failed, 2 ns",
        ] {
            assert!(outcome_of(&[line]).unwrap().is_err(), "{line}");
        }
    }
}
