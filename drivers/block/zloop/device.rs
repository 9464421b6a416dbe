// SPDX-License-Identifier: GPL-2.0

//! A zoned loop device: what all its zones share.
//!
//! # Life
//!
//! [`crate::add`] makes a device from its directory; the disk owns it from then on. When the
//! device is removed the disk goes first, which waits for its requests, then
//! [`Device::shut_down`] closes the zone files. The rest, and the id, stays until the last
//! descriptor of the disk is closed.

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        block::{
            request_io::Caching,
            turnstile::Turnstile, //
        },
        debugfs::Numbers,
        fs,
        module::ModuleRef,
        pinned_slice::PinnedSlice,
        ratelimit::RateLimit,
        workqueue::OwnedQueue, //
    },
    chance::Chance,
    counters::Counters,
    files::Files,
    flush::{
        self,
        Flush, //
    },
    model::{
        geometry::Geometry,
        open_set::{
            OpenSet,
            Openness,
            Slot, //
        },
        Sector,
        ZoneNo, //
    },
    refusal::Refusal,
    registry::Reservation,
    requests::{
        self,
        Driver, //
    },
    zone::Zone, //
};
use kernel::{
    new_mutex,
    new_spinlock,
    prelude::*,
    str::CString,
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
        Mutex,
        SpinLock, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Choices of the one who added the device, other than its geometry.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    /// Logical block size in bytes.
    pub(crate) block_size: u32,
    /// How the zone files are accessed.
    pub(crate) caching: Caching,
    /// Whether zone appends go where they were submitted first.
    pub(crate) ordered_zone_append: bool,
    /// Whether a removal loses what was not flushed.
    pub(crate) discard_write_cache: bool,
    /// Whether I/O is submitted in the context of the submitter where possible.
    pub(crate) inline: bool,
    /// Whether that is possible for reads.
    pub(crate) inline_reads: bool,
    /// How many sectors of appends that wait for a zone are written together.
    pub(crate) append_batch: u32,
    /// How far ahead of the write pointer blocks are allocated at most, in sectors.
    pub(crate) preallocate: Sector,
}

/// A device.
///
/// Fields drop in this order. The workqueue is first because it waits for work items, which use
/// the others; the module reference is last because it keeps the code of all this in memory.
#[pin_data]
pub(crate) struct Device {
    pub(crate) queue: OwnedQueue,
    pub(crate) id: u32,
    pub(crate) geometry: Geometry,
    pub(crate) config: Config,
    pub(crate) zones: PinnedSlice<Zone>,
    #[pin]
    pub(crate) files: Files,
    /// Which zones are open. Taken inside `Zone::state`.
    #[pin]
    open_zones: SpinLock<OpenSet<KVVec<Slot>>>,
    /// Zones written to since the last flush, in the order of the first write. Has room for all.
    /// Taken inside `Zone::state`.
    #[pin]
    dirty: SpinLock<KVVec<ZoneNo>>,
    #[pin]
    pub(crate) flush: Flush,
    pub(crate) inline_writes: Chance,
    /// Whether appends meet others to be written with when they wait for a work item.
    pub(crate) appends_meet: Chance,
    /// Whether the file system has said that it allocates no blocks ahead.
    never_ahead: Atomic<u32>,
    /// Whether a zone may have blocks allocated ahead.
    has_ahead: Atomic<u32>,
    /// How often zones had to give back blocks allocated ahead.
    releases: Atomic<u32>,
    /// Held while zones give back blocks allocated ahead.
    #[pin]
    releasing: Mutex<()>,
    pub(crate) counters: Numbers<Counters>,
    /// Keeps failing I/O from flooding the log.
    #[pin]
    pub(crate) error_log: RateLimit,
    /// The id. Its destructor takes the registry's lock.
    reservation: Arc<Reservation>,
    _module: ModuleRef,
}

impl Device {
    /// Makes a device, which keeps its id until it is dropped. `max_active` is the most requests in
    /// flight.
    pub(crate) fn new(
        reservation: Arc<Reservation>,
        geometry: Geometry,
        config: Config,
        zones: PinnedSlice<Zone>,
        files: impl PinInit<Files>,
        max_open_zones: u32,
        max_active: u32,
    ) -> Result<impl PinInit<Self, Error>> {
        let id = reservation.id();
        let module = ModuleRef::get::<crate::LocalModule>()?;
        let name = CString::try_from_fmt(fmt!("zloop{id}"))?;
        let queue = OwnedQueue::new(&name, max_active)?;
        let counters = Counters::publish(&name)?;
        // CAST: The number of zones fits.
        let nr_zones = geometry.nr_zones() as usize;
        let slots = KVVec::from_elem(Slot::EMPTY, nr_zones, GFP_KERNEL)?;
        let dirty = KVVec::with_capacity(nr_zones, GFP_KERNEL)?;
        let flush = Flush::new(nr_zones)?;

        Ok(try_pin_init!(Self {
            queue,
            id,
            geometry,
            config,
            zones,
            files <- files,
            open_zones <- new_spinlock!(OpenSet::new(slots, max_open_zones), "Device::open_zones"),
            dirty <- new_spinlock!(dirty, "Device::dirty"),
            flush <- flush,
            counters,
            inline_writes: Chance::new(),
            appends_meet: Chance::small(),
            never_ahead: Atomic::new(0u32),
            has_ahead: Atomic::new(0u32),
            releases: Atomic::new(0u32),
            releasing <- new_mutex!((), "Device::releasing"),
            error_log <- RateLimit::new(c"zloop"),
            reservation,
            _module: module,
        }? Error))
    }

    /// A zone by its number.
    pub(crate) fn zone(&self, no: ZoneNo) -> Option<&Zone> {
        // CAST: A `ZoneNo` fits.
        self.zones.get(no as usize)
    }

    /// The turnstile of a zone; of the first zone if there is no such zone.
    pub(crate) fn turnstile(&self, no: ZoneNo) -> &Turnstile<Driver> {
        // There is a first zone: a device has more than one.
        &self.zone(no).unwrap_or(&self.zones[0]).turn
    }

    /// The turnstile of the zone that a sector is in.
    pub(crate) fn turnstile_at(&self, sector: Sector) -> &Turnstile<Driver> {
        self.turnstile(self.geometry.zone_of(sector).unwrap_or(0))
    }

    /// Whether and how a zone is open.
    pub(crate) fn openness(&self, no: ZoneNo) -> Openness {
        self.open_zones.lock().openness(no)
    }

    /// Opens a zone for a write. At the limit of open zones the implicitly open zone that was
    /// written to least recently is closed.
    pub(crate) fn open_implicitly(&self, no: ZoneNo) -> Result<(), Refusal> {
        self.open_zones.lock().open_implicit(no)?;
        Ok(())
    }

    /// Opens a zone by command, with the same rule at the limit.
    pub(crate) fn open_explicitly(&self, no: ZoneNo) -> Result<(), Refusal> {
        self.open_zones.lock().open_explicit(no)?;
        Ok(())
    }

    /// Closes a zone if it is open.
    pub(crate) fn close(&self, no: ZoneNo) {
        self.open_zones.lock().close(no);
    }

    /// Notes that a zone was written to. Each zone is noted once until the notes are taken.
    pub(crate) fn note_dirty(&self, no: ZoneNo) {
        // There is room for all zones, and none is noted twice.
        let _ = self.dirty.lock().push_within_capacity(no);
    }

    /// Takes the notes; `empty` takes their place.
    pub(crate) fn take_dirty(&self, empty: &mut KVVec<ZoneNo>) {
        core::mem::swap(&mut *self.dirty.lock(), empty);
    }

    /// How often zones had to give back the blocks allocated ahead in them.
    #[inline]
    pub(crate) fn releases(&self) -> u32 {
        self.releases.load(Acquire)
    }

    /// Gives back the blocks allocated ahead in all zones but `except`, as far as nobody is busy
    /// with them. Returns whether there were any, or some were given back after
    /// [`Device::releases`] returned `before`: who finds no space may not be the only one, nor the
    /// first. Sleeps; the caller may have the turn of a zone.
    pub(crate) fn release_ahead(&self, except: ZoneNo, before: u32) -> bool {
        let _guard = self.releasing.lock();

        if self.releases() != before {
            return true;
        }
        if self.has_ahead.xchg(0, Full) == 0 {
            return false;
        }

        let mut any = false;

        for zone in self.zones.iter().filter(|zone| zone.no != except) {
            if zone.turn.try_take() {
                any |= zone.release_ahead(self);
                requests::leave(zone);
            } else {
                self.note_ahead();
            }
        }
        // For whoever is next to find no space.
        if self.zone(except).is_some_and(Zone::has_ahead) {
            self.note_ahead();
        }
        if any {
            self.releases.fetch_add(1u32, Release);
        }
        any
    }

    /// How far ahead of the write pointer blocks are to be allocated at most, in sectors.
    #[inline]
    pub(crate) fn most_ahead(&self) -> Sector {
        match self.never_ahead.load(Relaxed) {
            0 => self.config.preallocate,
            _ => 0,
        }
    }

    /// Has no blocks allocated ahead any more.
    pub(crate) fn give_up_ahead(&self) {
        self.never_ahead.store(1, Relaxed);
    }

    /// Notes that a zone has blocks allocated ahead.
    pub(crate) fn note_ahead(&self) {
        if self.has_ahead.load(Relaxed) == 0 {
            self.has_ahead.store(1, Release);
        }
    }

    /// Makes durable what is in the zone files, or discards what was not flushed, and closes them,
    /// after the disk is gone. May sleep.
    ///
    /// Returns when they are closed, so that the file system can be unmounted.
    pub(crate) fn shut_down(self: &Arc<Self>) {
        self.have_done(Self::settle);
        // Those that have helped with the flush still know the files.
        self.queue.flush();
        self.have_done(Self::close_files);
        // Not in a work item of the device: a file that waits there to be closed may be the last one
        // that knows another removed device, and so wait for such work items to end. And one after
        // the other, as a task does not wait for closes that another one has taken over.
        let _turn = crate::CLOSES.lock();

        fs::flush_closes();
    }

    /// Has a work item call `act`, and waits for it, but not for those that it queues.
    ///
    /// Not in the task that removes the device: if it is being killed, file systems give up, and if it
    /// is a worker of io_uring, files are closed only after the command has ended. Without memory for
    /// the work item `act` is called here nevertheless.
    fn have_done(self: &Arc<Self>, act: fn(&Self)) {
        let device = self.clone();
        let outcome = self
            .queue
            .as_queue()
            .try_spawn(GFP_KERNEL, move || act(&device));

        if outcome.is_err() {
            act(self);
        }
        self.queue.flush();
    }

    /// Brings the zone files into the state that a removed device leaves them in.
    fn settle(&self) {
        // Before files are cut: this sets them to the size of what was written.
        for zone in self.zones.iter() {
            zone.release_ahead(self);
        }
        if self.config.discard_write_cache {
            crate::cache::discard(self);
        } else if let Err(error) = flush::flush(self) {
            // Whoever adds the device again can flush only what is written from then on.
            pr_err!(
                "zloop{}: cannot make durable what was written: error {}\n",
                self.id,
                error.to_errno()
            );
        }
    }

    /// Closes the zone files and the directory.
    fn close_files(&self) {
        for zone in self.zones.iter() {
            // A report that gets a zone out of doubt knows its file, too.
            while !zone.turn.try_take() {
                fsleep(Delta::from_millis(1));
            }
            zone.update_times();
            zone.forget_file();
            requests::leave(zone);
        }
        self.files.forget_directory();
        self.reservation.release_directory();
    }
}
