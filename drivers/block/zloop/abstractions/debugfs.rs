// SPDX-License-Identifier: GPL-2.0

//! Numbers in debugfs.
//!
//! The files of the kernel crate (`kernel::debugfs`) are not for a module that can be unloaded:
//! their operations are compiled into the module and name no owner. A file that is open does not
//! keep the module then, and closing it calls into what was the module. The operations used here
//! are part of the kernel.
//!
//! Nothing fails without debugfs, or if a file cannot be made: then it is not there.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use super::ffi;
use core::ops::Deref;
use kernel::{
    bindings,
    prelude::*,
    sync::{
        atomic::Atomic,
        Arc, //
    },
};

/// A directory; removed when dropped.
///
/// # Invariants
///
/// The pointer is one that `debugfs_create_dir()` has returned, which may be an error, and was not
/// removed.
pub(crate) struct Dir(*mut bindings::dentry);

// SAFETY: Any task may use and remove a directory.
unsafe impl Send for Dir {}
// SAFETY: debugfs locks what it has to.
unsafe impl Sync for Dir {}

impl Dir {
    /// Makes a directory below the root of debugfs. May sleep.
    pub(crate) fn new(name: &CStr) -> Self {
        // SAFETY: The name ends in NUL; no parent stands for the root.
        let dentry = unsafe { ffi::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) };

        // INVARIANT: It was just made.
        Self(dentry)
    }

    /// Makes a directory below this one. May sleep.
    fn below(&self, name: &CStr) -> Self {
        // SAFETY: The name ends in NUL. By the type invariant the parent is a directory, which
        // exists as long as `self`, or an error, which the function returns.
        let dentry = unsafe { ffi::debugfs_create_dir(name.as_char_ptr(), self.0) };

        // INVARIANT: It was just made, or is an error.
        Self(dentry)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the function ignores errors. It waits for those who are
        // reading a file of the directory.
        unsafe { ffi::debugfs_remove(self.0) };
    }
}

/// A file of [`Numbers`]: its name and what it shows.
pub(crate) type NumberFile<T> = (&'static CStr, fn(&T) -> &Atomic<u64>);

/// Some numbers, and a directory with a file for each, which shows it to root in decimal.
pub(crate) struct Numbers<T> {
    /// Dropped first: what the files show is in `data`.
    _dir: Dir,
    data: KBox<T>,
    /// Removing a directory removes what is below it.
    _parent: Arc<Dir>,
}

impl<T: 'static> Numbers<T> {
    /// Makes the directory `name` in `parent`, with `files`. May sleep.
    pub(crate) fn new(
        parent: Arc<Dir>,
        name: &CStr,
        data: T,
        files: &[NumberFile<T>],
    ) -> Result<Self> {
        const MODE: bindings::umode_t = 0o400;
        let data = KBox::new(data, GFP_KERNEL)?;
        let dir = parent.below(name);

        for (name, number) in files {
            let number = number(&data).as_ptr();

            // SAFETY: The name ends in NUL and the directory is valid or an error. The number is
            // in `data`, whose address does not change and which outlives the directory, or in what
            // lives for ever, as `T` borrows nothing else; it is read as others read an atomic, in
            // one piece.
            unsafe { ffi::debugfs_create_u64(name.as_char_ptr(), MODE, dir.0, number) };
        }
        Ok(Self {
            _dir: dir,
            data,
            _parent: parent,
        })
    }
}

impl<T> Deref for Numbers<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}
