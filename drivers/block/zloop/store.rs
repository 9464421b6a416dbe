// SPDX-License-Identifier: GPL-2.0

//! The directory of a device: one file for each zone, and one that says what the device is like.
//!
//! A directory without zone files is made into a new device, all or nothing: what was made is
//! removed again unless [`Store::keep`] is called. A directory with zone files is an existing
//! device, which must be exactly what is asked for.

#![forbid(unsafe_code)]

mod found;

use self::found::Found;
use crate::{
    abstractions::{
        fs::{
            BackingFile,
            Directory,
            OpenError,
            OpenOptions,
            Synced, //
        },
        task, //
    },
    model::{
        geometry::Geometry,
        layout::{
            GEOMETRY_FILE,
            RECORD_MAX, //
        },
        write_pointer::WritePointer,
        ZoneNo, //
    },
    path::Path,
};
use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};

/// A directory that was made; it is removed when this is dropped, unless it is to be kept.
struct MadeDirectory<'a> {
    id: u32,
    path: &'a Path,
    keep: bool,
}

impl<'a> MadeDirectory<'a> {
    fn new(id: u32, path: &'a Path) -> Result<Self> {
        Directory::create(path, 0o700).inspect_err(|error| {
            complain(id, path, "cannot be made", *error);
        })?;
        Ok(Self {
            id,
            path,
            keep: false,
        })
    }
}

impl Drop for MadeDirectory<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = Directory::remove(self.path) {
            complain(self.id, self.path, "cannot be removed", error);
        }
    }
}

/// The directory of a device that is being added.
pub(crate) struct Store<'a> {
    id: u32,
    directory: Arc<Directory>,
    geometry: Geometry,
    direct: bool,
    /// Whether there were zone files before.
    existing: bool,
    /// Number of zone files that were made and are not kept yet.
    made_zones: ZoneNo,
    /// Whether the geometry file was.
    made_record: bool,
    /// Whether there is a geometry file with nothing in it, as a power cut leaves one.
    empty_record: bool,
    /// Dropped last, when the directory is empty again.
    made_directory: Option<MadeDirectory<'a>>,
}

impl<'a> Store<'a> {
    /// Opens the directory, and makes it if only it is missing. Process context of the one who
    /// adds the device: `path` is looked up with its root, working directory and credentials.
    pub(crate) fn open(id: u32, path: &'a Path, geometry: Geometry, direct: bool) -> Result<Self> {
        let (directory, made_directory) = match Directory::open(path) {
            Err(error) if error == ENOENT => {
                let made = MadeDirectory::new(id, path)?;

                (Directory::open(path), Some(made))
            }
            result => (result, None),
        };
        let directory = directory.inspect_err(|error| {
            complain(id, path, "cannot be opened", *error);
        })?;

        Ok(Self {
            id,
            directory: Arc::new(directory, GFP_KERNEL)?,
            geometry,
            direct,
            existing: false,
            made_zones: 0,
            made_record: false,
            empty_record: false,
            made_directory,
        })
    }

    /// The id of the device.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Looks what is in the directory. `EINVAL` if it is a device other than the one asked for.
    pub(crate) fn examine(&mut self) -> Result {
        let mut found = Found::default();

        self.directory
            .for_each(|entry| {
                found.add(&self.geometry, entry.name, entry.kind);
                Ok(())
            })
            .inspect_err(|error| self.complain(fmt!("cannot list the directory"), *error))?;
        if found.zones == 0 && found.foreign.is_none() && found.not_regular.is_none() {
            // A geometry file left by a device whose zone files were deleted says nothing of a new
            // one.
            return Ok(());
        }
        // What the device was made with says more than a file too many.
        if found.record {
            self.empty_record = !self.check_record()?;
        }
        if let Some(file) = found.foreign {
            pr_err!(
                "zloop{}: zone {}: there is a file {}, but the device asked for has {} zones, {} of them conventional\n",
                self.id,
                file.no(),
                core::format_args!("{}", file.name()),
                self.geometry.nr_zones(),
                self.geometry.nr_conv_zones()
            );
            return Err(EINVAL);
        }
        if let Some(no) = found.not_regular {
            refuse(self.id, no, OpenError::NotRegular);
            return Err(EINVAL);
        }
        self.existing = true;
        Ok(())
    }

    /// Whether the device exists already.
    pub(crate) fn is_existing(&self) -> bool {
        self.existing
    }

    /// Compares the stored geometry with the one asked for. Returns whether one is stored.
    fn check_record(&self) -> Result<bool> {
        let mut buf = [0u8; RECORD_MAX];
        let file = self
            .directory
            .open_file(GEOMETRY_FILE, OpenOptions::new())
            .inspect_err(|error| pr_err!("zloop{}: the geometry file {}\n", self.id, error))?;
        let len = file
            .read_at(&mut buf, 0)
            .inspect_err(|error| self.complain(fmt!("cannot read the geometry file"), *error))?;

        if len == 0 {
            pr_warn!("zloop{}: the geometry file is empty\n", self.id);
            return Ok(false);
        }
        let stored = match Geometry::decode(buf.get(..len).unwrap_or(&[])) {
            // Trailing bytes are not understood either, so a longer file is refused as well.
            Ok(stored) => stored,
            Err(error) => {
                pr_err!(
                    "zloop{}: the geometry file is damaged: {}\n",
                    self.id,
                    core::format_args!("{error}")
                );
                return Err(EINVAL);
            }
        };

        match self.geometry.mismatch(&stored) {
            None => Ok(true),
            Some(mismatch) => {
                pr_err!(
                    "zloop{}: zloop.geometry: {}\n",
                    self.id,
                    core::format_args!("{mismatch}")
                );
                Err(EINVAL)
            }
        }
    }

    /// Writes the geometry file if there is none. A device that exists does without if there is no
    /// room for one.
    pub(crate) fn write_record(&mut self) -> Result {
        let Err(error) = self.make_record() else {
            return Ok(());
        };

        if !self.is_existing() {
            self.complain(fmt!("cannot write the geometry file"), error);
            return Err(error);
        }
        pr_warn!(
            "zloop{}: cannot write the geometry file: error {}\n",
            self.id,
            error.to_errno()
        );
        if self.made_record {
            self.remove_file(GEOMETRY_FILE);
            self.made_record = false;
        }
        Ok(())
    }

    fn make_record(&mut self) -> Result {
        let mut buf = [0u8; RECORD_MAX];
        let mut options = OpenOptions::new();

        options.create = true;
        let file = match self.directory.open_file(GEOMETRY_FILE, options) {
            Err(OpenError::Errno(error)) if error == EEXIST => {
                if self.is_existing() && !self.empty_record {
                    return Ok(());
                }
                self.directory.unlink(GEOMETRY_FILE)?;
                self.directory.open_file(GEOMETRY_FILE, options)?
            }
            result => result?,
        };
        self.made_record = true;
        let record = self.geometry.encode(&mut buf);

        if file.write_at(record, 0)? != record.len() {
            return Err(ENOSPC);
        }
        file.sync(Synced::Data)
    }

    /// Finds or makes the file of zone `no`, which need not be open for that, and checks that it is
    /// what it has to be. Returns its size. The zones must be asked for in order. [`EINTR`] if the
    /// task is being killed.
    pub(crate) fn provide_zone(&mut self, no: ZoneNo) -> Result<u64> {
        if task::fatal_signal_pending() {
            return Err(EINTR);
        }
        let name = self.geometry.zone_file(no).name();

        if self.is_existing() {
            return match self.directory.find_file(name.as_cstr()) {
                Ok(file) => file.stat_size().inspect_err(|error| {
                    self.complain(fmt!("zone {no}: cannot find the size of the file"), *error)
                }),
                Err(error) => Err(self.refuse_zone(no, error)),
            };
        }
        let file = self
            .directory
            .make_file(name.as_cstr(), 0o600)
            .map_err(|error| self.refuse_zone(no, error.into()))?;

        self.made_zones = no + 1;
        if !self.geometry.is_conventional(no) {
            return Ok(0);
        }
        let size = self.geometry.zone_size() << kernel::block::SECTOR_SHIFT;

        file.truncate(size).inspect_err(|error| {
            self.complain(fmt!("zone {no}: cannot set the size of the file"), *error)
        })?;
        Ok(size)
    }

    /// Opens the file of a zone that was [provided](Self::provide_zone).
    pub(crate) fn open_zone(&self, no: ZoneNo) -> Result<BackingFile> {
        let name = self.geometry.zone_file(no).name();
        let mut options = OpenOptions::new();

        options.direct = self.direct;
        self.directory
            .open_file(name.as_cstr(), options)
            .map_err(|error| self.refuse_zone(no, error))
    }

    /// Says why the file of a zone is not good.
    fn refuse_zone(&self, no: ZoneNo, error: OpenError) -> Error {
        match error {
            OpenError::Errno(error) if error == ENOENT => {
                pr_err!(
                    "zloop{}: zone {}: the file {} is missing\n",
                    self.id,
                    no,
                    core::format_args!("{}", self.geometry.zone_file(no).name())
                );
                EINVAL
            }
            error => {
                refuse(self.id, no, error);
                error.into()
            }
        }
    }

    /// Checks the size of a conventional zone's file.
    pub(crate) fn check_conventional(&self, no: ZoneNo, size: u64) -> Result {
        let expected = self.geometry.zone_size() << kernel::block::SECTOR_SHIFT;

        if size != expected {
            pr_err!(
                "zloop{}: zone {}: the file has {} bytes, a conventional zone of zone_size_mb={} has {}\n",
                self.id,
                no,
                size,
                expected >> 20,
                expected
            );
            return Err(EINVAL);
        }
        Ok(())
    }

    /// The write pointer of a sequential zone, from the size of its file.
    pub(crate) fn write_pointer(
        &self,
        no: ZoneNo,
        size: u64,
        block_size: u32,
    ) -> Result<WritePointer> {
        let mut wp = self.geometry.new_write_pointer();

        wp.resync(size, block_size).map_err(|error| {
            pr_err!(
                "zloop{}: zone {}: {}\n",
                self.id,
                no,
                core::format_args!("{error}")
            );
            EINVAL
        })?;
        Ok(wp)
    }

    /// Makes the directory durable if anything was made in it.
    pub(crate) fn sync(&self) -> Result {
        self.sync_what_was_made()
            .inspect_err(|error| self.complain(fmt!("cannot make the directory durable"), *error))
    }

    fn sync_what_was_made(&self) -> Result {
        if let Some(made) = &self.made_directory {
            sync_directory(&Directory::open(made.path.parent())?)?;
        }
        if self.is_existing() && !self.made_record {
            return Ok(());
        }
        sync_directory(&self.directory)
    }

    /// Keeps what was made.
    pub(crate) fn keep(mut self) {
        self.made_zones = 0;
        self.made_record = false;
        if let Some(made) = &mut self.made_directory {
            made.keep = true;
        }
    }
}

/// Makes a directory durable, as far as its file system has a notion of that.
fn sync_directory(directory: &Directory) -> Result {
    match directory.sync() {
        Err(error) if error == EINVAL => Ok(()),
        result => result,
    }
}

impl Drop for Store<'_> {
    /// Removes what was made.
    fn drop(&mut self) {
        if self.made_record {
            self.remove_file(GEOMETRY_FILE);
        }
        let mut left = 0u32;

        for no in (0..self.made_zones).rev() {
            let name = self.geometry.zone_file(no).name();

            if let Err(error) = self.directory.unlink(name.as_cstr()) {
                // All of them fail when the file system has become read-only.
                if left == 0 {
                    self.complain_of_file(name.as_cstr(), error);
                }
                left += 1;
            }
        }
        if left > 1 {
            pr_err!("zloop{}: {} zone files are left\n", self.id, left);
        }
    }
}

impl Store<'_> {
    /// Says what cannot be done.
    fn complain(&self, what: fmt::Arguments<'_>, error: Error) {
        pr_err!("zloop{}: {}: error {}\n", self.id, what, error.to_errno());
    }

    fn remove_file(&self, name: &CStr) {
        if let Err(error) = self.directory.unlink(name) {
            self.complain_of_file(name, error);
        }
    }

    /// Says that a file cannot be removed.
    fn complain_of_file(&self, name: &CStr, error: Error) {
        self.complain(fmt!("cannot remove the file {name}"), error);
    }
}

/// Says what is wrong with the directory.
fn complain(id: u32, path: &CStr, what: &str, error: Error) {
    pr_err!(
        "zloop{}: the directory {} {}: error {}\n",
        id,
        path,
        what,
        error.to_errno()
    );
}

/// Says what is wrong with a zone file.
fn refuse(id: u32, no: ZoneNo, error: OpenError) {
    let hint = if error == OpenError::NoDirectIo {
        "; the option buffered_io does without"
    } else {
        ""
    };

    pr_err!("zloop{}: zone {}: the file {}{}\n", id, no, error, hint);
}
