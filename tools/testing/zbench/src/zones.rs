// SPDX-License-Identifier: GPL-2.0

//! Zones of a device: report, reset, finish, write.

use crate::system::{open_direct, tried, Buffer, Res};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const SECTOR: u64 = 512;

/// `struct blk_zone_range`, in sectors.
#[repr(C)]
pub struct Range {
    sector: u64,
    sectors: u64,
}

/// `struct blk_zone_report` without the zones, which follow in memory.
#[repr(C)]
pub struct ReportHead {
    sector: u64,
    zones: u32,
    flags: u32,
}

/// Size of `struct blk_zone`.
const ZONE_ENTRY: usize = 64;

nix::ioctl_readwrite!(blk_report_zone, 0x12, 130, ReportHead);
nix::ioctl_write_ptr!(blk_reset_zone, 0x12, 131, Range);
nix::ioctl_read!(blk_get_zone_size, 0x12, 132, u32);
nix::ioctl_read!(blk_get_zone_count, 0x12, 133, u32);
nix::ioctl_write_ptr!(blk_finish_zone, 0x12, 136, Range);

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
        let (mut sectors, mut zones) = (0, 0);
        // SAFETY: each ioctl writes one u32.
        let res = unsafe {
            blk_get_zone_size(file.as_raw_fd(), &mut sectors)
                .and_then(|_| blk_get_zone_count(file.as_raw_fd(), &mut zones))
        };
        tried(path, res.map_err(Into::into))?;
        if sectors == 0 || zones == 0 {
            return Err(format!("{path} has no zones"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            zone_bytes: u64::from(sectors) * SECTOR,
            zones,
        })
    }

    fn range(&self, zone: u32, count: u32) -> Range {
        Range {
            sector: u64::from(zone) * self.zone_bytes / SECTOR,
            sectors: u64::from(count) * self.zone_bytes / SECTOR,
        }
    }

    /// Resets `count` zones.
    pub fn reset(&self, zone: u32, count: u32) -> Res<()> {
        // SAFETY: the ioctl reads a range.
        let res = unsafe { blk_reset_zone(self.file.as_raw_fd(), &self.range(zone, count)) };
        tried(
            format!("reset zone {zone} of {}", self.path),
            res.map_err(Into::into),
        )
        .map(drop)
    }

    /// Resets one zone.
    pub fn reset_one(&self, zone: u32) -> Res<()> {
        self.reset(zone, 1)
    }

    pub fn reset_all(&self) -> Res<()> {
        self.reset(0, self.zones)
    }

    /// Finishes one zone.
    pub fn finish(&self, zone: u32) -> Res<()> {
        // SAFETY: the ioctl reads a range.
        let res = unsafe { blk_finish_zone(self.file.as_raw_fd(), &self.range(zone, 1)) };
        tried(
            format!("finish zone {zone} of {}", self.path),
            res.map_err(Into::into),
        )
        .map(drop)
    }

    /// Writes the first bytes of every zone, all of which are empty.
    pub fn fill(&self, bytes: usize) -> Res<()> {
        const CHUNK: usize = 1 << 20;
        let buffer = Buffer::zeroed(bytes.min(CHUNK));
        for zone in 0..self.zones {
            let start = u64::from(zone) * self.zone_bytes;
            for at in (0..bytes).step_by(buffer.len()) {
                let res = self.file.write_all_at(&buffer, start + at as u64);
                tried(format!("write zone {zone} of {}", self.path), res)?;
            }
        }
        Ok(())
    }

    /// Reports all zones, so many at a time, and returns how many there are.
    pub fn report(&self, at_a_time: usize) -> Res<u64> {
        let head = std::mem::size_of::<ReportHead>();
        let mut memory = vec![0u64; (head + at_a_time * ZONE_ENTRY) / 8];
        let mut done = 0;
        while done < u64::from(self.zones) {
            let report = memory.as_mut_ptr().cast::<ReportHead>();
            // SAFETY: `memory` is aligned for, and has room for, a head and as many zones as the head says.
            let res = unsafe {
                (*report).sector = done * self.zone_bytes / SECTOR;
                (*report).zones = at_a_time as u32;
                (*report).flags = 0;
                blk_report_zone(self.file.as_raw_fd(), report)
            };
            tried(
                format!("report zones of {}", self.path),
                res.map_err(Into::into),
            )?;
            // SAFETY: as above; the ioctl put the number of zones there.
            let got = u64::from(unsafe { (*report).zones });
            if got == 0 {
                return Err(format!(
                    "{} reports {done} of {} zones",
                    self.path, self.zones
                ));
            }
            done += got;
        }
        Ok(done)
    }
}
