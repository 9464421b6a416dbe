// SPDX-License-Identifier: GPL-2.0

//! Open directories.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h) and
//! [`include/linux/namei.h`](srctree/include/linux/namei.h)

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::{
        file::flags,
        File, //
    },
    prelude::*,
    sync::aref::ARef, //
};

use super::{
    super::ffi,
    adopt,
    check_name,
    dentry,
    idmap,
    inode,
    path,
    qstr,
    write_access::WriteAccess, //
};

/// The flags that every directory is opened with.
// CAST: The flags occupy the low 23 bits (`include/uapi/asm-generic/fcntl.h`).
const OPEN_FLAGS: c_int = (flags::O_RDONLY | flags::O_DIRECTORY | flags::O_LARGEFILE) as c_int;

/// An open directory. Cloning makes a new reference to the same open directory.
///
/// An open directory pins the mount it is on: it cannot be unmounted.
///
/// # Invariants
///
/// The file is a directory and is in no descriptor table. Its file position is used only by a
/// `for_each()` that has opened it for itself.
#[derive(Clone)]
pub(crate) struct Directory(ARef<File>);

impl Directory {
    /// Opens the directory `path`, which the root, the working directory and the credentials of
    /// the calling task give its meaning.
    ///
    /// Fails with the errors of open(2): [`ENOENT`], [`ENOTDIR`], [`EACCES`], [`ELOOP`], ...
    pub(crate) fn open(path: &CStr) -> Result<Self> {
        // SAFETY: `path` is a NUL-terminated string.
        let file = unsafe { bindings::filp_open(path.as_char_ptr(), OPEN_FLAGS, 0) };

        // INVARIANT: `O_DIRECTORY` allows directories only. No one else has this open file.
        // SAFETY: `filp_open()` returns an error or a reference to a file in no descriptor table.
        Ok(Self(unsafe { adopt(file) }?))
    }

    /// Makes the directory `path`, whose parent must exist, as mkdir(2) does.
    ///
    /// `mode` holds the permission bits; the umask of the calling task is applied.
    ///
    /// Fails with the errors of mkdir(2): [`EEXIST`], [`ENOENT`] (no parent), [`EROFS`],
    /// [`ENOSPC`], ..., and with [`EAGAIN`] while an NFS client holds a delegation of the parent.
    pub(crate) fn create(path: &CStr, mode: u16) -> Result {
        let mut parent = bindings::path::default();

        // SAFETY: `path` is a NUL-terminated string and `parent` can be written to.
        let entry = from_err_ptr(unsafe {
            ffi::start_creating_path(
                bindings::AT_FDCWD,
                path.as_char_ptr(),
                &mut parent,
                ffi::LOOKUP_DIRECTORY,
            )
        })?;

        // SAFETY: `start_creating_path()` succeeded, so `parent` holds a reference to a mount.
        let idmap = unsafe { ffi::mnt_idmap(parent.mnt) };

        // SAFETY: Likewise `parent` holds a reference to a directory, which keeps its inode.
        let dir = unsafe { (*parent.dentry).d_inode };

        // SAFETY: `start_creating_path()` took write access to the mount, locked `dir` and looked
        // `entry` up in it. The reference to `entry` is given away. No delegation is returned
        // through a null pointer.
        let entry = unsafe { bindings::vfs_mkdir(idmap, dir, entry, mode, ptr::null_mut()) };

        let result = from_err_ptr(entry);

        // SAFETY: This ends what `start_creating_path()` began, with the result of `vfs_mkdir()`,
        // which may be an error pointer: `vfs_mkdir()` has then unlocked the directory already.
        unsafe { ffi::end_creating_path(&parent, entry) };

        result.map(|_| ())
    }

    /// Removes the empty directory `path`, as rmdir(2) does. A final symbolic link is not
    /// followed.
    ///
    /// Fails with the errors of rmdir(2): [`ENOTEMPTY`], [`ENOENT`], [`ENOTDIR`], [`EBUSY`] (a
    /// mount point or the root directory), [`EINVAL`] (the last component is `.` or `..`), ...,
    /// and with [`EAGAIN`] while an NFS client holds a delegation of the parent.
    pub(crate) fn remove(path: &CStr) -> Result {
        let (parent, name) = split(path.to_bytes())?;

        let mut buf = KVec::with_capacity(parent.len() + 1, GFP_KERNEL)?;
        buf.extend_from_slice(parent, GFP_KERNEL)?;
        buf.push(0, GFP_KERNEL)?;
        let parent = CStr::from_bytes_with_nul(&buf).map_err(|_| EINVAL)?;

        Self::open(parent)?.remove_dir(name)
    }

    /// Removes the empty directory `name` of this directory.
    fn remove_dir(&self, name: &[u8]) -> Result {
        let _access = WriteAccess::new(&self.0)?;
        let entry = LockedEntry::lookup(self, name)?;

        // SAFETY: The directory and its inode are valid, its lock and write access to the mount
        // are held, and `entry` is a positive entry of it. A null pointer asks for no delegation.
        to_result(unsafe {
            bindings::vfs_rmdir(
                idmap(&self.0),
                inode(&self.0),
                entry.dentry,
                ptr::null_mut(),
            )
        })
    }

    /// Removes the file `name` of this directory, as unlink(2) does.
    ///
    /// Fails with the errors of unlink(2): [`ENOENT`], [`EISDIR`], [`EACCES`], [`EROFS`],
    /// [`EBUSY`] (something is mounted on it), ..., with [`EINVAL`] if `name` is not a single
    /// component, and with [`EAGAIN`] while an NFS client holds a delegation of the file.
    pub(crate) fn unlink(&self, name: &CStr) -> Result {
        check_name(name.to_bytes())?;

        let _access = WriteAccess::new(&self.0)?;
        let entry = LockedEntry::lookup(self, name.to_bytes())?;

        // SAFETY: The directory and its inode are valid, its lock and write access to the mount
        // are held, and `entry` is a positive entry of it. A null pointer asks for no delegation.
        to_result(unsafe {
            bindings::vfs_unlink(
                idmap(&self.0),
                inode(&self.0),
                entry.dentry,
                ptr::null_mut(),
            )
        })
    }

    /// Makes the names in this directory durable, as fsync(2) does.
    ///
    /// Fails with [`EINVAL`] if the file system has nothing to sync directories with, and with
    /// the error of the file system.
    pub(crate) fn sync(&self) -> Result {
        // SAFETY: `self.0` is a valid, open file.
        to_result(unsafe { bindings::vfs_fsync(self.0.as_ptr(), 0) })
    }

    /// Whether `self` and `other` are the same directory, by whatever paths they were opened.
    ///
    /// Any context.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        // An inode in use has one `struct inode`.
        ptr::eq(inode(&self.0), inode(&other.0))
    }

    /// Opens the directory once more, with a file position of its own.
    pub(super) fn reopen(&self) -> Result<Self> {
        // SAFETY: The path of an open directory is a directory, and the name is NUL-terminated.
        let file =
            unsafe { bindings::file_open_root(path(&self.0), c".".as_char_ptr(), OPEN_FLAGS, 0) };

        // INVARIANT: As in `open()`.
        // SAFETY: `file_open_root()` returns an error or a reference to a file in no descriptor
        // table.
        Ok(Self(unsafe { adopt(file) }?))
    }

    /// The open file.
    pub(super) fn as_file(&self) -> &File {
        &self.0
    }
}

/// An existing entry of a directory that is locked against changes.
///
/// # Invariants
///
/// `dentry` was returned by `start_removing_noperm()`: it is positive, and the reference to it and
/// the lock of the directory are held until the value is dropped.
struct LockedEntry<'a> {
    dentry: *mut bindings::dentry,
    _dir: PhantomData<&'a Directory>,
}

impl<'a> LockedEntry<'a> {
    /// Locks `dir` and looks `name` up. Fails with [`ENOENT`] if there is no such entry.
    fn lookup(dir: &'a Directory, name: &[u8]) -> Result<Self> {
        let mut name = qstr(name)?;

        // INVARIANT: What the call returns, unless it is an error.
        // SAFETY: The directory entry of `dir` is valid and a directory; `name` is valid during
        // the call, which computes the hash. The caller holds no lock of a directory.
        let dentry = unsafe { ffi::start_removing_noperm(dentry(&dir.0), &mut name) };

        Ok(Self {
            dentry: from_err_ptr(dentry)?,
            _dir: PhantomData,
        })
    }
}

impl Drop for LockedEntry<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this ends what `start_removing_noperm()` began.
        unsafe { bindings::end_dirop(self.dentry) };
    }
}

/// Splits `path` into the path of the parent directory and the last component.
fn split(path: &[u8]) -> Result<(&[u8], &[u8])> {
    let is_slash = |byte: &u8| *byte == b'/';

    if path.is_empty() {
        return Err(ENOENT);
    }
    // The root directory, which is always in use.
    let end = path.iter().rposition(|byte| !is_slash(byte)).ok_or(EBUSY)? + 1;
    let path = &path[..end];

    let (parent, name) = match path.iter().rposition(is_slash) {
        Some(slash) => (&path[..=slash], &path[slash + 1..]),
        None => (&b"."[..], path),
    };
    check_name(name)?;
    Ok((parent, name))
}

#[kunit_tests(zloop_directory)]
mod tests {
    use super::{
        super::{
            flush_closes,
            EntryKind,
            OpenError,
            OpenOptions,
            Synced, //
        },
        *,
    };
    use crate::abstractions::task::InitFs;

    const PATH: &CStr = c"/tmp/zloop-kunit";

    const NEW: OpenOptions = OpenOptions {
        create: true,
        ..OpenOptions::new()
    };

    /// A directory for a test, which leaves it empty.
    struct Scratch(Directory, #[allow(dead_code)] InitFs);

    impl Scratch {
        fn new() -> Result<Self> {
            let fs = InitFs::enter();

            Directory::create(PATH, 0o700)?;
            Ok(Self(Directory::open(PATH)?, fs))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = Directory::remove(PATH);
        }
    }

    #[test]
    fn path_is_split_at_its_last_component() {
        let cases: [(&[u8], Result<(&[u8], &[u8])>); 9] = [
            (b"/a/b", Ok((b"/a/", b"b"))),
            (b"/a/b//", Ok((b"/a/", b"b"))),
            (b"/a", Ok((b"/", b"a"))),
            (b"a", Ok((b".", b"a"))),
            (b"a//b", Ok((b"a//", b"b"))),
            (b"", Err(ENOENT)),
            (b"//", Err(EBUSY)),
            (b"/a/..", Err(EINVAL)),
            (b"/a/./", Err(EINVAL)),
        ];

        for (path, want) in cases {
            assert_eq!(split(path), want);
        }
    }

    #[test]
    fn directory_is_made_once_and_removed_once() -> Result {
        let _fs = InitFs::enter();

        Directory::create(PATH, 0o700)?;
        assert_eq!(Directory::create(PATH, 0o700), Err(EEXIST));
        Directory::remove(PATH)?;
        assert_eq!(Directory::remove(PATH), Err(ENOENT));
        assert_eq!(Directory::open(PATH).err(), Some(ENOENT));
        assert_eq!(Directory::open(c"/proc/version").err(), Some(ENOTDIR));
        Ok(())
    }

    #[test]
    fn file_is_what_was_written() -> Result {
        let scratch = Scratch::new()?;
        let mut buf = [0xff; 8];
        let file = scratch.0.open_file(c"zone", NEW)?;

        assert_eq!(file.size(), 0);
        file.truncate(5 << 30)?;
        assert_eq!(file.stat_size()?, 5 << 30);
        assert_eq!(file.write_at(b"zoned", (5 << 30) - 2)?, 5);
        assert_eq!(file.size(), (5 << 30) + 3);
        assert_eq!(file.read_at(&mut buf, (5 << 30) - 3)?, 6);
        assert_eq!(&buf, b"\0zoned\xff\xff");
        file.sync(Synced::All)?;
        drop(file);
        scratch.0.unlink(c"zone")?;
        assert_eq!(scratch.0.unlink(c"zone"), Err(ENOENT));
        flush_closes();
        Ok(())
    }

    #[test]
    fn file_that_is_opened_to_be_read_is_not_written() -> Result {
        let scratch = Scratch::new()?;
        let mut buf = [0xff; 4];
        let read_only = OpenOptions {
            read_only: true,
            ..OpenOptions::new()
        };

        scratch.0.open_file(c"zone", NEW)?.write_at(b"zone", 0)?;
        let file = scratch.0.open_file(c"zone", read_only)?;

        assert_eq!(file.write_at(b"x", 0), Err(EBADF));
        assert_eq!(file.allocate(0, 4096), Err(EBADF));
        assert_eq!(file.read_at(&mut buf, 0)?, 4);
        assert_eq!(&buf, b"zone");
        scratch.0.unlink(c"zone")
    }

    #[test]
    fn only_new_regular_files_of_the_directory_are_opened() -> Result {
        let scratch = Scratch::new()?;
        let refused = |name, options| scratch.0.open_file(name, options).err();

        drop(scratch.0.open_file(c"zone", NEW)?);
        assert_eq!(refused(c"zone", NEW), Some(OpenError::Errno(EEXIST)));
        let missing = Some(OpenError::Errno(ENOENT));

        assert_eq!(refused(c"other", OpenOptions::new()), missing);
        for name in [c"", c".", c"..", c"../tmp", c"/zone"] {
            let invalid = Some(OpenError::Errno(EINVAL));

            assert_eq!(refused(name, OpenOptions::new()), invalid);
        }
        let proc = Directory::open(c"/proc")?;
        let not_regular = Some(OpenError::NotRegular);

        for name in [c"self", c"fs"] {
            assert_eq!(proc.open_file(name, OpenOptions::new()).err(), not_regular);
        }
        scratch.0.unlink(c"zone")
    }

    #[test]
    fn walk_visits_each_entry_and_stops_at_an_error() -> Result {
        let scratch = Scratch::new()?;
        let (mut seen, mut visits) = (0, 0);

        for name in [c"1", c"2", c"4"] {
            drop(scratch.0.open_file(name, NEW)?);
        }
        scratch.0.for_each(|entry| {
            assert!(entry.name.len() == 1 && entry.kind == EntryKind::Regular);
            seen += u32::from(entry.name[0] - b'0');
            Ok(())
        })?;
        assert_eq!(seen, 7);
        let stopped = scratch.0.for_each(|_| {
            visits += 1;
            Err(EDOM)
        });

        assert_eq!((stopped, visits), (Err(EDOM), 1));
        for name in [c"1", c"2", c"4"] {
            scratch.0.unlink(name)?;
        }
        Ok(())
    }

    #[test]
    fn same_directory_by_other_paths() -> Result {
        let _fs = InitFs::enter();
        let root = Directory::open(c"/")?;

        assert!(root.is_same(&Directory::open(c"/proc/..")?));
        assert!(!root.is_same(&Directory::open(c"/proc")?));
        assert!(root.reopen()?.is_same(&root));
        Ok(())
    }
}
