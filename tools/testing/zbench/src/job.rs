// SPDX-License-Identifier: GPL-2.0

//! What is measured: the table of jobs.

/// How a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// fio on the device, or on a file of the backing file system.
    Fio(Fio),
    /// Native zone appends from a kernel module, since no system call makes them: bytes of one append, and how many are
    /// submitted together.
    Append { bytes: u64, batch: u32 },
    /// Reset of zones that were written.
    Reset,
    /// Finish of zones that were written.
    Finish,
    /// `mkfs.btrfs`, mount, untar the project, `sync`, unmount.
    Btrfs,
    /// Add a device of so many zones, report them, remove it, add it again.
    Lifecycle { zones: u32 },
}

/// Direction and order of fio's I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rw {
    Write,
    RandWrite,
    Read,
    RandRead,
}

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Nothing.
    None,
    /// fdatasync after each write, while other files of the backing file system get dirty.
    Fdatasync,
    /// O_DSYNC, while other files of the backing file system get dirty.
    Dsync,
}

/// Engine of fio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Libaio,
    IoUring,
}

/// A job of fio, with direct I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fio {
    pub rw: Rw,
    pub bytes: u64,
    pub depth: u32,
    pub jobs: u32,
    pub engine: Engine,
    pub sync: Sync,
}

impl Rw {
    /// fio's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Rw::Write => "write",
            Rw::RandWrite => "randwrite",
            Rw::Read => "read",
            Rw::RandRead => "randread",
        }
    }

    pub fn is_write(self) -> bool {
        matches!(self, Rw::Write | Rw::RandWrite)
    }
}

impl Engine {
    /// fio's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Engine::Libaio => "libaio",
            Engine::IoUring => "io_uring",
        }
    }
}

/// A job and its name.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub name: &'static str,
    pub kind: Kind,
}

const fn fio(name: &'static str, rw: Rw, kib: u64, depth: u32, jobs: u32) -> Job {
    Job {
        name,
        kind: Kind::Fio(Fio {
            rw,
            bytes: kib * 1024,
            depth,
            jobs,
            engine: Engine::Libaio,
            sync: Sync::None,
        }),
    }
}

const fn with(job: Job, engine: Engine, sync: Sync) -> Job {
    match job.kind {
        Kind::Fio(fio) => Job {
            name: job.name,
            kind: Kind::Fio(Fio {
                engine,
                sync,
                ..fio
            }),
        },
        _ => job,
    }
}

const fn uring(name: &'static str, rw: Rw, kib: u64, depth: u32, jobs: u32) -> Job {
    with(fio(name, rw, kib, depth, jobs), Engine::IoUring, Sync::None)
}

const fn append(name: &'static str, bytes: u64, batch: u32) -> Job {
    other(name, Kind::Append { bytes, batch })
}

const fn other(name: &'static str, kind: Kind) -> Job {
    Job { name, kind }
}

/// All jobs, in the order in which they run and are shown.
pub const JOBS: &[Job] = &[
    fio("randwrite-4k-qd1", Rw::RandWrite, 4, 1, 1),
    fio("randwrite-4k-qd32-2jobs", Rw::RandWrite, 4, 32, 2),
    fio("randwrite-4k-qd32-8jobs", Rw::RandWrite, 4, 32, 8),
    fio("randwrite-128k-qd32", Rw::RandWrite, 128, 32, 1),
    fio("write-128k-qd32", Rw::Write, 128, 32, 1),
    uring("randwrite-4k-qd1-uring", Rw::RandWrite, 4, 1, 1),
    uring("randwrite-4k-qd32-2jobs-uring", Rw::RandWrite, 4, 32, 2),
    uring("randwrite-4k-qd32-8jobs-uring", Rw::RandWrite, 4, 32, 8),
    uring("randwrite-128k-qd32-uring", Rw::RandWrite, 128, 32, 1),
    uring("write-128k-qd32-uring", Rw::Write, 128, 32, 1),
    fio("randread-4k-qd1", Rw::RandRead, 4, 1, 1),
    fio("randread-4k-qd32", Rw::RandRead, 4, 32, 1),
    fio("read-128k-qd32", Rw::Read, 128, 32, 1),
    append("append-4k-qd32", 4096, 1),
    append("append-4k-qd32-plugged", 4096, 16),
    append("append-128k-qd32", 131_072, 1),
    with(
        fio("write-4k-fdatasync", Rw::Write, 4, 1, 1),
        Engine::Libaio,
        Sync::Fdatasync,
    ),
    with(
        fio("write-4k-dsync", Rw::Write, 4, 1, 1),
        Engine::Libaio,
        Sync::Dsync,
    ),
    other("reset", Kind::Reset),
    other("finish", Kind::Finish),
    other("btrfs-untar", Kind::Btrfs),
    other("zones-64", Kind::Lifecycle { zones: 64 }),
    other("zones-1024", Kind::Lifecycle { zones: 1024 }),
    other("zones-10000", Kind::Lifecycle { zones: 10_000 }),
    other("zones-100000", Kind::Lifecycle { zones: 100_000 }),
    fio("grow-write-16k", Rw::RandWrite, 16, 1, 1),
    fio("grow-write-64k", Rw::RandWrite, 64, 1, 1),
    fio("grow-write-256k", Rw::RandWrite, 256, 1, 1),
    fio("grow-write-1m", Rw::RandWrite, 1024, 1, 1),
    fio("grow-read-16k", Rw::RandRead, 16, 1, 1),
    fio("grow-read-64k", Rw::RandRead, 64, 1, 1),
    fio("grow-read-256k", Rw::RandRead, 256, 1, 1),
    fio("grow-read-1m", Rw::RandRead, 1024, 1, 1),
    fio("grow-write-2jobs", Rw::RandWrite, 4, 1, 2),
    fio("grow-write-8jobs", Rw::RandWrite, 4, 1, 8),
    fio("grow-read-2jobs", Rw::RandRead, 4, 1, 2),
    fio("grow-read-8jobs", Rw::RandRead, 4, 1, 8),
];

impl Job {
    /// Whether it takes so long, or says so little, that it is run only if it is named.
    fn is_on_request(&self) -> bool {
        matches!(self.kind, Kind::Lifecycle { zones } if zones > 10_000)
            || self.name.starts_with("grow-")
    }
}

/// The jobs of which a name, or a name that ends in `*`, is in `wanted`; if that is empty, all that take no hours.
pub fn select(wanted: &[String]) -> Result<Vec<Job>, String> {
    let matches = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    for pattern in wanted {
        if !JOBS.iter().any(|job| matches(pattern, job.name)) {
            let names: Vec<_> = JOBS.iter().map(|job| job.name).collect();
            return Err(format!(
                "no job is named {pattern}; there are: {}",
                names.join(" ")
            ));
        }
    }
    Ok(JOBS
        .iter()
        .filter(|job| match wanted {
            [] => !job.is_on_request(),
            wanted => wanted.iter().any(|pattern| matches(pattern, job.name)),
        })
        .copied()
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_need_no_quoting() {
        for (i, job) in JOBS.iter().enumerate() {
            assert!(job
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-'));
            assert!(JOBS[..i].iter().all(|other| other.name != job.name));
        }
    }

    #[test]
    fn selection_keeps_the_order_of_the_table() {
        let words = |s: &str| s.split(' ').map(String::from).collect::<Vec<_>>();
        let names =
            |s: &str| -> Vec<&str> { select(&words(s)).unwrap().iter().map(|j| j.name).collect() };
        assert_eq!(
            names("reset randwrite-4k-qd1"),
            ["randwrite-4k-qd1", "reset"]
        );
        assert_eq!(
            names("append*"),
            [
                "append-4k-qd32",
                "append-4k-qd32-plugged",
                "append-128k-qd32"
            ]
        );
        assert_eq!(select(&[]).unwrap().len(), JOBS.len() - 13);
        assert_eq!(names("zones-100000"), ["zones-100000"]);
        assert_eq!(names("*").len(), JOBS.len());
        assert!(select(&words("randwrite-4k"))
            .unwrap_err()
            .contains("no job is named randwrite-4k;"));
    }
}
