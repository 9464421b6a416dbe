// SPDX-License-Identifier: GPL-2.0

//! Queue limits of a host-managed zoned disk.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use crate::abstractions::ffi;
use kernel::bindings;

/// The largest block size of a disk, in bytes.
pub(crate) const MAX_BLOCK_SIZE: u32 = ffi::BLK_MAX_BLOCK_SIZE;

/// What a zoned disk can do, for [`super::gen_disk::NewDisk::new`].
///
/// The block layer checks the values (`blk_validate_limits()`) and refuses what does not fit
/// together.
#[derive(Clone, Copy)]
pub(crate) struct ZonedLimits {
    /// Logical and physical block size in bytes: a power of two, 512 up to
    /// [`MAX_BLOCK_SIZE`].
    pub(crate) block_size: u32,
    /// Mask of the bits that must be clear in the address and length of a data buffer.
    pub(crate) dma_alignment: u32,
    /// Size of each zone in sectors: a power of two.
    pub(crate) zone_sectors: u32,
    /// Largest request in sectors.
    pub(crate) max_sectors: u32,
    /// Largest zone append in sectors; 0 lets the block layer emulate zone append by writes.
    pub(crate) max_append_sectors: u32,
    /// Whether a write can be made durable by itself (`REQ_FUA`); otherwise the block layer has a
    /// flush follow it.
    pub(crate) fua: bool,
    /// How many zones may be open at once; 0 means any number.
    pub(crate) max_open_zones: u32,
}

impl ZonedLimits {
    /// The C structure: zoned, with a volatile write cache, all else at its default.
    pub(super) fn to_raw(self) -> bindings::queue_limits {
        let mut raw: bindings::queue_limits = pin_init::zeroed();

        raw.features = ffi::BLK_FEAT_ZONED | ffi::BLK_FEAT_WRITE_CACHE;
        if self.fua {
            raw.features |= ffi::BLK_FEAT_FUA;
        }
        raw.logical_block_size = self.block_size;
        raw.physical_block_size = self.block_size;
        raw.dma_alignment = self.dma_alignment;
        raw.chunk_sectors = self.zone_sectors;
        raw.max_hw_sectors = self.max_sectors;
        raw.max_hw_zone_append_sectors = self.max_append_sectors;
        raw.max_open_zones = self.max_open_zones;
        raw
    }
}
