// SPDX-License-Identifier: GPL-2.0

//! Devices of many zones: what it takes to add, report, remove and add them again, and the memory they keep.

use crate::contestant::Geometry;
use crate::guest::{memory_of, Guest};
use crate::sample::{Contestant, Value};
use crate::system::{run, timed, Res};
use crate::zones::Device;

/// Below this, what else changes in a system is more than the zones take.
const MEMORY_FROM: u32 = 10_000;

/// Zones in one report, as many as `blkzone` and fio ask for at a time.
const AT_A_TIME: usize = 8192;

pub fn measure(guest: &mut Guest, contestant: Contestant, zones: u32, round: u32) -> Res<()> {
    let geometry = Geometry { zones, zone_mib: 1 };
    let once = |seconds| Value::Time { ops: 1, seconds };
    let keep = |guest: &mut Guest, part: &str, value: Value| {
        guest.keep(
            &format!("{part}-{zones}"),
            contestant,
            round,
            Ok(value.into()),
        );
    };

    contestant.prepare()?;
    run("sync", &[])?;
    let ((target, seconds), mut bytes) =
        memory_of(|| timed(|| contestant.add(&guest.paths, geometry)))?;
    keep(guest, "add", once(seconds));

    let device = Device::open(&target.path)?;
    if device.zones != zones {
        return Err(format!("{} has {} zones", target.path, device.zones));
    }
    let (reported, seconds) = timed(|| device.report(AT_A_TIME))?;
    keep(
        guest,
        "report",
        Value::Time {
            ops: reported,
            seconds,
        },
    );
    drop(device);

    if contestant.persistent() {
        let ((), seconds) = timed(|| contestant.remove(&guest.paths))?;
        keep(guest, "remove", once(seconds));
        // A device that was opened, and not made, is the usual one.
        let ((_, seconds), again) = memory_of(|| timed(|| contestant.add(&guest.paths, geometry)))?;
        keep(guest, "add-again", once(seconds));
        bytes = again;
        contestant.remove(&guest.paths)?;
    } else {
        let ((), seconds) = timed(|| contestant.remove(&guest.paths))?;
        keep(guest, "remove", once(seconds));
    }
    if zones >= MEMORY_FROM {
        keep(
            guest,
            "memory",
            Value::Memory {
                zones: u64::from(zones),
                bytes,
            },
        );
    }
    Ok(())
}
