// SPDX-License-Identifier: GPL-2.0

//! Workqueues of one's own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    workqueue::Queue, //
};

/// A workqueue for work that storage depends on: not bound to a CPU, frozen over a system suspend,
/// and able to make progress when memory is short.
///
/// Dropping it waits for its work items.
///
/// # Invariants
///
/// The pointee is a valid workqueue, owned by this.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Workqueues may be used and destroyed from any task.
unsafe impl Send for OwnedQueue {}
// SAFETY: The workqueue functions lock where they need to.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Allocates a workqueue that runs up to `max_active` work items at a time, as far as the
    /// kernel's own limit goes. May sleep.
    pub(crate) fn new(name: &CStr, max_active: u32) -> Result<Self> {
        // `__WQ_LEGACY` keeps `check_flush_dependency()` quiet when a work item enters a file
        // system that waits for work of its own that cannot run without memory, as XFS does when it
        // is full (`xfs_flush_inodes()`). That is no worse than what any writer to it meets.
        let flags = bindings::wq_flags_WQ_UNBOUND
            | bindings::wq_flags_WQ_FREEZABLE
            | bindings::wq_flags_WQ_MEM_RECLAIM
            | bindings::wq_flags___WQ_LEGACY;
        let max_active = max_active.clamp(1, bindings::wq_consts_WQ_MAX_ACTIVE);

        // SAFETY: The format takes one string, which is copied.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                flags,
                i32::try_from(max_active)?,
                name.as_char_ptr(),
            )
        };

        // INVARIANT: The workqueue was just allocated.
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }

    /// The same as the kernel crate sees it.
    pub(crate) fn as_queue(&self) -> &Queue {
        // SAFETY: By the type invariant the workqueue is valid as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }

    /// Waits for all work items that are queued. May sleep.
    pub(crate) fn flush(&self) {
        // SAFETY: By the type invariant the workqueue is valid.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }

    /// Queues a work item. Any context.
    ///
    /// # Safety
    ///
    /// `work` must be initialised and not queued, and stay valid until its function is called.
    pub(super) unsafe fn queue_raw(&self, work: *mut bindings::work_struct) {
        // SAFETY: By the type invariant and this function's contract. It returns false only for a
        // work item that is queued already.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as kernel::ffi::c_int,
                self.0.as_ptr(),
                work,
            )
        };
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the workqueue is valid and not used by anybody else.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
