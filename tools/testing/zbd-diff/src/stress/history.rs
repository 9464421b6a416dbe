// SPDX-License-Identifier: GPL-2.0

//! What several threads did to one zone, and what they saw. Places and lengths are in sectors from the zone's start.

use crate::compare::{CLOSED, EMPTY, EXP_OPEN, FULL, IMP_OPEN};

/// Order of begins and ends: a counter that all threads share, so that it cannot go backwards between processors.
pub type Time = u64;

/// What was to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Write {
        at: u32,
        len: u32,
        serial: u32,
    },
    Append {
        len: u32,
        serial: u32,
    },
    Read {
        at: u32,
        len: u32,
    },
    Open,
    Close,
    Finish,
    Reset,
    /// A report. If it is settled, nothing was going on and had not been for a while.
    Report {
        settled: bool,
    },
}

/// Where data comes from that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Zero,
    /// Data of a write, from a sector of it on.
    Written {
        serial: u32,
        offset: u32,
    },
    /// No data that was ever written.
    Garbage,
}

/// Sectors that were read, with the same source. Runs overlap where a sector has parts of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub at: u32,
    pub len: u32,
    pub source: Source,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Done,
    /// An append was written there.
    At(u32),
    /// EIO; for an append through NVMe, any error.
    Refused,
    /// ETOOMANYREFS.
    NoRoom,
    /// A line of a report; the write pointer of a full zone says nothing.
    Line {
        cond: u8,
        wp: u32,
    },
    Data(Vec<Run>),
    /// What no operation should end with.
    Odd(String),
}

/// Threads that a history can have: the checker keeps a bit for each.
pub const MAX_THREADS: u32 = u64::BITS;

/// An operation of one thread, which is below [`MAX_THREADS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub thread: u32,
    pub begin: Time,
    /// It was acknowledged.
    pub end: Time,
    /// The block layer was done with it, too (see settle.rs).
    pub settled: Time,
    pub call: Call,
    pub seen: Seen,
}

/// All operations on a zone that is empty and closed at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub zone: u32,
    /// Sectors that can be written.
    pub capacity: u32,
    /// How many zones of the device can be open, 0 for any number.
    pub max_open: u32,
    /// Appends are regular writes that the block layer makes of them.
    pub emulated: bool,
    /// In the order of their begins.
    pub events: Vec<Event>,
    /// Events that ended with NoRoom, or an append that failed, at a time when too many other zones may have been
    /// explicitly open.
    pub crowded: Vec<usize>,
}

impl Event {
    pub fn overlaps(&self, other: &Event) -> bool {
        self.begin < other.end && other.begin < self.end
    }

    /// Where data was written, and how much, if it was.
    pub fn written(&self) -> Option<(u32, u32)> {
        match (&self.call, &self.seen) {
            (Call::Write { at, len, .. }, Seen::Done) => Some((*at, *len)),
            (Call::Append { len, .. }, Seen::At(at)) => Some((*at, *len)),
            _ => None,
        }
    }

    pub fn serial(&self) -> Option<u32> {
        match self.call {
            Call::Write { serial, .. } | Call::Append { serial, .. } => Some(serial),
            _ => None,
        }
    }
}

impl History {
    /// Whether an event is a write that goes through the block layer's zone write plug, which keeps the order of
    /// writes by refusing those that are not in order.
    pub fn plugged(&self, event: &Event) -> bool {
        match event.call {
            Call::Write { .. } => true,
            Call::Append { .. } => self.emulated,
            _ => false,
        }
    }

    /// For each event, whether another one that overlaps it satisfies `what`. An event is over with `end`.
    pub fn overlapped(
        &self,
        end: impl Fn(&Event) -> Time,
        what: impl Fn(&Event) -> bool,
    ) -> Vec<bool> {
        let mut list = vec![false; self.events.len()];
        let mut running: Vec<usize> = Vec::new();
        for (i, event) in self.events.iter().enumerate() {
            running.retain(|j| end(&self.events[*j]) > event.begin);
            for j in &running {
                list[i] |= what(&self.events[*j]);
                list[*j] |= what(event);
            }
            running.push(i);
        }
        list
    }
}

/// Names of conditions in a history.
pub const CONDITIONS: [(u8, &str); 5] = [
    (EMPTY, "EMPTY"),
    (IMP_OPEN, "IMP_OPEN"),
    (EXP_OPEN, "EXP_OPEN"),
    (CLOSED, "CLOSED"),
    (FULL, "FULL"),
];
