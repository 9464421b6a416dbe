// SPDX-License-Identifier: GPL-2.0

//! Zoned block device helper of the zloop functional tests.
//!
//! Does what shell tools cannot, or not fast enough in an emulated machine: exact errnos of zone operations and
//! direct I/O, verified patterns, parallel load, native zone appends, power cuts, tables of control commands.

mod append;
mod control;
mod faults;
mod fuzz;
mod fuzz_device;
mod fuzz_files;
mod hammer;
mod kernel_log;
mod overtake;
mod power;
mod script;
mod uevent;

use clap::{Parser, Subcommand};
use std::io::{self, Read, Write};
use std::process::ExitCode;
use zbd::{pattern, uapi, zones};

#[derive(Parser)]
#[command(about = "Zoned block device helper of the zloop functional tests")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a zone report, one line of key=value for each zone
    Report {
        /// Zoned block device
        dev: String,
        /// First zone
        #[arg(long, default_value_t = 0)]
        first: u32,
        /// Number of zones (default: all that follow)
        #[arg(long)]
        count: Option<u32>,
        /// Use the block layer's cached report
        #[arg(long)]
        cached: bool,
    },
    /// Run the steps of standard input on a device ('STEP = EXPECTED' lines)
    Script {
        /// Zoned block device, or fd:N
        dev: String,
        /// Print every result
        #[arg(long, short)]
        verbose: bool,
    },
    /// Parallel writers with verification, zone management and reports
    Hammer(hammer::HammerArgs),
    /// Write, reset and write again while the task that has ended the first write gets no further
    Overtake(overtake::OvertakeArgs),
    /// Zone appends, one after the other
    Append(append::AppendArgs),
    /// Zone appends of many threads to the same zones
    AppendHammer(append::HammerArgs),
    /// Read back acknowledged appends
    AppendVerify {
        /// Zoned block device
        dev: String,
        /// File written by append-hammer
        acks: String,
    },
    /// Zone appends of growing length, all in flight at once, submitted in order
    AppendQueue(append::QueueArgs),
    /// Run a table of control commands of standard input ('ERRNO | log words | command' lines)
    Control {
        /// Control device
        #[arg(long, default_value = "/dev/zloop-control")]
        dev: String,
        /// Base directory whose zone files are deleted with each device that was added
        #[arg(long)]
        base: Option<String>,
        /// Print every result
        #[arg(long, short)]
        verbose: bool,
    },
    /// Write random and mutated commands to the control device
    Fuzz {
        /// Working directory; devices go to its subdirectory b
        base: String,
        /// Control device
        #[arg(long, default_value = "/dev/zloop-control")]
        dev: String,
        /// Number of commands
        #[arg(long, default_value_t = 1000)]
        count: u64,
        /// Seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Random ioctls and I/O to a device
    FuzzDevice(fuzz_device::DeviceArgs),
    /// Change the files of a device behind its back, in use and between removal and add
    FuzzFiles(fuzz_files::FilesArgs),
    /// Write a command of which only the first bytes are in mapped memory; prints ok or the errno
    ControlFault {
        /// Control device
        #[arg(long, default_value = "/dev/zloop-control")]
        dev: String,
        /// Number of bytes that can be read
        mapped: usize,
        /// The whole command
        text: String,
    },
    /// Print the kernel messages since the last one that ends with the text given
    KernelLog {
        /// End of the message before the first one wanted
        since: String,
        /// Only warnings and worse; fails if there are any
        #[arg(long)]
        bad: bool,
    },
    /// Add a device, open its node at the 'add' uevent, remove it, several times
    UeventOpen {
        /// Control device
        #[arg(long, default_value = "/dev/zloop-control")]
        dev: String,
        /// Number of times
        #[arg(long)]
        count: u32,
        /// Command that adds the device
        add: String,
        /// Command that removes it
        remove: String,
    },
    /// Write a command to the control device and, right after, unmount a file system
    ThenUmount {
        /// Control device
        #[arg(long, default_value = "/dev/zloop-control")]
        dev: String,
        /// Let a worker of io_uring write it
        #[arg(long)]
        io_uring: bool,
        /// The command
        command: String,
        /// Where the file system is mounted
        dir: String,
    },
    /// Allocation failures at each place of an operation in turn
    #[command(subcommand)]
    Faults(faults::Command),
    /// Power cuts: load, replay, judgement
    #[command(subcommand)]
    Power(Box<power::Command>),
    /// Open a device, print 'held' or the errno, keep it open until standard input ends
    Hold {
        /// Device
        dev: String,
        /// Open exclusively
        #[arg(long)]
        excl: bool,
        /// Open for reading only
        #[arg(long)]
        readonly: bool,
    },
}

fn hold(dev: &str, excl: bool, readonly: bool) -> io::Result<bool> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = if excl { libc::O_EXCL } else { 0 };
    let res = std::fs::File::options()
        .read(true)
        .write(!readonly)
        .custom_flags(flags)
        .open(dev);
    match &res {
        Ok(_) => println!("held"),
        Err(e) => println!("{}", uapi::errno_name(e)),
    }
    io::stdout().flush()?;
    if res.is_ok() {
        io::stdin().read_to_end(&mut Vec::new())?;
    }
    Ok(res.is_ok())
}

fn run(cli: Cli) -> io::Result<bool> {
    match cli.command {
        Command::Report {
            dev,
            first,
            count,
            cached,
        } => zones::print_report(&dev, first, count, cached).map(|()| true),
        Command::Script { dev, verbose } => script::run(&dev, verbose),
        Command::Hammer(args) => hammer::run(&args),
        Command::Overtake(args) => overtake::run(&args),
        Command::Append(args) => append::append(&args),
        Command::AppendHammer(args) => append::hammer(&args),
        Command::AppendVerify { dev, acks } => append::verify(&dev, &acks),
        Command::AppendQueue(args) => append::queue(&args),
        Command::Control { dev, base, verbose } => control::table(&dev, base.as_deref(), verbose),
        Command::Fuzz {
            base,
            dev,
            count,
            seed,
        } => fuzz::run(&dev, &base, count, seed),
        Command::FuzzDevice(args) => fuzz_device::run(&args),
        Command::FuzzFiles(args) => fuzz_files::run(&args),
        Command::ControlFault { dev, mapped, text } => {
            println!("{}", control::fault(&dev, mapped, text.as_bytes())?);
            Ok(true)
        }
        Command::KernelLog { since, bad } => kernel_log::print(&since, bad),
        Command::UeventOpen {
            dev,
            count,
            add,
            remove,
        } => uevent::run(&dev, &add, &remove, count),
        Command::ThenUmount {
            dev,
            io_uring,
            command,
            dir,
        } => {
            let written = if io_uring {
                control::command_by_worker(&dev, command.as_bytes())?
            } else {
                control::command(&dev, command.as_bytes())?
            };
            let umounted = nix::mount::umount(dir.as_str());
            println!("{command}: {written}, umount: {umounted:?}");
            Ok(written == "ok" && umounted.is_ok())
        }
        Command::Faults(command) => faults::run(&command),
        Command::Power(command) => power::run(&command),
        Command::Hold {
            dev,
            excl,
            readonly,
        } => hold(&dev, excl, readonly),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            println!("zbdtool: {}: {e}", uapi::errno_name(&e));
            ExitCode::from(2)
        }
    }
}
