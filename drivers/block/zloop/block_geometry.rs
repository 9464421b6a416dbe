// SPDX-License-Identifier: GPL-2.0

//! Block size and alignment of a device, from what is known about its first file.

#![forbid(unsafe_code)]

use crate::abstractions::{
    block::limits::MAX_BLOCK_SIZE,
    fs::DioFacts, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// How zone files can be accessed.
#[derive(Clone, Copy)]
pub(crate) struct BlockGeometry {
    /// Block size in bytes.
    pub(crate) block_size: u32,
    /// Bits that must be clear in the address and length of a buffer.
    pub(crate) dma_alignment: u32,
}

/// Block size and alignment for a zone file: its own direct I/O geometry, else that of the block
/// device under the file system, else 512 bytes; and rather the block size of the file system, as in
/// the C driver, if that is 4 KiB or less and not too small for direct I/O. 4 KiB if a disk cannot
/// have it.
pub(crate) fn block_geometry(facts: &DioFacts) -> BlockGeometry {
    const SECTOR: u32 = 512;
    const USUAL: u32 = 4096;
    let is_block = |size: u32, max| size.is_power_of_two() && (SECTOR..=max).contains(&size);
    let (least, block_size, dma_alignment) = match (&facts.statx, &facts.bdev) {
        (Some(align), _) if align.mem != 0 => (align.offset, align.offset, align.mem - 1),
        (_, Some(limits)) => (
            SECTOR,
            limits.physical_block_size,
            limits.dma_alignment_mask,
        ),
        _ => (SECTOR, SECTOR, SECTOR - 1),
    };
    let preferred = if is_block(facts.fs_block_size, USUAL) && facts.fs_block_size >= least {
        facts.fs_block_size
    } else {
        block_size
    };

    BlockGeometry {
        block_size: if is_block(preferred, MAX_BLOCK_SIZE) {
            preferred
        } else {
            USUAL
        },
        // CAST: The size of a page fits.
        dma_alignment: dma_alignment.clamp(SECTOR - 1, (PAGE_SIZE - 1) as u32),
    }
}

#[kunit_tests(zloop_block_geometry)]
mod tests {
    use super::*;
    use crate::abstractions::fs::{
        BdevLimits,
        DioAlign, //
    };

    /// What a file system of blocks of `fs` bytes says.
    fn facts(statx: Option<(u32, u32)>, bdev: Option<(u32, u32)>, fs: u32) -> DioFacts {
        DioFacts {
            statx: statx.map(|(mem, offset)| DioAlign { mem, offset }),
            bdev: bdev.map(|(physical_block_size, dma_alignment_mask)| BdevLimits {
                physical_block_size,
                dma_alignment_mask,
            }),
            fs_block_size: fs,
        }
    }

    #[test]
    fn block_size_is_one_that_the_file_and_a_disk_can_have() {
        // (statx: memory and offset, disk: block size and alignment mask, file system's block
        // size; block size and alignment mask of the device)
        let cases = [
            // The file system's blocks, if a disk can have them.
            (facts(None, None, 4096), 4096, 511),
            (facts(None, None, 1024), 1024, 511),
            (facts(Some((512, 512)), None, 4096), 4096, 511),
            // Not less than direct I/O takes.
            (facts(Some((4, 4096)), None, 1024), 4096, 511),
            (facts(None, Some((4096, 3)), 0), 4096, 511),
            (facts(None, Some((512, 1023)), 0), 512, 1023),
            // The file itself knows better than the disk below.
            (facts(Some((2048, 2048)), Some((512, 3)), 0), 2048, 2047),
            // 0 stands for "no direct I/O".
            (facts(Some((0, 0)), None, 0), 512, 511),
            // Large blocks only where less does not do.
            (facts(Some((512, 512)), None, 16384), 512, 511),
            (
                facts(Some((512, 8192)), None, 16384),
                MAX_BLOCK_SIZE.min(8192),
                511,
            ),
            (facts(None, None, 65536), 512, 511),
            // What no disk has.
            (facts(Some((512, 1 << 20)), None, 1 << 20), 4096, 511),
            (facts(None, Some((1 << 20, 3)), 0), 4096, 511),
            (facts(None, Some((520, 3)), 0), 4096, 511),
            (facts(Some((1 << 20, 512)), None, 512), 512, 4095),
        ];

        for (facts, block_size, dma_alignment) in cases {
            let seen = block_geometry(&facts);

            assert_eq!(seen.block_size, block_size);
            assert_eq!(seen.dma_alignment, dma_alignment);
        }
    }
}
