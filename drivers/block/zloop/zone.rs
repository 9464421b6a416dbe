// SPDX-License-Identifier: GPL-2.0

//! One zone of a device: its file and its state.
//!
//! # Who may do what
//!
//! Writes, appends and zone commands of a sequential zone pass its [`Turnstile`] one at a time;
//! only who has the turn changes the file's size or the write pointer. The write pointer moves
//! when the file has changed, never before: a write is planned, done and committed. A failed one
//! keeps the turn until the write pointer was taken from the file again, so that nothing else is
//! admitted to a zone in doubt, and nobody is told of the failure before the state is right.
//!
//! Reports and reads look at the state under [`Zone::state`]. Reads never wait for the turn;
//! reports do for a moment if the zone is in doubt.
//!
//! Lock order: `Zone::state`, then `Device::open_zones` or `Device::dirty`. None of them is held
//! across anything that sleeps, and never those of two zones.

#![forbid(unsafe_code)]

mod file;
mod io;

pub(crate) use io::{
    Admission,
    ReadFrom, //
};

use crate::{
    abstractions::{
        block::turnstile::Turnstile,
        fs::BackingFile, //
    },
    device::Device,
    model::{
        condition::{
            self,
            Condition,
            Effect,
            Refused, //
        },
        open_set::Openness,
        preallocation::Preallocation,
        write_pointer::WritePointer,
        Sector,
        ZoneNo, //
    },
    refusal::Refusal, //
    requests::Driver,
};
use kernel::{
    block::SECTOR_SHIFT,
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// A zone of a device.
#[pin_data]
pub(crate) struct Zone {
    pub(crate) no: ZoneNo,
    /// Orders what changes a sequential zone.
    #[pin]
    pub(crate) turn: Turnstile<Driver>,
    #[pin]
    state: SpinLock<State>,
}

struct State {
    file: ZoneFile,
    /// The file was used since it was last considered for being closed.
    used: bool,
    /// Something was written since the last flush took the zone up.
    dirty: bool,
    /// A flush has taken the zone up and has not ended.
    in_flush: bool,
    /// Something was written since the file's times were set.
    written: bool,
    kind: Kind,
}

/// The file of a zone, which is opened when it is needed ([`crate::files`]).
enum ZoneFile {
    Closed,
    Open(BackingFile),
    /// The device is being removed.
    Gone,
}

enum Kind {
    Conventional,
    Sequential(Sequential),
}

struct Sequential {
    wp: WritePointer,
    /// The zone may be open: it was, and nobody has seen since that it is not. Who finds this unset
    /// need not take the lock of the set of open zones.
    may_be_open: bool,
    /// There was a write, no append, since the last append or reset; it may have been refused.
    written_to: bool,
    /// A write has failed since the last reset.
    failed: bool,
    ahead: Preallocation,
    health: Health,
    cache: CacheMark,
}

/// Whether the write pointer is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// The write pointer may not be the size of the file, or that is none that the zone can have.
    InDoubt,
}

/// What a volatile write cache would hold of a zone (`discard_write_cache`). In sectors from the
/// start of the zone.
#[derive(Clone, Copy)]
struct CacheMark {
    /// Write pointer up to which the data is durable.
    flushed: Sector,
    /// Write pointer that the flush in progress will make durable.
    flushing: Option<Sector>,
}

/// A zone as a report shows it, at one moment.
pub(crate) enum Snapshot {
    Conventional,
    Sequential {
        condition: Condition,
        /// As in a report: in sectors from the start of the device.
        write_pointer: Sector,
        /// A write has failed since the last reset.
        failed: bool,
    },
    InDoubt,
}

impl State {
    fn sequential(&mut self) -> Result<&mut Sequential, Refusal> {
        match &mut self.kind {
            Kind::Conventional => Err(Refusal::Conventional),
            Kind::Sequential(sequential) => Ok(sequential),
        }
    }
}

impl Sequential {
    /// Whether and how the zone, which has the number `no`, is open.
    fn openness(&mut self, device: &Device, no: ZoneNo) -> Openness {
        if !self.may_be_open {
            return Openness::Closed;
        }
        let openness = device.openness(no);

        self.may_be_open = openness != Openness::Closed;
        openness
    }

    /// Notes a write or an append. Returns whether it is the first append after a write.
    fn note_sent(&mut self, is_append: bool) -> bool {
        core::mem::replace(&mut self.written_to, !is_append) && is_append
    }

    /// Closes the zone, which has the number `no`, if it is open.
    fn close(&mut self, device: &Device, no: ZoneNo) {
        if core::mem::take(&mut self.may_be_open) {
            device.close(no);
        }
    }
}

impl Zone {
    /// A zone, with its file if that is open: sequential if it has a write pointer, up to which the
    /// data is taken to be durable, else conventional.
    pub(crate) fn new(
        no: ZoneNo,
        file: Option<BackingFile>,
        wp: Option<WritePointer>,
    ) -> impl PinInit<Self, Error> {
        let kind = match wp {
            None => Kind::Conventional,
            Some(wp) => Kind::Sequential(Sequential {
                cache: CacheMark {
                    flushed: wp.offset(),
                    flushing: None,
                },
                wp,
                may_be_open: false,
                written_to: false,
                failed: false,
                ahead: Preallocation::NONE,
                health: Health::Good,
            }),
        };

        let state = State {
            file: file.map_or(ZoneFile::Closed, ZoneFile::Open),
            used: false,
            dirty: false,
            in_flush: false,
            written: false,
            kind,
        };

        try_pin_init!(Self {
            no,
            turn <- Turnstile::new(),
            state <- new_spinlock!(state, "Zone::state"),
        }? Error)
    }

    /// The zone as it is now. Does not wait for I/O.
    pub(crate) fn snapshot(&self, device: &Device) -> Snapshot {
        let mut state = self.state.lock();

        match state.sequential() {
            Err(_) => Snapshot::Conventional,
            Ok(seq) if seq.health == Health::InDoubt => Snapshot::InDoubt,
            Ok(seq) => {
                // The first write to a zone opens it when it has moved the write pointer: until
                // then the open zone is only set aside for it.
                let openness = match seq.openness(device, self.no) {
                    Openness::Implicit if seq.wp.is_empty() => Openness::Closed,
                    openness => openness,
                };

                Snapshot::Sequential {
                    condition: condition::condition(&seq.wp, openness),
                    write_pointer: seq.wp.reported(
                        device.geometry.zone_start(self.no),
                        device.geometry.zone_size(),
                    ),
                    failed: seq.failed,
                }
            }
        }
    }

    /// Opens the zone explicitly. Needs the turn.
    pub(crate) fn open(&self, device: &Device) -> Result<(), Refusal> {
        self.recover(device)?;
        self.command(device, condition::open, |seq| {
            seq.may_be_open = true;
            device.open_explicitly(self.no)
        })
    }

    /// Closes the zone. Needs the turn.
    pub(crate) fn close(&self, device: &Device) -> Result<(), Refusal> {
        self.recover(device)?;
        self.command(device, condition::close, |seq| {
            seq.close(device, self.no);
            Ok(())
        })?;
        self.release_ahead(device);
        Ok(())
    }

    /// Runs a command that touches the state only.
    fn command(
        &self,
        device: &Device,
        rule: fn(Condition) -> Result<Effect, Refused>,
        act: impl FnOnce(&mut Sequential) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let seq = state.sequential()?;
        let openness = seq.openness(device, self.no);

        match rule(condition::condition(&seq.wp, openness)).map_err(Refusal::Command)? {
            Effect::Nothing => Ok(()),
            Effect::Act => act(seq),
        }
    }

    /// Makes the zone full. Needs the turn; may sleep.
    pub(crate) fn finish(&self, device: &Device) -> Result<(), Refusal> {
        // Otherwise the file would keep blocks that it has no data for.
        self.release_ahead(device);
        self.resize(
            device,
            condition::finish,
            |wp| wp.capacity(),
            |seq| seq.wp.finish(),
        )
    }

    /// Makes the zone empty. Needs the turn; may sleep.
    ///
    /// What was in the zone is gone whether a flush follows or not.
    pub(crate) fn reset(&self, device: &Device) -> Result<(), Refusal> {
        self.empty(device)?;

        let mut state = self.state.lock();
        let seq = state.sequential()?;

        seq.written_to = false;
        seq.failed = false;
        Ok(())
    }

    fn empty(&self, device: &Device) -> Result<(), Refusal> {
        self.resize(
            device,
            condition::reset,
            |_| 0,
            |seq| {
                seq.wp.reset();
                seq.cache = CacheMark {
                    flushed: 0,
                    flushing: None,
                };
            },
        )
    }

    /// Sets the file to a size and then the state to what that means. A zone in doubt is not
    /// asked for its condition: both commands put it right.
    fn resize(
        &self,
        device: &Device,
        rule: fn(Condition) -> Result<Effect, Refused>,
        target: fn(&WritePointer) -> Sector,
        commit: fn(&mut Sequential),
    ) -> Result<(), Refusal> {
        let sectors = {
            let mut state = self.state.lock();
            let seq = state.sequential()?;

            if seq.health == Health::Good {
                let openness = seq.openness(device, self.no);
                let now = condition::condition(&seq.wp, openness);

                if rule(now).map_err(Refusal::Command)? == Effect::Nothing {
                    return Ok(());
                }
            }
            target(&seq.wp)
        };

        let file = match self.file(device) {
            // Whatever it is: it will be right in a moment.
            Err(Refusal::Changed { .. }) => self.file(device),
            result => result,
        }?;

        if let Err(error) = file.truncate(sectors << SECTOR_SHIFT) {
            // The zone may have changed or not; its own answer counts. The caller is told of the
            // first error either way.
            let _ = self.resync(device);
            return Err(Refusal::File(error));
        }

        let mut state = self.state.lock();
        let seq = state.sequential()?;

        commit(seq);
        seq.ahead = Preallocation::NONE;
        seq.health = Health::Good;
        seq.close(device, self.no);
        state.mark_dirty(device, self.no);
        Ok(())
    }

    /// Takes the write pointer from the size of the file, after a change of the file that failed.
    /// Needs the turn; may sleep.
    ///
    /// If that fails as well the zone is in doubt, until this function or a reset or finish
    /// succeeds. Returns the write pointer, in sectors from the start of the zone.
    pub(crate) fn resync(&self, device: &Device) -> Result<Sector, Refusal> {
        let size = self.file(device)?.stat_size();
        let mut state = self.state.lock();
        let seq = state.sequential()?;
        let before = seq.wp.offset();
        let outcome = match size {
            Err(error) => Err(Refusal::File(error)),
            Ok(size) => seq
                .wp
                .resync(size, device.config.block_size)
                .map_err(Refusal::Size),
        };

        seq.health = match outcome {
            Ok(()) => Health::Good,
            Err(refusal) => {
                if device.error_log.allow() {
                    pr_err!(
                        "zloop{}: zone {}: the write pointer is in doubt: {}\n",
                        device.id,
                        self.no,
                        core::format_args!("{refusal}")
                    );
                }
                Health::InDoubt
            }
        };
        let wp = seq.wp.offset();

        seq.cache.flushed = seq.cache.flushed.min(wp);
        // What opened the zone implicitly has not happened.
        let unused = seq.wp.is_empty() && seq.openness(device, self.no) == Openness::Implicit;

        if seq.wp.is_full() || unused {
            seq.close(device, self.no);
        }
        state.written |= wp != before;
        state.mark_dirty(device, self.no);
        outcome.map(|()| wp)
    }

    /// Gets a zone out of doubt. Needs the turn; sleeps only if the zone is in doubt.
    pub(crate) fn recover(&self, device: &Device) -> Result<(), Refusal> {
        let health = self.state.lock().sequential()?.health;

        match health {
            Health::Good => Ok(()),
            Health::InDoubt => self.resync(device).map(|_| ()),
        }
    }

    /// Whether a reset would change nothing, nothing is open, and nobody waits to hear of a failure.
    pub(crate) fn is_pristine(&self, device: &Device) -> bool {
        let mut state = self.state.lock();

        match state.sequential() {
            Err(_) => true,
            Ok(seq) => {
                seq.health == Health::Good
                    && !seq.failed
                    && seq.wp.is_empty()
                    && seq.openness(device, self.no) == Openness::Closed
            }
        }
    }

    /// Takes the zone up for a flush, which makes its file durable as it is now or later.
    pub(crate) fn begin_flush(&self) {
        let mut state = self.state.lock();

        state.dirty = false;
        state.in_flush = true;
        if let Ok(seq) = state.sequential() {
            seq.cache.flushing = Some(seq.wp.offset());
        }
    }

    /// Notes that a flush has ended which took the zone up. If it failed, the next one has to take
    /// it up again.
    pub(crate) fn flush_ended(&self, device: &Device, outcome: Result) {
        let mut state = self.state.lock();

        state.in_flush = false;
        if outcome.is_err() {
            state.mark_dirty(device, self.no);
        }
    }

    /// Notes that the zone is durable as it was at [`Zone::begin_flush`]. Returns its write pointer
    /// of then, in sectors from the start of the zone, unless a reset came between.
    pub(crate) fn note_flushed(&self) -> Option<Sector> {
        let mut state = self.state.lock();
        let cache = &mut state.sequential().ok()?.cache;
        let flushed = cache.flushing.take()?;

        cache.flushed = flushed;
        Some(flushed)
    }

    /// What to cut the file to, in sectors, so that only flushed data remains, or `None` if that
    /// is all there is.
    pub(crate) fn unflushed(&self) -> Option<Sector> {
        let mut state = self.state.lock();
        let seq = state.sequential().ok()?;

        (seq.cache.flushed != seq.wp.offset() || seq.health == Health::InDoubt)
            .then_some(seq.cache.flushed)
    }
}

impl State {
    fn mark_dirty(&mut self, device: &Device, no: ZoneNo) {
        if !self.dirty {
            self.dirty = true;
            device.note_dirty(no);
        }
    }
}
