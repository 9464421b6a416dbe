// SPDX-License-Identifier: GPL-2.0

//! Devices of many zones: what it takes to add, report, remove and add them again, and the memory they keep.

use crate::backing::DIR;
use crate::contestant::{Geometry, Target};
use crate::guest::Guest;
use crate::memory::Memory;
use crate::sample::{Contestant, Value};
use crate::system::{run, timed, tried, Res};
use crate::zones::Device;
use nix::sys::stat::{mknod, Mode, SFlag};
use std::fs;

/// Below this, what else changes in a system is more than the zones take.
const MEMORY_FROM: u32 = 1024;

/// Zones that are reported at least, in so many reports of all.
const REPORTED: u32 = 50_000;

/// Zones in one report, as many as `blkzone` and fio ask for at a time.
const AT_A_TIME: u32 = 8192;

pub fn measure(guest: &mut Guest, contestant: Contestant, zones: u32, round: u32) -> Res<()> {
    let geometry = Geometry { zones, zone_mib: 1 };
    let row = |part: &str| format!("{part}-{zones}");
    if contestant == Contestant::Floor {
        return files(guest, zones, round);
    }
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
    let before = Memory::now()?;
    let (target, seconds) = add(guest, "add")?;
    keep(guest, "add", once(seconds));

    let device = Device::open(&target.path)?;
    if device.zones != zones {
        return Err(format!("{} has {} zones", target.path, device.zones));
    }
    // The first one is a rehearsal, and a single one too short to tell from what else goes on.
    device.report(AT_A_TIME)?;
    let (ops, seconds) = timed(|| {
        (0..REPORTED.div_ceil(zones)).try_fold(0, |sum, _| Ok(sum + device.report(AT_A_TIME)?))
    })?;
    keep(guest, "report", Value::Time { ops, seconds });
    drop(device);

    if !contestant.persistent() {
        let memory = Memory::now()?.since(&before);
        keep_memory(guest, contestant, zones, round, &memory);
        return contestant.remove(&guest.paths);
    }
    let ((), seconds) = remove(guest, "remove")?;
    keep(guest, "remove", once(seconds));

    let (_, seconds) = add(guest, "add-again")?;
    keep(guest, "add-again", once(seconds));
    contestant.remove(&guest.paths)?;

    // As after a reboot: a device that was opened, and not made, is the usual one.
    let before = Memory::now()?;
    let (_, seconds) = add(guest, "add-cold")?;
    keep(guest, "add-cold", once(seconds));
    let memory = Memory::now()?.since(&before);
    keep_memory(guest, contestant, zones, round, &memory);
    contestant.remove(&guest.paths)
}

fn keep_memory(guest: &mut Guest, contestant: Contestant, zones: u32, round: u32, memory: &Memory) {
    if zones >= MEMORY_FROM {
        println!("#   {memory}");
        let value = Value::Memory {
            zones: zones.into(),
            bytes: memory.total(),
        };
        let row = format!("memory-{zones}");
        guest.keep(&row, contestant, round, Ok(value.into()));
    }
}

/// What the file system alone needs for as many files: to make them, and to look at each of them once.
fn files(guest: &mut Guest, zones: u32, round: u32) -> Res<()> {
    let dir = format!("{DIR}/files");
    tried(&dir, fs::create_dir(&dir))?;
    let path = |no: u32| format!("{dir}/seq-{no:06}");
    let make = |no| {
        let path = path(no);
        let made = mknod(path.as_str(), SFlag::S_IFREG, Mode::S_IRWXU, 0);
        tried(path, made.map_err(Into::into))
    };
    let look = |no| {
        let path = path(no);
        tried(&path, fs::metadata(&path)).map(drop)
    };
    let mut step = |part: &str, each: &dyn Fn(u32) -> Res<()>| -> Res<()> {
        let row = format!("{part}-{zones}");
        let ((), seconds) = guest.counted(Contestant::Floor, &row, zones.into(), || {
            timed(|| (0..zones).try_for_each(each))
        })?;
        let value = Value::Time { ops: 1, seconds };
        guest.keep(&row, Contestant::Floor, round, Ok(value.into()));
        Ok(())
    };
    step("add", &make)?;
    step("add-again", &look)?;
    Memory::now()?;
    step("add-cold", &look)
}
