// SPDX-License-Identifier: GPL-2.0

//! Open regular files that hold the data of a device.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h) and
//! [`include/linux/xattr.h`](srctree/include/linux/xattr.h)

use core::mem::MaybeUninit;

use kernel::{
    bindings,
    error::to_result,
    fs::File,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        }, //
    },
    types::NotThreadSafe, //
};

use super::{
    super::ffi,
    credentials::as_opener,
    dentry,
    idmap,
    inode,
    path,
    stat_size,
    super_block,
    to_count,
    truncate,
    write_access::WriteAccess, //
};

/// A regular file, open for reading, and for writing as well unless it was asked for
/// [otherwise](super::OpenOptions). Cloning makes a new reference to the same open file.
/// [`Directory::open_file()`](super::Directory::open_file) makes it.
///
/// An open file pins its mount, and its inode even if it is removed from its directory. See the
/// [module](super) for when it is closed.
///
/// # Invariants
///
/// The file is a regular file, open for reading, in no descriptor table, and its
/// operations have `read_iter` and `write_iter`. When it was opened it was on the same mount as
/// the directory it was opened in.
#[derive(Clone)]
pub(crate) struct BackingFile(ARef<File>);

/// What of a file a sync makes durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synced {
    /// The data, and the size and whatever else is needed to read it back, as fdatasync(2) does.
    Data,
    /// Times and extended attributes, too, as fsync(2) does.
    All,
}

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    /// What unprivileged users can still use.
    pub(crate) available: u64,
    /// All of it.
    pub(crate) total: u64,
}

impl BackingFile {
    /// Wraps `file`.
    ///
    /// # Safety
    ///
    /// `file` fulfils the type invariants.
    pub(super) unsafe fn from_checked(file: ARef<File>) -> Self {
        // INVARIANT: By this function's contract.
        Self(file)
    }

    /// The open file. Not for the driver: it could put it into a descriptor table.
    pub(in crate::abstractions) fn as_file(&self) -> &File {
        &self.0
    }

    /// The size in bytes, as the kernel has it in memory.
    ///
    /// Any context. Writes that are in flight may or may not be included.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: `self.0` holds a reference to its inode.
        let size = unsafe { ffi::i_size_read(inode(&self.0)) };

        // Sizes are never negative.
        u64::try_from(size).unwrap_or(0)
    }

    /// The size in bytes, as the file system reports it to stat(2).
    ///
    /// May ask a server or another file system. Fails with the error of the file system, and with
    /// [`EIO`] if that does not know the size.
    pub(crate) fn stat_size(&self) -> Result<u64> {
        as_opener(&self.0, || {
            // SAFETY: The path of an open file is valid.
            unsafe { stat_size(path(&self.0)) }
        })
    }

    /// Cuts or extends the file to `len` bytes. What is added reads as zeros.
    ///
    /// Waits while the file system is frozen. Fails with the errors of truncate(2): [`EFBIG`]
    /// (beyond what the file system can hold), [`EPERM`] (immutable or append-only), [`EROFS`],
    /// [`ENOSPC`], [`EIO`], ... The size is unknown after an error.
    pub(crate) fn truncate(&self, len: u64) -> Result {
        as_opener(&self.0, || {
            // SAFETY: The path of an open file is valid.
            unsafe { truncate(path(&self.0), len) }
        })
    }

    /// Allocates blocks for `len` bytes at the byte `pos`; the size stays as it is.
    ///
    /// Waits while the file system is frozen. Fails with the errors of fallocate(2).
    pub(crate) fn allocate(&self, pos: u64, len: u64) -> Result {
        let pos = bindings::loff_t::try_from(pos).map_err(|_| EFBIG)?;
        let len = bindings::loff_t::try_from(len).map_err(|_| EFBIG)?;
        let mode = ffi::FALLOC_FL_KEEP_SIZE;

        as_opener(&self.0, || {
            // SAFETY: `self.0` is a valid file. The function sees to it that it is open for writing.
            to_result(unsafe { bindings::vfs_fallocate(self.0.as_ptr(), mode, pos, len) })
        })
    }

    /// How much space the file system has. May ask a server.
    pub(crate) fn space(&self) -> Result<Space> {
        let mut stat = MaybeUninit::<ffi::kstatfs>::zeroed();

        // SAFETY: The path of an open file is valid, and `stat` can be written to.
        to_result(unsafe { bindings::vfs_statfs(path(&self.0), stat.as_mut_ptr().cast()) })?;
        // SAFETY: Zeros are a valid value of this structure of integers, whatever the file system
        // has written over them.
        let stat = unsafe { stat.assume_init() };
        let block = u64::try_from(stat.f_frsize).map_err(|_| EIO)?;
        Ok(Space {
            available: stat.f_bavail.saturating_mul(block),
            total: stat.f_blocks.saturating_mul(block),
        })
    }

    /// Sets the times of change to now, which writing does not do
    /// ([`OpenOptions`](super::OpenOptions)). Waits while the file system is frozen.
    ///
    /// Nothing may be written through this open file from then on.
    pub(crate) fn update_times(&self) -> Result {
        let _access = WriteAccess::new(&self.0)?;

        self.set_times()
    }

    /// The same without waiting: the file system may not be frozen.
    fn set_times(&self) -> Result {
        let mode = self.mode();

        // All who may be here at the same time clear the same bit.
        mode.store(mode.load(Relaxed) & !ffi::FMODE_NOCMTIME, Relaxed);
        // SAFETY: The file is valid; the function sees to it that the mount is writable.
        to_result(unsafe { bindings::file_update_time(self.0.as_ptr()) })
    }

    /// What the file can and is opened for (`FMODE_*`).
    fn mode(&self) -> &Atomic<bindings::fmode_t> {
        // SAFETY: The file is valid.
        let mode = unsafe { &raw mut (*self.0.as_ptr()).f_mode };

        // SAFETY: The field lives as long as the file. As that is in no descriptor table, nobody but
        // `set_times()` changes the field, and who reads it finds the old value or the new one.
        unsafe { Atomic::from_ptr(mode) }
    }

    /// The file with its file system kept from being frozen, unless it is or is about to be.
    ///
    /// Any context.
    pub(crate) fn thawed(&self) -> Option<Thawed> {
        let sb = super_block(&self.0);

        // SAFETY: An inode in use keeps its super block.
        if !unsafe { ffi::sb_start_write_trylock(sb) } {
            return None;
        }
        // INVARIANT: Taken just now.
        Some(Thawed {
            file: self.clone(),
            _not_send: NotThreadSafe,
        })
    }

    /// Whether there are other references to the open file.
    ///
    /// Any context. Others may come and go right after, unless the caller keeps them from it.
    pub(crate) fn is_shared(&self) -> bool {
        // SAFETY: The file is valid.
        let count = unsafe { &raw mut (*self.0.as_ptr()).f_ref };
        // SAFETY: As above, and it has at least the reference of `self.0`.
        let count = unsafe { ffi::file_ref_read(count) };

        count > 1
    }

    /// Whether the disk that the data is on can be asked not to wait. Others, which many of
    /// device-mapper's are, fail small reads that do.
    pub(crate) fn disk_supports_nowait(&self) -> bool {
        let disk = self.data_disk();

        // SAFETY: A file system has its disk open as long as it is mounted.
        disk.is_null() || unsafe { ffi::bdev_nowait(disk) }
    }

    /// Whether reads and writes can be asked not to wait.
    pub(crate) fn supports_nowait(&self) -> bool {
        self.mode().load(Relaxed) & ffi::FMODE_NOWAIT != 0
    }

    /// Whether the file is open for writing.
    pub(crate) fn can_write(&self) -> bool {
        self.mode().load(Relaxed) & ffi::FMODE_WRITE != 0
    }

    /// Whether reads and writes can go around the page cache.
    pub(crate) fn can_direct(&self) -> bool {
        self.mode().load(Relaxed) & ffi::FMODE_CAN_ODIRECT != 0
    }

    /// Gives the file system what asynchronous direct I/O ends in, a workqueue, if it has none yet.
    ///
    /// The first such I/O would do it, whose submitter may be where no workqueue can be made: that
    /// takes locks under which memory is allocated. The file system keeps it until it is unmounted.
    /// May sleep; fails with [`ENOMEM`].
    pub(crate) fn prepare_async(&self) -> Result {
        let sb = super_block(&self.0);

        // SAFETY: An inode in use keeps its super block.
        let queue = unsafe { &raw const (*sb).s_dio_done_wq };
        // SAFETY: As above. The field is set once, and read as others do that race with it.
        let queue = unsafe { queue.read_volatile() };
        if !queue.is_null() {
            return Ok(());
        }
        // SAFETY: As above. The function leaves alone what another one has set.
        to_result(unsafe { ffi::sb_init_dio_done_wq(sb) })
    }

    /// Whether the file system keeps its files on a block device, as opposed to memory, another
    /// file system or a server.
    pub(crate) fn is_on_block_device(&self) -> bool {
        let sb = super_block(&self.0);

        // SAFETY: An inode in use keeps its super block.
        let kind = unsafe { (*sb).s_type };
        // SAFETY: A super block keeps its type.
        let flags = unsafe { (*kind).fs_flags };
        flags & ffi::FS_REQUIRES_DEV != 0
    }

    /// The super block of the file system that keeps the data: of the one below if the file's own
    /// is stacked on it (overlayfs).
    fn data_sb(&self) -> *mut bindings::super_block {
        // SAFETY: The directory entry of an open file is valid. The file is open, so what is
        // below it was found. That lives as long as the entry, and so does what a copy-up puts in
        // its place.
        let inode = unsafe { ffi::d_real_inode(dentry(&self.0)) };

        // SAFETY: An inode in use has a super block, which never changes.
        unsafe { (*inode).i_sb }
    }

    /// The disk that the data is on; null if it is on none.
    fn data_disk(&self) -> *mut bindings::block_device {
        // SAFETY: The super block of an open file is valid; the field does not change while the file
        // system is mounted.
        unsafe { (*self.data_sb()).s_bdev }
    }

    /// The kind of file system that keeps the data (`*_MAGIC`).
    fn data_magic(&self) -> c_ulong {
        // SAFETY: The super block of an open file is valid; the field never changes.
        unsafe { (*self.data_sb()).s_magic }
    }

    /// Whether the file system is one that is known to make a write with `IOCB_DSYNC | IOCB_SYNC`
    /// durable before it ends, with the size of the file, and to flush the disk at each sync.
    ///
    /// f2fs does neither: it sets the size after that write was synced, and does not notice that
    /// blocks were overwritten if the disk took its time (`f2fs_dio_write_iter()`). 9p and others
    /// that use fs/netfs/direct_write.c sync no write. In a tmpfs nothing is durable.
    pub(crate) fn is_known_to_sync(&self) -> bool {
        [
            ffi::XFS_SUPER_MAGIC,
            ffi::EXT4_SUPER_MAGIC,
            ffi::BTRFS_SUPER_MAGIC,
            ffi::TMPFS_MAGIC,
        ]
        .contains(&self.data_magic())
    }

    /// Whether a sync of the file, while a direct write to it is in flight, makes durable that there
    /// is the data which may not be there yet. After a power cut what was there before is lost then,
    /// too, also if it was synced.
    ///
    /// btrfs makes a write part of the file when it is submitted, and fsync(2) logs the file without
    /// waiting for it (`btrfs_direct_write()`, `btrfs_sync_file()`). It takes the lock that a
    /// synchronous write holds till the end, but does not for a write with `IOCB_DSYNC` of its own.
    pub(crate) fn logs_writes_in_flight(&self) -> bool {
        self.data_magic() == ffi::BTRFS_SUPER_MAGIC
    }

    /// Makes durable what was written.
    ///
    /// Reports an error of earlier write-back too, and each such error once for this open file.
    pub(crate) fn sync(&self, what: Synced) -> Result {
        let datasync = c_int::from(what == Synced::Data);

        // SAFETY: `self.0` is a valid, open file.
        to_result(unsafe {
            bindings::vfs_fsync_range(self.0.as_ptr(), 0, bindings::loff_t::MAX, datasync)
        })?;
        if self.is_known_to_sync() {
            return Ok(());
        }
        let disk = self.data_disk();

        if disk.is_null() {
            return Ok(());
        }
        // SAFETY: A file system has its disk open as long as it is mounted.
        to_result(unsafe { bindings::blkdev_issue_flush(disk) })
    }

    /// Sets the extended attribute `name` (with its prefix, as in `user.example`), whether it
    /// exists or not.
    ///
    /// Waits while the file system is frozen. Durable after a [`sync()`](Self::sync) of
    /// [all](Synced::All). Fails with the errors of setxattr(2):
    /// `EOPNOTSUPP` (the file system has no such attributes), [`ENOSPC`], `EDQUOT`, [`EROFS`], ...
    pub(crate) fn set_xattr(&self, name: &CStr, value: &[u8]) -> Result {
        let _access = WriteAccess::new(&self.0)?;

        as_opener(&self.0, || {
            // SAFETY: The ID mapping and the directory entry are those of an open file, `name` is
            // NUL-terminated and `value` holds that many bytes. Write access to the mount is held.
            to_result(unsafe {
                bindings::vfs_setxattr(
                    idmap(&self.0),
                    dentry(&self.0),
                    name.as_char_ptr(),
                    value.as_ptr().cast(),
                    value.len(),
                    0,
                )
            })
        })
    }

    /// Reads at the byte `pos` into `buf` and returns how many bytes there were: fewer than asked
    /// for at the end of the file, none beyond it.
    ///
    /// For a file that was not opened for direct I/O.
    pub(crate) fn read_at(&self, buf: &mut [u8], pos: u64) -> Result<usize> {
        let mut pos = bindings::loff_t::try_from(pos).map_err(|_| EINVAL)?;

        // SAFETY: `self.0` is a valid file open for reading with `read_iter`, and `buf` is valid
        // for writes of that many bytes.
        to_count(unsafe {
            bindings::kernel_read(
                self.0.as_ptr(),
                buf.as_mut_ptr().cast(),
                buf.len(),
                &mut pos,
            )
        })
    }

    /// Writes `buf` at the byte `pos` and returns how many bytes were written, which can be fewer
    /// than asked for if an error follows.
    ///
    /// For a file that was not opened for direct I/O. Waits while the file system is frozen.
    /// [`EBADF`] if the file is not open for writing.
    pub(crate) fn write_at(&self, buf: &[u8], pos: u64) -> Result<usize> {
        if !self.can_write() {
            return Err(EBADF);
        }
        let mut pos = bindings::loff_t::try_from(pos).map_err(|_| EFBIG)?;

        // SAFETY: `self.0` is a valid file with `write_iter`, open for writing, and `buf` is valid
        // for reads of that many bytes.
        to_count(unsafe {
            bindings::kernel_write(self.0.as_ptr(), buf.as_ptr().cast(), buf.len(), &mut pos)
        })
    }
}

/// A [`BackingFile`] whose file system does not get frozen as long as this exists: who wants that
/// waits. Belongs to the task that made it.
///
/// # Invariants
///
/// Holds the file system at `SB_FREEZE_WRITE`.
#[must_use]
pub(crate) struct Thawed {
    file: BackingFile,
    _not_send: NotThreadSafe,
}

impl Thawed {
    /// As [`BackingFile::update_times()`], without waiting.
    pub(crate) fn update_times(&self) -> Result {
        self.file.set_times()
    }
}

impl Drop for Thawed {
    fn drop(&mut self) {
        let sb = super_block(&self.file.0);

        // SAFETY: By the type invariant this was taken, and is given back once.
        unsafe { ffi::sb_end_write(sb) };
    }
}
