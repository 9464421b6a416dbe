// SPDX-License-Identifier: GPL-2.0

//! Listing a directory.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::slice;

use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

use super::{
    super::task,
    directory::Directory, //
};

/// What an entry of a directory is, as far as the directory itself tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a device, a socket, a pipe, ...
    Other,
    /// The file system does not record types in directories.
    Unknown,
}

/// An entry of a directory, as long as the directory is being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// The name: any bytes except `/` and NUL.
    pub(crate) name: &'a [u8],
    /// The type.
    pub(crate) kind: EntryKind,
}

/// What [`emit()`] works on.
///
/// # Invariants
///
/// `result` is an error only if `visit` has returned it, or if the file system emitted nonsense.
#[repr(C)]
struct Walk<F> {
    ctx: bindings::dir_context,
    /// Whether the last `iterate_dir()` emitted anything.
    emitted: bool,
    result: Result,
    visit: F,
}

impl Directory {
    /// Calls `visit` for every entry except `.` and `..`, in no particular order.
    ///
    /// An entry that is added or removed meanwhile may be visited or not. If `visit` returns an
    /// error, the walk stops and returns it.
    ///
    /// `visit` runs with the directory locked: it may sleep and allocate memory, but must not look
    /// up, make or remove anything in this directory. Fails with [`EINTR`] if the calling task is
    /// being killed, and with the errors of the file system.
    pub(crate) fn for_each<F>(&self, visit: F) -> Result
    where
        F: FnMut(Entry<'_>) -> Result,
    {
        // The file position is shared by all users of an open file, and each walk must begin at
        // the start of the directory.
        let dir = self.reopen()?;
        let mut walk = Walk {
            ctx: bindings::dir_context {
                actor: Some(emit::<F>),
                // Any number of entries.
                count: c_int::MAX,
                ..Default::default()
            },
            emitted: false,
            result: Ok(()),
            visit,
        };

        // A file system may return before it has emitted every entry (FUSE, NFS, 9p): only a call
        // that emits nothing is at the end.
        loop {
            if task::fatal_signal_pending() {
                return Err(EINTR);
            }
            walk.emitted = false;
            let this = &raw mut walk;

            // SAFETY: `this` is valid, so this is in bounds.
            let ctx = unsafe { &raw mut (*this).ctx };

            // SAFETY: `dir` is a valid, open file with a file position that nothing else uses.
            // `ctx` is the field of a live `Walk<F>` that nothing else accesses during the call,
            // which is what its actor needs.
            to_result(unsafe { bindings::iterate_dir(dir.as_file().as_ptr(), ctx) })?;

            walk.result?;
            if !walk.emitted {
                return Ok(());
            }
        }
    }
}

/// Passes an entry on to the closure. Returns whether the walk goes on.
///
/// # Safety
///
/// - `ctx` points to the `ctx` field of a valid `Walk<F>` that nothing else accesses meanwhile.
/// - `name` points to `len` bytes that are valid during the call.
unsafe extern "C" fn emit<F>(
    ctx: *mut bindings::dir_context,
    name: *const c_char,
    len: c_int,
    _pos: bindings::loff_t,
    _ino: u64,
    kind: c_uint,
) -> bool
where
    F: FnMut(Entry<'_>) -> Result,
{
    // SAFETY: By the first requirement the result is in bounds of the `Walk<F>`.
    #[expect(clippy::multiple_unsafe_ops_per_block)]
    let walk = unsafe { kernel::container_of!(ctx, Walk<F>, ctx) };

    // SAFETY: By the first requirement it is valid, and accessed by nothing else.
    let walk = unsafe { &mut *walk };

    walk.emitted = true;

    let Ok(len) = usize::try_from(len) else {
        walk.result = Err(EIO);
        return false;
    };

    // SAFETY: By the second requirement. The slice does not outlive the call.
    let name: &[u8] = unsafe { slice::from_raw_parts(name.cast(), len) };

    if name == b"." || name == b".." {
        return true;
    }

    walk.result = (walk.visit)(Entry {
        name,
        kind: match kind {
            bindings::DT_REG => EntryKind::Regular,
            bindings::DT_DIR => EntryKind::Directory,
            bindings::DT_UNKNOWN => EntryKind::Unknown,
            _ => EntryKind::Other,
        },
    });
    walk.result.is_ok()
}
