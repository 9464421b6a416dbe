// SPDX-License-Identifier: GPL-2.0

//! The life of a request: from the block layer through its work item, the zone's turnstile and
//! the file, and back.
//!
//! Each request has a [`Stage`], and each of the functions here takes a request by ownership and
//! passes it on. What changes a zone enters the zone's turnstile before it acts and leaves before
//! it ends, so that who hears of the end finds the turn free.

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        block::{
            operations::Operations,
            request::{
                Op,
                Request as RawRequest, //
            },
            request_io::Direction,
            status::Status,
            turnstile::Turnstile,
            zone_report::ZoneReport, //
        },
        task,
        workqueue::OwnedQueue, //
    },
    device::Device,
    flush,
    model::{
        Sector,
        ZoneNo, //
    },
    report,
    zone::{
        ReadFrom,
        Refusal,
        Zone, //
    },
};
use kernel::prelude::*;

/// The driver, as the block layer knows it.
pub(crate) struct Driver;

pub(crate) type Request = RawRequest<Driver>;

/// What is kept with a request.
#[derive(Default)]
pub(crate) struct Command {
    stage: Stage,
}

/// How far a request has come.
#[derive(Default)]
enum Stage {
    /// Nothing has been done yet.
    #[default]
    New,
    /// It has the turn of its zone, or waits for it.
    InTurn,
    /// Its data is being moved: `done` bytes have been. For a sequential zone, `start` is where
    /// the write was admitted.
    Moving {
        start: Sector,
        done: u32,
        retries: u32,
    },
    /// Its data was moved, or not; the rest needs a context that may sleep.
    Moved {
        start: Sector,
        done: u32,
        retries: u32,
        result: Result<u32>,
    },
    /// A reset of all zones has come to this one and has its turn, or waits for it.
    ResetAll { zone: ZoneNo },
}

/// How often an I/O that moved nothing is tried again: a read may race with the growth of the
/// file, after which it finds something.
const MAX_RETRIES: u32 = 8;

impl Operations for Driver {
    type OwnerModule = crate::LocalModule;
    type Device = Device;
    type Command = Command;

    fn work_queue(device: &Device) -> &OwnedQueue {
        &device.queue
    }

    fn queue(mut rq: Request) {
        rq.command_mut().stage = Stage::New;
        // With ordered_zone_append this decides where the data goes: in the order of submission.
        let in_order = match rq.op() {
            Op::Write | Op::ZoneOpen | Op::ZoneClose | Op::ZoneFinish | Op::ZoneReset => true,
            Op::ZoneAppend => rq.device().config.ordered_zone_append,
            _ => false,
        };

        if !in_order || is_conventional(&rq) {
            return rq.defer();
        }
        if let Some(rq) = enter(rq) {
            rq.defer();
        }
    }

    fn run(mut rq: Request) {
        let stage = core::mem::take(&mut rq.command_mut().stage);

        match stage {
            Stage::New => start(rq),
            Stage::InTurn => act(rq),
            Stage::ResetAll { zone } => reset_all(rq, zone, true),
            Stage::Moved {
                start,
                done,
                retries,
                result,
            } => moved(rq, start, done, retries, result),
            Stage::Moving { .. } => rq.end(Status::IO_ERROR),
        }
    }

    fn io_done(mut rq: Request, result: Result<u32>) {
        let Stage::Moving {
            start,
            done,
            retries,
        } = core::mem::take(&mut rq.command_mut().stage)
        else {
            return rq.end(Status::IO_ERROR);
        };
        let complete = matches!(result, Ok(bytes) if done + bytes == rq.len_bytes());

        // The usual case needs no waiting. The zones' locks are never taken in interrupts, so they
        // may be taken in any task.
        if complete && (rq.op() == Op::Read || task::in_task()) {
            return moved(rq, start, done, retries, result);
        }
        rq.command_mut().stage = Stage::Moved {
            start,
            done,
            retries,
            result,
        };
        rq.defer();
    }

    fn report_zones(
        device: &Device,
        sector: u64,
        nr: u32,
        report: &mut ZoneReport<'_>,
    ) -> Result<u32> {
        report::report_zones(device, sector, nr, report)
    }
}

/// The zone that a request is for, if there is one to it. The block layer keeps a request within
/// the device and, by `chunk_sectors`, its data within one zone.
fn zone_of(rq: &Request) -> Option<&Zone> {
    let device = rq.device();

    device.zone(device.geometry.zone_of(rq.sector())?)
}

/// Whether a request is for a conventional zone.
fn is_conventional(rq: &Request) -> bool {
    let geometry = &rq.device().geometry;

    geometry
        .zone_of(rq.sector())
        .is_some_and(|no| geometry.is_conventional(no))
}

/// Enters the turnstile of the request's zone. A request that has none has the turn at once.
fn enter(mut rq: Request) -> Option<Request> {
    if zone_of(&rq).is_none() {
        return Some(rq);
    }
    rq.command_mut().stage = Stage::InTurn;
    let sector = rq.sector();

    Turnstile::enter(rq, move |device| device.turnstile_at(sector))
}

/// Leaves the turnstile of a zone; the next request goes on in its own work item.
fn leave(zone: &Zone) {
    if let Some(next) = zone.turn.leave() {
        next.defer();
    }
}

/// Begins a request that does not have the turn of its zone. May sleep.
fn start(rq: Request) {
    match rq.op() {
        Op::Read => read(rq),
        Op::Flush => {
            let status = match flush::flush(rq.device()) {
                Ok(()) => Status::OK,
                Err(error) => Status::from_error(error),
            };
            rq.end(status);
        }
        Op::ZoneResetAll => {
            let first = rq.device().geometry.nr_conv_zones();
            reset_all(rq, first, false);
        }
        Op::Write | Op::ZoneAppend if is_conventional(&rq) => write_conventional(rq),
        Op::Write
        | Op::ZoneAppend
        | Op::ZoneOpen
        | Op::ZoneClose
        | Op::ZoneFinish
        | Op::ZoneReset => {
            if let Some(rq) = enter(rq) {
                act(rq);
            }
        }
        Op::Other => rq.end(Status::NOT_SUPPORTED),
    }
}

/// Does what a request asks of the zone whose turn it has. May sleep.
fn act(rq: Request) {
    let Some(zone) = zone_of(&rq) else {
        return rq.end(Status::IO_ERROR);
    };
    let device = rq.device();
    let outcome = match rq.op() {
        Op::Write | Op::ZoneAppend => return write_sequential(rq),
        Op::ZoneOpen => zone.open(device),
        Op::ZoneClose => zone.close(device),
        Op::ZoneFinish => zone.finish(device),
        Op::ZoneReset => zone.reset(device),
        _ => Ok(()),
    };

    finish(rq, outcome);
}

/// Gives the turn up and ends the request.
fn finish(rq: Request, outcome: Result<(), Refusal>) {
    if let Some(zone) = zone_of(&rq) {
        leave(zone);
    }
    end(rq, outcome);
}

/// Ends a request that does not have the turn.
fn end(rq: Request, outcome: Result<(), Refusal>) {
    let status = match outcome {
        Ok(()) => Status::OK,
        Err(refusal) => {
            if let Some(zone) = zone_of(&rq) {
                log_failure(&rq, zone.no, refusal);
            }
            refusal.status()
        }
    };

    rq.end(status);
}

/// Says why a request fails, unless much is being said already.
fn log_failure(rq: &Request, no: ZoneNo, refusal: Refusal) {
    let device = rq.device();
    let action = match rq.op() {
        Op::Read => "read",
        Op::Write => "write",
        Op::ZoneAppend => "zone append",
        Op::ZoneOpen => "zone open",
        Op::ZoneClose => "zone close",
        Op::ZoneFinish => "zone finish",
        Op::ZoneReset | Op::ZoneResetAll => "zone reset",
        Op::Flush | Op::Other => "command",
    };

    if !device.error_log.allow() {
        return;
    }
    if rq.sectors() == 0 {
        pr_err!(
            "zloop{}: zone {}: {} failed: {}\n",
            device.id,
            no,
            action,
            core::format_args!("{refusal}")
        );
    } else {
        pr_err!(
            "zloop{}: zone {}: {} of {} sectors at sector {} failed: {}\n",
            device.id,
            no,
            action,
            rq.sectors(),
            rq.sector(),
            core::format_args!("{refusal}")
        );
    }
}

/// Begins or continues the transfer of the data: all but the first `done` bytes.
fn transfer(
    mut rq: Request,
    file: crate::abstractions::fs::BackingFile,
    direction: Direction,
    start: Sector,
    done: u32,
    retries: u32,
) {
    let caching = rq.device().config.caching;
    let pos = (start << kernel::block::SECTOR_SHIFT) + u64::from(done);

    rq.command_mut().stage = Stage::Moving {
        start,
        done,
        retries,
    };
    rq.submit(file, direction, caching, pos, done);
}

/// Begins a read.
fn read(mut rq: Request) {
    let start = rq.device().geometry.offset_in_zone(rq.sector());
    let source = match zone_of(&rq) {
        Some(zone) => zone.read_from(start),
        None => return rq.end(Status::IO_ERROR),
    };

    match source {
        Ok(ReadFrom::File(file)) => transfer(rq, file, Direction::Read, start, 0, 0),
        Ok(ReadFrom::Nowhere) => {
            rq.zero_from(0);
            rq.end(Status::OK);
        }
        Err(refusal) => end(rq, Err(refusal)),
    }
}

/// Begins a write to a conventional zone; any number of them go on at a time.
fn write_conventional(rq: Request) {
    let start = rq.device().geometry.offset_in_zone(rq.sector());
    let file = match zone_of(&rq) {
        Some(zone) => zone.data_file(),
        None => return rq.end(Status::IO_ERROR),
    };

    match file {
        Ok(file) => transfer(rq, file, Direction::Write, start, 0, 0),
        Err(refusal) => end(rq, Err(refusal)),
    }
}

/// Begins a write or an append to the sequential zone whose turn the request has.
fn write_sequential(rq: Request) {
    let device = rq.device();
    let at = match rq.op() {
        Op::ZoneAppend => None,
        _ => Some(device.geometry.offset_in_zone(rq.sector())),
    };
    let admission = match zone_of(&rq) {
        Some(zone) => zone.admit_write(device, at, Sector::from(rq.sectors())),
        None => return rq.end(Status::IO_ERROR),
    };

    match admission {
        Ok(admission) => transfer(rq, admission.file, Direction::Write, admission.start, 0, 0),
        Err(refusal) => finish(rq, Err(refusal)),
    }
}

/// Goes on after some or all of the data was moved, or none. Sleeps only if not all was.
fn moved(rq: Request, start: Sector, done: u32, retries: u32, result: Result<u32>) {
    let len = rq.len_bytes();
    let (done, retries) = match result {
        Ok(0) => (done, retries + 1),
        Ok(bytes) => (done + bytes, retries),
        Err(error) => return settle(rq, start, Err(error)),
    };

    if done == len {
        return settle(rq, start, Ok(()));
    }
    // The file did not take or give all of it, which is no answer yet: the next attempt says why.
    if rq.op() == Op::Read {
        return continue_read(rq, start, done, retries);
    }
    if retries > MAX_RETRIES {
        return settle(rq, start, Err(EIO));
    }
    let file = match zone_of(&rq) {
        Some(zone) => zone.data_file(),
        None => return rq.end(Status::IO_ERROR),
    };
    match file {
        Ok(file) => transfer(rq, file, Direction::Write, start, done, retries),
        Err(_) => settle(rq, start, Err(EIO)),
    }
}

/// Goes on with a read that got less than asked for: zeros beyond the end of the file, and only
/// there.
fn continue_read(mut rq: Request, start: Sector, done: u32, retries: u32) {
    let file = match zone_of(&rq) {
        Some(zone) => zone.data_file(),
        None => return rq.end(Status::IO_ERROR),
    };
    let Ok(file) = file else {
        return settle(rq, start, Err(EIO));
    };
    let pos = (start << kernel::block::SECTOR_SHIFT) + u64::from(done);

    if file.size() <= pos {
        rq.zero_from(done);
        settle(rq, start, Ok(()));
    } else if retries > MAX_RETRIES {
        settle(rq, start, Err(EIO));
    } else {
        transfer(rq, file, Direction::Read, start, done, retries);
    }
}

/// Brings the zone's state in line with what became of the request's data, and ends the request.
fn settle(mut rq: Request, start: Sector, result: Result) {
    let outcome = result.map_err(Refusal::File);

    if rq.op() == Op::Read || is_conventional(&rq) {
        if rq.op() != Op::Read {
            if let Some(zone) = zone_of(&rq) {
                zone.mark_dirty(rq.device());
            }
        }
        return end(rq, outcome);
    }

    let Some(zone) = zone_of(&rq) else {
        return rq.end(Status::IO_ERROR);
    };
    let len = Sector::from(rq.sectors());

    if outcome.is_err() {
        // What became of the file is not known. If it cannot be found out the zone says so itself.
        let _ = zone.resync(rq.device());
        return finish(rq, outcome);
    }
    if let Err(refusal) = zone.commit_write(rq.device(), start, len) {
        // Nobody moves the write pointer of a zone whose turn another one has. Should it happen,
        // the file decides, in a context that may sleep.
        log_failure(&rq, zone.no, refusal);
        rq.command_mut().stage = Stage::Moved {
            start,
            done: 0,
            retries: 0,
            result: Err(EIO),
        };
        return rq.defer();
    }
    let sector = rq.device().geometry.zone_start(zone.no) + start;

    leave(zone);
    if rq.op() == Op::ZoneAppend {
        rq.set_sector(sector);
    }
    rq.end(Status::OK);
}

/// Resets zone after zone from `no` on, taking the turn of one at a time. `in_turn` says whether the
/// request has that of `no` already. May sleep.
fn reset_all(mut rq: Request, mut no: ZoneNo, mut in_turn: bool) {
    loop {
        if !in_turn {
            let device = rq.device();
            let Some(zone) = device.zone(no) else {
                return rq.end(Status::OK);
            };

            if zone.is_pristine(device) {
                no += 1;
                continue;
            }
            rq.command_mut().stage = Stage::ResetAll { zone: no };
            match Turnstile::enter(rq, move |device| device.turnstile(no)) {
                Some(entered) => rq = entered,
                None => return,
            }
        }
        in_turn = false;

        let device = rq.device();
        let Some(zone) = device.zone(no) else {
            return rq.end(Status::IO_ERROR);
        };
        let outcome = zone.reset(device);

        leave(zone);
        if let Err(refusal) = outcome {
            log_failure(&rq, no, refusal);
            return rq.end(refusal.status());
        }
        no += 1;
    }
}
