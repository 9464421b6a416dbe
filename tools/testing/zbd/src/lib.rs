// SPDX-License-Identifier: GPL-2.0

//! Zoned block devices from user space: the kernel's interfaces, zone reports, zone write plugs, native
//! zone appends, the kernel log and test data.
//!
//! What the test programs share.

pub mod kernel_log;
pub mod nvme;
pub mod pattern;
pub mod plugs;
pub mod uapi;
pub mod zones;
