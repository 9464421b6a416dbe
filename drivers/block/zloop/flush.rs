// SPDX-License-Identifier: GPL-2.0

//! FLUSH: makes durable what was written to the device and acknowledged before.
//!
//! A write notes its zone before it is acknowledged. A flush takes the notes and has the file of
//! each noted zone synced, several at a time; no other file is touched, and no zone twice. Flushes
//! go one after the other: the one before may have taken notes of what was written before this one
//! was asked for. If that one fails, so does this one. (It waits only with several hardware queues.
//! The block layer sends one flush at a time to a queue, blk_kick_flush(); nothing tells here that
//! one was asked for before another one ended there.)

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        fs::{
            BackingFile,
            Synced, //
        },
        task::NoIo, //
    },
    cache,
    device::Device,
    model::ZoneNo,
    refusal::Refusal, //
};
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Full,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        Arc,
        Completion,
        Mutex,
        SpinLock, //
    },
};

/// How many files are synced at a time.
const PARALLEL: usize = 8;

/// How many files are taken up together, some of which may be open only for that.
const OPEN: usize = 1024;

/// The flushes of a device.
#[pin_data]
pub(crate) struct Flush {
    /// Number of flushes that have ended.
    ended: Atomic<u64>,
    /// Held while a flush is going on.
    #[pin]
    state: Mutex<State>,
}

struct State {
    /// Zones of the flush in progress; empty otherwise. Has room for all.
    zones: KVVec<ZoneNo>,
    /// The last flush that failed, by its number, and why.
    failed: Option<(u64, Error)>,
}

impl Flush {
    /// For a device of `nr_zones` zones.
    pub(crate) fn new(nr_zones: usize) -> Result<impl PinInit<Self>> {
        let zones = KVVec::with_capacity(nr_zones, GFP_KERNEL)?;

        Ok(pin_init!(Self {
            ended: Atomic::new(0),
            state <- new_mutex!(State { zones, failed: None }, "Flush::state"),
        }))
    }
}

/// Flushes a device. May sleep; called in a work item, or, if there is no memory for one, by the
/// task that removes the device.
///
/// An error of one of the files is returned by this flush, and by those that waited for it, not by
/// later ones.
pub(crate) fn flush(device: &Device) -> Result {
    let ended_before = device.flush.ended.load(Acquire);
    let mut state = device.flush.state.lock();
    let number = device.flush.ended.load(Acquire);

    device.take_dirty(&mut state.zones);
    let outcome = sync_zones(device, &state.zones);

    if let Err(error) = outcome {
        state.failed = Some((number, error));
    }
    // If it failed, those that were not the cause have to be made durable by the next flush.
    for zone in state.zones.iter().filter_map(|no| device.zone(*no)) {
        zone.flush_ended(device, outcome);
    }
    state.zones.clear();
    device.flush.ended.store(number + 1, Release);
    match state.failed {
        // This one, or one that it waited for.
        Some((failed, error)) if failed >= ended_before => Err(error),
        _ => Ok(()),
    }
}

/// Files to be synced, by whoever comes to help.
#[pin_data]
struct Job {
    files: KVVec<BackingFile>,
    what: Synced,
    /// First file that nobody has taken.
    next: Atomic<usize>,
    /// Files that are done.
    done: Atomic<usize>,
    #[pin]
    first_error: SpinLock<Result>,
    #[pin]
    all_done: Completion,
}

impl Job {
    fn new(device: &Device, zones: &[ZoneNo], what: Synced) -> Result<Arc<Self>> {
        let mut files = KVVec::with_capacity(zones.len(), GFP_KERNEL)?;

        for zone in zones.iter().filter_map(|no| device.zone(*no)) {
            let file = zone.file_to_sync(device).map_err(Refusal::error)?;

            files.push_within_capacity(file).map_err(|_| ENOMEM)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                files,
                what,
                next: Atomic::new(0usize),
                done: Atomic::new(0usize),
                first_error <- new_spinlock!(Ok(()), "Job::first_error"),
                all_done <- Completion::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Syncs all files with the help of work items of the device's own queue.
    ///
    /// The caller works as well, and waits only for files that somebody has taken: helpers that
    /// never get to run keep nobody waiting.
    fn run(self: Arc<Self>, device: &Device) -> Result {
        if self.files.is_empty() {
            return Ok(());
        }
        for _ in 1..self.files.len().min(PARALLEL) {
            let helper = self.clone();

            // Without a helper it takes longer, that is all.
            let _ = device
                .queue
                .as_queue()
                .try_spawn(GFP_KERNEL, move || helper.work());
        }
        self.work();
        self.all_done.wait_for_completion();

        let outcome = *self.first_error.lock();
        outcome
    }

    /// Syncs files until none is left to take.
    fn work(&self) {
        // Helpers are work items, too: what they wait for may wait for this flush.
        let _scope = NoIo::enter();

        loop {
            let index = self.next.fetch_add(1usize, Relaxed);
            let Some(file) = self.files.get(index) else {
                return;
            };

            if let Err(error) = file.sync(self.what) {
                let mut first = self.first_error.lock();

                if first.is_ok() {
                    *first = Err(error);
                }
            }
            if self.done.fetch_add(1usize, Full) + 1 == self.files.len() {
                self.all_done.complete_all();
            }
        }
    }
}

/// Makes durable what is in the files of some zones.
fn sync_zones(device: &Device, zones: &[ZoneNo]) -> Result {
    for zone in zones.iter().filter_map(|no| device.zone(*no)) {
        zone.begin_flush();
    }
    sync_files(device, zones, Synced::Data)?;
    if device.config.discard_write_cache {
        cache::record(device, zones)?;
        // The records are part of what the flush promises.
        sync_files(device, zones, Synced::All)?;
    }
    Ok(())
}

/// Syncs the files of some zones. All are tried; the first error is returned.
fn sync_files(device: &Device, zones: &[ZoneNo], what: Synced) -> Result {
    zones
        .chunks(OPEN)
        .map(|zones| sync_some(device, zones, what))
        .fold(Ok(()), Result::and)
}

/// Syncs the files of some zones, several at a time, or one after the other if memory is short.
fn sync_some(device: &Device, zones: &[ZoneNo], what: Synced) -> Result {
    if zones.len() > 1 {
        if let Ok(job) = Job::new(device, zones, what) {
            return job.run(device);
        }
    }
    zones
        .iter()
        .filter_map(|no| device.zone(*no))
        .map(|zone| {
            zone.file_to_sync(device)
                .map_err(Refusal::error)?
                .sync(what)
        })
        .fold(Ok(()), Result::and)
}
