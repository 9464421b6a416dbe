// SPDX-License-Identifier: GPL-2.0

//! Writes that the block layer is not done with.
//!
//! A submitter hears of the end of its write in `blk_update_request()`; only later, in
//! `blk_mq_finish_request()`, is the write taken off the zone write plug of its zone
//! (`block/blk-zoned.c`). What the submitter does in between with the zone may make the block layer
//! give the plug up while the next write is on it, and fail the one after that.
//!
//! The driver does not see all who hold a plug: the block layer's workers that have sent a write
//! keep it for a moment more. An append in that moment still has the regular write after it fail; a
//! reset does no harm.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use super::request::req_op;
use crate::abstractions::ffi;
use core::{
    ffi::c_void,
    ops::Range,
    ptr, //
};
use kernel::bindings;

/// Whether a write that begins in one of `sectors` has ended for its submitter, or is about to, but
/// not for the block layer yet. Any context.
///
/// Goes through all requests in flight.
///
/// # Safety
///
/// `queue` is valid and has a tag set, which stays for the duration of the call.
pub(super) unsafe fn is_write_ending(
    queue: *mut bindings::request_queue,
    sectors: Range<u64>,
) -> bool {
    let mut search = Search {
        sectors,
        found: false,
    };

    // SAFETY: By this function's contract.
    let tag_set = unsafe { (*queue).tag_set };
    // SAFETY: By this function's contract. `visit` gets a pointer to what it expects, and nobody
    // else uses that meanwhile.
    unsafe {
        bindings::blk_mq_tagset_busy_iter(
            tag_set,
            Some(Search::visit),
            ptr::from_mut(&mut search).cast(),
        )
    };
    search.found
}

struct Search {
    sectors: Range<u64>,
    found: bool,
}

impl Search {
    /// Looks at one request; returns whether the search of its hardware queue goes on. That of the
    /// next one begins in any case.
    ///
    /// # Safety
    ///
    /// Called by blk-mq only, with a reference to `rq` held, which keeps others from using it anew.
    /// `this` points at a `Search` that nobody else uses.
    unsafe extern "C" fn visit(rq: *mut bindings::request, this: *mut c_void) -> bool {
        // SAFETY: By this function's contract.
        let this = unsafe { &mut *this.cast::<Self>() };

        // SAFETY: By this function's contract.
        this.found |= unsafe { this.matches(rq) };
        !this.found
    }

    /// # Safety
    ///
    /// `rq` is valid, and its tag is not given to anybody else meanwhile.
    unsafe fn matches(&self, rq: *mut bindings::request) -> bool {
        // What the driver has not completed belongs to it; the fields are not looked at.
        // SAFETY: By this function's contract.
        if unsafe { ffi::blk_mq_request_completed(rq) } == 0 {
            return false;
        }

        // SAFETY: The request is valid, and its end does not change the operation.
        let op = req_op(unsafe { (*rq).cmd_flags });
        // SAFETY: As above. The end is one of all the data, which does not move the start.
        let sector = unsafe { (*rq).__sector };
        // SAFETY: The request is valid.
        let flags = unsafe { &raw const (*rq).rq_flags };
        // SAFETY: As above. Other flags may change meanwhile; this one goes before anybody hears of
        // the end.
        let flags = unsafe { flags.read_volatile() };

        // A write that waits for the flush after it was taken off the plug before (`blk-flush.c`).
        op == bindings::req_op_REQ_OP_WRITE
            && self.sectors.contains(&sector)
            && flags & ffi::RQF_FLUSH_SEQ == 0
    }
}
