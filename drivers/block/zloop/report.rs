// SPDX-License-Identifier: GPL-2.0

//! Zone reports.

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        block::zone_report::{
            ZoneDescriptor,
            ZoneReport,
            ZoneType, //
        },
        task::{
            self,
            NoIo, //
        }, //
    },
    device::Device,
    model::{
        condition::Condition,
        geometry::Geometry,
        Sector,
        ZoneNo, //
    },
    requests,
    zone::{
        Snapshot,
        Zone, //
    },
};
use core::ops::Range;
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How many milliseconds a report waits, all in all, for those who have turns of zones in doubt, or
/// are ending writes that have failed.
const PATIENCE: u32 = 50;

/// Reports up to `nr` zones from the one that `sector` is in.
///
/// Each zone is reported as it was at one moment, without waiting for I/O unless it is in doubt. If
/// its file does not end that either, it is reported as read-only, which has no write pointer:
/// writes to it fail until a command puts it right.
pub(crate) fn report_zones(
    device: &Device,
    sector: Sector,
    nr: u32,
    report: &mut ZoneReport<'_>,
) -> Result {
    let geometry = &device.geometry;
    let Some(first) = geometry.zone_of(sector) else {
        return Ok(());
    };
    let nr = nr.min(geometry.nr_zones() - first);
    let mut patience = PATIENCE;

    for no in first..first + nr {
        let zone = device.zone(no).ok_or(EIO)?;
        let mut snapshot = zone.snapshot(device);

        // The block layer takes the write pointer from the report then, if it is done with the
        // write that has failed.
        if matches!(
            snapshot,
            Snapshot::InDoubt | Snapshot::Sequential { failed: true, .. }
        ) {
            let_writes_end_within(&mut patience, report, geometry.sectors_of(no));
            snapshot = zone.snapshot(device);
        }
        // Now, since what the block layer keeps of a read-only zone stays.
        if matches!(snapshot, Snapshot::InDoubt) {
            snapshot = recover(device, zone, &mut patience);
        }

        report.add(&descriptor(&device.geometry, no, snapshot))?;
    }
    Ok(())
}

/// What a report says of a zone.
fn descriptor(geometry: &Geometry, no: ZoneNo, snapshot: Snapshot) -> ZoneDescriptor {
    let (zone_type, condition, capacity, write_pointer) = match snapshot {
        Snapshot::Conventional => (
            ZoneType::Conventional,
            Condition::NotWp,
            geometry.zone_size(),
            Sector::MAX,
        ),
        Snapshot::Sequential {
            condition,
            write_pointer,
            ..
        } => (
            ZoneType::SequentialWriteRequired,
            condition,
            geometry.zone_capacity(),
            write_pointer,
        ),
        Snapshot::InDoubt => (
            ZoneType::SequentialWriteRequired,
            Condition::ReadOnly,
            geometry.zone_capacity(),
            Sector::MAX,
        ),
    };

    ZoneDescriptor {
        zone_type,
        condition: condition.into(),
        start: geometry.zone_start(no),
        len: geometry.zone_size(),
        capacity,
        write_pointer,
    }
}

/// Waits, as long as there is patience, until the block layer is done with all writes to `sectors`
/// that have ended.
fn let_writes_end_within(patience: &mut u32, report: &ZoneReport<'_>, sectors: Range<Sector>) {
    while report.is_write_ending(sectors.clone()) && *patience != 0 && !task::fatal_signal_pending()
    {
        *patience -= 1;
        fsleep(Delta::from_millis(1));
    }
}

/// Tries to get a zone out of doubt. Sleeps.
///
/// Who has the turn is doing the same, or gives it back in a moment.
fn recover(device: &Device, zone: &Zone, patience: &mut u32) -> Snapshot {
    // Memory must not come from a file system that waits for the turn.
    let _scope = NoIo::enter();

    loop {
        if zone.turn.try_take() {
            // What comes of it is in the snapshot.
            let _ = zone.recover(device);

            requests::leave(zone);
            break;
        }
        if *patience == 0 || task::fatal_signal_pending() {
            break;
        }
        *patience -= 1;
        fsleep(Delta::from_millis(1));
        if !matches!(zone.snapshot(device), Snapshot::InDoubt) {
            break;
        }
    }
    zone.snapshot(device)
}
