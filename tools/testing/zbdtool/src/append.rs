// SPDX-License-Identifier: GPL-2.0

//! Native zone appends: NVMe Zone Append commands to a ZNS namespace whose backend is the device under test.

use crate::pattern::{self, Buffer, Rng};
use crate::uapi::{self, NvmeUringCmd, ZoneOp, NVME_URING_CMD_IO, NVME_ZONE_APPEND, SECTOR};
use crate::zones;
use clap::Args;
use io_uring::{cqueue, opcode, squeue, types, IoUring};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};
pub use zbd::nvme::{Namespace, Outcome};

/// Options of `zbdtool append`.
#[derive(Args)]
pub struct AppendArgs {
    /// NVMe namespace block device
    dev: String,
    /// Zone to append to
    #[arg(long)]
    zone: u32,
    /// Bytes of one append
    #[arg(long)]
    len: usize,
    /// Number of appends, one after the other
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// Seed of the data; position-independent, counted up for each append
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Namespace id
    #[arg(long, default_value_t = 1)]
    nsid: u32,
}

/// Appends one by one and prints where each one went.
pub fn append(args: &AppendArgs) -> io::Result<bool> {
    let ns = Namespace::open(&args.dev, args.nsid)?;
    let mut buf = Buffer::new(args.len);
    let mut good = true;
    for i in 0..args.count {
        pattern::fill(buf.bytes_mut(), args.seed + u64::from(i), 0);
        match ns.append(args.zone, buf.bytes_mut()) {
            Outcome::Done(sector) => println!("ok sector={sector}"),
            Outcome::Status(status) => println!("status=0x{status:x}"),
            Outcome::Failed(e) => {
                println!("errno={e:?}");
                good = false;
            }
        }
    }
    Ok(good)
}

/// Options of `zbdtool append-hammer`.
#[derive(Args)]
pub struct HammerArgs {
    /// NVMe namespace block device
    dev: String,
    /// First zone
    #[arg(long)]
    first: u32,
    /// Number of zones, chosen at random for each append
    #[arg(long, default_value_t = 1)]
    zones: u32,
    /// Appending threads
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// Bytes of one append
    #[arg(long)]
    len: usize,
    /// How long to run
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// File for the acknowledged appends
    #[arg(long)]
    acks: Option<String>,
    /// Also reset the zones at random, through this device
    #[arg(long)]
    reset_dev: Option<String>,
    /// Rest of a thread after each append, in milliseconds
    #[arg(long, default_value_t = 0)]
    rest: u64,
    /// Pause after a failed append, in milliseconds
    #[arg(long, default_value_t = 1)]
    pause: u64,
    /// Namespace id
    #[arg(long, default_value_t = 1)]
    nsid: u32,
}

/// Many threads append to the same zones; what was acknowledged is written to a file.
pub fn hammer(args: &HammerArgs) -> io::Result<bool> {
    let stop = AtomicBool::new(false);
    let (done, failed, resets) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let acks = Mutex::new(Vec::new());
    // Opened before there are threads to be stopped.
    let namespaces: io::Result<Vec<Namespace>> = (0..args.threads)
        .map(|_| Namespace::open(&args.dev, args.nsid))
        .collect();
    let namespaces = namespaces?;
    let to_reset = match &args.reset_dev {
        Some(dev) => {
            let file = uapi::open_dev(dev, libc::O_DIRECT)?;
            let sectors = zones::geometry(&file)?.zone_size / SECTOR;
            Some((file, sectors))
        }
        None => None,
    };
    std::thread::scope(|scope| {
        for (t, ns) in namespaces.into_iter().enumerate() {
            let (stop, done, failed, acks) = (&stop, &done, &failed, &acks);
            scope.spawn(move || {
                let mut rng = Rng::new(t as u64 + 1);
                let mut buf = Buffer::new(args.len);
                let mut own = Vec::new();
                let mut serial = (t as u64 + 1) << 32;
                while !stop.load(Ordering::Relaxed) {
                    serial += 1;
                    pattern::fill(buf.bytes_mut(), serial, 0);
                    let zone = args.first + rng.below(args.zones as usize) as u32;
                    match ns.append(zone, buf.bytes_mut()) {
                        Outcome::Done(sector) => {
                            done.fetch_add(1, Ordering::Relaxed);
                            own.push((sector, serial));
                        }
                        _ => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(args.pause));
                        }
                    }
                    std::thread::sleep(Duration::from_millis(args.rest));
                }
                acks.lock().unwrap_or_else(|e| e.into_inner()).extend(own);
            });
        }
        if let Some((file, sectors)) = to_reset {
            let (stop, resets) = (&stop, &resets);
            scope.spawn(move || {
                let mut rng = Rng::new(99);
                while !stop.load(Ordering::Relaxed) {
                    let zone = u64::from(args.first) + rng.next() % u64::from(args.zones);
                    if uapi::zone_op(&file, ZoneOp::Reset, zone * sectors, sectors).is_ok() {
                        resets.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_micros(rng.next() % 3000));
                }
            });
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(args.seconds) {
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!(
        "appends={} failed={} resets={}",
        done.load(Ordering::Relaxed),
        failed.load(Ordering::Relaxed),
        resets.load(Ordering::Relaxed)
    );
    if let Some(path) = &args.acks {
        let mut out = io::BufWriter::new(File::create(path)?);
        for (sector, serial) in acks.into_inner().unwrap_or_else(|e| e.into_inner()) {
            writeln!(out, "{sector} {} {serial}", args.len)?;
        }
        out.flush()?;
    }
    Ok(done.load(Ordering::Relaxed) > 0)
}

/// Reads back every acknowledged append of `acks`; false if one is lost, overwritten or given twice.
pub fn verify(dev: &str, acks: &str) -> io::Result<bool> {
    let file = uapi::open_dev(dev, libc::O_DIRECT)?;
    let mut list = Vec::new();
    for line in fs::read_to_string(acks)?.lines() {
        let mut words = line
            .split(' ')
            .map(|w| w.parse::<u64>().unwrap_or(u64::MAX));
        if let (Some(sector), Some(len), Some(serial)) = (words.next(), words.next(), words.next())
        {
            list.push((sector, len, serial));
        }
    }
    list.sort_unstable();
    let (mut twice, mut lost) = (0, 0);
    for pair in list.windows(2) {
        if pair[0].0 + pair[0].1 / SECTOR > pair[1].0 {
            twice += 1;
        }
    }
    for (sector, len, serial) in &list {
        let mut buf = Buffer::new(*len as usize);
        let res = uapi::pread(&file, buf.bytes_mut(), sector * SECTOR);
        if res != Ok(*len as usize) || pattern::mismatch(buf.bytes(), *serial, 0).is_some() {
            if lost == 0 {
                println!("first lost append: sector {sector}, {len} bytes, read {res:?}");
            }
            lost += 1;
        }
    }
    println!(
        "acknowledged={} overlapping={twice} lost={lost}",
        list.len()
    );
    Ok(twice == 0 && lost == 0 && !list.is_empty())
}

/// Options of `zbdtool append-queue`.
#[derive(Args)]
pub struct QueueArgs {
    /// NVMe namespace character device (/dev/ngXnY)
    dev: String,
    /// The same namespace's block device, for its geometry
    #[arg(long)]
    block_dev: String,
    /// Zone to append to
    #[arg(long)]
    zone: u32,
    /// Number of appends, all in flight at once; the n-th is n logical blocks long
    #[arg(long, default_value_t = 16)]
    count: u32,
    /// Namespace id
    #[arg(long, default_value_t = 1)]
    nsid: u32,
}

/// Submits all appends from one thread without waiting and prints `len sector` of each.
pub fn queue(args: &QueueArgs) -> io::Result<bool> {
    let ns = Namespace::open(&args.block_dev, args.nsid)?;
    let file = uapi::open_dev(&args.dev, 0)?;
    let mut ring: IoUring<squeue::Entry128, cqueue::Entry32> =
        IoUring::builder().build(args.count.next_power_of_two())?;
    let slba = ns.slba(args.zone);
    let mut bufs: Vec<Buffer> = Vec::new();
    for i in 0..args.count {
        let mut buf = Buffer::new((ns.lba * u64::from(i + 1)) as usize);
        pattern::fill(buf.bytes_mut(), u64::from(i) + 1, 0);
        let cmd = NvmeUringCmd {
            opcode: NVME_ZONE_APPEND,
            nsid: args.nsid,
            addr: buf.bytes_mut().as_mut_ptr() as u64,
            data_len: buf.bytes().len() as u32,
            cdw10: slba as u32,
            cdw11: (slba >> 32) as u32,
            cdw12: i,
            timeout_ms: 60_000,
            ..Default::default()
        };
        let mut bytes = [0u8; 80];
        // SAFETY: NvmeUringCmd is plain data of 72 bytes, no more than the command area has.
        let raw: [u8; std::mem::size_of::<NvmeUringCmd>()] = unsafe { std::mem::transmute(cmd) };
        bytes[..raw.len()].copy_from_slice(&raw);
        let entry = opcode::UringCmd80::new(types::Fd(file.as_raw_fd()), NVME_URING_CMD_IO)
            .cmd(bytes)
            .build()
            .user_data(u64::from(i));
        // SAFETY: the buffer is kept in `bufs` until every completion has arrived.
        unsafe { ring.submission().push(&entry) }.map_err(|e| io::Error::other(e.to_string()))?;
        bufs.push(buf);
    }
    ring.submit_and_wait(args.count as usize)?;
    let mut good = 0;
    for entry in ring.completion() {
        let len = ns.lba * (entry.user_data() + 1);
        if entry.result() == 0 {
            println!("{len} {}", entry.big_cqe()[0] * ns.lba / SECTOR);
            good += 1;
        } else {
            println!("{len} result={}", entry.result());
        }
    }
    Ok(good == args.count)
}
