// SPDX-License-Identifier: GPL-2.0

//! Faults in what can be done to a device: each operation is prepared, done with a fault in it,
//! judged, and done again without.

use super::inject::{self, Injector, Place};
use super::print;
use crate::append::{Namespace, Outcome};
use crate::pattern::{self, Buffer};
use crate::uapi::{self, BlkZone, ZoneOp, NVME_ZONE_APPEND, SECTOR};
use crate::zones::{self, Geometry, CLOSED, EMPTY, EXP_OPEN, FULL};
use clap::ValueEnum;
use nix::errno::Errno;
use std::cell::RefCell;
use std::fs::File;
use std::io;

/// Options of `zbdtool faults io`.
#[derive(clap::Args)]
pub struct Args {
    /// Zoned block device; zone 0 is conventional, zones 1 to 4 are overwritten
    dev: String,
    /// NVMe namespace on the device, for appends
    #[arg(long)]
    nvme: Option<String>,
    /// Operations (default: all but appends)
    #[arg(long, value_enum, value_delimiter = ',')]
    ops: Vec<Op>,
    /// Whose allocations fail
    #[arg(long, value_enum, default_value_t = Place::Task)]
    place: Place,
    /// Bytes from one step to the next, for slab objects of workers
    #[arg(long, default_value_t = 16)]
    grain: u32,
    /// Bytes of a read or write
    #[arg(long, default_value_t = 1 << 16)]
    len: usize,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Op {
    Read,
    Write,
    WriteConventional,
    Reset,
    ResetAll,
    Finish,
    Open,
    Close,
    Flush,
    Report,
    Append,
}

impl Op {
    /// Whether it moves the write pointer by what it writes.
    fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Append)
    }

    /// Whether it changes what a report says of a zone.
    fn changes_zone(self) -> bool {
        !matches!(
            self,
            Self::Read | Self::WriteConventional | Self::Flush | Self::Report
        )
    }
}

/// The zone that operations are done to; others are bystanders.
const ZONE: u32 = 1;
/// Zones that are used, from [`ZONE`] on.
const USED: u32 = 4;

struct Runner {
    file: File,
    geo: Geometry,
    len: usize,
    /// Made once: memory of the tool's own must not be what the fault hits.
    buf: RefCell<Buffer>,
    nvme: Option<Namespace>,
    /// What the last report under a fault got.
    reported: RefCell<Vec<BlkZone>>,
}

/// Conditions and write pointers (sectors from the start of the zone) of the zones used.
type State = Vec<(u8, u64)>;

fn state_of(zones: &[BlkZone]) -> State {
    let line = |zone: &BlkZone| (zone.cond, zone.wp.saturating_sub(zone.start));
    zones.iter().map(line).collect()
}

impl Runner {
    fn zone_at(&self, no: u32) -> u64 {
        u64::from(no) * self.geo.zone_size
    }

    fn zones(&self) -> Result<Vec<BlkZone>, String> {
        zones::report(&self.file, self.zone_at(ZONE) / SECTOR, USED, false)
            .map_err(|e| format!("report without a fault: {e}"))
    }

    fn state(&self) -> Result<State, String> {
        let list = self.zones()?;
        match list.iter().find_map(zones::inconsistency) {
            Some(text) => Err(text.into()),
            None => Ok(state_of(&list)),
        }
    }

    fn zone_op(&self, op: ZoneOp, first: u32, count: u32) -> Result<(), Errno> {
        uapi::zone_op(
            &self.file,
            op,
            self.zone_at(first) / SECTOR,
            u64::from(count) * self.geo.zone_size / SECTOR,
        )
    }

    fn write(&self, pos: u64, seed: u64) -> Result<(), Errno> {
        let mut buf = self.buf.borrow_mut();
        pattern::fill(buf.bytes_mut(), seed, pos);
        match uapi::pwrite(&self.file, buf.bytes(), pos)? {
            n if n == self.len => Ok(()),
            _ => Err(Errno::EIO),
        }
    }

    /// Appends the pattern of the place where it belongs, after the first piece of the zone.
    fn append(&self) -> Result<(), Errno> {
        let mut buf = self.buf.borrow_mut();
        let start = self.zone_at(ZONE);
        pattern::fill(buf.bytes_mut(), 2, start + self.len as u64);
        let nvme = self.nvme.as_ref().ok_or(Errno::ENODEV)?;
        match nvme.send(NVME_ZONE_APPEND, start, buf.bytes_mut(), false) {
            Outcome::Done(_) => Ok(()),
            Outcome::Status(_) => Err(Errno::EIO),
            Outcome::Failed(e) => Err(e),
        }
    }

    fn read(&self, pos: u64) -> Result<(), Errno> {
        let mut buf = self.buf.borrow_mut();
        buf.bytes_mut().fill(0xa5);
        match uapi::pread(&self.file, buf.bytes_mut(), pos)? {
            n if n == self.len => Ok(()),
            _ => Err(Errno::EIO),
        }
    }

    /// Whether what was read last is the pattern.
    fn is_pattern(&self, pos: u64, seed: u64) -> bool {
        pattern::mismatch(self.buf.borrow().bytes(), seed, pos).is_none()
    }

    /// Reads a piece and compares it, without a fault.
    fn verify(&self, pos: u64, seed: u64) -> Result<(), String> {
        self.read(pos)
            .map_err(|e| format!("read at {pos} without a fault: {e}"))?;
        match self.is_pattern(pos, seed) {
            true => Ok(()),
            false => Err(format!("wrong data at {pos}")),
        }
    }

    /// Reads a piece of which some sectors may have been overwritten, and nothing else.
    fn verify_old_or_new(&self, start: u64) -> Result<(), String> {
        self.read(start)
            .map_err(|e| format!("read at {start} without a fault: {e}"))?;
        let buf = self.buf.borrow();
        for (i, sector) in buf.bytes().chunks(SECTOR as usize).enumerate() {
            let pos = start + i as u64 * SECTOR;
            if [1, 2]
                .iter()
                .all(|seed| pattern::mismatch(sector, *seed, pos).is_some())
            {
                return Err(format!("neither old nor new data at {pos}"));
            }
        }
        Ok(())
    }

    /// One piece of data in each zone, and what the operation starts from.
    fn prepare(&self, op: Op) -> Result<(), String> {
        let plain = |what: &str, e: Errno| format!("preparation, {what}: {e}");
        if op != Op::WriteConventional && op != Op::Report && op != Op::Read {
            self.zone_op(ZoneOp::Reset, ZONE, USED)
                .map_err(|e| plain("reset", e))?;
        }
        if self.zones()?[0].wp == self.zone_at(ZONE) / SECTOR {
            for no in ZONE..ZONE + USED {
                self.write(self.zone_at(no), 1)
                    .map_err(|e| plain("write", e))?;
            }
        }
        match op {
            Op::Open => self.zone_op(ZoneOp::Close, ZONE, 1),
            Op::WriteConventional => self.write(0, 1),
            _ => Ok(()),
        }
        .map_err(|e| plain("state", e))
    }

    fn act(&self, op: Op) -> Result<(), Errno> {
        let next = self.zone_at(ZONE) + self.len as u64;
        match op {
            Op::Read => self.read(self.zone_at(ZONE)),
            Op::Write => self.write(next, 2),
            Op::Append => self.append(),
            Op::WriteConventional => self.write(0, 2),
            Op::Reset => self.zone_op(ZoneOp::Reset, ZONE, 1),
            Op::ResetAll => self.zone_op(ZoneOp::Reset, 0, self.geo.nr_zones),
            Op::Finish => self.zone_op(ZoneOp::Finish, ZONE, 1),
            Op::Open => self.zone_op(ZoneOp::Open, ZONE, 1),
            Op::Close => self.zone_op(ZoneOp::Close, ZONE, 1),
            Op::Flush => uapi::fsync(&self.file),
            Op::Report => {
                let start = self.zone_at(ZONE) / SECTOR;
                *self.reported.borrow_mut() = zones::report(&self.file, start, USED, false)?;
                Ok(())
            }
        }
    }

    /// Whether what the last read or report got is right.
    fn judge_result(&self, op: Op, before: &State) -> Result<(), String> {
        match op {
            Op::Read if !self.is_pattern(self.zone_at(ZONE), 1) => {
                Err("a read succeeded with wrong data".into())
            }
            Op::Report if state_of(&self.reported.borrow()) != *before => {
                Err("a report succeeded with wrong lines".into())
            }
            _ => Ok(()),
        }
    }

    /// Whether a zone's state is one that the operation leaves when it succeeds.
    fn is_done(&self, op: Op, (cond, wp): (u8, u64)) -> bool {
        match op {
            Op::Write | Op::Append => wp == 2 * self.len as u64 / SECTOR,
            Op::Reset | Op::ResetAll => cond == EMPTY,
            Op::Finish => cond == FULL,
            Op::Open => cond == EXP_OPEN,
            Op::Close => cond == CLOSED,
            Op::Read | Op::WriteConventional | Op::Flush | Op::Report => false,
        }
    }

    /// Compares the zones after an operation that succeeded, or failed, with those before.
    fn judge(&self, op: Op, ok: bool, before: &State) -> Result<(), String> {
        let after = self.state()?;
        for (i, (old, new)) in before.iter().zip(&after).enumerate() {
            let concerned = op.changes_zone() && (i == 0 || op == Op::ResetAll);
            // A failed write may leave its zone open, which is no change of the data.
            let kept = old.1 == new.1 && (op.writes() || old.0 == new.0);
            let done = concerned && self.is_done(op, *new);
            let right = if ok && concerned { done } else { done || kept };
            if !right {
                let no = ZONE + i as u32;
                return Err(format!("ok={ok}, zone {no}: {old:?} became {new:?}"));
            }
        }
        Ok(())
    }

    /// The data, given the state that the zones are in.
    fn judge_data(&self, op: Op, ok: bool) -> Result<(), String> {
        for zone in self.zones()? {
            let start = zone.start * SECTOR;
            // Of a finished zone the rest is zeros; what was there is there.
            if zone.wp >= zone.start + self.len as u64 / SECTOR {
                self.verify(start, 1)?;
            }
        }
        let next = self.zone_at(ZONE) + self.len as u64;
        if op.writes() && self.is_done(op, self.state()?[0]) {
            self.verify(next, 2)?;
        }
        match (op, ok) {
            (Op::WriteConventional, true) => self.verify(0, 2),
            (Op::WriteConventional, false) => self.verify_old_or_new(0),
            _ => Ok(()),
        }
    }

    /// One round: whether the fault came, and whether the operation failed.
    fn round(&self, op: Op, inj: &Injector, step: u32) -> Result<(bool, bool), String> {
        self.prepare(op)?;
        let before = self.state()?;
        let (result, injected) = inj
            .during(step, || self.act(op))
            .map_err(|e| e.to_string())?;
        let ok = result.is_ok();
        if ok {
            self.judge_result(op, &before)?;
        }
        self.judge(op, ok, &before)?;
        self.judge_data(op, ok)?;
        if !(ok || op.writes() && self.is_done(op, self.state()?[0])) {
            self.act(op)
                .map_err(|e| format!("again, without a fault: {e}"))?;
            self.judge_result(op, &before)?;
            self.judge(op, true, &before)?;
            self.judge_data(op, true)?;
        }
        Ok((injected, !ok))
    }
}

/// Walks a fault through each operation; false if a state or data was wrong.
pub fn run(args: &Args) -> io::Result<bool> {
    let file = uapi::open_dev(&args.dev, libc::O_DIRECT)?;
    let geo = zones::geometry(&file)?;
    let nvme = match &args.nvme {
        Some(dev) => Some(Namespace::open(dev, 1)?),
        None => None,
    };
    let mut buf = Buffer::new(args.len);
    buf.bytes_mut().fill(1);
    let runner = Runner {
        file,
        geo,
        len: args.len,
        buf: RefCell::new(buf),
        nvme,
        reported: RefCell::new(Vec::new()),
    };
    let inj = Injector::new(args.place, args.grain)?;
    let mut ops = args.ops.clone();
    if ops.is_empty() {
        ops = Op::value_variants().to_vec();
        ops.retain(|op| *op != Op::Append);
    }
    let mut good = true;
    for op in ops {
        let outcome = inject::walk(|step| runner.round(op, &inj, step));
        good &= print(&format!("{op:?}"), args.place, outcome);
    }
    Ok(good)
}
