// SPDX-License-Identifier: GPL-2.0

//! Many power cuts of one recorded load: for each, the disk as it would be, its file system mounted, the device added
//! again and judged.
//!
//! The replayed disk only moves forward in the log. What a cut adds to it, and what recovery writes, goes to a snapshot
//! that is then thrown away.

use super::cut::{self, Bounds, Cut};
use super::files;
use super::journal::Record;
use super::log::Log;
use super::verify::{self, Loss};
use crate::control;
use crate::uapi;
use clap::Args;
use nix::mount::{mount, umount, MsFlags};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Options of `zbdtool power survive`.
#[derive(Args)]
pub struct SurviveArgs {
    /// The device when it was added, such as /dev/zloop0
    dev: String,
    /// Log of the writes to the disk
    #[arg(long)]
    log: String,
    /// Journal of the load
    #[arg(long)]
    journal: String,
    /// Disk with what was there before the log began; it is changed
    #[arg(long)]
    disk: String,
    /// Disk for the snapshots
    #[arg(long)]
    cow: String,
    /// File system type of the disk
    #[arg(long)]
    fs: String,
    /// Mount options
    #[arg(long, default_value = "")]
    mount_options: String,
    /// Where to mount it
    #[arg(long)]
    mount: String,
    /// Command that adds the device
    #[arg(long)]
    add: String,
    /// Command that removes it
    #[arg(long)]
    remove: String,
    /// The device's directory
    #[arg(long)]
    dir: String,
    /// Number of cuts
    #[arg(long, default_value_t = 20)]
    count: usize,
    /// Seed of the cuts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only in the first so many moments: the device is being made
    #[arg(long, default_value_t = usize::MAX)]
    first: usize,
    /// Only the cut of this number
    #[arg(long)]
    only: Option<usize>,
    /// What was not flushed may read as zeros: the file system stores sizes before data
    #[arg(long)]
    zeros: bool,
    /// File system on the device, whose files are judged instead of the zones
    #[command(flatten)]
    top: files::TopArgs,
}

/// What came out of it.
#[derive(Default)]
struct Tally {
    cuts: u64,
    bad: u64,
    /// Cuts while a write past the cache was under way.
    fua: u64,
    /// Cuts before the device was durable for the first time, after which it had to be made anew.
    unborn: u64,
    /// Writes of the disk's cache that did not get to the disk, and those that did in part.
    lost: u64,
    torn: u64,
    zones: u64,
    blocks: u64,
    zeros: u64,
    files: u64,
}

const SNAPSHOT: &str = "zl-power-cut";

fn dmsetup(args: &[&str]) -> io::Result<()> {
    let out = Command::new("dmsetup")
        .args(args)
        // Nodes without udev, which would open each of them.
        .env("DM_DISABLE_UDEV", "1")
        .stdin(Stdio::null())
        .output()?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    Err(io::Error::other(format!("dmsetup {args:?}: {text}")))
}

/// Tries for a while: something may still be looking at what has just come up.
pub fn patiently<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..50 {
        match act() {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => (),
            done => return done,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    act()
}

fn write_disk(path: &str) -> io::Result<File> {
    uapi::open_dev(path, libc::O_DIRECT)
}

fn read_log(path: &str) -> io::Result<Log> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)?;
    Log::read(file, false)
}

struct Run<'a> {
    args: &'a SurviveArgs,
    log: Log,
    record: Record,
    tally: Tally,
    /// Faults of the cut in hand.
    faults: Vec<String>,
}

impl Run<'_> {
    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    fn mount(&self) -> io::Result<()> {
        let options = Some(self.args.mount_options.as_str()).filter(|o| !o.is_empty());
        super::btrfs::forget();
        patiently(|| {
            let dev = format!("/dev/mapper/{SNAPSHOT}");
            let (dir, fs) = (self.args.mount.as_str(), self.args.fs.as_str());
            Ok(mount(
                Some(dev.as_str()),
                dir,
                Some(fs),
                MsFlags::empty(),
                options,
            )?)
        })
    }

    /// Adds the device; false if there is none to judge.
    fn add(&mut self, bounds: Bounds) -> io::Result<bool> {
        let add = || control::command(control::DEVICE, self.args.add.as_bytes());
        let was_flushed = super::allowed::Past::new(&self.record, bounds).was_flushed();
        let geometry = Path::new(&self.args.dir).join("zloop.geometry");
        if was_flushed && !geometry.exists() {
            self.fault(format!("there is no {} after a flush", geometry.display()));
            return Ok(false);
        }
        let errno = add()?;
        if errno == "ok" {
            return Ok(true);
        }
        if was_flushed {
            self.fault(format!("add: {errno}"));
            return Ok(false);
        }
        // It was being made: another one must be possible in its place.
        for entry in fs::read_dir(&self.args.dir)? {
            fs::remove_file(entry?.path())?;
        }
        match add()?.as_str() {
            "ok" => self.tally.unborn += 1,
            errno => {
                self.fault(format!("add after a cut in the first add: {errno}"));
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn judge(&mut self, bounds: Bounds) -> io::Result<()> {
        if self.args.top.top.is_some() {
            let (faults, files) =
                files::judge(&self.args.top, &self.args.dev, &self.record, bounds)?;
            self.faults.extend(faults);
            self.tally.files += files;
            return Ok(());
        }
        let args = self.args;
        let (findings, loss) = verify::device(&args.dev, &self.record, bounds, args.zeros)?;
        let Loss {
            zones,
            blocks,
            zeros,
        } = loss;
        self.faults.extend(findings.iter().map(ToString::to_string));
        self.tally.zones += zones;
        self.tally.blocks += blocks;
        self.tally.zeros += zeros;
        Ok(())
    }

    fn with_device(&mut self, bounds: Bounds) -> io::Result<()> {
        if !self.add(bounds)? {
            return Ok(());
        }
        let judged = self.judge(bounds);
        let removed = patiently(|| {
            match control::command(control::DEVICE, self.args.remove.as_bytes())?.as_str() {
                "ok" => Ok(()),
                "EBUSY" => Err(io::Error::from_raw_os_error(libc::EBUSY)),
                errno => Err(io::Error::other(format!("remove: {errno}"))),
            }
        });
        judged.and(removed)
    }

    fn with_mount(&mut self, bounds: Bounds) -> io::Result<()> {
        if let Err(e) = self.mount() {
            self.fault(format!("the backing file system cannot be mounted: {e}"));
            return Ok(());
        }
        let done = self.with_device(bounds);
        done.and(patiently(|| Ok(umount(self.args.mount.as_str())?)))
    }

    fn cut(&mut self, cut: &Cut) -> io::Result<()> {
        let disk = write_disk(&self.args.disk)?;
        let sectors = io::Seek::seek(&mut &disk, io::SeekFrom::End(0))? / 512;
        drop(disk);
        let table = format!(
            "0 {sectors} snapshot {} {} N 8",
            self.args.disk, self.args.cow
        );
        dmsetup(&["create", SNAPSHOT, "--table", &table])?;
        let pieces = cut.pieces(&self.log);
        let snapshot = write_disk(&format!("/dev/mapper/{SNAPSHOT}"))?;
        cut::apply(&self.log, &pieces, &snapshot)?;
        drop(snapshot);
        self.count(cut, &pieces);
        let done = self.with_mount(cut.bounds(&self.log));
        done.and(dmsetup(&["remove", "--retry", SNAPSHOT]))
    }

    fn count(&mut self, cut: &Cut, pieces: &[cut::Piece]) {
        let losses = cut.losses(&self.log, pieces);
        self.tally.cuts += 1;
        self.tally.fua += u64::from(cut.is_past_the_cache(&self.log));
        self.tally.lost += losses.writes;
        self.tally.torn += losses.torn;
    }

    fn all(&mut self) -> io::Result<()> {
        let from =
            cut::start_of_load(&self.log).ok_or_else(|| io::Error::other("no mark in the log"))?;
        let args = self.args;
        let cuts = cut::choose(&self.log, from, args.first, args.count, args.seed);
        let mut done = 0;
        for (no, cut) in cuts.iter().enumerate() {
            if self.args.only.is_some_and(|only| only != no) {
                continue;
            }
            let disk = write_disk(&self.args.disk)?;
            cut::apply(&self.log, &cut::all_of(&self.log, done..cut.prefix), &disk)?;
            done = cut.prefix;
            drop(disk);
            self.cut(cut)?;
            let faults = std::mem::take(&mut self.faults);
            for fault in &faults {
                println!("cut {no} {cut:?} {:?}: {fault}", cut.bounds(&self.log));
            }
            self.tally.bad += u64::from(!faults.is_empty());
            if self.tally.bad > 4 {
                println!("the rest of the cuts is left out");
                break;
            }
        }
        Ok(())
    }
}

/// Cuts the power `count` times; false if there was a fault.
pub fn run(args: &SurviveArgs) -> io::Result<bool> {
    let mut run = Run {
        args,
        log: read_log(&args.log)?,
        record: Record::read(&args.journal)?,
        tally: Tally::default(),
        faults: Vec::new(),
    };
    run.all()?;
    let t = &run.tally;
    println!(
        "cuts={} survived={} fua={} unborn={} entries={} lines={} writes_lost={} writes_torn={} zones_behind={} \
         blocks_behind={} zeros={} files={}",
        t.cuts,
        t.cuts - t.bad,
        t.fua,
        t.unborn,
        run.log.entries.len(),
        run.record.lines,
        t.lost,
        t.torn,
        t.zones,
        t.blocks,
        t.zeros,
        t.files
    );
    Ok(t.bad == 0 && t.cuts > 0)
}
