// SPDX-License-Identifier: GPL-2.0

//! Requests that a driver owns.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use super::{
    ending,
    operations::{
        Operations,
        VTables, //
    },
    pdu::Pdu,
    status::Status, //
};
use crate::abstractions::{
    ffi,
    task::may_call_back,
    workqueue::OwnedQueue, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Range,
    ptr::NonNull, //
};
use kernel::bindings;

/// What a request asks for (`REQ_OP_*`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Flush,
    ZoneOpen,
    ZoneClose,
    ZoneFinish,
    ZoneReset,
    ZoneResetAll,
    ZoneAppend,
    /// Anything else; no queue limit of a zoned disk made here allows it.
    Other,
}

/// A started request, owned by the driver.
///
/// It is the only handle of the request. It must end with [`Request::end`]; one that is dropped
/// ends with an I/O error, so that no request is ever lost.
///
/// # Invariants
///
/// - The pointee is a started request of a tag set made by [`super::tag_set::TagSet`], with an
///   initialised [`Pdu<T>`], of a queue whose `queuedata` points at a `T::Device`.
/// - No other handle of it exists, and no work item or I/O uses it.
pub(crate) struct Request<T: Operations>(NonNull<bindings::request>, PhantomData<T>);

// SAFETY: A request may be handled on any CPU and in any task; the driver's part of it is `Send`
// and its device is `Sync` by the bounds of `Operations`.
unsafe impl<T: Operations> Send for Request<T> {}

/// The operation of a request with these `cmd_flags`, as `req_op()`.
#[inline]
pub(super) fn req_op(flags: bindings::blk_opf_t) -> bindings::req_op {
    flags & ((1 << bindings::REQ_OP_BITS) - 1)
}

/// Whether data goes to the device in a request with these `cmd_flags`, as `op_is_write()`.
#[inline]
pub(super) fn op_is_write(flags: bindings::blk_opf_t) -> bool {
    flags & 1 != 0
}

impl<T: Operations> Request<T> {
    /// Makes the handle of a request.
    ///
    /// # Safety
    ///
    /// The type invariants must hold for `rq`.
    pub(super) unsafe fn from_raw(rq: *mut bindings::request) -> Self {
        // SAFETY: A valid pointer is not null.
        // INVARIANT: By this function's contract.
        Self(unsafe { NonNull::new_unchecked(rq) }, PhantomData)
    }

    /// Gives up the handle without ending the request.
    pub(super) fn into_raw(self) -> NonNull<bindings::request> {
        ManuallyDrop::new(self).0
    }

    pub(super) fn as_raw(&self) -> *mut bindings::request {
        self.0.as_ptr()
    }

    pub(super) fn pdu(&self) -> &Pdu<T> {
        // SAFETY: By the type invariants the request has an initialised PDU, which lives as long
        // as the request.
        unsafe { Pdu::get(self.as_raw()) }
    }

    /// What the request asks for.
    #[inline]
    pub(crate) fn op(&self) -> Op {
        // SAFETY: The request is valid, and its flags do not change while the driver has it.
        let flags = unsafe { (*self.as_raw()).cmd_flags };

        match req_op(flags) {
            bindings::req_op_REQ_OP_READ => Op::Read,
            bindings::req_op_REQ_OP_WRITE => Op::Write,
            bindings::req_op_REQ_OP_FLUSH => Op::Flush,
            bindings::req_op_REQ_OP_ZONE_OPEN => Op::ZoneOpen,
            bindings::req_op_REQ_OP_ZONE_CLOSE => Op::ZoneClose,
            bindings::req_op_REQ_OP_ZONE_FINISH => Op::ZoneFinish,
            bindings::req_op_REQ_OP_ZONE_RESET => Op::ZoneReset,
            bindings::req_op_REQ_OP_ZONE_RESET_ALL => Op::ZoneResetAll,
            bindings::req_op_REQ_OP_ZONE_APPEND => Op::ZoneAppend,
            _ => Op::Other,
        }
    }

    /// First sector. For a zone append, that of the zone until [`Request::set_sector`]. Has no
    /// meaning for a flush.
    #[inline]
    pub(crate) fn sector(&self) -> u64 {
        // SAFETY: The request is valid and owned by the caller.
        unsafe { (*self.as_raw()).__sector }
    }

    /// Says where a zone append went; the submitter gets to see it.
    #[inline]
    pub(crate) fn set_sector(&mut self, sector: u64) {
        // SAFETY: The request is valid and owned by the caller, who may change the sector of a
        // zone append (`blk_update_request()` hands it to the bio).
        unsafe { (*self.as_raw()).__sector = sector };
    }

    /// Length of the data in bytes.
    #[inline]
    pub(crate) fn len_bytes(&self) -> u32 {
        // SAFETY: The request is valid and owned by the caller.
        unsafe { (*self.as_raw()).__data_len }
    }

    /// Length of the data in sectors.
    #[inline]
    pub(crate) fn sectors(&self) -> u32 {
        self.len_bytes() >> bindings::SECTOR_SHIFT
    }

    /// Whether the data has to be durable when the request ends (`REQ_FUA`).
    #[inline]
    pub(crate) fn is_fua(&self) -> bool {
        // SAFETY: The request is valid, and its flags do not change while the driver has it.
        unsafe { (*self.as_raw()).cmd_flags & ffi::REQ_FUA != 0 }
    }

    /// The device that the request is for.
    ///
    /// The reference ends where the request does: once a device's last request has ended, the
    /// device may be gone.
    #[inline]
    pub(crate) fn device(&self) -> &T::Device {
        let queue = self.queue();
        // SAFETY: The queue of a request is valid, and its data is set before it has any.
        let data = unsafe { (*queue).queuedata };

        // SAFETY: By the type invariants this is a `T::Device`, which outlives the requests of the
        // queue: `del_gendisk()` waits for them, and the device goes later.
        unsafe { &*data.cast::<T::Device>() }
    }

    /// The queue that the request came by. It is valid as long as the request is.
    #[inline]
    fn queue(&self) -> *mut bindings::request_queue {
        // SAFETY: The request is valid, and its queue never changes.
        unsafe { (*self.as_raw()).q }
    }

    /// The driver's own part of the request.
    #[inline]
    pub(crate) fn state(&self) -> &T::State {
        // SAFETY: The request is owned by `self`, which is borrowed.
        unsafe { &*self.pdu().state.get() }
    }

    /// The driver's own part of the request, to change it.
    ///
    /// It keeps what the last user of the same tag left in it: initialise it in
    /// [`Operations::queue`].
    #[inline]
    pub(crate) fn state_mut(&mut self) -> &mut T::State {
        // SAFETY: The request is owned by `self`, which is borrowed mutably.
        unsafe { &mut *self.pdu().state.get() }
    }

    /// Whether a [write is ending](ending::is_write_ending) that begins in one of `sectors` of the
    /// request's disk. Any context.
    pub(crate) fn is_write_ending(&self, sectors: Range<u64>) -> bool {
        // SAFETY: The request and so its queue are valid, and keep the queue's tag set.
        unsafe { ending::is_write_ending(self.queue(), sectors) }
    }

    /// Sets the data of a read beyond the first `from` bytes to zero. Any context.
    pub(crate) fn zero_from(&mut self, from: u32) {
        if self.op() != Op::Read {
            return;
        }
        // SAFETY: The request is valid, and the pages of a read are the driver's to write to.
        unsafe { ffi::zloop_rq_zero_from(self.as_raw(), from) };
    }

    /// Has [`Operations::run`] continue the request in the device's workqueue. Any context.
    pub(crate) fn defer(self) {
        let queue: *const OwnedQueue = T::work_queue(self.device());
        let work = self.pdu().work.get();

        // The work item makes a handle anew.
        self.into_raw();
        // SAFETY: The request keeps the device and so the workqueue until the work item runs, which
        // it can only after the pool's lock was released, and queuing does not touch the workqueue
        // after that.
        let queue = unsafe { &*queue };
        // SAFETY: The work is initialised and not queued, since only the owner of the request
        // queues it, and it lives until the request ends, which `run_work` decides.
        unsafe { queue.queue_raw(work) };
    }

    /// Ends the request and those that it [leads](Request::lead): the submitters get `status`. Any
    /// context.
    pub(crate) fn end(mut self, status: Status) {
        if !self.convoy().is_empty() {
            let mut followers = self.dismiss();

            while let Some(rq) = followers.pop() {
                rq.end(status);
            }
        }

        let queue = self.queue();
        let rq = self.into_raw().as_ptr();
        // SAFETY: By the type invariants the request has an initialised PDU.
        let pdu = unsafe { Pdu::<T>::get(rq) };

        // SAFETY: The handle was `self`, so the request is owned here.
        unsafe { pdu.set_status(status) };
        // SAFETY: The request and so its queue are valid.
        if unsafe { ffi::blk_should_fake_timeout(queue) } {
            pdu.swallow();
        } else if may_call_back() {
            // With one hardware queue for several CPUs the block layer would raise a soft
            // interrupt, and a task that does that wakes `ksoftirqd`.
            // SAFETY: The request is started, its status is stored, and the handle that could
            // complete it another time is gone.
            unsafe { ffi::blk_mq_complete_request_direct(rq, Some(VTables::<T>::complete)) };
        } else {
            // SAFETY: The request is started, and the handle that could complete it another time
            // is gone.
            unsafe { bindings::blk_mq_complete_request(rq) };
        }
    }
}

impl<T: Operations> Drop for Request<T> {
    fn drop(&mut self) {
        // SAFETY: The handle is not used after this: the one made here takes its place.
        let this = unsafe { Self::from_raw(self.as_raw()) };

        this.end(Status::IO_ERROR);
    }
}
