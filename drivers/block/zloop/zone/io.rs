// SPDX-License-Identifier: GPL-2.0

//! Reads and writes of a zone, before and after its file has moved the data.

#![forbid(unsafe_code)]

use super::{
    Health,
    Zone, //
};
use crate::{
    abstractions::fs::BackingFile,
    device::Device,
    model::Sector,
    refusal::Refusal, //
};
use kernel::prelude::*;

/// Whether one write may go on.
pub(crate) enum Admission {
    /// It may.
    Granted {
        file: BackingFile,
        /// First sector of the write from the start of the zone.
        start: Sector,
        /// It is the first append after a write.
        after_write: bool,
    },
    /// Something has to be done before that sleeps.
    NeedsToWait,
}

/// Where a read gets its data.
pub(crate) enum ReadFrom {
    File(BackingFile),
    /// All of it is beyond the write pointer.
    Nowhere,
    /// The file has to be opened first, which sleeps.
    NeedsToWait,
}

impl Zone {
    /// Where a read at `offset` sectors from the start of the zone finds its data. Sleeps only if
    /// it `may_wait`.
    pub(crate) fn read_from(
        &self,
        device: &Device,
        offset: Sector,
        may_wait: bool,
    ) -> Result<ReadFrom, Refusal> {
        let mut state = self.state.lock();

        if let Ok(seq) = state.sequential() {
            if seq.health == Health::Good && offset >= seq.wp.offset() {
                return Ok(ReadFrom::Nowhere);
            }
        }
        match state.open_file()? {
            Some(file) => Ok(ReadFrom::File(file)),
            None if may_wait => {
                drop(state);
                let file = self.file_to_read(device);

                if file.is_err() && self.turn.try_take() {
                    let _ = self.recover(device);
                    crate::requests::leave(self);
                }
                file.map(ReadFrom::File)
            }
            None => Ok(ReadFrom::NeedsToWait),
        }
    }

    /// Sectors from the write pointer to the capacity; none if the write pointer is in doubt.
    pub(crate) fn room(&self) -> Sector {
        let mut state = self.state.lock();

        match state.sequential() {
            Ok(seq) if seq.health == Health::Good => seq.wp.capacity() - seq.wp.offset(),
            _ => 0,
        }
    }

    /// Admits a write of `len` sectors: at `at` sectors from the start of the zone, or at the
    /// write pointer for an append (`None`). Opens the zone implicitly. Needs the turn. Sleeps only
    /// if it `may_wait`.
    ///
    /// The write pointer stays where it is until [`Zone::commit_write`].
    pub(crate) fn admit_write(
        &self,
        device: &Device,
        at: Option<Sector>,
        len: Sector,
        may_wait: bool,
    ) -> Result<Admission, Refusal> {
        if may_wait {
            // Before the zone is looked at: a task that reads may be faster to open the file, and
            // find it changed. Nobody closes it while this one has the turn.
            self.file(device).inspect_err(|refusal| {
                if matches!(refusal, Refusal::Changed { .. }) {
                    // The next one finds the zone as it is now.
                    let _ = self.recover(device);
                }
            })?;
            self.recover(device)?;
        }

        let mut state = self.state.lock();
        let file = state.open_file()?;
        let seq = state.sequential()?;
        let file = match file {
            Some(file) if seq.health == Health::Good => file,
            // Both were seen to just now, and only who has the turn changes that.
            _ if may_wait => return Err(Refusal::File(EIO)),
            _ => return Ok(Admission::NeedsToWait),
        };
        let capacity = seq.wp.capacity();
        let plan = match at {
            Some(at) => seq.wp.plan_write(at, len),
            None => seq.wp.plan_append(len),
        }
        .map_err(Refusal::Write)?;
        let start = plan.start();
        let step = seq
            .ahead
            .before_write(start, start + len, capacity, device.most_ahead());

        if step.is_some() && !may_wait {
            return Ok(Admission::NeedsToWait);
        }
        seq.may_be_open = true;
        device.open_implicitly(self.no)?;

        let after_write = seq.note_sent(at.is_none());

        drop(state);
        if let Some(step) = step {
            self.allocate_ahead(device, &file, step);
        }
        Ok(Admission::Granted {
            file,
            start,
            after_write,
        })
    }

    /// Moves the write pointer over `len` sectors at `start` that were written, as admitted. Needs
    /// the turn.
    pub(crate) fn commit_write(
        &self,
        device: &Device,
        start: Sector,
        len: Sector,
    ) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let seq = state.sequential()?;
        let plan = seq.wp.plan_write(start, len).map_err(Refusal::Write)?;
        let full = plan.fills_zone();

        plan.commit();
        if full {
            seq.close(device, self.no);
        }
        state.written = true;
        state.mark_dirty(device, self.no);
        Ok(())
    }

    /// Notes that a write that came was refused, or an append. Returns whether it is the first append
    /// after a write. Needs the turn.
    pub(crate) fn note_refused(&self, is_append: bool) -> bool {
        self.state
            .lock()
            .sequential()
            .is_ok_and(|seq| seq.note_sent(is_append))
    }

    /// Notes that a write fails.
    pub(crate) fn note_failure(&self) {
        if let Ok(seq) = self.state.lock().sequential() {
            seq.failed = true;
        }
    }

    /// Notes that the file of a conventional zone was written to.
    pub(crate) fn note_write(&self, device: &Device) {
        let mut state = self.state.lock();

        state.written = true;
        state.mark_dirty(device, self.no);
    }

    /// Has the next flush ([`crate::flush`]) make the file durable.
    pub(crate) fn mark_dirty(&self, device: &Device) {
        self.state.lock().mark_dirty(device, self.no);
    }
}
