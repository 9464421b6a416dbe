// SPDX-License-Identifier: GPL-2.0

//! The files in a device's directory: one for each zone, named as by the C driver, and the
//! geometry record.

#![forbid(unsafe_code)]

use core::{
    ffi::CStr,
    fmt::{
        self,
        Write, //
    },
};

use super::{
    text::{
        number,
        Cursor, //
    },
    ZoneNo, //
};

/// The name of the geometry record in the device's directory.
pub(crate) const GEOMETRY_FILE: &CStr = c"zloop.geometry";

/// The size of a buffer that holds any record, and the size above which a file is none.
pub(crate) const RECORD_MAX: usize = 128;

/// The file of a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ZoneFile {
    /// That of a conventional zone, as large as the zone.
    Conventional(ZoneNo),
    /// That of a sequential zone, as large as what is written.
    Sequential(ZoneNo),
}

impl ZoneFile {
    const CONVENTIONAL: &'static [u8] = b"cnv-";
    const SEQUENTIAL: &'static [u8] = b"seq-";

    /// The zone's number.
    pub(crate) fn no(self) -> ZoneNo {
        let (Self::Conventional(no) | Self::Sequential(no)) = self;
        no
    }

    /// The name in the device's directory: `cnv-%06u` or `seq-%06u`.
    pub(crate) fn name(self) -> ZoneFileName {
        let mut buf = [0; ZoneFileName::SIZE];
        let kind = match self {
            Self::Conventional(_) => "cnv",
            Self::Sequential(_) => "seq",
        };
        // It cannot fail: a number has at most ten digits, and there is room for them and a NUL.
        let _ = write!(Cursor::new(&mut buf), "{kind}-{:06}", self.no());
        ZoneFileName(buf)
    }

    /// The zone that a directory entry belongs to, if its name is one that [`ZoneFile::name`]
    /// gives.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        let (kind, digits): (fn(ZoneNo) -> Self, _) =
            if let Some(digits) = name.strip_prefix(Self::CONVENTIONAL) {
                (Self::Conventional, digits)
            } else {
                (Self::Sequential, name.strip_prefix(Self::SEQUENTIAL)?)
            };
        let canonical = match digits.len() {
            6 => true,
            7.. => !digits.starts_with(b"0"),
            _ => false,
        };
        if !canonical {
            return None;
        }
        u32::try_from(number(digits, 10)?).ok().map(kind)
    }
}

/// The name of a zone file.
///
/// # Invariants
///
/// ASCII characters, then at least one NUL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ZoneFileName([u8; Self::SIZE]);

impl ZoneFileName {
    /// Four characters, ten digits, NUL, rounded up.
    const SIZE: usize = 16;

    /// The name for C.
    pub(crate) fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }

    /// The name without its end.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.as_cstr().to_bytes()
    }
}

impl fmt::Display for ZoneFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_layout))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    #[test]
    fn zone_files_have_the_names_of_the_c_driver() {
        let cases = [
            (ZoneFile::Conventional(0), "cnv-000000"),
            (ZoneFile::Sequential(12), "seq-000012"),
            (ZoneFile::Sequential(999999), "seq-999999"),
            (ZoneFile::Sequential(1000000), "seq-1000000"),
            (ZoneFile::Sequential(u32::MAX), "seq-4294967295"),
        ];
        for (file, name) in cases {
            assert_eq!(file.name().to_string(), name);
            assert_eq!(file.name().as_bytes(), name.as_bytes());
            assert_eq!(file.name().as_cstr().to_bytes(), name.as_bytes());
            assert_eq!(ZoneFile::parse(name.as_bytes()), Some(file));
        }
    }

    #[test]
    fn geometry_record_is_no_zone_file() {
        assert_eq!(ZoneFile::parse(GEOMETRY_FILE.to_bytes()), None);
    }

    #[test]
    fn other_names_belong_to_no_zone() {
        for name in [
            "",
            ".",
            "..",
            "cnv",
            "cnv-",
            "seq-0",
            "seq-00000",
            "seq-0000000",
            "seq-0000001",
            "seq-0999999",
            "seq-4294967296",
            "seq-99999999999999999999",
            "seq-00000x",
            "seq-+00001",
            "seq--00001",
            "SEQ-000000",
            "seq_000000",
            "seq-000000 ",
            "seq-000000~",
            " seq-000000",
            "cnv-seq-000000",
            "seq-000000\0",
        ] {
            assert_eq!((name, ZoneFile::parse(name.as_bytes())), (name, None));
        }
    }
}
