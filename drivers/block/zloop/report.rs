// SPDX-License-Identifier: GPL-2.0

//! Zone reports.

#![forbid(unsafe_code)]

use crate::{
    abstractions::block::zone_report::{
        ZoneDescriptor,
        ZoneReport,
        ZoneType, //
    },
    commands,
    device::Device,
    model::{
        condition::Condition,
        Sector, //
    },
    zone::Snapshot,
};
use kernel::prelude::*;

/// Reports up to `nr` zones from the one that `sector` is in; returns how many.
///
/// Each zone is reported as it was at one moment, without waiting for I/O. A zone in doubt, whose
/// file does not end it either, is reported as read-only, which has no write pointer: writes to it
/// fail until a command puts it right.
pub(crate) fn report_zones(
    device: &Device,
    sector: Sector,
    nr: u32,
    report: &mut ZoneReport<'_>,
) -> Result<u32> {
    let geometry = &device.geometry;
    let Some(first) = geometry.zone_of(sector) else {
        return Ok(0);
    };
    let nr = nr.min(geometry.nr_zones() - first);

    for no in first..first + nr {
        let zone = device.zone(no).ok_or(EIO)?;
        let start = geometry.zone_start(no);
        let mut snapshot = zone.snapshot(device);

        // Now, since what the block layer keeps of a read-only zone stays.
        if matches!(snapshot, Snapshot::InDoubt) && zone.turn.try_take() {
            let recovered = zone.recover(device);

            commands::leave(zone);
            if recovered.is_ok() {
                snapshot = zone.snapshot(device);
            }
        }

        let descriptor = match snapshot {
            Snapshot::Conventional => ZoneDescriptor {
                zone_type: ZoneType::Conventional,
                condition: Condition::NotWp.into(),
                start,
                len: geometry.zone_size(),
                capacity: geometry.zone_size(),
                write_pointer: Sector::MAX,
            },
            Snapshot::Sequential {
                condition,
                write_pointer,
            } => ZoneDescriptor {
                zone_type: ZoneType::SequentialWriteRequired,
                condition: condition.into(),
                start,
                len: geometry.zone_size(),
                capacity: geometry.zone_capacity(),
                write_pointer,
            },
            Snapshot::InDoubt => ZoneDescriptor {
                zone_type: ZoneType::SequentialWriteRequired,
                condition: Condition::ReadOnly.into(),
                start,
                len: geometry.zone_size(),
                capacity: geometry.zone_capacity(),
                write_pointer: Sector::MAX,
            },
        };

        report.add(&descriptor)?;
    }
    Ok(nr)
}
