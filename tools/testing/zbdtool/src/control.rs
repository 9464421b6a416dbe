// SPDX-License-Identifier: GPL-2.0

//! The control device: single commands, and tables of commands with the errno and log line expected.

use crate::uapi::errno_name;
use io_uring::{opcode, squeue::Flags, types, IoUring};
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use zbd::kernel_log::KernelLog;

/// The control device.
pub const DEVICE: &str = "/dev/zloop-control";

/// One write(2) to the control device: `ok` or the errno's name.
pub fn command(control: &str, text: &[u8]) -> io::Result<String> {
    let mut file = File::options().write(true).open(control)?;
    Ok(match file.write(text) {
        Ok(n) if n == text.len() => "ok".into(),
        Ok(n) => format!("short:{n}"),
        Err(e) => errno_name(&e),
    })
}

/// The same, written by a worker of io_uring.
pub fn command_by_worker(control: &str, text: &[u8]) -> io::Result<String> {
    let file = File::options().write(true).open(control)?;
    let mut ring = IoUring::new(1)?;
    let len = u32::try_from(text.len()).map_err(io::Error::other)?;
    let write = opcode::Write::new(types::Fd(file.as_raw_fd()), text.as_ptr(), len)
        .build()
        .flags(Flags::ASYNC);
    // SAFETY: the text and the file outlive the command, which is waited for.
    unsafe { ring.submission().push(&write) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let done = ring
        .completion()
        .next()
        .ok_or_else(|| io::Error::other("no completion"))?;
    Ok(match u32::try_from(done.result()) {
        Ok(n) if n == len => "ok".into(),
        Ok(n) => format!("short:{n}"),
        Err(_) => errno_name(&io::Error::from_raw_os_error(-done.result())),
    })
}

/// Writes `text` from memory of which only the first `mapped` bytes can be read: `ok`, the length or the errno.
pub fn fault(control: &str, mapped: usize, text: &[u8]) -> io::Result<String> {
    const PAGE: usize = 4096;
    let mapped = mapped.min(text.len()).min(PAGE);
    let file = File::options().write(true).open(control)?;
    // SAFETY: a fresh anonymous mapping of two pages, of which only the first is used from here on.
    let base = unsafe {
        let base = libc::mmap(
            std::ptr::null_mut(),
            2 * PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if base == libc::MAP_FAILED || libc::munmap(base.cast::<u8>().add(PAGE).cast(), PAGE) != 0 {
            return Err(io::Error::last_os_error());
        }
        base.cast::<u8>()
    };
    // SAFETY: the last `mapped` bytes of the first page are ours; the kernel checks what it reads of the rest.
    let res = unsafe {
        let start = base.add(PAGE - mapped);
        std::ptr::copy_nonoverlapping(text.as_ptr(), start, mapped);
        libc::write(file.as_raw_fd(), start.cast(), text.len())
    };
    Ok(match usize::try_from(res) {
        Ok(n) if n == text.len() => "ok".into(),
        Ok(n) => format!("short:{n}"),
        Err(_) => errno_name(&io::Error::last_os_error()),
    })
}

/// Names of the zloop disks that exist.
pub fn disks() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("/sys/block")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name
            .strip_prefix("zloop")
            .is_some_and(|id| id.parse::<u32>().is_ok())
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes the disks that `before` does not have, and the zone files in `base/<id>`.
pub fn remove_new(
    control: &str,
    before: &[String],
    base: Option<&str>,
) -> io::Result<Result<(), String>> {
    for name in disks()? {
        if before.contains(&name) {
            continue;
        }
        let id = &name["zloop".len()..];
        let res = command(control, format!("remove id={id}").as_bytes())?;
        if res != "ok" {
            return Ok(Err(format!("remove id={id}: {res}")));
        }
        if let Some(base) = base {
            for entry in fs::read_dir(Path::new(base).join(id)).into_iter().flatten() {
                let entry = entry?;
                // A directory: the base of another device, which a fuzzed base_dir can have been.
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
        }
    }
    Ok(Ok(()))
}

/// Resolves `\n \t \0 \\ \xHH`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'0') => out.push(0),
            Some(b'x') => {
                let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            }
            Some(other) => out.push(other),
            None => out.push(b'\\'),
        }
    }
    out
}

/// Runs the table of standard input: `ERRNO[/ERRNO] | words of one log line | command`.
///
/// A device that a command added is removed again, with its files in `base/<id>`.
pub fn table(control: &str, base: Option<&str>, verbose: bool) -> io::Result<bool> {
    let mut log = KernelLog::from_now()?;
    let mut good = true;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.splitn(3, '|');
        let want = parts.next().unwrap_or("").trim();
        let words: Vec<&str> = parts.next().unwrap_or("").split_whitespace().collect();
        let rest = parts.next().unwrap_or("");
        let text = rest.strip_prefix(' ').unwrap_or(rest);
        let before = disks()?;
        log.lines();
        let seen = command(control, &unescape(text))?;
        if verbose {
            println!("{seen}: {text}");
        }
        if !want.split('/').any(|w| w == seen) {
            println!("'{text}': expected {want}, seen {seen}");
            good = false;
        }
        let lines: Vec<String> = log
            .lines()
            .into_iter()
            .filter(|l| l.contains("zloop"))
            .collect();
        if !words.is_empty() && !lines.iter().any(|l| words.iter().all(|w| l.contains(w))) {
            println!("'{text}': expected a log line with {words:?}, seen {lines:?}");
            good = false;
        }
        if seen != "ok" && disks()? != before {
            println!("'{text}': failed with {seen}, but a device appeared");
            good = false;
        }
        if let Err(e) = remove_new(control, &before, base)? {
            println!("'{text}': {e}");
            good = false;
        }
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(unescape("add id=1"), b"add id=1");
        assert_eq!(unescape(r"a\nb\t\0\\c\x41\,"), b"a\nb\t\0\\cA,");
        assert_eq!(unescape("end\\"), b"end\\");
    }
}
