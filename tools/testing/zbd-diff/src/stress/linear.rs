// SPDX-License-Identifier: GPL-2.0

//! Looks for an order of the operations of a zone that explains what was seen.
//!
//! The begins and ends are gone through in time. All states that the zone can be in are kept, each with which of the
//! operations under way have already had their effect. When an operation ends it must have had it: each state in which
//! it had not is replaced by those that come about if it happens now, after any of the other operations under way or
//! none of them. When no state is left the history cannot be right. (That is the "just-in-time linearization" of Lowe,
//! "Testing for linearizability", 2016.)
//!
//! Reads are not one moment: each sector by itself must be what it was at some time between begin and end. While a
//! write or a reset is under way, a read may see the sector as it was before or as it will be.

use super::history::{Call, Event, History, Run, Seen, Source};
use super::spec::{Spec, State};
use std::collections::{HashMap, HashSet};

/// States, each with a bit for each thread whose operation has had its effect but has not ended.
type States = HashSet<(u64, State)>;

/// Why a history cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The event that does not fit to those before it.
    pub event: usize,
    pub text: String,
}

/// What is under way, by thread.
type Running = HashMap<u32, usize>;

struct Checker<'a> {
    history: &'a History,
    spec: Spec<'a>,
    /// Event of each write, by its number.
    serials: HashMap<u32, usize>,
}

/// Whether there is an order that explains a history.
pub fn check(history: &History) -> Result<(), Fault> {
    let mut checker = Checker {
        history,
        spec: Spec::new(history),
        serials: history
            .events
            .iter()
            .enumerate()
            .filter_map(|(i, event)| Some((event.serial()?, i)))
            .collect(),
    };
    checker.run()
}

impl Checker<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        let events = &self.history.events;
        // (time, event), and whether it is the end: no two are at the same time.
        let mut times: Vec<(u64, usize, bool)> = Vec::with_capacity(2 * events.len());
        for (i, event) in events.iter().enumerate() {
            times.push((event.begin, i, false));
            times.push((event.end, i, true));
        }
        times.sort_unstable();
        let mut states = States::from([(0, self.spec.start())]);
        let mut running = Running::new();
        for (_, index, is_end) in times {
            let event = &events[index];
            let is_read = matches!(event.call, Call::Read { .. });
            match (is_read, is_end) {
                (true, false) => self.read(&mut states, index)?,
                (true, true) => (),
                (false, false) => {
                    running.insert(event.thread, index);
                }
                (false, true) => {
                    states = self.end(&states, &running, index);
                    running.remove(&event.thread);
                }
            }
            if states.is_empty() {
                let text = "no order of the operations explains it".into();
                return Err(Fault { event: index, text });
            }
        }
        Ok(())
    }

    /// The states after an event has ended.
    fn end(&mut self, states: &States, running: &Running, index: usize) -> States {
        let own = 1u64 << self.history.events[index].thread;
        let mut after = States::new();
        let mut seen = states.clone();
        let mut todo: Vec<(u64, State)> = states.iter().cloned().collect();
        while let Some((had, state)) = todo.pop() {
            if had & own != 0 {
                after.insert((had & !own, self.settle(state, index)));
                continue;
            }
            for (thread, other) in running {
                let bit = 1u64 << thread;
                if had & bit != 0 {
                    continue;
                }
                if let Some(next) = self.spec.step(&state, *other) {
                    let next = (had | bit, next);
                    if seen.insert(next.clone()) {
                        todo.push(next);
                    }
                }
            }
        }
        after
    }

    /// What a reset has displaced cannot be seen any more when it has ended.
    fn settle(&self, mut state: State, index: usize) -> State {
        if let Some(at) = state
            .displaced
            .iter()
            .position(|(_, reset)| *reset == index)
        {
            state.displaced.drain(..=at);
        }
        state
    }

    /// Keeps the states in which a read that begins now can see what it will.
    fn read(&self, states: &mut States, index: usize) -> Result<(), Fault> {
        let event = &self.history.events[index];
        let fault = |text: String| Err(Fault { event: index, text });
        let Seen::Data(runs) = &event.seen else {
            return fault("a read failed".into());
        };
        let reset = |other: &Event| matches!(other.call, Call::Reset) && other.overlaps(event);
        let erased = self.history.events.iter().any(reset);
        for run in runs {
            match run.source {
                Source::Garbage => return fault(format!("{run}: no data of any write")),
                Source::Zero if erased => (),
                Source::Zero => states.retain(|(_, state)| self.zero(state, event, run)),
                Source::Written { serial, offset } => {
                    match self
                        .serials
                        .get(&serial)
                        .map(|i| (*i, &self.history.events[*i]))
                    {
                        None => return fault(format!("{run}: no such write")),
                        Some((_, write)) if write.begin > event.end => {
                            return fault(format!("{run}: before it was written"));
                        }
                        Some((i, write)) => match write.written() {
                            None => return fault(format!("{run}: that write has failed")),
                            Some((at, len)) if at + offset != run.at || offset + run.len > len => {
                                return fault(format!("{run}: written elsewhere"));
                            }
                            Some(_) if write.end > event.begin => (),
                            Some(_) => states.retain(|(_, state)| self.holds(state, i)),
                        },
                    }
                }
            }
            if states.is_empty() {
                return fault(format!("{run}: not what was there"));
            }
        }
        Ok(())
    }

    /// Whether sectors can be zeros: nothing was written there, or is being written.
    fn zero(&self, state: &State, read: &Event, run: &Run) -> bool {
        let events = &self.history.events;
        self.spec
            .logs
            .iter(state.log)
            .map(|i| &events[i])
            .take_while(|write| write.written().is_some_and(|(at, len)| at + len > run.at))
            .filter(|write| write.written().is_some_and(|(at, _)| at < run.at + run.len))
            .all(|write| write.end > read.begin)
    }

    /// Whether the data of a write that has ended can be there: it is, or a reset is under way.
    fn holds(&self, state: &State, write: usize) -> bool {
        let displaced = state.displaced.iter().map(|(log, _)| *log);
        std::iter::once(state.log)
            .chain(displaced)
            .any(|log| self.spec.logs.iter(log).any(|i| i == write))
    }
}

/// A fault with the events around it.
pub fn explain(history: &History, fault: &Fault) -> String {
    let event = &history.events[fault.event];
    let mut text = format!("{event}: {}\n", fault.text);
    let near = |other: &&Event| other.begin < event.end && other.end + 120 > event.begin;
    for other in history.events.iter().filter(near) {
        let mark = if other == event { ">" } else { " " };
        text += &format!("    {mark} {other}\n");
    }
    text
}
