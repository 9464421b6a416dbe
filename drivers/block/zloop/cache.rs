// SPDX-License-Identifier: GPL-2.0

//! The volatile write cache that `discard_write_cache` simulates.
//!
//! The device remembers for each sequential zone the write pointer that the last successful flush
//! made durable. When the device is removed each zone file is cut to that, as a power cut would do
//! to a drive with a volatile cache. A reset counts as durable at once, because the old data is
//! gone; everything else, finish included, needs a flush.
//!
//! Each flush also stores the write pointer with the file, as the C driver does: the sector on the
//! device, as a native-endian `u64`, in the extended attribute `user.zloop.wp`.

#![forbid(unsafe_code)]

use crate::{
    abstractions::fs::BackingFile,
    device::Device,
    model::{
        Sector,
        ZoneNo, //
    },
    refusal::Refusal, //
};
use kernel::prelude::*;

/// Name of the extended attribute.
const WRITE_POINTER: &CStr = c"user.zloop.wp";

/// Stores a write pointer with a zone file. Fails if the file system has no such attributes.
pub(crate) fn store(file: &BackingFile, wp: Sector) -> Result {
    file.set_xattr(WRITE_POINTER, &wp.to_ne_bytes())
}

/// Records that some zones, whose files have just been synced, are durable as they were when the
/// flush took them up. The records still have to be made durable.
pub(crate) fn record(device: &Device, zones: &[ZoneNo]) -> Result {
    for zone in zones.iter().filter_map(|no| device.zone(*no)) {
        let Some(offset) = zone.note_flushed() else {
            continue;
        };
        let wp = device.geometry.zone_start(zone.no) + offset;

        match zone.file(device) {
            Ok(file) => store(&file, wp)?,
            Err(refusal) => return Err(refusal.error()),
        }
    }
    Ok(())
}

/// Cuts each zone file to what was flushed. Nothing else may use the device any more.
pub(crate) fn discard(device: &Device) {
    pr_info!("zloop{}: discarding the volatile write cache\n", device.id);
    for zone in device.zones.iter() {
        let Some(flushed) = zone.unflushed() else {
            continue;
        };

        let wp = device.geometry.zone_start(zone.no) + flushed;
        let cut = |file: BackingFile| {
            let end = flushed << kernel::block::SECTOR_SHIFT;

            // What somebody else has cut off does not come back as zeros.
            if file.stat_size()? > end {
                file.truncate(end)?;
            }
            // A reset leaves the record of what it erased.
            store(&file, wp)
        };

        if let Err(error) = zone.file(device).map_err(Refusal::error).and_then(cut) {
            if device.error_log.allow() {
                pr_err!(
                    "zloop{}: zone {}: cannot discard what was not flushed: error {}\n",
                    device.id,
                    zone.no,
                    error.to_errno()
                );
            }
        }
    }
}
