// SPDX-License-Identifier: GPL-2.0

//! The zone model: everything zloop decides, with nothing that it does.
//!
//! Pure Rust on `core` only. No kernel types, no allocation, no locks, no unsafe code and no path
//! that panics, so the very same files are compiled into the module and, by the crate in
//! `tools/testing/model`, into tests on the host.
//!
//! The callers own the locks. A [`write_pointer::WritePointer`] belongs under its zone's lock, the
//! one [`open_set::OpenSet`] of a device under the device's; when both are needed, the zone's is
//! taken first. A zone's condition is not stored anywhere: [`condition::condition`] derives it.

#![forbid(unsafe_code)]
// Nothing here may panic in the kernel, overflow checks or not. Tests may: a panic is how they fail.
#![cfg_attr(
    not(any(test, CONFIG_KUNIT = "y")),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub(crate) mod condition;
pub(crate) mod geometry;
pub(crate) mod layout;
pub(crate) mod open_set;
pub(crate) mod options;
pub(crate) mod preallocation;
pub(crate) mod record;
pub(crate) mod write_pointer;

mod base_dir;
mod option_list;
mod rule;
mod text;

/// A position or a length in units of 512 bytes.
pub(crate) type Sector = u64;

/// Shift from bytes to sectors.
const SECTOR_SHIFT: u32 = 9;

/// The number of a zone, from 0 at the device's first sector.
pub(crate) type ZoneNo = u32;
