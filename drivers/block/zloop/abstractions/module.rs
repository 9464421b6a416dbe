// SPDX-License-Identifier: GPL-2.0

//! References to a module.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use kernel::{
    bindings,
    module::{
        this_module,
        ModuleMetadata, //
    },
    prelude::*, //
};

/// A reference that keeps a module from being unloaded.
///
/// Code of the module that drops the last one must be on its way out of the module: nothing keeps
/// the code in memory from then on.
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

        // SAFETY: `module` is the module that runs this code, or null for built-in code, which the
        // function accepts.
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
