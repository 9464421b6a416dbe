// SPDX-License-Identifier: GPL-2.0

//! Makes up steps: legal and illegal, near all the boundaries there are.

use crate::compare::{EXP_OPEN, FULL};
use crate::op::{Base, Op, Place, Range, Step, ALL};
use crate::target::Geometry;
use zbd::pattern::Rng;
use zbd::uapi::{BlkZone, ZoneOp, SECTOR};

/// What a generator may do.
#[derive(Clone, Debug)]
pub struct Scope {
    pub thread: u32,
    pub geo: Geometry,
    /// Zones that a report is given of.
    pub watched: std::ops::Range<u32>,
    /// Zones to work on. A step for one of them may reach into the next or the one before.
    pub zones: std::ops::Range<u32>,
    /// Also steps that are about all zones, or about none that exist.
    pub alone: bool,
    /// How many zones may be explicitly open, if other threads have others.
    pub explicit: Option<u32>,
    /// Zone appends can be sent, of so many bytes or more.
    pub append: Option<u32>,
}

/// Weights of the operations in a case.
#[derive(Clone, Copy, Debug)]
struct Weights {
    write: usize,
    append: usize,
    read: usize,
    open: usize,
    close: usize,
    finish: usize,
    reset: usize,
    report: usize,
    flush: usize,
}

/// What a case is mostly about: writing, zone management, filling zones, reading.
const MIXES: [Weights; 4] = [
    Weights {
        write: 50,
        append: 15,
        read: 12,
        open: 4,
        close: 4,
        finish: 2,
        reset: 5,
        report: 3,
        flush: 2,
    },
    Weights {
        write: 22,
        append: 8,
        read: 4,
        open: 18,
        close: 14,
        finish: 10,
        reset: 14,
        report: 8,
        flush: 1,
    },
    Weights {
        write: 60,
        append: 20,
        read: 8,
        open: 2,
        close: 2,
        finish: 3,
        reset: 3,
        report: 2,
        flush: 1,
    },
    Weights {
        write: 28,
        append: 10,
        read: 40,
        open: 3,
        close: 3,
        finish: 3,
        reset: 6,
        report: 5,
        flush: 2,
    },
];

/// A repeatable sequence of steps.
pub struct Generator {
    scope: Scope,
    rng: Rng,
    weights: Weights,
    /// Zones that most steps are about.
    hot: Vec<u32>,
    serial: u32,
}

fn place(zone: u32, base: Base, delta: i64) -> Place {
    Place { zone, base, delta }
}

impl Generator {
    pub fn new(scope: Scope, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // The first numbers of this generator are alike for seeds that are.
        for _ in 0..16 {
            rng.next();
        }
        let mut weights = MIXES[rng.below(MIXES.len())];
        if scope.append.is_none() {
            weights.append = 0;
        }
        let sequential = scope.zones.start.max(scope.geo.conv)..scope.zones.end;
        let hot = (0..1 + rng.below(5))
            .map(|_| sequential.start + rng.below(sequential.len()) as u32)
            .collect();
        Self {
            scope,
            rng,
            weights,
            hot,
            serial: 0,
        }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.rng.below(n) == 0
    }

    /// A zone of those to work on.
    fn zone(&mut self) -> u32 {
        if self.one_in(3) {
            self.scope.zones.start + self.rng.below(self.scope.zones.len()) as u32
        } else {
            self.hot[self.rng.below(self.hot.len())]
        }
    }

    fn blocks(&mut self, max: usize) -> u32 {
        (1 + self.rng.below(max)) as u32 * self.scope.geo.block as u32
    }

    /// A length in whole blocks; mostly a few, at times many.
    fn length(&mut self) -> u32 {
        let most = if self.scope.alone {
            u32::MAX
        } else {
            // So that it reaches into the next zone, but not beyond it.
            self.scope.geo.zone_size as u32 / 2
        };
        let len = match self.rng.below(20) {
            0..=11 => self.blocks(4),
            12..=17 => self.blocks(16),
            18 => self.blocks(64),
            _ => self.blocks(2) * 32,
        };
        len.min(most)
    }

    /// Less than a block, in bytes, but not 0.
    fn odd(&mut self) -> i64 {
        let sectors = (self.scope.geo.block / SECTOR) as usize;
        if sectors > 1 && !self.one_in(4) {
            ((1 + self.rng.below(sectors - 1)) as u64 * SECTOR) as i64
        } else {
            1 + self.rng.below(511) as i64
        }
    }

    fn end_of_device(&mut self) -> Place {
        let geo = self.scope.geo;
        let back = i64::from(self.blocks(4)) - geo.block as i64;
        place(geo.nr_zones - 1, Base::End, -back)
    }

    /// Bytes from the write pointer to the end of the capacity, if that can be written in one piece.
    fn rest(&self, zones: &[BlkZone], no: u32) -> Option<u32> {
        let zone = zones.get((no - self.scope.watched.start) as usize)?;
        let rest = (zone.start + zone.capacity).checked_sub(zone.wp)? * SECTOR;
        (no >= self.scope.geo.conv && zone.cond != FULL && rest != 0 && rest <= 512 << 10)
            .then_some(rest as u32)
    }

    fn write(&mut self, zones: &[BlkZone]) -> Op {
        let zone = self.zone();
        let block = self.scope.geo.block as i64;
        let sync = self.one_in(12);
        let mut len = self.length();
        let at = match self.rng.below(100) {
            0..=69 => place(zone, Base::WritePointer, 0),
            // Up to the end of the capacity, or a little beyond.
            70..=77 => {
                if let Some(rest) = self.rest(zones, zone) {
                    len = rest;
                    if self.one_in(2) {
                        len += self.blocks(4);
                    }
                }
                place(zone, Base::WritePointer, 0)
            }
            78..=81 => place(
                zone,
                Base::WritePointer,
                block * (1 + self.rng.below(4) as i64),
            ),
            82..=85 => place(zone, Base::WritePointer, -block),
            86..=87 => place(zone, Base::Start, 0),
            88..=89 => place(zone, Base::Capacity, -block),
            90..=91 => place(zone, Base::Capacity, 0),
            92..=93 => place(zone, Base::End, -block),
            94..=95 => {
                let odd = self.odd();
                place(zone, Base::WritePointer, odd)
            }
            96..=97 => {
                len += self.odd() as u32;
                place(zone, Base::WritePointer, 0)
            }
            98 if self.scope.alone => self.end_of_device(),
            _ => {
                len *= u32::from(!self.one_in(4));
                place(zone, Base::WritePointer, 0)
            }
        };
        Op::Write { at, len, sync }
    }

    fn append(&mut self, zones: &[BlkZone]) -> Op {
        let zone = self.zone();
        let least = self.scope.append.unwrap_or(0);
        let most = (256 << 10).max(least);
        let mut len = self.length();
        if least > self.scope.geo.block as u32 {
            len += least - self.scope.geo.block as u32;
        }
        len = len.min(most);
        if self.one_in(8) {
            if let Some(rest) = self
                .rest(zones, zone)
                .filter(|rest| (least..=most).contains(rest))
            {
                len = rest;
                if self.one_in(3) {
                    len += self.blocks(2);
                }
            }
        }
        Op::Append { zone, len }
    }

    fn read(&mut self) -> Op {
        let zone = self.zone();
        let block = self.scope.geo.block as i64;
        let mut len = self.length();
        let back = -block * self.rng.below(16) as i64;
        let at = match self.rng.below(20) {
            0..=7 => place(zone, Base::WritePointer, back),
            8..=9 => place(zone, Base::Start, 0),
            10..=11 => place(zone, Base::Start, -back),
            12..=13 => place(zone, Base::Capacity, back),
            14..=15 => place(zone, Base::End, back),
            16 => place(zone, Base::WritePointer, -back),
            17 => {
                let odd = self.odd();
                place(zone, Base::Start, odd)
            }
            18 => {
                len += self.odd() as u32;
                place(zone, Base::WritePointer, back)
            }
            _ if self.scope.alone => self.end_of_device(),
            _ => place(zone, Base::WritePointer, back),
        };
        Op::Read { at, len }
    }

    /// A range of zones to manage, at times an illegal one.
    fn range(&mut self) -> Range {
        let zone = self.zone();
        let left = self.scope.zones.end - zone;
        let mut range = match self.rng.below(16) {
            0..=12 => Range::zones(zone, 1),
            13 => Range::zones(zone, (1 + self.rng.below(4) as u32).min(left)),
            14 => Range::zones(zone, 2.min(left)),
            _ if self.scope.alone && self.one_in(6) => Range::all(),
            _ => Range::zones(zone, 1),
        };
        if self.one_in(24) && range.count != ALL {
            let odd = i64::from(self.blocks(4)) / SECTOR as i64;
            match self.rng.below(5) {
                0 => range.skew = odd,
                1 => range.trim = odd,
                2 => range.trim = -odd,
                3 => range.count = 0,
                _ if self.scope.alone => range.zone = self.scope.geo.nr_zones,
                _ => (),
            }
        }
        range
    }

    fn manage(&mut self, zones: &[BlkZone], mut op: ZoneOp) -> Op {
        let range = self.range();
        let explicit = zones.iter().filter(|z| z.cond == EXP_OPEN).count() as u32;
        // With other threads at work, whether a zone can be opened must not depend on what they do.
        if self
            .scope
            .explicit
            .is_some_and(|max| op == ZoneOp::Open && explicit + range.count.min(99) > max)
        {
            op = ZoneOp::Close;
        }
        Op::Manage { op, range }
    }

    fn report(&mut self) -> Op {
        let zone = self.zone();
        let mut range = Range::zones(zone, 1 + self.rng.below(4) as u32);
        if !self.scope.alone {
            range.count = range.count.min(self.scope.zones.end - zone);
        } else if self.one_in(8) {
            range.count = match self.rng.below(3) {
                0 => 0,
                1 => self.scope.geo.nr_zones + 5,
                _ => ALL,
            };
        }
        if self.one_in(4) {
            range.skew = self.rng.below((self.scope.geo.zone_size / SECTOR) as usize) as i64;
            if !self.scope.alone {
                range.count = 1;
            }
        }
        if self.scope.alone && self.one_in(32) {
            range.zone = self.scope.geo.nr_zones;
        }
        Op::Report {
            range,
            cached: self.one_in(2),
        }
    }

    /// The next step, for zones that are like this now.
    pub fn next(&mut self, zones: &[BlkZone]) -> Step {
        let w = self.weights;
        let kinds = [
            w.write, w.append, w.read, w.open, w.close, w.finish, w.reset, w.report, w.flush,
        ];
        let mut pick = self.rng.below(kinds.iter().sum());
        let mut kind = 0;
        while pick >= kinds[kind] {
            pick -= kinds[kind];
            kind += 1;
        }
        let op = match kind {
            0 => self.write(zones),
            1 => self.append(zones),
            2 => self.read(),
            3 => self.manage(zones, ZoneOp::Open),
            4 => self.manage(zones, ZoneOp::Close),
            5 => self.manage(zones, ZoneOp::Finish),
            6 => self.manage(zones, ZoneOp::Reset),
            7 => self.report(),
            _ => Op::Flush,
        };
        self.serial += 1;
        Step {
            thread: self.scope.thread,
            op,
            seed: self.serial,
            quiet: self.one_in(6),
        }
    }
}
