// SPDX-License-Identifier: GPL-2.0

//! What was asked of a device, and what it acknowledged, in the order in which that happened.
//!
//! One line when an operation is about to be sent, one when it was acknowledged. The number of a line is the time: what
//! ends on an earlier line than another thing begins was over before that began.

use super::dm::Marker;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard};

/// An operation. Places are zones or files, positions and lengths are in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `generation` as in [`super::block::Tag`]; `fua`: durable when acknowledged.
    Write {
        place: u64,
        block: u64,
        count: u64,
        generation: u64,
        fua: bool,
    },
    Reset {
        place: u64,
    },
    Finish {
        place: u64,
    },
    /// Makes all durable that was acknowledged before it was sent.
    Flush,
    /// The same for one place only: fsync of a file.
    Sync {
        place: u64,
    },
    /// A file is deleted.
    Unlink {
        place: u64,
    },
}

/// What the device looks like, in blocks of `unit` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub run: u64,
    pub unit: u64,
    pub zones: u64,
    pub conventional: u64,
    pub size: u64,
    pub capacity: u64,
}

/// An operation with the lines of its start and of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    pub op: Op,
    pub start: u64,
    pub end: Option<u64>,
}

/// A journal that was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub shape: Shape,
    /// In the order of their starts.
    pub ops: Vec<Timed>,
    /// Number of lines.
    pub lines: u64,
}

impl Op {
    pub fn place(&self) -> Option<u64> {
        match *self {
            Op::Write { place, .. }
            | Op::Reset { place }
            | Op::Finish { place }
            | Op::Sync { place }
            | Op::Unlink { place } => Some(place),
            Op::Flush => None,
        }
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Op::Write {
                place,
                block,
                count,
                generation,
                fua,
            } => {
                let fua = u8::from(fua);
                write!(f, "write {place} {block} {count} {generation} {fua}")
            }
            Op::Reset { place } => write!(f, "reset {place}"),
            Op::Finish { place } => write!(f, "finish {place}"),
            Op::Flush => write!(f, "flush"),
            Op::Sync { place } => write!(f, "sync {place}"),
            Op::Unlink { place } => write!(f, "unlink {place}"),
        }
    }
}

impl FromStr for Op {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let name = words.next().ok_or(())?;
        let numbers: Vec<u64> = words
            .map(|word| word.parse().map_err(|_| ()))
            .collect::<Result<_, ()>>()?;
        Ok(match (name, numbers[..].as_ref()) {
            ("write", &[place, block, count, generation, fua]) => Op::Write {
                place,
                block,
                count,
                generation,
                fua: fua == 1,
            },
            ("reset", &[place]) => Op::Reset { place },
            ("finish", &[place]) => Op::Finish { place },
            ("flush", &[]) => Op::Flush,
            ("sync", &[place]) => Op::Sync { place },
            ("unlink", &[place]) => Op::Unlink { place },
            _ => return Err(()),
        })
    }
}

struct Lines {
    out: Box<dyn Write + Send>,
    count: u64,
}

impl Lines {
    fn add(&mut self, line: &str) -> io::Result<u64> {
        // One write(2) for a line: a machine that dies leaves no half of one in the middle.
        self.out.write_all(format!("{line}\n").as_bytes())?;
        self.count += 1;
        Ok(self.count)
    }
}

/// A journal being written, by any number of threads.
pub struct Journal {
    lines: Mutex<Lines>,
    marker: Option<Mutex<Marker>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Journal {
    /// `stream`: each line is with the kernel before anything follows it. `marker`: where to mark the number of lines.
    pub fn create(path: &str, stream: bool, marker: Option<Marker>) -> io::Result<Self> {
        let file = File::create(path)?;
        let out: Box<dyn Write + Send> = if stream {
            Box::new(file)
        } else {
            Box::new(BufWriter::new(file))
        };
        Ok(Self {
            lines: Mutex::new(Lines { out, count: 0 }),
            marker: marker.map(Mutex::new),
        })
    }

    /// The first line.
    pub fn shape(&self, shape: &Shape) -> io::Result<()> {
        let Shape {
            run,
            unit,
            zones,
            conventional,
            size,
            capacity,
        } = shape;
        let line = format!("shape {run} {unit} {zones} {conventional} {size} {capacity}");
        lock(&self.lines).add(&line).map(|_| ())
    }

    /// To be called before the operation is sent; returns its number.
    pub fn start(&self, op: &Op) -> io::Result<u64> {
        let mut lines = lock(&self.lines);
        let id = lines.count + 1;
        lines.add(&format!("+{id} {op}"))
    }

    /// To be called when the operation was acknowledged.
    pub fn end(&self, id: u64) -> io::Result<()> {
        lock(&self.lines).add(&format!("-{id}")).map(|_| ())
    }

    /// Marks in the disk's log what has happened so far.
    pub fn mark(&self) -> io::Result<()> {
        let Some(marker) = &self.marker else {
            return Ok(());
        };
        // The number is taken after the mark before it was set: see Cut::bounds().
        let marker = lock(marker);
        let count = lock(&self.lines).count;
        marker.mark(count)
    }

    /// Number of lines so far.
    pub fn lines(&self) -> u64 {
        lock(&self.lines).count
    }

    /// Writes out what is buffered.
    pub fn close(&self) -> io::Result<()> {
        lock(&self.lines).out.flush()
    }
}

impl Record {
    pub fn read(path: &str) -> io::Result<Self> {
        Self::parse(BufReader::new(File::open(path)?))
    }

    /// A last line without its end is ignored: the machine died.
    pub fn parse(mut from: impl BufRead) -> io::Result<Self> {
        let mut record = Self::default();
        let mut by_id = HashMap::new();
        let mut line = String::new();
        loop {
            line.clear();
            if from.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                return Ok(record);
            }
            record.lines += 1;
            let at = record.lines;
            let bad = || {
                let text = format!("journal, line {at}: {line}");
                io::Error::new(io::ErrorKind::InvalidData, text)
            };
            let text = line.trim_end();
            if let Some(rest) = text.strip_prefix('+') {
                let (id, op) = rest.split_once(' ').ok_or_else(bad)?;
                by_id.insert(id.to_string(), record.ops.len());
                record.ops.push(Timed {
                    op: op.parse().map_err(|()| bad())?,
                    start: at,
                    end: None,
                });
            } else if let Some(id) = text.strip_prefix('-') {
                let index = by_id.remove(id).ok_or_else(bad)?;
                record.ops[index].end = Some(at);
            } else {
                let numbers: Option<Vec<u64>> = text
                    .strip_prefix("shape ")
                    .and_then(|rest| rest.split(' ').map(|word| word.parse().ok()).collect());
                let Some(&[run, unit, zones, conventional, size, capacity]) = numbers.as_deref()
                else {
                    return Err(bad());
                };
                record.shape = Shape {
                    run,
                    unit,
                    zones,
                    conventional,
                    size,
                    capacity,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPS: [Op; 6] = [
        Op::Write {
            place: 3,
            block: 8,
            count: 2,
            generation: 1,
            fua: true,
        },
        Op::Reset { place: 4 },
        Op::Finish { place: 5 },
        Op::Flush,
        Op::Sync { place: 6 },
        Op::Unlink { place: 7 },
    ];

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let path = format!("/tmp/zbdtool-journal-{}", std::process::id());
        let shape = Shape {
            run: 9,
            unit: 4096,
            zones: 8,
            conventional: 2,
            size: 256,
            capacity: 128,
        };
        for stream in [false, true] {
            let journal = Journal::create(&path, stream, None).expect("a file");
            journal.shape(&shape).expect("room");
            let ids: Vec<u64> = OPS
                .iter()
                .map(|op| journal.start(op).expect("room"))
                .collect();
            journal.end(ids[3]).expect("room");
            journal.end(ids[0]).expect("room");
            journal.mark().expect("no marker");
            journal.close().expect("room");
            let record = Record::read(&path).expect("a journal");
            std::fs::remove_file(&path).expect("it was there");
            assert_eq!(record.shape, shape);
            assert_eq!(record.lines, 9);
            let ops: Vec<Op> = record.ops.iter().map(|t| t.op).collect();
            assert_eq!(ops, OPS);
            let starts: Vec<u64> = record.ops.iter().map(|t| t.start).collect();
            assert_eq!(starts, [2, 3, 4, 5, 6, 7]);
            let ends: Vec<Option<u64>> = record.ops.iter().map(|t| t.end).collect();
            assert_eq!(ends, [Some(9), None, None, Some(8), None, None]);
        }
    }

    #[test]
    fn half_a_line_at_the_end_did_not_happen() {
        let record = Record::parse(&b"+1 flush\n+2 reset 3\n-1\n-2"[..]).expect("a journal");
        assert_eq!(record.lines, 3);
        assert_eq!(record.ops[0].end, Some(3));
        assert_eq!(record.ops[1].end, None);
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for text in [
            "hello\n",
            "+1\n",
            "+1 flush 3\n",
            "-1\n",
            "+1 write 1 2 3 4\n",
        ] {
            assert!(Record::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
