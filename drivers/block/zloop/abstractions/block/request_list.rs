// SPDX-License-Identifier: GPL-2.0

//! A queue of requests that wait for something.

use super::{
    operations::Operations,
    pdu::Pdu,
    request::Request, //
};
use core::{
    marker::PhantomData,
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

    /// Takes the request that waits longest.
    pub(crate) fn pop(&mut self) -> Option<Request<T>> {
        let (first, last) = self.ends?;
        // SAFETY: `first` is owned by the list and has a PDU.
        let next = unsafe { *Pdu::<T>::of(first.as_ptr()).as_ref().next.get() };

        self.ends = next.map(|next| (next, last));
        // SAFETY: The list held the only handle of `first` and has given it up.
        Some(unsafe { Request::from_raw(first.as_ptr()) })
    }
}

impl<T: Operations> Drop for RequestList<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// # Safety
///
/// The caller must own `rq`, a request with a PDU of `T`.
unsafe fn set_next<T: Operations>(
    rq: NonNull<bindings::request>,
    next: Option<NonNull<bindings::request>>,
) {
    // SAFETY: By this function's contract the PDU is valid.
    let link = unsafe { Pdu::<T>::of(rq.as_ptr()).as_ref().next.get() };

    // SAFETY: The owner of the request is the only one to use its link.
    unsafe { *link = next };
}
