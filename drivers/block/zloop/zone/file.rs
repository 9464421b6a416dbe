// SPDX-License-Identifier: GPL-2.0

//! The file of a zone: opened when it is needed, closed when there are too many, with blocks
//! allocated ahead of the write pointer and times that show the last write in the end.

#![forbid(unsafe_code)]

use super::{
    Health,
    State,
    Zone,
    ZoneFile, //
};
use crate::{
    abstractions::{
        compat,
        fs::{
            self,
            BackingFile,
            Thawed, //
        }, //
    },
    device::Device,
    files::Access,
    model::preallocation::Step,
    refusal::Refusal, //
    requests,
};
use kernel::{
    block::SECTOR_SHIFT,
    prelude::*, //
};

impl State {
    /// Whether there is a write pointer, and it is known.
    fn is_good(&mut self) -> bool {
        self.sequential()
            .is_ok_and(|seq| seq.health == Health::Good)
    }

    /// The file, if it is open.
    pub(super) fn open_file(&mut self) -> Result<Option<BackingFile>, Refusal> {
        self.used = true;
        match &self.file {
            ZoneFile::Closed => Ok(None),
            ZoneFile::Open(file) => Ok(Some(file.clone())),
            ZoneFile::Gone => Err(Refusal::Removed),
        }
    }

    /// To be called by who has just opened `file`: the one that another task has opened meanwhile, or
    /// `None` if there is none and `file` has the size that the zone's file was left with.
    fn agree_on(&mut self, file: &BackingFile) -> Result<Option<BackingFile>, Refusal> {
        if let Some(other) = self.open_file()? {
            return Ok(Some(other));
        }
        if let Ok(seq) = self.sequential() {
            let expected = seq.wp.offset() << SECTOR_SHIFT;
            let size = file.size();

            // Nobody writes to a zone whose file is closed.
            if seq.health == Health::Good && size != expected {
                seq.health = Health::InDoubt;
                return Err(Refusal::Changed { size, expected });
            }
        }
        Ok(None)
    }

    /// Whether the file is open, has not been used since this was last called, and nothing is lost
    /// by closing it: what was not flushed yet may meet an error that only an open file is sure to
    /// hear of.
    fn is_unused(&mut self) -> bool {
        let used = core::mem::take(&mut self.used);
        // Who has it for a read would close it, no matter when.
        let idle = matches!(&self.file, ZoneFile::Open(file) if !file.is_shared());

        idle && self.is_good() && !(used || self.dirty || self.in_flush)
    }

    /// Takes the file out if it [is unused](Self::is_unused), unless the file system is frozen, in
    /// which its times cannot be set. Says as well whether it was written to since they were.
    fn take_unused_file(&mut self) -> Option<(Thawed, bool)> {
        if !self.is_unused() {
            return None;
        }
        let ZoneFile::Open(file) = &self.file else {
            return None;
        };
        let file = file.thawed()?;

        // Not the last reference.
        self.file = ZoneFile::Closed;
        Some((file, core::mem::take(&mut self.written)))
    }
}

impl Zone {
    /// The file, if it is open, for I/O that the write pointer has no say in.
    pub(crate) fn open_file(&self) -> Result<Option<BackingFile>, Refusal> {
        self.state.lock().open_file()
    }

    /// The file, for I/O that the write pointer has no say in. Opens it if it is not; sleeps.
    pub(crate) fn file(&self, device: &Device) -> Result<BackingFile, Refusal> {
        self.file_for(device, Access::Write)
    }

    fn file_for(&self, device: &Device, access: Access) -> Result<BackingFile, Refusal> {
        if let Some(file) = self.open_file()? {
            return Ok(file);
        }

        let file = device.files.open(device, self.no, access)?;
        let mut state = self.state.lock();

        if let Some(other) = state.agree_on(&file)? {
            return Ok(other);
        }
        state.file = ZoneFile::Open(file.clone());
        drop(state);
        device.files.opened(device);
        Ok(file)
    }

    /// The file for a read. If the file system has become read-only, it is opened for the caller alone,
    /// and only to be read. Sleeps.
    pub(crate) fn file_to_read(&self, device: &Device) -> Result<BackingFile, Refusal> {
        match self.file_for(device, Access::WriteIfPossible) {
            Err(Refusal::File(error)) if error == EROFS => {
                let file = device.files.open(device, self.no, Access::ReadOnly)?;
                let other = self.state.lock().agree_on(&file)?;

                Ok(other.unwrap_or(file))
            }
            file => file,
        }
    }

    /// The file for a flush. That of a conventional zone which nobody has used yet is opened for
    /// the caller alone. Sleeps.
    pub(crate) fn file_to_sync(&self, device: &Device) -> Result<BackingFile, Refusal> {
        let (file, conventional) = {
            let mut state = self.state.lock();

            (state.open_file()?, state.sequential().is_err())
        };

        match file {
            Some(file) => Ok(file),
            None if conventional => device.files.open(device, self.no, Access::Write),
            None => self.file(device),
        }
    }

    /// Closes the file if nothing has used it since this was last called and nothing needs it.
    /// Returns whether it did. Sleeps.
    pub(crate) fn close_file_if_unused(&self) -> bool {
        // Others do not even find the turn taken for a moment.
        if !self.state.lock().is_unused() || !self.turn.try_take() {
            return false;
        }
        // Nobody writes to the zone now.
        let unused = self.state.lock().take_unused_file();
        let closes = unused.is_some();

        if let Some((file, written)) = unused {
            if written {
                // As in `update_times()`.
                let _ = file.update_times();
            }
        }
        requests::leave(self);
        closes
    }

    /// Allocates blocks ahead of the write pointer, as far as there are plenty of them. Failing to
    /// is no error: the write that follows allocates its own. Needs the turn; sleeps.
    pub(super) fn allocate_ahead(&self, device: &Device, file: &BackingFile, step: Step) {
        let step = file
            .space()
            .ok()
            .and_then(|space| step.within(space.available, space.total));
        let Some(step) = step else {
            return;
        };
        let bytes = |sectors| sectors << SECTOR_SHIFT;

        match file.allocate(bytes(step.start), bytes(step.end - step.start)) {
            Ok(()) => {
                if let Ok(seq) = self.state.lock().sequential() {
                    seq.ahead.extend(step);
                }
                device.note_ahead();
                device.counters.preallocated.count();
            }
            // It may have got a part; others must not lack that, unless somebody else has changed
            // the size of the file. What goes wrong shows in it.
            Err(error) if fs::is_out_of_space(error) && file.size() == bytes(step.start) => {
                let _ = file.truncate(bytes(step.start));
            }
            // It costs as much each time, and on XFS waits for reads of the file.
            Err(error) if error == compat::eopnotsupp() => device.give_up_ahead(),
            Err(_) => {}
        }
    }

    /// Whether there are blocks beyond the write pointer.
    pub(crate) fn has_ahead(&self) -> bool {
        self.state
            .lock()
            .sequential()
            .is_ok_and(|seq| seq.ahead.is_ahead_of(seq.wp.offset()))
    }

    /// Gives back the blocks beyond the write pointer, unless somebody else has changed the size of
    /// the file. Needs the turn; sleeps if there are any.
    ///
    /// Returns whether there were. What goes wrong shows in the size of the file, if it matters.
    pub(crate) fn release_ahead(&self, device: &Device) -> bool {
        let wp = {
            let mut state = self.state.lock();
            let Ok(seq) = state.sequential() else {
                return false;
            };
            let ahead = core::mem::take(&mut seq.ahead);

            if seq.health != Health::Good || !ahead.is_ahead_of(seq.wp.offset()) {
                return false;
            }
            seq.wp.offset()
        };

        let end = wp << SECTOR_SHIFT;

        self.file(device).is_ok_and(|file| {
            // Another task may have opened it, and found it changed.
            self.state.lock().is_good() && file.size() == end && file.truncate(end).is_ok()
        })
    }

    /// Has the times of the file show that it was written to. After the last I/O; sleeps.
    pub(crate) fn update_times(&self) {
        let file = {
            let mut state = self.state.lock();
            let written = core::mem::take(&mut state.written);

            match state.open_file() {
                Ok(Some(file)) if written => file,
                _ => return,
            }
        };

        // A file system that refuses has its reasons; the data is not concerned.
        let _ = file.update_times();
    }

    /// Lets go of the file for good. No I/O may be in flight or come.
    pub(crate) fn forget_file(&self) {
        let file = core::mem::replace(&mut self.state.lock().file, ZoneFile::Gone);

        // Closes it, which is better done without the lock.
        drop(file);
    }
}
