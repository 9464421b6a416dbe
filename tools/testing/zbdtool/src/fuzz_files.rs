// SPDX-License-Identifier: GPL-2.0

//! The files of a device changed behind its back: what somebody who controls the backing directory can do.

use crate::control::{command, DEVICE};
use crate::pattern::{Buffer, Rng};
use crate::uapi::{self, ZoneOp, SECTOR};
use crate::zones;
use clap::Args;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{symlink, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Options of `zbdtool fuzz-files`.
#[derive(Args)]
pub struct FilesArgs {
    /// Base directory; the device is zloop0, in its subdirectory 0
    base: PathBuf,
    /// Options of the device besides base_dir and id
    options: String,
    /// Number of conventional zones
    #[arg(long)]
    conv: u32,
    /// Number of zones
    #[arg(long)]
    zones: u32,
    /// Bytes of a zone
    #[arg(long)]
    zone_size: u64,
    /// Number of steps
    #[arg(long, default_value_t = 1500)]
    count: u64,
    /// Seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const DISK: &str = "/dev/zloop0";

struct Fuzzer<'a> {
    args: &'a FilesArgs,
    dir: PathBuf,
    rng: Rng,
    results: BTreeMap<String, u64>,
    complaints: Vec<String>,
}

/// Removes whatever has that name.
fn clear(path: &Path) {
    let _ = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
}

/// Opens a file of the directory, whatever it has become: without waiting at a pipe, or following a link.
fn open(path: &Path, write: bool) -> io::Result<File> {
    File::options()
        .read(!write)
        .write(write)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)
}

impl Fuzzer<'_> {
    fn note(&mut self, what: &str, result: &str) {
        *self.results.entry(format!("{what}:{result}")).or_insert(0) += 1;
    }

    fn exists() -> bool {
        Path::new("/sys/block/zloop0").exists()
    }

    fn any_file(&mut self) -> PathBuf {
        let no = self.rng.below(self.args.zones as usize) as u32;
        let kind = if no < self.args.conv { "cnv" } else { "seq" };
        match self.rng.below(20) {
            0 => self.dir.join("zloop.geometry"),
            // One that the device does not have.
            1 => self.dir.join(format!("seq-{:06}", self.args.zones + no)),
            2 => self.dir.join(format!("cnv-{no:06}")),
            _ => self.dir.join(format!("{kind}-{no:06}")),
        }
    }

    fn size(&mut self) -> u64 {
        let zone = self.args.zone_size;
        match self.rng.below(7) {
            0 => 0,
            1 => zone,
            2 => zone + self.rng.next() % 8192,
            3 => self.rng.next() % zone / 4096 * 4096,
            4 => self.rng.next() % zone,
            5 => 1 << (20 + self.rng.below(22)),
            _ => 4096 * (self.rng.next() % 4),
        }
    }

    /// Changes one file; whether that works does not matter.
    fn tamper(&mut self) -> io::Result<()> {
        let path = self.any_file();
        let size = self.size();
        match self.rng.below(16) {
            0..=4 => open(&path, true)?.set_len(size),
            5 => fs::remove_file(&path),
            6 => {
                clear(&path);
                File::create(&path)?.set_len(size)
            }
            7 => {
                let other = self.any_file();
                fs::rename(other, &path)
            }
            8 => {
                clear(&path);
                let target = ["/dev/null", "seq-000003", "missing", "/proc/self/mem", "."];
                symlink(target[self.rng.below(target.len())], &path)
            }
            9 => {
                clear(&path);
                fs::create_dir(&path)
            }
            10 => {
                clear(&path);
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).map_err(io::Error::from)
            }
            11 => {
                let other = self.any_file();
                fs::hard_link(other, &path)
            }
            12 => {
                let mode = self.rng.below(0o1000) as u32;
                fs::set_permissions(&path, Permissions::from_mode(mode))
            }
            13 => {
                let bytes = self.rng.next().to_le_bytes();
                open(&path, true)?.write_all_at(&bytes, size)
            }
            _ => {
                // The geometry file: an old one with a few bytes changed.
                let path = self.dir.join("zloop.geometry");
                let mut text = Vec::new();
                if let Ok(file) = open(&path, false) {
                    let _ = file.take(5000).read_to_end(&mut text);
                }
                for _ in 0..1 + self.rng.below(3) {
                    let at = self.rng.below(text.len() + 1);
                    match self.rng.below(4) {
                        0 => text.truncate(at),
                        1 if at < text.len() => text[at] ^= 1 << self.rng.below(8),
                        2 => text.insert(at, b"0123456789=\n\0_"[self.rng.below(14)]),
                        _ => text.extend_from_within(at..),
                    }
                }
                text.truncate(5000);
                clear(&path);
                File::create(&path)?.write_all(&text)
            }
        }
    }

    /// Uses the device; any result will do.
    fn use_device(&mut self) -> io::Result<()> {
        let file = uapi::open_dev(DISK, libc::O_DIRECT)?;
        let zone = self.args.zone_size / SECTOR;
        let no = self.rng.next() % u64::from(self.args.zones);
        let mut buf = Buffer::new(4096 << self.rng.below(6));
        let wp = zones::report(&file, no * zone, 1, false)
            .ok()
            .and_then(|zones| zones.first().map(|zone| zone.wp * SECTOR))
            .unwrap_or(0);
        let op = [ZoneOp::Open, ZoneOp::Close, ZoneOp::Finish, ZoneOp::Reset][self.rng.below(4)];
        let (what, res) = match self.rng.below(8) {
            0..=3 => ("write", uapi::pwrite(&file, buf.bytes(), wp).map(|_| ())),
            4 => {
                let at =
                    no * self.args.zone_size + self.rng.next() % self.args.zone_size / 4096 * 4096;
                ("read", uapi::pread(&file, buf.bytes_mut(), at).map(|_| ()))
            }
            5 => ("fsync", uapi::fsync(&file)),
            _ => ("zone", uapi::zone_op(&file, op, no * zone, zone)),
        };
        match res {
            Ok(()) => self.note(what, "ok"),
            Err(e) => self.note(what, &format!("{e:?}")),
        }
        Ok(())
    }

    fn add(&mut self) -> io::Result<String> {
        let text = format!(
            "add id=0,base_dir={},{}",
            self.args.base.display(),
            self.args.options
        );
        let res = command(DEVICE, text.as_bytes())?;
        self.note("add", &res);
        if (res == "ok") != Self::exists() {
            self.complaints
                .push(format!("add: {res}, and the device is {}", Self::exists()));
        }
        if res == "ok" {
            // Whatever is in the files, what the device says of itself can be.
            let file = uapi::open_dev(DISK, 0)?;
            for zone in zones::report(&file, 0, self.args.zones, false)? {
                if let Some(what) = zones::inconsistency(&zone) {
                    self.complaints.push(format!("after add: {what}: {zone:?}"));
                }
            }
        }
        Ok(res)
    }

    fn remove(&mut self) -> io::Result<()> {
        let mut res = String::new();
        // udev may have it open exclusively for a moment.
        for _ in 0..50 {
            res = command(DEVICE, b"remove id=0")?;
            if res != "EBUSY" {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        self.note("remove", &res);
        if res != "ok" {
            self.complaints.push(format!("remove: {res}"));
        }
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        if !Self::exists() {
            match self.rng.below(4) {
                0 => drop(self.tamper()),
                _ => {
                    // What is refused stays so until it is put right.
                    if self.add()? != "ok" && self.rng.below(3) == 0 {
                        clear(&self.dir);
                        fs::create_dir(&self.dir)?;
                        if self.add()? != "ok" {
                            self.complaints.push("an empty directory is refused".into());
                        }
                    }
                }
            }
            return Ok(());
        }
        match self.rng.below(40) {
            0..=1 => self.remove(),
            2..=11 => {
                drop(self.tamper());
                Ok(())
            }
            _ => self.use_device(),
        }
    }
}

/// Runs the steps; false if an add or a removal did what it must not.
pub fn run(args: &FilesArgs) -> io::Result<bool> {
    let mut fuzzer = Fuzzer {
        args,
        dir: args.base.join("0"),
        rng: Rng::new(args.seed),
        results: BTreeMap::new(),
        complaints: Vec::new(),
    };
    for _ in 0..args.count {
        fuzzer.step()?;
    }
    if Fuzzer::exists() {
        fuzzer.remove()?;
    }
    println!(
        "steps={} seed={} {:?}",
        args.count, args.seed, fuzzer.results
    );
    for complaint in &fuzzer.complaints {
        println!("{complaint}");
    }
    let seen = |what: &str| fuzzer.results.contains_key(what);
    Ok(fuzzer.complaints.is_empty() && seen("add:ok") && seen("add:EINVAL") && seen("write:ok"))
}
