// SPDX-License-Identifier: GPL-2.0

//! What is known about the alignment that direct I/O to a file needs.
//!
//! Only facts are collected here. What to make of them is for the caller to decide.
//!
//! C headers: [`include/linux/stat.h`](srctree/include/linux/stat.h) and
//! [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use kernel::{
    bindings,
    error::to_result, //
};

use super::{
    super::ffi,
    file::BackingFile,
    path,
    super_block, //
};

/// The alignment of direct I/O that a file system states for a file (`STATX_DIOALIGN`), in bytes.
///
/// Both are 0 if the file cannot be used for direct I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DioAlign {
    /// The alignment of memory.
    pub(crate) mem: u32,
    /// The alignment of file offsets and of lengths.
    pub(crate) offset: u32,
}

/// The limits of the block device that a file system is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BdevLimits {
    /// The physical block size, in bytes.
    pub(crate) physical_block_size: u32,
    /// The address bits of memory that must be zero.
    pub(crate) dma_alignment_mask: u32,
}

/// What the kernel knows about direct I/O to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DioFacts {
    /// What the file system states, if it does.
    pub(crate) statx: Option<DioAlign>,
    /// The limits of the file system's block device, if it has one.
    pub(crate) bdev: Option<BdevLimits>,
    /// The block size of the file system in bytes; 0 if it does not state any (overlayfs).
    pub(crate) fs_block_size: u32,
}

impl BackingFile {
    /// Collects what is known about direct I/O to the file. Errors count as not knowing.
    pub(crate) fn direct_io_facts(&self) -> DioFacts {
        let sb = super_block(self.as_file());

        // SAFETY: An inode in use keeps its super block.
        let fs_block_size = unsafe { (*sb).s_blocksize };

        // SAFETY: As above.
        let bdev = unsafe { (*sb).s_bdev };

        let bdev = if bdev.is_null() {
            None
        } else {
            // SAFETY: A mounted file system keeps its block device open.
            Some(unsafe { bdev_limits(bdev) })
        };

        DioFacts {
            statx: self.stat_dio_align(),
            bdev,
            // A block of 4 GiB or more would be none that anyone could use.
            fs_block_size: u32::try_from(fs_block_size).unwrap_or(0),
        }
    }

    /// Asks the file system for the alignment of direct I/O.
    fn stat_dio_align(&self) -> Option<DioAlign> {
        let mut stat = bindings::kstat::default();

        // SAFETY: The path of an open file is valid, and `stat` can be written to.
        to_result(unsafe {
            bindings::vfs_getattr(path(self.as_file()), &mut stat, bindings::STATX_DIOALIGN, 0)
        })
        .ok()?;

        (stat.result_mask & bindings::STATX_DIOALIGN != 0).then_some(DioAlign {
            mem: stat.dio_mem_align,
            offset: stat.dio_offset_align,
        })
    }
}

/// Returns the limits of `bdev`.
///
/// # Safety
///
/// `bdev` points to a block device that stays open during the call.
unsafe fn bdev_limits(bdev: *mut bindings::block_device) -> BdevLimits {
    // SAFETY: `bdev` is open by the contract.
    let physical_block_size = unsafe { ffi::bdev_physical_block_size(bdev) };

    // SAFETY: As above.
    let dma_alignment_mask = unsafe { ffi::bdev_dma_alignment(bdev) };

    BdevLimits {
        physical_block_size,
        dma_alignment_mask,
    }
}
