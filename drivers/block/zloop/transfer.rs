// SPDX-License-Identifier: GPL-2.0

//! Moving the data of reads, writes and appends between requests and zone files.
//!
//! A file may move less than it was asked to. That is no answer yet: the rest is tried again, and
//! the next attempt says why. What is beyond the end of a file, and only that, reads as zeros.

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        block::{
            nested::Nested,
            request::Op,
            request_list::RequestList,
            status::Status, //
        },
        compat,
        fs::{
            self,
            BackingFile, //
        }, //
    },
    device::Device,
    model::Sector,
    refusal::Refusal,
    requests::{
        self,
        end,
        finish,
        is_conventional,
        leave,
        log_failure,
        zone_of,
        Driver,
        Request,
        Stage, //
    },
    zone::{
        Admission,
        ReadFrom, //
    }, //
};
use kernel::{
    block::SECTOR_SHIFT,
    prelude::*, //
};

/// How often an I/O that moved nothing is tried again: a read may race with the growth of the
/// file, after which it finds something.
const MAX_RETRIES: u32 = 8;

/// How far the data of a request has come, and that of those it leads.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    /// Where the data goes or comes from, from the start of the zone. For a write to a sequential
    /// zone, where it was admitted.
    start: Sector,
    /// Bytes moved so far.
    done: u32,
    /// Attempts that moved nothing.
    retries: u32,
    /// Whether the last attempt could wait for the file system.
    may_wait: bool,
    /// Whether blocks were given back for it already.
    made_room: bool,
    /// Whether it is an append that came after a write.
    after_write: bool,
    /// [`Device::releases`](crate::device::Device::releases) before the last attempt.
    releases: u32,
}

impl Progress {
    fn new(start: Sector) -> Self {
        Self {
            start,
            done: 0,
            retries: 0,
            may_wait: true,
            made_room: false,
            after_write: false,
            releases: 0,
        }
    }

    /// Byte in the file at which the rest begins.
    fn pos(&self) -> u64 {
        (self.start << SECTOR_SHIFT) + u64::from(self.done)
    }

    /// Whether all is done after an attempt with this result.
    pub(crate) fn completes(&self, rq: &Request, result: &Result<u32>) -> bool {
        matches!(result, Ok(bytes) if self.done + bytes == rq.span())
    }
}

/// Moves the rest of the data, all but the first `done` bytes. May sleep unless `nested`.
fn transfer(mut rq: Request, file: BackingFile, mut progress: Progress, nested: Option<&Nested>) {
    let device = rq.device();
    let caching = device.config.caching;

    match nested {
        Some(_) => device.counters.inline.count(),
        None => device.counters.deferred.count(),
    }
    progress.may_wait = nested.is_none();
    progress.releases = device.releases();
    *rq.state_mut() = Stage::Moving(progress);
    match nested {
        None => rq.submit(file, caching, progress.pos(), progress.done),
        Some(scope) => rq.try_submit(file, caching, progress.pos(), progress.done, scope),
    }
}

/// Begins a read. May sleep unless `nested`.
pub(crate) fn read(mut rq: Request, nested: Option<&Nested>) {
    let start = rq.device().geometry.offset_in_zone(rq.sector());
    let source = match zone_of(&rq) {
        Some(zone) => zone.read_from(rq.device(), start, nested.is_none()),
        None => return rq.end(Status::IO_ERROR),
    };

    match source {
        Ok(ReadFrom::NeedsToWait) => rq.defer(),
        Ok(ReadFrom::File(file)) => transfer(rq, file, Progress::new(start), nested),
        Ok(ReadFrom::Nowhere) => {
            rq.zero_from(0);
            rq.end(Status::OK);
        }
        Err(refusal) => end(rq, Err(refusal)),
    }
}

/// Begins a write to a conventional zone; any number of them go on at a time. May sleep
/// unless `nested`.
pub(crate) fn write_conventional(rq: Request, nested: Option<&Nested>) {
    let start = rq.device().geometry.offset_in_zone(rq.sector());
    let file = match zone_of(&rq) {
        Some(zone) if nested.is_some() => zone.open_file(),
        Some(zone) => zone.file(rq.device()).map(Some),
        None => return rq.end(Status::IO_ERROR),
    };

    match file {
        Ok(Some(file)) => transfer(rq, file, Progress::new(start), nested),
        Ok(None) => rq.defer(),
        Err(refusal) => end(rq, Err(refusal)),
    }
}

/// Begins a write or an append to the sequential zone whose turn the request has, an append
/// together with others unless it is to go `alone`. May sleep unless `nested`.
pub(crate) fn write_sequential(mut rq: Request, nested: Option<&Nested>, alone: bool) {
    let at = match rq.op() {
        Op::ZoneAppend => {
            if !alone {
                gather(&mut rq);
                if nested.is_none() {
                    let chance = &rq.device().appends_meet;

                    if rq.followers().is_empty() {
                        chance.failed();
                    } else {
                        chance.worked();
                    }
                }
            }
            None
        }
        _ => Some(rq.device().geometry.offset_in_zone(rq.sector())),
    };
    let device = rq.device();
    let len = Sector::from(rq.span() >> SECTOR_SHIFT);
    let admission = match zone_of(&rq) {
        Some(zone) => zone.admit_write(device, at, len, nested.is_none()),
        None => return rq.end(Status::IO_ERROR),
    };

    match admission {
        Ok(Admission::Granted {
            file,
            start,
            after_write,
        }) => {
            let mut progress = Progress::new(start);

            progress.after_write = after_write;
            transfer(rq, file, progress, nested);
        }
        // The request keeps its turn.
        Ok(Admission::NeedsToWait) => rq.defer(),
        Err(refusal) => {
            // The others get an answer of their own.
            let followers = rq.dismiss();

            if let Some(zone) = zone_of(&rq) {
                zone.turn.give_back(followers);
            }
            refuse(rq, refusal);
        }
    }
}

/// Ends a write or an append that was not admitted to the zone whose turn it has. The block layer
/// may have given up the write plug for it nevertheless.
fn refuse(mut rq: Request, refusal: Refusal) {
    let Some(zone) = zone_of(&rq) else {
        return rq.end(Status::IO_ERROR);
    };

    if zone.note_refused(rq.op() == Op::ZoneAppend) && requests::is_write_ending(&rq, zone.no) {
        *rq.state_mut() = Stage::Refused(refusal);
        return rq.defer();
    }
    finish(rq, Err(refusal));
}

/// Appends to be written together: how many sectors there is room for.
pub(crate) struct Batch(u32);

impl Batch {
    /// With as much room as the device's options allow.
    pub(crate) fn new(device: &Device) -> Self {
        Self(device.config.append_batch)
    }

    /// Has room for no more than `sectors`.
    fn limit(&mut self, sectors: Sector) {
        self.0 = u32::try_from(sectors).map_or(self.0, |sectors| self.0.min(sectors));
    }

    /// Adds a request and returns whether there is room for its data.
    pub(crate) fn add(&mut self, rq: &Request) -> bool {
        let left = self.0.checked_sub(rq.sectors());

        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// Has the appends that wait for the turn of `rq`, itself one, go with it, as far as they fit into
/// the zone. The more of them there are, the less each costs, and they need not wait for each
/// other's I/O.
fn gather(rq: &mut Request) {
    if !rq.followers().is_empty() {
        return;
    }
    let Some(zone) = zone_of(rq).filter(|zone| zone.turn.anyone_waits()) else {
        return;
    };
    let mut batch = Batch::new(rq.device());

    batch.limit(zone.room());
    if !batch.add(rq) {
        return;
    }
    let followers = zone
        .turn
        .take_waiting(|next| next.op() == Op::ZoneAppend && !goes_alone(next) && batch.add(next));

    if followers.is_empty() {
        return;
    }
    if let Err(followers) = rq.lead(followers) {
        // One after the other, then.
        if let Some(zone) = zone_of(rq) {
            zone.turn.give_back(followers);
        }
    }
    rq.followers().for_each(|next| {
        next.device().counters.joined.count();
    });
}

/// Whether a request has been part of a batch that failed.
fn goes_alone(rq: &Request) -> bool {
    matches!(rq.state(), Stage::InTurn { alone: true })
}

/// Goes on after an attempt to move the data. Sleeps unless the attempt
/// [completed](Progress::completes) it.
pub(crate) fn moved(mut rq: Request, mut progress: Progress, result: Result<u32>) {
    match result {
        Ok(0) => progress.retries += 1,
        Ok(bytes) => progress.done += bytes,
        Err(error) if !progress.may_wait && is_of_submitter(error) => {
            let device = rq.device();

            device.counters.again.count();
            if rq.op() != Op::Read {
                device.inline_writes.failed();
            }
        }
        // What was allocated ahead for others must not be what this one lacks.
        Err(error)
            if fs::is_out_of_space(error)
                && rq.op() != Op::Read
                && !progress.made_room
                && make_room(&rq, &progress) =>
        {
            progress.made_room = true;
        }
        Err(error) => return settle(rq, progress, Err(error)),
    }
    if progress.done == rq.span() {
        if !progress.may_wait && rq.op() != Op::Read {
            rq.device().inline_writes.worked();
        }
        return settle(rq, progress, Ok(()));
    }

    let file = zone_of(&rq).map(|zone| match rq.op() {
        Op::Read => zone.file_to_read(rq.device()),
        _ => zone.file(rq.device()),
    });
    let file = match file {
        Some(Ok(file)) => file,
        Some(Err(refusal)) => return settle(rq, progress, Err(refusal.error())),
        None => return rq.end(Status::IO_ERROR),
    };

    // A conventional zone is as long as its file.
    let beyond_end = !is_conventional(&rq) && file.size() <= progress.pos();

    if rq.op() == Op::Read && beyond_end {
        rq.zero_from(progress.done);
        settle(rq, progress, Ok(()));
    } else if progress.retries > MAX_RETRIES {
        settle(rq, progress, Err(EIO));
    } else {
        transfer(rq, file, progress, None);
    }
}

/// Whether an attempt in the submitter's task that failed with `error` may go well in another one.
///
/// A block device that cannot be asked not to wait refuses with [`compat::eopnotsupp`]; a task that
/// is being killed for memory gets [`ENOMEM`], one that is being killed [`EINTR`].
fn is_of_submitter(error: Error) -> bool {
    [EAGAIN, compat::eopnotsupp(), ENOMEM, EINTR, ERESTARTSYS].contains(&error)
}

/// Gives back what is allocated ahead in other zones, after a write found no space. Returns whether
/// the rest of the write can be tried again. Sleeps.
fn make_room(rq: &Request, progress: &Progress) -> bool {
    let Some(zone) = zone_of(rq) else {
        return false;
    };

    rq.device().release_ahead(zone.no, progress.releases)
        && (is_conventional(rq)
            || zone
                .file(rq.device())
                .is_ok_and(|file| file.size() == progress.pos()))
}

/// Brings the zone's state in line with what became of the request's data, and ends the request.
/// May sleep after an error.
pub(crate) fn settle(mut rq: Request, mut progress: Progress, result: Result) {
    let outcome = result.map_err(Refusal::File);
    let start = progress.start;
    let Some(zone) = zone_of(&rq) else {
        return rq.end(Status::IO_ERROR);
    };

    if rq.op() == Op::Read {
        return end(rq, outcome);
    }
    if is_conventional(&rq) {
        zone.note_write(rq.device());
        if outcome.is_ok() {
            count_fua(&rq);
        }
        return end(rq, outcome);
    }

    // Once for each append: no other write to the zone can have ended since.
    if core::mem::take(&mut progress.after_write) && requests::is_write_ending(&rq, zone.no) {
        *rq.state_mut() = Stage::Settling(progress, result);
        return rq.defer();
    }

    let span = rq.span();
    let sector = rq.device().geometry.zone_start(zone.no) + start;

    if let Err(refusal) = outcome {
        return settle_failed(rq, progress, refusal);
    }
    if let Err(refusal) = zone.commit_write(rq.device(), start, Sector::from(span >> SECTOR_SHIFT))
    {
        // Nobody moves the write pointer of a zone whose turn another one has. Should it happen,
        // the file decides, in a context that may sleep.
        log_failure(&rq, zone.no, refusal);
        *rq.state_mut() = Stage::Moved(Progress::new(start), Err(EIO));
        return rq.defer();
    }

    leave(zone);
    end_written(in_order(rq), sector);
}

/// After a write to a sequential zone that failed: the write pointer is taken from the file, those
/// whose data is there end well, and the one of which a part is there fails.
///
/// Others that went together with it have not had a chance of their own: a batch fails as a whole
/// for lack of the space that its last ones need. They try again one after the other, unless the
/// file has grown by more than what was written, in which case their data may be there, too.
fn settle_failed(rq: Request, progress: Progress, refusal: Refusal) {
    let Some(zone) = zone_of(&rq) else {
        return rq.end(Status::IO_ERROR);
    };
    let sector = rq.device().geometry.zone_start(zone.no) + progress.start;
    // If the write pointer cannot be found out the zone says so itself.
    let moved = zone
        .resync(rq.device())
        .map_or(0, |wp| wp.saturating_sub(progress.start) << SECTOR_SHIFT);
    let done = u64::from(progress.done);

    if rq.followers().is_empty() {
        leave(zone);
        return end(rq, Err(refusal));
    }

    let mut left = in_order(rq);
    let mut written = RequestList::new();
    let mut failed = RequestList::new();
    let mut at = 0;

    while let Some(rq) = left.pop_if(|rq| at + u64::from(rq.len_bytes()) <= done.min(moved)) {
        at += u64::from(rq.len_bytes());
        written.push(rq);
    }
    if moved != done {
        failed = core::mem::take(&mut left);
    } else if at != done {
        left.pop().into_iter().for_each(|rq| failed.push(rq));
    }

    let mut alone = RequestList::new();

    while let Some(mut rq) = left.pop() {
        *rq.state_mut() = Stage::InTurn { alone: true };
        alone.push(rq);
    }
    // The first of them keeps the turn. While one of the others has not ended there is a device.
    match alone.pop() {
        Some(next) => {
            if let Some(zone) = zone_of(&next) {
                zone.turn.give_back(alone);
            }
            next.defer();
        }
        // Then one has failed.
        None => {
            if let Some(zone) = failed.first().as_deref().and_then(zone_of) {
                leave(zone);
            }
        }
    }
    end_written(written, sector);
    while let Some(rq) = failed.pop() {
        end(rq, Err(refusal));
    }
}

/// A request and those that it leads, in the order of their data.
fn in_order(mut rq: Request) -> RequestList<Driver> {
    let mut all = rq.dismiss();
    let mut first = RequestList::new();

    first.push(rq);
    all.prepend(first);
    all
}

/// Counts a write or an append that has become durable by itself, if it had to.
fn count_fua(rq: &Request) {
    if rq.is_fua() {
        rq.device().counters.fua.count();
    }
}

/// Ends requests well whose data was written one behind the other, from `sector` on.
fn end_written(mut requests: RequestList<Driver>, mut sector: Sector) {
    while let Some(mut rq) = requests.pop() {
        let len = Sector::from(rq.sectors());

        if rq.op() == Op::ZoneAppend {
            rq.set_sector(sector);
        }
        sector += len;
        count_fua(&rq);
        rq.end(Status::OK);
    }
}
