// SPDX-License-Identifier: GPL-2.0

//! Takes a step on both devices.

use crate::compare::{self, CLOSED, EMPTY, EXP_OPEN, FULL, IMP_OPEN};
use crate::exec::{Pair, POOL};
use crate::op::{Base, Op, Place, Step};
use crate::target::{Fail, Reply};
use crate::what::What;
use std::ops::Range;
use zbd::pattern::Buffer;
use zbd::uapi::{BlkZone, ZoneOp, SECTOR};

impl Pair {
    fn watched(&self, no: u32) -> Option<&BlkZone> {
        let index = no.checked_sub(self.zones.start)?;
        self.ours.view.get(index as usize)
    }

    /// The byte of the device that a place is now.
    fn position(&self, place: &Place) -> u64 {
        let geo = &self.ours.geo;
        let start = u64::from(place.zone) * geo.zone_size;
        let capacity = if place.zone < geo.conv {
            geo.zone_size
        } else {
            geo.zone_capacity
        };
        let base = match place.base {
            Base::Start => 0,
            Base::Capacity => capacity,
            Base::End => geo.zone_size,
            Base::WritePointer => match self.watched(place.zone) {
                Some(zone) if zone.cond == FULL => capacity,
                Some(zone) if zone.cond != compare::NOT_WP => {
                    zone.wp.saturating_sub(zone.start) * SECTOR
                }
                _ => 0,
            },
        };
        (start + base).saturating_add_signed(place.delta)
    }

    /// The zones, and for reads and writes the bytes, that an operation is about.
    pub(crate) fn extent(&self, op: &Op) -> (Range<u32>, Range<u64>) {
        let geo = &self.ours.geo;
        let bytes = match op {
            Op::Write { at, len, .. } | Op::Read { at, len } => {
                let pos = self.position(at);
                pos..pos + u64::from(*len)
            }
            Op::Append { zone, len } => {
                let pos = u64::from(*zone) * geo.zone_size;
                pos..pos + u64::from(*len)
            }
            Op::Manage { range, .. } => {
                let (sector, sectors) = range.sectors(geo.zone_size, geo.nr_zones);
                let end = sector.saturating_add(sectors);
                sector.saturating_mul(SECTOR)..end.saturating_mul(SECTOR)
            }
            Op::Report { .. } | Op::Flush => 0..0,
        };
        let zone = |byte: u64| (byte / geo.zone_size).min(geo.nr_zones.into()) as u32;
        let zones = if bytes.is_empty() {
            0..0
        } else {
            zone(bytes.start)..zone(bytes.end.saturating_add(geo.zone_size - 1))
        };
        (zones, bytes)
    }

    fn fill(&mut self, len: usize, seed: u32) {
        if len > self.buf.bytes().len() {
            self.buf = Buffer::new(len);
            self.back = Buffer::new(len);
        }
        let buf = &mut self.buf.bytes_mut()[..len];
        let from = (seed as usize).wrapping_mul(64) % (POOL / 2);
        for chunk in buf.chunks_mut(POOL / 2) {
            chunk.copy_from_slice(&self.pool[from..from + chunk.len()]);
        }
        for (i, sector) in buf.chunks_mut(512).enumerate() {
            let stamp = [seed.to_le_bytes(), (i as u32).to_le_bytes()].concat();
            let n = sector.len().min(stamp.len());
            sector[..n].copy_from_slice(&stamp[..n]);
        }
    }

    /// Runs the operation on both devices.
    pub(crate) fn act(&mut self, step: &Step, found: &mut Vec<What>) -> (Reply, Reply) {
        match step.op {
            Op::Write { at, len, sync } => {
                let pos = self.position(&at);
                self.fill(len as usize, step.seed);
                let data = &self.buf.bytes()[..len as usize];
                (
                    self.ours.target.write(pos, data, sync),
                    self.theirs.target.write(pos, data, sync),
                )
            }
            Op::Append { zone, len } => {
                self.fill(len as usize, step.seed);
                let data = &mut self.buf.bytes_mut()[..len as usize];
                (
                    self.ours.target.append(zone, data),
                    self.theirs.target.append(zone, data),
                )
            }
            Op::Read { at, len } => self.read(self.position(&at), len as usize, found),
            Op::Manage { op, range } => {
                let geo = &self.ours.geo;
                let (sector, sectors) = range.sectors(geo.zone_size, geo.nr_zones);
                (
                    self.ours.target.manage(op, sector, sectors),
                    self.theirs.target.manage(op, sector, sectors),
                )
            }
            Op::Report { range, cached } => {
                let geo = &self.ours.geo;
                let (sector, sectors) = range.sectors(geo.zone_size, geo.nr_zones);
                let count = (sectors * SECTOR / geo.zone_size) as u32;
                let ours = self.ours.target.report(sector, count, cached);
                let theirs = self.theirs.target.report(sector, count, cached);
                let lines = |reply: &Result<Vec<BlkZone>, Fail>| match reply {
                    Ok(zones) => Ok(zones.len() as u64),
                    Err(fail) => Err(*fail),
                };
                let replies = (lines(&ours), lines(&theirs));
                if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                    let first = (sector * SECTOR / geo.zone_size) as u32;
                    compare::reports(first, &ours, &theirs, found);
                }
                replies
            }
            Op::Flush => (self.ours.target.flush(), self.theirs.target.flush()),
        }
    }

    /// Reads from both devices and compares the data.
    pub(crate) fn read(&mut self, pos: u64, len: usize, found: &mut Vec<What>) -> (Reply, Reply) {
        if len > self.buf.bytes().len() {
            self.fill(len, 0);
        }
        let (a, b) = (
            &mut self.buf.bytes_mut()[..len],
            &mut self.back.bytes_mut()[..len],
        );
        // What neither device nor zeros look like: data that was not delivered must not look right.
        a.fill(0xa5);
        b.fill(0x5a);
        let ours = self.ours.target.read(pos, a);
        let theirs = self.theirs.target.read(pos, b);
        if let (Ok(n), Ok(m)) = (ours, theirs) {
            let geo = self.ours.geo;
            let n = n.min(m) as usize;
            let (a, b) = (&self.buf.bytes()[..n], &self.back.bytes()[..n]);
            compare::data(
                &geo,
                pos,
                a,
                b,
                |no| compare::readable(&geo, self.watched(no)),
                found,
            );
        }
        (ours, theirs)
    }

    /// Notes what a step must have changed, when there is no report.
    pub(crate) fn follow(&mut self, step: &Step, reply: Reply) {
        let Ok(done) = reply else { return };
        let (zones, bytes) = self.extent(&step.op);
        let geo = self.ours.geo;
        let first = self.zones.start;
        for view in [&mut self.ours.view, &mut self.theirs.view] {
            for (no, zone) in (first..).zip(view.iter_mut()) {
                if !zones.contains(&no) || no < geo.conv {
                    continue;
                }
                let end = zone.start + zone.capacity;
                match step.op {
                    Op::Write { .. } => {
                        let written = (bytes.start + done) / SECTOR;
                        advance(zone, written.min(zone.start + zone.len));
                    }
                    Op::Append { len, .. } => advance(zone, done + u64::from(len) / SECTOR),
                    Op::Manage { op, .. } => match op {
                        ZoneOp::Open => zone.cond = EXP_OPEN,
                        ZoneOp::Close if zone.wp == zone.start => zone.cond = EMPTY,
                        ZoneOp::Close => zone.cond = CLOSED,
                        ZoneOp::Finish => advance(zone, end),
                        ZoneOp::Reset => (zone.cond, zone.wp) = (EMPTY, zone.start),
                    },
                    _ => (),
                }
            }
        }
    }
}

fn advance(zone: &mut BlkZone, wp: u64) {
    zone.wp = wp;
    if wp >= zone.start + zone.capacity {
        zone.cond = FULL;
    } else if zone.cond != EXP_OPEN {
        zone.cond = IMP_OPEN;
    }
}
