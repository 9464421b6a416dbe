// SPDX-License-Identifier: GPL-2.0

//! In whose name files are looked up, opened and changed.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    fs::File,
    types::NotThreadSafe, //
};

use super::super::ffi;

/// A scope in which the calling task has the credentials of the one that opened a file.
///
/// Files of a device are opened by whoever is the first to need them, and cut by whoever resets a zone
/// or removes the device, in a worker of the kernel most of the time; what may be done is for the one
/// who added the device to say.
///
/// # Invariants
///
/// `before` are the credentials that the task had, which its reference keeps.
#[must_use = "the scope ends when the value is dropped"]
pub(super) struct Credentials<'a> {
    before: *const bindings::cred,
    /// The file keeps the credentials of the scope.
    _file: PhantomData<&'a File>,
    /// The credentials are those of the task that made the scope.
    _not_send: NotThreadSafe,
}

impl<'a> Credentials<'a> {
    /// Enters the scope. Process context.
    pub(super) fn of_opener(file: &'a File) -> Self {
        // SAFETY: `file` is open, so the field is set, and changes no more.
        let opener = unsafe { (*file.as_ptr()).f_cred };

        // SAFETY: The credentials are valid as long as `file`, which outlives the scope.
        let before = unsafe { ffi::override_creds(opener) };

        // INVARIANT: `override_creds()` returns the credentials that it replaces.
        Self {
            before,
            _file: PhantomData,
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for Credentials<'_> {
    fn drop(&mut self) {
        // SAFETY: Called by the task that entered the scope, as the type is not `Send`. By the type
        // invariant these are the credentials it had.
        unsafe { ffi::revert_creds(self.before) };
    }
}
