// SPDX-License-Identifier: GPL-2.0

//! I/O of one's own in the middle of somebody else's submission.
//!
//! A task that submits to a disk may be anywhere: in a transaction of the file system on that
//! disk, in memory reclaim, deep in its stack. Sending the request on to a file from there saves
//! the way through another thread, and is right only where the file system underneath can do what
//! it does in a write(2) or read(2) of its own. [`Nested::enter`] says whether that is so, and
//! hides from the nested I/O what the task has collected for the outer one.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h) and
//! [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use crate::abstractions::{
    ffi,
    task::{
        has_stack,
        NoIo, //
    }, //
};
use kernel::{
    bindings,
    task::Task,
    types::NotThreadSafe, //
};

/// A scope in which the calling task, which is submitting to a disk, may submit I/O of its own.
///
/// - Memory allocations do not start I/O, as in [`NoIo`].
/// - The task's plug is set aside, so that nested requests are not mixed into the list that is
///   being flushed.
/// - The list on which `submit_bio_noacct()` defers nested bios is set aside, so that a nested bio
///   is submitted when it is issued, and the task may wait for it.
///
/// # Invariants
///
/// `plug` and `bio_list` are what the task that made the scope had in these fields.
#[must_use = "the scope ends when the value is dropped"]
pub(crate) struct Nested {
    plug: *mut bindings::blk_plug,
    bio_list: *mut bindings::bio_list,
    _no_io: NoIo,
    /// All of it is about the task that made the scope.
    _not_send: NotThreadSafe,
}

impl Nested {
    /// Enters the scope for a request of `hctx`, or returns `None` where the task is in no state for
    /// it: then another context has to do the I/O. Process context that may sleep.
    ///
    /// Not in a transaction of a file system (`current->journal_info`), which the file system
    /// underneath would take for its own; not where allocations are restricted, which is what file
    /// systems do while they hold locks that reclaim takes; not with bios waiting to be submitted
    /// when the current one is, since they would wait for the nested I/O, too; not with requests for
    /// other disks in the plug, which nobody else can send while the nested I/O waits for their tags;
    /// not in a work item of kblockd, whose rescuer must be free for the requests that the nested
    /// I/O waits for.
    ///
    /// # Safety
    ///
    /// `hctx` must be valid for the duration of the call.
    pub(super) unsafe fn enter(hctx: *const bindings::blk_mq_hw_ctx) -> Option<Self> {
        const RESTRICTED: u32 = ffi::PF_MEMALLOC | ffi::PF_MEMALLOC_NOFS | ffi::PF_MEMALLOC_NOIO;
        let task = Task::current_raw();

        // SAFETY: The current task is valid, and only it changes the field.
        let journal = unsafe { (*task).journal_info };
        // SAFETY: As above.
        let flags = unsafe { (*task).flags };
        if !journal.is_null() || flags & RESTRICTED != 0 {
            return None;
        }
        // SAFETY: As above.
        let bio_list = unsafe { (*task).bio_list };
        // SAFETY: If set, the field points at two lists on the task's own stack.
        if !bio_list.is_null() && !unsafe { ffi::zloop_bio_lists_empty(bio_list) } {
            return None;
        }
        // SAFETY: By this function's contract.
        if !has_stack() || unsafe { in_kblockd(hctx) } {
            return None;
        }
        // SAFETY: As above.
        let plug = unsafe { (*task).plug };

        // A plug that is sent in the middle of a submission is too full for one more request, which
        // the task has in its hands and which may be for any disk.
        // SAFETY: If set, the field points at a plug on the task's own stack; `hctx` is valid by
        // this function's contract.
        if !plug.is_null() && (!bio_list.is_null() || unsafe { holds_others(plug, hctx) }) {
            return None;
        }
        // SAFETY: As above.
        unsafe { (*task).bio_list = core::ptr::null_mut() };
        if !plug.is_null() {
            // The time that is cached in the plug. The scheduler looks for it there if the flag is
            // set (`blk_plug_invalidate_ts()`).
            // SAFETY: If set, the field points at a plug on the task's own stack.
            unsafe { (*plug).cur_ktime = 0 };
            // SAFETY: As above.
            unsafe { (*task).flags &= !ffi::PF_BLOCK_TS };
        }
        // SAFETY: As above.
        unsafe { (*task).plug = core::ptr::null_mut() };
        // INVARIANT: Both were read above.
        Some(Self {
            plug,
            bio_list,
            _no_io: NoIo::enter(),
            _not_send: NotThreadSafe,
        })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        let task = Task::current_raw();

        // SAFETY: This is the task that entered the scope, as the type is not `Send`; by the type
        // invariant the value was there before.
        unsafe { (*task).plug = self.plug };
        // SAFETY: As above.
        unsafe { (*task).bio_list = self.bio_list };
    }
}

/// Whether a plug has requests, to be sent or allocated in advance, that may be for another disk
/// than that of `hctx`.
///
/// # Safety
///
/// `plug` must be valid and that of the current task, and `hctx` valid for the duration of the call.
unsafe fn holds_others(
    plug: *const bindings::blk_plug,
    hctx: *const bindings::blk_mq_hw_ctx,
) -> bool {
    // SAFETY: By this function's contract, here and below; only the task changes its plug.
    let waiting = unsafe { (*plug).mq_list.head };

    if !waiting.is_null() {
        return true;
    }
    // SAFETY: As above.
    let allocated = unsafe { (*plug).cached_rqs.head };

    if allocated.is_null() {
        return false;
    }
    // SAFETY: By this function's contract.
    let queue = unsafe { (*hctx).queue };

    // Those allocated in advance are all of one disk.
    // SAFETY: A request in the list is valid and the task's own.
    unsafe { (*allocated).q != queue }
}

/// Whether the current task runs one of the work items by which the block layer sends requests of
/// the disk of `hctx` to the driver. With an I/O scheduler that of one hardware queue sends those of
/// the others, too.
///
/// # Safety
///
/// `hctx` must be valid for the duration of the call.
unsafe fn in_kblockd(hctx: *const bindings::blk_mq_hw_ctx) -> bool {
    // SAFETY: By this function's contract.
    let queue = unsafe { (*hctx).queue };

    // SAFETY: A hardware queue's request queue outlives it, and has all of its hardware queues as
    // long as one of them is in use.
    unsafe { ffi::zloop_in_kblockd(queue) }
}
