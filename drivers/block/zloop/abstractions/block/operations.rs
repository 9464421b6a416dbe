// SPDX-License-Identifier: GPL-2.0

//! What a driver implements, and the C function tables made of it.
//!
//! C headers: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h),
//! [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use super::{
    gen_disk::DiskData,
    nested::Nested,
    pdu::Pdu,
    request::Request,
    request_list::RequestList,
    zone_report::ZoneReport, //
};
use crate::abstractions::{
    compat::{
        this_module,
        ModuleMetadata, //
    },
    ffi,
    workqueue::OwnedQueue, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::from_result,
    prelude::*,
    types::ForeignOwnable, //
};

/// A driver of zoned block devices.
///
/// Each request passes through these functions by ownership: whoever holds the [`Request`] is the
/// only one who acts on it, and a request that is dropped ends with an I/O error.
pub(crate) trait Operations: Sized + 'static {
    /// The module that implements this; it cannot be unloaded while a disk is open.
    type OwnerModule: ModuleMetadata;
    /// State of one device. It lives at least as long as any request of the device.
    type Device: Send + Sync + 'static;
    /// State of one request, kept while the request is in the driver.
    type State: Default + Send + 'static;

    /// The workqueue of a device, which runs what is given to [`Request::defer`].
    fn work_queue(device: &Self::Device) -> &OwnedQueue;

    /// Takes a new request. Process context. Must not sleep without `nested`.
    ///
    /// With `nested` sleeping keeps the submitter waiting, and the request's I/O may be submitted at
    /// once by [`Request::try_submit`]; otherwise the submitter is in no state for that.
    fn queue(rq: Request<Self>, nested: Option<&Nested>);

    /// Takes new requests that somebody has collected (`blk_start_plug()`), in the order in which
    /// they were submitted. Otherwise as [`Operations::queue`].
    fn queue_together(requests: RequestList<Self>, nested: Option<&Nested>);

    /// Continues a request that was given to [`Request::defer`]. Process context, may sleep;
    /// memory allocations do not start I/O ([`NoIo`]).
    ///
    /// [`NoIo`]: crate::abstractions::task::NoIo
    fn run(rq: Request<Self>);

    /// Takes back a request that was given to [`Request::submit`] or [`Request::try_submit`].
    ///
    /// `result` is the number of bytes moved, which may be less than asked for, or the error. Any
    /// context; only if `in_task()` says so is it process context, and it must not sleep then
    /// either, because it may be the file system's completion work that runs it.
    fn io_done(rq: Request<Self>, result: Result<u32>);

    /// Reports up to `nr` zones from the one that `sector` is in, by [`ZoneReport::add`]. Process
    /// context, may sleep.
    fn report_zones(
        device: &Self::Device,
        sector: u64,
        nr: u32,
        report: &mut ZoneReport<'_>,
    ) -> Result;
}

/// Starts a request and makes its handle.
///
/// # Safety
///
/// `rq` must be a request of a tag set made by [`super::tag_set`] with the operations of `T`, which
/// the driver owns and has not started.
unsafe fn start<T: Operations>(rq: *mut bindings::request) -> Request<T> {
    // SAFETY: By this function's contract.
    unsafe { bindings::blk_mq_start_request(rq) };
    // SAFETY: The request is started and owned by the driver; this is its only handle.
    unsafe { Request::from_raw(rq) }
}

/// Enters a scope for nested I/O where the submitter to `hctx` may sleep and is in a state for it.
///
/// # Safety
///
/// `hctx` must be valid for the duration of the call.
unsafe fn may_nest(hctx: *const bindings::blk_mq_hw_ctx) -> Option<Nested> {
    // CAST: A single low bit.
    const BLOCKING: usize = bindings::BLK_MQ_F_BLOCKING as usize;

    // SAFETY: By this function's contract.
    if unsafe { (*hctx).flags } & BLOCKING == 0 {
        return None;
    }
    // SAFETY: As above.
    unsafe { Nested::enter(hctx) }
}

/// The function tables of `T`.
pub(super) struct VTables<T: Operations>(PhantomData<T>);

impl<T: Operations> VTables<T> {
    /// # Safety
    ///
    /// Called by blk-mq only: `hctx` is valid, and `(*bd).rq` is a request of a tag set made by
    /// [`super::tag_set`] that the driver owns from now on.
    unsafe extern "C" fn queue_rq(
        hctx: *mut bindings::blk_mq_hw_ctx,
        bd: *const bindings::blk_mq_queue_data,
    ) -> bindings::blk_status_t {
        // SAFETY: `bd` is valid for the duration of the call by this function's contract.
        let rq = unsafe { (*bd).rq };
        // SAFETY: By this function's contract.
        let rq = unsafe { start(rq) };
        // SAFETY: The hardware queue is valid for the duration of the call.
        let nested = unsafe { may_nest(hctx) };

        T::queue(rq, nested.as_ref());
        super::status::Status::OK.as_raw()
    }

    /// # Safety
    ///
    /// Called by blk-mq only: `list` is not empty and has requests of one queue with a tag set made
    /// by [`super::tag_set`], each with its hardware queue. The driver owns those that it takes out
    /// of the list.
    unsafe extern "C" fn queue_rqs(list: *mut bindings::rq_list) {
        // SAFETY: By this function's contract.
        let first = unsafe { (*list).head };
        // SAFETY: As above, there is one.
        let hctx = unsafe { (*first).mq_hctx };
        let mut requests = RequestList::new();

        loop {
            // SAFETY: By this function's contract.
            let rq = unsafe { ffi::rq_list_pop(list) };

            if rq.is_null() {
                break;
            }
            // SAFETY: It was in the list and belongs to the driver now.
            requests.push(unsafe { start(rq) });
        }
        // SAFETY: The hardware queue is valid while none of its requests has ended.
        let nested = unsafe { may_nest(hctx) };

        T::queue_together(requests, nested.as_ref());
    }

    /// # Safety
    ///
    /// Called by blk-mq and [`Request::end`] only, for a request whose status the latter stored.
    pub(super) unsafe extern "C" fn complete(rq: *mut bindings::request) {
        // SAFETY: `rq` has an initialised PDU, and nobody else uses the request any more.
        let status = unsafe { Pdu::<T>::get(rq) }.status();

        // Zone commands have no length, and the block layer makes one request of several for the
        // same zone, which end where the next one begins. Of bios without data each call ends one,
        // and `blk_mq_end_request()`, which has a single call, is a `BUG()` if that is not all.
        loop {
            // SAFETY: The request was started and has not been ended: `Request::end` consumed the
            // only handle that could.
            let len = unsafe { (*rq).__data_len };
            // SAFETY: As above.
            let more = unsafe { bindings::blk_update_request(rq, status.as_raw(), len) };

            if !more {
                break;
            }
        }
        // SAFETY: As above, and none of its bios is left.
        unsafe { bindings::__blk_mq_end_request(rq, status.as_raw()) };
    }

    /// # Safety
    ///
    /// Called by blk-mq only, with a reference to `rq` held.
    unsafe extern "C" fn timeout(rq: *mut bindings::request) -> bindings::blk_eh_timer_return {
        // SAFETY: `rq` has an initialised PDU for as long as the tag set lives.
        let pdu = unsafe { Pdu::<T>::get(rq) };

        if pdu.reclaim_swallowed() {
            // SAFETY: The completion of this request was withheld, and the call above made this
            // function the only one to deliver it.
            unsafe { bindings::blk_mq_complete_request(rq) };
            bindings::blk_eh_timer_return_BLK_EH_DONE
        } else {
            // The driver still works on the request, and file I/O cannot be cancelled.
            bindings::blk_eh_timer_return_BLK_EH_RESET_TIMER
        }
    }

    /// # Safety
    ///
    /// Called by blk-mq only, for a request of a tag set whose `cmd_size` is that of [`Pdu<T>`].
    unsafe extern "C" fn init_request(
        _set: *mut bindings::blk_mq_tag_set,
        rq: *mut bindings::request,
        _hctx_idx: kernel::ffi::c_uint,
        _node: kernel::ffi::c_int,
    ) -> kernel::ffi::c_int {
        // SAFETY: The memory behind `rq` is reserved for a PDU and not in use yet.
        unsafe { Pdu::<T>::init(rq) };
        0
    }

    /// # Safety
    ///
    /// Called by blk-mq only, once for each request that `init_request` was called for.
    unsafe extern "C" fn exit_request(
        _set: *mut bindings::blk_mq_tag_set,
        rq: *mut bindings::request,
        _hctx_idx: kernel::ffi::c_uint,
    ) {
        // SAFETY: By this function's contract the request has a PDU.
        let pdu = unsafe { Pdu::<T>::of(rq) };
        // SAFETY: The PDU was initialised by `init_request` and is not used any more.
        unsafe { pdu.drop_in_place() };
    }

    pub(super) const MQ: bindings::blk_mq_ops = bindings::blk_mq_ops {
        queue_rq: Some(Self::queue_rq),
        queue_rqs: Some(Self::queue_rqs),
        complete: Some(Self::complete),
        timeout: Some(Self::timeout),
        init_request: Some(Self::init_request),
        exit_request: Some(Self::exit_request),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by the block layer only, for a disk made by [`super::gen_disk`].
    unsafe extern "C" fn report_zones(
        disk: *mut bindings::gendisk,
        sector: bindings::sector_t,
        nr: kernel::ffi::c_uint,
        args: *mut bindings::blk_report_zones_args,
    ) -> kernel::ffi::c_int {
        from_result(|| {
            // SAFETY: By this function's contract the disk is valid.
            let data = unsafe { (*disk).private_data };
            // SAFETY: `private_data` was set from `into_foreign` before the disk could be seen and
            // is taken back after its last use.
            let data = unsafe { KBox::<DiskData<T>>::borrow(data) };
            // SAFETY: They are the arguments of this call.
            let mut report = unsafe { ZoneReport::from_raw(disk, nr, args) };

            T::report_zones(data.device(), sector, nr, &mut report)?;
            Ok(i32::try_from(report.added())?)
        })
    }

    /// # Safety
    ///
    /// Called by the block layer only, once, when the last user of an added disk is gone.
    unsafe extern "C" fn free_disk(disk: *mut bindings::gendisk) {
        // SAFETY: `private_data` is valid until here.
        let data = unsafe { (*disk).private_data };

        // SAFETY: It was made by `into_foreign`, and no callback can come after this one.
        drop(unsafe { KBox::<DiskData<T>>::from_foreign(data) });
    }

    pub(super) const DISK: bindings::block_device_operations = bindings::block_device_operations {
        owner: this_module::<T::OwnerModule>().as_ptr(),
        report_zones: Some(Self::report_zones),
        free_disk: Some(Self::free_disk),
        ..pin_init::zeroed()
    };
}
