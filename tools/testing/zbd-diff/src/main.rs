// SPDX-License-Identifier: GPL-2.0

//! Drives two zoned block devices with the same steps and compares all that can be seen of them.
//!
//! The first device is the one under test; the second is null_blk or the C driver. Positions and lengths, legal and
//! illegal, are made up from a seed. A difference that the table in `known.rs` does not allow ends the run: the steps
//! are made few, and written down as a script that `replay` runs.

mod act;
mod compare;
mod exec;
mod gen;
mod known;
mod op;
mod op_text;
mod run;
mod script;
mod settle;
mod shrink;
#[cfg(test)]
mod sim;
mod stress;
mod tally;
mod target;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_known;
mod timed;
mod what;

use clap::{Args, Parser, Subcommand};
use run::{Arena, Contestant, Failure, Limits};
use settle::Settled;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stress::load::{Load, Mode};
use target::{Device, Name, Target};
use timed::{Spent, Timed};

#[derive(Parser)]
#[command(about = "Compares a zoned block device with another one")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run random steps on both devices
    Run(RunArgs),
    /// Run the steps of a script
    Replay(ReplayArgs),
    /// Print the table of known differences
    Known,
    /// Run threads on the same zones of one device, and check that what they see can be
    Stress(StressArgs),
    /// Check histories that a stress run has left
    Check {
        /// Histories
        file: String,
    },
}

/// Shorter appends may make the NVMe target of Linux 7.3 oops, which they go through: lib_nvmet.sh says how.
pub const SAFE_APPEND: u32 = 36 << 10;

#[derive(Args)]
struct Devices {
    /// The device under test: zloop=DEVICE[,NAMESPACE]
    ours: Name,
    /// The device to compare with: null_blk=, c-zloop= or zloop=DEVICE[,NAMESPACE]
    theirs: Name,
    /// Bytes of the shortest append
    #[arg(long, default_value_t = SAFE_APPEND)]
    append_min: u32,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    devices: Devices,
    /// Seed; without one, a random one, which is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Number of steps
    #[arg(long, default_value_t = 10_000)]
    ops: u64,
    /// Stop after that many seconds
    #[arg(long)]
    time: Option<u64>,
    /// Threads, each with zones of its own
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Steps of a case, after which the zones are reset
    #[arg(long, default_value_t = 2000)]
    case: u64,
    /// Write the steps that show a difference to this file
    #[arg(long)]
    script: Option<String>,
    /// Attempts to make them fewer
    #[arg(long, default_value_t = 500)]
    tries: u32,
    /// Seconds that these may take
    #[arg(long, default_value_t = 120)]
    trying: u64,
    /// Known differences that this run has to show, or they are no longer differences
    #[arg(long, value_delimiter = ',')]
    must: Vec<String>,
}

#[derive(Args)]
struct ReplayArgs {
    #[command(flatten)]
    devices: Devices,
    /// Script
    script: String,
    /// Number of times, for a script of several threads
    #[arg(long, default_value_t = 1)]
    times: u32,
}

#[derive(Args)]
struct StressArgs {
    /// The device: zloop=DEVICE[,NAMESPACE]
    device: Name,
    /// Seed; without one, a random one, which is printed
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    load: Load,
}

fn contestant<'a>(name: &'a Name, spent: &Arc<Spent>) -> io::Result<Contestant<'a>> {
    let geo = Device::open(name)?.geometry(name)?;
    let spent = spent.clone();
    Ok(Contestant {
        kind: name.kind,
        geo,
        open: Box::new(move || {
            let device = Box::new(Timed::new(Box::new(Device::open(name)?), spent.clone()));
            Ok(Box::new(Settled::new(device, geo.zone_size)) as Box<dyn Target + Send>)
        }),
    })
}

fn arena<'a>(devices: &'a Devices, threads: u32, spent: &[Arc<Spent>; 2]) -> io::Result<Arena<'a>> {
    let ours = contestant(&devices.ours, &spent[0])?;
    let theirs = contestant(&devices.theirs, &spent[1])?;
    if ours.geo.shape() != theirs.geo.shape() {
        let text = format!("not alike: ours {:?}, theirs {:?}", ours.geo, theirs.geo);
        return Err(io::Error::other(text));
    }
    if threads == 0 || (threads > 1 && (ours.geo.nr_zones - ours.geo.conv) / threads < 3) {
        return Err(io::Error::other("each thread needs three sequential zones"));
    }
    println!("ours: {} {:?}", devices.ours.kind.name(), ours.geo);
    println!("theirs: {} {:?}", devices.theirs.kind.name(), theirs.geo);
    Ok(Arena {
        append: (devices.ours.namespace.is_some() && devices.theirs.namespace.is_some())
            .then_some(devices.append_min),
        ours,
        theirs,
        threads,
    })
}

fn describe(failure: &Failure) {
    println!(
        "DIFFERENCE after {} steps: {}",
        failure.steps.len(),
        failure.what
    );
    for step in failure.steps.iter().rev().take(20).rev() {
        println!("    {step}");
    }
}

fn random(args: &RunArgs) -> io::Result<bool> {
    let seed = args.seed.unwrap_or_else(random_seed);
    println!("seed {seed}");
    let spent = <[Arc<Spent>; 2]>::default();
    let arena = arena(&args.devices, args.threads, &spent)?;
    let limits = Limits {
        steps: args.ops,
        time: args.time.map(Duration::from_secs),
        case: args.case,
        tries: args.tries,
        trying: Duration::from_secs(args.trying),
    };
    let write = |case: u64, failure: &Failure| -> io::Result<()> {
        describe(failure);
        let Some(path) = &args.script else {
            return Ok(());
        };
        let text = script::text(
            args.threads,
            &arena.ours.geo,
            &[
                format!("seed {seed}, case {case}"),
                failure.what.to_string(),
            ],
            &failure.steps,
        );
        println!("script: {path}");
        fs::write(path, text)
    };
    let began = Instant::now();
    // Before it is tried with fewer and fewer steps: who waits for that may run out of patience.
    let (tally, failed) = arena.run(seed, &limits, write)?;
    let took = began.elapsed().as_secs_f64();
    tally.print();
    println!(
        "steps={} seconds={took:.1} steps_per_second={:.0} threads={} seed={seed}",
        tally.steps,
        tally.steps as f64 / took,
        args.threads
    );
    println!("seconds of ours: {}; of theirs: {}", spent[0], spent[1]);
    if let Some((case, failure)) = failed {
        write(case, &failure)?;
        return Ok(false);
    }
    Ok(complete(&arena, &tally, args))
}

fn random_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |t| t.as_nanos() as u64 & 0xffff_ffff)
}

/// Whether a run that found nothing has looked everywhere it should.
fn complete(arena: &Arena, tally: &tally::Tally, args: &RunArgs) -> bool {
    let mut good = true;
    if tally.steps >= 1000 {
        let mut ops = vec![
            "write", "read", "open", "close", "finish", "reset", "report", "flush",
        ];
        if arena.append.is_some() {
            ops.push("append");
        }
        for op in ops {
            let (ok, failed) = tally.outcomes(op);
            // There is no illegal flush, and with few steps others need not be among them.
            let all_legal = failed == 0 && op != "flush" && tally.steps >= 5000;
            if ok == 0 || (all_legal && args.threads == 1) {
                println!("INCOMPLETE {op}: {ok} succeeded, {failed} failed");
                good = false;
            }
        }
    }
    for name in &args.must {
        let row = known::TABLE.iter().position(|known| known.name == name);
        if row.is_none_or(|row| tally.known[row] == 0) {
            println!("INCOMPLETE the known difference {name} was not seen");
            good = false;
        }
    }
    good
}

fn replay(args: &ReplayArgs) -> io::Result<bool> {
    let script = script::parse(&fs::read_to_string(&args.script)?).map_err(io::Error::other)?;
    let arena = arena(&args.devices, script.threads, &Default::default())?;
    let mut pairs = arena.pairs()?;
    for _ in 0..args.times {
        if let Err(failure) = arena.script(&mut pairs, &script.steps) {
            describe(&failure);
            return Ok(false);
        }
    }
    println!("no difference in {} steps", script.steps.len());
    Ok(true)
}

fn stress(args: &StressArgs) -> io::Result<bool> {
    let seed = args.seed.unwrap_or_else(random_seed);
    println!("seed {seed}");
    let geo = Device::open(&args.device)?.geometry(&args.device)?;
    println!("{} {geo:?}", args.device.kind.name());
    if args.load.mode != Mode::Writes && args.device.namespace.is_none() {
        return Err(io::Error::other("appends need a namespace"));
    }
    if args.load.zones == 0 || args.load.zones > geo.nr_zones - geo.conv {
        return Err(io::Error::other("there are not as many sequential zones"));
    }
    // What is acknowledged counts from then on: not settled.
    let open = || Ok(Box::new(Device::open(&args.device)?) as Box<dyn Target + Send>);
    stress::load::run(&args.load, geo, seed, &open)
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => random(&args),
        Command::Replay(args) => replay(&args),
        Command::Known => {
            known::print();
            Ok(true)
        }
        Command::Stress(args) => stress(&args),
        Command::Check { file } => stress::check_file(&file),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            println!("zbd-diff: {e}");
            ExitCode::from(2)
        }
    }
}
