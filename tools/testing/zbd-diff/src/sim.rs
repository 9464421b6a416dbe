// SPDX-License-Identifier: GPL-2.0

//! A simulated zoned device, right or wrong in ways that can be chosen, to test the tests with.

use crate::compare::{CLOSED, EMPTY, EXP_OPEN, FULL, IMP_OPEN, NOT_WP};
use crate::target::{Fail, Geometry, Reply, Target};
use nix::errno::Errno;
use std::sync::{Arc, Mutex, MutexGuard};
use zbd::uapi::{BlkZone, ZoneOp, SECTOR};

/// What is peculiar to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// As null_blk: a finish wants an open zone.
    pub finish_opens: bool,
    /// As null_blk: ones beyond the write pointer, and other write pointers where they are invalid.
    pub null_blk: bool,
    /// The open zone with the lowest number makes room, instead of the one that was opened first.
    pub lowest_first: bool,
    /// As the C driver: writes cross the capacity.
    pub no_capacity: bool,
    /// As the C driver: an explicit open never closes another zone, and no room is EIO.
    pub no_room: bool,
    /// As the C driver: a refused write closes an empty zone.
    pub refusal_closes: bool,
    /// A fault: each nth write stores other data.
    pub corrupt: Option<u64>,
    /// A fault: a reset of one full zone keeps the data.
    pub keep_full: bool,
    /// A fault: a zone that becomes full stays in the count of open zones.
    pub leak_open: bool,
    /// A fault: a close of an empty zone succeeds.
    pub close_empty: bool,
    /// A fault: each nth append does not move the write pointer.
    pub append_twice: Option<u64>,
    /// A fault: each nth append is refused.
    pub refuse_append: Option<u64>,
    /// A fault: each nth report says what the one before has said.
    pub stale_report: Option<u64>,
    /// A fault: any number of zones can be open.
    pub ignore_limit: bool,
    /// Threads meet more often.
    pub slow: bool,
}

struct State {
    zones: Vec<BlkZone>,
    data: Vec<u8>,
    open: Vec<usize>,
    leaked: usize,
    writes: u64,
    appends: u64,
    reports: u64,
    reported: Vec<BlkZone>,
}

/// The device; clones are the same device.
#[derive(Clone)]
pub struct Sim {
    geo: Geometry,
    quirks: Quirks,
    state: Arc<Mutex<State>>,
}

const EIO: Reply = Err(Fail::Errno(Errno::EIO));
const EINVAL: Reply = Err(Fail::Errno(Errno::EINVAL));

/// Whether the count has come to a multiple of `n`.
fn each(n: Option<u64>, count: u64) -> bool {
    n.is_some_and(|n| count % n == 0)
}

impl Sim {
    pub fn new(geo: Geometry, quirks: Quirks) -> Self {
        let sectors = geo.zone_size / SECTOR;
        let zones = (0..geo.nr_zones)
            .map(|no| {
                let conv = no < geo.conv;
                let start = u64::from(no) * sectors;
                BlkZone {
                    start,
                    len: sectors,
                    wp: match (conv, quirks.null_blk) {
                        (true, true) => start + sectors,
                        (true, false) => u64::MAX,
                        (false, _) => start,
                    },
                    zone_type: if conv { 1 } else { 2 },
                    cond: if conv { NOT_WP } else { EMPTY },
                    capacity: if conv {
                        geo.zone_size
                    } else {
                        geo.zone_capacity
                    } / SECTOR,
                    ..Default::default()
                }
            })
            .collect();
        let state = State {
            zones,
            data: vec![0; (geo.zone_size * u64::from(geo.nr_zones)) as usize],
            open: Vec::new(),
            leaked: 0,
            writes: 0,
            appends: 0,
            reports: 0,
            reported: Vec::new(),
        };
        Self {
            geo,
            quirks,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        if self.quirks.slow {
            std::thread::yield_now();
        }
        self.state.lock().unwrap()
    }

    fn size(&self) -> u64 {
        self.geo.zone_size * u64::from(self.geo.nr_zones)
    }
}

impl State {
    fn close(&mut self, no: usize) {
        self.open.retain(|open| *open != no);
        let zone = &mut self.zones[no];
        if matches!(zone.cond, IMP_OPEN | EXP_OPEN) {
            zone.cond = if zone.wp == zone.start { EMPTY } else { CLOSED };
        }
    }

    fn open(&mut self, geo: &Geometry, quirks: &Quirks, no: usize, explicit: bool) -> Reply {
        let cond = self.zones[no].cond;
        if matches!(cond, EMPTY | CLOSED) {
            if geo.max_open != 0
                && !quirks.ignore_limit
                && self.open.len() + self.leaked >= geo.max_open as usize
            {
                let zones = &self.zones;
                let mut implicit: Vec<usize> = self.open.clone();
                implicit.retain(|no| zones[*no].cond == IMP_OPEN);
                if quirks.lowest_first {
                    implicit.sort_unstable();
                }
                match implicit.first() {
                    Some(victim) if !(explicit && quirks.no_room) => self.close(*victim),
                    _ if quirks.no_room => return EIO,
                    _ => return Err(Fail::Errno(Errno::ETOOMANYREFS)),
                }
            }
            self.open.push(no);
        }
        if explicit || cond != EXP_OPEN {
            self.zones[no].cond = if explicit { EXP_OPEN } else { IMP_OPEN };
        }
        Ok(0)
    }

    fn fill(&mut self, quirks: &Quirks, no: usize, by_finish: bool) {
        self.close(no);
        self.leaked += usize::from(quirks.leak_open && !by_finish);
        let zone = &mut self.zones[no];
        zone.cond = FULL;
        zone.wp = zone.start + zone.len;
        if quirks.null_blk && !by_finish {
            zone.wp = zone.start + zone.capacity;
        }
    }

    /// Writes within one zone.
    fn write(&mut self, geo: &Geometry, quirks: &Quirks, pos: u64, data: &[u8]) -> Reply {
        let no = (pos / geo.zone_size) as usize;
        let zone = self.zones[no];
        let (sector, sectors) = (pos / SECTOR, data.len() as u64 / SECTOR);
        if zone.cond != NOT_WP {
            let end = zone.start + zone.capacity;
            let fits = sector + sectors <= end || (quirks.no_capacity && sector < end);
            if zone.cond == FULL || sector != zone.wp || !fits {
                if quirks.refusal_closes && zone.wp == zone.start {
                    self.close(no);
                }
                return EIO;
            }
            self.open(geo, quirks, no, false)?;
            self.zones[no].wp += sectors;
            if self.zones[no].wp == end {
                self.fill(quirks, no, false);
            }
        }
        let at = pos as usize;
        self.data[at..at + data.len()].copy_from_slice(data);
        self.writes += 1;
        if each(quirks.corrupt, self.writes) {
            self.data[at + data.len() - 1] ^= 0x10;
        }
        Ok(data.len() as u64)
    }

    fn manage(
        &mut self,
        geo: &Geometry,
        quirks: &Quirks,
        op: ZoneOp,
        no: usize,
        all: bool,
    ) -> Reply {
        let zone = self.zones[no];
        match (op, zone.cond) {
            (_, NOT_WP) => EIO,
            (ZoneOp::Open, FULL) => EIO,
            (ZoneOp::Open, _) => self.open(geo, quirks, no, true),
            (ZoneOp::Close, EMPTY) if quirks.close_empty => Ok(0),
            (ZoneOp::Close, EMPTY | FULL) => EIO,
            (ZoneOp::Close, _) => {
                self.close(no);
                Ok(0)
            }
            (ZoneOp::Finish, FULL) => Ok(0),
            (ZoneOp::Finish, _) => {
                if quirks.finish_opens {
                    self.open(geo, quirks, no, false)?;
                }
                self.fill(quirks, no, true);
                Ok(0)
            }
            (ZoneOp::Reset, cond) => {
                self.close(no);
                let zone = &mut self.zones[no];
                (zone.cond, zone.wp) = (EMPTY, zone.start);
                if !(quirks.keep_full && cond == FULL && !all) {
                    let start = (zone.start * SECTOR) as usize;
                    self.data[start..start + geo.zone_size as usize].fill(0);
                }
                Ok(0)
            }
        }
    }
}

impl Target for Sim {
    fn write(&mut self, pos: u64, data: &[u8], _sync: bool) -> Reply {
        let (geo, quirks) = (self.geo, self.quirks);
        if data.is_empty() {
            return Ok(0);
        }
        if pos >= self.size() {
            return Err(Fail::Errno(Errno::ENOSPC));
        }
        let data = &data[..data.len().min((self.size() - pos) as usize)];
        if (pos | data.len() as u64) % geo.block != 0 {
            return EINVAL;
        }
        let mut state = self.lock();
        let (mut done, mut result) = (0, Ok(data.len() as u64));
        while done < data.len() {
            let at = pos + done as u64;
            let room = (geo.zone_size - at % geo.zone_size) as usize;
            let part = &data[done..data.len().min(done + room)];
            if let Err(fail) = state.write(&geo, &quirks, at, part) {
                result = result.and(Err(fail));
            }
            done += part.len();
        }
        result
    }

    fn read(&mut self, pos: u64, data: &mut [u8]) -> Reply {
        if pos >= self.size() || data.is_empty() {
            return Ok(0);
        }
        let len = data.len().min((self.size() - pos) as usize);
        if (pos | len as u64) % self.geo.block != 0 {
            return EINVAL;
        }
        let state = self.lock();
        data[..len].copy_from_slice(&state.data[pos as usize..pos as usize + len]);
        if self.quirks.null_blk {
            for (i, sector) in data[..len].chunks_mut(512).enumerate() {
                let at = pos / SECTOR + i as u64;
                let zone = &state.zones[(at * SECTOR / self.geo.zone_size) as usize];
                if at >= zone.wp {
                    sector.fill(0xff);
                }
            }
        }
        Ok(len as u64)
    }

    fn append(&mut self, zone: u32, data: &mut [u8]) -> Reply {
        let (geo, quirks) = (self.geo, self.quirks);
        let mut state = self.lock();
        let old = state.zones[zone as usize];
        state.appends += 1;
        let nth = state.appends;
        if old.cond == FULL || each(quirks.refuse_append, nth) {
            return Err(Fail::Status(6));
        }
        let reply = state
            .write(&geo, &quirks, old.wp * SECTOR, data)
            .map(|_| old.wp)
            .map_err(|_| Fail::Status(6));
        if each(quirks.append_twice, nth) {
            state.zones[zone as usize].wp = old.wp;
        }
        reply
    }

    fn manage(&mut self, op: ZoneOp, sector: u64, sectors: u64) -> Reply {
        let (geo, quirks) = (self.geo, self.quirks);
        let zone = geo.zone_size / SECTOR;
        let end = sector.saturating_add(sectors);
        if sectors == 0 || end > self.size() / SECTOR || (sector | sectors) % zone != 0 {
            return EINVAL;
        }
        let mut state = self.lock();
        let mut result = Ok(0);
        let all = op == ZoneOp::Reset && sectors == self.size() / SECTOR;
        for no in sector / zone..end / zone {
            if all && no < geo.conv.into() {
                continue;
            }
            let reply = state.manage(&geo, &quirks, op, no as usize, all);
            result = result.and(reply);
        }
        result
    }

    fn report(&mut self, sector: u64, count: u32, _cached: bool) -> Result<Vec<BlkZone>, Fail> {
        if count == 0 {
            return Err(Fail::Errno(Errno::EINVAL));
        }
        let first = (sector * SECTOR / self.geo.zone_size) as usize;
        let mut state = self.lock();
        state.reports += 1;
        if !each(self.quirks.stale_report, state.reports) {
            state.reported = state.zones.clone();
        }
        let zones = state.reported.get(first..).unwrap_or_default();
        Ok(zones.iter().take(count as usize).copied().collect())
    }

    fn flush(&mut self) -> Reply {
        Ok(0)
    }
}
