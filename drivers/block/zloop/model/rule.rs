// SPDX-License-Identifier: GPL-2.0

//! What options that divide a device into zones may violate.

#![forbid(unsafe_code)]

use core::fmt;

use super::{
    geometry::MAX_ZONES,
    options::MAX_ZONE_SIZE_MB, //
};

/// An option that does not go with the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GeometryError {
    /// The option's name.
    pub(crate) option: &'static str,
    /// Its value.
    pub(crate) value: u32,
    /// What it violates.
    pub(crate) rule: Rule,
}

/// What an option violates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// The zone size is a power of two and not too large.
    ZoneSize,
    /// The zone capacity is not 0 and not above the zone size.
    ZoneCapacity {
        /// The zone size.
        zone_size_mb: u32,
    },
    /// There are at least two zones.
    TooSmall {
        /// The zone size.
        zone_size_mb: u32,
    },
    /// There are not more than [`MAX_ZONES`].
    TooManyZones {
        /// The number of zones.
        nr_zones: u32,
    },
    /// At least one zone is sequential.
    NoSequentialZone {
        /// The number of zones.
        nr_zones: u32,
    },
    /// No more zones can be open than there are sequential ones.
    AboveSequentialZones {
        /// The number of sequential zones.
        nr_seq_zones: u32,
    },
    /// The zone capacity is a multiple of the block size.
    BlockSize {
        /// The block size.
        bytes: u32,
    },
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: ", self.option, self.value)?;
        match self.rule {
            Rule::ZoneSize => write!(f, "not a power of two from 1 to {MAX_ZONE_SIZE_MB}"),
            Rule::ZoneCapacity { zone_size_mb } => {
                write!(f, "out of range (1..{zone_size_mb}, the zone size)")
            }
            Rule::TooSmall { zone_size_mb } => {
                write!(f, "less than two zones of {zone_size_mb} MiB")
            }
            Rule::TooManyZones { nr_zones } => {
                write!(f, "{nr_zones} zones, at most {MAX_ZONES} are possible")
            }
            Rule::NoSequentialZone { nr_zones } => {
                write!(f, "leaves no sequential zone of {nr_zones} zones")
            }
            Rule::AboveSequentialZones { nr_seq_zones } => {
                write!(f, "more than the {nr_seq_zones} sequential zones")
            }
            Rule::BlockSize { bytes } => {
                write!(f, "not a multiple of the block size of {bytes} bytes")
            }
        }
    }
}
