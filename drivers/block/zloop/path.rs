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

#[kunit_tests(zloop_path)]
mod tests {
    use super::*;
    use crate::model::options::{
        parse,
        Command, //
    };

    fn of(command: &[u8]) -> Result<Path> {
        match parse(command) {
            Ok(Command::Add(add)) => Path::of_device(add.base_dir, add.id.unwrap_or(0)),
            _ => Err(EINVAL),
        }
    }

    #[test]
    fn device_has_a_directory_in_the_base_directory() -> Result {
        let path = of(b"add base_dir=/a/b\\,c,id=12")?;

        assert_eq!(path.to_bytes(), b"/a/b,c/12");
        assert_eq!(path.parent().to_bytes(), b"/a/b,c");
        Ok(())
    }

    #[test]
    fn relative_path_stays_relative() -> Result {
        let path = of(b"add base_dir=..,id=2147483647")?;

        assert_eq!(path.to_bytes(), b"../2147483647");
        assert_eq!(path.parent().to_bytes(), b"..");
        Ok(())
    }
}
