// SPDX-License-Identifier: GPL-2.0

//! What differs between the kernels that the module is built for.
//!
//! Kbuild looks what the kernel tree offers and sets a `cfg` for each difference; all of them are
//! used here and nowhere else.

use kernel::{
    bindings,
    error::Error, //
};

#[cfg(zloop_kernel_module)]
pub(crate) use kernel::module::{
    this_module,
    ModuleMetadata, //
};

#[cfg(not(zloop_kernel_module))]
pub(crate) use kernel::ModuleMetadata;

/// The module that this code is part of, as `kernel::module` has it since Linux 7.3.
#[cfg(not(zloop_kernel_module))]
pub(crate) const fn this_module<M: ModuleMetadata>() -> &'static kernel::ThisModule {
    &crate::THIS_MODULE
}

/// `EDQUOT`, which `kernel::error::code` has since Linux 7.3.
pub(crate) fn edquot() -> Error {
    // CAST: Error numbers are small.
    Error::from_errno(-(bindings::EDQUOT as i32))
}

/// `ELOOP`, which not every `kernel::error::code` has.
pub(crate) fn eloop() -> Error {
    // CAST: Error numbers are small.
    Error::from_errno(-(bindings::ELOOP as i32))
}

/// `EOPNOTSUPP`, which `kernel::error::code` has since Linux 7.3.
pub(crate) fn eopnotsupp() -> Error {
    // CAST: Error numbers are small.
    Error::from_errno(-(bindings::EOPNOTSUPP as i32))
}
