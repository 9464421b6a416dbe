// SPDX-License-Identifier: GPL-2.0

//! Which ways the I/O of a device takes: counters in debugfs, in `zloop/zloopN`.
//!
//! They are for tests and for the curious, and are not part of any interface.

#![forbid(unsafe_code)]

use crate::{
    abstractions::debugfs::{
        Dir,
        Numbers, //
    },
    REGISTRY, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

/// The directory of all devices, while it exists.
pub(crate) struct Root;

impl Root {
    /// Makes the directory, as far as there is a debugfs.
    pub(crate) fn new() -> Result<Self> {
        let dir = Arc::new(Dir::new(c"zloop"), GFP_KERNEL)?;

        REGISTRY.lock().counters = Some(dir);
        Ok(Self)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // The registry is static: nothing else drops what is in there.
        let dir = REGISTRY.lock().counters.take();

        drop(dir);
    }
}

/// A number that only grows.
pub(crate) struct Counter(Atomic<u64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Adds one. Any context.
    #[inline]
    pub(crate) fn count(&self) {
        self.0.fetch_add(1u64, Relaxed);
    }
}

/// The counters of a device.
pub(crate) struct Counters {
    /// Reads and writes begun by the task that submitted them, also those that a work item had to go
    /// on with.
    pub(crate) inline: Counter,
    /// Times that a work item began one, or went on with one.
    pub(crate) deferred: Counter,
    /// Those that the file system would have kept waiting in the submitter's task, so that a work
    /// item had to go on with them.
    pub(crate) again: Counter,
    /// Appends written together with one that was before them.
    pub(crate) joined: Counter,
    /// Steps of allocation ahead of a write pointer.
    pub(crate) preallocated: Counter,
    /// Writes made durable by themselves.
    pub(crate) fua: Counter,
    /// Zone files opened after the device was added, to stay open.
    pub(crate) opened: Counter,
    /// Zone files closed because there were too many.
    pub(crate) closed: Counter,
}

impl Counters {
    /// Zeros, in a directory of that name.
    pub(crate) fn publish(name: &CStr) -> Result<Numbers<Self>> {
        let root = REGISTRY.lock().counters.clone().ok_or(ENODEV)?;
        let counters = Self {
            inline: Counter::new(),
            deferred: Counter::new(),
            again: Counter::new(),
            joined: Counter::new(),
            preallocated: Counter::new(),
            fua: Counter::new(),
            opened: Counter::new(),
            closed: Counter::new(),
        };

        Numbers::new(
            root,
            name,
            counters,
            &[
                (c"inline", |counters| &counters.inline.0),
                (c"deferred", |counters| &counters.deferred.0),
                (c"again", |counters| &counters.again.0),
                (c"joined", |counters| &counters.joined.0),
                (c"preallocated", |counters| &counters.preallocated.0),
                (c"fua", |counters| &counters.fua.0),
                (c"opened", |counters| &counters.opened.0),
                (c"closed", |counters| &counters.closed.0),
            ],
        )
    }
}
