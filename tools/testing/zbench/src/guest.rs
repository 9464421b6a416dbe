// SPDX-License-Identifier: GPL-2.0

//! The run in the virtual machine: round by round, contestant by contestant, job by job.

use crate::append;
use crate::backing::{self, Backing, DIR};
use crate::contestant::{Geometry, Paths, Target};
use crate::fio;
use crate::job::{self, Fio, Job, Kind, Rw};
use crate::lifecycle;
use crate::profile;
use crate::regression;
use crate::sample::{Contestant, Machine, Mode, Run, Sample, Value};
use crate::system::{field, get, put, real_time, run, timed, tried, Res};
use crate::zones::Device;
use clap::Args;
use nix::sys::resource::{setrlimit, Resource};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Options of `zbench guest`.
#[derive(Args)]
pub struct GuestArgs {
    #[arg(long)]
    mode: Mode,
    /// Names of jobs, or starts of names with a * (default: all)
    #[arg(long, value_delimiter = ' ')]
    jobs: Vec<String>,
    #[arg(long, value_delimiter = ' ', required = true)]
    contestants: Vec<Contestant>,
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Backing file system: xfs, ext4 or btrfs
    #[arg(long, default_value = "xfs")]
    fs: String,
    /// Time that a job of fio is measured
    #[arg(long, default_value_t = 500)]
    runtime_ms: u64,
    /// Time that it runs before
    #[arg(long, default_value_t = 100)]
    ramp_ms: u64,
    /// CONTESTANT=FILE: a module of the zloop kind
    #[arg(long)]
    module: Vec<String>,
    #[arg(long, default_value = "rublk")]
    rublk: String,
    /// CONTESTANT=OPTIONS: options of `add` in place of the usual ones
    #[arg(long)]
    options: Vec<String>,
    /// CONTESTANT=NAME: the I/O scheduler of its device
    #[arg(long)]
    scheduler: Vec<String>,
    /// Words for the command that makes the backing file system
    #[arg(long, value_delimiter = ' ', allow_hyphen_values = true)]
    mkfs: Vec<String>,
    /// A new disk for each turn, so that each pays for pages that were never written
    #[arg(long)]
    new_disk: bool,
    /// Zones of the device of all jobs but those whose name says how many
    #[arg(long, default_value_t = 24)]
    zones: u32,
    #[arg(long, default_value_t = 64)]
    zone_mib: u32,
    /// Hardware queues of each device (default: one for each processor)
    #[arg(long)]
    queues: Option<usize>,
    /// Module that makes native zone appends
    #[arg(long, default_value = "zloop_append.ko")]
    append: String,
    /// Tar archive for the jobs that unpack one
    #[arg(long, default_value = "project.tar")]
    tar: String,
    /// Size of the disk of the backing file system
    #[arg(long, default_value_t = 2048)]
    disk_mib: u64,
    /// Compare with what was recorded here, and print TAP
    #[arg(long)]
    recorded: Option<String>,
    /// Where the results go
    #[arg(long)]
    out: String,
    /// Have the instructions of each job counted by address, in this directory
    #[arg(long)]
    profile: Option<String>,
}

/// Where a file system on a contestant's device is mounted.
pub const ON_DEVICE: &str = "/mnt/on-device";
/// Copy of the archive in memory.
const TAR: &str = "/tmp/project.tar";
/// Bytes at the start of each zone that reads find.
const READABLE: usize = 4 << 20;

pub struct Guest {
    args: GuestArgs,
    pub paths: Paths,
    run: Run,
    began: u64,
    failed: bool,
}

/// What a job measured, before it is known of whom and when.
pub struct Measured {
    pub value: Value,
    pub latency_us: Option<(f64, f64)>,
}

impl From<Value> for Measured {
    fn from(value: Value) -> Self {
        Self {
            value,
            latency_us: None,
        }
    }
}

/// Runs everything; false if something failed.
pub fn main(args: GuestArgs) -> Res<bool> {
    let jobs = job::select(&args.jobs)?;
    // fio leaves files in its current directory.
    tried("/tmp", std::env::set_current_dir("/tmp"))?;
    let mut guest = Guest {
        paths: Paths {
            modules: by_contestant(&args.module)?,
            rublk: args.rublk.clone(),
            options: by_contestant(&args.options)?,
            schedulers: by_contestant(&args.scheduler)?,
            queues: args.queues,
        },
        run: Run {
            licence: crate::sample::licence(),
            mode: args.mode,
            machine: machine(&args)?,
            setups: BTreeMap::new(),
            samples: Vec::new(),
        },
        began: real_time(),
        failed: false,
        args,
    };
    guest.prepare()?;
    for round in 1..=guest.args.rounds {
        for contestant in guest.args.contestants.clone() {
            guest.turn(contestant, round, &jobs);
        }
    }
    if let Some(path) = &guest.args.recorded {
        let recorded = serde_json::from_str(&get(path)?).map_err(|e| format!("{path}: {e}"))?;
        let (text, good) = regression::check(&guest.run, &recorded);
        print!("{text}");
        return Ok(good && !guest.failed);
    }
    Ok(!guest.failed)
}

/// The values of CONTESTANT=VALUE.
fn by_contestant(words: &[String]) -> Res<BTreeMap<Contestant, String>> {
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').ok_or(format!("{word}: no ="))?;
        let contestant = <Contestant as clap::ValueEnum>::from_str(name, false)?;
        Ok((contestant, value.to_owned()))
    };
    words.iter().map(pair).collect()
}

fn machine(args: &GuestArgs) -> Res<Machine> {
    let version = get("/proc/version")?;
    let memory = field(&get("/proc/meminfo")?, "MemTotal");
    Ok(Machine {
        kernel: get("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        compiler: version
            .split(['(', ')', ','])
            .map(str::trim)
            .find(|part| part.contains("gcc"))
            .unwrap_or_default()
            .to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        cpu: field(&get("/proc/cpuinfo")?, "model name"),
        memory_mib: memory
            .split(' ')
            .next()
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap_or(0)
            / 1024,
        fio: run("fio", &["--version"])?.trim().to_owned(),
        backing: [args.fs.as_str()]
            .into_iter()
            .chain(args.mkfs.iter().map(String::as_str))
            .chain([if args.new_disk {
                "on new brd"
            } else {
                "on brd"
            }])
            .collect::<Vec<_>>()
            .join(" "),
        ..Machine::default()
    })
}

impl Guest {
    fn prepare(&mut self) -> Res<()> {
        // rublk has a file open for each zone.
        let limit = setrlimit(Resource::RLIMIT_NOFILE, 1 << 20, 1 << 20);
        tried("raise the limit of open files", limit.map_err(Into::into))?;
        // It would look at each new disk, in the time that is measured.
        let _ = run("udevadm", &["control", "--exit"]);
        backing::prepare_disk(self.args.disk_mib)?;
        tried(ON_DEVICE, fs::create_dir_all(ON_DEVICE))?;
        // Programs and modules come from the host, which takes real time: have them in memory before.
        if Path::new(&self.args.tar).exists() {
            tried(TAR, fs::copy(&self.args.tar, TAR))?;
            run("tar", &["-tf", TAR])?;
        }
        for module in ["xfs", "ext4", "btrfs"] {
            run("modprobe", &[module])?;
        }
        for program in ["mkfs.btrfs", "mount", "sync"] {
            run(program, &["--version"])?;
        }
        // All of this one, not just what shows a version.
        run("sh", &["-c", "cat $(command -v fio touch sh) >/dev/null"])?;
        println!(
            "# Linux {}, {} processor(s), {}, ready",
            self.run.machine.kernel, self.run.machine.cpus, self.run.machine.backing,
        );
        self.began = real_time();
        Ok(())
    }

    /// One contestant's turn of a round: the jobs on one device, then those that make their own.
    fn turn(&mut self, contestant: Contestant, round: u32, jobs: &[Job]) {
        let on_device: Vec<_> = jobs
            .iter()
            .filter(|job| applies(contestant, job.kind))
            .filter(|job| !matches!(job.kind, Kind::Lifecycle { .. }))
            .collect();
        if !on_device.is_empty() {
            let res = self.with_backing(contestant, |guest| {
                contestant.prepare()?;
                let geometry = Geometry {
                    zones: guest.args.zones,
                    zone_mib: guest.args.zone_mib,
                };
                let mut target = contestant.add(&guest.paths, geometry)?;
                contestant.set_up(&guest.paths, &mut target)?;
                if target.zoned {
                    guest.run.setups.insert(contestant, target.setup.clone());
                }
                for job in &on_device {
                    let measured = guest.measure(contestant, job, &target);
                    guest.keep(job.name, contestant, round, measured);
                }
                contestant.remove(&guest.paths)
            });
            if let Err(e) = res {
                self.keep("set-up", contestant, round, Err(e));
            }
        }
        for job in jobs.iter().filter(|job| applies(contestant, job.kind)) {
            let Kind::Lifecycle { zones } = job.kind else {
                continue;
            };
            // Long, and the same each time.
            if zones >= 10_000 && round > 1 && self.args.mode == Mode::Icount {
                continue;
            }
            let res = self.with_backing(contestant, |guest| {
                lifecycle::measure(guest, contestant, zones, round)
            });
            if let Err(e) = res {
                self.keep(job.name, contestant, round, Err(e));
            }
        }
    }

    /// Runs `what` with a new backing file system and the contestant's module.
    fn with_backing(
        &mut self,
        contestant: Contestant,
        what: impl FnOnce(&mut Self) -> Res<()>,
    ) -> Res<()> {
        if self.args.new_disk {
            backing::new_disk(self.args.disk_mib)?;
        }
        let backing = Backing::make(&self.args.fs, &self.args.mkfs)?;
        let res = contestant.load(&self.paths).and_then(|()| {
            what(self)?;
            contestant.unload()
        });
        if res.is_err() {
            contestant.clean_up(&self.paths);
        }
        let unmounted = backing.unmount();
        res.and(unmounted)
    }

    fn measure(&self, contestant: Contestant, job: &Job, target: &Target) -> Res<Measured> {
        run("sync", &[])?;
        match job.kind {
            Kind::Fio(fio) => self.fio(contestant, job.name, &fio, target),
            Kind::Append { bytes, batch } => {
                let device = Device::open(&target.path)?;
                device.reset_all()?;
                let count = (96 << 20) / bytes;
                let count = count.min(4096);
                let seconds = self.counted(contestant, job.name, count, || {
                    append::append(
                        &self.args.append,
                        &target.path,
                        device.zone_bytes,
                        bytes,
                        count,
                        batch,
                    )
                })?;
                Ok(Value::Time {
                    ops: count,
                    seconds,
                }
                .into())
            }
            Kind::Reset => zone_commands(target, Device::reset_one),
            Kind::Finish => zone_commands(target, Device::finish),
            Kind::Btrfs => btrfs(&target.path),
            Kind::Lifecycle { .. } => Err("needs a device of its own".into()),
        }
    }

    fn fio(&self, contestant: Contestant, name: &str, job: &Fio, target: &Target) -> Res<Measured> {
        if target.zoned {
            let device = Device::open(&target.path)?;
            device.reset_all()?;
            if !job.rw.is_write() {
                device.fill(READABLE)?;
            }
        }
        let mut job = *job;
        if contestant.extends() {
            // In sequence. Each job of fio has a file, as it would have a zone. Those of the last
            // run, of which there may have been more, would not leave enough room.
            job.rw = Rw::Write;
            let _ = (0..)
                .take_while(|no| fs::remove_file(format!("{}.{no}", target.path)).is_ok())
                .count();
        }
        let output = "/tmp/fio.json";
        let foreign = format!("{DIR}/foreign");
        let place = fio::Place {
            path: &target.path,
            zoned: target.zoned,
            size: target.size,
            grows: contestant.extends(),
            ahead: contestant == Contestant::FloorAhead,
            foreign: &foreign,
            runtime_ms: self.args.runtime_ms,
            ramp_ms: self.args.ramp_ms,
            output,
            begun: self.args.profile.as_ref().map(|_| profile::BEGUN),
        };
        let args = fio::arguments(&job, &place);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let _ = fs::remove_file(output);
        if let Some(dir) = &self.args.profile {
            let name = profile_name(contestant, name);
            profile::middle_of(dir, &name, || run("fio", &args).map(drop))?;
        } else {
            run("fio", &args)?;
        }
        let text = get(output)?;
        let result = fio::parse(&text, job.rw.is_write())?;
        Ok(Measured {
            value: Value::Time {
                ops: result.ops,
                seconds: result.seconds,
            },
            latency_us: Some(result.latency_us),
        })
    }

    /// Runs `what`, with its instructions counted by address if that was asked for.
    pub fn counted<T>(
        &self,
        contestant: Contestant,
        name: &str,
        ops: u64,
        what: impl FnOnce() -> Res<T>,
    ) -> Res<T> {
        match &self.args.profile {
            Some(dir) => profile::all_of(dir, &profile_name(contestant, name), ops, what),
            None => what(),
        }
    }

    /// Prints a sample and adds it to the file of results.
    pub fn keep(
        &mut self,
        name: &str,
        contestant: Contestant,
        round: u32,
        measured: Res<Measured>,
    ) {
        let measured = measured.unwrap_or_else(|e| {
            self.failed = true;
            Value::Failed(e).into()
        });
        let text = match &measured.value {
            Value::Failed(e) => format!("FAILED: {e}"),
            value => crate::table::cost(self.run.mode, value),
        };
        println!(
            "# {:5} s  round {round}  {:<9} {name:<30} {text}",
            real_time().saturating_sub(self.began),
            contestant.title(),
        );
        self.run.samples.push(Sample {
            job: name.to_owned(),
            contestant,
            round,
            value: measured.value,
            latency_us: measured.latency_us,
        });
        let json = serde_json::to_string(&self.run).map_err(|e| e.to_string());
        if let Err(e) = json.and_then(|json| put(&self.args.out, &json)) {
            println!("{e}");
            self.failed = true;
        }
    }
}

fn profile_name(contestant: Contestant, job: &str) -> String {
    format!("{job}.{}", contestant.title().replace(' ', "-"))
}

/// Whether a job can be run on a contestant.
fn applies(contestant: Contestant, kind: Kind) -> bool {
    match (contestant, kind) {
        (Contestant::Floor, kind) => matches!(kind, Kind::Fio(_) | Kind::Lifecycle { .. }),
        (_, Kind::Fio(fio)) if contestant.extends() => fio.rw.is_write(),
        _ => !contestant.extends(),
    }
}

/// Times a command for each zone, after 4 KiB were written to it, several times over.
fn zone_commands(target: &Target, command: impl Fn(&Device, u32) -> Res<()>) -> Res<Measured> {
    const TIMES: u32 = 8;
    let device = Device::open(&target.path)?;
    let mut total = 0.0;
    for _ in 0..TIMES {
        device.reset_all()?;
        device.fill(4096)?;
        let ((), seconds) =
            timed(|| (0..device.zones).try_for_each(|zone| command(&device, zone)))?;
        total += seconds;
    }
    device.reset_all()?;
    Ok(Value::Time {
        ops: u64::from(TIMES * device.zones),
        seconds: total,
    }
    .into())
}

/// A file system's life, as a shell script would have it.
fn btrfs(device: &str) -> Res<Measured> {
    Device::open(device)?.reset_all()?;
    let ((), seconds) = timed(|| {
        run(
            "mkfs.btrfs",
            &["-q", "-f", "-d", "single", "-m", "single", device],
        )?;
        run("mount", &["-t", "btrfs", device, ON_DEVICE])?;
        run("tar", &["-C", ON_DEVICE, "-xf", TAR])?;
        run("sync", &["-f", ON_DEVICE])?;
        run("umount", &[ON_DEVICE]).map(drop)
    })?;
    Ok(Value::Time { ops: 1, seconds }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_by_contestant() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let map = by_contestant(&words("c=a c-none=b=c")).unwrap();
        assert_eq!(map[&Contestant::C], "a");
        assert_eq!(map[&Contestant::CNone], "b=c");
        assert!(by_contestant(&words("c")).is_err());
        assert!(by_contestant(&words("d=a")).is_err());
    }
}
