// SPDX-License-Identifier: GPL-2.0

//! Adding a device.
//!
//! Each step that leaves something behind is undone by a destructor unless the last one succeeds:
//! the id ([`Reservation`]), the directory and its files ([`Store`]), the disk ([`NewDisk`]).

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        block::{
            gen_disk::{
                Disk,
                NewDisk, //
            },
            limits::ZonedLimits,
            request_io::Caching,
            tag_set::{
                self,
                TagSet, //
            }, //
        },
        fs::BackingFile,
        pinned_slice::PinnedSlice,
        task, //
    },
    block_geometry::{
        block_geometry,
        BlockGeometry, //
    },
    cache,
    device::{
        Config,
        Device, //
    },
    files::Files,
    model::{
        geometry::Geometry,
        options::{
            AddOptions,
            MAX_QUEUE_DEPTH, //
        },
        write_pointer::WritePointer,
        Sector,
        ZoneNo, //
    },
    path::Path,
    registry::{
        self,
        Reservation, //
    },
    requests::Driver,
    store::Store,
    zone::Zone,
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Largest request in sectors: 1 MiB.
const MAX_SECTORS: u32 = 2048;

// Each depth that can be asked for can be had.
const _: () = assert!(MAX_QUEUE_DEPTH <= tag_set::MAX_QUEUE_DEPTH);

/// Adds a device. Process context of the writer of the command; may sleep for long.
pub(crate) fn add(options: &AddOptions<'_>) -> Result {
    let geometry = Geometry::new(options).map_err(|error| {
        pr_err!("add: {}\n", core::format_args!("{error}"));
        EINVAL
    })?;
    // Outlives the store, which may have files to remove.
    let reservation = Arc::new(Reservation::new(options.id)?, GFP_KERNEL)?;
    let id = reservation.id();
    let path = Path::of_device(options.base_dir, id)?;
    let mut store = Store::open(id, &path, geometry, !options.buffered_io)?;

    reservation.claim_directory(store.directory().clone())?;
    store.examine()?;
    let existing = store.is_existing();
    let parts = parts(&mut store, &geometry, options)?;
    let block_size = parts.block.block_size;

    if options.ordered_zone_append && !options.zone_append {
        pr_warn!("add: ordered_zone_append has no effect with zone_append=0\n");
    }
    store.write_record()?;
    store.sync()?;

    let disk =
        make_disk(options, geometry, reservation.clone(), &store, parts).inspect_err(|error| {
            pr_err!(
                "zloop{}: the disk cannot be set up: error {}\n",
                id,
                error.to_errno()
            );
        })?;

    store.keep();
    registry::publish(id, disk);
    pr_info!(
        "zloop{}: {} {} zones of {} MiB, {} B blocks, {} zone append\n",
        id,
        if existing { "restored" } else { "created" },
        geometry.nr_zones(),
        geometry.zone_size() >> 11,
        block_size,
        match (options.zone_append, options.ordered_zone_append) {
            (false, _) => "emulated",
            (true, false) => "native",
            (true, true) => "ordered native",
        }
    );
    Ok(())
}

/// How the device works.
fn config(options: &AddOptions<'_>, parts: &Parts) -> Config {
    let file = &parts.file;
    let direct = !options.buffered_io;

    Config {
        block_size: parts.block.block_size,
        caching: if options.buffered_io {
            Caching::Buffered
        } else if file.logs_writes_in_flight() {
            Caching::DirectSync
        } else {
            Caching::Direct
        },
        ordered_zone_append: options.ordered_zone_append,
        discard_write_cache: options.discard_write_cache,
        inline: options.submit_inline && direct && file.supports_nowait(),
        inline_reads: file.disk_supports_nowait(),
        append_batch: options.append_batch_kb << 1,
        preallocate: if direct && file.is_on_block_device() {
            Sector::from(options.prealloc_kb) << 1
        } else {
            0
        },
    }
}

/// What the block layer has to know of the disk.
fn limits(
    options: &AddOptions<'_>,
    geometry: &Geometry,
    config: &Config,
    parts: &Parts,
) -> Result<ZonedLimits> {
    Ok(ZonedLimits {
        block_size: parts.block.block_size,
        dma_alignment: match config.caching {
            Caching::Direct | Caching::DirectSync => parts.block.dma_alignment,
            Caching::Buffered => 0,
        },
        zone_sectors: u32::try_from(geometry.zone_size())?,
        max_sectors: MAX_SECTORS,
        max_append_sectors: if options.zone_append { MAX_SECTORS } else { 0 },
        // A cache that is to be lost needs flushes, which say what is not. And of a file with
        // dirty pages only those of the one write would become durable, with the size that they
        // give the file: before them there could be zeros that nobody wrote.
        fua: options.fua
            && !options.discard_write_cache
            && !options.buffered_io
            && parts.file.is_known_to_sync()
            && !parts.file.logs_writes_in_flight(),
        max_open_zones: options.max_open_zones,
    })
}

/// Makes the disk, and has it appear.
fn make_disk(
    options: &AddOptions<'_>,
    geometry: Geometry,
    reservation: Arc<Reservation>,
    store: &Store<'_>,
    parts: Parts,
) -> Result<Disk<Driver>> {
    let id = reservation.id();
    let nr_queues = options.nr_queues.min(task::num_online_cpus());
    let config = config(options, &parts);

    if config.inline {
        parts.file.prepare_async()?;
    }
    let limits = limits(options, &geometry, &config, &parts)?;
    let device = Arc::pin_init(
        Device::new(
            reservation,
            geometry,
            config,
            parts.zones,
            Files::new(
                store.directory().clone(),
                !options.buffered_io,
                options.max_open_files,
            ),
            options.max_open_zones,
            nr_queues.saturating_mul(options.queue_depth),
        )?,
        GFP_KERNEL,
    )?;
    if !store.is_existing() {
        // The sizes of the new files; the first flush makes them durable.
        // CAST: The number of zones fits.
        for zone in device.zones.iter().take(geometry.nr_conv_zones() as usize) {
            zone.mark_dirty(&device);
        }
    }
    let tag_set = KBox::pin_init(
        TagSet::new(nr_queues, options.queue_depth, device.config.inline),
        GFP_KERNEL,
    )?;
    let disk = NewDisk::<Driver>::new(
        fmt!("zloop{id}"),
        tag_set,
        device,
        limits,
        geometry.capacity(),
    )?;

    disk.revalidate_zones()?;
    disk.add()
}

/// What a device is made of.
struct Parts {
    zones: PinnedSlice<Zone>,
    /// The file of the first zone.
    file: BackingFile,
    block: BlockGeometry,
}

/// Finds or makes the files of all zones and checks them. The first one is open; it decides on the
/// block size.
fn parts(store: &mut Store<'_>, geometry: &Geometry, options: &AddOptions<'_>) -> Result<Parts> {
    let size = store.provide_zone(0)?;
    let first = store.open_zone(0)?;
    let block = block_geometry(&first.direct_io_facts());

    geometry
        .check_block_size(block.block_size)
        .map_err(|error| {
            pr_err!("add: {}\n", core::format_args!("{error}"));
            EINVAL
        })?;

    let mut progress = Progress::new(store.id(), geometry.nr_zones());
    let mut next: ZoneNo = 0;
    // Of the first sequential zone.
    let mut first_wp = None;

    // CAST: The number of zones fits.
    let zones = PinnedSlice::new(geometry.nr_zones() as usize, |_| {
        let no = next;
        let file = (no == 0).then(|| first.clone());
        let zone = match file {
            Some(_) => Ok(size),
            None => store.provide_zone(no),
        }
        .and_then(|size| check_zone(store, geometry, no, size, block.block_size));

        if no == geometry.nr_conv_zones() {
            first_wp = zone
                .as_ref()
                .ok()
                .and_then(|wp| wp.as_ref().map(WritePointer::offset));
        }
        next += 1;
        progress.show(next);
        pin_init::pin_init_scope(move || Ok(Zone::new(no, file, zone?)))
    })?;

    // Last, so that a refusal leaves the attribute of a device that exists as it was.
    if let Some(wp) = first_wp.filter(|_| options.discard_write_cache) {
        let no = geometry.nr_conv_zones();
        let file = store.open_zone(no)?;

        cache::store(&file, geometry.zone_start(no) + wp).inspect_err(|error| {
            pr_err!(
                "add: discard_write_cache: the file system takes no user extended attributes: error {}\n",
                error.to_errno()
            )
        })?;
    }
    Ok(Parts {
        zones,
        file: first,
        block,
    })
}

/// Checks the file of one zone, of `size` bytes; returns its write pointer, if it has one.
fn check_zone(
    store: &Store<'_>,
    geometry: &Geometry,
    no: ZoneNo,
    size: u64,
    block_size: u32,
) -> Result<Option<WritePointer>> {
    if geometry.is_conventional(no) {
        store.check_conventional(no, size)?;
        return Ok(None);
    }
    Ok(Some(store.write_pointer(no, size, block_size)?))
}

/// Says every now and then how far it has come with the zones.
struct Progress {
    id: u32,
    of: ZoneNo,
    last: Instant<Monotonic>,
}

impl Progress {
    /// How often, in seconds.
    const PERIOD: i64 = 5;
    /// Zones between looks at the clock.
    const STRIDE: ZoneNo = 1024;

    fn new(id: u32, of: ZoneNo) -> Self {
        Self {
            id,
            of,
            last: Instant::now(),
        }
    }

    fn show(&mut self, done: ZoneNo) {
        if done % Self::STRIDE != 0 || self.last.elapsed() < Delta::from_secs(Self::PERIOD) {
            return;
        }
        self.last = Instant::now();
        pr_info!("zloop{}: {} of {} zones\n", self.id, done, self.of);
    }
}
