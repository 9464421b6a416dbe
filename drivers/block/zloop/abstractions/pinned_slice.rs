// SPDX-License-Identifier: GPL-2.0

//! Slices of elements that never move.
//!
//! For elements that hold locks, of which there may be very many. The kernel crate's
//! `KVBox::pin_slice()` does the work; this adds a limit, because the allocator warns about sizes
//! that are plain user input here.

use core::ops::Deref;

use kernel::{
    alloc::KVBox,
    prelude::*, //
};

/// A slice on the heap, in virtually contiguous memory, whose elements were initialised in place.
///
/// Dropping it drops the elements, in order, and may sleep.
pub(crate) struct PinnedSlice<T>(Pin<KVBox<[T]>>);

impl<T> PinnedSlice<T> {
    /// The largest size in bytes: `kvmalloc()` warns beyond it (`mm/slub.c`).
    // CAST: `c_int::MAX` is positive and fits.
    const MAX_BYTES: usize = c_int::MAX as usize;

    /// Makes a slice of `len` elements, in order, the one at `index` with `init(index)`.
    ///
    /// If that fails, the elements made so far are dropped and the error is returned; this is how
    /// a long loop is interrupted. Fails with [`ENOMEM`] if there is no memory, or if it takes
    /// more than 2 GiB. May sleep.
    pub(crate) fn new<I>(len: usize, init: impl FnMut(usize) -> I) -> Result<Self>
    where
        I: PinInit<T, Error>,
    {
        match len.checked_mul(size_of::<T>()) {
            Some(bytes) if bytes <= Self::MAX_BYTES => {}
            _ => return Err(ENOMEM),
        }
        Ok(Self(KVBox::pin_slice(init, len, GFP_KERNEL)?))
    }
}

impl<T> Deref for PinnedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}
