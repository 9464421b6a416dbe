// SPDX-License-Identifier: GPL-2.0

//! Native zone appends. No system call makes one, so a module does (`append/zloop_append.rs`): it appends while it
//! is loaded, prints what it did to the kernel log, and refuses to stay.

use crate::system::{run, tried, Res};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

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
    let mut log = tried(
        "/dev/kmsg",
        File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg"),
    )?;
    tried("/dev/kmsg", log.seek(SeekFrom::End(0)))?;
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
    let mut text = String::new();
    let mut record = [0u8; 8192];
    // Each read is one record; the end of the log is EAGAIN.
    while let Ok(len) = log.read(&mut record) {
        text.push_str(&String::from_utf8_lossy(&record[..len]));
    }
    outcome(&text, count).ok_or_else(|| match loaded {
        Err(e) => e,
        Ok(_) => "the append module said nothing".into(),
    })?
}

/// The seconds in the module's line, None without one.
fn outcome(log: &str, count: u64) -> Option<Res<f64>> {
    let line = log.lines().rev().find_map(|line| {
        line.split_once("zloop_append: ")
            .map(|(_, text)| text)
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

    #[test]
    fn the_last_line_of_the_module_counts() {
        let log = "6,1,2,-;zloop_append: 5 appends, 0 failed, 100 ns\n6,2,3,-;other: 9 appends\n\
                   6,3,4,-;zloop_append: 5 appends, 0 failed, 2000 ns\n";
        assert_eq!(outcome(log, 5), Some(Ok(2e-6)));
    }

    #[test]
    fn failed_or_missing_appends_are_errors() {
        assert_eq!(outcome("6,1,2,-;zloop: appends\n", 5), None);
        assert!(
            outcome("6,1,2,-;zloop_append: 5 appends, 1 failed, 2 ns\n", 5)
                .unwrap()
                .is_err()
        );
        assert!(
            outcome("6,1,2,-;zloop_append: 4 appends, 0 failed, 2 ns\n", 5)
                .unwrap()
                .is_err()
        );
    }
}
