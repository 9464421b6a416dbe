// SPDX-License-Identifier: GPL-2.0

//! The kernel log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Reader of the kernel log from "now" on.
pub struct KernelLog(File);

impl KernelLog {
    /// A reader that starts with the next message.
    pub fn open() -> io::Result<Self> {
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The messages since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let mut record = [0u8; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(&record[..n]).into_owned();
                    let message = text.split_once(';').map_or("", |(_, m)| m);
                    out.push(message.lines().next().unwrap_or("").to_string());
                }
                // Records were overwritten before they were read: go on with the oldest.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => (),
                Err(_) => return out,
            }
        }
    }
}

/// Words of a kernel message that no test may leave behind.
const BAD: &[&str] = &[
    "WARNING: ",
    "BUG: ",
    "kernel BUG",
    "Oops",
    "general protection",
    "KASAN",
    "KFENCE",
    "UBSAN",
    "ODEBUG",
    "locking correctness validator",
    "possible circular",
    "possible recursive",
    "suspicious RCU",
    "unreferenced object",
    "list_add corruption",
    "list_del corruption",
    "blocked for more than",
    "refcount_t",
    "Call Trace",
    "Call trace",
    "panicked at",
];

/// Prints the kernel messages since the last one that ends with `since`, or only the bad ones of them.
pub fn print(since: &str, bad: bool) -> io::Result<bool> {
    let mut log = KernelLog::open()?;
    log.0.seek(SeekFrom::Start(0))?;
    let mut lines = log.lines();
    if let Some(at) = lines.iter().rposition(|l| l.ends_with(since)) {
        lines.drain(..=at);
    }
    if bad {
        lines.retain(|l| BAD.iter().any(|b| l.contains(b)));
    }
    for line in &lines {
        println!("{line}");
    }
    Ok(!bad || lines.is_empty())
}
