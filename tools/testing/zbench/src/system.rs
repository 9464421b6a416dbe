// SPDX-License-Identifier: GPL-2.0

//! What the jobs need of the machine: commands, files, clocks, counters.

use nix::time::{clock_gettime, ClockId};
use std::fs::{self, File};
use std::io;
use std::process::Command;
use zbd::uapi::open_dev;

/// Errors are for people to read: what was tried, and how it ended.
pub type Res<T> = Result<T, String>;

/// Adds what was tried to an error.
pub fn tried<T>(what: impl std::fmt::Display, res: io::Result<T>) -> Res<T> {
    res.map_err(|e| format!("{what}: {e}"))
}

/// Runs a program to its end; what it printed is part of the error if it fails.
pub fn run(program: &str, args: &[&str]) -> Res<String> {
    let what = format!("{program} {}", args.join(" "));
    let out = tried(&what, Command::new(program).args(args).output())?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let tail: Vec<_> = said.lines().rev().take(5).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    Err(format!("{what}: {}: {}", out.status, tail.join("; ")))
}

/// Writes a word to a file of sysfs, configfs, or a control device, in one write.
pub fn put(path: &str, text: &str) -> Res<()> {
    tried(format!("write \"{text}\" to {path}"), fs::write(path, text))
}

/// Reads a file of proc or sysfs.
pub fn get(path: &str) -> Res<String> {
    tried(path, fs::read_to_string(path))
}

/// The clock of all measurements, in seconds.
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}

/// The host's clock in seconds, whatever the guest's time is.
pub fn real_time() -> u64 {
    let text = get("/sys/class/rtc/rtc0/since_epoch").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Runs `what` and says how many seconds it took.
pub fn timed<T>(what: impl FnOnce() -> Res<T>) -> Res<(T, f64)> {
    let start = now();
    let value = what()?;
    Ok((value, now() - start))
}

/// Opens a device or file past the page cache.
pub fn open_direct(path: &str) -> Res<File> {
    tried(path, open_dev(path, libc::O_DIRECT))
}

/// The line of a file like /proc/cpuinfo that begins with `field`, without it.
pub fn field(text: &str, field: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or_default()
        .trim_start_matches([' ', '\t', ':'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_says_why() {
        let error = run("sh", &["-c", "echo reason >&2; exit 3"]).unwrap_err();
        assert!(error.contains("exit status: 3") && error.contains("reason"));
        assert_eq!(run("echo", &["a"]).unwrap(), "a\n");
    }

    #[test]
    fn fields_of_cpuinfo() {
        assert_eq!(field("a: 1\nmodel name\t: x y\n", "model name"), "x y");
    }
}
