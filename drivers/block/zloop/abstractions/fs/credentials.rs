// SPDX-License-Identifier: GPL-2.0

//! In whose name files are looked up, opened and changed.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use kernel::fs::File;

use super::super::ffi;

/// Does something with the credentials of the task that opened `file`.
///
/// A file may be opened or changed by another task than the one in whose name that is done: by a
/// worker of the kernel, or by whoever is the first to need it.
///
/// Process context. Scopes nest, as `scoped_with_creds()` in C.
pub(super) fn as_opener<R>(file: &File, act: impl FnOnce() -> R) -> R {
    // SAFETY: `file` is open, so the field is set, and changes no more.
    let opener = unsafe { (*file.as_ptr()).f_cred };

    // SAFETY: The credentials are valid as long as `file`, which is borrowed until they are
    // replaced again: `act` does not unwind, and leaves the task's credentials as they are.
    let before = unsafe { ffi::override_creds(opener) };
    let result = act();

    // SAFETY: These are the credentials that the task had, and has a reference to.
    unsafe { ffi::revert_creds(before) };
    result
}
