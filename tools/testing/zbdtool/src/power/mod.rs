// SPDX-License-Identifier: GPL-2.0

//! Power cuts: load with a journal, replay of what a disk with a volatile cache may have kept, judgement.
//!
//! A load runs on a device whose backing file system is on dm-log-writes. Its log is then replayed to many moments, with
//! other losses each time, and what is found is compared with what the journal allows. `allowed.rs` has the rules.

mod allowed;
mod block;
mod btrfs;
mod cut;
mod dm;
mod files;
mod journal;
mod load;
mod log;
mod oracle;
#[cfg(test)]
mod oracle_tests;
mod survive;
mod target;
mod verify;

use clap::Subcommand;
use cut::Bounds;
use journal::Record;
use std::fs::File;
use std::io;

#[derive(Subcommand)]
pub enum Command {
    /// Random load on a zoned device, with a journal
    Load(load::LoadArgs),
    /// Random load on the files of a directory, with a journal
    Files(files::LoadArgs),
    /// Cut the power at random moments of a recorded load, and judge what is left
    Survive(survive::SurviveArgs),
    /// Replay the log of a machine that died, with random losses in what was not flushed
    Replay {
        /// Log of the writes
        log: String,
        /// Disk as it was before the log began
        disk: String,
        /// Seed of the losses
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Judge a device that was added again after a real power cut, or after a removal
    Judge {
        /// Zoned block device
        dev: String,
        /// Journal of the load
        #[arg(long)]
        journal: String,
        /// The removal discarded what was not flushed
        #[arg(long)]
        discarded: bool,
    },
}

fn replay(log: &str, disk: &str, seed: u64) -> io::Result<bool> {
    let log = log::Log::read(File::open(log)?, true)?;
    let cut = cut::last(&log, seed);
    let disk = File::options().write(true).open(disk)?;
    cut::apply(&log, &cut::all_of(&log, 0..cut.prefix), &disk)?;
    let pieces = cut.pieces(&log);
    cut::apply(&log, &pieces, &disk)?;
    disk.sync_all()?;
    let losses = cut.losses(&log, &pieces);
    println!(
        "entries={} unflushed={} writes_lost={} writes_torn={}",
        log.entries.len(),
        cut.cached.len(),
        losses.writes,
        losses.torn
    );
    Ok(cut.prefix > 0)
}

fn judge(dev: &str, journal: &str, discarded: bool) -> io::Result<bool> {
    let record = Record::read(journal)?;
    let end = Bounds {
        must: record.lines,
        may: record.lines,
    };
    let (findings, loss) = if discarded {
        verify::discarded(dev, &record)?
    } else {
        verify::device(dev, &record, end, false)?
    };
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "lines={} zones_behind={} blocks_behind={}",
        record.lines, loss.zones, loss.blocks
    );
    Ok(findings.is_empty())
}

pub fn run(command: &Command) -> io::Result<bool> {
    match command {
        Command::Load(args) => load::run(args),
        Command::Files(args) => files::load(args),
        Command::Survive(args) => survive::run(args),
        Command::Replay { log, disk, seed } => replay(log, disk, *seed),
        Command::Judge {
            dev,
            journal,
            discarded,
        } => judge(dev, journal, *discarded),
    }
}
