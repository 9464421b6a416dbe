// SPDX-License-Identifier: GPL-2.0

//! Allocation failures at each place of an operation in turn, and the judgement after each: the
//! state is the one before or the one after, and the operation works when it is tried again.

mod inject;
mod io_ops;

use crate::control::{self, DEVICE};
use crate::pattern::{self, Buffer};
use crate::uapi;
use crate::zones;
use clap::{Args, Subcommand};
use inject::{Injector, Place, Tally};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Commands of `zbdtool faults`.
#[derive(Subcommand)]
pub enum Command {
    /// Of `add`: a new device, or with --again one from its files
    Add(ControlArgs),
    /// Of `remove`
    Remove(ControlArgs),
    /// Of the first read of a zone since `add`, which opens its file; the base directory has a
    /// device with 64 KiB in zone 1
    FirstUse(ControlArgs),
    /// Of what can be done to a device
    Io(io_ops::Args),
}

/// A device that comes and goes.
#[derive(Args)]
pub struct ControlArgs {
    /// Base directory
    base: PathBuf,
    /// Options of the device, without id and base_dir
    options: String,
    /// Its number
    #[arg(long, default_value_t = 0)]
    id: u32,
    /// Add it from its files
    #[arg(long)]
    again: bool,
    /// Whose allocations fail
    #[arg(long, value_enum, default_value_t = Place::Task)]
    place: Place,
    /// Bytes from one step to the next, for slab objects of workers
    #[arg(long, default_value_t = 16)]
    grain: u32,
    /// Only every n-th place
    #[arg(long, default_value_t = 1)]
    stride: u32,
    /// Place to begin with, from 0 on
    #[arg(long, default_value_t = 0)]
    first: u32,
}

/// All files below a directory with their sizes.
type Tree = BTreeMap<PathBuf, u64>;

fn tree(dir: &Path) -> io::Result<Tree> {
    let mut found = Tree::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                todo.push(entry.path());
                found.insert(entry.path(), 0);
            } else {
                found.insert(entry.path(), meta.len());
            }
        }
    }
    Ok(found)
}

/// What one tree has and the other has not, or in another size.
fn difference(before: &Tree, after: &Tree) -> Option<String> {
    let mut text = String::new();
    for (path, size) in after {
        match before.get(path) {
            None => text += &format!(" +{}", path.display()),
            Some(old) if old != size => text += &format!(" {}: {old} -> {size}", path.display()),
            Some(_) => (),
        }
    }
    for path in before.keys().filter(|p| !after.contains_key(*p)) {
        text += &format!(" -{}", path.display());
    }
    (!text.is_empty()).then_some(text)
}

struct Device<'a> {
    args: &'a ControlArgs,
    control: File,
}

impl Device<'_> {
    fn add_text(&self) -> String {
        let (id, base, options) = (self.args.id, self.args.base.display(), &self.args.options);
        format!("add id={id},base_dir={base},{options}")
    }

    fn remove_text(&self) -> String {
        format!("remove id={}", self.args.id)
    }

    fn exists(&self) -> bool {
        Path::new(&format!("/sys/block/zloop{}", self.args.id)).exists()
    }

    fn dir(&self) -> PathBuf {
        self.args.base.join(self.args.id.to_string())
    }

    /// A command without a fault, which has to work.
    fn command(&self, text: &str) -> Result<(), String> {
        match control::command(DEVICE, text.as_bytes()) {
            Ok(result) if result == "ok" => Ok(()),
            Ok(result) => Err(format!("'{text}' without a fault: {result}")),
            Err(e) => Err(e.to_string()),
        }
    }

    /// A command with a fault: the result, and whether the fault came.
    fn faulty(&self, inj: &Injector, step: u32, text: &str) -> Result<(bool, String), String> {
        let mut control = &self.control;
        let (result, injected) = inj
            .during(step, || control.write(text.as_bytes()))
            .map_err(|e| e.to_string())?;
        let result = match result {
            Ok(_) => "ok".into(),
            Err(e) => uapi::errno_name(&e),
        };
        Ok((injected, result))
    }

    /// The device is complete: the node is there and reports all zones, each sane.
    fn whole(&self) -> Result<(), String> {
        let path = format!("/dev/zloop{}", self.args.id);
        let file = uapi::open_dev(&path, 0).map_err(|e| format!("{path}: {e}"))?;
        let geo = zones::geometry(&file).map_err(|e| e.to_string())?;
        let list =
            zones::report(&file, 0, geo.nr_zones, false).map_err(|e| format!("report: {e}"))?;
        if geo.nr_zones == 0 || list.len() != geo.nr_zones as usize {
            return Err(format!("{} of {} zones", list.len(), geo.nr_zones));
        }
        match list.iter().find_map(zones::inconsistency) {
            Some(text) => Err(text.into()),
            None => Ok(()),
        }
    }

    fn tree(&self) -> Result<Tree, String> {
        tree(&self.args.base).map_err(|e| e.to_string())
    }

    /// The files are as they were, and there is a device or none.
    fn unchanged(&self, before: &Tree, exists: bool) -> Result<(), String> {
        if self.exists() != exists {
            return Err(format!(
                "there is {} device",
                if exists { "no" } else { "a" }
            ));
        }
        match difference(before, &self.tree()?) {
            Some(text) => Err(format!("files changed:{text}")),
            None => Ok(()),
        }
    }
}

/// Steps through `add`.
fn add(dev: &Device, inj: &Injector, step: u32) -> Result<(bool, bool), String> {
    let before = dev.tree()?;
    let (injected, result) = dev.faulty(inj, step, &dev.add_text())?;
    if result != "ok" {
        dev.unchanged(&before, false)
            .map_err(|e| format!("add failed with {result}, but {e}"))?;
        return Ok((injected, true));
    }
    dev.whole()?;
    dev.command(&dev.remove_text())?;
    if dev.args.again {
        dev.unchanged(&before, false)?;
    } else {
        fs::remove_dir_all(dev.dir()).map_err(|e| e.to_string())?;
    }
    Ok((injected, false))
}

/// Steps through `remove`.
fn remove(dev: &Device, inj: &Injector, step: u32) -> Result<(bool, bool), String> {
    dev.command(&dev.add_text())?;
    let before = dev.tree()?;
    let (injected, result) = dev.faulty(inj, step, &dev.remove_text())?;
    if result == "ok" {
        dev.unchanged(&before, false)?;
        return Ok((injected, false));
    }
    dev.unchanged(&before, true)
        .map_err(|e| format!("remove failed with {result}, but {e}"))?;
    dev.whole()?;
    dev.command(&dev.remove_text())?;
    Ok((injected, true))
}

/// Steps through the first read of a zone.
fn first_use(dev: &Device, inj: &Injector, step: u32) -> Result<(bool, bool), String> {
    let before = dev.tree()?;
    dev.command(&dev.add_text())?;
    let path = format!("/dev/zloop{}", dev.args.id);
    let file = uapi::open_dev(&path, libc::O_DIRECT).map_err(|e| format!("{path}: {e}"))?;
    let geo = zones::geometry(&file).map_err(|e| e.to_string())?;
    let mut buf = Buffer::new(1 << 16);
    buf.bytes_mut().fill(1);
    let mut read = || {
        let n = uapi::pread(&file, buf.bytes_mut(), geo.zone_size).map_err(|e| format!("{e:?}"))?;
        match n == 1 << 16 && pattern::mismatch(buf.bytes(), 1, geo.zone_size).is_none() {
            true => Ok(()),
            false => Err("wrong data".to_string()),
        }
    };
    let (result, injected) = inj.during(step, &mut read).map_err(|e| e.to_string())?;
    if let Err(text) = &result {
        if text == "wrong data" {
            return Err(text.clone());
        }
        read().map_err(|e| format!("{text}, and again without a fault: {e}"))?;
    }
    drop(file);
    dev.command(&dev.remove_text())?;
    dev.unchanged(&before, false)?;
    Ok((injected, result.is_err()))
}

/// Prints the figures of one walk; false if it found something wrong.
fn print(what: &str, place: Place, outcome: Result<Tally, (Tally, String)>) -> bool {
    let (tally, wrong) = match outcome {
        Ok(tally) => (tally, None),
        Err((tally, text)) => (tally, Some(text)),
    };
    println!(
        "{what} {place:?}: rounds={} injected={} failed={}",
        tally.rounds, tally.injected, tally.failed
    );
    if let Some(text) = &wrong {
        println!("{what} {place:?}: {text}");
    }
    wrong.is_none()
}

/// Runs a command; false if a state was wrong.
pub fn run(command: &Command) -> io::Result<bool> {
    type Round = fn(&Device, &Injector, u32) -> Result<(bool, bool), String>;
    let (args, what, round): (_, _, Round) = match command {
        Command::Add(args) if args.again => (args, "add again", add),
        Command::Add(args) => (args, "add", add),
        Command::Remove(args) => (args, "remove", remove),
        Command::FirstUse(args) => (args, "first use", first_use),
        Command::Io(args) => return io_ops::run(args),
    };
    let control = File::options().write(true).open(DEVICE)?;
    let dev = Device { args, control };
    if args.again || matches!(command, Command::Remove(_)) {
        for text in [dev.add_text(), dev.remove_text()] {
            dev.command(&text).map_err(io::Error::other)?;
        }
    }
    let inj = Injector::new(args.place, args.grain)?;
    Ok(print(
        what,
        args.place,
        inject::walk(|step| round(&dev, &inj, args.first + step * args.stride)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, u64)]) -> Tree {
        list.iter().map(|(p, s)| (PathBuf::from(p), *s)).collect()
    }

    #[test]
    fn each_change_of_a_tree_is_seen() {
        let before = of(&[("a", 1), ("b", 2)]);
        assert_eq!(difference(&before, &before), None);
        for other in [
            of(&[("a", 1)]),
            of(&[("a", 1), ("b", 3)]),
            of(&[("a", 1), ("b", 2), ("c", 0)]),
        ] {
            assert!(difference(&before, &other).is_some());
        }
    }
}
