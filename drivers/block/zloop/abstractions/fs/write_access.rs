// SPDX-License-Identifier: GPL-2.0

//! The right to modify what is on a mount.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)

use kernel::{
    bindings,
    error::to_result,
    fs::File,
    prelude::*,
    types::NotThreadSafe, //
};

/// Write access to the mount of a file, and protection against its file system being frozen.
///
/// `vfs_unlink()`, `vfs_setxattr()` and their like must be called inside; functions that take a
/// path (`vfs_truncate()`) or that write data (`kernel_write()`) do it themselves.
///
/// # Invariants
///
/// The task that made it holds write access taken by `mnt_want_write_file()` on the file.
pub(super) struct WriteAccess<'a> {
    file: &'a File,
    /// The freeze protection belongs to the task that took it.
    _not_send: NotThreadSafe,
}

impl<'a> WriteAccess<'a> {
    /// Gets write access to the mount of `file`, which itself may be open for reading only.
    ///
    /// Sleeps while the file system is frozen. Fails with [`EROFS`] on a read-only mount or file
    /// system.
    pub(super) fn new(file: &'a File) -> Result<Self> {
        // SAFETY: `file` is a valid, open file.
        to_result(unsafe { bindings::mnt_want_write_file(file.as_ptr()) })?;

        // INVARIANT: The call above succeeded.
        Ok(Self {
            file,
            _not_send: NotThreadSafe,
        })
    }
}

impl Drop for WriteAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this task holds the access; it is given back once, as the
        // type is neither `Clone` nor sent to other tasks.
        unsafe { bindings::mnt_drop_write_file(self.file.as_ptr()) };
    }
}
