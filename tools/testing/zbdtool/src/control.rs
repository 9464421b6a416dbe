// SPDX-License-Identifier: GPL-2.0

//! The control device: tables of commands with the errno and log line expected, and a fuzzer.

use crate::pattern::Rng;
use crate::uapi::errno_name;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

/// One write(2) to the control device: `ok` or the errno's name.
fn command(control: &str, text: &[u8]) -> io::Result<String> {
    let mut file = File::options().write(true).open(control)?;
    Ok(match file.write(text) {
        Ok(n) if n == text.len() => "ok".into(),
        Ok(n) => format!("short:{n}"),
        Err(e) => errno_name(&e),
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
fn disks() -> io::Result<Vec<String>> {
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
fn remove_new(
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
            for file in fs::read_dir(Path::new(base).join(id))
                .into_iter()
                .flatten()
                .flatten()
            {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(Ok(()))
}

/// Reader of the kernel log from "now" on.
struct KernelLog(File);

impl KernelLog {
    fn open() -> io::Result<Self> {
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The messages since the last call.
    fn lines(&mut self) -> Vec<String> {
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
    let mut log = KernelLog::open()?;
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

const NAMES: &[&str] = &[
    "id",
    "capacity_mb",
    "zone_size_mb",
    "zone_capacity_mb",
    "conv_zones",
    "base_dir",
    "nr_queues",
    "queue_depth",
    "buffered_io",
    "zone_append",
    "ordered_zone_append",
    "discard_write_cache",
    "max_open_zones",
    "bogus",
    "",
];

const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "8",
    "16",
    "17",
    "63",
    "64",
    "65",
    "128",
    "255",
    "256",
    "1023",
    "1024",
    "4096",
    "10240",
    "10241",
    "16384",
    "16385",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "-2",
    "-2147483648",
    "007",
    "0x10",
    "+5",
    " 5",
    "5 ",
    "1e3",
    "",
    "99999999999999999999999",
    "%s%n",
    "1x",
];

const DIRS: &[&str] = &[
    "b", "b", "b", "./b", "", ".", "missing", "b/", "b/0", "file", "b\\,c", "bb\x01",
];

/// A command that is often right.
fn generate(rng: &mut Rng) -> Vec<u8> {
    if rng.below(8) == 0 {
        return format!("remove id={}", VALUES[rng.below(VALUES.len())]).into_bytes();
    }
    if rng.below(3) == 0 {
        // Small and right in itself, so that the mutations of a good command are seen too.
        return format!(
            "add capacity_mb={},zone_size_mb={},conv_zones={},base_dir=b",
            4 * (2 + rng.below(8)),
            1 << rng.below(3),
            rng.below(4)
        )
        .into_bytes();
    }
    let mut text = String::from("add ");
    for i in 0..rng.below(9) {
        if i > 0 {
            text.push(if rng.below(20) == 0 { '\n' } else { ',' });
        }
        let name = NAMES[rng.below(NAMES.len())];
        text.push_str(name);
        let flag = matches!(
            name,
            "buffered_io" | "ordered_zone_append" | "discard_write_cache"
        );
        if !flag || rng.below(16) == 0 {
            text.push('=');
            let pool = if name == "base_dir" { DIRS } else { VALUES };
            text.push_str(pool[rng.below(pool.len())]);
        }
    }
    if rng.below(2) == 0 {
        text.push_str(",base_dir=b");
    }
    text.into_bytes()
}

/// Changes a few bytes. No `/` is ever inserted: paths stay below the working directory.
fn mutate(rng: &mut Rng, text: &mut Vec<u8>) {
    const BYTES: &[u8] = b"\0\n\t ,,==0123456789-+xadir_%s\\\"'\xff\x80\x7f";
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(text.len() + 1);
        match rng.below(6) {
            0 if at < text.len() => text[at] = BYTES[rng.below(BYTES.len())],
            1 if at < text.len() => {
                text.remove(at);
            }
            2 => text.insert(at, BYTES[rng.below(BYTES.len())]),
            3 => text.truncate(at),
            4 => {
                let tail = text[at..].to_vec();
                text.extend(tail);
            }
            5 if at < text.len() => text[at] ^= 1 << rng.below(8),
            _ => (),
        }
        // A flipped bit can make a slash, a deletion the parent directory.
        for i in 0..text.len() {
            if text[i] == b'/' || text[i..].starts_with(b"..") {
                text[i] = b'_';
            }
        }
    }
    if rng.below(200) == 0 {
        text.resize(4000 + rng.below(200), b'A');
    }
}

/// Writes random commands; false if a device stays or cannot be removed.
pub fn fuzz(control: &str, base: &str, count: u64, seed: u64) -> io::Result<bool> {
    std::env::set_current_dir(base)?;
    let mut rng = Rng::new(seed);
    let mut results: BTreeMap<String, u64> = BTreeMap::new();
    let mut good = true;
    let (mut slowest, mut slow_text) = (0, String::new());
    for _ in 0..count {
        let mut text = generate(&mut rng);
        if rng.below(2) == 0 {
            mutate(&mut rng, &mut text);
        }
        let began = Instant::now();
        let res = command(control, &text)?;
        let took = began.elapsed().as_millis();
        if took > slowest {
            slowest = took;
            slow_text = String::from_utf8_lossy(&text).into_owned();
        }
        if res == "ok" {
            if let Err(e) = remove_new(control, &[], Some("b"))? {
                println!("{:?}: {e}", String::from_utf8_lossy(&text));
                good = false;
            }
        } else if !disks()?.is_empty() {
            println!(
                "{:?}: {res}, but a device exists",
                String::from_utf8_lossy(&text)
            );
            remove_new(control, &[], Some("b"))?.ok();
            good = false;
        }
        *results.entry(res).or_insert(0) += 1;
    }
    println!(
        "commands={count} seed={seed} results={results:?} slowest_ms={slowest} ({slow_text:?})"
    );
    Ok(good && results.contains_key("ok") && results.contains_key("EINVAL"))
}

/// Words of a kernel message that no test may leave behind.
const BAD: &[&str] = &[
    "WARNING: ",
    "BUG: ",
    "kernel BUG",
    "Oops",
    "general protection",
    "KASAN",
    "UBSAN",
    "possible circular",
    "possible recursive",
    "suspicious RCU",
    "unreferenced object",
    "list_add corruption",
    "list_del corruption",
    "blocked for more than",
    "refcount_t",
    "Call Trace",
    "panicked at",
];

/// Prints the kernel messages since the last one that ends with `since`, or only the bad ones of them.
pub fn kernel_log(since: &str, bad: bool) -> io::Result<bool> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(unescape("add id=1"), b"add id=1");
        assert_eq!(unescape(r"a\nb\t\0\\c\x41\,"), b"a\nb\t\0\\cA,");
        assert_eq!(unescape("end\\"), b"end\\");
    }

    #[test]
    fn mutations_never_leave_the_working_directory() {
        let mut rng = Rng::new(7);
        for _ in 0..20_000 {
            let mut text = generate(&mut rng);
            mutate(&mut rng, &mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains("=/") && !text.contains(".."), "{text:?}");
        }
    }
}
