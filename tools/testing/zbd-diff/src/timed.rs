// SPDX-License-Identifier: GPL-2.0

//! How long a device takes, to tell what a run spends its time on.

use crate::target::{Fail, Reply, Target};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zbd::uapi::{BlkZone, ZoneOp};

/// Microseconds that all threads together have waited for a device.
#[derive(Default)]
pub struct Spent {
    data: AtomicU64,
    commands: AtomicU64,
    reports: AtomicU64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds =
            |sum: &AtomicU64| Duration::from_micros(sum.load(Ordering::Relaxed)).as_secs_f64();
        write!(
            f,
            "data={:.1} commands={:.1} reports={:.1}",
            seconds(&self.data),
            seconds(&self.commands),
            seconds(&self.reports)
        )
    }
}

/// A device with a note of how long it takes.
pub struct Timed {
    target: Box<dyn Target + Send>,
    spent: Arc<Spent>,
}

impl Timed {
    pub fn new(target: Box<dyn Target + Send>, spent: Arc<Spent>) -> Self {
        Self { target, spent }
    }
}

fn timed<T>(sum: &AtomicU64, act: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = act();
    sum.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
    result
}

impl Target for Timed {
    fn write(&mut self, pos: u64, data: &[u8], sync: bool) -> Reply {
        timed(&self.spent.data, || self.target.write(pos, data, sync))
    }

    fn read(&mut self, pos: u64, data: &mut [u8]) -> Reply {
        timed(&self.spent.data, || self.target.read(pos, data))
    }

    fn append(&mut self, zone: u32, data: &mut [u8]) -> Reply {
        timed(&self.spent.data, || self.target.append(zone, data))
    }

    fn manage(&mut self, op: ZoneOp, sector: u64, sectors: u64) -> Reply {
        timed(&self.spent.commands, || {
            self.target.manage(op, sector, sectors)
        })
    }

    fn report(&mut self, sector: u64, count: u32, cached: bool) -> Result<Vec<BlkZone>, Fail> {
        timed(&self.spent.reports, || {
            self.target.report(sector, count, cached)
        })
    }

    fn flush(&mut self) -> Reply {
        timed(&self.spent.commands, || self.target.flush())
    }

    fn settle(&mut self, pos: u64, len: u64) -> Result<(), Fail> {
        self.target.settle(pos, len)
    }
}
