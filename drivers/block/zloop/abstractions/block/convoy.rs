// SPDX-License-Identifier: GPL-2.0

//! Several requests whose data is moved by one I/O.

use super::{
    operations::Operations,
    request::Request,
    request_list::RequestList, //
};
use crate::abstractions::ffi;
use kernel::{
    bindings,
    prelude::*, //
};

/// The requests that one takes with it.
pub(super) struct Convoy<T: Operations> {
    followers: RequestList<T>,
    /// Length of their data.
    bytes: u32,
    /// Whether any of them has to be durable when it ends.
    fua: bool,
}

impl<T: Operations> Default for Convoy<T> {
    fn default() -> Self {
        Self {
            followers: RequestList::new(),
            bytes: 0,
            fua: false,
        }
    }
}

impl<T: Operations> Convoy<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.followers.is_empty()
    }
}

impl<T: Operations> Request<T> {
    /// Has one I/O of [`Request::submit`] move the data of `followers` behind this request's own, as
    /// if all of it were one request's. The followers are kept until [`Request::dismiss`].
    ///
    /// Returns them if there is no memory at once, which is not worth waiting for, and if they are
    /// not all what this request is. Together they must not be longer than `u32::MAX` bytes, and this
    /// request must have no followers yet.
    pub(crate) fn lead(&mut self, followers: RequestList<T>) -> Result<(), RequestList<T>> {
        let mut nr = segments(self);
        let mut bytes = 0;
        let mut fua = false;
        let mut alike = true;

        followers.for_each(|rq| {
            alike &= rq.op() == self.op();
            nr += segments(rq);
            bytes += rq.len_bytes();
            fua |= rq.is_fua();
        });
        if !alike {
            return Err(followers);
        }
        let Ok(mut bvecs) = KVec::with_capacity(nr, GFP_NOWAIT) else {
            return Err(followers);
        };

        add_segments(self, &mut bvecs);
        followers.for_each(|rq| add_segments(rq, &mut bvecs));
        // SAFETY: The request is owned here, and no I/O of it is in flight.
        unsafe { *self.pdu().bvecs.get() = bvecs };
        // SAFETY: As above.
        unsafe {
            *self.pdu().convoy.get() = Convoy {
                followers,
                bytes,
                fua,
            }
        };
        Ok(())
    }

    /// Lets the followers go, in their order.
    pub(crate) fn dismiss(&mut self) -> RequestList<T> {
        // SAFETY: The request is owned here, and no I/O of it is in flight.
        let convoy = unsafe { &mut *self.pdu().convoy.get() };

        if convoy.is_empty() {
            return RequestList::new();
        }
        // SAFETY: As above.
        drop(core::mem::take(unsafe { &mut *self.pdu().bvecs.get() }));
        core::mem::take(convoy).followers
    }

    /// Those that go with this request.
    pub(crate) fn followers(&self) -> &RequestList<T> {
        &self.convoy().followers
    }

    /// Length in bytes of what an I/O moves: the data of this request and that of its followers.
    #[inline]
    pub(crate) fn span(&self) -> u32 {
        self.len_bytes() + self.convoy().bytes
    }

    /// Whether an I/O has to be durable when it ends.
    #[inline]
    pub(super) fn is_any_fua(&self) -> bool {
        self.is_fua() || self.convoy().fua
    }

    pub(super) fn convoy(&self) -> &Convoy<T> {
        // SAFETY: The request is owned here; only `lead` and `dismiss` change this, of a request
        // borrowed mutably.
        unsafe { &*self.pdu().convoy.get() }
    }
}

/// How many segments the data of a request has.
pub(super) fn segments<T: Operations>(rq: &Request<T>) -> usize {
    // SAFETY: With no room given the function only counts.
    let nr = unsafe { ffi::zloop_rq_bvecs(rq.as_raw(), core::ptr::null_mut(), 0) };

    // CAST: The number of segments of a request fits.
    nr as usize
}

/// Adds the segments of a request to `bvecs`, as far as there is room.
pub(super) fn add_segments<T: Operations>(rq: &Request<T>, bvecs: &mut KVec<bindings::bio_vec>) {
    let room = bvecs.spare_capacity_mut();
    // CAST: No request has that many segments.
    let max = u32::try_from(room.len()).unwrap_or(u32::MAX);

    // SAFETY: There is room for `max` elements.
    let nr = unsafe { ffi::zloop_rq_bvecs(rq.as_raw(), room.as_mut_ptr().cast(), max) };
    // SAFETY: The function initialised as many elements as it counted, at most `max`.
    unsafe { bvecs.inc_len(nr.min(max) as usize) };
}
