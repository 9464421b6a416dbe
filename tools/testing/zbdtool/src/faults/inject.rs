// SPDX-License-Identifier: GPL-2.0

//! Faults in allocations, one at a time and at each place in turn (`CONFIG_FAULT_INJECTION`).
//!
//! In a task of our own the kernel counts (`/proc/thread-self/fail-nth`): the n-th allocation fails,
//! of slab objects or of pages. In the kernel's workers it counts bytes (`failslab/space`, of those
//! tasks that `make-it-fail` marks): an allocation is passed by only if it fits into what is left.
//! As long as the steps are not larger than the smallest object, each allocation is the one that
//! fails; they grow with the distance, so that of what comes after many others some are left out.

use clap::ValueEnum;
use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const DEBUGFS: &str = "/sys/kernel/debug";
const NTH: &str = "/proc/thread-self/fail-nth";

/// Whose allocations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// Of the task that makes the system call: slab objects and pages
    Task,
    /// Slab objects of the kernel's workers
    WorkersSlab,
    /// Pages of the kernel's workers
    WorkersPages,
}

/// Places one fault in what is done during a call.
pub enum Injector {
    /// The counter of this thread.
    Task(File),
    /// The directory of the attribute, the bytes or pages from one step to the next, and the last
    /// process that was looked at.
    Workers(PathBuf, u32, Cell<u32>),
}

fn write_attr(dir: &Path, name: &str, value: &str) -> io::Result<()> {
    fs::write(dir.join(name), value)
}

/// Marks or unmarks those of the processes `pids` that are workers of the kernel.
///
/// Not kthreadd, from which workers made later would inherit it: when a stack for a new one is not
/// to be had the kernel says so, as loudly as of a fault of its own.
fn mark_workers(pids: impl Iterator<Item = u32>, mark: bool) {
    for pid in pids {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let name = fs::read_to_string(dir.join("comm")).unwrap_or_default();
        if name.starts_with("kworker/") {
            // It may be gone by now.
            let _ = fs::write(dir.join("make-it-fail"), if mark { "1" } else { "0" });
        }
    }
}

/// All processes.
fn all_pids() -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// The process that was made last.
fn last_pid() -> io::Result<u32> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let last = text.split_whitespace().last();
    last.and_then(|pid| pid.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/loadavg names no process"))
}

/// Marks the workers that were made since process number `seen`.
fn mark_new_workers(seen: &Cell<u32>) -> io::Result<()> {
    let last = last_pid()?;
    let before = seen.replace(last);
    if last >= before {
        mark_workers(before + 1..=last, true);
    } else {
        mark_workers(all_pids()?, true);
    }
    Ok(())
}

impl Injector {
    /// Gets the kernel ready; an error where it has no such faults.
    ///
    /// `grain` is the number of bytes from one step to the next for slab objects of workers.
    pub fn new(place: Place, grain: u32) -> io::Result<Self> {
        let slab = Path::new(DEBUGFS).join("failslab");
        let pages = Path::new(DEBUGFS).join("fail_page_alloc");
        for dir in [&slab, &pages] {
            // No stack trace for each fault: it would look like a warning.
            write_attr(dir, "verbose", "0")?;
            write_attr(dir, "probability", "0")?;
            // Also what could wait for memory, which is nearly everything.
            write_attr(dir, "ignore-gfp-wait", "N")?;
            write_attr(dir, "interval", "1")?;
            write_attr(dir, "task-filter", "Y")?;
        }
        write_attr(&pages, "min-order", "0")?;
        write_attr(&pages, "ignore-gfp-highmem", "N")?;
        // All of them are new.
        let seen = Cell::new(u32::MAX);
        Ok(match place {
            Place::Task => Self::Task(File::options().read(true).write(true).open(NTH)?),
            Place::WorkersSlab => Self::Workers(slab, grain, seen),
            Place::WorkersPages => Self::Workers(pages, 1, seen),
        })
    }

    /// Calls `act` with the fault in place number `step`, from 0 on. Returns what it returned and
    /// whether the fault came.
    pub fn during<T>(&self, step: u32, act: impl FnOnce() -> T) -> io::Result<(T, bool)> {
        match self {
            Self::Task(file) => {
                // What is between the two lines of the kernel's own counts, too: nothing of it allocates.
                file.write_at((step + 1).to_string().as_bytes(), 0)?;
                let result = act();
                let mut text = [0u8; 16];
                let len = file.read_at(&mut text, 0)?;
                file.write_at(b"0", 0)?;
                Ok((result, text[..len].trim_ascii() == b"0"))
            }
            Self::Workers(dir, grain, seen) => {
                mark_new_workers(seen)?;
                write_attr(dir, "space", &distance(step, *grain).to_string())?;
                write_attr(dir, "times", "1")?;
                write_attr(dir, "probability", "100")?;
                let result = act();
                write_attr(dir, "probability", "0")?;
                let left = fs::read_to_string(dir.join("times"))?;
                Ok((result, left.trim() == "0"))
            }
        }
    }
}

/// The bytes or pages that are let pass before the fault of a step: the first steps are `grain`
/// apart, later ones a 64th of what is passed.
fn distance(step: u32, grain: u32) -> u32 {
    let mut sum = 0u32;
    for _ in 0..step {
        sum = sum.saturating_add(grain.max(sum / 64));
    }
    // The kernel's counter is signed.
    sum.min(i32::MAX as u32)
}

impl Drop for Injector {
    fn drop(&mut self) {
        if let Self::Workers(dir, ..) = self {
            let _ = write_attr(dir, "probability", "0");
            let _ = all_pids().map(|pids| mark_workers(pids, false));
        }
    }
}

/// What came of the steps of one operation.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Rounds, each with one fault at most.
    pub rounds: u32,
    /// Rounds in which the fault came.
    pub injected: u32,
    /// Rounds in which the operation failed.
    pub failed: u32,
}

/// More steps than any operation takes.
const MAX_STEPS: u32 = 2_000;

/// Moves a fault through an operation: `round` prepares, does it by [`Injector::during`] and judges;
/// it returns whether the fault came and whether the operation failed, or what is wrong. The end is
/// the second round in a row without a fault.
pub fn walk(
    mut round: impl FnMut(u32) -> Result<(bool, bool), String>,
) -> Result<Tally, (Tally, String)> {
    let mut tally = Tally::default();
    let mut quiet = 0;
    for step in 0..MAX_STEPS {
        let (injected, failed) = round(step).map_err(|e| (tally, format!("step {step}: {e}")))?;
        tally.rounds += 1;
        tally.injected += u32::from(injected);
        tally.failed += u32::from(failed);
        if injected {
            quiet = 0;
            continue;
        }
        if failed {
            return Err((tally, format!("step {step}: failed without a fault")));
        }
        quiet += 1;
        if quiet == 2 {
            return Ok(tally);
        }
    }
    Err((tally, format!("still faults after {MAX_STEPS} steps")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_when_no_fault_comes() {
        let tally = walk(|step| Ok((step < 7, step % 2 == 0 && step < 7))).unwrap();
        let expected = Tally {
            rounds: 9,
            injected: 7,
            failed: 4,
        };
        assert_eq!(tally, expected);
    }

    #[test]
    fn a_walk_fails_with_what_the_round_says() {
        let (tally, text) = walk(|step| match step {
            3 => Err("torn".into()),
            _ => Ok((true, true)),
        })
        .unwrap_err();
        assert_eq!((tally.rounds, text.as_str()), (3, "step 3: torn"));
    }

    #[test]
    fn a_failure_without_a_fault_is_none_of_ours() {
        assert!(walk(|_| Ok((false, true))).is_err());
    }

    #[test]
    fn steps_are_small_at_first_and_get_anywhere() {
        assert_eq!(distance(0, 16), 0);
        assert_eq!(distance(3, 16), 48);
        assert_eq!(distance(64, 16), 1024);
        for step in 0..2000 {
            assert!(distance(step + 1, 16) > distance(step, 16) || step > 1000);
        }
        assert_eq!(distance(2000, 16), i32::MAX as u32);
    }

    #[test]
    fn a_walk_without_end_fails() {
        assert!(walk(|_| Ok((true, false))).is_err());
    }
}
