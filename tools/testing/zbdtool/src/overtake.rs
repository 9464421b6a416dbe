// SPDX-License-Identifier: GPL-2.0

//! A writer that is faster than the task which ends its writes.

use crate::pattern::{self, Buffer};
use crate::uapi::{self, ZoneOp, SECTOR};
use crate::zones;
use clap::Args;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Options of `zbdtool overtake`.
#[derive(Args)]
pub struct OvertakeArgs {
    /// Zoned block device
    dev: String,
    /// Zone used
    #[arg(long)]
    zone: u32,
    /// Bytes of one write; two of them must be less than the zone
    #[arg(long, default_value_t = 4096)]
    bs: usize,
    /// Reset all zones of the device, not only that one
    #[arg(long)]
    all: bool,
    /// Number of rounds
    #[arg(long, default_value_t = 100)]
    rounds: u32,
}

/// How long the processor on which a write has ended is kept busy. What waits for it goes on afterwards.
const BUSY: Duration = Duration::from_millis(5);

/// Binds the calling thread to `cpu`, with a real-time priority if it is to have one.
fn bind(cpu: usize, priority: Option<i32>) -> io::Result<()> {
    // SAFETY: zero is a valid value of the set, and `cpu` is below its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: `set` lives across the call.
    Errno::result(unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &set) })?;
    if let Some(sched_priority) = priority {
        let param = libc::sched_param { sched_priority };
        // SAFETY: `param` lives across the call.
        Errno::result(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) })?;
    }
    Ok(())
}

/// What the thread that keeps a processor busy is told.
const WAIT: u32 = 0;
const SPIN: u32 = 1;
const END: u32 = 2;

/// Keeps the processor busy for a moment each time it is told to [`SPIN`].
fn spin(order: &AtomicU32) {
    loop {
        match order.compare_exchange(SPIN, WAIT, Ordering::AcqRel, Ordering::Acquire) {
            Err(END) => return,
            Ok(_) => {
                let began = Instant::now();
                while began.elapsed() < BUSY && order.load(Ordering::Relaxed) != END {}
            }
            Err(_) => thread::park(),
        }
    }
}

/// What has failed, and how often.
type Failures = BTreeMap<String, u32>;

/// Writes, resets and writes again, each as soon as the one before has ended; calls `written` after
/// the first write.
fn write(args: &OvertakeArgs, written: impl Fn()) -> io::Result<Failures> {
    let file = uapi::open_dev(&args.dev, libc::O_DIRECT)?;
    let geometry = zones::geometry(&file)?;
    let zone_size = geometry.zone_size;
    let start = u64::from(args.zone) * zone_size;
    let mut buf = Buffer::new(args.bs);
    let mut failures = Failures::new();
    let (from, len) = match args.all {
        true => (0, u64::from(geometry.nr_zones) * zone_size),
        false => (start, zone_size),
    };
    let reset = || uapi::zone_op(&file, ZoneOp::Reset, from / SECTOR, len / SECTOR);

    for round in 0..args.rounds {
        pattern::fill(buf.bytes_mut(), u64::from(round), start);
        let write =
            |nr: usize| uapi::pwrite(&file, buf.bytes(), start + (nr * args.bs) as u64).map(|_| ());
        let first = write(0);

        written();
        let results = [
            ("first write", first),
            ("reset", reset()),
            ("first write after it", write(0)),
            ("second write after it", write(1)),
            ("last reset", reset()),
        ];
        for (what, result) in results {
            if let Err(errno) = result {
                *failures.entry(format!("{what}:{errno:?}")).or_insert(0) += 1;
            }
        }
    }
    Ok(failures)
}

/// Runs the rounds; false when anything has failed.
pub fn run(args: &OvertakeArgs) -> io::Result<bool> {
    let last = thread::available_parallelism()?.get() - 1;
    let order = AtomicU32::new(WAIT);
    let failures = thread::scope(|scope| {
        let order = &order;
        // An idle processor would take over the task that has ended the write.
        let others = (0..last).map(|cpu| {
            scope.spawn(move || {
                bind(cpu, None)?;
                while order.load(Ordering::Relaxed) != END {}
                io::Result::Ok(())
            })
        });
        let others: Vec<_> = others.collect();
        let spinner = scope.spawn(move || bind(last, Some(10)).map(|()| spin(order)));
        let spinning = spinner.thread().clone();
        let writer = scope.spawn(move || {
            bind(last, Some(20))?;
            write(args, || {
                order.store(SPIN, Ordering::Release);
                spinning.unpark();
            })
        });
        let failures = writer.join();

        order.store(END, Ordering::Release);
        spinner.thread().unpark();
        for thread in others.into_iter().chain([spinner]) {
            thread
                .join()
                .map_err(|_| io::Error::other("a thread has panicked"))??;
        }
        failures.map_err(|_| io::Error::other("the writer has panicked"))?
    })?;

    println!("rounds={}", args.rounds);
    for (what, count) in &failures {
        println!("unexpected {what} count={count}");
    }
    Ok(failures.is_empty())
}
