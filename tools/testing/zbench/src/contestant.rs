// SPDX-License-Identifier: GPL-2.0

//! How each contestant is set up and taken down.

use crate::backing::DIR;
use crate::sample::Contestant;
use crate::system::{get, open_direct, put, run, tried, Res};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use zbd::pattern::Buffer;

/// Where the contestants' modules and programs are, and what is not as usual with their devices.
pub struct Paths {
    pub modules: BTreeMap<Contestant, String>,
    pub rublk: String,
    /// Options of `add`, in place of those of [`Contestant::options`].
    pub options: BTreeMap<Contestant, String>,
    pub schedulers: BTreeMap<Contestant, String>,
    /// Hardware queues; as many as there are processors if that is not said.
    pub queues: Option<usize>,
}

/// Size of a device.
#[derive(Clone, Copy)]
pub struct Geometry {
    pub zones: u32,
    pub zone_mib: u32,
}

/// What a job runs on.
pub struct Target {
    pub path: String,
    pub zoned: bool,
    /// How much of a file to use.
    pub size: Option<u64>,
    /// Options and I/O scheduler of a device.
    pub setup: String,
}

/// The short ways of this driver. They are the default, but not in old revisions.
const SHORT_WAYS: [&str; 3] = ["submit_inline=1", "prealloc_kb=4096", "fua=1"];

/// What turns all of them off, all but one, or what else there is off.
const PLAIN: &str = "submit_inline=0,prealloc_kb=0,fua=0";
const PLAIN_INLINE: &str = "submit_inline=1,prealloc_kb=0,fua=0";
const PLAIN_AHEAD: &str = "submit_inline=0,prealloc_kb=4096,fua=0";
const PLAIN_FUA: &str = "submit_inline=0,prealloc_kb=0,fua=1";
const SINGLE: &str = "submit_inline=1,prealloc_kb=4096,fua=1,append_batch_kb=0";

const ZLOOP_CONTROL: &str = "/dev/zloop-control";
const NULL_DIR: &str = "/sys/kernel/config/nullb/nullb0";
/// Bytes of the file that is written before.
const FLOOR_BYTES: u64 = 256 << 20;
/// Bytes that the file that is extended may get.
const EXTEND_BYTES: u64 = 1 << 30;

impl Contestant {
    pub fn zoned(self) -> bool {
        self != Contestant::Floor && !self.extends()
    }

    /// Writes make a file longer.
    pub fn extends(self) -> bool {
        matches!(self, Contestant::FloorExt | Contestant::FloorAhead)
    }

    /// Keeps its zones in a directory of the backing file system.
    pub fn persistent(self) -> bool {
        self.zoned() && self != Contestant::Null
    }

    /// Has the interface of the zloop drivers.
    fn is_zloop(self) -> bool {
        matches!(
            self.module(),
            Contestant::C | Contestant::Base | Contestant::Zloop
        )
    }

    /// The contestant that brings the module.
    fn module(self) -> Contestant {
        match self {
            Contestant::CNone => Contestant::C,
            Contestant::Plain
            | Contestant::PlainInline
            | Contestant::PlainAhead
            | Contestant::PlainFua
            | Contestant::Single => Contestant::Zloop,
            other => other,
        }
    }

    /// Options of `add` beyond the geometry. Another revision gets those that it knows.
    fn options(self, paths: &Paths) -> Res<String> {
        if let Some(options) = paths.options.get(&self) {
            return Ok(options.clone());
        }
        match self {
            Contestant::Plain => return Ok(PLAIN.into()),
            Contestant::PlainInline => return Ok(PLAIN_INLINE.into()),
            Contestant::PlainAhead => return Ok(PLAIN_AHEAD.into()),
            Contestant::PlainFua => return Ok(PLAIN_FUA.into()),
            Contestant::Single => return Ok(SINGLE.into()),
            Contestant::Base | Contestant::Zloop => {}
            _ => return Ok(String::new()),
        }
        let known = get(ZLOOP_CONTROL)?;
        let ways: Vec<_> = SHORT_WAYS
            .into_iter()
            .filter(|way| known.contains(way.split_once('=').map_or(*way, |(name, _)| name)))
            .collect();
        Ok(ways.join(","))
    }

    /// The scheduler that a device is to have, where that is not left to the kernel.
    fn scheduler(self, paths: &Paths) -> Option<&str> {
        let none = (self == Contestant::CNone).then_some("none");
        paths.schedulers.get(&self).map(String::as_str).or(none)
    }

    /// Loads what it needs.
    pub fn load(self, paths: &Paths) -> Res<()> {
        match self {
            Contestant::Floor | Contestant::FloorExt | Contestant::FloorAhead => Ok(()),
            Contestant::Null => run("modprobe", &["null_blk", "nr_devices=0"]).map(drop),
            Contestant::Rublk => {
                run("modprobe", &["ublk_drv"])?;
                run(&paths.rublk, &["--version"]).map(drop)
            }
            _ => {
                let module = paths.modules.get(&self.module());
                run("insmod", &[module.ok_or("no module was given")?]).map(drop)
            }
        }
    }

    /// Unloads it, so that the next contestant has the names and the memory.
    pub fn unload(self) -> Res<()> {
        match self {
            Contestant::Floor | Contestant::FloorExt | Contestant::FloorAhead => Ok(()),
            Contestant::Null => run("rmmod", &["null_blk"]).map(drop),
            Contestant::Rublk => run("rmmod", &["ublk_drv"]).map(drop),
            _ => run("rmmod", &["zloop"]).map(drop),
        }
    }

    /// The directory of a zoned device, made if it is missing.
    fn directory(self) -> Res<String> {
        let dir = match self {
            Contestant::Rublk => format!("{DIR}/rublk"),
            _ => format!("{DIR}/zloop/0"),
        };
        tried(&dir, fs::create_dir_all(&dir))?;
        Ok(dir)
    }

    /// What is to be done before `add`, and is no part of its time.
    pub fn prepare(self) -> Res<()> {
        if self.persistent() {
            self.directory()?;
        }
        Ok(())
    }

    /// What is set and to be said about a device once it is there.
    pub fn set_up(self, paths: &Paths, target: &mut Target) -> Res<()> {
        if !target.zoned {
            return Ok(());
        }
        let name = target.path.rsplit('/').next().unwrap_or_default();
        let file = format!("/sys/block/{name}/queue/scheduler");
        if let Some(scheduler) = self.scheduler(paths) {
            put(&file, scheduler)?;
        }
        let options = if self.is_zloop() {
            self.options(paths)?
        } else {
            String::new()
        };
        let scheduler = get(&file)?;
        let used = scheduler.split(['[', ']']).nth(1).unwrap_or("none");
        let comma = if options.is_empty() { "" } else { ", " };
        target.setup = format!("{options}{comma}scheduler {used}");
        Ok(())
    }

    /// Makes the device, or opens what is in the directory of an earlier one.
    pub fn add(self, paths: &Paths, geometry: Geometry) -> Res<Target> {
        let Geometry { zones, zone_mib } = geometry;
        let mib = u64::from(zones) * u64::from(zone_mib);
        let queues = std::thread::available_parallelism().map_or(1, usize::from);
        let queues = paths.queues.unwrap_or(queues);
        let device = |path: &str| Target {
            path: path.to_owned(),
            zoned: true,
            size: None,
            setup: String::new(),
        };
        match self {
            Contestant::Floor => {
                let path = format!("{DIR}/written");
                tried(&path, fs::write(&path, ""))?;
                let file = open_direct(&path)?;
                let buffer = Buffer::new(1 << 20);
                for at in (0..FLOOR_BYTES).step_by(buffer.bytes().len()) {
                    tried(&path, file.write_all_at(buffer.bytes(), at))?;
                }
                tried(&path, file.sync_all())?;
                Ok(Target {
                    path,
                    zoned: false,
                    size: Some(FLOOR_BYTES),
                    setup: String::new(),
                })
            }
            Contestant::FloorExt | Contestant::FloorAhead => Ok(Target {
                path: format!("{DIR}/extended"),
                zoned: false,
                size: Some(EXTEND_BYTES),
                setup: String::new(),
            }),
            Contestant::Null => {
                tried(NULL_DIR, fs::create_dir(NULL_DIR))?;
                for (name, value) in [
                    ("size", mib.to_string()),
                    ("zone_size", zone_mib.to_string()),
                    ("submit_queues", queues.to_string()),
                    ("blocksize", "4096".into()),
                    // As the C driver has it; the default splits 128 KiB.
                    ("max_sectors", "2048".into()),
                    ("memory_backed", "1".into()),
                    ("zone_nr_conv", "0".into()),
                    ("zoned", "1".into()),
                    ("hw_queue_depth", "128".into()),
                    ("power", "1".into()),
                ] {
                    put(&format!("{NULL_DIR}/{name}"), &value)?;
                }
                Ok(device("/dev/nullb0"))
            }
            Contestant::Rublk => {
                let dir = self.directory()?;
                // Its default is to write 256 MiB ahead, more than a zone here.
                let ahead = zone_mib.min(32);
                let command = format!(
                    "add zoned -n 0 -q {queues} -d 128 --quiet --path {dir} --conv-zones 0 --size {mib}MiB \
                     --zone-size {zone_mib}MiB --pre-alloc-size {ahead}MiB --logical-block-size 4096"
                );
                let args: Vec<&str> = command.split(' ').collect();
                run(&paths.rublk, &args)?;
                Ok(device("/dev/ublkb0"))
            }
            _ => {
                let mut command = format!(
                    "add id=0,capacity_mb={mib},zone_size_mb={zone_mib},conv_zones=0,nr_queues={queues},base_dir={DIR}/zloop"
                );
                let options = self.options(paths)?;
                if !options.is_empty() {
                    command += &format!(",{options}");
                }
                put(ZLOOP_CONTROL, &command)?;
                Ok(device("/dev/zloop0"))
            }
        }
    }

    /// Removes the device; what is in its directory stays.
    pub fn remove(self, paths: &Paths) -> Res<()> {
        match self {
            Contestant::Floor | Contestant::FloorExt | Contestant::FloorAhead => Ok(()),
            Contestant::Null => tried(NULL_DIR, fs::remove_dir(NULL_DIR)),
            Contestant::Rublk => run(&paths.rublk, &["del", "-n", "0"]).map(drop),
            _ => put(ZLOOP_CONTROL, "remove id=0"),
        }
    }

    /// Takes down whatever a failed job has left, as far as that is possible.
    pub fn clean_up(self, paths: &Paths) {
        let _ = nix::mount::umount("/mnt/on-device");
        let _ = self.remove(paths);
        // A daemon may still be about to end.
        std::thread::sleep(Duration::from_millis(200));
        let _ = self.unload();
        if self.is_zloop() && Path::new("/sys/module/zloop").exists() {
            let refs = get("/sys/module/zloop/refcnt").unwrap_or_default();
            println!("  {} stays loaded, {} users", self.title(), refs.trim());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_share_a_module() {
        assert_eq!(Contestant::Plain.module(), Contestant::Zloop);
        assert_eq!(Contestant::CNone.module(), Contestant::C);
        for contestant in Contestant::ALL {
            assert_eq!(contestant.module().module(), contestant.module());
            assert_eq!(contestant.is_zloop(), contestant.module().is_zloop());
        }
        assert!(!Contestant::Rublk.is_zloop() && !Contestant::Floor.is_zloop());
    }

    #[test]
    fn what_is_asked_for_comes_before_what_is_usual() {
        let mut paths = Paths {
            modules: BTreeMap::new(),
            rublk: String::new(),
            options: BTreeMap::new(),
            schedulers: BTreeMap::new(),
            queues: None,
        };
        assert_eq!(Contestant::Plain.options(&paths).unwrap(), PLAIN);
        assert_eq!(Contestant::C.scheduler(&paths), None);
        assert_eq!(Contestant::CNone.scheduler(&paths), Some("none"));
        paths.options.insert(Contestant::Zloop, "fua=1".into());
        paths.schedulers.insert(Contestant::C, "kyber".into());
        assert_eq!(Contestant::Zloop.options(&paths).unwrap(), "fua=1");
        assert_eq!(Contestant::C.scheduler(&paths), Some("kyber"));
    }
}
