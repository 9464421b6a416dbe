// SPDX-License-Identifier: GPL-2.0

//! Multi-queue block devices: requests, tag sets and zoned disks.
//!
//! The kernel crate's `block::mq` has no zoned limits, no place for `blk_revalidate_disk_zones()`,
//! no data of the driver's in a request and no access to what a request asks for. This module has,
//! and is written so that it could take its place:
//!
//! - [`operations::Operations`] is what a driver implements.
//! - [`request::Request`] is a started request that the driver owns until it ends it. It goes to a
//!   work item with [`request::Request::defer`] and to a file with [`request::Request::submit`],
//!   and comes back through [`operations::Operations`].
//! - [`tag_set::TagSet`], [`gen_disk::NewDisk`] and [`gen_disk::Disk`] are the stages of a device.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

mod convoy;
mod ending;
pub(crate) mod gen_disk;
pub(crate) mod limits;
pub(crate) mod nested;
pub(crate) mod operations;
mod pdu;
pub(crate) mod request;
pub(crate) mod request_io;
pub(crate) mod request_list;
pub(crate) mod status;
pub(crate) mod tag_set;
pub(crate) mod turnstile;
pub(crate) mod zone_report;
