// SPDX-License-Identifier: GPL-2.0

//! Opening files of a directory, and refusing what cannot back a device.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h) and
//! [`include/linux/namei.h`](srctree/include/linux/namei.h)

use core::ptr;

use kernel::{
    bindings,
    fmt,
    fs::{
        file::flags,
        File, //
    },
    prelude::*,
    sync::aref::ARef, //
};

use super::{
    super::{
        compat,
        ffi, //
    },
    adopt,
    check_name,
    credentials::as_opener,
    directory::Directory,
    file::BackingFile,
    inode,
    inode_mode,
    mount,
    path, //
};

/// How to open a file. It is always opened for reading, beyond 2 GiB too, and without following a
/// symbolic link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenOptions {
    /// Do not open the file for writing.
    pub(crate) read_only: bool,
    /// Make the file. It is an error ([`EEXIST`]) if the name exists.
    pub(crate) create: bool,
    /// Open the file for direct I/O (`O_DIRECT`).
    pub(crate) direct: bool,
    /// Open the file even if it has other names.
    pub(crate) linked: bool,
    /// The permission bits of a file that is made; the umask of the calling task is applied.
    pub(crate) mode: u16,
}

impl OpenOptions {
    /// An existing file, to read and write through the page cache; accessible only to its owner if
    /// it is made.
    pub(crate) const fn new() -> Self {
        Self {
            read_only: false,
            create: false,
            direct: false,
            linked: false,
            mode: 0o600,
        }
    }

    fn flags(self) -> c_int {
        let mut bits = flags::O_LARGEFILE | flags::O_NOFOLLOW | flags::O_NOCTTY;

        bits |= if self.read_only {
            flags::O_RDONLY
        } else {
            flags::O_RDWR
        };
        if self.create {
            bits |= flags::O_CREAT | flags::O_EXCL;
        }
        if self.direct {
            bits |= flags::O_DIRECT;
        }
        // CAST: The flags occupy the low 23 bits (`include/uapi/asm-generic/fcntl.h`).
        bits as c_int
    }
}

/// Why a file cannot be opened as a [`BackingFile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// Opening failed: an error of open(2).
    Errno(Error),
    /// Not a regular file, but a symbolic link, a directory, a device, a socket or a pipe.
    NotRegular,
    /// Another file is mounted on it.
    OtherMount,
    /// The number of hard links is this instead of one, so the file has other names or none.
    Links(u32),
    /// The file system has no `read_iter` and `write_iter`, as with files of procfs and sysfs.
    NoIterators,
    /// Direct I/O was asked for and the file system does not support it.
    NoDirectIo,
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        OpenError::Errno(error)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Errno(error) => error,
            OpenError::NotRegular
            | OpenError::OtherMount
            | OpenError::Links(_)
            | OpenError::NoIterators
            | OpenError::NoDirectIo => EINVAL,
        }
    }
}

/// Completes a sentence that begins with the name of the file.
impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Errno(error) => match error.name() {
                Some(name) => write!(f, "cannot be opened: {}", name.to_str().unwrap_or("?")),
                None => write!(f, "cannot be opened: error {}", error.to_errno()),
            },
            OpenError::NotRegular => f.write_str("is not a regular file"),
            OpenError::OtherMount => f.write_str("is a mount point"),
            OpenError::Links(links) => write!(f, "has {links} hard links instead of 1"),
            OpenError::NoIterators => f.write_str("is on a file system that cannot back a device"),
            OpenError::NoDirectIo => f.write_str("does not support direct I/O"),
        }
    }
}

impl Directory {
    /// Opens or makes the file `name` of this directory.
    ///
    /// Fails with [`EINVAL`] if `name` is not a single component, with the errors of open(2), and
    /// with the other members of [`OpenError`] if the file is not what a [`BackingFile`] is. What
    /// is not a regular file is not opened, as opening a device can have side effects. A file that
    /// was made and is then refused is removed again.
    pub(crate) fn open_file(
        &self,
        name: &CStr,
        options: OpenOptions,
    ) -> Result<BackingFile, OpenError> {
        check_name(name.to_bytes())?;
        if !options.create {
            // `BackingFile::new()` has the final word.
            self.find(name, options)?;
        }

        as_opener(self.as_file(), || {
            self.open_raw(name, options)
                .map_err(|error| match error {
                    OpenError::Errno(errno) if options.direct && errno == EINVAL => {
                        self.explain_direct(name, options, errno)
                    }
                    error => error,
                })
                .and_then(|file| {
                    BackingFile::new(file, self, options.linked)
                        .inspect_err(|_| self.undo_create(name, options))
                })
        })
    }

    /// Opens `name` without looking at what it is.
    fn open_raw(&self, name: &CStr, options: OpenOptions) -> Result<ARef<File>, OpenError> {
        // SAFETY: The path of an open directory is a directory, and `name` is NUL-terminated.
        let file = unsafe {
            bindings::file_open_root(
                path(self.as_file()),
                name.as_char_ptr(),
                options.flags(),
                options.mode,
            )
        };

        // SAFETY: `file_open_root()` returns an error or a reference to a file in no descriptor
        // table.
        match unsafe { adopt(file) } {
            Ok(file) => Ok(file),
            // A symbolic link and a directory.
            Err(error) if error == EISDIR || error == compat::eloop() => Err(OpenError::NotRegular),
            Err(error) => Err(OpenError::Errno(error)),
        }
    }

    /// Tells why opening `name` for direct I/O failed with [`EINVAL`].
    ///
    /// If the same file can be opened without, it was direct I/O. The file may have been made
    /// nevertheless: `do_dentry_open()` looks at `O_DIRECT` after that. It is then the one that
    /// `O_EXCL` made, since an older one gives another error.
    fn explain_direct(&self, name: &CStr, options: OpenOptions, error: Error) -> OpenError {
        let plain = OpenOptions {
            create: false,
            direct: false,
            ..options
        };

        match self.open_raw(name, plain) {
            Ok(_) => {
                self.undo_create(name, options);
                OpenError::NoDirectIo
            }
            Err(_) => OpenError::Errno(error),
        }
    }

    /// Removes `name` if `options` have made it.
    fn undo_create(&self, name: &CStr, options: OpenOptions) {
        if options.create {
            // The caller gets the error that led here, which is the one that matters.
            let _ = self.unlink(name);
        }
    }
}

impl BackingFile {
    /// Checks that `file`, just opened in `dir`, is what a [`BackingFile`] is.
    fn new(file: ARef<File>, dir: &Directory, linked: bool) -> Result<Self, OpenError> {
        let inode = inode(&file);

        // SAFETY: `file` holds a reference to its inode.
        let mode = unsafe { inode_mode(inode) };
        if mode & bindings::S_IFMT != bindings::S_IFREG {
            return Err(OpenError::NotRegular);
        }

        if !ptr::eq(mount(&file), mount(dir.as_file())) {
            return Err(OpenError::OtherMount);
        }

        // SAFETY: `file` holds a reference to its inode.
        let links = unsafe { &raw const (*inode).__bindgen_anon_1 };
        // Both members of the union are the count.
        let links = links.cast::<kernel::ffi::c_uint>();

        // SAFETY: `links` is valid for reads. A link(2) may change it meanwhile, hence the
        // volatile read, as in `READ_ONCE()`.
        let links = unsafe { links.read_volatile() };
        if links != 1 && !linked {
            return Err(OpenError::Links(links));
        }

        // SAFETY: `file` is open, so `do_dentry_open()` has set the field, which changes no more.
        let fops = unsafe { (*file.as_ptr()).f_op };

        // SAFETY: The file operations of an open file are valid, and constant.
        let has_read = unsafe { (*fops).read_iter.is_some() };

        // SAFETY: As above.
        let has_write = unsafe { (*fops).write_iter.is_some() };
        if !has_read || !has_write {
            return Err(OpenError::NoIterators);
        }

        // SAFETY: Nobody else has the file yet.
        unsafe { (*file.as_ptr()).f_mode |= ffi::FMODE_NOCMTIME };
        // Reading the device is not reading the file. Asking for it when the file is opened would
        // need more rights than opening it.
        // SAFETY: As above.
        unsafe { (*file.as_ptr()).f_flags |= ffi::O_NOATIME };

        // SAFETY: All of it was checked here, except that it can be read, which `OpenOptions` asks
        // for.
        Ok(unsafe { Self::from_checked(file) })
    }
}
