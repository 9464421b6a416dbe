// SPDX-License-Identifier: GPL-2.0

//! What tests ask of the kernel log.

use std::io;
use zbd::kernel_log::KernelLog;

/// Words of a kernel message that no test may leave behind: coarser than what fails a run (tools/log-patterns), to
/// name the case that did it, also where the tests run without our tools.
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
    let mut lines = KernelLog::from_start()?.lines();
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
