// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers of kernel interfaces that the kernel crate lacks.
//!
//! All unsafe code of the driver is below here, but for the start of the registry. Nothing in here
//! knows what a zoned loop device is: each file wraps one C structure or one small group of
//! functions and could move to the kernel crate.

#![warn(clippy::multiple_unsafe_ops_per_block)]

pub(crate) mod block;
pub(crate) mod compat;
pub(crate) mod debugfs;
mod ffi;
pub(crate) mod fs;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod pinned_slice;
pub(crate) mod ratelimit;
pub(crate) mod task;
pub(crate) mod workqueue;
