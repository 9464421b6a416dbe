// SPDX-License-Identifier: GPL-2.0

//! What the unit tests of the model use of the standard library, for kernels with KUnit.
//!
//! The tests are the same text on the host, where cargo runs them, and in the kernel, where
//! `#[kunit_tests]` does. The kernel has neither `String` nor `format!`, and its vectors want to
//! be told how to allocate. Here are those few under their usual names; they panic where memory
//! is short, as the originals do.
//!
//! Two things that work on the host do not work there, because KUnit has assertions of its own:
//! `assert!()` and `assert_eq!()` with a message, and other assertions.

#![forbid(unsafe_code)]

use core::{
    fmt::{
        self,
        Write, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::prelude::{
    KVec,
    GFP_KERNEL, //
};

/// A vector that grows as that of the standard library does.
#[derive(Debug)]
pub(crate) struct Vec<T>(KVec<T>);

impl<T> Vec<T> {
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }

    pub(crate) fn push(&mut self, value: T) {
        self.0.push(value, GFP_KERNEL).expect("memory");
    }

    /// `count` values; `vec![value; count]` is this.
    pub(crate) fn filled(value: T, count: usize) -> Self
    where
        T: Clone,
    {
        core::iter::repeat_n(value, count).collect()
    }
}

impl<T> Deref for Vec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Vec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> FromIterator<T> for Vec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut vec = Self::new();
        items.into_iter().for_each(|item| vec.push(item));
        vec
    }
}

impl<T> IntoIterator for Vec<T> {
    type Item = T;
    type IntoIter = <KVec<T> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Vec<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq<U>, U> PartialEq<Vec<U>> for Vec<T> {
    fn eq(&self, other: &Vec<U>) -> bool {
        **self == **other
    }
}

impl<T: PartialEq<U>, U, const N: usize> PartialEq<[U; N]> for Vec<T> {
    fn eq(&self, other: &[U; N]) -> bool {
        **self == *other
    }
}

/// A text that grows.
#[derive(Debug, PartialEq)]
pub(crate) struct String(Vec<u8>);

impl String {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("made of texts")
    }
}

impl Write for String {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.0.push(byte));
        Ok(())
    }
}

impl Deref for String {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for String {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for String {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq<str> for String {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for String {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for &str {
    fn eq(&self, other: &String) -> bool {
        *self == other.as_str()
    }
}

impl From<&str> for String {
    fn from(text: &str) -> Self {
        formatted(format_args!("{text}"))
    }
}

/// What `format!()` makes.
pub(crate) fn formatted(args: fmt::Arguments<'_>) -> String {
    let mut text = String::new();
    text.write_fmt(args).expect("memory");
    text
}

/// `to_string()` of whatever can be displayed.
pub(crate) trait ToString {
    fn to_string(&self) -> String;
}

impl<T: fmt::Display + ?Sized> ToString for T {
    fn to_string(&self) -> String {
        formatted(format_args!("{self}"))
    }
}

/// The methods of `str` that allocate.
pub(crate) trait Text {
    fn repeat(&self, count: usize) -> String;
    fn replacen(&self, from: &str, to: &str, count: usize) -> String;
}

impl Text for str {
    fn repeat(&self, count: usize) -> String {
        let bytes = self.bytes();
        String((0..count).flat_map(|_| bytes.clone()).collect())
    }

    fn replacen(&self, from: &str, to: &str, count: usize) -> String {
        let mut text = String::new();
        for (no, part) in self.splitn(count + 1, from).enumerate() {
            let between = if no == 0 { "" } else { to };
            write!(text, "{between}{part}").expect("memory");
        }
        text
    }
}

/// The methods of slices that allocate.
pub(crate) trait Join {
    fn join(&self, separator: &str) -> String;
}

impl<S: AsRef<str>> Join for [S] {
    fn join(&self, separator: &str) -> String {
        let mut text = String::new();
        for (no, part) in self.iter().enumerate() {
            let between = if no == 0 { "" } else { separator };
            write!(text, "{between}{}", part.as_ref()).expect("memory");
        }
        text
    }
}

/// As `Join`, of bytes.
pub(crate) trait Concat {
    fn concat(&self) -> Vec<u8>;
}

impl Concat for [&[u8]] {
    fn concat(&self) -> Vec<u8> {
        self.iter().copied().flatten().copied().collect()
    }
}

macro_rules! format {
    ($($args:tt)*) => { $crate::testing::formatted(::core::format_args!($($args)*)) };
}
pub(crate) use format;

macro_rules! vec {
    ($value:expr; $count:expr) => { $crate::testing::Vec::filled($value, $count) };
    ($($value:expr),* $(,)?) => { $crate::testing::Vec::from_iter([$($value),*]) };
}
pub(crate) use vec;
