// SPDX-License-Identifier: GPL-2.0

//! The same for the files of a file system on the device: what was synced has to be there.
//!
//! A file has a name of its own, so that what is found under a name can be one file only, and belongs to one thread.

use super::allowed::Past;
use super::block::{self, Tag};
use super::cut::Bounds;
use super::dm::Marker;
use super::journal::{Journal, Op, Record, Shape};
use super::oracle::{self, Fault, Finding};
use crate::pattern::Rng;
use clap::Args;
use nix::mount::{mount, umount, MsFlags};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

const UNIT: usize = 4096;
/// Most files of a thread at a time.
const MOST: usize = 12;

/// Options of `zbdtool power files`.
#[derive(Args)]
pub struct LoadArgs {
    /// Directory for the files
    dir: String,
    /// Where the journal goes
    #[arg(long)]
    journal: String,
    /// Operations of each thread
    #[arg(long, default_value_t = 300)]
    ops: u64,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Largest write, in blocks
    #[arg(long, default_value_t = 32)]
    max: u64,
    /// dm-log-writes device in whose log acknowledged syncs are marked
    #[arg(long)]
    marks: Option<String>,
    /// Seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write a journal that claims more than was done: files are not synced
    #[arg(long)]
    lie: bool,
}

/// Options for judging the files.
#[derive(Args)]
pub struct TopArgs {
    /// Type of a file system on the device, whose files are judged instead of the zones
    #[arg(long, requires = "top_mount")]
    pub top: Option<String>,
    /// Where to mount it; the files are in the directory files of it
    #[arg(long)]
    pub top_mount: Option<String>,
    /// Its mount options
    #[arg(long, default_value = "")]
    pub top_options: String,
    /// Command that checks it when it is not mounted
    #[arg(long)]
    pub fsck: Option<String>,
}

/// Where the file of that number is: the upper half is its thread's.
fn path_of(dir: &str, place: u64) -> PathBuf {
    PathBuf::from(dir)
        .join(format!("t{}", place >> 32))
        .join(place.to_string())
}

struct Own {
    place: u64,
    file: File,
    blocks: u64,
    version: u64,
}

struct Worker<'a> {
    args: &'a LoadArgs,
    journal: &'a Journal,
    rng: Rng,
    dir: File,
    files: Vec<Own>,
    next: u64,
}

impl Worker<'_> {
    fn journaled(&self, op: &Op, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let id = self.journal.start(op)?;
        act().map_err(|e| io::Error::other(format!("{op}: {e}")))?;
        self.journal.end(id)?;
        match op {
            Op::Flush | Op::Sync { .. } => self.journal.mark(),
            _ => Ok(()),
        }
    }

    fn create(&mut self) -> io::Result<()> {
        let place = self.next;
        self.next += 1;
        let path = path_of(&self.args.dir, place);
        self.files.push(Own {
            place,
            file: File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)?,
            blocks: 0,
            version: 0,
        });
        self.write(self.files.len() - 1)
    }

    fn write(&mut self, at: usize) -> io::Result<()> {
        let own = &self.files[at];
        let block = match self.rng.below(3) {
            // Over what is there, or after it.
            0 if own.blocks > 0 => self.rng.next() % own.blocks,
            _ => own.blocks,
        };
        let count = 1 + self.rng.next() % self.args.max;
        let generation = own.version + 1;
        let mut buf = vec![0; count as usize * UNIT];
        Tag {
            run: self.args.seed,
            place: own.place,
            index: block,
            generation,
        }
        .fill_all(&mut buf, UNIT);
        let op = Op::Write {
            place: own.place,
            block,
            count,
            generation,
            fua: false,
        };
        self.journaled(&op, || own.file.write_all_at(&buf, block * UNIT as u64))?;
        let own = &mut self.files[at];
        own.version = generation;
        own.blocks = own.blocks.max(block + count);
        Ok(())
    }

    fn sync(&mut self, at: usize) -> io::Result<()> {
        let own = &self.files[at];
        self.journaled(&Op::Sync { place: own.place }, || {
            if self.args.lie {
                return Ok(());
            }
            own.file.sync_all()?;
            self.dir.sync_all()
        })
    }

    fn unlink(&mut self, at: usize) -> io::Result<()> {
        let own = self.files.swap_remove(at);
        let path = path_of(&self.args.dir, own.place);
        self.journaled(&Op::Unlink { place: own.place }, || fs::remove_file(path))
    }

    fn run(&mut self) -> io::Result<()> {
        for _ in 0..self.args.ops {
            if self.files.is_empty() {
                self.create()?;
                continue;
            }
            let at = self.rng.below(self.files.len());
            match self.rng.below(100) {
                0..=14 if self.files.len() < MOST => self.create()?,
                0..=9 => self.unlink(at)?,
                10..=34 => self.sync(at)?,
                35 => {
                    self.journaled(&Op::Flush, || match self.args.lie {
                        true => Ok(()),
                        false => Ok(nix::unistd::syncfs(&self.dir)?),
                    })?;
                }
                _ => self.write(at)?,
            }
            if self.rng.below(8) == 0 {
                self.journal.mark()?;
            }
        }
        Ok(())
    }
}

/// Runs the load.
pub fn load(args: &LoadArgs) -> io::Result<bool> {
    let marker = args.marks.as_deref().map(Marker::open).transpose()?;
    let journal = Journal::create(&args.journal, false, marker)?;
    journal.shape(&Shape {
        run: args.seed,
        unit: UNIT as u64,
        ..Shape::default()
    })?;
    let mut workers = Vec::new();
    for thread in 1..=args.threads {
        let dir = path_of(&args.dir, thread << 32);
        let dir = dir.parent().unwrap_or(&dir);
        fs::create_dir_all(dir)?;
        workers.push(Worker {
            args,
            journal: &journal,
            rng: Rng::new(args.seed * 100 + thread),
            dir: File::open(dir)?,
            files: Vec::new(),
            next: thread << 32,
        });
    }
    // From here on the device and the directories are there after each cut.
    nix::unistd::syncfs(&File::open(&args.dir)?)?;
    let id = journal.start(&Op::Flush)?;
    journal.end(id)?;
    journal.mark()?;
    let ends: Vec<io::Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| worker.run()))
            .collect();
        threads
            .into_iter()
            .map(|t| {
                t.join()
                    .unwrap_or_else(|_| Err(io::Error::other("a panic")))
            })
            .collect()
    });
    ends.into_iter().collect::<io::Result<()>>()?;
    journal.mark()?;
    journal.close()?;
    println!("lines={}", journal.lines());
    Ok(true)
}

/// All that is wrong with the files of a directory, and how many there are.
fn judge_files(dir: &str, record: &Record, bounds: Bounds) -> io::Result<(Vec<Finding>, u64)> {
    let past = Past::new(record, bounds);
    let places: BTreeSet<u64> = record.ops.iter().filter_map(|t| t.op.place()).collect();
    let (mut findings, mut seen) = (Vec::new(), 0);
    for place in places {
        let mut finding = |fault, detail| {
            findings.push(Finding {
                fault,
                place,
                detail,
            });
        };
        let data = match fs::read(path_of(dir, place)) {
            Ok(data) => data,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let unlinked = past.ops(place).any(|t| matches!(t.op, Op::Unlink { .. }));
                if past.is_certain(place) && !unlinked {
                    finding(Fault::Lost, "the file is gone".into());
                }
                continue;
            }
            Err(e) => {
                finding(Fault::Lost, format!("cannot be read: {e}"));
                continue;
            }
        };
        seen += 1;
        let blocks = block::read_all(&data, UNIT);
        if let Err((fault, detail)) = oracle::check_cells(&past, &record.shape, place, &blocks) {
            finding(fault, format!("{detail}; {} bytes", data.len()));
        }
    }
    Ok((findings, seen))
}

/// Mounts the file system, judges its files, and checks it: faults, and the number of files.
pub fn judge(
    args: &TopArgs,
    dev: &str,
    record: &Record,
    bounds: Bounds,
) -> io::Result<(Vec<String>, u64)> {
    let (Some(fs), Some(dir)) = (args.top.as_deref(), args.top_mount.as_deref()) else {
        return Ok((Vec::new(), 0));
    };
    let options = Some(args.top_options.as_str()).filter(|o| !o.is_empty());
    if let Err(e) = mount(Some(dev), dir, Some(fs), MsFlags::empty(), options) {
        return Ok((vec![format!("{fs} cannot be mounted: {e}")], 0));
    }
    let judged = judge_files(&format!("{dir}/files"), record, bounds);
    super::survive::patiently(|| Ok(umount(dir)?))?;
    let (findings, seen) = judged?;
    let mut faults: Vec<String> = findings.iter().map(ToString::to_string).collect();
    if let Some(fsck) = &args.fsck {
        let out = Command::new("sh").args(["-c", fsck]).output()?;
        if !out.status.success() {
            let text = [out.stdout, out.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            faults.push(format!("{fsck}: {}: {text}", out.status));
        }
    }
    Ok((faults, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with one file of three blocks, of versions 1, 2, 2.
    fn directory(name: &str) -> String {
        let dir = format!("/tmp/zbdtool-files-{}-{name}", std::process::id());
        fs::create_dir_all(format!("{dir}/t1")).expect("room");
        let mut data = vec![0; 3 * UNIT];
        for (index, generation) in [(0, 1), (1, 2), (2, 2)] {
            let tag = Tag {
                run: 4,
                place: 1 << 32,
                index,
                generation,
            };
            tag.fill(&mut data[index as usize * UNIT..][..UNIT]);
        }
        fs::write(path_of(&dir, 1 << 32), data).expect("room");
        dir
    }

    fn verdict(dir: &str, lines: &str) -> Vec<Fault> {
        let text = format!("shape 4 4096 0 0 0 0\n{lines}");
        let record = Record::parse(text.replace("FILE", "4294967296").as_bytes()).expect("lines");
        let end = Bounds {
            must: record.lines,
            may: record.lines,
        };
        let (findings, _) = judge_files(dir, &record, end).expect("files");
        findings.iter().map(|f| f.fault).collect()
    }

    const SYNCED: &str = "+1 write FILE 0 2 1 0\n-1\n+2 write FILE 1 2 2 0\n-2\n+3 sync FILE\n-3\n";

    #[test]
    fn what_was_synced_has_to_be_there() {
        let dir = directory("synced");
        assert_eq!(verdict(&dir, SYNCED), []);
        let more = format!("{SYNCED}+4 write FILE 0 1 3 0\n-4\n");
        assert_eq!(verdict(&dir, &more), []);
        assert_eq!(
            verdict(&dir, &format!("{more}+5 sync FILE\n-5\n")),
            [Fault::Lost]
        );
        let longer = format!("{SYNCED}+4 write FILE 3 1 3 0\n-4\n+5 flush\n-5\n");
        assert_eq!(verdict(&dir, &longer), [Fault::Lost]);
        let path = path_of(&dir, 1 << 32);
        fs::write(&path, vec![1; 3 * UNIT]).expect("room");
        assert_eq!(verdict(&dir, SYNCED), [Fault::Garbage]);
        fs::remove_file(&path).expect("it was there");
        assert_eq!(verdict(&dir, SYNCED), [Fault::Lost]);
        assert_eq!(verdict(&dir, &format!("{SYNCED}+4 unlink FILE\n")), []);
        assert_eq!(verdict(&dir, "+1 write FILE 0 2 1 0\n-1\n"), []);
        fs::remove_dir_all(&dir).expect("it was there");
    }
}
