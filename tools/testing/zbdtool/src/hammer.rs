// SPDX-License-Identifier: GPL-2.0

//! Parallel load on many zones, each zone checked by its only writer, with reports at the same time.

use crate::pattern::{self, Buffer, Rng};
use crate::uapi::{self, ZoneOp, SECTOR};
use crate::zones::{self, FULL};
use clap::Args;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Options of `zbdtool hammer`.
#[derive(Args)]
pub struct HammerArgs {
    /// Zoned block device
    dev: String,
    /// Number of writing threads; the zones are shared out among them
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// First zone used
    #[arg(long)]
    first: u32,
    /// Number of zones used
    #[arg(long)]
    zones: u32,
    /// Bytes of one write
    #[arg(long, default_value_t = 4096)]
    bs: usize,
    /// How long to run
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Mix in zone open, close, finish and reset at random
    #[arg(long)]
    manage: bool,
    /// Number of threads that report zones and check every line
    #[arg(long, default_value_t = 0)]
    reporters: usize,
    /// Errno that is no failure (for example ETOOMANYREFS, or write:EIO for one of writes only), or READONLY for
    /// zones that are reported so
    #[arg(long)]
    allow: Vec<String>,
    /// Seed of the random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How much is read at once when all is checked in the end.
const READ_AT_ONCE: usize = 256 << 10;

/// What all threads share.
struct Shared {
    stop: AtomicBool,
    writes: AtomicU64,
    reports: AtomicU64,
    max_report_us: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Shared {
    fn error(&self, what: &str) {
        self.error_in(what, "");
    }

    /// Counts an error, and prints `detail` of the first one of its kind.
    fn error_in(&self, what: &str, detail: &str) {
        let mut errors = self.errors.lock().unwrap_or_else(|e| e.into_inner());
        let count = errors.entry(what.into()).or_insert(0);
        *count += 1;
        if *count == 1 && !detail.is_empty() {
            eprintln!("{detail}");
        }
    }
}

/// One zone as its writer knows it.
struct Own {
    no: u32,
    /// Bytes written.
    wp: u64,
    cap: u64,
    seed: u64,
    full: bool,
}

impl Own {
    /// The zone after an operation that was done or not, by a report: bytes up to the write pointer,
    /// `None` in a full zone. False if it is neither as it was before nor as it is to be.
    fn settle(&mut self, sent: Sent, now: Option<u64>) -> bool {
        let kept = now == (!self.full).then_some(self.wp);
        let done = match sent {
            Sent::Write(len) if self.wp + len == self.cap => now.is_none(),
            Sent::Write(len) => now == Some(self.wp + len),
            Sent::Finish => now.is_none(),
            Sent::Reset => now == Some(0),
        };

        if done && !kept {
            match sent {
                Sent::Write(len) => self.wp += len,
                // What is written stays, and the rest is zeros.
                Sent::Finish => (),
                Sent::Reset => self.wp = 0,
            }
            self.full = now.is_none();
        }
        kept || done
    }
}

/// An operation that timed out.
#[derive(Clone, Copy)]
enum Sent {
    /// Of so many bytes.
    Write(u64),
    Finish,
    Reset,
}

struct Writer<'a> {
    args: &'a HammerArgs,
    shared: &'a Shared,
    file: File,
    zone_size: u64,
    rng: Rng,
    buf: Buffer,
}

impl Writer<'_> {
    fn start(&self, zone: &Own) -> u64 {
        u64::from(zone.no) * self.zone_size
    }

    fn manage(&self, zone: &Own, op: ZoneOp) -> Result<(), Errno> {
        uapi::zone_op(
            &self.file,
            op,
            self.start(zone) / SECTOR,
            self.zone_size / SECTOR,
        )
    }

    fn note(&self, what: &str, err: Errno) {
        let name = format!("{err:?}");
        let full = format!("{what}:{name}");
        if !self.args.allow.contains(&name) && !self.args.allow.contains(&full) {
            self.shared.error(&full);
        }
    }

    fn write(&mut self, zone: &mut Own) {
        let len = (self.args.bs as u64).min(zone.cap - zone.wp) as usize;
        let pos = self.start(zone) + zone.wp;
        pattern::fill(&mut self.buf.bytes_mut()[..len], zone.seed, pos);
        match uapi::pwrite(&self.file, &self.buf.bytes()[..len], pos) {
            Ok(n) if n == len => {
                zone.wp += len as u64;
                zone.full = zone.wp == zone.cap;
                self.shared.writes.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => self.shared.error("write:short"),
            Err(e) => {
                self.note("write", e);
                self.learn(zone, e, Sent::Write(len as u64));
            }
        }
    }

    /// What became of an operation that timed out: it was done, or it was not.
    fn learn(&self, zone: &mut Own, err: Errno, sent: Sent) {
        if err != Errno::ETIMEDOUT {
            return;
        }
        match zones::report(&self.file, self.start(zone) / SECTOR, 1, false).as_deref() {
            Ok([now]) => {
                let wp = match zones::inconsistency(now) {
                    Some(text) if self.args.allow.iter().any(|allowed| allowed == text) => return,
                    Some(text) => return self.shared.error(&format!("report:{text}")),
                    None if now.cond == FULL => None,
                    None => Some((now.wp - now.start) * SECTOR),
                };

                if !zone.settle(sent, wp) {
                    self.shared.error("timeout:torn");
                }
            }
            Ok(_) => self.shared.error("report:zones-missing"),
            Err(e) => self.shared.error(&format!("report:{e:?}")),
        }
    }

    /// Reads one block of the zone, anywhere.
    fn check_some(&mut self, zone: &Own) {
        let bs = self.args.bs as u64;
        let at = bs * (self.rng.next() % (zone.cap / bs));
        self.check(zone, at, self.args.bs);
    }

    /// Reads all of the zone.
    fn check_all(&mut self, zone: &Own) {
        let mut at = 0;
        while at < zone.cap {
            let len = (zone.cap - at).min(self.buf.bytes().len() as u64);
            self.check(zone, at, len as usize);
            at += len;
        }
    }

    /// Reads `len` bytes from `at` in the zone: the pattern below the write pointer, zeros beyond it.
    fn check(&mut self, zone: &Own, at: u64, len: usize) {
        let pos = self.start(zone) + at;
        self.buf.bytes_mut()[..len].fill(0xa5);
        match uapi::pread(&self.file, &mut self.buf.bytes_mut()[..len], pos) {
            Ok(n) if n == len => (),
            Ok(_) => return self.shared.error("read:short"),
            Err(e) => return self.note("read", e),
        }
        let written = zone.wp.saturating_sub(at).min(len as u64) as usize;
        if pattern::mismatch(&self.buf.bytes()[..written], zone.seed, pos).is_some() {
            self.shared.error("read:wrong-data");
        }
        if pattern::nonzero(&self.buf.bytes()[written..len]).is_some() {
            self.shared.error("read:not-zero-past-wp");
        }
    }

    fn reset(&mut self, zone: &mut Own) {
        match self.manage(zone, ZoneOp::Reset) {
            Ok(()) => {
                zone.wp = 0;
                zone.full = false;
                zone.seed = self.rng.next();
            }
            Err(e) => {
                self.note("reset", e);
                self.learn(zone, e, Sent::Reset);
            }
        }
    }

    fn run(&mut self, zones: &mut [Own]) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let pick = self.rng.below(zones.len());
            let zone = &mut zones[pick];
            let choice = self.rng.below(100);
            match choice {
                0..=3 if self.args.manage => {
                    if let Err(e) = self.manage(zone, ZoneOp::Open) {
                        if !(zone.full && e == Errno::EIO) {
                            self.note("open", e);
                        }
                    }
                }
                4..=7 if self.args.manage => {
                    // Closing a zone that is not open is an error by the standard: no failure here.
                    if let Err(e) = self.manage(zone, ZoneOp::Close) {
                        if e != Errno::EIO {
                            self.note("close", e);
                        }
                    }
                }
                8 if self.args.manage => match self.manage(zone, ZoneOp::Finish) {
                    Ok(()) => zone.full = true,
                    Err(e) => {
                        self.note("finish", e);
                        self.learn(zone, e, Sent::Finish);
                    }
                },
                9..=11 if self.args.manage => self.reset(zone),
                12..=25 => self.check_some(zone),
                _ if zone.full => self.reset(zone),
                _ => self.write(zone),
            }
        }
        for zone in zones {
            self.check_all(zone);
        }
    }
}

fn reporter(args: &HammerArgs, shared: &Shared) -> io::Result<()> {
    let file = uapi::open_dev(&args.dev, 0)?;
    let geo = zones::geometry(&file)?;
    while !shared.stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        match zones::report(&file, 0, geo.nr_zones, false) {
            Ok(list) => {
                let took = began.elapsed().as_micros() as u64;
                shared.max_report_us.fetch_max(took, Ordering::Relaxed);
                shared.reports.fetch_add(1, Ordering::Relaxed);
                if list.len() != geo.nr_zones as usize {
                    shared.error("report:zones-missing");
                }
                for (no, zone) in list.iter().enumerate() {
                    if let Some(text) = zones::inconsistency(zone) {
                        if args.allow.iter().any(|allowed| allowed == text) {
                            continue;
                        }
                        let detail = format!("zone {no}: {text}: {zone:?}");
                        shared.error_in(&format!("report:{text}"), &detail);
                    }
                }
            }
            Err(e) => shared.error(&format!("report:{e:?}")),
        }
    }
    Ok(())
}

/// Resets the zones, which may fail for a while with one of the errors `allowed`.
fn empty(file: &File, sector: u64, sectors: u64, allowed: &[String]) -> io::Result<()> {
    for _ in 0..1000 {
        match uapi::zone_op(file, ZoneOp::Reset, sector, sectors) {
            Err(err) if allowed.contains(&format!("{err:?}")) => {}
            other => return Ok(other?),
        }
    }
    Err(io::Error::other("the zones cannot be reset"))
}

/// Runs the load; false when anything unexpected was seen.
pub fn run(args: &HammerArgs) -> io::Result<bool> {
    let file = uapi::open_dev(&args.dev, libc::O_DIRECT)?;
    let geo = zones::geometry(&file)?;
    let first_sector = u64::from(args.first) * geo.zone_size / SECTOR;
    let list = zones::report(&file, first_sector, args.zones, false)?;
    empty(
        &file,
        first_sector,
        u64::from(args.zones) * geo.zone_size / SECTOR,
        &args.allow,
    )?;
    let shared = Shared {
        stop: AtomicBool::new(false),
        writes: AtomicU64::new(0),
        reports: AtomicU64::new(0),
        max_report_us: AtomicU64::new(0),
        errors: Mutex::new(BTreeMap::new()),
    };
    // Opened before there are threads to be stopped.
    let files: io::Result<Vec<File>> = (0..args.threads)
        .map(|_| uapi::open_dev(&args.dev, libc::O_DIRECT))
        .collect();
    let files = files?;
    std::thread::scope(|scope| {
        for (t, file) in files.into_iter().enumerate() {
            let mut own: Vec<Own> = list
                .iter()
                .enumerate()
                .filter(|(i, _)| i % args.threads == t)
                .map(|(i, z)| Own {
                    no: args.first + i as u32,
                    wp: 0,
                    cap: z.capacity * SECTOR,
                    seed: args.seed + i as u64,
                    full: false,
                })
                .collect();
            let mut writer = Writer {
                args,
                shared: &shared,
                file,
                zone_size: geo.zone_size,
                rng: Rng::new(args.seed * 1000 + t as u64),
                buf: Buffer::new(args.bs.max(READ_AT_ONCE)),
            };
            scope.spawn(move || writer.run(&mut own));
        }
        for _ in 0..args.reporters {
            scope.spawn(|| {
                if let Err(e) = reporter(args, &shared) {
                    shared.error(&format!("reporter:{e}"));
                }
            });
        }
        std::thread::sleep(Duration::from_secs(args.seconds));
        shared.stop.store(true, Ordering::Relaxed);
    });
    println!(
        "writes={} reports={} max_report_us={}",
        shared.writes.load(Ordering::Relaxed),
        shared.reports.load(Ordering::Relaxed),
        shared.max_report_us.load(Ordering::Relaxed)
    );
    let errors = shared
        .errors
        .into_inner()
        .unwrap_or_else(|e| e.into_inner());
    for (what, count) in &errors {
        println!("unexpected {what} count={count}");
    }
    let no_report = args.reporters != 0 && shared.reports.load(Ordering::Relaxed) == 0;
    let idle = shared.writes.load(Ordering::Relaxed) == 0 || no_report;
    if idle {
        println!("unexpected nothing was written or reported");
    }
    Ok(errors.is_empty() && !idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(wp: u64, full: bool) -> Own {
        Own {
            no: 1,
            wp,
            cap: 64,
            seed: 1,
            full,
        }
    }

    #[test]
    fn what_timed_out_was_done_or_not() {
        for (wp, full, sent, now, want) in [
            (16, false, Sent::Write(16), Some(16), Some((16, false))),
            (16, false, Sent::Write(16), Some(32), Some((32, false))),
            (16, false, Sent::Write(16), Some(0), None),
            (16, false, Sent::Write(16), Some(24), None),
            (16, false, Sent::Write(16), None, None),
            (48, false, Sent::Write(16), None, Some((64, true))),
            (48, false, Sent::Write(16), Some(64), None),
            (16, false, Sent::Finish, None, Some((16, true))),
            (16, false, Sent::Finish, Some(16), Some((16, false))),
            (16, true, Sent::Finish, None, Some((16, true))),
            (16, false, Sent::Finish, Some(0), None),
            (16, false, Sent::Reset, Some(0), Some((0, false))),
            (16, false, Sent::Reset, Some(16), Some((16, false))),
            (16, true, Sent::Reset, None, Some((16, true))),
            (16, true, Sent::Reset, Some(0), Some((0, false))),
            (16, true, Sent::Reset, Some(16), None),
            (16, false, Sent::Reset, None, None),
        ] {
            let mut zone = own(wp, full);
            let right = zone.settle(sent, now);

            assert_eq!(
                right.then_some((zone.wp, zone.full)),
                want,
                "{wp} {full} {now:?}"
            );
        }
    }
}
