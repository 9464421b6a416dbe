// SPDX-License-Identifier: GPL-2.0

//! The calling task and where it runs.
//!
//! C headers: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h) and
//! [`include/linux/capability.h`](srctree/include/linux/capability.h)

use kernel::{
    bindings,
    prelude::*,
    task::Task,
    types::NotThreadSafe, //
};

use super::ffi;

/// Whether the calling task is being killed. What takes long should then give up.
///
/// Process context.
pub(crate) fn fatal_signal_pending() -> bool {
    // SAFETY: The current task is valid.
    unsafe { ffi::fatal_signal_pending(Task::current_raw()) != 0 }
}

/// Whether there is a limit to the size of the files that the calling task may write
/// (`RLIMIT_FSIZE`).
///
/// Process context.
#[inline]
pub(crate) fn has_file_size_limit() -> bool {
    /// `~0UL`, which bindgen does not evaluate (include/uapi/asm-generic/resource.h).
    const RLIM_INFINITY: c_ulong = c_ulong::MAX;

    // SAFETY: The current task is valid, and the limit exists.
    unsafe { ffi::rlimit(ffi::RLIMIT_FSIZE) != RLIM_INFINITY }
}

/// Whether the caller runs in a task, as opposed to an interrupt of any kind.
///
/// That alone does not allow to sleep: a spinlock may be held. Any context.
pub(crate) fn in_task() -> bool {
    // SAFETY: No requirements.
    unsafe { ffi::zloop_in_task() }
}

/// Whether the current task has the stack for code of other layers. Process context.
pub(crate) fn has_stack() -> bool {
    /// In bytes. A direct write through XFS on a virtual disk, with the transaction that completes
    /// it, takes about 4 KiB.
    const ENOUGH: usize = 8 << 10;
    let here = 0u8;
    // SAFETY: The current task is valid.
    let end = unsafe { ffi::end_of_stack(Task::current_raw()) };

    (&raw const here).addr().saturating_sub(end.addr()) >= ENOUGH
}

/// Whether other layers may be told here and now that something has ended: in a task, with
/// interrupts enabled, which they are not in a handler that was made a thread (`threadirqs`), and
/// with stack left, since each of them may tell the next one. Any context.
pub(crate) fn may_call_back() -> bool {
    // SAFETY: No requirements.
    in_task() && !unsafe { ffi::zloop_irqs_disabled() } && has_stack()
}

/// Whether the calling task has `CAP_SYS_ADMIN` in the initial user namespace.
///
/// The task is then noted to have used superuser privileges. Process context.
pub(crate) fn capable_sys_admin() -> bool {
    // CAST: A small constant.
    const CAP_SYS_ADMIN: c_int = bindings::CAP_SYS_ADMIN as c_int;

    // SAFETY: `CAP_SYS_ADMIN` is a valid capability, for which `capable()` has no requirements.
    unsafe { bindings::capable(CAP_SYS_ADMIN) }
}

/// The number of processors that are online at the moment: at least one.
///
/// Any context.
pub(crate) fn num_online_cpus() -> u32 {
    // SAFETY: No requirements.
    unsafe { ffi::zloop_num_online_cpus() }
}

/// A scope in which the calling task's memory allocations do not start I/O, and in which it is
/// throttled only by the dirty pages of the device that it writes to.
///
/// For a task that serves the I/O of a block device: reclaiming memory could otherwise wait for
/// that very device, and throttling for the device's users, who produce the dirty pages.
///
/// Scopes nest. They must end in the reverse order, or the outer one loses its effect early.
///
/// # Invariants
///
/// `added` are those flags of the task that made the scope which [`enter()`](Self::enter) has set.
#[must_use = "the scope ends when the value is dropped"]
pub(crate) struct NoIo {
    added: u32,
    /// The flags are those of the task that made the scope.
    _not_send: NotThreadSafe,
}

impl NoIo {
    /// Enters the scope. Any context, but of use in process context only.
    pub(crate) fn enter() -> Self {
        // SAFETY: Changes only flags of the current task that the task itself may change.
        let added =
            unsafe { ffi::memalloc_flags_save(ffi::PF_MEMALLOC_NOIO | ffi::PF_LOCAL_THROTTLE) };

        // INVARIANT: `memalloc_flags_save()` returns the flags that were not set before.
        Self {
            added,
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: Called by the task that entered the scope, as the type is not `Send`. Clears
        // only flags that `enter()` has set, by the type invariant.
        unsafe { ffi::memalloc_flags_restore(self.added) };
    }
}

/// A scope in which the calling kernel thread has the root and working directory of the first
/// process of user space, as `scoped_with_init_fs()`.
///
/// For tests: KUnit runs them in kernel threads, whose root is an empty file system.
///
/// # Invariants
///
/// `own` is what the task that made the scope had.
#[cfg(CONFIG_KUNIT = "y")]
#[must_use = "the scope ends when the value is dropped"]
pub(crate) struct InitFs {
    own: *mut bindings::fs_struct,
    /// It is that of the task that made the scope.
    _not_send: NotThreadSafe,
}

#[cfg(CONFIG_KUNIT = "y")]
impl InitFs {
    /// Enters the scope. Kernel threads only.
    pub(crate) fn enter() -> Self {
        extern "C" {
            static userspace_init_fs: *mut bindings::fs_struct;
        }
        let task = Task::current_raw();

        // INVARIANT: Read from the current task.
        let scope = Self {
            // SAFETY: The current task is valid, and only it changes this field.
            own: unsafe { (*task).fs },
            _not_send: NotThreadSafe,
        };

        // SAFETY: The variable does not change once there is user space, and its target stays.
        let init = unsafe { userspace_init_fs };
        // SAFETY: As above; path walks of a kernel thread may use the first process's root.
        unsafe { (*task).fs = init };
        scope
    }
}

#[cfg(CONFIG_KUNIT = "y")]
impl Drop for InitFs {
    fn drop(&mut self) {
        // SAFETY: Called by the task that entered the scope, as the type is not `Send`; by the type
        // invariant the value was there before.
        unsafe { (*Task::current_raw()).fs = self.own };
    }
}

#[kunit_tests(zloop_task)]
mod tests {
    use super::*;

    const BOTH: u32 = ffi::PF_MEMALLOC_NOIO | ffi::PF_LOCAL_THROTTLE;

    fn flags() -> u32 {
        // SAFETY: The current task is valid, and the only one to change these flags of itself.
        unsafe { (*Task::current_raw()).flags & BOTH }
    }

    #[test]
    fn scopes_without_io_nest() {
        assert_eq!(flags(), 0);
        let outer = NoIo::enter();

        assert_eq!(flags(), BOTH);
        drop(NoIo::enter());
        assert_eq!(flags(), BOTH);
        drop(outer);
        assert_eq!(flags(), 0);
    }

    #[test]
    fn test_runs_in_a_task() {
        assert!(in_task());
        assert!(may_call_back());
        assert!(!fatal_signal_pending());
        assert!(capable_sys_admin());
        assert!(num_online_cpus() > 0);
    }
}
