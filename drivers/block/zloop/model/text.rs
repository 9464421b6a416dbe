// SPDX-License-Identifier: GPL-2.0

//! Reading and writing short texts without allocation.

#![forbid(unsafe_code)]

use core::fmt::{
    self,
    Write, //
};

/// Bytes that came from user space, made fit for one line of the log.
///
/// Bytes that are not printable ASCII are shown as `\xNN`, and a long text is cut.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl Escaped<'_> {
    /// How many bytes are shown of a longer text.
    const MAX: usize = 64;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.iter().take(Self::MAX) {
            write_escaped(f, byte)?;
        }
        if self.0.len() > Self::MAX {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// Writes one byte so that it cannot break a line of the log.
pub(super) fn write_escaped(f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    match byte {
        b' '..=b'~' => f.write_char(char::from(byte)),
        _ => write!(f, "\\x{byte:02x}"),
    }
}

/// Reads an unsigned number made of digits of `radix` and nothing else.
///
/// A number above `u64::MAX`, which is out of any range that a caller allows, is read as that.
pub(super) fn number(text: &[u8], radix: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        let digit = char::from(byte).to_digit(radix)?;
        Some(
            value
                .saturating_mul(u64::from(radix))
                .saturating_add(u64::from(digit)),
        )
    })
}

/// A writer into a fixed buffer; fails, keeping what fitted, when that is full.
pub(super) struct Cursor<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl<'b> Cursor<'b> {
    /// Starts writing at the beginning of `buf`.
    pub(super) fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// The number of bytes written.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Write for Cursor<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len.checked_add(s.len()).ok_or(fmt::Error)?;
        let room = self.buf.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_text))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    #[test]
    fn number_reads_whole_texts_only() {
        let cases: &[(&[u8], u32, Option<u64>)] = &[
            (b"0", 10, Some(0)),
            (b"18446744073709551615", 10, Some(u64::MAX)),
            (b"18446744073709551616", 10, Some(u64::MAX)),
            (b"184467440737095516150", 10, Some(u64::MAX)),
            (b"99999999999999999999x", 10, None),
            (b"ffffffffffffffff", 16, Some(u64::MAX)),
            (b"10000000000000000", 16, Some(u64::MAX)),
            (b"17", 8, Some(15)),
            (b"8", 8, None),
            (b"", 10, None),
            (b"+1", 10, None),
            (b"-1", 10, None),
            (b" 1", 10, None),
            (b"1 ", 10, None),
            (b"1\0", 10, None),
            (b"1\xff", 10, None),
        ];
        for (text, radix, want) in cases {
            assert_eq!((text, number(text, *radix)), (text, *want));
        }
    }

    #[test]
    fn escaped_text_is_one_short_printable_line() {
        assert_eq!(Escaped(b"a b,\\=").to_string(), "a b,\\=");
        assert_eq!(
            Escaped(b"a\n\0\x7f\xe9").to_string(),
            "a\\x0a\\x00\\x7f\\xe9"
        );
        assert_eq!(Escaped(&[b'x'; 64]).to_string(), "x".repeat(64));
        assert_eq!(
            Escaped(&[b'x'; 65]).to_string(),
            format!("{}...", "x".repeat(64))
        );
    }

    #[test]
    fn cursor_refuses_what_does_not_fit() {
        let mut buf = [0; 4];
        let mut cursor = Cursor::new(&mut buf);
        assert!(cursor.write_str("abc").is_ok());
        assert!(cursor.write_str("de").is_err());
        assert_eq!(cursor.len(), 3);
        assert!(cursor.write_str("d").is_ok());
        assert!(cursor.write_str("e").is_err());
        assert_eq!(&buf, b"abcd");
    }
}
