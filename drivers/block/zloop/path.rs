// SPDX-License-Identifier: GPL-2.0

//! Paths of device directories.

#![forbid(unsafe_code)]

use crate::model::options::BaseDir;
use core::ops::Deref;
use kernel::{
    prelude::*,
    str::CString, //
};

/// The path of a device directory, and of the one that it is in.
pub(crate) struct Path {
    /// Ends in NUL.
    path: KVec<u8>,
    /// Ends in NUL.
    parent: KVec<u8>,
}

impl Path {
    /// `<base_dir>/<id>`. `EINVAL` if `base_dir` has a NUL in it.
    pub(crate) fn of_device(base_dir: BaseDir<'_>, id: u32) -> Result<Self> {
        let id = CString::try_from_fmt(fmt!("{id}"))?;
        let mut path = KVec::new();

        for byte in base_dir.bytes() {
            path.push(byte, GFP_KERNEL)?;
        }
        let mut parent = KVec::new();

        parent.extend_from_slice(&path, GFP_KERNEL)?;
        parent.push(0, GFP_KERNEL)?;
        CStr::from_bytes_with_nul(&parent).map_err(|_| EINVAL)?;
        path.push(b'/', GFP_KERNEL)?;
        path.extend_from_slice(id.to_bytes_with_nul(), GFP_KERNEL)?;
        Ok(Self { path, parent })
    }

    /// The directory that the device's one is in.
    pub(crate) fn parent(&self) -> &CStr {
        c_str(&self.parent)
    }
}

/// A string that was checked when it was made.
fn c_str(bytes: &[u8]) -> &CStr {
    CStr::from_bytes_with_nul(bytes).unwrap_or(c"")
}

impl Deref for Path {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        c_str(&self.path)
    }
}
