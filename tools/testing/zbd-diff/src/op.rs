// SPDX-License-Identifier: GPL-2.0

//! Steps: what is done to both devices.
//!
//! Places are relative to what the zone is like when the step is taken, so that a step keeps its meaning when others
//! before it are left out.

use zbd::uapi::{ZoneOp, SECTOR};

/// What a place is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Start,
    /// The write pointer; the start of a zone that has none.
    WritePointer,
    /// The end of the capacity.
    Capacity,
    End,
}

/// A place on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub zone: u32,
    pub base: Base,
    /// Bytes from there.
    pub delta: i64,
}

/// A range of zones, perhaps not a legal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub zone: u32,
    pub count: u32,
    /// Sectors by which the start is shifted.
    pub skew: i64,
    /// Sectors by which it is shorter.
    pub trim: i64,
}

/// Number of zones of a range that has all.
pub const ALL: u32 = u32::MAX;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Write { at: Place, len: u32, sync: bool },
    Append { zone: u32, len: u32 },
    Read { at: Place, len: u32 },
    Manage { op: ZoneOp, range: Range },
    Report { range: Range, cached: bool },
    Flush,
}

impl Op {
    /// Whether a zone may have to be open for it, if only for a moment.
    pub fn opens(&self) -> bool {
        match self {
            Op::Write { .. } | Op::Append { .. } => true,
            Op::Manage { op, .. } => matches!(op, ZoneOp::Open | ZoneOp::Finish),
            Op::Read { .. } | Op::Report { .. } | Op::Flush => false,
        }
    }
}

/// An operation with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub thread: u32,
    pub op: Op,
    /// Seed of the data that is written.
    pub seed: u32,
    /// No report after it: what the kernel does differently until there is one goes on.
    pub quiet: bool,
}

impl Range {
    /// Whole zones.
    pub fn zones(zone: u32, count: u32) -> Self {
        Self {
            zone,
            count,
            skew: 0,
            trim: 0,
        }
    }

    /// All zones of the device.
    pub fn all() -> Self {
        Self::zones(0, ALL)
    }

    /// First sector and number of sectors, on a device with `nr_zones` zones of `zone_size` bytes.
    pub fn sectors(&self, zone_size: u64, nr_zones: u32) -> (u64, u64) {
        let count = if self.count == ALL {
            nr_zones
        } else {
            self.count
        };
        let zone = zone_size / SECTOR;
        (
            (u64::from(self.zone) * zone).wrapping_add_signed(self.skew),
            (u64::from(count) * zone).wrapping_add_signed(-self.trim),
        )
    }
}

impl Op {
    /// The name that it has in a script and in statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Write { .. } => "write",
            Op::Append { .. } => "append",
            Op::Read { .. } => "read",
            Op::Manage { op, .. } => match op {
                ZoneOp::Open => "open",
                ZoneOp::Close => "close",
                ZoneOp::Finish => "finish",
                ZoneOp::Reset => "reset",
            },
            Op::Report { .. } => "report",
            Op::Flush => "flush",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_in_sectors() {
        let mib = 1 << 20;
        assert_eq!(Range::zones(3, 2).sectors(mib, 10), (6144, 4096));
        assert_eq!(Range::all().sectors(mib, 10), (0, 20480));
        let odd = Range {
            zone: 0,
            count: 1,
            skew: 8,
            trim: -8,
        };
        assert_eq!(odd.sectors(mib, 10), (8, 2056));
    }
}
