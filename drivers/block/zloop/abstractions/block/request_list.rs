// SPDX-License-Identifier: GPL-2.0

//! A queue of requests that wait for something.

use super::{
    operations::Operations,
    pdu::Pdu,
    request::Request, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::bindings;

/// First in, first out; linked through the requests, so that adding one cannot fail.
///
/// # Invariants
///
/// `ends` names the first and the last of a chain linked by `Pdu::next` of requests whose handles
/// the list owns; the last one's link is `None`.
pub(crate) struct RequestList<T: Operations> {
    ends: Option<(NonNull<bindings::request>, NonNull<bindings::request>)>,
    _driver: PhantomData<fn() -> T>,
}

// SAFETY: The list owns its requests, which are `Send`.
unsafe impl<T: Operations> Send for RequestList<T> {}

impl<T: Operations> RequestList<T> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            ends: None,
            _driver: PhantomData,
        }
    }

    /// Adds a request behind all others.
    pub(crate) fn push(&mut self, rq: Request<T>) {
        let rq = rq.into_raw();

        // SAFETY: The list owns the request now, so that its link is free to use.
        unsafe { set_next::<T>(rq, None) };
        self.ends = match self.ends {
            None => Some((rq, rq)),
            Some((first, last)) => {
                // SAFETY: `last` is owned by the list.
                unsafe { set_next::<T>(last, Some(rq)) };
                Some((first, rq))
            }
        };
    }

    /// Whether there is none in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Takes the request that waits longest.
    pub(crate) fn pop(&mut self) -> Option<Request<T>> {
        let (first, last) = self.ends?;
        // SAFETY: The list owns `first`.
        let next = unsafe { next::<T>(first) };

        self.ends = next.map(|next| (next, last));
        // SAFETY: The list held the only handle of `first` and has given it up.
        Some(unsafe { Request::from_raw(first.as_ptr()) })
    }

    /// The request that waits longest.
    pub(crate) fn first(&self) -> Option<impl core::ops::Deref<Target = Request<T>> + '_> {
        // SAFETY: The list holds the only handle of the request; this one is lent, and gone before
        // the list changes.
        self.ends.map(|(first, _)| unsafe { lend::<T>(first) })
    }

    /// Takes the request that waits longest if `fits` says so.
    pub(crate) fn pop_if(&mut self, fits: impl FnOnce(&Request<T>) -> bool) -> Option<Request<T>> {
        let (first, _) = self.ends?;
        // SAFETY: The list holds the only handle of `first`; this one is lent, and gone before that
        // is used.
        let lent = unsafe { lend::<T>(first) };

        if fits(&lent) {
            self.pop()
        } else {
            None
        }
    }

    /// Takes the requests that wait longest, up to the first that does not fit.
    pub(crate) fn pop_while(&mut self, mut fits: impl FnMut(&Request<T>) -> bool) -> Self {
        let mut taken = Self::new();

        while let Some(rq) = self.pop_if(&mut fits) {
            taken.push(rq);
        }
        taken
    }

    /// Calls `f` with each request, the one that waits longest first.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Request<T>)) {
        let mut at = self.ends.map(|(first, _)| first);

        while let Some(rq) = at {
            // SAFETY: The list holds the only handle of `rq`; this one is lent.
            let lent = unsafe { lend::<T>(rq) };

            f(&lent);
            // SAFETY: The list owns `rq`.
            at = unsafe { next::<T>(rq) };
        }
    }

    /// Adds the requests of `first` before all others.
    pub(crate) fn prepend(&mut self, mut first: Self) {
        let Some((head, tail)) = first.ends.take() else {
            return;
        };

        self.ends = match self.ends {
            None => Some((head, tail)),
            Some((next, last)) => {
                // SAFETY: `tail` is owned by this list now.
                unsafe { set_next::<T>(tail, Some(next)) };
                Some((head, last))
            }
        };
    }
}

impl<T: Operations> Default for RequestList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Operations> Drop for RequestList<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// A handle to look at a request with. It does not end the request when it is dropped.
///
/// # Safety
///
/// The caller must own `rq`, and use no other handle of it while this one exists.
unsafe fn lend<T: Operations>(rq: NonNull<bindings::request>) -> ManuallyDrop<Request<T>> {
    // SAFETY: By this function's contract.
    ManuallyDrop::new(unsafe { Request::from_raw(rq.as_ptr()) })
}

/// The request behind `rq` in its list.
///
/// # Safety
///
/// The caller must own `rq`, a request with a PDU of `T`.
unsafe fn next<T: Operations>(
    rq: NonNull<bindings::request>,
) -> Option<NonNull<bindings::request>> {
    // SAFETY: By this function's contract the PDU is valid.
    let link = unsafe { Pdu::<T>::get(rq.as_ptr()) }.next.get();

    // SAFETY: The owner of the request is the only one to use its link.
    unsafe { *link }
}

/// # Safety
///
/// The caller must own `rq`, a request with a PDU of `T`.
unsafe fn set_next<T: Operations>(
    rq: NonNull<bindings::request>,
    next: Option<NonNull<bindings::request>>,
) {
    // SAFETY: By this function's contract the PDU is valid.
    let link = unsafe { Pdu::<T>::get(rq.as_ptr()) }.next.get();

    // SAFETY: The owner of the request is the only one to use its link.
    unsafe { *link = next };
}
