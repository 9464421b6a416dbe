// SPDX-License-Identifier: GPL-2.0

//! Files of a directory that are not open.
//!
//! C headers: [`include/linux/namei.h`](srctree/include/linux/namei.h) and
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*, //
};

use super::{
    super::ffi,
    check_name,
    credentials::as_opener,
    dentry,
    directory::Directory,
    idmap,
    mount,
    open::{
        OpenError,
        OpenOptions, //
    },
    qstr,
    stat_size,
    truncate,
    write_access::WriteAccess, //
};

/// What has to be known of a file to tell whether it can back a device.
const KIND: u32 = bindings::STATX_TYPE | bindings::STATX_NLINK;

/// A regular file of a directory, which is not open and, if it exists longer than this, need not
/// stay what it is.
///
/// Far cheaper than a [`BackingFile`](super::BackingFile), in time and in memory.
///
/// # Invariants
///
/// `path` is the mount of the directory and a reference to a positive entry of the directory. It
/// was a regular file when the value was made.
pub(crate) struct FileEntry<'a> {
    path: bindings::path,
    _dir: PhantomData<&'a Directory>,
}

impl Directory {
    /// Finds the file `name` of this directory, which the task that opened the directory may read
    /// and write.
    ///
    /// Fails as [`open_file()`](Self::open_file) does, as far as that can be known without opening
    /// the file.
    pub(crate) fn find_file(&self, name: &CStr) -> Result<FileEntry<'_>, OpenError> {
        self.find(name, OpenOptions::new())
    }

    /// The same for a file that is to be opened with these options.
    pub(super) fn find(
        &self,
        name: &CStr,
        options: OpenOptions,
    ) -> Result<FileEntry<'_>, OpenError> {
        check_name(name.to_bytes())?;

        let dir = self.as_file();
        let mut name = qstr(name.to_bytes())?;

        as_opener(dir, || {
            // SAFETY: The ID mapping and the entry are those of an open directory, and `name` is
            // valid during the call, which computes the hash. The caller holds no lock of a
            // directory.
            let entry = from_err_ptr(unsafe {
                ffi::lookup_one_positive_unlocked(idmap(dir), &mut name, dentry(dir))
            })?;

            // INVARIANT: The entry is positive, and the reference to it is passed on. The rest is
            // checked below, before anybody gets to see the value.
            let found = FileEntry {
                path: bindings::path {
                    mnt: mount(dir),
                    dentry: entry,
                },
                _dir: PhantomData,
            };

            found.check(self, options)?;
            Ok(found)
        })
    }

    /// Makes the file `name` in this directory, without opening it. It is an error ([`EEXIST`]) if
    /// the name exists.
    ///
    /// `mode` holds the permission bits; the umask of the calling task is applied. Fails with the
    /// errors of open(2), and with [`EAGAIN`] while an NFS client holds a delegation of the
    /// directory.
    pub(crate) fn make_file(&self, name: &CStr, mode: u16) -> Result<FileEntry<'_>> {
        check_name(name.to_bytes())?;

        as_opener(self.as_file(), || self.make_entry(name, mode))
    }

    /// The same with the credentials of the calling task.
    fn make_entry(&self, name: &CStr, mode: u16) -> Result<FileEntry<'_>> {
        let dir = self.as_file();
        let _access = WriteAccess::new(dir)?;
        let mut name = qstr(name.to_bytes())?;

        // SAFETY: The directory entry is valid and a directory; `name` is valid during the call,
        // which computes the hash. The caller holds no lock of a directory.
        let entry = from_err_ptr(unsafe { ffi::start_creating_noperm(dentry(dir), &mut name) })?;

        // SAFETY: The entry is one of the directory, whose lock and write access to whose mount are
        // held. It is checked to be negative. A null pointer asks for no delegation.
        let made = to_result(unsafe {
            bindings::vfs_create(idmap(dir), entry, mode, core::ptr::null_mut())
        });

        if made.is_ok() {
            // SAFETY: The reference that `start_creating_noperm()` returned keeps the entry.
            unsafe { ffi::dget(entry) };
        }
        // SAFETY: This ends what `start_creating_noperm()` began, and takes its reference.
        unsafe { bindings::end_dirop(entry) };
        made?;

        // INVARIANT: `vfs_create()` has made the entry positive, a regular file with this name.
        // The reference to it was taken above.
        Ok(FileEntry {
            path: bindings::path {
                mnt: mount(dir),
                dentry: entry,
            },
            _dir: PhantomData,
        })
    }
}

impl FileEntry<'_> {
    /// Checks that the file can back a device, and be opened with these options.
    fn check(&self, dir: &Directory, options: OpenOptions) -> Result<(), OpenError> {
        let mut stat = bindings::kstat::default();

        // SAFETY: By the type invariant the path is valid, and `stat` can be written to.
        to_result(unsafe { bindings::vfs_getattr(&self.path, &mut stat, KIND, 0) })?;

        // CAST: The attributes are bits of the lower half.
        let has = |attribute: u32| stat.attributes & u64::from(attribute) != 0;

        if u32::from(stat.mode) & bindings::S_IFMT != bindings::S_IFREG {
            return Err(OpenError::NotRegular);
        }
        if has(bindings::STATX_ATTR_MOUNT_ROOT) || self.is_mount_point() {
            return Err(OpenError::OtherMount);
        }
        if stat.nlink != 1 && !options.linked {
            return Err(OpenError::Links(stat.nlink));
        }
        if has(bindings::STATX_ATTR_APPEND) {
            return Err(OpenError::Errno(EPERM));
        }

        // SAFETY: By the type invariant the entry is positive, so it has an inode.
        let inode = unsafe { (*self.path.dentry).d_inode };
        let access = if options.read_only {
            ffi::MAY_READ
        } else {
            ffi::MAY_READ | ffi::MAY_WRITE
        };

        // SAFETY: The entry keeps its inode, and the ID mapping is that of the mount.
        to_result(unsafe { bindings::inode_permission(idmap(dir.as_file()), inode, access) })?;
        Ok(())
    }

    /// Whether something may be mounted on the file.
    fn is_mount_point(&self) -> bool {
        // SAFETY: By the type invariant the entry is valid.
        let flags = unsafe { &raw const (*self.path.dentry).d_flags };
        // SAFETY: As above. Others change other bits of the field meanwhile, hence the volatile
        // read, as in `READ_ONCE()`.
        let flags = unsafe { flags.read_volatile() };

        flags & ffi::DCACHE_MOUNTED != 0
    }

    /// The size in bytes; see [`BackingFile::stat_size()`](super::BackingFile::stat_size).
    pub(crate) fn stat_size(&self) -> Result<u64> {
        // SAFETY: By the type invariant the path is valid.
        unsafe { stat_size(&self.path) }
    }

    /// Cuts or extends the file; see [`BackingFile::truncate()`](super::BackingFile::truncate).
    pub(crate) fn truncate(&self, len: u64) -> Result {
        // SAFETY: By the type invariant the path is valid.
        unsafe { truncate(&self.path, len) }
    }
}

impl Drop for FileEntry<'_> {
    fn drop(&mut self) {
        // SAFETY: The reference is the value's own, by the type invariant.
        unsafe { bindings::dput(self.path.dentry) };
    }
}
