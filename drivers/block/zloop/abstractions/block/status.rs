// SPDX-License-Identifier: GPL-2.0

//! Result of a request as the block layer sees it.
//!
//! C header: [`include/linux/blk_types.h`](srctree/include/linux/blk_types.h)

use crate::abstractions::ffi;
use kernel::{
    bindings,
    prelude::*, //
};

/// A `blk_status_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(bindings::blk_status_t);

impl Status {
    /// Success.
    pub(crate) const OK: Self = Self(ffi::BLK_STS_OK);
    /// An error that has no name of its own; user space sees `EIO`.
    pub(crate) const IO_ERROR: Self = Self(ffi::BLK_STS_IOERR);
    /// The device does not do this; user space sees `EOPNOTSUPP`.
    pub(crate) const NOT_SUPPORTED: Self = Self(ffi::BLK_STS_NOTSUPP);
    /// The request was not answered in time; user space sees `ETIMEDOUT`.
    pub(crate) const TIMEOUT: Self = Self(ffi::BLK_STS_TIMEOUT);
    /// The limit of open zones is reached; user space sees `ETOOMANYREFS`.
    pub(crate) const ZONE_OPEN_RESOURCE: Self = Self(ffi::BLK_STS_ZONE_OPEN_RESOURCE);

    /// The status that stands for an errno, or [`Status::IO_ERROR`] if none does.
    pub(crate) fn from_error(error: Error) -> Self {
        // SAFETY: The function looks its argument up in a table and has no requirements.
        Self(unsafe { bindings::errno_to_blk_status(error.to_errno()) })
    }

    pub(super) fn as_raw(self) -> bindings::blk_status_t {
        self.0
    }
}
