// SPDX-License-Identifier: GPL-2.0

//! The load: threads that do all kinds of things to the same few zones, in rounds.
//!
//! A round begins with empty zones, and ends with a look at all of their data when the threads have stopped. Its
//! histories are checked before the next one begins, so that a long run takes no more memory than a short one.

use super::crowd;
use super::history::{Call, Event, History, Seen, MAX_THREADS};
use super::linear;
use super::worker::{Shared, Worker};
use crate::target::{Geometry, Target};
use clap::{value_parser, Args, ValueEnum};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use zbd::uapi::{ZoneOp, SECTOR};

/// How data gets into the zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Writes,
    /// Native zone appends.
    Appends,
    /// Both.
    Mixed,
    /// Zone appends that the block layer turns into writes.
    Emulated,
}

/// What to do, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// How data gets into the zones
    #[arg(long, value_enum, default_value_t = Mode::Writes)]
    pub mode: Mode,
    /// Number of zones
    #[arg(long, default_value_t = 2)]
    pub zones: u32,
    /// Number of threads; one more looks at the zones when they have stopped
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..i64::from(MAX_THREADS)))]
    pub threads: u32,
    /// Number of rounds
    #[arg(long, default_value_t = 10)]
    pub rounds: u64,
    /// Operations of a thread in a round
    #[arg(long, default_value_t = 200)]
    pub ops: u32,
    /// Bytes of the shortest append
    #[arg(long, default_value_t = crate::SAFE_APPEND)]
    pub append_min: u32,
    /// Stop after that many seconds
    #[arg(long)]
    pub time: Option<u64>,
    /// Write the histories of a round that cannot be right to this file
    #[arg(long)]
    pub histories: Option<String>,
}

/// Counts of what was done.
#[derive(Default)]
struct Counts {
    results: BTreeMap<(&'static str, &'static str), u64>,
    events: u64,
    overlapping: u64,
}

impl Counts {
    fn add(&mut self, history: &History) {
        let changes = |e: &Event| !matches!(e.call, Call::Read { .. } | Call::Report { .. });
        self.events += history.events.len() as u64;
        let overlapped = history.overlapped(|e| e.end, changes);
        self.overlapping += overlapped.iter().filter(|o| **o).count() as u64;
        for event in &history.events {
            let call = match event.call {
                Call::Write { .. } => "write",
                Call::Append { .. } => "append",
                Call::Read { .. } => "read",
                Call::Open => "open",
                Call::Close => "close",
                Call::Finish => "finish",
                Call::Reset => "reset",
                Call::Report { .. } => "report",
            };
            let seen = match event.seen {
                Seen::Refused => "refused",
                Seen::NoRoom => "no-room",
                Seen::Odd(_) => "odd",
                _ => "ok",
            };
            *self.results.entry((call, seen)).or_insert(0) += 1;
        }
    }

    /// Whether the load was one.
    fn complete(&self, mode: Mode) -> bool {
        let mut wanted = vec![
            ("read", "ok"),
            ("report", "ok"),
            ("open", "ok"),
            ("close", "ok"),
            ("close", "refused"),
            ("finish", "ok"),
            ("reset", "ok"),
        ];
        if mode != Mode::Appends {
            wanted.extend([("write", "ok"), ("write", "refused")]);
        }
        if mode != Mode::Writes {
            wanted.push(("append", "ok"));
        }
        let missing: Vec<_> = wanted
            .into_iter()
            .filter(|key| !self.results.contains_key(key))
            .collect();
        if !missing.is_empty() {
            println!("INCOMPLETE never seen: {missing:?}");
        }
        if self.overlapping * 20 < self.events {
            println!("INCOMPLETE the threads hardly met");
        }
        missing.is_empty() && self.overlapping * 20 >= self.events
    }
}

/// Runs the load on devices that `open` opens; false if something was seen that cannot be.
pub fn run(
    load: &Load,
    geo: Geometry,
    seed: u64,
    open: &(dyn Fn() -> io::Result<Box<dyn Target + Send>> + Sync),
) -> io::Result<bool> {
    let shared = Shared::new(load.zones);
    let mut workers = Vec::new();
    for thread in 0..=load.threads {
        workers.push(Worker::new(load, geo, &shared, open()?, thread, seed));
    }
    let mut last = workers.pop().ok_or(io::ErrorKind::InvalidInput)?;
    let began = Instant::now();
    let time = load.time.map(Duration::from_secs);
    let mut counts = Counts::default();
    let mut rounds = 0;
    let mut good = true;
    while good && rounds < load.rounds && time.is_none_or(|time| began.elapsed() < time) {
        rounds += 1;
        last.manage(0, load.zones, ZoneOp::Reset);
        last.noted.clear();
        let start = Barrier::new(workers.len());
        std::thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..load.ops {
                        worker.step();
                    }
                });
            }
        });
        // What the kernel does after it has woken the last thread is done by then.
        std::thread::sleep(Duration::from_millis(20));
        last.look();
        let noted = workers
            .iter_mut()
            .chain([&mut last])
            .flat_map(|worker| std::mem::take(&mut worker.noted));
        let histories = sort(load, &geo, noted);
        for history in &histories {
            counts.add(history);
        }
        good = judge(load, &histories)?;
    }
    for ((call, seen), n) in &counts.results {
        println!("{call} {seen}: {n}");
    }
    println!(
        "events={} overlapping={} rounds={rounds} seconds={:.1} mode={:?} seed={seed}",
        counts.events,
        counts.overlapping,
        began.elapsed().as_secs_f64(),
        load.mode
    );
    Ok(good && counts.complete(load.mode))
}

/// Makes a history for each zone.
fn sort(load: &Load, geo: &Geometry, noted: impl Iterator<Item = (u32, Event)>) -> Vec<History> {
    let mut histories: Vec<History> = (0..load.zones)
        .map(|zone| History {
            zone,
            capacity: (geo.zone_capacity / SECTOR) as u32,
            max_open: geo.max_open,
            emulated: load.mode == Mode::Emulated,
            events: Vec::new(),
            crowded: Vec::new(),
        })
        .collect();
    for (zone, event) in noted {
        histories[zone as usize].events.push(event);
    }
    for history in &mut histories {
        history.events.sort_by_key(|event| event.begin);
    }
    crowd::mark(&mut histories);
    histories
}

fn judge(load: &Load, histories: &[History]) -> io::Result<bool> {
    let mut good = true;
    if let Some(now) = crowd::exceeded(histories) {
        println!("IMPOSSIBLE more zones explicitly open than can be at {now}");
        good = false;
    }
    for history in histories {
        if let Err(fault) = linear::check(history) {
            let text = linear::explain(history, &fault);
            println!("IMPOSSIBLE zone {}: {text}", history.zone);
            good = false;
        }
    }
    if let (false, Some(path)) = (good, &load.histories) {
        let text: String = histories.iter().map(History::to_string).collect();
        fs::write(path, text)?;
        println!("histories: {path}");
    }
    Ok(good)
}
