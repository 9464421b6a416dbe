// SPDX-License-Identifier: GPL-2.0

//! Devices of many zones: what it takes to add, report, remove and add them again, and the memory they keep.

use crate::contestant::{Geometry, Target};
use crate::guest::{memory_of, Guest};
use crate::sample::{Contestant, Value};
use crate::system::{run, timed, Res};
use crate::zones::Device;

/// Below this, what else changes in a system is more than the zones take.
const MEMORY_FROM: u32 = 1024;

/// Zones in one report, as many as `blkzone` and fio ask for at a time.
const AT_A_TIME: usize = 8192;

pub fn measure(guest: &mut Guest, contestant: Contestant, zones: u32, round: u32) -> Res<()> {
    let geometry = Geometry { zones, zone_mib: 1 };
    let row = |part: &str| format!("{part}-{zones}");
    let add = |guest: &Guest, part: &str| -> Res<(Target, f64)> {
        guest.counted(contestant, &row(part), zones.into(), || {
            timed(|| contestant.add(&guest.paths, geometry))
        })
    };
    let remove = |guest: &Guest, part: &str| -> Res<((), f64)> {
        guest.counted(contestant, &row(part), zones.into(), || {
            timed(|| contestant.remove(&guest.paths))
        })
    };
    let keep = |guest: &mut Guest, part: &str, value: Value| {
        guest.keep(&row(part), contestant, round, Ok(value.into()));
    };
    let once = |seconds| Value::Time { ops: 1, seconds };

    contestant.prepare()?;
    run("sync", &[])?;
    let ((target, seconds), mut bytes) = memory_of(|| add(guest, "add"))?;
    keep(guest, "add", once(seconds));

    let device = Device::open(&target.path)?;
    if device.zones != zones {
        return Err(format!("{} has {} zones", target.path, device.zones));
    }
    let (ops, seconds) = timed(|| device.report(AT_A_TIME))?;
    keep(guest, "report", Value::Time { ops, seconds });
    drop(device);

    let ((), seconds) = remove(guest, "remove")?;
    keep(guest, "remove", once(seconds));
    if contestant.persistent() {
        // A device that was opened, and not made, is the usual one.
        let ((_, seconds), again) = memory_of(|| add(guest, "add-again"))?;
        keep(guest, "add-again", once(seconds));
        bytes = again;
        contestant.remove(&guest.paths)?;
    }
    if zones >= MEMORY_FROM {
        let zones = zones.into();
        keep(guest, "memory", Value::Memory { zones, bytes });
    }
    Ok(())
}
