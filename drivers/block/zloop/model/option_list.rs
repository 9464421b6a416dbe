// SPDX-License-Identifier: GPL-2.0

//! The options of a command as a list: how they are separated, and how their values are read.

#![forbid(unsafe_code)]

use core::fmt;

use super::{
    options::MAX_ID,
    text::{
        number,
        Escaped, //
    }, //
};

/// An option, in the order of [`HELP`](super::options::HELP).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opt {
    Id,
    CapacityMb,
    ZoneSizeMb,
    ZoneCapacityMb,
    ConvZones,
    BaseDir,
    NrQueues,
    QueueDepth,
    BufferedIo,
    ZoneAppend,
    OrderedZoneAppend,
    DiscardWriteCache,
    MaxOpenZones,
    SubmitInline,
    PreallocKb,
    Fua,
    MaxOpenFiles,
    AppendBatchKb,
}

/// All options with their names.
pub(super) const OPTIONS: [(&str, Opt); 18] = [
    ("id", Opt::Id),
    ("capacity_mb", Opt::CapacityMb),
    ("zone_size_mb", Opt::ZoneSizeMb),
    ("zone_capacity_mb", Opt::ZoneCapacityMb),
    ("conv_zones", Opt::ConvZones),
    ("base_dir", Opt::BaseDir),
    ("nr_queues", Opt::NrQueues),
    ("queue_depth", Opt::QueueDepth),
    ("buffered_io", Opt::BufferedIo),
    ("zone_append", Opt::ZoneAppend),
    ("ordered_zone_append", Opt::OrderedZoneAppend),
    ("discard_write_cache", Opt::DiscardWriteCache),
    ("max_open_zones", Opt::MaxOpenZones),
    ("submit_inline", Opt::SubmitInline),
    ("prealloc_kb", Opt::PreallocKb),
    ("fua", Opt::Fua),
    ("max_open_files", Opt::MaxOpenFiles),
    ("append_batch_kb", Opt::AppendBatchKb),
];

/// What C's `isspace()` says.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Splits `text` before the byte at `at`, or after the last one.
pub(super) fn split(text: &[u8], at: usize) -> (&[u8], &[u8]) {
    text.split_at_checked(at).unwrap_or((text, b""))
}

/// One option with its value, if it has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) opt: Opt,
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Item<'a> {
    /// The error for this option.
    pub(super) fn error(&self, kind: ErrorKind) -> ParseError<'a> {
        ParseError {
            option: self.name,
            value: self.value.unwrap_or_default(),
            kind,
        }
    }

    /// The value of an option that needs one.
    fn value(&self) -> Result<&'a [u8], ParseError<'a>> {
        self.value
            .filter(|value| !value.is_empty())
            .ok_or(self.error(ErrorKind::MissingValue))
    }

    /// True for an option that is just named.
    pub(super) fn flag(&self) -> Result<bool, ParseError<'a>> {
        match self.value {
            None => Ok(true),
            Some(_) => Err(self.error(ErrorKind::UnexpectedValue)),
        }
    }

    /// A path, not empty; the file system judges the rest.
    pub(super) fn path(&self) -> Result<&'a [u8], ParseError<'a>> {
        self.value()
    }

    /// A number from `min` to `max`.
    pub(super) fn unsigned(&self, min: u32, max: u32) -> Result<u32, ParseError<'a>> {
        let value = self.value()?;
        let value = match hexadecimal(value) {
            Some(digits) => number(digits, 16),
            None => number(value, 10),
        };
        let value = value.ok_or(self.error(ErrorKind::NotANumber))?;
        u32::try_from(value)
            .ok()
            .filter(|value| (min..=max).contains(value))
            .ok_or(self.error(ErrorKind::OutOfRange {
                min: i64::from(min),
                max: i64::from(max),
            }))
    }

    /// A power of two up to `max`.
    pub(super) fn power_of_two(&self, max: u32) -> Result<u32, ParseError<'a>> {
        let value = self.unsigned(1, max)?;
        if !value.is_power_of_two() {
            return Err(self.error(ErrorKind::NotPowerOfTwo));
        }
        Ok(value)
    }

    /// A device number, or `None` for -1 if `min` allows that.
    pub(super) fn id(&self, min: i64) -> Result<Option<u32>, ParseError<'a>> {
        let value = self.value()?;
        let (digits, negative) = match value.strip_prefix(b"-") {
            Some(digits) => (digits, true),
            None => (value, false),
        };
        let id = match (hexadecimal(digits), digits) {
            (Some(digits), _) => number(digits, 16),
            (None, [b'0', octal @ ..]) if !octal.is_empty() => number(octal, 8),
            (None, _) => number(digits, 10),
        };
        let id = id.ok_or(self.error(ErrorKind::NotANumber))?;
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        let id = if negative { id.saturating_neg() } else { id };
        if id == -1 && min == -1 {
            return Ok(None);
        }
        u32::try_from(id)
            .ok()
            .filter(|id| *id <= MAX_ID)
            .map(Some)
            .ok_or(self.error(ErrorKind::OutOfRange {
                min,
                max: i64::from(MAX_ID),
            }))
    }
}

/// What follows the mark of a hexadecimal number.
fn hexadecimal(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"0x").or(text.strip_prefix(b"0X"))
}

/// The options of a command, each known and given once.
pub(super) struct Items<'a> {
    rest: &'a [u8],
    /// One bit for each option that came already, in the order of [`OPTIONS`].
    seen: u32,
}

impl<'a> Items<'a> {
    /// The options in `text`, what follows the command.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            seen: 0,
        }
    }

    /// Takes the text up to the next separator.
    fn next_text(&mut self) -> &'a [u8] {
        let mut last = 0;
        let end = self.rest.iter().position(|&byte| {
            let escaped = last == b'\\';
            last = byte;
            byte == b'\n' || (byte == b',' && !escaped)
        });
        let (text, rest) = split(self.rest, end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
        split(text, blanks).1
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, ParseError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = b"".as_slice();
        while text.is_empty() {
            if self.rest.is_empty() {
                return None;
            }
            text = self.next_text();
        }

        let name_len = text.iter().position(|byte| *byte == b'=');
        let (name, value) = split(text, name_len.unwrap_or(text.len()));
        let value = value.strip_prefix(b"=");
        let error = |kind| ParseError {
            option: name,
            value: value.unwrap_or_default(),
            kind,
        };

        // One bit for each option: an option is known if one of the bits is its.
        let mut bit = 1;
        for (known, opt) in OPTIONS {
            if known.as_bytes() == name {
                if self.seen & bit != 0 {
                    return Some(Err(error(ErrorKind::Repeated)));
                }
                self.seen |= bit;
                return Some(Ok(Item { opt, name, value }));
            }
            bit <<= 1;
        }
        Some(Err(error(ErrorKind::UnknownOption)))
    }
}

/// What is wrong with a command, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ParseError<'a> {
    /// The name of the option; the command for [`ErrorKind::UnknownCommand`].
    pub(crate) option: &'a [u8],
    /// The offending value; empty if there is none.
    pub(crate) value: &'a [u8],
    /// What is wrong.
    pub(crate) kind: ErrorKind,
}

/// What is wrong with an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ErrorKind {
    /// Neither `add` nor `remove`.
    UnknownCommand,
    /// No option has this name.
    UnknownOption,
    /// The option was given before.
    Repeated,
    /// The option needs a value.
    MissingValue,
    /// The option takes no value.
    UnexpectedValue,
    /// The value is not a number, or more than one.
    NotANumber,
    /// The value is too small or too large.
    OutOfRange {
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// The value is in range, but no power of two.
    NotPowerOfTwo,
    /// `remove` does not say what.
    MissingId,
    /// `remove` takes only an `id`.
    NotForRemove,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCommand => "unknown command",
            Self::UnknownOption => "unknown option",
            Self::Repeated => "given twice",
            Self::MissingValue => "a value is missing",
            Self::UnexpectedValue => "takes no value",
            Self::NotANumber => "not a number",
            Self::OutOfRange { min, max } => return write!(f, "out of range ({min}..{max})"),
            Self::NotPowerOfTwo => "not a power of two",
            Self::MissingId => "needed to remove a device",
            Self::NotForRemove => "not an option of remove",
        })
    }
}

impl fmt::Display for ParseError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.option).fmt(f)?;
        if !self.value.is_empty() {
            f.write_str("=")?;
            Escaped(self.value).fmt(f)?;
        }
        write!(f, ": {}", self.kind)
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_option_list))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    /// The options in `text`, up to the first that is wrong.
    fn list(text: &str) -> Result<Vec<Item<'_>>, ParseError<'_>> {
        Items::new(text.as_bytes()).collect()
    }

    /// The only option in `text`.
    fn only(text: &str) -> Item<'_> {
        match list(text).as_deref() {
            Ok([item]) => *item,
            other => panic!("{text:?} is {other:?}"),
        }
    }

    #[test]
    fn every_name_is_known() {
        for (name, opt) in OPTIONS {
            assert_eq!(only(name).opt, opt);
        }
    }

    #[test]
    fn commas_and_newlines_separate_options() {
        let id = ("id", Some("1"));
        let io = ("buffered_io", None);
        let cases = [
            ("", vec![]),
            (" \t,\n,,\r", vec![]),
            ("id=1", vec![id]),
            ("id=1,buffered_io", vec![id, io]),
            ("buffered_io\nid=1", vec![io, id]),
            (",,id=1,\n,  buffered_io,\n", vec![id, io]),
            ("\x0b\x0c id=1", vec![id]),
            ("id=", vec![("id", Some(""))]),
            ("id==1=", vec![("id", Some("=1="))]),
            ("id= 1 ", vec![("id", Some(" 1 "))]),
            (r"base_dir=a\,b,id=1", vec![("base_dir", Some(r"a\,b")), id]),
            ("base_dir=a\\\nid=1", vec![("base_dir", Some("a\\")), id]),
        ];
        for (text, want) in cases {
            let items = list(text).expect("a good list");
            let pairs: Vec<_> = items.iter().map(|item| (item.name, item.value)).collect();
            let want: Vec<_> = want
                .into_iter()
                .map(|(name, value)| (name.as_bytes(), value.map(str::as_bytes)))
                .collect();
            assert_eq!((text, pairs), (text, want));
        }
    }

    #[test]
    fn unknown_and_repeated_options_end_the_list() {
        let cases = [
            ("id=1,foo=2,id=3", "foo=2: unknown option"),
            ("id=1,buffered_io,id=1", "id=1: given twice"),
            ("idd", "idd: unknown option"),
            ("i", "i: unknown option"),
            ("=", ": unknown option"),
        ];
        for (text, want) in cases {
            let error = list(text).expect_err("a bad list");
            assert_eq!((text, error.to_string().as_str()), (text, want));
        }
        for (name, _) in OPTIONS {
            let text = format!("{name},{name}");
            let error = list(&text).err().map(|error| error.kind);
            assert_eq!(error, Some(ErrorKind::Repeated));
        }
    }

    #[test]
    fn id_is_read_as_match_int_does() {
        let out_of_range = |min| {
            Err(ErrorKind::OutOfRange {
                min,
                max: i64::from(MAX_ID),
            })
        };
        // (text, lowest value allowed, id)
        let cases = [
            ("id=0", -1, Ok(Some(0))),
            ("id=-0", 0, Ok(Some(0))),
            ("id=010", 0, Ok(Some(8))),
            ("id=0x1F", 0, Ok(Some(31))),
            ("id=0X1f", 0, Ok(Some(31))),
            ("id=2147483647", 0, Ok(Some(MAX_ID))),
            ("id=-1", -1, Ok(None)),
            ("id=-01", -1, Ok(None)),
            ("id=-0x1", -1, Ok(None)),
            ("id=-1", 0, out_of_range(0)),
            ("id=-2", -1, out_of_range(-1)),
            ("id=2147483648", -1, out_of_range(-1)),
            ("id=4294967295", -1, out_of_range(-1)),
            ("id=4294967296", -1, out_of_range(-1)),
            ("id=18446744073709551615", -1, out_of_range(-1)),
            ("id=18446744073709551616", -1, out_of_range(-1)),
            ("id=-18446744073709551617", -1, out_of_range(-1)),
            ("id=08", 0, Err(ErrorKind::NotANumber)),
            ("id=+1", 0, Err(ErrorKind::NotANumber)),
            ("id=-", 0, Err(ErrorKind::NotANumber)),
            ("id=0x", 0, Err(ErrorKind::NotANumber)),
            ("id=0x-1", 0, Err(ErrorKind::NotANumber)),
            ("id=", 0, Err(ErrorKind::MissingValue)),
            ("id", 0, Err(ErrorKind::MissingValue)),
        ];
        for (text, min, want) in cases {
            let id = only(text).id(min).map_err(|error| error.kind);
            assert_eq!((text, id), (text, want));
        }
    }

    #[test]
    fn other_numbers_are_decimal_as_in_match_uint() {
        let out_of_range = Err(ErrorKind::OutOfRange { min: 1, max: 100 });
        let cases = [
            ("nr_queues=1", Ok(1)),
            ("nr_queues=100", Ok(100)),
            ("nr_queues=010", Ok(10)),
            ("nr_queues=09", Ok(9)),
            ("nr_queues=00000000000000000000000001", Ok(1)),
            ("nr_queues=0x10", Ok(16)),
            ("nr_queues=0", out_of_range),
            ("nr_queues=101", out_of_range),
            ("nr_queues=4294967297", out_of_range),
            ("nr_queues=18446744073709551617", out_of_range),
            ("nr_queues=-1", Err(ErrorKind::NotANumber)),
            ("nr_queues=1k", Err(ErrorKind::NotANumber)),
            ("nr_queues=0x", Err(ErrorKind::NotANumber)),
            ("nr_queues=", Err(ErrorKind::MissingValue)),
            ("nr_queues", Err(ErrorKind::MissingValue)),
        ];
        for (text, want) in cases {
            let number = only(text).unsigned(1, 100).map_err(|error| error.kind);
            assert_eq!((text, number), (text, want));
        }
    }
}
