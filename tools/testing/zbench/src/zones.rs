// SPDX-License-Identifier: GPL-2.0

//! Zones of a device: report, reset, finish, write.

use crate::system::{open_direct, tried, Res};
use std::fs::File;
use std::os::unix::fs::FileExt;
use zbd::pattern::Buffer;
use zbd::uapi::{zone_op, ZoneOp, SECTOR};
use zbd::zones::{geometry, Report};

/// An open zoned device.
pub struct Device {
    file: File,
    path: String,
    pub zone_bytes: u64,
    pub zones: u32,
}

impl Device {
    pub fn open(path: &str) -> Res<Self> {
        let file = open_direct(path)?;
        let geometry = tried(path, geometry(&file))?;
        if geometry.zone_size == 0 || geometry.nr_zones == 0 {
            return Err(format!("{path} has no zones"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            zone_bytes: geometry.zone_size,
            zones: geometry.nr_zones,
        })
    }

    /// Runs a zone command on `count` zones.
    fn command(&self, what: &str, op: ZoneOp, zone: u32, count: u32) -> Res<()> {
        let sectors = self.zone_bytes / SECTOR;
        let start = u64::from(zone) * sectors;
        let res = zone_op(&self.file, op, start, u64::from(count) * sectors);
        tried(
            format!("{what} zone {zone} of {}", self.path),
            res.map_err(Into::into),
        )
    }

    /// Resets one zone.
    pub fn reset_one(&self, zone: u32) -> Res<()> {
        self.command("reset", ZoneOp::Reset, zone, 1)
    }

    /// Resets all zones.
    pub fn reset_all(&self) -> Res<()> {
        self.command("reset", ZoneOp::Reset, 0, self.zones)
    }

    /// Finishes one zone.
    pub fn finish(&self, zone: u32) -> Res<()> {
        self.command("finish", ZoneOp::Finish, zone, 1)
    }

    /// Writes the first bytes of every zone, all of which are empty.
    pub fn fill(&self, bytes: usize) -> Res<()> {
        const CHUNK: usize = 1 << 20;
        let buffer = Buffer::new(bytes.min(CHUNK));
        for zone in 0..self.zones {
            let start = u64::from(zone) * self.zone_bytes;
            for at in (0..bytes).step_by(buffer.bytes().len()) {
                let res = self.file.write_all_at(buffer.bytes(), start + at as u64);
                tried(format!("write zone {zone} of {}", self.path), res)?;
            }
        }
        Ok(())
    }

    /// Reports all zones, so many at a time, and returns how many there are.
    pub fn report(&self, at_a_time: u32) -> Res<u64> {
        let mut report = Report::new(at_a_time);
        let mut done = 0;
        while done < u64::from(self.zones) {
            let got = report.read(&self.file, done * self.zone_bytes / SECTOR, false);
            let got = tried(
                format!("report zones of {}", self.path),
                got.map_err(Into::into),
            )?;
            if got.is_empty() {
                return Err(format!(
                    "{} reports {done} of {} zones",
                    self.path, self.zones
                ));
            }
            done += got.len() as u64;
        }
        Ok(done)
    }
}
