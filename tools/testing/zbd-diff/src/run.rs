// SPDX-License-Identifier: GPL-2.0

//! Runs cases: random ones, and scripts.
//!
//! A case is a few thousand steps on devices whose sequential zones are empty. All of its random choices come from one
//! seed, so that it can be run again alone. With several threads each has zones of its own.

use crate::exec::{Pair, Side};
use crate::gen::{Generator, Scope};
use crate::op::Step;
use crate::shrink::shrink;
use crate::tally::Tally;
use crate::target::{Geometry, Kind, Target};
use crate::what::What;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Opens a device for one more thread.
pub type Opener<'a> = Box<dyn Fn() -> io::Result<Box<dyn Target + Send>> + Sync + 'a>;

/// One of the two devices, before it is opened.
pub struct Contestant<'a> {
    pub kind: Kind,
    pub geo: Geometry,
    pub open: Opener<'a>,
}

/// The two devices and how they are driven.
pub struct Arena<'a> {
    pub ours: Contestant<'a>,
    pub theirs: Contestant<'a>,
    pub threads: u32,
    /// Zone appends can be sent, of so many bytes or more.
    pub append: Option<u32>,
}

/// A difference that is not known, and the steps up to it.
#[derive(Clone, Debug)]
pub struct Failure {
    pub what: What,
    pub steps: Vec<Step>,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub steps: u64,
    pub time: Option<Duration>,
    /// Steps of a case.
    pub case: u64,
    /// Attempts to make a failing sequence shorter, and how long they may take.
    pub tries: u32,
    pub trying: Duration,
}

/// The seed of a case of a run.
pub fn case_seed(seed: u64, case: u64) -> u64 {
    if case == 0 {
        return seed;
    }
    let mut x = seed.wrapping_add(case.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)) & 0xffff_ffff_ffff
}

impl Arena<'_> {
    /// The zones that a thread watches, and those of them that it works on: the first and the last are there for what
    /// reaches beyond.
    fn zones(&self, thread: u32) -> [std::ops::Range<u32>; 2] {
        let geo = &self.ours.geo;
        if self.threads == 1 {
            return [0..geo.nr_zones, 0..geo.nr_zones];
        }
        let share = (geo.nr_zones - geo.conv) / self.threads;
        let start = geo.conv + thread * share;
        let end = start + share;
        if thread == 0 {
            [0..end, 0..end - 1]
        } else {
            [start..end, start + 1..end - 1]
        }
    }

    fn scope(&self, thread: u32) -> Scope {
        let [watched, zones] = self.zones(thread);
        let alone = self.threads == 1;
        let limits = [self.ours.geo.max_open, self.theirs.geo.max_open];
        let limit = limits.into_iter().filter(|limit| *limit != 0).min();
        Scope {
            thread,
            geo: self.ours.geo,
            watched,
            zones,
            alone,
            // One zone at least can always be opened.
            explicit: limit
                .filter(|_| !alone)
                .map(|limit| (limit - 1) / self.threads),
            append: self.append,
        }
    }

    /// A pair for each thread.
    pub fn pairs(&self) -> io::Result<Vec<Pair>> {
        (0..self.threads)
            .map(|thread| {
                let [watched, _] = self.zones(thread);
                let side =
                    |c: &Contestant| Ok::<_, io::Error>(Side::new(c.kind, c.geo, (c.open)()?));
                let (ours, theirs) = (side(&self.ours)?, side(&self.theirs)?);
                Ok::<_, io::Error>(Pair::new(ours, theirs, watched, self.threads == 1))
            })
            .collect()
    }

    /// Runs a random case.
    pub fn case(&self, pairs: &mut [Pair], seed: u64, steps: u64) -> Result<(), Box<Failure>> {
        let share = steps.div_ceil(self.threads.into());
        self.all(pairs, |thread, pair, go_on| {
            let mut generator = Generator::new(self.scope(thread), case_seed(seed, thread.into()));
            let mut trace = Vec::new();
            for _ in 0..share {
                let step = generator.next(pair.view());
                let Some(order) = go_on() else { break };
                trace.push((order, step));
                if let Err(what) = pair.step(&step) {
                    return (trace, Some(*what));
                }
            }
            (trace, pair.audit().err().map(|what| *what))
        })
    }

    /// Runs the steps of a script, each in its thread.
    pub fn script(&self, pairs: &mut [Pair], steps: &[Step]) -> Result<(), Box<Failure>> {
        self.all(pairs, |thread, pair, go_on| {
            let mut trace = Vec::new();
            for step in steps.iter().filter(|step| step.thread == thread) {
                let Some(order) = go_on() else { break };
                trace.push((order, *step));
                if let Err(what) = pair.step(step) {
                    return (trace, Some(*what));
                }
            }
            (trace, pair.audit().err().map(|what| *what))
        })
    }

    /// Runs one function in each thread, after the zones were made empty. The function is given one to call before
    /// each step, which says where in the order of all steps it is, or that another thread has failed.
    fn all<F>(&self, pairs: &mut [Pair], run: F) -> Result<(), Box<Failure>>
    where
        F: Fn(u32, &mut Pair, &dyn Fn() -> Option<u64>) -> (Vec<(u64, Step)>, Option<What>) + Sync,
    {
        for pair in pairs.iter_mut() {
            pair.restart().map_err(|what| Failure {
                what: *what,
                steps: Vec::new(),
            })?;
        }
        let (order, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let go_on =
            || (!stop.load(Ordering::Relaxed)).then(|| order.fetch_add(1, Ordering::Relaxed));
        let work = |thread: usize, pair: &mut Pair| {
            let (trace, what) = run(thread as u32, pair, &go_on);
            if what.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            (trace, what)
        };
        let results: Vec<_> = if let [pair] = pairs {
            vec![work(0, pair)]
        } else {
            let work = &work;
            std::thread::scope(|scope| {
                let threads: Vec<_> = pairs
                    .iter_mut()
                    .enumerate()
                    .map(|(thread, pair)| scope.spawn(move || work(thread, pair)))
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("a thread panicked"))
                    .collect()
            })
        };
        let Some(what) = results.iter().find_map(|(_, what)| *what) else {
            return Ok(());
        };
        let mut steps: Vec<_> = results.into_iter().flat_map(|(trace, _)| trace).collect();
        steps.sort_by_key(|(order, _)| *order);
        Err(Box::new(Failure {
            what,
            steps: steps.into_iter().map(|(_, step)| step).collect(),
        }))
    }

    /// Makes a failing sequence short, if it fails again at all. Several threads get several chances.
    pub fn shrink(
        &self,
        pairs: &mut [Pair],
        failure: &Failure,
        limits: &Limits,
    ) -> Option<Failure> {
        let began = Instant::now();
        let chances = if self.threads == 1 { 1 } else { 5 };
        let mut last = None;
        let mut again = |steps: &[Step]| {
            (0..chances).any(|_| {
                if began.elapsed() > limits.trying {
                    return false;
                }
                pairs[0].blank();
                match self.script(pairs, steps) {
                    Err(seen) if seen.what.resembles(&failure.what) => {
                        last = Some(seen.what);
                        true
                    }
                    _ => false,
                }
            })
        };
        if !again(&failure.steps) {
            return None;
        }
        let steps = shrink(
            failure.steps.clone(),
            self.append.unwrap_or(0),
            limits.tries,
            again,
        );
        Some(Failure { what: last?, steps })
    }

    /// Runs cases until the limits are reached or one fails, which `found` is told of at once. Returns what was done,
    /// and the failure, made short.
    pub fn run(
        &self,
        seed: u64,
        limits: &Limits,
        found: impl FnOnce(u64, &Failure) -> io::Result<()>,
    ) -> io::Result<(Tally, Option<(u64, Failure)>)> {
        let mut pairs = self.pairs()?;
        let began = Instant::now();
        let mut done = 0;
        let mut case = 0;
        let mut failed = None;
        while done < limits.steps && limits.time.is_none_or(|time| began.elapsed() < time) {
            let seed = case_seed(seed, case);
            let steps = limits.case.min(limits.steps - done);
            if let Err(failure) = self.case(&mut pairs, seed, steps) {
                failed = Some((seed, *failure));
                break;
            }
            done += steps;
            case += 1;
        }
        let mut tally = Tally::default();
        for pair in &pairs {
            tally.add(&pair.tally);
        }
        if let Some((seed, failure)) = failed {
            found(seed, &failure)?;
            let short = self.shrink(&mut pairs, &failure, limits);
            return Ok((tally, Some((seed, short.unwrap_or(failure)))));
        }
        Ok((tally, None))
    }
}
