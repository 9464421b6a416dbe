// SPDX-License-Identifier: GPL-2.0

//! Reads a device that was added after a power cut, and has the oracle judge it.

use super::allowed::{self, Past};
use super::block;
use super::cut::Bounds;
use super::journal::{Op, Record, Shape};
use super::oracle::{self, Fault, Finding, Found};
use crate::pattern::{self, Buffer};
use crate::uapi::{self, BlkZone, SECTOR};
use crate::zones::{self, FULL};
use std::fs::File;
use std::io;

/// Largest single read.
const CHUNK: usize = 1 << 20;

/// Seed of what is written to see that a zone can be used again.
const AGAIN: u64 = 0x2d2d;

/// What was seen besides faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    /// Sequential zones that were put back behind what had been acknowledged: what a cut may do.
    pub zones: u64,
    /// Blocks of conventional zones, likewise.
    pub blocks: u64,
    /// Blocks of zeros below the write pointers of zones that are not full.
    pub zeros: u64,
}

/// Opens the device and checks that it looks as it did.
fn open(dev: &str, shape: &Shape) -> io::Result<Result<File, Finding>> {
    let file = uapi::open_dev(dev, libc::O_DIRECT)?;
    let geometry = zones::geometry(&file)?;
    let unit = uapi::logical_block_size(&file)?;
    let zones = u64::from(geometry.nr_zones);
    if (zones, unit, geometry.zone_size) == (shape.zones, shape.unit, shape.size * shape.unit) {
        return Ok(Ok(file));
    }
    let size = geometry.zone_size;
    Ok(Err(Finding {
        fault: Fault::Report,
        place: u64::MAX,
        detail: format!("{zones} zones of {size} bytes, blocks of {unit}; was {shape:?}"),
    }))
}

/// Reads all zones of the device.
fn read(file: &File, shape: &Shape) -> io::Result<Vec<Found>> {
    let report = zones::report(file, 0, shape.zones as u32, false)?;
    if report.len() as u64 != shape.zones {
        let text = format!("a report of {} zones, not {}", report.len(), shape.zones);
        return Err(io::Error::other(text));
    }
    let mut out = Vec::new();
    let mut buf = Buffer::new(CHUNK);
    for zone in report {
        let (mut at, end) = (zone.start * SECTOR, (zone.start + zone.capacity) * SECTOR);
        let mut blocks = Vec::new();
        while at < end {
            let len = ((end - at) as usize).min(CHUNK);
            let part = &mut buf.bytes_mut()[..len];
            // What the kernel does not deliver must not look right.
            part.fill(0xa5);
            if uapi::pread(file, part, at)? != len {
                return Err(io::Error::other(format!("short read at {at}")));
            }
            blocks.extend(block::read_all(part, shape.unit as usize));
            at += len as u64;
        }
        out.push(Found { zone, blocks });
    }
    Ok(out)
}

/// What was acknowledged for certain and is not there.
fn loss(past: &Past, shape: &Shape, must: u64, found: &[Found]) -> Loss {
    let mut loss = Loss::default();
    for (no, found) in (0..).zip(found) {
        let done = || past.ops(no).filter(|t| t.end.is_some_and(|e| e <= must));
        if no >= shape.conventional {
            let mut wp = 0;
            for timed in done() {
                match timed.op {
                    Op::Write { block, count, .. } => wp = block + count,
                    Op::Finish { .. } => wp = shape.capacity,
                    _ => wp = 0,
                }
            }
            let now = match found.zone.cond {
                FULL => shape.capacity,
                _ => (found.zone.wp - found.zone.start) * SECTOR / shape.unit,
            };
            loss.zones += u64::from(now < wp);
            if found.zone.cond != FULL {
                let below = found.blocks.iter().take(now as usize);
                loss.zeros += below.filter(|c| **c == block::Content::Zeros).count() as u64;
            }
            continue;
        }
        let mut latest = vec![None; found.blocks.len()];
        for timed in done() {
            if let Op::Write {
                block,
                count,
                generation,
                ..
            } = timed.op
            {
                latest[block as usize..(block + count) as usize].fill(Some(generation));
            }
        }
        let old = |(latest, content): &(&Option<u64>, &block::Content)| match (latest, content) {
            (Some(latest), block::Content::Block(tag)) => tag.generation < *latest,
            (latest, _) => latest.is_some(),
        };
        loss.blocks += latest.iter().zip(&found.blocks).filter(old).count() as u64;
    }
    loss
}

/// Writes a block into each sequential zone with room and reads it back, to see that the device works; what is wrong.
fn use_again(file: &File, shape: &Shape, found: &[Found]) -> io::Result<Vec<Finding>> {
    let room = |f: &&Found| f.zone.zone_type != 1 && f.zone.cond != FULL;
    let mut findings = Vec::new();
    for zone in found.iter().filter(room).map(|f| f.zone) {
        if let Some(detail) = write_on(file, shape.unit as usize, &zone)? {
            findings.push(Finding {
                fault: Fault::Report,
                place: zone.start * SECTOR / (shape.size * shape.unit),
                detail,
            });
        }
    }
    uapi::fsync(file)?;
    Ok(findings)
}

/// Writes a block at the write pointer of a zone; what is wrong with that, if anything.
fn write_on(file: &File, unit: usize, zone: &BlkZone) -> io::Result<Option<String>> {
    let pos = zone.wp * SECTOR;
    let mut buf = Buffer::new(unit);
    pattern::fill(buf.bytes_mut(), AGAIN, pos);
    match uapi::pwrite(file, buf.bytes(), pos) {
        Ok(n) if n == unit => (),
        other => {
            return Ok(Some(format!(
                "cannot write at the write pointer: {other:?}"
            )))
        }
    }
    buf.bytes_mut().fill(0xa5);
    if uapi::pread(file, buf.bytes_mut(), pos)? != unit
        || pattern::mismatch(buf.bytes(), AGAIN, pos).is_some()
    {
        return Ok(Some("what was written on is not there".into()));
    }
    let after = match zones::report(file, zone.start, 1, false)?.as_slice() {
        [after] => *after,
        _ => return Ok(Some("no report".into())),
    };
    let next = zone.wp + unit as u64 / SECTOR;
    let right = match after.cond {
        FULL => next == zone.start + zone.capacity,
        _ => after.wp == next,
    };
    Ok((!right).then(|| format!("{zone:?} became {after:?} by a write")))
}

/// All that is wrong with the device, and what it lost. `zeros`: data that was not flushed may be zeros.
pub fn device(
    dev: &str,
    record: &Record,
    bounds: Bounds,
    zeros: bool,
) -> io::Result<(Vec<Finding>, Loss)> {
    let shape = &record.shape;
    let file = match open(dev, shape)? {
        Ok(file) => file,
        Err(finding) => return Ok((vec![finding], Loss::default())),
    };
    let mut past = Past::new(record, bounds);
    past.zeros = zeros;
    let found = read(&file, shape)?;
    let mut findings: Vec<Finding> = (0..)
        .zip(&found)
        .filter_map(|(no, found)| oracle::check_zone(&past, shape, no, found))
        .collect();
    findings.extend(use_again(&file, shape, &found)?);
    Ok((findings, loss(&past, shape, bounds.must, &found)))
}

/// The same after a removal that loses what was not flushed (`discard_write_cache`): each sequential zone is exactly
/// as the last flush of the journal made it durable, or empty if it was reset since. Conventional zones lose nothing.
pub fn discarded(dev: &str, record: &Record) -> io::Result<(Vec<Finding>, Loss)> {
    let shape = &record.shape;
    let file = match open(dev, shape)? {
        Ok(file) => file,
        Err(finding) => return Ok((vec![finding], Loss::default())),
    };
    let at_end = |record: &Record| Bounds {
        must: record.lines,
        may: record.lines,
    };
    let found = read(&file, shape)?;
    let flushed = allowed::up_to_last_flush(record)
        .ok_or_else(|| io::Error::other("the last flush was not alone"))?;
    let all_flushed = allowed::flushed_at_end(record);
    let mut findings = Vec::new();
    for (no, found) in (0..).zip(&found) {
        let record = match no < shape.conventional {
            true => &all_flushed,
            false => &flushed,
        };
        let past = Past::new(record, at_end(record));
        findings.extend(oracle::check_zone(&past, shape, no, found));
    }
    let past = Past::new(record, at_end(record));
    Ok((findings, loss(&past, shape, record.lines, &found)))
}
