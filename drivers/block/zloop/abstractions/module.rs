// SPDX-License-Identifier: GPL-2.0

//! References to a module.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use super::{
    compat::{
        this_module,
        ModuleMetadata, //
    },
    ffi, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// The last field of a module's state. When it is dropped, which may sleep, it waits for tasks that
/// were preempted in the code of the module: those that have just dropped the last [`ModuleRef`]
/// and are on their way out, or that came too late to open a device of the module.
pub(crate) struct Stragglers;

impl Drop for Stragglers {
    fn drop(&mut self) {
        // SAFETY: The function has no requirements beyond process context.
        unsafe { ffi::zloop_synchronize_rcu_tasks() };
    }
}

/// A reference that keeps a module from being unloaded.
///
/// Code of the module may drop the last one if it leaves the module without sleeping then, and the
/// module's state ends in [`Stragglers`].
///
/// # Invariants
///
/// The pointee's reference count includes one that this owns; null for code that is built in.
pub(crate) struct ModuleRef(*mut bindings::module);

// SAFETY: The reference count is atomic, and may be changed by any task.
unsafe impl Send for ModuleRef {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for ModuleRef {}

impl ModuleRef {
    /// Takes a reference to the module `M`. `ENODEV` if it is being unloaded.
    pub(crate) fn get<M: ModuleMetadata>() -> Result<Self> {
        let module = this_module::<M>().as_ptr();

        // SAFETY: Code that names the metadata of a module is in it, or was linked to it, so that it
        // is there; null stands for code that is built in, and is accepted.
        if unsafe { bindings::try_module_get(module) } {
            // INVARIANT: The reference was taken.
            Ok(Self(module))
        } else {
            Err(ENODEV)
        }
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is owned; null is accepted.
        unsafe { bindings::module_put(self.0) };
    }
}
