// SPDX-License-Identifier: GPL-2.0

//! Sending the data of a request to a file and back.
//!
//! The pages of the request go to the file's iterator functions as they are; nothing is copied
//! unless the file's I/O is buffered.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/uio.h`](srctree/include/linux/uio.h)

use super::{
    convoy,
    nested::Nested,
    operations::Operations,
    pdu::Pdu,
    request::{
        op_is_write,
        Op,
        Request, //
    }, //
};
use crate::abstractions::{
    ffi,
    fs::BackingFile, //
};
use core::mem::MaybeUninit;
use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// Which way the data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the file to the request.
    Read,
    /// From the request to the file.
    Write,
}

/// How the file is accessed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caching {
    /// Around the page cache, asynchronously where the file system can.
    /// [`EINVAL`] if the file cannot be accessed like this.
    Direct,
    /// Around the page cache; a write holds the locks of the file system until its data is there
    /// ([`BackingFile::logs_writes_in_flight`]). For [`Request::submit`] only.
    DirectSync,
    /// Through the page cache, synchronously.
    Buffered,
}

/// Returned if the completion function will be called.
// CAST: A small positive number.
const QUEUED: isize = -(bindings::EIOCBQUEUED as isize);

impl<T: Operations> Request<T> {
    /// Reads from or writes to `file` at byte `pos` all of the request's data, and that of those it
    /// [leads](Request::lead), but the first `skip` bytes, which were moved before. [`EINVAL`] if it
    /// is neither a read nor a write nor an append, [`EBADF`] if the file is not open for that,
    /// [`EFBIG`] if no file has such a byte.
    ///
    /// The request comes back through [`Operations::io_done`], possibly before this function
    /// returns. A write with `REQ_FUA` is durable when it comes back, and so is all that is needed to
    /// read it. A write waits while the file system is frozen. Process context, may sleep; from
    /// [`Operations::run`] only, whose scope keeps memory allocations from starting I/O.
    pub(crate) fn submit(self, file: BackingFile, caching: Caching, pos: u64, skip: u32) {
        self.submit_with(file, caching, pos, skip, 0);
    }

    /// As [`Request::submit`], for a submitter that must not be kept waiting: the result is
    /// [`EAGAIN`] where the file system would have to wait, for space or for a lock of its own.
    pub(crate) fn try_submit(
        self,
        file: BackingFile,
        caching: Caching,
        pos: u64,
        skip: u32,
        _scope: &Nested,
    ) {
        self.submit_with(file, caching, pos, skip, ffi::IOCB_NOWAIT);
    }

    fn submit_with(
        self,
        file: BackingFile,
        caching: Caching,
        pos: u64,
        skip: u32,
        extra_flags: c_int,
    ) {
        let mut iter = MaybeUninit::<bindings::iov_iter>::uninit();
        let prepared = self
            .check(&file, caching, pos)
            .and_then(|(direction, pos)| {
                self.prepare_iter(direction, skip, iter.as_mut_ptr())?;
                Ok((direction, pos))
            });
        let (direction, pos) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return T::io_done(self, Err(error)),
        };

        let raw_file = file.as_file().as_ptr();
        let waits = direction == Direction::Write && caching == Caching::DirectSync;

        self.prepare_kiocb(raw_file, caching, waits, pos, extra_flags);
        let pdu = self.pdu();
        let kiocb = pdu.kiocb.get();

        if direction == Direction::Write {
            if extra_flags & ffi::IOCB_NOWAIT == 0 {
                // SAFETY: `ki_filp` is open. `io_complete` has the matching `kiocb_end_write()`.
                unsafe { ffi::kiocb_start_write(kiocb) };
            // SAFETY: As above.
            } else if !unsafe { ffi::zloop_kiocb_start_write_trylock(kiocb) } {
                return T::io_done(self, Err(EAGAIN));
            }
        }
        // SAFETY: The request is owned here, so this is the only access.
        unsafe { *pdu.file.get() = Some(file) };
        pdu.begin_io();

        let rq = self.into_raw().as_ptr();
        // SAFETY: The file is open, and the field does not change.
        let ops = unsafe { (*raw_file).f_op };
        // SAFETY: An open file has file operations; they do not change.
        let ops = unsafe { &*ops };
        let function = match direction {
            Direction::Read => ops.read_iter,
            Direction::Write => ops.write_iter,
        };
        let result = match function {
            // SAFETY: The control block and the iterator are initialised. The former lives until
            // `io_complete` is called, the latter until this function returns, and the pages that
            // it names as long as the request, whose second reference is dropped below.
            Some(function) => unsafe { function(kiocb, iter.as_mut_ptr()) },
            // CAST: A small positive number.
            None => -(bindings::EINVAL as isize),
        };

        if result != QUEUED {
            // SAFETY: The I/O is over and was not queued, so nobody else completes it.
            unsafe { io_complete::<T>(kiocb, result) };
        }
        // SAFETY: This is the submission's reference, and it is not used any more.
        unsafe { put_io::<T>(rq) };
    }

    /// Sets the control block of the request's I/O up, for the open file `raw_file`. The function that
    /// gets it returns only when the I/O is over if it `waits`.
    #[inline]
    fn prepare_kiocb(
        &self,
        raw_file: *mut bindings::file,
        caching: Caching,
        waits: bool,
        pos: i64,
        extra_flags: c_int,
    ) {
        // IOCB_SYNC, although a data sync would do: without it iomap leaves the sync to the disk's
        // FUA where it takes the write for one that changes nothing but data.
        let flags = match caching {
            Caching::Direct | Caching::DirectSync => ffi::IOCB_DIRECT,
            Caching::Buffered => 0,
        } | extra_flags
            | if self.is_any_fua() {
                ffi::IOCB_DSYNC | ffi::IOCB_SYNC
            } else {
                0
            };
        // SAFETY: The request is valid and owned here.
        let ioprio = unsafe { ffi::req_get_ioprio(self.as_raw()) };

        // SAFETY: No I/O of this request is in flight, so the control block is free to write.
        unsafe {
            self.pdu().kiocb.get().write(bindings::kiocb {
                ki_filp: raw_file,
                ki_pos: pos,
                // Without it the I/O is synchronous.
                ki_complete: if waits { None } else { Some(io_complete::<T>) },
                ki_flags: flags,
                ki_ioprio: ioprio,
                ..pin_init::zeroed()
            })
        };
    }

    /// Which way the data goes and where in the file it is, if the request has any and the file can
    /// be accessed as asked for.
    fn check(&self, file: &BackingFile, caching: Caching, pos: u64) -> Result<(Direction, i64)> {
        let direction = match self.op() {
            Op::Read => Direction::Read,
            Op::Write | Op::ZoneAppend => Direction::Write,
            _ => return Err(EINVAL),
        };

        if self.len_bytes() == 0 || (caching != Caching::Buffered && !file.can_direct()) {
            return Err(EINVAL);
        }
        if direction == Direction::Write && !file.can_write() {
            return Err(EBADF);
        }
        Ok((direction, i64::try_from(pos).map_err(|_| EFBIG)?))
    }

    /// Sets `iter` up over the data of the request, which [`Request::check`] has found.
    fn prepare_iter(
        &self,
        direction: Direction,
        skip: u32,
        iter: *mut bindings::iov_iter,
    ) -> Result {
        let rq = self.as_raw();
        let dir = match direction {
            Direction::Read => bindings::ITER_DEST,
            Direction::Write => bindings::ITER_SOURCE,
        };

        let alone = self.convoy().is_empty();

        // SAFETY: The request is valid, it has data, as `check` has found, and `iter` may be written
        // to.
        if !(alone && unsafe { ffi::zloop_rq_iter_in_place(rq, dir, iter) }) {
            if alone {
                self.copy_segments()?;
            }
            // SAFETY: The request is owned here, and no I/O of it is in flight.
            let bvecs = unsafe { &*self.pdu().bvecs.get() };

            // CAST: The length of a request fits.
            let len = self.span() as usize;

            // SAFETY: `iter` may be written to, and the segments stay until the request's next
            // I/O.
            unsafe { bindings::iov_iter_bvec(iter, dir, bvecs.as_ptr(), bvecs.len(), len) };
        }
        if skip > 0 {
            // SAFETY: The iterator was initialised above.
            // CAST: At most the length of the request.
            unsafe { bindings::iov_iter_advance(iter, skip as usize) };
        }
        Ok(())
    }

    /// Collects the segments of a request of several bios in the PDU.
    fn copy_segments(&self) -> Result {
        // The scope of the work item, or `Nested`, turns this into GFP_NOIO.
        let mut bvecs = KVec::with_capacity(convoy::segments(self), GFP_KERNEL)?;

        convoy::add_segments(self, &mut bvecs);
        // SAFETY: The request is owned here, and no I/O of it is in flight.
        unsafe { *self.pdu().bvecs.get() = bvecs };
        Ok(())
    }
}

/// Called by the file system, or by [`Request::submit`] itself, when the I/O is over.
///
/// # Safety
///
/// `kiocb` must be that of a PDU whose I/O was submitted and not completed before.
unsafe extern "C" fn io_complete<T: Operations>(
    kiocb: *mut bindings::kiocb,
    result: kernel::ffi::c_long,
) {
    // SAFETY: By this function's contract `kiocb` is the field of a PDU.
    let pdu = unsafe {
        kiocb
            .byte_sub(core::mem::offset_of!(Pdu<T>, kiocb))
            .cast::<Pdu<T>>()
    };
    // SAFETY: The PDU lives as long as its request, which is in flight.
    let rq = unsafe { Pdu::request(pdu) };

    // SAFETY: The request is valid.
    if op_is_write(unsafe { (*rq).cmd_flags }) {
        // SAFETY: It is a write or an append, the operations with that bit that `check` lets pass,
        // and for those `submit` called `kiocb_start_write()`.
        unsafe { ffi::kiocb_end_write(kiocb) };
    }
    // SAFETY: The PDU of a request in flight is initialised.
    let slot = unsafe { &*pdu }.result.get();
    // SAFETY: The submission does not touch the result; whoever drops the last reference reads it.
    unsafe { *slot = result };
    // SAFETY: This is the completion's reference, and it is not used any more.
    unsafe { put_io::<T>(rq) };
}

/// Drops a reference to an I/O in flight; the last hands the request back to the driver.
///
/// # Safety
///
/// The caller must own a reference of `Pdu::begin_io` and not use the request afterwards.
unsafe fn put_io<T: Operations>(rq: *mut bindings::request) {
    // SAFETY: By this function's contract the request is in flight and has an initialised PDU.
    let pdu = unsafe { Pdu::<T>::get(rq) };

    if !pdu.finish_io() {
        return;
    }
    // SAFETY: Both parties are done, so the request has no other user: it may have a handle again.
    let request = unsafe { Request::<T>::from_raw(rq) };
    // SAFETY: As above; the file is not used any more.
    drop(unsafe { (*pdu.file.get()).take() });
    // SAFETY: As above; the copied segments are not used any more.
    let bvecs = unsafe { &mut *pdu.bvecs.get() };
    // Most requests have none. Dropping none is a call of the allocator, too. Those of a convoy stay
    // for the next attempt.
    if !bvecs.is_empty() && request.convoy().is_empty() {
        drop(core::mem::take(bvecs));
    }
    // SAFETY: As above.
    let result = unsafe { *pdu.result.get() };

    T::io_done(request, bytes_of(result));
}

/// Splits the return value of an iterator function.
fn bytes_of(result: isize) -> Result<u32> {
    match u32::try_from(result) {
        Ok(bytes) => Ok(bytes),
        Err(_) => {
            // CAST: A negative errno fits.
            to_result(result as kernel::ffi::c_int)?;
            Err(EIO)
        }
    }
}
