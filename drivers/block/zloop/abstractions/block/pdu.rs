// SPDX-License-Identifier: GPL-2.0

//! The driver's part of a request: memory that blk-mq allocates behind each `struct request`.

use super::{
    convoy::Convoy,
    operations::Operations,
    request::Request,
    status::Status, //
};
use crate::abstractions::{
    fs::BackingFile,
    task::NoIo, //
};
use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    static_lock_class,
    sync::atomic::{
        ordering::{
            Acquire,
            Full,
            Relaxed,
            Release, //
        },
        Atomic, //
    },
    types::Opaque, //
};

/// The request is with the driver, or with the block layer.
const NORMAL: u32 = 0;
/// The request has ended, but fault injection keeps its completion from the block layer.
const SWALLOWED: u32 = 1;

/// State that the abstraction keeps for each request.
///
/// # Invariants
///
/// While a request is started, the fields in [`UnsafeCell`] are accessed by the owner of its
/// [`Request`] only.
#[repr(C)]
pub(super) struct Pdu<T: Operations> {
    /// Used by [`Request::defer`].
    pub(super) work: Opaque<bindings::work_struct>,
    /// Used by [`Request::submit`] while the I/O is in flight.
    pub(super) kiocb: Opaque<bindings::kiocb>,
    /// What is in flight: the submission and the completion hold one each, and the one who drops
    /// the last takes the request on.
    pub(super) refs: Atomic<u32>,
    /// Whether fault injection swallowed the completion.
    completion: Atomic<u32>,
    /// What the I/O returned: bytes or a negative errno.
    pub(super) result: UnsafeCell<isize>,
    /// Keeps the file of `kiocb` open.
    pub(super) file: UnsafeCell<Option<BackingFile>>,
    /// Others whose data goes with this request's.
    pub(super) convoy: UnsafeCell<Convoy<T>>,
    /// Copy of the segments of a request of several bios, or of a convoy.
    pub(super) bvecs: UnsafeCell<KVec<bindings::bio_vec>>,
    /// Status to end the request with.
    status: UnsafeCell<Status>,
    /// Link of [`super::request_list::RequestList`].
    pub(super) next: UnsafeCell<Option<NonNull<bindings::request>>>,
    /// The driver's own.
    pub(super) state: UnsafeCell<T::State>,
}

impl<T: Operations> Pdu<T> {
    /// The PDU of a request.
    ///
    /// # Safety
    ///
    /// `rq` must point at a request of a tag set whose `cmd_size` is the size of a `Pdu<T>`.
    #[inline]
    pub(super) unsafe fn of(rq: *mut bindings::request) -> NonNull<Self> {
        // SAFETY: The PDU follows the request in one allocation (`blk_mq_rq_to_pdu()`), so the
        // result is in bounds. It is aligned, since `TagSet::new()` checks that a PDU needs no more
        // alignment than a request.
        let pdu = unsafe { rq.add(1) };

        // SAFETY: It is within an allocation.
        unsafe { NonNull::new_unchecked(pdu.cast()) }
    }

    /// A reference to the PDU of a request.
    ///
    /// # Safety
    ///
    /// As for [`Pdu::of`], and the PDU must be initialised and stay so while the reference is used.
    #[inline]
    pub(super) unsafe fn get<'a>(rq: *mut bindings::request) -> &'a Self {
        // SAFETY: By this function's contract.
        let pdu = unsafe { Self::of(rq) };

        // SAFETY: By this function's contract. What is changed in a PDU is in cells.
        unsafe { pdu.as_ref() }
    }

    /// The request of a PDU: the inverse of [`Pdu::of`].
    ///
    /// # Safety
    ///
    /// `pdu` must come from [`Pdu::of`].
    #[inline]
    pub(super) unsafe fn request(pdu: *mut Self) -> *mut bindings::request {
        // SAFETY: The request precedes its PDU in the same allocation.
        unsafe { pdu.cast::<bindings::request>().sub(1) }
    }

    /// Initialises the PDU of a request.
    ///
    /// # Safety
    ///
    /// As for [`Pdu::of`], and the PDU must not be in use.
    pub(super) unsafe fn init(rq: *mut bindings::request) {
        // SAFETY: By this function's contract.
        let pdu = unsafe { Self::of(rq) };

        // SAFETY: The memory is reserved for the PDU and nobody uses it yet.
        unsafe {
            pdu.write(Self {
                work: Opaque::uninit(),
                kiocb: Opaque::zeroed(),
                refs: Atomic::new(0),
                completion: Atomic::new(NORMAL),
                result: UnsafeCell::new(0),
                file: UnsafeCell::new(None),
                convoy: UnsafeCell::new(Convoy::default()),
                bvecs: UnsafeCell::new(KVec::new()),
                status: UnsafeCell::new(Status::OK),
                next: UnsafeCell::new(None),
                state: UnsafeCell::new(T::State::default()),
            })
        };
        // SAFETY: It was initialised just now.
        let work = unsafe { pdu.as_ref() }.work.get();

        // SAFETY: `work` is reserved memory at its final address, and the name and the lock class
        // are static.
        unsafe {
            bindings::init_work_with_key(
                work,
                Some(Self::run_work),
                false,
                c"Request::work".as_char_ptr(),
                static_lock_class!().as_ptr(),
            )
        };
    }

    /// # Safety
    ///
    /// Called by the workqueue only, for a `work` that [`Request::defer`] queued.
    unsafe extern "C" fn run_work(work: *mut bindings::work_struct) {
        let _scope = NoIo::enter();

        // SAFETY: `work` is the first field of a `repr(C)` PDU.
        let rq = unsafe { Self::request(work.cast()) };

        // SAFETY: `defer` gave up the handle of the request, so this is its only one.
        T::run(unsafe { Request::from_raw(rq) });
    }

    /// The status to end the request with.
    pub(super) fn status(&self) -> Status {
        // SAFETY: By the type invariant the writer was the owner of the request, who has given it
        // up: `blk_mq_complete_request()` orders that write before this read.
        unsafe { *self.status.get() }
    }

    /// Sets the status to end the request with.
    ///
    /// # Safety
    ///
    /// The caller must own the request.
    pub(super) unsafe fn set_status(&self, status: Status) {
        // SAFETY: By this function's contract there is no other access.
        unsafe { *self.status.get() = status };
    }

    /// Marks the completion as withheld; [`Pdu::reclaim_swallowed`] will find it.
    pub(super) fn swallow(&self) {
        self.completion.store(SWALLOWED, Release);
    }

    /// Takes a withheld completion over, with the status of a timeout. Returns false if there is
    /// none.
    pub(super) fn reclaim_swallowed(&self) -> bool {
        if self.completion.cmpxchg(SWALLOWED, NORMAL, Acquire).is_err() {
            return false;
        }
        // SAFETY: The owner gave the request up when it marked the completion, and the exchange
        // succeeds for one caller only, so that the request is this caller's.
        unsafe { self.set_status(Status::TIMEOUT) };
        true
    }

    /// Sets the number of parties of an I/O that is about to be submitted.
    pub(super) fn begin_io(&self) {
        self.refs.store(2, Relaxed);
    }

    /// Drops one party. Returns true to the last one.
    pub(super) fn finish_io(&self) -> bool {
        self.refs.fetch_sub(1, Full) == 1
    }
}
