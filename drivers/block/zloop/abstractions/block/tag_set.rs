// SPDX-License-Identifier: GPL-2.0

//! Tag sets: the requests that a device can have in flight.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use super::{
    operations::{
        Operations,
        VTables, //
    },
    pdu::Pdu, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// Most requests that one queue can have in flight (`BLK_MQ_MAX_DEPTH`).
pub(crate) const MAX_QUEUE_DEPTH: u32 = bindings::BLK_MQ_MAX_DEPTH;

/// Queues and preallocated requests, each with a `T::State`.
///
/// # Invariants
///
/// `inner` was initialised by `blk_mq_alloc_tag_set()`.
#[pin_data(PinnedDrop)]
pub(crate) struct TagSet<T: Operations> {
    #[pin]
    inner: Opaque<bindings::blk_mq_tag_set>,
    _driver: PhantomData<T>,
}

// SAFETY: A tag set is not bound to a task; blk-mq serialises what needs it.
unsafe impl<T: Operations> Send for TagSet<T> {}
// SAFETY: As above.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    /// Allocates `nr_queues` queues of `queue_depth` requests. May sleep.
    ///
    /// `queue_depth` must be at most [`MAX_QUEUE_DEPTH`], otherwise `EINVAL`.
    /// With `nested` the driver may submit I/O in [`Operations::queue`].
    pub(crate) fn new(nr_queues: u32, queue_depth: u32, nested: bool) -> impl PinInit<Self, Error> {
        // A PDU follows its request, and is as well aligned as that.
        const { assert!(align_of::<Pdu<T>>() <= align_of::<bindings::request>()) };

        try_pin_init!(Self {
            inner <- Opaque::try_ffi_init(move |slot: *mut bindings::blk_mq_tag_set| {
                if queue_depth > MAX_QUEUE_DEPTH {
                    return Err(EINVAL);
                }
                let mut set: bindings::blk_mq_tag_set = pin_init::zeroed();

                set.ops = &VTables::<T>::MQ;
                set.nr_hw_queues = nr_queues;
                set.queue_depth = queue_depth;
                set.numa_node = bindings::NUMA_NO_NODE;
                if nested {
                    // `queue_rq` may sleep. A scheduler would hand every request to another
                    // thread first, and is of no use: the block layer itself keeps the writes to
                    // a zone in order, and what is below the files has a scheduler of its own.
                    set.flags =
                        bindings::BLK_MQ_F_BLOCKING | bindings::BLK_MQ_F_NO_SCHED_BY_DEFAULT;
                }
                set.cmd_size = u32::try_from(core::mem::size_of::<Pdu<T>>())?;
                // SAFETY: `slot` is memory for a tag set, at its final address.
                unsafe { slot.write(set) };
                // SAFETY: The fields that the function reads are set, the others zero.
                to_result(unsafe { bindings::blk_mq_alloc_tag_set(slot) })
            }),
            _driver: PhantomData,
        })
    }

    pub(super) fn as_raw(&self) -> *mut bindings::blk_mq_tag_set {
        self.inner.get()
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for TagSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the set was allocated. No queue uses it any more: whoever
        // has a disk keeps its tag set.
        unsafe { bindings::blk_mq_free_tag_set(self.inner.get()) };
    }
}
