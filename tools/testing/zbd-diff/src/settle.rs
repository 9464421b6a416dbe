// SPDX-License-Identifier: GPL-2.0

//! Waits until the block layer is done with the step before ([`zbd::plugs`]).
//!
//! What comes in between is treated differently. A write behind it that is refused then does not block the next one
//! (blk_zone_wplug_bio_io_error()), a write after an append is refused (disk_check_zone_wplug_dead()), and reports from
//! its cache are of an earlier time. On a busy machine that differs from one device to the other, whoever has made it.

use crate::target::{Fail, Reply, Target};
use zbd::uapi::{BlkZone, ZoneOp, SECTOR};

/// A device whose writes, appends and commands end when the block layer is done with them.
pub struct Settled {
    target: Box<dyn Target + Send>,
    /// Bytes of a zone.
    zone_size: u64,
}

impl Settled {
    pub fn new(target: Box<dyn Target + Send>, zone_size: u64) -> Self {
        Self { target, zone_size }
    }
}

impl Target for Settled {
    fn write(&mut self, pos: u64, data: &[u8], sync: bool) -> Reply {
        let reply = self.target.write(pos, data, sync);
        self.settle(pos, data.len() as u64).and(reply)
    }

    fn read(&mut self, pos: u64, data: &mut [u8]) -> Reply {
        self.target.read(pos, data)
    }

    fn append(&mut self, zone: u32, data: &mut [u8]) -> Reply {
        let reply = self.target.append(zone, data);
        self.settle(u64::from(zone) * self.zone_size, 1).and(reply)
    }

    fn manage(&mut self, op: ZoneOp, sector: u64, sectors: u64) -> Reply {
        let reply = self.target.manage(op, sector, sectors);
        let (pos, len) = (
            sector.saturating_mul(SECTOR),
            sectors.saturating_mul(SECTOR),
        );
        self.settle(pos, len).and(reply)
    }

    fn report(&mut self, sector: u64, count: u32, cached: bool) -> Result<Vec<BlkZone>, Fail> {
        self.target.report(sector, count, cached)
    }

    fn flush(&mut self) -> Reply {
        self.target.flush()
    }

    fn settle(&mut self, pos: u64, len: u64) -> Result<(), Fail> {
        self.target.settle(pos, len)
    }
}
