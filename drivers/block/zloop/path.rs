// SPDX-License-Identifier: GPL-2.0

//! Paths of device directories.

#![forbid(unsafe_code)]

use crate::model::options::BaseDir;
use core::ops::Deref;
use kernel::{
    prelude::*,
    str::CString, //
};

/// A path, as bytes that end in NUL.
pub(crate) struct Path(KVec<u8>);

impl Path {
    /// `<base_dir>/<id>`. `EINVAL` if `base_dir` has a NUL in it.
    pub(crate) fn of_device(base_dir: BaseDir<'_>, id: u32) -> Result<Self> {
        let id = CString::try_from_fmt(fmt!("{id}"))?;
        let mut bytes = KVec::new();

        for byte in base_dir.bytes() {
            bytes.push(byte, GFP_KERNEL)?;
        }
        bytes.push(b'/', GFP_KERNEL)?;
        bytes.extend_from_slice(id.to_bytes_with_nul(), GFP_KERNEL)?;
        CStr::from_bytes_with_nul(&bytes).map_err(|_| EINVAL)?;
        Ok(Self(bytes))
    }
}

impl Deref for Path {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        // Checked when it was made.
        CStr::from_bytes_with_nul(&self.0).unwrap_or(c"")
    }
}
