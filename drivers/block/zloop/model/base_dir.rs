// SPDX-License-Identifier: GPL-2.0

//! A path as it is written in a command.

#![forbid(unsafe_code)]

use core::fmt;

use super::text::write_escaped;

/// The value of `base_dir`: not empty, and still in its written form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BaseDir<'a>(pub(super) &'a [u8]);

impl<'a> BaseDir<'a> {
    /// The bytes of the path.
    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> + Clone + 'a {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            // The backslash of a pair is dropped; the comma then comes as itself.
            if rest.starts_with(b"\\,") {
                rest = rest.get(1..)?;
            }
            let (&byte, tail) = rest.split_first()?;
            rest = tail;
            Some(byte)
        })
    }
}

impl fmt::Display for BaseDir<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|byte| write_escaped(f, byte))
    }
}
