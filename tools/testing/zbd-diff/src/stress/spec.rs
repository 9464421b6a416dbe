// SPDX-License-Identifier: GPL-2.0

//! What one zone may do in a step.
//!
//! The rules are those of ZBC and ZNS for a sequential zone, with what the block layer puts on top. It keeps writes
//! of a zone in order through a write plug with a write pointer of its own, so a write may be refused although the
//! zone would take it:
//!
//! - when another write, a reset or a finish is under way: there is no order among them that a writer could count on;
//! - after a write that was refused, until a report or a reset (`BLK_ZONE_WPLUG_NEED_WP_UPDATE`);
//! - after a reset or finish that overlapped a write, which may leave the plug with the wrong write pointer;
//! - after a native append, of which the plug knows nothing.
//!
//! In the last three cases the state is `unsure`. A reset or finish without writes at the same time ends it, and
//! without native appends a report when all is quiet: one while writes are under way may itself tell the plug an old
//! write pointer. Native appends do not go through the plug, and are never refused without a reason. And whatever the
//! plug does, no write or append may succeed where it should not.
//!
//! For these rules an operation is under way until the block layer is done with it, which is a moment after it was
//! acknowledged. Data and reports have to be right from the acknowledgement on.

use super::history::{Call, Event, History, Seen};
use crate::compare::{CLOSED, EMPTY, EXP_OPEN, FULL, IMP_OPEN};
use std::collections::HashMap;

/// Whether and how the zone is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Open {
    No,
    Implicitly,
    Explicitly,
}

/// A list of writes, one after the other from the start of the zone; equal lists have equal numbers.
pub type Log = u32;

/// The state of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// End of the data.
    wp: u32,
    /// Full, which a zone can be with less data than it has room for.
    full: bool,
    open: Open,
    unsure: bool,
    /// What the data is.
    pub log: Log,
    /// What it was before resets that have not ended yet, with the event of each.
    pub displaced: Vec<(Log, usize)>,
}

/// The data of a zone in all states that come up.
#[derive(Default)]
pub struct Logs {
    /// The log without its last write, and the event of that write. Log 0, without any, is not in it.
    nodes: Vec<(Log, usize)>,
    numbers: HashMap<(Log, usize), Log>,
}

impl Logs {
    fn push(&mut self, log: Log, event: usize) -> Log {
        let nodes = &mut self.nodes;
        *self.numbers.entry((log, event)).or_insert_with(|| {
            nodes.push((log, event));
            nodes.len() as Log
        })
    }

    /// The writes of a log, last first.
    pub fn iter(&self, mut log: Log) -> impl Iterator<Item = usize> + '_ {
        std::iter::from_fn(move || {
            let (before, event) = *self.nodes.get((log as usize).checked_sub(1)?)?;
            log = before;
            Some(event)
        })
    }
}

/// The writes and appends that overlap a report and succeed.
fn succeeding(history: &History, report: &Event) -> Vec<usize> {
    if !matches!(report.call, Call::Report { .. }) {
        return Vec::new();
    }
    let succeeds = |e: &Event| e.written().is_some() && e.overlaps(report);
    let events = history.events.iter().enumerate();
    events
        .filter(|(_, e)| succeeds(e))
        .map(|(i, _)| i)
        .collect()
}

/// The rules for one history.
pub struct Spec<'a> {
    history: &'a History,
    /// By event: something overlaps it that lets the block layer refuse a write.
    disturbed: Vec<bool>,
    /// By event: a write through the plug overlaps it.
    written: Vec<bool>,
    /// By report: the writes and appends that overlap it and succeed.
    under_way: Vec<Vec<usize>>,
    /// There are regular writes and native appends.
    mixed: bool,
    pub logs: Logs,
}

impl<'a> Spec<'a> {
    pub fn new(history: &'a History) -> Self {
        let native = |e: &Event| !history.plugged(e) && matches!(e.call, Call::Append { .. });
        let mixed =
            history.events.iter().any(|e| history.plugged(e)) && history.events.iter().any(native);
        let disturbs = |event: &Event| {
            matches!(
                event.call,
                Call::Write { .. } | Call::Append { .. } | Call::Reset | Call::Finish
            )
        };
        let writes = |event: &Event| history.plugged(event) || (mixed && native(event));
        Self {
            history,
            disturbed: history.overlapped(|e| e.settled, disturbs),
            written: history.overlapped(|e| e.settled, writes),
            under_way: history
                .events
                .iter()
                .map(|e| succeeding(history, e))
                .collect(),
            mixed,
            logs: Logs::default(),
        }
    }

    /// Whether a write that has not had its effect may have opened the zone for it already: a report shows a write
    /// that is under way as it comes to it, first the condition and then the write pointer.
    fn opened(&self, state: &State, report: usize) -> bool {
        let has = |write: &usize| self.logs.iter(state.log).any(|i| i == *write);
        state.open == Open::No && self.under_way[report].iter().any(|write| !has(write))
    }

    /// The state of a zone that is empty.
    pub fn start(&self) -> State {
        State {
            wp: 0,
            full: false,
            open: Open::No,
            unsure: false,
            log: 0,
            displaced: Vec::new(),
        }
    }

    fn room(&self, state: &State, len: u32) -> bool {
        !state.full && len <= self.history.capacity - state.wp
    }

    /// Whether too many other zones may be open for this one to be opened.
    fn crowded(&self, state: &State, index: usize) -> bool {
        self.history.max_open != 0
            && self.history.crowded.contains(&index)
            && state.open != Open::Explicitly
    }

    fn write(&mut self, state: &mut State, index: usize, len: u32) {
        state.log = self.logs.push(state.log, index);
        state.wp += len;
        if state.open == Open::No {
            state.open = Open::Implicitly;
        }
        if state.wp == self.history.capacity {
            (state.full, state.open) = (true, Open::No);
        }
    }

    /// The state after a write that the block layer has seen fail, if it had a reason to.
    fn refuse(&self, mut state: State, index: usize, reason: bool) -> Option<State> {
        let event = &self.history.events[index];
        if !self.history.plugged(event) {
            return reason.then_some(state);
        }
        let may = reason || state.unsure || self.disturbed[index];
        state.unsure = true;
        may.then_some(state)
    }

    /// The state after an event, if the event could end in state `old` as it did. Reads change nothing and are judged
    /// elsewhere.
    pub fn step(&mut self, old: &State, index: usize) -> Option<State> {
        let mut state = old.clone();
        let event = &self.history.events[index];
        match (&event.call, &event.seen) {
            (Call::Read { .. }, _) => Some(state),
            (Call::Write { at, len, .. }, Seen::Done) => {
                if *at != state.wp || !self.room(&state, *len) {
                    return None;
                }
                self.write(&mut state, index, *len);
                Some(state)
            }
            (Call::Append { len, .. }, Seen::At(at)) => {
                if *at != state.wp || !self.room(&state, *len) {
                    return None;
                }
                self.write(&mut state, index, *len);
                state.unsure |= self.mixed;
                Some(state)
            }
            (Call::Write { at, len, .. }, Seen::Refused) => {
                let reason = *at != state.wp || !self.room(&state, *len);
                self.refuse(state, index, reason)
            }
            (Call::Append { len, .. }, Seen::Refused) => {
                let reason = !self.room(&state, *len) || self.crowded(&state, index);
                self.refuse(state, index, reason)
            }
            (Call::Write { at, len, .. }, Seen::NoRoom) => {
                let may = *at == state.wp && self.room(&state, *len) && self.crowded(&state, index);
                (state.unsure, state.open) = (true, Open::No);
                may.then_some(state)
            }
            (Call::Reset, Seen::Done) => {
                if state.log != 0 {
                    state.displaced.push((state.log, index));
                }
                (state.wp, state.log, state.full, state.open) = (0, 0, false, Open::No);
                state.unsure = self.written[index];
                Some(state)
            }
            (Call::Finish, Seen::Done) => {
                (state.full, state.open) = (true, Open::No);
                state.unsure = self.written[index];
                Some(state)
            }
            (Call::Open, Seen::Done) => {
                state.open = Open::Explicitly;
                (!state.full).then_some(state)
            }
            (Call::Open, Seen::Refused) => state.full.then_some(state),
            (Call::Open, Seen::NoRoom) => {
                let may = !state.full && self.crowded(&state, index);
                state.open = Open::No;
                may.then_some(state)
            }
            (Call::Close, Seen::Done) => {
                let may = !state.full && (state.open != Open::No || state.wp != 0);
                state.open = Open::No;
                may.then_some(state)
            }
            (Call::Close, Seen::Refused) => {
                let may = state.full || (state.open == Open::No && state.wp == 0);
                may.then_some(state)
            }
            (Call::Report { settled }, Seen::Line { cond, wp }) => {
                let shown = match (state.full, state.open) {
                    (true, _) => FULL,
                    (_, Open::Explicitly) => EXP_OPEN,
                    (_, Open::Implicitly) => IMP_OPEN,
                    (_, Open::No) if state.wp == 0 => EMPTY,
                    (_, Open::No) => CLOSED,
                };
                // A zone may have been closed to make room for another.
                let left = if state.wp == 0 { EMPTY } else { CLOSED };
                let closed = self.history.max_open != 0 && (shown, *cond) == (IMP_OPEN, left);
                if closed {
                    state.open = Open::No;
                }
                let opened = *cond == IMP_OPEN && self.opened(&state, index);
                if opened && !state.full {
                    state.open = Open::Implicitly;
                }
                if *settled && !self.mixed {
                    state.unsure = false;
                }
                let cond = shown == *cond || closed || (opened && !state.full);
                let may = cond && (state.full || *wp == state.wp);
                may.then_some(state)
            }
            _ => None,
        }
    }
}
