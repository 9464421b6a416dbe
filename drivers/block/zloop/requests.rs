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
            nested::Nested,
            operations::Operations,
            request::{
                Op,
                Request as RawRequest, //
            },
            request_io::Caching,
            request_list::RequestList,
            status::Status,
            turnstile::Turnstile,
            zone_report::ZoneReport, //
        },
        task,
        workqueue::OwnedQueue, //
    },
    device::Device,
    flush,
    model::ZoneNo,
    refusal::Refusal,
    report,
    transfer::{
        self,
        Batch,
        Progress, //
    },
    zone::Zone, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// The driver, as the block layer knows it.
pub(crate) struct Driver;

pub(crate) type Request = RawRequest<Driver>;

/// How far a request has come: what is kept with it.
#[derive(Default)]
pub(crate) enum Stage {
    /// Nothing has been done yet.
    #[default]
    New,
    /// It has the turn of its zone, or waits for it. An append may have to go alone.
    InTurn { alone: bool },
    /// Its data is being moved.
    Moving(Progress),
    /// Some or all of its data was moved, or none; the rest needs a context that may sleep.
    Moved(Progress, Result<u32>),
    /// Its data was moved or not, but a write before it is not over for the block layer.
    Settling(Progress, Result),
    /// It was refused, but a write before it is not over for the block layer.
    Refused(Refusal),
    /// A reset of all zones has come to this one and has its turn, or waits for it.
    ResetAll { zone: ZoneNo },
}

impl Operations for Driver {
    type OwnerModule = crate::LocalModule;
    type Device = Device;
    type State = Stage;

    fn work_queue(device: &Device) -> &OwnedQueue {
        &device.queue
    }

    fn queue(mut rq: Request, nested: Option<&Nested>) {
        *rq.state_mut() = Stage::New;

        match (rq.op(), short_way(&rq, nested)) {
            (Op::Read, Some(nested)) => return transfer::read(rq, Some(nested)),
            (Op::Write | Op::ZoneAppend, Some(nested)) => {
                if is_conventional(&rq) {
                    return transfer::write_conventional(rq, Some(nested));
                }
                let waits = waits_for_others(&rq);

                if let Some(rq) = enter(rq) {
                    if waits {
                        rq.defer();
                    } else {
                        transfer::write_sequential(rq, Some(nested), false);
                    }
                }
                return;
            }
            _ => {}
        }
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

    fn queue_together(mut requests: RequestList<Self>, nested: Option<&Nested>) {
        while let Some(rq) = requests.pop() {
            let others = take_joining(&mut requests, &rq);

            if others.is_empty() {
                Self::queue(rq, nested);
            } else {
                queue_appends(rq, others, nested);
            }
        }
    }

    fn run(mut rq: Request) {
        let stage = core::mem::take(rq.state_mut());

        match stage {
            Stage::New => start(rq),
            Stage::InTurn { alone } => act(rq, alone),
            Stage::ResetAll { zone } => reset_all(rq, zone, true),
            Stage::Moved(progress, result) => transfer::moved(rq, progress, result),
            Stage::Settling(progress, result) => {
                if let Some(zone) = zone_of(&rq) {
                    let_writes_end(&rq, zone.no);
                }
                transfer::settle(rq, progress, result);
            }
            Stage::Refused(refusal) => {
                if let Some(zone) = zone_of(&rq) {
                    let_writes_end(&rq, zone.no);
                }
                finish(rq, Err(refusal));
            }
            Stage::Moving(_) => rq.end(Status::IO_ERROR),
        }
    }

    fn io_done(mut rq: Request, result: Result<u32>) {
        let Stage::Moving(progress) = core::mem::take(rq.state_mut()) else {
            return rq.end(Status::IO_ERROR);
        };

        // The usual case needs no waiting. The zones' locks are never taken in interrupts, so they
        // may be taken in any task.
        if progress.completes(&rq, &result) && (rq.op() == Op::Read || task::in_task()) {
            return transfer::moved(rq, progress, result);
        }
        *rq.state_mut() = Stage::Moved(progress, result);
        rq.defer();
    }

    fn report_zones(device: &Device, sector: u64, nr: u32, report: &mut ZoneReport<'_>) -> Result {
        report::report_zones(device, sector, nr, report)
    }
}

/// Whether a new request may be done in the task that submits it.
fn short_way<'a>(rq: &Request, nested: Option<&'a Nested>) -> Option<&'a Nested> {
    let device = rq.device();

    nested.filter(|_| {
        device.config.inline
            && match rq.op() {
                Op::Read => device.config.inline_reads,
                // The zone's file is none that the task writes: a limit to the size of those must
                // not stop it.
                Op::Write | Op::ZoneAppend => {
                    device.config.caching == Caching::Direct
                        && !task::has_file_size_limit()
                        && device.inline_writes.is_worth_it()
                }
                _ => false,
            }
    })
}

/// Whether an append waits for others that may come before a work item goes on with it: it would
/// cost less in the submitter's task, but all of them together less still.
fn waits_for_others(rq: &Request) -> bool {
    let device = rq.device();

    rq.op() == Op::ZoneAppend
        && device.config.append_batch != 0
        && device.appends_meet.is_worth_it()
}

/// Takes those at the head of `requests` that could be written together with `first`.
fn take_joining(requests: &mut RequestList<Driver>, first: &Request) -> RequestList<Driver> {
    let device = first.device();
    let zone = device.geometry.zone_of(first.sector());
    let mut batch = Batch::new(device);
    let mut joins = |rq: &Request| rq.op() == Op::ZoneAppend && batch.add(rq);

    if !joins(first) || is_conventional(first) {
        return RequestList::new();
    }
    requests.pop_while(|next| device.geometry.zone_of(next.sector()) == zone && joins(next))
}

/// Takes new appends to one zone, which can be written together if all of them are there before the
/// first one acts.
fn queue_appends(first: Request, mut others: RequestList<Driver>, nested: Option<&Nested>) {
    let first = enter(first);

    while let Some(rq) = others.pop() {
        // Without `first` somebody else had the turn, which may have been given up since.
        if let Some(rq) = enter(rq) {
            rq.defer();
        }
    }
    if let Some(rq) = first {
        match short_way(&rq, nested) {
            Some(nested) => transfer::write_sequential(rq, Some(nested), false),
            None => rq.defer(),
        }
    }
}

/// The zone that a request is for, if there is one to it. The block layer keeps a request within
/// the device and, by `chunk_sectors`, its data within one zone.
pub(crate) fn zone_of(rq: &Request) -> Option<&Zone> {
    let device = rq.device();

    device.zone(device.geometry.zone_of(rq.sector())?)
}

/// Whether a request is for a conventional zone.
pub(crate) fn is_conventional(rq: &Request) -> bool {
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
    *rq.state_mut() = Stage::InTurn { alone: false };
    let sector = rq.sector();

    Turnstile::enter(rq, move |device| device.turnstile_at(sector))
}

/// Leaves the turnstile of a zone; the next request goes on in its own work item.
pub(crate) fn leave(zone: &Zone) {
    if let Some(next) = zone.turn.leave() {
        next.defer();
    }
}

/// Begins a request that does not have the turn of its zone. May sleep.
fn start(rq: Request) {
    match rq.op() {
        Op::Read => transfer::read(rq, None),
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
        Op::Write | Op::ZoneAppend if is_conventional(&rq) => {
            transfer::write_conventional(rq, None)
        }
        Op::Write
        | Op::ZoneAppend
        | Op::ZoneOpen
        | Op::ZoneClose
        | Op::ZoneFinish
        | Op::ZoneReset => {
            if let Some(rq) = enter(rq) {
                act(rq, false);
            }
        }
        Op::Other => rq.end(Status::NOT_SUPPORTED),
    }
}

/// Does what a request asks of the zone whose turn it has; an append that is to go `alone` is not
/// joined by others. May sleep.
fn act(rq: Request, alone: bool) {
    let Some(zone) = zone_of(&rq) else {
        return rq.end(Status::IO_ERROR);
    };
    let device = rq.device();
    let outcome = match rq.op() {
        Op::Write | Op::ZoneAppend => return transfer::write_sequential(rq, None, alone),
        Op::ZoneOpen => zone.open(device),
        Op::ZoneClose => zone.close(device),
        Op::ZoneFinish => zone.finish(device),
        Op::ZoneReset => zone
            .reset(device)
            .inspect(|()| let_writes_end(&rq, zone.no)),
        _ => Ok(()),
    };

    finish(rq, outcome);
}

/// Whether the block layer is not done with a write to a zone that has ended.
///
/// If the zone is reset by then, or appended to, the block layer frees the zone's write plug even if
/// the next write is queued on it; the write after that one then fails with an I/O error.
pub(crate) fn is_write_ending(rq: &Request, no: ZoneNo) -> bool {
    rq.is_write_ending(rq.device().geometry.sectors_of(no))
}

/// Waits until [no write is ending](is_write_ending). Needs the turn, so that there come no more of
/// them; may sleep.
fn let_writes_end(rq: &Request, no: ZoneNo) {
    while is_write_ending(rq, no) {
        // For the task that is ending it, which may need this processor.
        fsleep(Delta::from_micros(50));
    }
}

/// Gives the turn up and ends the request.
pub(crate) fn finish(rq: Request, outcome: Result<(), Refusal>) {
    if let Some(zone) = zone_of(&rq) {
        leave(zone);
    }
    end(rq, outcome);
}

/// Ends a request that does not have the turn.
pub(crate) fn end(rq: Request, outcome: Result<(), Refusal>) {
    let status = match outcome {
        Ok(()) => Status::OK,
        Err(refusal) => {
            if let Some(zone) = zone_of(&rq) {
                if rq.op() == Op::Write {
                    zone.note_failure();
                }
                log_failure(&rq, zone.no, refusal);
            }
            refusal.status()
        }
    };

    rq.end(status);
}

/// Says why a request fails, unless much is being said already.
pub(crate) fn log_failure(rq: &Request, no: ZoneNo, refusal: Refusal) {
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
            *rq.state_mut() = Stage::ResetAll { zone: no };
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
        let outcome = zone.reset(device).inspect(|()| let_writes_end(&rq, no));

        leave(zone);
        if let Err(refusal) = outcome {
            log_failure(&rq, no, refusal);
            return rq.end(refusal.status());
        }
        no += 1;
    }
}
