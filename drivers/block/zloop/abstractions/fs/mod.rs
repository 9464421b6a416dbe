// SPDX-License-Identifier: GPL-2.0

//! Files and directories, opened and operated on from inside the kernel.
//!
//! A [`Directory`] is looked up by path once; everything after that goes through the open
//! directory, by single names, so that no later change of the calling task's root, of symbolic
//! links or of mounts leads elsewhere. A [`BackingFile`] is a regular file opened that way.
//!
//! # Context
//!
//! Unless a function says otherwise it may sleep, may wait for the file system to be thawed, and
//! takes locks of the file system: process context, no spinlock held, and no lock that is taken
//! below the file system. Permissions are checked against the credentials of the calling task, but
//! for files that are opened in a directory, and when an open one is changed, against those of the
//! task that opened the directory.
//!
//! # When a file is closed
//!
//! Dropping the last reference does not close the file at once (`fput()` in `fs/file_table.c`):
//!
//! - In the context of a user process the file is closed when the current system call returns to
//!   user space: before the process can see that the call has ended. Nothing needs to be done.
//! - A worker of io_uring closes it after the completion of the call was posted, too late to be
//!   waited for.
//! - In a kernel thread, which a workqueue's worker is, a delayed work closes it some time later.
//!   A system call that promises that the file is closed must make sure that the thread has
//!   dropped its reference and then call [`flush_closes()`].
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/file.h`](srctree/include/linux/file.h) and
//! [`include/linux/namei.h`](srctree/include/linux/namei.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};

use super::{
    compat,
    ffi, //
};

mod credentials;
mod direct_io;
mod directory;
mod entries;
mod file;
mod file_entry;
mod open;
mod write_access;

pub(crate) use self::{
    direct_io::DioFacts,
    directory::Directory,
    entries::EntryKind,
    file::{
        BackingFile,
        Synced,
        Thawed, //
    },
    open::{
        OpenError,
        OpenOptions, //
    },
};

#[cfg(CONFIG_KUNIT = "y")]
pub(crate) use self::direct_io::{
    BdevLimits,
    DioAlign, //
};

/// How many times a close can be deferred anew: a file of a stacking file system (overlayfs)
/// drops its lower file only when it is closed itself, and such file systems nest
/// `FILESYSTEM_MAX_STACK_DEPTH` (2) deep.
const DEFERRED_CLOSES: usize = 3;

/// Waits until the files are closed whose last reference was dropped by kernel threads.
///
/// Not needed for references that the calling process dropped; see the [module](self).
///
/// Sleeps. The caller must hold no lock that closing a file needs (any lock of a file system or of
/// a block device), and must not be what such a close waits for.
pub(crate) fn flush_closes() {
    for _ in 0..DEFERRED_CLOSES {
        // SAFETY: No requirements beyond process context, which the documentation demands.
        unsafe { bindings::flush_delayed_fput() };
    }
}

/// Takes over the reference in the result of a C function that opens a file.
///
/// # Safety
///
/// `file` is an error pointer, or points to an open file. In the latter case the caller owns one
/// reference, which it gives away, and the file is in no descriptor table.
unsafe fn adopt(file: *mut bindings::file) -> Result<ARef<File>> {
    let file = NonNull::new(from_err_ptr(file)?).ok_or(EIO)?;

    // SAFETY: The caller passes on its reference. `File` is a transparent wrapper of `struct
    // file`. As the file is in no descriptor table, there is no `fdget_pos()` call on it.
    Ok(unsafe { ARef::from_raw(file.cast()) })
}

/// Returns the inode of `file`. It lives at least as long as the reference.
fn inode(file: &File) -> *mut bindings::inode {
    // SAFETY: `file` is open, so `do_dentry_open()` has set the field, which changes no more.
    unsafe { (*file.as_ptr()).f_inode }
}

/// Returns the path (mount and directory entry) of `file`. It lives as long as the reference.
fn path(file: &File) -> *const bindings::path {
    // SAFETY: `file` points to a valid `struct file`.
    let path = unsafe { &raw const (*file.as_ptr()).__bindgen_anon_1 };

    // Both members of the union are the path.
    path.cast()
}

/// Returns the directory entry of `file`, to which `file` holds a reference.
fn dentry(file: &File) -> *mut bindings::dentry {
    // SAFETY: The path of an open file is valid and does not change (`do_dentry_open()`).
    unsafe { (*path(file)).dentry }
}

/// Returns the mount through which `file` was opened and to which it holds a reference.
fn mount(file: &File) -> *mut bindings::vfsmount {
    // SAFETY: The path of an open file is valid and does not change (`do_dentry_open()`).
    unsafe { (*path(file)).mnt }
}

/// Returns the ID mapping of the mount of `file`. It lives as long as the mount.
fn idmap(file: &File) -> *mut bindings::mnt_idmap {
    // SAFETY: `file` points to a valid, open `struct file`.
    unsafe { ffi::file_mnt_idmap(file.as_ptr()) }
}

/// Returns the type and permission bits of `inode`.
///
/// # Safety
///
/// `inode` points to an inode that stays valid during the call.
unsafe fn inode_mode(inode: *const bindings::inode) -> u32 {
    // SAFETY: `inode` is valid by the contract, so this is in bounds.
    let mode = unsafe { &raw const (*inode).i_mode };

    // SAFETY: `mode` is valid for reads. A `chmod()` may change the permission bits meanwhile,
    // hence the volatile read, as in `READ_ONCE()`; the type bits never change.
    u32::from(unsafe { mode.read_volatile() })
}

/// The super block of the file system that an open file is on.
fn super_block(file: &File) -> *mut bindings::super_block {
    // SAFETY: An open file has a reference to its inode, which is of one file system for good.
    unsafe { (*inode(file)).i_sb }
}

/// Whether a file system has refused with `error` to give blocks to a file: it is full, or a quota
/// is used up.
pub(crate) fn is_out_of_space(error: Error) -> bool {
    error == ENOSPC || error == compat::edquot()
}

/// Returns the size in bytes as the file system reports it to stat(2).
///
/// # Safety
///
/// `path` is a mount and a positive entry of its file system, both valid during the call.
unsafe fn stat_size(path: *const bindings::path) -> Result<u64> {
    let mut stat = bindings::kstat::default();

    // SAFETY: `path` is valid by the contract, and `stat` can be written to.
    to_result(unsafe { bindings::vfs_getattr(path, &mut stat, bindings::STATX_SIZE, 0) })?;

    if stat.result_mask & bindings::STATX_SIZE == 0 {
        return Err(EIO);
    }
    u64::try_from(stat.size).map_err(|_| EIO)
}

/// Cuts or extends a file to `len` bytes.
///
/// # Safety
///
/// As for [`stat_size()`].
unsafe fn truncate(path: *const bindings::path, len: u64) -> Result {
    let len = bindings::loff_t::try_from(len).map_err(|_| EFBIG)?;

    // SAFETY: `path` is valid by the contract.
    to_result(unsafe { bindings::vfs_truncate(path, len) })
}

/// Makes of `name` what the look-up of a single component takes. It is valid as long as `name`.
fn qstr(name: &[u8]) -> Result<bindings::qstr> {
    Ok(bindings::qstr {
        __bindgen_anon_1: bindings::qstr__bindgen_ty_1 {
            __bindgen_anon_1: bindings::qstr__bindgen_ty_1__bindgen_ty_1 {
                hash: 0,
                len: u32::try_from(name.len()).map_err(|_| EINVAL)?,
            },
        },
        name: name.as_ptr(),
    })
}

/// Converts the result of a function that returns a number of bytes or a negative error.
fn to_count(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| match c_int::try_from(ret) {
        Ok(errno) => Error::from_errno(errno),
        Err(_) => EIO,
    })
}

/// Checks that `name` is one component of a path: what file systems can have as a name.
fn check_name(name: &[u8]) -> Result {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(EINVAL);
    }
    Ok(())
}
