// SPDX-License-Identifier: GPL-2.0

//! Which zone files of a device are open.
//!
//! An open file costs several times the memory of a zone, and opening one costs as much as a few
//! small reads. So a file is opened when it is first needed, and when there are more than the
//! limit, those that have not been used for a while are closed again: as many as are too many, if
//! they are found among the next few zones. The limit is not a hard one: files stay open that have
//! something to flush, those of conventional zones, all while the file system is frozen, and that of
//! the first zone, which keeps the file system from being mounted read-only. If it makes itself
//! read-only, after an error of its disk, files that are not open are opened to be read only.

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        fs::{
            BackingFile,
            Directory,
            OpenError,
            OpenOptions, //
        },
        memory, //
    },
    device::Device,
    model::ZoneNo,
    refusal::Refusal, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc,
        SpinLock, //
    },
};

/// Bytes of memory for each file that may be open: together they take about a 64th of it.
const MEMORY_FOR_FILE: u64 = 64 * 1536;

/// How many zones are looked at for one to close.
const SEARCH: usize = 64;

/// What the file of a zone is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To read and write.
    Write,
    /// The same, by who makes do with [`Access::ReadOnly`] if the file system is read-only: of an
    /// [`EROFS`] nothing is logged.
    WriteIfPossible,
    /// To read.
    ReadOnly,
}

/// The zone files of a device.
#[pin_data]
pub(crate) struct Files {
    /// `None` once the device is removed.
    #[pin]
    directory: SpinLock<Option<Arc<Directory>>>,
    direct: bool,
    limit: u32,
    /// How many files are open.
    open: Atomic<u32>,
    /// Where the search for one to close goes on.
    hand: Atomic<u32>,
}

impl Files {
    /// The files in `directory`, opened for direct I/O or not. `limit` is how many may be open; 0
    /// leaves that to the size of the memory.
    pub(crate) fn new(directory: Arc<Directory>, direct: bool, limit: u32) -> impl PinInit<Self> {
        let limit = match limit {
            0 => u32::try_from(memory::total() / MEMORY_FOR_FILE).unwrap_or(u32::MAX),
            limit => limit,
        };

        pin_init!(Self {
            directory <- new_spinlock!(Some(directory), "Files::directory"),
            direct,
            limit,
            // That of the first zone.
            open: Atomic::new(1u32),
            hand: Atomic::new(0u32),
        })
    }

    /// Opens the file of a zone. What goes wrong is logged. Sleeps.
    pub(crate) fn open(
        &self,
        device: &Device,
        no: ZoneNo,
        access: Access,
    ) -> Result<BackingFile, Refusal> {
        let directory = self.directory.lock().clone().ok_or(Refusal::Removed)?;
        let name = device.geometry.zone_file(no).name();
        let mut options = OpenOptions::new();

        options.read_only = access == Access::ReadOnly;
        options.direct = self.direct;
        // It had a single name when the device was added, and no device is added that shares it.
        options.linked = true;
        directory
            .open_file(name.as_cstr(), options)
            .map_err(|error| {
                let expected = access == Access::WriteIfPossible
                    && matches!(error, OpenError::Errno(error) if error == EROFS);

                if !expected && device.error_log.allow() {
                    pr_err!("zloop{}: zone {}: the file {}\n", device.id, no, error);
                }
                Refusal::File(match error {
                    OpenError::Errno(error) => error,
                    _ => EIO,
                })
            })
    }

    /// How many files are open.
    pub(crate) fn nr_open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// Notes that a file was opened. Closes others if there are too many; sleeps.
    pub(crate) fn opened(&self, device: &Device) {
        // CAST: The number of zones fits.
        let nr_zones = device.zones.len() as u32;

        self.open.fetch_add(1u32, Relaxed);
        device.counters.opened.count();
        for _ in 0..SEARCH {
            if self.nr_open() <= self.limit {
                return;
            }
            let hand = self.hand.fetch_add(1u32, Relaxed);
            let no = hand.checked_rem(nr_zones).unwrap_or(0);

            if let Some(zone) = device.zone(no) {
                if no != 0 && zone.close_file_if_unused() {
                    self.open.fetch_sub(1u32, Relaxed);
                    device.counters.closed.count();
                }
            }
        }
    }

    /// Lets go of the directory; no file is opened any more.
    pub(crate) fn forget_directory(&self) {
        let directory = self.directory.lock().take();

        // Closes it, which is better done without the lock.
        drop(directory);
    }
}
