// SPDX-License-Identifier: GPL-2.0

//! The geometry record: a small file in the device's directory that the C driver ignores.
//!
//! It is a short text that says with which options the directory was made, so that a later `add`
//! with others is refused by name, also where the sizes of the zone files would not show it.

#![forbid(unsafe_code)]

use core::fmt::{
    self,
    Write, //
};

use super::{
    geometry::Geometry,
    layout::RECORD_MAX,
    rule::GeometryError,
    text::{
        number,
        Cursor, //
    },
};

/// The first line of a record; another one means another format.
const VERSION: &[u8] = b"zloop geometry 1";

/// The options that a record has, in its order.
const OPTIONS: [&str; 4] = [
    "capacity_mb",
    "zone_size_mb",
    "zone_capacity_mb",
    "conv_zones",
];

impl Geometry {
    /// The values of [`OPTIONS`].
    fn values(&self) -> [u32; 4] {
        [
            self.capacity_mb(),
            self.zone_size_mb(),
            self.zone_capacity_mb(),
            self.nr_conv_zones(),
        ]
    }

    /// Writes the geometry record into `buf`, and returns the part used.
    pub(crate) fn encode<'b>(&self, buf: &'b mut [u8; RECORD_MAX]) -> &'b [u8] {
        let mut cursor = Cursor::new(buf);
        // It cannot fail: the longest record is shorter than any buffer.
        let _ = self.write_record(&mut cursor);
        let len = cursor.len();
        buf.get(..len).unwrap_or_default()
    }

    fn write_record(&self, f: &mut impl Write) -> fmt::Result {
        for byte in VERSION {
            f.write_char(char::from(*byte))?;
        }
        for (option, value) in OPTIONS.into_iter().zip(self.values()) {
            write!(f, "\n{option}={value}")?;
        }
        f.write_str("\n")
    }

    /// Reads a geometry record, of which `text` is the whole file.
    ///
    /// # Errors
    ///
    /// The text is not one that [`Geometry::encode`] writes.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, DecodeError> {
        let mut lines = text.split(|byte| *byte == b'\n');
        if lines.next() != Some(VERSION) {
            return Err(DecodeError::Version);
        }
        let mut values = [0; 4];
        for (option, value) in OPTIONS.into_iter().zip(values.iter_mut()) {
            *value = lines
                .next()
                .and_then(|line| line.strip_prefix(option.as_bytes()))
                .and_then(|line| line.strip_prefix(b"="))
                .and_then(canonical)
                .ok_or(DecodeError::Option { option })?;
        }
        // After the last newline there is one empty piece.
        if lines.next() != Some(b"") || lines.next().is_some() {
            return Err(DecodeError::End);
        }
        let [capacity_mb, zone_size_mb, zone_capacity_mb, conv_zones] = values;
        let geometry = Self::from_options(
            capacity_mb,
            zone_size_mb,
            zone_capacity_mb,
            Some(conv_zones),
        )
        .map_err(DecodeError::Geometry)?;
        if geometry.capacity_mb() != capacity_mb {
            return Err(DecodeError::Option {
                option: "capacity_mb",
            });
        }
        Ok(geometry)
    }

    /// The first option in which a stored geometry differs from this one, which was asked for.
    pub(crate) fn mismatch(&self, stored: &Geometry) -> Option<Mismatch> {
        // The capacity comes last: with another zone size, its rounding may differ as well.
        let [capacity, rest @ ..] = OPTIONS;
        let [asked_capacity, asked @ ..] = self.values();
        let [stored_capacity, stored @ ..] = stored.values();
        rest.into_iter()
            .zip(asked)
            .zip(stored)
            .chain([((capacity, asked_capacity), stored_capacity)])
            .find(|((_, asked), stored)| asked != stored)
            .map(|((option, asked), stored)| Mismatch {
                option,
                stored: u64::from(stored),
                asked: u64::from(asked),
            })
    }
}

/// Reads a decimal number that is written in the one way in which it is printed.
fn canonical(text: &[u8]) -> Option<u32> {
    if text.len() > 1 && text.starts_with(b"0") {
        return None;
    }
    u32::try_from(number(text, 10)?).ok()
}

/// Why a text is not a geometry record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DecodeError {
    /// The first line is not that of this format.
    Version,
    /// An option is missing, not where it belongs, or its value is malformed.
    Option {
        /// The option's name.
        option: &'static str,
    },
    /// The last line is cut, or there are more.
    End,
    /// The options contradict each other.
    Geometry(GeometryError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad geometry record: ")?;
        match self {
            Self::Version => f.write_str("unknown format"),
            Self::Option { option } => write!(f, "no valid {option}"),
            Self::End => f.write_str("it does not end where it should"),
            Self::Geometry(error) => error.fmt(f),
        }
    }
}

/// A device was made with one value of an option, and another one is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mismatch {
    /// The option's name.
    pub(crate) option: &'static str,
    /// The value that the device has.
    pub(crate) stored: u64,
    /// The value that was asked for.
    pub(crate) asked: u64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            option,
            stored,
            asked,
        } = self;
        write!(
            f,
            "{option}: the device has {stored}, {asked} was asked for"
        )
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_record))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    fn geometry(options: [u32; 4]) -> Geometry {
        let [capacity_mb, zone_size_mb, zone_capacity_mb, conv_zones] = options;
        Geometry::from_options(
            capacity_mb,
            zone_size_mb,
            zone_capacity_mb,
            Some(conv_zones),
        )
        .expect("good options")
    }

    const RECORD: &str = "zloop geometry 1\n\
        capacity_mb=2048\nzone_size_mb=64\nzone_capacity_mb=63\nconv_zones=4\n";

    #[test]
    fn record_is_a_readable_text() {
        let mut buf = [0xff; RECORD_MAX];
        assert_eq!(
            geometry([2048, 64, 63, 4]).encode(&mut buf),
            RECORD.as_bytes()
        );
    }

    #[test]
    fn longest_record_fits() {
        let mut buf = [0xff; RECORD_MAX];
        let longest = geometry([!16383, 16384, 16384, 262142]);
        let record = longest.encode(&mut buf);
        assert!(record.ends_with(b"\nconv_zones=262142\n"));
        assert!(record.len() < RECORD_MAX);
        assert_eq!(Geometry::decode(record), Ok(longest));
        let most_zones = geometry([1 << 20, 1, 1, (1 << 20) - 1]);
        assert!(most_zones
            .encode(&mut buf)
            .ends_with(b"\nconv_zones=1048575\n"));
    }

    #[test]
    fn record_is_read_back() {
        for options in [[2048, 64, 63, 4], [2, 1, 1, 0], [!16383, 16384, 1, 0]] {
            let mut buf = [0; RECORD_MAX];
            let geometry = geometry(options);
            assert_eq!(Geometry::decode(geometry.encode(&mut buf)), Ok(geometry));
        }
    }

    #[test]
    fn capacity_is_recorded_in_whole_zones() {
        let rounded = geometry([2100, 64, 64, 4]);
        assert_eq!(rounded, geometry([2048, 64, 64, 4]));
        assert_eq!(rounded.capacity_mb(), 2048);
    }

    #[test]
    fn anything_but_a_record_is_refused() {
        let change = |from, to| RECORD.replacen(from, to, 1);
        let cases = [
            (String::new(), "unknown format"),
            ("\n".into(), "unknown format"),
            ("\0".repeat(128), "unknown format"),
            (change("geometry 1", "geometry 2"), "unknown format"),
            (change("geometry 1", "geometry 10"), "unknown format"),
            (format!("\n{RECORD}"), "unknown format"),
            ("zloop geometry 1".into(), "no valid capacity_mb"),
            ("zloop geometry 1\n".into(), "no valid capacity_mb"),
            (change("=2048", "=02048"), "no valid capacity_mb"),
            (change("=2048", "= 2048"), "no valid capacity_mb"),
            (change("=2048", "=2048 "), "no valid capacity_mb"),
            (change("=2048", "=2049"), "no valid capacity_mb"),
            (change("=2048", "=+2048"), "no valid capacity_mb"),
            (change("=2048", "=0x800"), "no valid capacity_mb"),
            (change("=2048", "=4294967296"), "no valid capacity_mb"),
            (change("=2048", "="), "no valid capacity_mb"),
            (change("=2048", "2048"), "no valid capacity_mb"),
            (change("zone_size_mb", "zone_size"), "no valid zone_size_mb"),
            (change("conv_zones=4\n", ""), "no valid conv_zones"),
            (
                change(
                    "zone_capacity_mb=63\nconv_zones=4",
                    "conv_zones=4\nzone_capacity_mb=63",
                ),
                "no valid zone_capacity_mb",
            ),
            (
                change("conv_zones=4\n", "conv_zones=4"),
                "it does not end where it should",
            ),
            (format!("{RECORD}\n"), "it does not end where it should"),
            (format!("{RECORD}x"), "it does not end where it should"),
            (format!("{RECORD}\0"), "it does not end where it should"),
            (
                change("zone_size_mb=64", "zone_size_mb=65"),
                "zone_size_mb=65: not a power of two from 1 to 16384",
            ),
            (
                change("conv_zones=4", "conv_zones=32"),
                "conv_zones=32: leaves no sequential zone of 32 zones",
            ),
            (
                change("capacity_mb=63", "capacity_mb=65"),
                "zone_capacity_mb=65: out of range (1..64, the zone size)",
            ),
        ];
        for (text, why) in cases {
            let error = Geometry::decode(text.as_bytes()).map_err(|e| e.to_string());
            let want = Err(format!("bad geometry record: {why}"));
            assert_eq!((&text, error), (&text, want));
        }
    }

    #[test]
    fn mismatch_names_option_and_both_values() {
        let asked = geometry([2048, 64, 63, 4]);
        assert_eq!(asked.mismatch(&asked), None);
        let cases = [
            (
                [2048, 32, 32, 4],
                "zone_size_mb: the device has 32, 64 was asked for",
            ),
            (
                [1024, 32, 32, 4],
                "zone_size_mb: the device has 32, 64 was asked for",
            ),
            (
                [2048, 64, 64, 4],
                "zone_capacity_mb: the device has 64, 63 was asked for",
            ),
            (
                [2048, 64, 63, 5],
                "conv_zones: the device has 5, 4 was asked for",
            ),
            (
                [4096, 64, 63, 4],
                "capacity_mb: the device has 4096, 2048 was asked for",
            ),
            (
                [1984, 64, 63, 4],
                "capacity_mb: the device has 1984, 2048 was asked for",
            ),
        ];
        for (stored, want) in cases {
            let mismatch = asked.mismatch(&geometry(stored)).expect("they differ");
            assert_eq!(mismatch.to_string(), want);
        }
    }
}
