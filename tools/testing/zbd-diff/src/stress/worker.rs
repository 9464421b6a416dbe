// SPDX-License-Identifier: GPL-2.0

//! One thread of the load: its operations, each noted with its time and its result.

use super::coded;
use super::history::{Call, Event, Seen};
use super::load::{Load, Mode};
use crate::compare::FULL;
use crate::target::{Fail, Geometry, Target};
use nix::errno::Errno;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use zbd::pattern::{Buffer, Rng};
use zbd::uapi::{ZoneOp, SECTOR};

/// What the threads share.
pub struct Shared {
    clock: AtomicU64,
    serial: AtomicU32,
    /// For each zone, where the next write may have to go.
    hints: Vec<AtomicU32>,
}

impl Shared {
    pub fn new(zones: u32) -> Self {
        Self {
            clock: AtomicU64::new(1),
            serial: AtomicU32::new(1),
            hints: (0..zones).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

/// A thread's device, and what it has noted.
pub struct Worker<'a> {
    load: &'a Load,
    geo: Geometry,
    shared: &'a Shared,
    target: Box<dyn Target + Send>,
    thread: u32,
    rng: Rng,
    buf: Buffer,
    /// Index of a zone, and what was done to it.
    pub noted: Vec<(u32, Event)>,
}

const MAX_IO: usize = 256 << 10;

fn failed(fail: Fail) -> Seen {
    match fail {
        Fail::Errno(Errno::EIO) | Fail::Status(_) => Seen::Refused,
        Fail::Errno(Errno::ETOOMANYREFS) => Seen::NoRoom,
        Fail::Errno(errno) => Seen::Odd(format!("{errno:?}")),
    }
}

impl<'a> Worker<'a> {
    pub fn new(
        load: &'a Load,
        geo: Geometry,
        shared: &'a Shared,
        target: Box<dyn Target + Send>,
        thread: u32,
        seed: u64,
    ) -> Self {
        Self {
            load,
            geo,
            shared,
            target,
            thread,
            rng: Rng::new(seed.wrapping_mul(1000) + u64::from(thread)),
            buf: Buffer::new(MAX_IO),
            noted: Vec::new(),
        }
    }

    /// Sector on the device where the zone of that index starts.
    fn start(&self, zone: u32) -> u64 {
        u64::from(self.geo.conv + zone) * self.geo.zone_size / SECTOR
    }

    fn now(&self) -> u64 {
        self.shared.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Waits for the block layer to be done with something in that many zones from `zone` on, and tells when it was.
    fn settle(&mut self, zone: u32, count: u32, seen: &mut Seen) -> u64 {
        let size = self.geo.zone_size;
        if let Err(fail) = self
            .target
            .settle(self.start(zone) * SECTOR, u64::from(count) * size)
        {
            *seen = Seen::Odd(format!("not settled: {fail}"));
        }
        self.now()
    }

    fn note(&mut self, zone: u32, [begin, end, settled]: [u64; 3], call: Call, seen: Seen) {
        let event = Event {
            thread: self.thread,
            begin,
            end,
            settled,
            call,
            seen,
        };
        self.noted.push((zone, event));
    }

    fn hint(&self, zone: u32) -> &AtomicU32 {
        &self.shared.hints[zone as usize]
    }

    fn write(&mut self, zone: u32, at: u32, len: u32) -> bool {
        let serial = self.shared.serial.fetch_add(1, Ordering::Relaxed);
        let pos = (self.start(zone) + u64::from(at)) * SECTOR;
        let bytes = (len as usize) * SECTOR as usize;
        coded::fill(&mut self.buf.bytes_mut()[..bytes], serial);
        let begin = self.now();
        let reply = self.target.write(pos, &self.buf.bytes()[..bytes], false);
        let end = self.now();
        let mut seen = match reply {
            Ok(n) if n == bytes as u64 => {
                self.hint(zone).store(at + len, Ordering::Relaxed);
                Seen::Done
            }
            Ok(n) => Seen::Odd(format!("{n} bytes written")),
            Err(fail) => failed(fail),
        };
        let settled = self.settle(zone, 1, &mut seen);
        let done = seen == Seen::Done;
        self.note(
            zone,
            [begin, end, settled],
            Call::Write { at, len, serial },
            seen,
        );
        done
    }

    fn append(&mut self, zone: u32, len: u32) {
        let serial = self.shared.serial.fetch_add(1, Ordering::Relaxed);
        let bytes = (len as usize) * SECTOR as usize;
        coded::fill(&mut self.buf.bytes_mut()[..bytes], serial);
        let no = self.geo.conv + zone;
        let begin = self.now();
        let reply = self.target.append(no, &mut self.buf.bytes_mut()[..bytes]);
        let end = self.now();
        let mut seen = match reply {
            Ok(sector) => match u32::try_from(sector.wrapping_sub(self.start(zone))) {
                Ok(at) => {
                    self.hint(zone).fetch_max(at + len, Ordering::Relaxed);
                    Seen::At(at)
                }
                Err(_) => Seen::Odd(format!("at sector {sector} of the device")),
            },
            Err(fail) => failed(fail),
        };
        let settled = self.settle(zone, 1, &mut seen);
        self.note(
            zone,
            [begin, end, settled],
            Call::Append { len, serial },
            seen,
        );
    }

    fn read(&mut self, zone: u32, at: u32, len: u32) {
        let pos = (self.start(zone) + u64::from(at)) * SECTOR;
        let bytes = (len as usize) * SECTOR as usize;
        // Nothing that could be taken for data.
        self.buf.bytes_mut()[..bytes].fill(0x5a);
        let begin = self.now();
        let reply = self.target.read(pos, &mut self.buf.bytes_mut()[..bytes]);
        let end = self.now();
        let seen = match reply {
            Ok(n) if n == bytes as u64 => Seen::Data(coded::runs(&self.buf.bytes()[..bytes], at)),
            Ok(n) => Seen::Odd(format!("{n} bytes read")),
            Err(fail) => failed(fail),
        };
        self.note(zone, [begin, end, end], Call::Read { at, len }, seen);
    }

    /// A command for zones from `zone` on.
    pub fn manage(&mut self, zone: u32, count: u32, op: ZoneOp) {
        let sectors = u64::from(count) * self.geo.zone_size / SECTOR;
        let start = self.start(zone);
        self.command(zone..zone + count, op, start, sectors);
    }

    fn command(&mut self, zones: std::ops::Range<u32>, op: ZoneOp, start: u64, sectors: u64) {
        let begin = self.now();
        let reply = self.target.manage(op, start, sectors);
        let end = self.now();
        let call = match op {
            ZoneOp::Open => Call::Open,
            ZoneOp::Close => Call::Close,
            ZoneOp::Finish => Call::Finish,
            ZoneOp::Reset => Call::Reset,
        };
        let mut seen = match reply {
            Ok(_) => Seen::Done,
            Err(fail) => failed(fail),
        };
        let settled = self.settle(zones.start, zones.end - zones.start, &mut seen);
        for zone in zones {
            if op == ZoneOp::Reset {
                self.hint(zone).store(0, Ordering::Relaxed);
            }
            self.note(zone, [begin, end, settled], call.clone(), seen.clone());
        }
    }

    fn report(&mut self, zone: u32, count: u32, settled: bool) {
        let begin = self.now();
        let reply = self.target.report(self.start(zone), count, false);
        let end = self.now();
        let lines = reply.unwrap_or_default();
        for i in 0..count {
            let seen = match lines.get(i as usize) {
                Some(line) => {
                    let wp = line.wp.wrapping_sub(line.start).min(u32::MAX.into()) as u32;
                    if line.cond != FULL {
                        self.hint(zone + i).store(wp, Ordering::Relaxed);
                    }
                    let cond = line.cond;
                    Seen::Line { cond, wp }
                }
                None => Seen::Odd("no line".into()),
            };
            self.note(zone + i, [begin, end, end], Call::Report { settled }, seen);
        }
    }

    /// Sectors of a random number of blocks, more often few.
    fn length(&mut self) -> u32 {
        let most = [2, 8, 32][self.rng.below(3)];
        let block = (self.geo.block / SECTOR) as u32;
        (1 + self.rng.below(most) as u32) * block
    }

    /// Sectors of an append, which must not be too short.
    fn appendable(&self, len: u32) -> u32 {
        let least = self.load.append_min / SECTOR as u32;
        let block = (self.geo.block / SECTOR) as u32;
        (len + least.saturating_sub(block)).min((MAX_IO as u64 / SECTOR) as u32)
    }

    fn put(&mut self, zone: u32) {
        let len = self.length();
        let append = match self.load.mode {
            Mode::Writes => false,
            Mode::Appends => true,
            Mode::Mixed | Mode::Emulated => self.rng.below(2) == 0,
        };
        if append {
            return self.append(zone, self.appendable(len));
        }
        let mut at = self.hint(zone).load(Ordering::Relaxed);
        if self.rng.below(12) == 0 {
            at += (self.geo.block / SECTOR) as u32;
        }
        // At times in the gap above the capacity; beyond the zone, the block layer would make two writes of it.
        let zone_size = (self.geo.zone_size / SECTOR) as u32;
        at = at.min(zone_size - (self.geo.block / SECTOR) as u32);
        if !self.write(zone, at, len.min(zone_size - at)) && self.rng.below(2) == 0 {
            self.report(zone, 1, false);
        }
    }

    fn get(&mut self, zone: u32) {
        let capacity = (self.geo.zone_capacity / SECTOR) as u32;
        let block = (self.geo.block / SECTOR) as u32;
        let len = self.length();
        let near = self.hint(zone).load(Ordering::Relaxed);
        let at = if self.rng.below(3) == 0 {
            self.rng.below((capacity / block) as usize) as u32 * block
        } else {
            near.saturating_sub(len / 2 / block * block)
        };
        let at = at.min(capacity - block);
        self.read(zone, at, len.min(capacity - at));
    }

    /// Does something.
    pub fn step(&mut self) {
        let zones = self.load.zones;
        let zone = self.rng.below(zones as usize) as u32;
        match self.rng.below(100) {
            0..=54 => self.put(zone),
            55..=72 => self.get(zone),
            73..=81 => self.report(zone, 1, false),
            82..=83 => self.report(0, zones, false),
            84..=86 => self.manage(zone, 1, ZoneOp::Reset),
            87 => self.manage(0, zones, ZoneOp::Reset),
            88 if self.rng.below(2) == 0 => {
                // All zones of the device, in one request.
                let sectors = u64::from(self.geo.nr_zones) * self.geo.zone_size / SECTOR;
                self.command(0..zones, ZoneOp::Reset, 0, sectors);
            }
            88 => {
                let _ = self.target.flush();
            }
            89 => self.manage(zone, 1, ZoneOp::Finish),
            90..=94 => self.manage(zone, 1, ZoneOp::Open),
            _ => self.manage(zone, 1, ZoneOp::Close),
        }
    }

    /// After a round: the report, all data, and a write or append that nothing disturbs.
    pub fn look(&mut self) {
        let block = (self.geo.block / SECTOR) as u32;
        let capacity = (self.geo.zone_capacity / SECTOR) as u32;
        for zone in 0..self.load.zones {
            self.report(zone, 1, true);
            let mut at = 0;
            while at < capacity {
                let len = (capacity - at).min((MAX_IO as u64 / SECTOR) as u32);
                self.read(zone, at, len);
                at += len;
            }
            let wp = self.hint(zone).load(Ordering::Relaxed);
            match self.load.mode {
                Mode::Appends => self.append(zone, self.appendable(block)),
                _ if wp < capacity => {
                    self.write(zone, wp, block);
                }
                _ => (),
            }
            self.report(zone, 1, true);
            self.read(zone, wp.min(capacity - block), block);
        }
    }
}
