// SPDX-License-Identifier: GPL-2.0

//! A writer that is faster than the task which ends its writes.

use crate::pattern::{self, Buffer};
use crate::uapi::{self, ZoneOp, SECTOR};
use crate::zones;
use clap::{Args, ValueEnum};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zbd::nvme::{Namespace, Outcome};
use zbd::plugs::Plugs;

/// Options of `zbdtool overtake`.
#[derive(Args)]
pub struct OvertakeArgs {
    /// Zoned block device
    dev: String,
    /// Zone used
    #[arg(long)]
    zone: u32,
    /// What follows the first write
    #[arg(long, value_enum, default_value_t = Then::Reset)]
    then: Then,
    /// NVMe namespace on the device, for appends
    #[arg(long)]
    nvme: Option<String>,
    /// Zone to open explicitly, which is to be the only open one: the first write fails
    #[arg(long)]
    open: Option<u32>,
    /// Bytes of one write
    #[arg(long, default_value_t = 4096)]
    bs: usize,
    /// Number of rounds
    #[arg(long, default_value_t = 100)]
    rounds: u32,
}

/// What comes between the first write and the others.
#[derive(Clone, Copy, ValueEnum)]
enum Then {
    /// A reset of the zone
    Reset,
    /// A reset of all zones
    ResetAll,
    /// A report of the zone
    Report,
    /// An append to the zone
    Append,
    /// An append of two blocks, for which there is no room in the zone, but for one of them
    AppendTooMuch,
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

struct Writer<'a> {
    args: &'a OvertakeArgs,
    file: File,
    nvme: Option<Namespace>,
    plugs: Option<Plugs>,
    zone_size: u64,
    /// Bytes of the device.
    size: u64,
    buf: Buffer,
}

impl<'a> Writer<'a> {
    fn new(args: &'a OvertakeArgs) -> io::Result<Self> {
        let file = uapi::open_dev(&args.dev, libc::O_DIRECT)?;
        let geometry = zones::geometry(&file)?;
        let nvme = args.nvme.as_deref().map(|dev| Namespace::open(dev, 1));

        Ok(Self {
            args,
            file,
            nvme: nvme.transpose()?,
            plugs: Plugs::of(&args.dev)?,
            zone_size: geometry.zone_size,
            size: geometry.zone_size * u64::from(geometry.nr_zones),
            // For two blocks, and one at a time.
            buf: Buffer::new(2 * args.bs),
        })
    }

    /// Writes the `nr`th block of the zone.
    fn write(&mut self, nr: usize) -> Result<(), Errno> {
        let pos = u64::from(self.args.zone) * self.zone_size + (nr * self.args.bs) as u64;

        let block = &mut self.buf.bytes_mut()[..self.args.bs];

        pattern::fill(block, 1, pos);
        uapi::pwrite(&self.file, block, pos).map(|_| ())
    }

    /// Appends so many blocks.
    fn append(&mut self, blocks: usize) -> Outcome {
        let data = &mut self.buf.bytes_mut()[..blocks * self.args.bs];

        match &self.nvme {
            Some(namespace) => namespace.append(self.args.zone, data),
            None => Outcome::Failed(Errno::ENODEV),
        }
    }

    fn zone_op(&self, op: ZoneOp, zone: u32) -> Result<(), Errno> {
        uapi::zone_op(
            &self.file,
            op,
            u64::from(zone) * self.zone_size / SECTOR,
            self.zone_size / SECTOR,
        )
    }

    /// Fills the zone but for the last blocks; returns the one that is written to next.
    ///
    /// Waits until the block layer has done with that: one of its workers may have sent a write, and hold the zone's
    /// write plug for a moment more, in which an append would have the next write fail whatever the driver does.
    fn fill(&mut self, but: usize) -> Result<usize, Errno> {
        let start = u64::from(self.args.zone) * self.zone_size / SECTOR;
        let capacity = match zones::report(&self.file, start, 1, false).as_deref() {
            Ok([zone]) => (zone.capacity * SECTOR) as usize / self.args.bs,
            _ => return Err(Errno::EBADMSG),
        };
        let next = capacity.checked_sub(but).ok_or(Errno::EINVAL)?;

        for nr in 0..next {
            self.write(nr)?;
        }
        if let Some(plugs) = &mut self.plugs {
            let zone = u64::from(self.args.zone);

            plugs.settle(&(zone..zone + 1))?;
        }
        Ok(next)
    }

    /// Does what follows the first write, to block `first`; returns the block at which the zone can be written to.
    fn go_on(&mut self, first: usize) -> Result<usize, Errno> {
        let zone = self.args.zone;

        match self.args.then {
            Then::Reset => self.zone_op(ZoneOp::Reset, zone).map(|()| 0),
            Then::ResetAll => {
                uapi::zone_op(&self.file, ZoneOp::Reset, 0, self.size / SECTOR).map(|()| 0)
            }
            Then::Report => {
                let start = u64::from(zone) * self.zone_size / SECTOR;

                match zones::report(&self.file, start, 1, false).as_deref() {
                    Ok([zone]) => Ok(((zone.wp - zone.start) * SECTOR) as usize / self.args.bs),
                    _ => Err(Errno::EBADMSG),
                }
            }
            Then::Append => match self.append(1) {
                // After the first write, if that did not have to fail.
                Outcome::Done(_) => Ok(first + 2 - usize::from(self.args.open.is_some())),
                Outcome::Failed(errno) => Err(errno),
                Outcome::Status(_) => Err(Errno::EIO),
            },
            Then::AppendTooMuch => match self.append(2) {
                Outcome::Status(_) => Ok(first + 1),
                Outcome::Failed(errno) => Err(errno),
                Outcome::Done(_) => Err(Errno::EEXIST),
            },
        }
    }

    /// One round; calls `written` after the first write. Returns what came of the steps.
    fn round(&mut self, written: &impl Fn()) -> [(&'static str, Result<(), Errno>); 8] {
        let mut held = Ok(());
        let mut closed = Ok(());

        if let Some(zone) = self.args.open {
            held = self.zone_op(ZoneOp::Open, zone);
        }
        let filled = match self.args.then {
            Then::AppendTooMuch => self.fill(2),
            _ => Ok(0),
        };
        let at = filled.unwrap_or(0);
        let mut first = self.write(at);
        written();
        if let Some(zone) = self.args.open {
            first = match first {
                Err(Errno::ETOOMANYREFS) => Ok(()),
                other => other.and(Err(Errno::EEXIST)),
            };
            closed = self.zone_op(ZoneOp::Close, zone);
        }
        let then = self.go_on(at);
        let next = then.unwrap_or(0);
        let second = self.write(next);
        let third = match self.args.then {
            // The zone has no room for it.
            Then::AppendTooMuch => Ok(()),
            _ => self.write(next + 1),
        };

        [
            ("open", held),
            ("filling", filled.map(|_| ())),
            ("first write", first),
            ("close", closed),
            ("what follows", then.map(|_| ())),
            ("first write after it", second),
            ("second write after it", third),
            ("last reset", self.zone_op(ZoneOp::Reset, self.args.zone)),
        ]
    }
}

/// What has failed, and how often.
type Failures = BTreeMap<String, u32>;

/// Writes, goes on and writes again, each as soon as the one before has ended; calls `written` after
/// each first write.
fn write(args: &OvertakeArgs, written: impl Fn()) -> io::Result<Failures> {
    let mut writer = Writer::new(args)?;
    let mut failures = Failures::new();

    for _ in 0..args.rounds {
        for (what, result) in writer.round(&written) {
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
