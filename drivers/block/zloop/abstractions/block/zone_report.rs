// SPDX-License-Identifier: GPL-2.0

//! Answers to zone reports.
//!
//! C headers: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h),
//! [`include/uapi/linux/blkzoned.h`](srctree/include/uapi/linux/blkzoned.h)

use super::ending;
use core::{
    marker::PhantomData,
    ops::Range, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// Type of a zone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ZoneType {
    Conventional,
    SequentialWriteRequired,
}

/// What a report says of one zone. All sectors are of 512 bytes and count from the start of the
/// device.
#[derive(Clone, Copy)]
pub(crate) struct ZoneDescriptor {
    pub(crate) zone_type: ZoneType,
    /// Value of `enum blk_zone_cond`.
    pub(crate) condition: u8,
    /// First sector.
    pub(crate) start: u64,
    /// Size in sectors.
    pub(crate) len: u64,
    /// Usable sectors.
    pub(crate) capacity: u64,
    /// Write pointer.
    pub(crate) write_pointer: u64,
}

/// A zone report in the making.
///
/// # Invariants
///
/// `disk` and `args` are valid for `'a` and belong to one call of `report_zones`, which asks for
/// `max` zones at most. `added` is not larger.
pub(crate) struct ZoneReport<'a> {
    disk: *mut bindings::gendisk,
    args: *mut bindings::blk_report_zones_args,
    max: u32,
    added: u32,
    _call: PhantomData<&'a mut ()>,
}

impl ZoneReport<'_> {
    /// # Safety
    ///
    /// All must be arguments of a call of `report_zones` that lasts for the lifetime of the result;
    /// `max` is the number of zones.
    pub(super) unsafe fn from_raw(
        disk: *mut bindings::gendisk,
        max: u32,
        args: *mut bindings::blk_report_zones_args,
    ) -> Self {
        // INVARIANT: By this function's contract.
        Self {
            disk,
            args,
            max,
            added: 0,
            _call: PhantomData,
        }
    }

    /// Whether a [write is ending](ending::is_write_ending) that begins in one of `sectors` of the
    /// disk.
    pub(crate) fn is_write_ending(&self, sectors: Range<u64>) -> bool {
        // SAFETY: By the type invariants the disk is valid.
        let queue = unsafe { (*self.disk).queue };

        // SAFETY: The queue of a valid disk is valid; it has a tag set as all disks made here.
        unsafe { ending::is_write_ending(queue, sectors) }
    }

    /// How many zones there are in the report.
    pub(super) fn added(&self) -> u32 {
        self.added
    }

    /// Adds the next zone. Fails if the one who asked does not want to go on; the error must be
    /// returned as it is. [`EINVAL`] if there are as many as were asked for.
    pub(crate) fn add(&mut self, zone: &ZoneDescriptor) -> Result {
        // Who asked may have room for no more.
        if self.added >= self.max {
            return Err(EINVAL);
        }

        let mut raw: bindings::blk_zone = pin_init::zeroed();

        raw.start = zone.start;
        raw.len = zone.len;
        raw.wp = zone.write_pointer;
        raw.capacity = zone.capacity;
        raw.cond = zone.condition;
        // CAST: The values of the enumeration are small (`enum blk_zone_type`).
        raw.type_ = match zone.zone_type {
            ZoneType::Conventional => bindings::blk_zone_type_BLK_ZONE_TYPE_CONVENTIONAL,
            ZoneType::SequentialWriteRequired => bindings::blk_zone_type_BLK_ZONE_TYPE_SEQWRITE_REQ,
        } as u8;
        // SAFETY: By the type invariants the pointers are valid, and `raw` is. The index is below the
        // number of zones that were asked for.
        to_result(unsafe {
            bindings::disk_report_zone(self.disk, &mut raw, self.added, self.args)
        })?;
        self.added += 1;
        Ok(())
    }
}
