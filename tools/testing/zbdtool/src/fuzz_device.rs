// SPDX-License-Identifier: GPL-2.0

//! Random ioctls and I/O: what somebody who has a device open can ask for, right and wrong.

use crate::pattern::{Buffer, Rng};
use crate::uapi::{self, errno_name};
use crate::zones::{self, Geometry};
use clap::Args;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Mutex;

/// Options of `zbdtool fuzz-device`.
#[derive(Args)]
pub struct DeviceArgs {
    /// Zoned block device
    dev: String,
    /// Number of calls of each thread
    #[arg(long, default_value_t = 3000)]
    count: u64,
    /// Number of threads
    #[arg(long, default_value_t = 3)]
    threads: u64,
    /// Seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The memory that ioctls get: nothing can be read or written beyond its end.
struct Memory {
    base: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to nobody else, whichever thread has it.
unsafe impl Send for Memory {}

impl Memory {
    const PAGE: usize = 4096;

    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping; the last page of it is given back, and nothing else comes there that this
        // program uses.
        let base = unsafe {
            let base = libc::mmap(
                std::ptr::null_mut(),
                len + Self::PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if base == libc::MAP_FAILED
                || libc::mprotect(base.byte_add(len), Self::PAGE, libc::PROT_NONE) != 0
            {
                return Err(io::Error::last_os_error());
            }
            base.cast()
        };
        Ok(Self { base, len })
    }

    /// Fills the last `room` bytes, from whose start on the words are `words`; returns where they begin.
    fn place(&mut self, room: usize, words: &[u64]) -> *mut libc::c_void {
        let start = self.len - room.min(self.len) / 8 * 8;
        // SAFETY: the mapping is ours, and `start` is within it.
        let area = unsafe {
            std::slice::from_raw_parts_mut(
                self.base.add(start).cast::<u64>(),
                (self.len - start) / 8,
            )
        };
        area.fill(0);
        for (to, from) in area.iter_mut().zip(words) {
            *to = *from;
        }
        area.as_mut_ptr().cast()
    }
}

const fn io_r(nr: u64, size: u64) -> u64 {
    (2 << 30) | (size << 16) | (0x12 << 8) | nr
}

const fn io_w(nr: u64, size: u64) -> u64 {
    (1 << 30) | (size << 16) | (0x12 << 8) | nr
}

const fn io_wr(nr: u64, size: u64) -> u64 {
    (3 << 30) | (size << 16) | (0x12 << 8) | nr
}

/// Zone management: name, request.
const RANGES: [(&str, u64); 4] = [
    ("reset", io_w(131, 16)),
    ("open", io_w(134, 16)),
    ("close", io_w(135, 16)),
    ("finish", io_w(136, 16)),
];

/// Discards and the like, in bytes.
const BYTES: [(&str, u64); 3] = [
    ("discard", 0x1277),
    ("secdiscard", 0x127d),
    ("zeroout", 0x127f),
];

/// Requests with a number, or that return one. Not those that act on the file system that the node is in.
const NUMBERS: [(&str, u64); 14] = [
    ("roset", 0x125d),
    ("roget", 0x125e),
    ("rrpart", 0x125f),
    ("getsize", 0x1260),
    ("flsbuf", 0x1261),
    ("raset", 0x1262),
    ("raget", 0x1263),
    ("ssz", 0x1268),
    ("bszset", io_w(113, 8)),
    ("size64", io_r(114, 8)),
    ("pbsz", 0x127b),
    ("zonesize", io_r(132, 4)),
    ("nrzones", io_r(133, 4)),
    ("geometry", 0x301),
];

/// Of type 0x12, not by chance: read-only, and traces with buffers of any size.
const NOT_ARBITRARY: [u64; 3] = [0x5d, 115, 142];

struct Fuzzer<'a> {
    rng: Rng,
    memory: Memory,
    geo: Geometry,
    files: [File; 3],
    results: &'a Mutex<BTreeMap<&'static str, BTreeMap<String, u64>>>,
}

impl Fuzzer<'_> {
    fn note(&self, what: &'static str, result: Result<(), io::Error>) {
        let result = match result {
            Ok(()) => "ok".into(),
            Err(e) => errno_name(&e),
        };
        let mut results = self.results.lock().unwrap();
        *results.entry(what).or_default().entry(result).or_insert(0) += 1;
    }

    fn file(&mut self) -> &File {
        let n = self.rng.below(self.files.len());
        &self.files[n]
    }

    fn ioctl(&mut self, what: &'static str, request: u64, argument: *mut libc::c_void) {
        let fd = self.file().as_raw_fd();
        // SAFETY: what the kernel reads and writes is at `argument`, up to a page that it cannot write to.
        let res = unsafe { libc::ioctl(fd, request as libc::Ioctl, argument) };
        let res = match res {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
        self.note(what, res);
    }

    /// A position in units of `unit` bytes: mostly where something begins or ends.
    fn position(&mut self, unit: u64) -> u64 {
        let zone = self.geo.zone_size / unit;
        let zones = u64::from(self.geo.nr_zones);
        let near = self.rng.below(3) as u64;
        match self.rng.below(10) {
            0..=5 => zone * (self.rng.next() % zones),
            6 => (zone * (self.rng.next() % (zones + 1)) + near).saturating_sub(1),
            7 => zone * zones,
            8 => u64::MAX - near,
            _ => self.rng.next() % (zone * zones),
        }
    }

    fn length(&mut self, unit: u64) -> u64 {
        let zone = self.geo.zone_size / unit;
        match self.rng.below(10) {
            0..=4 => zone,
            5 => zone * (self.rng.next() % (u64::from(self.geo.nr_zones) + 2)),
            6 => 0,
            7 => u64::MAX - self.rng.next() % 3,
            8 => 4096 / unit.min(4096),
            _ => self.rng.next() % (2 * zone),
        }
    }

    fn report(&mut self) {
        let nr = match self.rng.below(6) {
            0 => 0,
            1 => u32::MAX,
            2 => self.rng.next() as u32,
            _ => self.rng.below(20) as u32,
        };
        let (request, flags) = match self.rng.below(2) {
            0 => (io_wr(130, 16), self.rng.next() as u32),
            _ => (io_wr(142, 16), [0, 1 << 31, 1, u32::MAX][self.rng.below(4)]),
        };
        // Often less room than is asked for.
        let room = 16 + 64 * self.rng.below(20);
        let words = [self.position(512), u64::from(nr) | (u64::from(flags) << 32)];
        let place = self.memory.place(room, &words);
        self.ioctl("report", request, place);
    }

    fn transfer(&mut self) {
        let mut buf = Buffer::new(1 << (9 + self.rng.below(9)));
        let cut = match self.rng.below(8) {
            0 => self.rng.below(512),
            _ => 0,
        };
        let len = buf.bytes().len() - cut;
        let bytes = &mut buf.bytes_mut()[..len];
        // A write at the write pointer of a zone can succeed.
        let at = match self.rng.below(3) {
            0 => self.position(1),
            _ => {
                let sector = self.position(512);
                zones::report(&self.files[0], sector, 1, false)
                    .ok()
                    .and_then(|zones| zones.first().map(|zone| zone.wp.wrapping_mul(512)))
                    .unwrap_or(0)
            }
        };
        let (what, res) = match self.rng.below(3) {
            0 => ("read", uapi::pread(self.file(), bytes, at)),
            _ => ("write", uapi::pwrite(self.file(), bytes, at)),
        };
        self.note(what, res.map(|_| ()).map_err(io::Error::from));
    }

    fn allocate(&mut self) {
        let modes = [0x01, 0x03, 0x10, 0x11, 0x13, 0x20, 0];
        let mode = modes[self.rng.below(modes.len())];
        let (at, len) = (self.position(1) as i64, self.length(1) as i64);
        let fd = self.file().as_raw_fd();
        // SAFETY: a plain system call on a valid descriptor.
        let res = match unsafe { libc::fallocate(fd, mode, at, len) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
        self.note("fallocate", res);
    }

    /// Anything else that block devices may understand.
    fn arbitrary(&mut self) {
        let kind = [0x12, 0x12, 0x03, 0x22, 0x4c, 0x4e, 0x70, 0x02, 0x53][self.rng.below(9)];
        let nr = self.rng.next() & 0xff;
        if kind == 0x12 && NOT_ARBITRARY.contains(&nr) {
            return;
        }
        let size = [0, 4, 8, 16, 24, 64, self.rng.next() & 0x3fff][self.rng.below(7)];
        let request = ((self.rng.next() & 3) << 30) | (size << 16) | (kind << 8) | nr;
        let words: Vec<u64> = (0..8).map(|_| self.position(512)).collect();
        let place = match self.rng.below(8) {
            0 => self.rng.next() as usize as *mut libc::c_void,
            1 => std::ptr::null_mut(),
            _ => self.memory.place(256, &words),
        };
        self.ioctl("arbitrary", request, place);
    }

    /// Adds, deletes, resizes a partition.
    fn partition(&mut self) {
        let words = [
            self.position(1),
            self.length(1),
            1 + self.rng.below(4) as u64,
        ];
        let argument = self.memory.place(152, &words) as u64;
        let header = self.memory.base.cast::<u64>();
        // SAFETY: the header is at the start of the mapping, far from the argument.
        unsafe {
            *header = 1 + self.rng.below(4) as u64;
            *header.add(1) = 152;
            *header.add(2) = argument;
        }
        self.ioctl("partition", 0x1269, header.cast());
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..=34 => {
                let (what, request) = RANGES[self.rng.below(RANGES.len())];
                let words = [self.position(512), self.length(512)];
                let place = self.memory.place(16, &words);
                self.ioctl(what, request, place);
            }
            35..=44 => self.report(),
            45..=49 => {
                let (what, request) = BYTES[self.rng.below(BYTES.len())];
                let words = [self.position(1), self.length(1).min(self.geo.zone_size)];
                let place = self.memory.place(16, &words);
                self.ioctl(what, request, place);
            }
            50..=56 => {
                let (what, request) = NUMBERS[self.rng.below(NUMBERS.len())];
                // Read-only seldom, and not for long.
                let number = match what {
                    "roset" => u64::from(self.rng.below(8) == 0),
                    _ => [0, 1, 512, 4096, u64::MAX, self.rng.next()][self.rng.below(6)],
                };
                let place = match self.rng.below(6) {
                    0 if what != "roset" => number as usize as *mut libc::c_void,
                    _ => self.memory.place(8, &[number]),
                };
                self.ioctl(what, request, place);
            }
            57..=59 => self.partition(),
            60..=64 => self.arbitrary(),
            65..=66 => self.allocate(),
            67..=69 => {
                let res = uapi::fsync(self.file());
                self.note("fsync", res.map_err(io::Error::from));
            }
            _ => self.transfer(),
        }
    }
}

/// Calls of each kind have to succeed and to fail, or nothing is shown.
const NEEDED: [&str; 7] = [
    "reset", "open", "close", "finish", "report", "read", "write",
];

/// Runs the calls; what comes of them is counted, and for the caller to judge by the state of the device.
pub fn run(args: &DeviceArgs) -> io::Result<bool> {
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| -> io::Result<()> {
        let mut threads = Vec::new();
        for thread in 0..args.threads {
            let direct = uapi::open_dev(&args.dev, libc::O_DIRECT)?;
            let mut fuzzer = Fuzzer {
                rng: Rng::new(args.seed.wrapping_mul(1000) + thread),
                memory: Memory::new(64 << 10)?,
                geo: zones::geometry(&direct)?,
                files: [
                    direct,
                    uapi::open_dev(&args.dev, libc::O_NONBLOCK)?,
                    File::open(&args.dev)?,
                ],
                results: &results,
            };
            threads.push(scope.spawn(move || {
                for _ in 0..args.count {
                    fuzzer.step();
                }
                // Whatever was asked for, the device can be written to again.
                let place = fuzzer.memory.place(8, &[0]);
                // SAFETY: the argument is one number.
                unsafe { libc::ioctl(fuzzer.files[0].as_raw_fd(), 0x125d, place) };
            }));
        }
        for thread in threads {
            thread
                .join()
                .map_err(|_| io::Error::other("a thread panicked"))?;
        }
        Ok(())
    })?;
    let results = results
        .into_inner()
        .map_err(|_| io::Error::other("poisoned"))?;
    let mut good = true;
    println!("calls={} seed={}", args.count * args.threads, args.seed);
    for (what, outcomes) in &results {
        println!("{what}: {outcomes:?}");
    }
    for what in NEEDED {
        let outcomes = results.get(what);
        if !outcomes.is_some_and(|outcomes| outcomes.contains_key("ok") && outcomes.len() > 1) {
            println!("{what} has not both succeeded and failed");
            good = false;
        }
    }
    Ok(good)
}
