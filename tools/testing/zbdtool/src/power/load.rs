// SPDX-License-Identifier: GPL-2.0

//! Random load on a zoned device, with a journal of what was sent and acknowledged.
//!
//! Each zone belongs to one thread, so that the operations of a zone follow one another; flushes come from all
//! threads, and cover what the others have written.

use super::block::Tag;
use super::dm::Marker;
use super::journal::{Journal, Op, Shape};
use super::target::Target;
use crate::control;
use crate::pattern::{Buffer, Rng};
use crate::uapi::{self, ZoneOp, SECTOR};
use crate::zones;
use clap::{Args, ValueEnum};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A lie in the journal, to see whether it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lie {
    /// Flushes are not sent.
    Flush,
    /// Writes past the cache are plain writes.
    Fua,
}

/// Options of `zbdtool power load`.
#[derive(Args)]
pub struct LoadArgs {
    /// Zoned block device
    dev: String,
    /// Where the journal goes
    #[arg(long)]
    journal: String,
    /// The device is an NVMe namespace: send appends, and writes past the cache
    #[arg(long)]
    nvme: bool,
    /// Command that adds the device; the load then removes it at its end
    #[arg(long, requires = "remove")]
    add: Option<String>,
    /// Command that removes it
    #[arg(long)]
    remove: Option<String>,
    /// Add the device, load it and remove it that many times
    #[arg(long, default_value_t = 1, requires = "add")]
    cycles: u32,
    /// Operations of each thread in each cycle
    #[arg(long, default_value_t = 300)]
    ops: u64,
    /// Threads
    #[arg(long, default_value_t = 3)]
    threads: usize,
    /// Largest write, in bytes
    #[arg(long, default_value_t = 128 << 10)]
    max: u64,
    /// How many of a hundred writes go past the cache
    #[arg(long, default_value_t = 12)]
    fua: usize,
    /// How many of a hundred operations are flushes
    #[arg(long, default_value_t = 4)]
    flush: usize,
    /// Operations after the last flush of all
    #[arg(long, default_value_t = 0)]
    unflushed: u64,
    /// dm-log-writes device in whose log acknowledged flushes are marked
    #[arg(long)]
    marks: Option<String>,
    /// Write each line of the journal at once: the machine is going to die
    #[arg(long)]
    stream: bool,
    /// Directory on the same file system, for load that has nothing to do with the device
    #[arg(long)]
    noise: Option<String>,
    /// Seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write a journal that claims more than was done
    #[arg(long)]
    lie: Option<Lie>,
}

/// A zone as its thread knows it; in blocks.
struct Zone {
    no: u64,
    conventional: bool,
    /// Of a conventional zone: number of the last write.
    generation: u64,
    wp: u64,
    full: bool,
}

struct Worker<'a> {
    args: &'a LoadArgs,
    journal: &'a Journal,
    target: &'a Target,
    shape: Shape,
    rng: Rng,
    buf: Buffer,
    flushes: bool,
}

impl Worker<'_> {
    /// One operation with its lines in the journal. What is durable when it was acknowledged is marked at once.
    fn journaled(&self, op: &Op, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let id = self.journal.start(op)?;
        act().map_err(|e| io::Error::other(format!("{op}: {e}")))?;
        self.journal.end(id)?;
        match op {
            Op::Flush | Op::Write { fua: true, .. } => self.journal.mark(),
            _ => Ok(()),
        }
    }

    fn percent(&mut self, share: usize) -> bool {
        self.rng.below(100) < share
    }

    fn flush(&self) -> io::Result<()> {
        self.journaled(&Op::Flush, || match self.args.lie {
            Some(Lie::Flush) => Ok(()),
            _ => self.target.flush(),
        })
    }

    fn write(&mut self, zone: &mut Zone) -> io::Result<()> {
        let most = (self.args.max / self.shape.unit).max(1);
        let (block, room) = if zone.conventional {
            let block = self.rng.next() % self.shape.size;
            (block, self.shape.size - block)
        } else {
            (zone.wp, self.shape.capacity - zone.wp)
        };
        let count = 1 + self.rng.next() % most.min(room);
        let generation = zone.generation + u64::from(zone.conventional);
        let fua = self.flushes && self.percent(self.args.fua);
        let op = Op::Write {
            place: zone.no,
            block,
            count,
            generation,
            fua,
        };
        let unit = self.shape.unit as usize;
        let tag = Tag {
            run: self.shape.run,
            place: zone.no,
            index: block,
            generation,
        };
        let len = count as usize * unit;
        tag.fill_all(&mut self.buf.bytes_mut()[..len], unit);
        let append = !zone.conventional && self.percent(70);
        let start = zone.no * self.shape.size * self.shape.unit;
        let pos = start + block * self.shape.unit;
        let sent_fua = fua && self.args.lie != Some(Lie::Fua);
        // The buffer is lent to the device, which does not change it.
        let mut buf = std::mem::replace(&mut self.buf, Buffer::new(0));
        let part = &mut buf.bytes_mut()[..len];
        let done = self.journaled(&op, || {
            if append {
                self.target.append(part, start, pos, sent_fua)
            } else {
                self.target.write(part, pos, sent_fua)
            }
        });
        self.buf = buf;
        done?;
        if zone.conventional {
            zone.generation = generation;
        } else {
            zone.wp += count;
            zone.full = zone.wp == self.shape.capacity;
        }
        Ok(())
    }

    fn manage(&mut self, zone: &mut Zone, op: ZoneOp) -> io::Result<()> {
        let (place, len) = (zone.no, self.shape.size * self.shape.unit);
        let act = || self.target.manage(op, place * len, len);
        match op {
            ZoneOp::Reset => {
                self.journaled(&Op::Reset { place }, act)?;
                zone.generation += 1;
                zone.wp = 0;
                zone.full = false;
            }
            ZoneOp::Finish => {
                self.journaled(&Op::Finish { place }, act)?;
                zone.full = true;
            }
            // Nothing that has to be there later.
            ZoneOp::Open | ZoneOp::Close => act()?,
        }
        Ok(())
    }

    fn run(&mut self, zones: &mut [Zone], ops: u64) -> io::Result<()> {
        for _ in 0..ops {
            if self.flushes && self.percent(self.args.flush) {
                self.flush()?;
                continue;
            }
            let pick = self.rng.below(zones.len());
            let zone = &mut zones[pick];
            match self.rng.below(100) {
                _ if zone.conventional => self.write(zone)?,
                0..=1 => self.manage(zone, ZoneOp::Reset)?,
                2..=49 if zone.full => self.manage(zone, ZoneOp::Reset)?,
                _ if zone.full => (),
                2..=3 => self.manage(zone, ZoneOp::Finish)?,
                4..=5 => self.manage(zone, ZoneOp::Open)?,
                _ => self.write(zone)?,
            }
            // So that the journal's lines can be told apart in the log although nothing is flushed.
            if self.rng.below(8) == 0 {
                self.journal.mark()?;
            }
        }
        Ok(())
    }
}

/// Files that come and go, now and then synced: the backing file system commits what the device did not ask for.
fn noise(dir: &str, seed: u64, stop: &AtomicBool) -> io::Result<()> {
    let mut rng = Rng::new(seed);
    let path = |n: usize| Path::new(dir).join(format!("noise{n}"));
    fs::create_dir_all(dir)?;
    while !stop.load(Ordering::Relaxed) {
        let name = path(rng.below(8));
        if rng.below(4) == 0 {
            let _ = fs::remove_file(&name);
        } else {
            let mut file = File::create(&name)?;
            file.write_all(&vec![0x5a; 1 + rng.below(64 << 10)])?;
            match rng.below(6) {
                0..=1 => file.sync_all()?,
                2 => nix::unistd::syncfs(&file)?,
                _ => (),
            }
        }
        std::thread::sleep(Duration::from_micros(rng.next() % 20_000));
    }
    Ok(())
}

fn command(text: Option<&String>) -> io::Result<()> {
    let Some(text) = text else {
        return Ok(());
    };
    match control::command(control::DEVICE, text.as_bytes())?.as_str() {
        "ok" => Ok(()),
        errno => Err(io::Error::other(format!("{text}: {errno}"))),
    }
}

fn shape_of(target: &Target, run: u64) -> io::Result<Shape> {
    let file = target.file();
    let geometry = zones::geometry(file)?;
    let unit = uapi::logical_block_size(file)?;
    let list = zones::report(file, 0, geometry.nr_zones, false)?;
    let last = list.last().ok_or_else(|| io::Error::other("no zone"))?;
    Ok(Shape {
        run,
        unit,
        zones: u64::from(geometry.nr_zones),
        conventional: list.iter().filter(|z| z.zone_type == 1).count() as u64,
        size: geometry.zone_size / unit,
        capacity: last.capacity * SECTOR / unit,
    })
}

/// What all threads of a load share.
struct Load<'a> {
    args: &'a LoadArgs,
    journal: &'a Journal,
    target: &'a Target,
    shape: Shape,
    seed: u64,
}

impl Load<'_> {
    fn worker(&self, thread: u64, flushes: bool) -> Worker<'_> {
        Worker {
            args: self.args,
            journal: self.journal,
            target: self.target,
            shape: self.shape,
            rng: Rng::new(self.seed * 100 + thread),
            buf: Buffer::new(self.args.max as usize),
            flushes,
        }
    }

    /// Lets the threads work, each on zones of its own.
    fn work(&self, own: &mut [Vec<Zone>], flushes: bool, ops: u64) -> io::Result<()> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..)
                .zip(own)
                .map(|(thread, zones)| {
                    let mut worker = self.worker(thread + 50 * u64::from(flushes), flushes);
                    scope.spawn(move || worker.run(zones, ops))
                })
                .collect();
            // All have to end before an error is returned.
            let ends: Vec<_> = threads.into_iter().map(|t| t.join()).collect();
            ends.into_iter()
                .try_for_each(|end| end.unwrap_or_else(|_| Err(io::Error::other("a panic"))))
        })
    }

    /// One life of the device.
    fn live(&self, own: &mut [Vec<Zone>]) -> io::Result<()> {
        // Until this is durable there may be no device after a cut.
        self.worker(0, true).flush()?;
        self.work(own, true, self.args.ops)?;
        if self.args.unflushed > 0 {
            self.worker(0, true).flush()?;
            self.work(own, false, self.args.unflushed)?;
        }
        Ok(())
    }

    /// The same, with noise.
    fn run(&self, own: &mut [Vec<Zone>]) -> io::Result<()> {
        let Some(dir) = &self.args.noise else {
            return self.live(own);
        };
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let noise = scope.spawn(|| noise(dir, self.seed, &stop));
            let done = self.live(own);
            stop.store(true, Ordering::Relaxed);
            let quiet = noise
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a panic")));
            done.and(quiet)
        })
    }
}

/// Runs the load.
pub fn run(args: &LoadArgs) -> io::Result<bool> {
    let marker = args.marks.as_deref().map(Marker::open).transpose()?;
    let journal = Journal::create(&args.journal, args.stream, marker)?;
    journal.mark()?;
    let discards = args
        .add
        .as_ref()
        .is_some_and(|text| text.contains("discard_write_cache"));
    let mut own: Vec<Vec<Zone>> = Vec::new();
    let mut shape = Shape::default();
    for cycle_no in 0..args.cycles {
        command(args.add.as_ref())?;
        let target = Target::open(&args.dev, args.nvme)?;
        if cycle_no == 0 {
            shape = shape_of(&target, args.seed)?;
            journal.shape(&shape)?;
            own.resize_with(args.threads.min(shape.zones as usize), Vec::new);
            for no in 0..shape.zones {
                let thread = no as usize % own.len();
                own[thread].push(Zone {
                    no,
                    conventional: no < shape.conventional,
                    generation: 0,
                    wp: 0,
                    full: false,
                });
            }
        }
        let load = Load {
            args,
            journal: &journal,
            target: &target,
            shape,
            seed: args.seed * 1000 + u64::from(cycle_no),
        };
        load.run(&mut own)?;
        drop(target);
        // A removal flushes, unless it is to lose what was not flushed.
        if args.remove.is_some() && !discards {
            let id = journal.start(&Op::Flush)?;
            command(args.remove.as_ref())?;
            journal.end(id)?;
            journal.mark()?;
        } else {
            command(args.remove.as_ref())?;
        }
    }
    journal.close()?;
    println!("lines={}", journal.lines());
    Ok(true)
}
