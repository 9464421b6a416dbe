// SPDX-License-Identifier: GPL-2.0

//! Judges what differs when a step is taken on both devices.

use crate::compare;
use crate::known::{self, Case, Then};
use crate::op::{Op, Step};
use crate::tally::Tally;
use crate::target::{Geometry, Kind, Target};
use crate::what::What;
use std::ops::Range;
use zbd::pattern::Buffer;
use zbd::uapi::{BlkZone, ZoneOp, SECTOR};

/// One of the two devices.
pub struct Side {
    pub kind: Kind,
    pub geo: Geometry,
    pub target: Box<dyn Target + Send>,
    /// The zones that are watched, as they were last reported, or as they should be after a quiet step.
    pub(crate) view: Vec<BlkZone>,
}

impl Side {
    pub fn new(kind: Kind, geo: Geometry, target: Box<dyn Target + Send>) -> Self {
        Self {
            kind,
            geo,
            target,
            view: Vec::new(),
        }
    }
}

/// Two devices, as one thread compares them.
pub struct Pair {
    pub ours: Side,
    pub theirs: Side,
    /// Zones that are watched, and that nobody else changes.
    pub zones: Range<u32>,
    /// Nobody else is at work on the devices at all.
    alone: bool,
    /// The last step ended with a report.
    fresh: bool,
    /// Random data, which is copied from; to make it up for each write would take longer than the write.
    pub(crate) pool: Vec<u8>,
    pub(crate) buf: Buffer,
    pub(crate) back: Buffer,
    pub tally: Tally,
}

/// What a step was about and what it found, for what differs after it to be judged by.
struct Scene<'a> {
    op: &'a Op,
    zones: &'a Range<u32>,
    bytes: &'a Range<u64>,
    before: Option<[&'a [BlkZone]; 2]>,
    done: bool,
}

impl<'a> Scene<'a> {
    /// No step at all, or none that could explain anything.
    fn idle(zones: &'a Range<u32>) -> Self {
        Self {
            op: &Op::Flush,
            zones,
            bytes: &(0..0),
            before: None,
            done: true,
        }
    }
}

/// Bytes that are read at a time when all are.
const AUDIT: u64 = 256 << 10;

/// Bytes of the pool.
pub const POOL: usize = 1 << 20;

impl Pair {
    /// A pair of which `zones` are watched; `alone` if no other thread has other zones.
    pub fn new(ours: Side, theirs: Side, zones: Range<u32>, alone: bool) -> Self {
        let mut pool = vec![0; POOL];
        zbd::pattern::fill(&mut pool, 1, 0);
        Self {
            ours,
            theirs,
            zones,
            alone,
            fresh: false,
            pool,
            buf: Buffer::new(POOL),
            back: Buffer::new(POOL),
            tally: Tally::default(),
        }
    }

    /// Empties the zones on both devices, as a new case finds them.
    pub fn restart(&mut self) -> Result<(), Box<What>> {
        let geo = self.ours.geo;
        let first = if self.alone {
            0
        } else {
            self.zones.start.max(geo.conv)
        };
        let sectors = geo.zone_size / SECTOR;
        let start = u64::from(first) * sectors;
        let len = u64::from(self.zones.end - first) * sectors;
        let ours = self.ours.target.manage(ZoneOp::Reset, start, len);
        let theirs = self.theirs.target.manage(ZoneOp::Reset, start, len);
        if ours.is_err() || theirs.is_err() {
            return Err(Box::new(What::Result { ours, theirs }));
        }
        let mut found = Vec::new();
        self.look(&mut found);
        let all = self.zones.clone();
        self.judge(&Scene::idle(&all), &found).map(|_| ())
    }

    /// Makes the conventional zones alike, which no reset does.
    pub fn blank(&mut self) {
        let geo = self.ours.geo;
        self.back.bytes_mut().fill(0);
        let zeros = self.back.bytes();
        let end = u64::from(geo.conv) * geo.zone_size;
        let mut pos = 0;
        while pos < end {
            let len = (end - pos).min(zeros.len() as u64);
            for side in [&mut self.ours, &mut self.theirs] {
                // Where it cannot be done, the next comparison shows it.
                let _ = side.target.write(pos, &zeros[..len as usize], false);
            }
            pos += len;
        }
    }

    /// The zones as ours are now.
    pub fn view(&self) -> &[BlkZone] {
        &self.ours.view
    }

    /// Takes a step; fails with a difference that is not known to be right.
    pub fn step(&mut self, step: &Step) -> Result<(), Box<What>> {
        let (zones, bytes) = self.extent(&step.op);
        let mut found = Vec::new();
        let (ours, theirs) = self.act(step, &mut found);
        self.tally.count(step.op.name(), &ours);
        if ours != theirs {
            found.insert(0, What::Result { ours, theirs });
        }
        // Of a step in several zones that fails, a part may have been done; and the C driver changes a zone in which
        // a write was refused at the next step, which must not be taken for the cause (refused-write).
        let refused = self.theirs.kind == Kind::CZloop
            && matches!(step.op, Op::Write { .. } | Op::Append { .. });
        let unsure = ours.is_err() && (zones.len() > 1 || refused);
        if step.quiet && found.is_empty() && !unsure {
            self.follow(step, ours);
            self.fresh = false;
            return Ok(());
        }

        let known = self.alone && self.fresh;
        let before = known.then(|| (self.ours.view.clone(), self.theirs.view.clone()));
        self.look(&mut found);
        if let Some((ours, theirs)) = &before {
            for (mine, side, old) in [(true, &self.ours, ours), (false, &self.theirs, theirs)] {
                let scope = (&zones, step.op.opens());
                compare::side_effects(mine, &side.geo, scope, old, &side.view, &mut found);
            }
        }
        let scene = Scene {
            op: &step.op,
            zones: &zones,
            bytes: &bytes,
            before: before
                .as_ref()
                .map(|(ours, theirs)| [ours.as_slice(), theirs.as_slice()]),
            done: ours.is_ok() && theirs.is_ok(),
        };
        let heal = self.judge(&scene, &found)?;
        self.heal(&heal)
    }

    /// Compares all data of the watched zones, which a case ends with.
    pub fn audit(&mut self) -> Result<(), Box<What>> {
        let mut found = Vec::new();
        self.look(&mut found);
        let geo = self.ours.geo;
        for no in self.zones.clone() {
            let zone = self.ours.view.get((no - self.zones.start) as usize);
            let end = compare::readable(&geo, zone);
            let mut at = 0;
            while at < end {
                let len = (end - at).min(AUDIT);
                let (ours, theirs) =
                    self.read(u64::from(no) * geo.zone_size + at, len as usize, &mut found);
                if ours != Ok(len) || theirs != Ok(len) {
                    found.push(What::Result { ours, theirs });
                }
                at += len;
            }
        }
        self.judge(&Scene::idle(&(0..0)), &found).map(|_| ())
    }

    /// Compares reports of all watched zones.
    fn look(&mut self, found: &mut Vec<What>) {
        let first = self.zones.start;
        for side in [&mut self.ours, &mut self.theirs] {
            let sector = u64::from(first) * side.geo.zone_size / SECTOR;
            match side.target.report(sector, self.zones.len() as u32, false) {
                Ok(view) => side.view = view,
                Err(_) => side.view.clear(),
            }
        }
        let (ours, theirs) = (&self.ours, &self.theirs);
        if ours.view.len() != self.zones.len() {
            let (ours, theirs) = (ours.view.len(), theirs.view.len());
            found.push(What::Lines { ours, theirs });
        }
        compare::reports(first, &ours.view, &theirs.view, found);
        for (mine, side) in [(true, ours), (false, theirs)] {
            compare::faults(mine, &side.geo, first, &side.view, self.alone, found);
        }
        self.fresh = true;
    }

    /// Looks each difference up; returns the zones that are to be made alike again.
    fn judge(&mut self, scene: &Scene, found: &[What]) -> Result<Vec<u32>, Box<What>> {
        let mut heal = Vec::new();
        for what in found {
            let case = Case {
                op: scene.op,
                zones: scene.zones,
                bytes: scene.bytes,
                ours: &self.ours.geo,
                theirs: &self.theirs.geo,
                before: scene.before,
                alone: self.alone,
                done: scene.done,
                what,
            };
            let Some(row) = known::find(self.theirs.kind, &case) else {
                return Err(Box::new(*what));
            };
            self.tally.known[row] += 1;
            if known::TABLE[row].then == Then::Reset {
                match what.zone() {
                    Some(no) => heal.push(no),
                    None => heal.extend(scene.zones.clone()),
                }
            }
        }
        heal.sort_unstable();
        heal.dedup();
        Ok(heal)
    }

    /// Resets zones on both devices, after which they must be alike.
    fn heal(&mut self, zones: &[u32]) -> Result<(), Box<What>> {
        if zones.is_empty() {
            return Ok(());
        }
        let geo = self.ours.geo;
        let sectors = geo.zone_size / SECTOR;
        for no in zones.iter().filter(|no| **no >= geo.conv) {
            let start = u64::from(*no) * sectors;
            let ours = self.ours.target.manage(ZoneOp::Reset, start, sectors);
            let theirs = self.theirs.target.manage(ZoneOp::Reset, start, sectors);
            if ours.is_err() || theirs.is_err() {
                return Err(Box::new(What::Result { ours, theirs }));
            }
        }
        let mut found = Vec::new();
        self.look(&mut found);
        self.judge(&Scene::idle(&(0..0)), &found).map(|_| ())
    }
}
