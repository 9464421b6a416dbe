// SPDX-License-Identifier: GPL-2.0

//! Waits until the block layer is done with what has ended.
//!
//! A task hears of the end of its write before the block layer has done with it: what it knows of the zone (the zone
//! write plug, block/blk-zoned.c) is brought up to date after that.

use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the block layer may take, on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// `BLK_ZONE_WPLUG_PLUGGED` and `BLK_ZONE_WPLUG_DEAD`.
const BUSY_FLAGS: u64 = (1 << 0) | (1 << 2);

/// The zone write plugs of a device, as debugfs shows them.
pub struct Plugs {
    file: File,
    text: Vec<u8>,
}

impl Plugs {
    /// Those of the device with that path; `None` if the kernel does not show them.
    pub fn of(dev: &str) -> io::Result<Option<Self>> {
        let disk = Path::new(dev).file_name().unwrap_or_default();
        let path = Path::new("/sys/kernel/debug/block")
            .join(disk)
            .join("zone_wplugs");
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                file,
                text: vec![0; 16 << 10],
            })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Waits until nothing is under way in the zones; `ETIMEDOUT` if that takes too long.
    pub fn settle(&mut self, zones: &Range<u64>) -> Result<(), Errno> {
        let began = Instant::now();
        while is_busy(self.read()?, zones).ok_or(Errno::EBADMSG)? {
            if began.elapsed() > PATIENCE {
                return Err(Errno::ETIMEDOUT);
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn read(&mut self) -> Result<&str, Errno> {
        let errno = |e: io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
        let mut end = 0;
        loop {
            match self
                .file
                .read_at(&mut self.text[end..], end as u64)
                .map_err(errno)?
            {
                0 => break,
                n => end += n,
            }
            if end == self.text.len() {
                self.text.resize(2 * end, 0);
            }
        }
        std::str::from_utf8(&self.text[..end]).map_err(|_| Errno::EBADMSG)
    }
}

/// Whether a line of the text says that somebody is at work on one of the zones; `None` if it cannot be understood.
fn is_busy(text: &str, zones: &Range<u64>) -> Option<bool> {
    for line in text.lines() {
        let number = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            let word = rest.trim_start().split(',').next()?.trim_end();
            match word.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => word.parse().ok(),
            }
        };
        let (zone, flags) = (number("Zone no:")?, number("flags:")?);
        let (users, waiting) = (number("ref:")?, number("pending BIO:")?);
        if zones.contains(&zone) && (flags & BUSY_FLAGS != 0 || users > 1 || waiting > 0) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: &str =
        "Zone no: 7, flags: 0x2, ref: 1, cond: active, wp ofst: 16, pending BIO: 0\n";

    #[test]
    fn a_zone_is_busy_while_anything_is_under_way() {
        let busy = |text: &str, zones| is_busy(text, &zones);
        assert_eq!(busy("", 0..9), Some(false));
        assert_eq!(busy(IDLE, 0..9), Some(false));
        for (idle, other) in [
            ("0x2", "0x3"),
            ("0x2", "0x4"),
            ("ref: 1", "ref: 2"),
            ("BIO: 0", "BIO: 1"),
        ] {
            let text = format!("{IDLE}{}", IDLE.replace(idle, other).replace(": 7", ": 8"));
            assert_eq!(busy(&text, 0..9), Some(true), "{other}");
            assert_eq!(busy(&text, 7..9), Some(true), "{other}");
            assert_eq!(busy(&text, 0..8), Some(false), "{other}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_taken_for_idle() {
        for (word, other) in [("flags", "state"), ("0x2", "none"), ("ref: 1", "ref: ")] {
            assert_eq!(
                is_busy(&IDLE.replace(word, other), &(0..9)),
                None,
                "{other}"
            );
        }
    }
}
