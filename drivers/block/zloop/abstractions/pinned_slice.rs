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

#[kunit_tests(zloop_pinned_slice)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// Writes its number behind those in the log when it is dropped.
    struct Noted<'a> {
        no: usize,
        log: &'a Cell<usize>,
    }

    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.log.set(self.log.get() * 10 + self.no);
        }
    }

    #[test]
    fn elements_are_made_and_dropped_in_order() -> Result {
        let log = Cell::new(0);
        let slice = PinnedSlice::new(4, |index| -> Result<_> {
            Ok(Noted {
                no: index + 1,
                log: &log,
            })
        })?;

        assert!(slice.iter().map(|noted| noted.no).eq(1..=4));
        assert_eq!(log.get(), 0);
        drop(slice);
        assert_eq!(log.get(), 1234);
        Ok(())
    }

    #[test]
    fn failure_drops_what_was_made() {
        let log = Cell::new(0);
        let slice = PinnedSlice::new(6, |index| match index {
            4 => Err(EINTR),
            _ => Ok(Noted {
                no: index + 1,
                log: &log,
            }),
        });

        assert_eq!(slice.err(), Some(EINTR));
        assert_eq!(log.get(), 1234);
    }

    #[test]
    fn empty_slice_is_one() -> Result {
        assert!(PinnedSlice::new(0, |_| -> Result<u64> { Err(EIO) })?.is_empty());
        Ok(())
    }

    /// Without a warning of the allocator, which would fail the run.
    #[test]
    fn absurd_sizes_are_refused() {
        for len in [1 << 19, 1 << 40, usize::MAX] {
            let slice = PinnedSlice::new(len, |_| -> Result<[u64; 512]> { Ok([0; 512]) });

            assert_eq!(slice.err(), Some(ENOMEM));
        }
    }
}
