// SPDX-License-Identifier: GPL-2.0

//! Adding a device.
//!
//! Each step that leaves something behind is undone by a destructor unless the last one succeeds:
//! the id ([`Reservation`]), the directory and its files ([`Store`]), the disk ([`NewDisk`]).

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        block::{
            gen_disk::NewDisk,
            limits::ZonedLimits,
            request_io::Caching,
            tag_set::TagSet, //
        },
        fs::BackingFile,
        pinned_slice::PinnedSlice,
        task, //
    },
    cache,
    commands::Driver,
    device::{
        Config,
        Device, //
    },
    model::{
        geometry::Geometry,
        options::AddOptions,
        write_pointer::WritePointer,
        Sector,
        ZoneNo, //
    },
    path::Path,
    registry::{
        self,
        Reservation, //
    },
    store::{
        self,
        BlockGeometry,
        Store, //
    },
    zone::Zone,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Largest request in sectors: 1 MiB.
const MAX_SECTORS: u32 = 2048;

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
    let (zones, block) = open_zones(&mut store, &geometry, options)?;

    if options.ordered_zone_append && !options.zone_append {
        pr_warn!("add: ordered_zone_append has no effect with zone_append=0\n");
    }
    store.write_record()?;
    store.sync()?;

    let nr_queues = options.nr_queues.min(task::num_online_cpus());
    let file = zones
        .first()
        .ok_or(EINVAL)?
        .data_file()
        .map_err(|_| EINVAL)?;
    let direct = !options.buffered_io;
    let config = Config {
        block_size: block.block_size,
        caching: if options.buffered_io {
            Caching::Buffered
        } else {
            Caching::Direct
        },
        ordered_zone_append: options.ordered_zone_append,
        discard_write_cache: options.discard_write_cache,
        inline: options.submit_inline && direct && file.can_try(),
        preallocate: if direct && file.is_on_block_device() {
            Sector::from(options.prealloc_kb) << 1
        } else {
            0
        },
    };
    let limits = ZonedLimits {
        block_size: block.block_size,
        dma_alignment: match config.caching {
            Caching::Direct => block.dma_alignment,
            Caching::Buffered => 0,
        },
        zone_sectors: u32::try_from(geometry.zone_size())?,
        max_sectors: MAX_SECTORS,
        max_append_sectors: if options.zone_append { MAX_SECTORS } else { 0 },
        // A cache that is to be lost needs flushes, which say what is not.
        fua: options.fua && !options.discard_write_cache,
        max_open_zones: options.max_open_zones,
    };
    let device = Arc::pin_init(
        Device::new(
            reservation.clone(),
            geometry,
            config,
            zones,
            options.max_open_zones,
            nr_queues.saturating_mul(options.queue_depth),
        )?,
        GFP_KERNEL,
    )?;
    if !existing {
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
    let disk = disk.add()?;

    store.keep();
    registry::publish(id, disk);
    pr_info!(
        "zloop{}: {} {} zones of {} MiB, {} B blocks, {} zone append\n",
        id,
        if existing { "restored" } else { "created" },
        geometry.nr_zones(),
        geometry.zone_size() >> 11,
        block.block_size,
        match (options.zone_append, options.ordered_zone_append) {
            (false, _) => "emulated",
            (true, false) => "native",
            (true, true) => "ordered native",
        }
    );
    Ok(())
}

/// Opens the files of all zones and checks them. The first one decides on the block size.
fn open_zones(
    store: &mut Store<'_>,
    geometry: &Geometry,
    options: &AddOptions<'_>,
) -> Result<(PinnedSlice<Zone>, BlockGeometry)> {
    let mut block = None;
    let mut next: ZoneNo = 0;

    // CAST: The number of zones fits.
    let zones = PinnedSlice::new(geometry.nr_zones() as usize, |_| {
        let no = next;
        let opened = open_zone(store, geometry, options, no, &mut block);

        next += 1;
        pin_init::pin_init_scope(move || {
            let (file, wp) = opened?;

            Ok(Zone::new(no, file, wp))
        })
    })?;

    Ok((zones, block.ok_or(EINVAL)?))
}

/// Opens the file of one zone; returns its write pointer as well, if it has one.
fn open_zone(
    store: &mut Store<'_>,
    geometry: &Geometry,
    options: &AddOptions<'_>,
    no: ZoneNo,
    block: &mut Option<BlockGeometry>,
) -> Result<(BackingFile, Option<WritePointer>)> {
    let file = store.open_zone(no)?;
    let block_size = match block {
        Some(block) => block.block_size,
        None => {
            let found = store::block_geometry(&file.direct_io_facts());

            geometry
                .check_block_size(found.block_size)
                .map_err(|error| {
                    pr_err!("add: {}\n", core::format_args!("{error}"));
                    EINVAL
                })?;
            *block = Some(found);
            found.block_size
        }
    };

    if geometry.is_conventional(no) {
        store.size_conventional(no, &file)?;
        return Ok((file, None));
    }
    let wp = store.write_pointer(no, &file, block_size)?;

    if options.discard_write_cache && no == geometry.nr_conv_zones() {
        cache::store(&file, geometry.zone_start(no) + wp.offset()).inspect_err(|error| {
            pr_err!(
                "add: discard_write_cache: the file system takes no user extended attributes: error {}\n",
                error.to_errno()
            )
        })?;
    }
    Ok((file, Some(wp)))
}
