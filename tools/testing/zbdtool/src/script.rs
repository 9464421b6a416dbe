// SPDX-License-Identifier: GPL-2.0

//! Runs a table of steps on a device and compares each result with the one expected.
//!
//! One process for a whole test case: starting one per step would cost more than the steps.
//! A line is `STEP [= EXPECTED]`; without an expectation the result is printed. Positions are
//! `z3`, `z3+64k`, `z3+cap`, `z3+cap-4k` or `z3+end-4k`; zones are `z3`, `z3-7` or `all`.

use crate::pattern::{self, Buffer};
use crate::uapi::{self, BlkZone, ZoneOp, SECTOR};
use crate::zones::{self, parse_size, Geometry};
use nix::errno::Errno;
use std::fs::File;
use std::io::{self, BufRead};

/// Largest single transfer of `read` and `write` steps without `bs=`.
const MAX_IO: u64 = 1 << 20;

struct Runner {
    direct: File,
    dev: String,
    geo: Geometry,
}

/// Options at the end of a read or write step.
struct IoOptions {
    seed: u64,
    block: u64,
    sync: bool,
    buffered: bool,
    expect: String,
}

fn errno(res: Result<(), Errno>) -> String {
    match res {
        Ok(()) => "ok".into(),
        Err(e) => format!("{e:?}"),
    }
}

impl Runner {
    fn zone(&self, no: u32) -> Result<BlkZone, String> {
        let sector = u64::from(no) * self.geo.zone_size / SECTOR;
        zones::report(&self.direct, sector, 1, false)
            .map_err(|e| format!("{e:?}"))?
            .first()
            .copied()
            .ok_or_else(|| "no zone".into())
    }

    /// First zone and number of zones.
    fn zone_range(&self, text: &str) -> Result<(u32, u32), String> {
        if text == "all" {
            return Ok((0, self.geo.nr_zones));
        }
        let bad = || format!("bad zone '{text}'");
        let list = text.strip_prefix('z').ok_or_else(bad)?;
        let (first, last) = list.split_once('-').unwrap_or((list, list));
        let first: u32 = first.parse().map_err(|_| bad())?;
        let last: u32 = last.parse().map_err(|_| bad())?;
        Ok((first, last.checked_sub(first).ok_or_else(bad)? + 1))
    }

    /// Byte position on the device.
    fn position(&self, text: &str) -> Result<u64, String> {
        let bad = || format!("bad position '{text}'");
        let (zone, offset) = text.split_once('+').unwrap_or((text, "0"));
        let no: u32 = zone
            .strip_prefix('z')
            .and_then(|n| n.parse().ok())
            .ok_or_else(bad)?;
        let start = u64::from(no) * self.geo.zone_size;
        let (base, minus) = offset.split_once('-').unwrap_or((offset, "0"));
        let base = match base {
            "cap" => self.zone(no)?.capacity * SECTOR,
            "end" => self.geo.zone_size,
            size => parse_size(size).ok_or_else(bad)?,
        };
        Ok(start + base - parse_size(minus).ok_or_else(bad)?)
    }

    fn io_options(&self, words: &[&str]) -> Result<IoOptions, String> {
        let mut opts = IoOptions {
            seed: 1,
            block: MAX_IO,
            sync: false,
            buffered: false,
            expect: "pattern".into(),
        };
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("seed", v) => opts.seed = v.parse().map_err(|_| format!("bad seed '{v}'"))?,
                ("bs", v) => opts.block = parse_size(v).ok_or(format!("bad size '{v}'"))?,
                ("sync", _) => opts.sync = true,
                ("buffered", _) => opts.buffered = true,
                ("zero" | "pattern" | "any", _) => opts.expect = (*word).into(),
                _ => return Err(format!("unknown option '{word}'")),
            }
        }
        Ok(opts)
    }

    fn open_for(&self, opts: &IoOptions) -> Result<Option<File>, String> {
        if !opts.sync && !opts.buffered {
            return Ok(None);
        }
        let mut flags = 0;
        if opts.sync {
            flags |= libc::O_SYNC;
        }
        if !opts.buffered {
            flags |= libc::O_DIRECT;
        }
        uapi::open_dev(&self.dev, flags)
            .map(Some)
            .map_err(|e| uapi::errno_name(&e))
    }

    fn write(&self, pos: u64, len: u64, opts: &IoOptions) -> Result<String, String> {
        let own = self.open_for(opts)?;
        let file = own.as_ref().unwrap_or(&self.direct);
        let mut done = 0;
        while done < len {
            let part = opts.block.min(len - done);
            let mut buf = Buffer::new(part as usize);
            pattern::fill(buf.bytes_mut(), opts.seed, pos + done);
            match uapi::pwrite(file, buf.bytes(), pos + done) {
                Ok(n) if n as u64 == part => done += part,
                Ok(n) => return Ok(format!("short:{}", done + n as u64)),
                Err(e) if done == 0 => return Ok(format!("{e:?}")),
                Err(e) => return Ok(format!("{e:?}@{}", zones::size_text(done))),
            }
        }
        Ok("ok".into())
    }

    fn read(&self, pos: u64, len: u64, opts: &IoOptions) -> Result<String, String> {
        let own = self.open_for(opts)?;
        let file = own.as_ref().unwrap_or(&self.direct);
        let mut done = 0;
        while done < len {
            let part = opts.block.min(len - done);
            let mut buf = Buffer::new(part as usize);
            // Filled with something that is neither zeros nor the pattern: data that the kernel
            // did not deliver must not look right.
            buf.bytes_mut().fill(0xa5);
            match uapi::pread(file, buf.bytes_mut(), pos + done) {
                Ok(n) if n as u64 == part => (),
                Ok(n) => return Ok(format!("short:{}", done + n as u64)),
                Err(e) => return Ok(format!("{e:?}")),
            }
            let wrong = match opts.expect.as_str() {
                "zero" => pattern::nonzero(buf.bytes()),
                "pattern" => pattern::mismatch(buf.bytes(), opts.seed, pos + done),
                _ => None,
            };
            if let Some(at) = wrong {
                return Ok(format!("mismatch@{}", done + at as u64));
            }
            done += part;
        }
        Ok("ok".into())
    }

    fn report(&self, zone: &str, cached: bool) -> Result<String, String> {
        let (first, count) = self.zone_range(zone)?;
        let sector = u64::from(first) * self.geo.zone_size / SECTOR;
        match zones::report(&self.direct, sector, count, cached) {
            Ok(list) => Ok(list
                .iter()
                .map(zones::zone_text)
                .collect::<Vec<_>>()
                .join(", ")),
            Err(e) => Ok(format!("{e:?}")),
        }
    }

    fn step(&self, words: &[&str]) -> Result<String, String> {
        let op = *words.first().ok_or("empty step")?;
        if let Some(zone_op) = ZoneOp::parse(op) {
            let (first, count) = self.zone_range(words.get(1).ok_or("no zone")?)?;
            let sectors = self.geo.zone_size / SECTOR;
            let start = u64::from(first) * sectors;
            let len = u64::from(count) * sectors;
            return Ok(errno(uapi::zone_op(&self.direct, zone_op, start, len)));
        }
        let arg = |i: usize| {
            words
                .get(i)
                .copied()
                .ok_or(format!("'{op}' needs more words"))
        };
        match op {
            "write" | "read" => {
                let pos = self.position(arg(1)?)?;
                let len = parse_size(arg(2)?).ok_or("bad length")?;
                let opts = self.io_options(&words[3..])?;
                if op == "write" {
                    self.write(pos, len, &opts)
                } else {
                    self.read(pos, len, &opts)
                }
            }
            "report" => self.report(arg(1)?, false),
            "creport" => self.report(arg(1)?, true),
            "conds" | "cconds" => {
                let (first, count) = self.zone_range(arg(1)?)?;
                let sector = u64::from(first) * self.geo.zone_size / SECTOR;
                Ok(
                    match zones::report(&self.direct, sector, count, op == "cconds") {
                        Ok(list) => list.iter().map(|z| zones::cond_letter(z.cond)).collect(),
                        Err(e) => format!("{e:?}"),
                    },
                )
            }
            "consistent" => {
                let (first, count) = self.zone_range(arg(1)?)?;
                for no in first..first + count {
                    if let Some(text) = zones::inconsistency(&self.zone(no)?) {
                        return Ok(format!("zone {no}: {text}: {:?}", self.zone(no)?));
                    }
                }
                Ok("ok".into())
            }
            "fsync" => Ok(errno(uapi::fsync(&self.direct))),
            "sleep" => {
                let ms = arg(1)?.parse().map_err(|_| "bad time")?;
                std::thread::sleep(std::time::Duration::from_millis(ms));
                Ok("ok".into())
            }
            _ => Err(format!("unknown step '{op}'")),
        }
    }
}

/// Runs the steps of standard input on `dev`; false when a result was not the expected one.
pub fn run(dev: &str, verbose: bool) -> io::Result<bool> {
    let direct = uapi::open_dev(
        dev,
        if dev.starts_with("fd:") {
            0
        } else {
            libc::O_DIRECT
        },
    )?;
    let geo = zones::geometry(&direct)?;
    let runner = Runner {
        direct,
        dev: dev.into(),
        geo,
    };
    let mut good = true;
    for (no, line) in io::stdin().lock().lines().enumerate() {
        let line = line?;
        let text = line.split('#').next().unwrap_or("").trim();
        if text.is_empty() {
            continue;
        }
        let (step, expected) = match text.split_once(" = ") {
            Some((step, expected)) => (step.trim(), Some(expected.trim())),
            None => (text, None),
        };
        let words: Vec<&str> = step.split_whitespace().collect();
        let seen = runner.step(&words).unwrap_or_else(|e| e);
        match expected {
            Some(want) if !want.split('|').any(|w| w.trim() == seen) => {
                println!("step {}: '{step}': expected {want}, seen {seen}", no + 1);
                good = false;
            }
            None => println!("{step}: {seen}"),
            Some(_) if verbose => println!("{step}: {seen}"),
            Some(_) => (),
        }
    }
    Ok(good)
}
