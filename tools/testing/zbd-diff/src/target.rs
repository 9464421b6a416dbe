// SPDX-License-Identifier: GPL-2.0

//! The devices that are compared.

use nix::errno::Errno;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use zbd::nvme::{Namespace, Outcome};
use zbd::plugs::Plugs;
use zbd::uapi::{self, BlkZone, ZoneOp, SECTOR};
use zbd::zones;

/// How an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    Errno(Errno),
    /// NVMe status of an append, which goes through an NVMe target.
    Status(i32),
}

/// How an operation ended: the bytes moved, the sector of an append, or 0.
pub type Reply = Result<u64, Fail>;

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fail::Errno(errno) => write!(f, "{errno:?}"),
            Fail::Status(status) => write!(f, "status={status:#x}"),
        }
    }
}

/// A zoned block device, as one thread sees it.
pub trait Target {
    /// Writes at a byte position; with `sync`, durably (FUA).
    fn write(&mut self, pos: u64, data: &[u8], sync: bool) -> Reply;
    /// Reads at a byte position.
    fn read(&mut self, pos: u64, data: &mut [u8]) -> Reply;
    /// Appends to a zone.
    fn append(&mut self, zone: u32, data: &mut [u8]) -> Reply;
    /// Runs a zone management command on a range of sectors.
    fn manage(&mut self, op: ZoneOp, sector: u64, sectors: u64) -> Reply;
    /// Reports up to `count` zones from the one with `sector` on.
    fn report(&mut self, sector: u64, count: u32, cached: bool) -> Result<Vec<BlkZone>, Fail>;
    /// Makes durable what was written.
    fn flush(&mut self) -> Reply;
    /// Waits for whoever knows of the zones to be done with what was done to `len` bytes at `pos`.
    fn settle(&mut self, _pos: u64, _len: u64) -> Result<(), Fail> {
        Ok(())
    }
}

/// Whose device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This driver.
    Zloop,
    /// drivers/block/null_blk.
    NullBlk,
    /// drivers/block/zloop.c.
    CZloop,
}

impl Kind {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Zloop, "zloop"),
        (Self::NullBlk, "null_blk"),
        (Self::CZloop, "c-zloop"),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("?", |(_, name)| name)
    }
}

/// A device as it is named on the command line: `KIND=DEVICE` or `KIND=DEVICE,NAMESPACE`.
#[derive(Clone, Debug)]
pub struct Name {
    pub kind: Kind,
    pub dev: String,
    /// Block device of the NVMe namespace that leads to it.
    pub namespace: Option<String>,
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "want zloop|null_blk|c-zloop=DEVICE[,NAMESPACE]".to_string();
        let (name, devs) = text.split_once('=').ok_or_else(wrong)?;
        let (kind, _) = Kind::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .ok_or_else(wrong)?;
        let (dev, namespace) = match devs.split_once(',') {
            Some((dev, ns)) => (dev, Some(ns.to_string())),
            None => (devs, None),
        };
        Ok(Self {
            kind: *kind,
            dev: dev.into(),
            namespace,
        })
    }
}

/// What is fixed for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a zone.
    pub zone_size: u64,
    /// Bytes that can be written to a sequential zone.
    pub zone_capacity: u64,
    pub nr_zones: u32,
    /// Conventional zones, the first ones.
    pub conv: u32,
    /// Bytes of a logical block.
    pub block: u64,
    /// Limit of open zones, 0 for none.
    pub max_open: u32,
    /// Limit of open and closed zones, 0 for none.
    pub max_active: u32,
}

impl Geometry {
    /// The geometry without the limits, in which two devices may differ.
    pub fn shape(self) -> Self {
        Self {
            max_open: 0,
            max_active: 0,
            ..self
        }
    }
}

fn queue_attribute(dev: &str, name: &str) -> io::Result<u32> {
    let disk = Path::new(dev).file_name().unwrap_or_default();
    let path = Path::new("/sys/block").join(disk).join("queue").join(name);
    fs::read_to_string(path)?
        .trim()
        .parse()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// A block device of this machine.
pub struct Device {
    file: File,
    durable: File,
    namespace: Option<Namespace>,
    /// Bytes of a zone.
    zone_size: u64,
    /// What the block layer knows of the zones.
    plugs: Option<Plugs>,
}

impl Device {
    /// Opens a device for one thread.
    pub fn open(name: &Name) -> io::Result<Self> {
        let flags = libc::O_DIRECT;
        let file = uapi::open_dev(&name.dev, flags)?;
        Ok(Self {
            zone_size: zones::geometry(&file)?.zone_size,
            plugs: Plugs::of(&name.dev)?,
            file,
            durable: uapi::open_dev(&name.dev, flags | libc::O_DSYNC)?,
            namespace: match &name.namespace {
                Some(dev) => Some(Namespace::open(dev, 1)?),
                None => None,
            },
        })
    }

    /// Finds out the geometry.
    pub fn geometry(&mut self, name: &Name) -> io::Result<Geometry> {
        let basic = zones::geometry(&self.file)?;
        let zones = zones::report(&self.file, 0, basic.nr_zones, false)?;
        let conv = zones.iter().take_while(|z| z.zone_type == 1).count();
        let Some(first) = zones.get(conv) else {
            return Err(io::Error::other("no sequential zone"));
        };
        Ok(Geometry {
            zone_size: basic.zone_size,
            zone_capacity: first.capacity * SECTOR,
            nr_zones: basic.nr_zones,
            conv: conv as u32,
            block: uapi::logical_block_size(&self.file)?,
            max_open: queue_attribute(&name.dev, "max_open_zones")?,
            max_active: queue_attribute(&name.dev, "max_active_zones")?,
        })
    }
}

fn moved(res: Result<usize, Errno>) -> Reply {
    res.map(|n| n as u64).map_err(Fail::Errno)
}

impl Target for Device {
    fn write(&mut self, pos: u64, data: &[u8], sync: bool) -> Reply {
        let file = if sync { &self.durable } else { &self.file };
        moved(uapi::pwrite(file, data, pos))
    }

    fn read(&mut self, pos: u64, data: &mut [u8]) -> Reply {
        moved(uapi::pread(&self.file, data, pos))
    }

    fn append(&mut self, zone: u32, data: &mut [u8]) -> Reply {
        let Some(namespace) = &self.namespace else {
            return Err(Fail::Errno(Errno::EOPNOTSUPP));
        };
        match namespace.append(zone, data) {
            Outcome::Done(sector) => Ok(sector),
            Outcome::Status(status) => Err(Fail::Status(status)),
            Outcome::Failed(errno) => Err(Fail::Errno(errno)),
        }
    }

    fn manage(&mut self, op: ZoneOp, sector: u64, sectors: u64) -> Reply {
        uapi::zone_op(&self.file, op, sector, sectors)
            .map(|()| 0)
            .map_err(Fail::Errno)
    }

    fn report(&mut self, sector: u64, count: u32, cached: bool) -> Result<Vec<BlkZone>, Fail> {
        zones::report(&self.file, sector, count, cached).map_err(Fail::Errno)
    }

    fn flush(&mut self) -> Reply {
        uapi::fsync(&self.file).map(|()| 0).map_err(Fail::Errno)
    }

    /// What the block layer knows of the zones is up to date then.
    fn settle(&mut self, pos: u64, len: u64) -> Result<(), Fail> {
        let end = pos.saturating_add(len).div_ceil(self.zone_size);
        let zones = pos / self.zone_size..end;
        match &mut self.plugs {
            Some(plugs) => plugs.settle(&zones).map_err(Fail::Errno),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_with_their_kind() {
        let name: Name = "null_blk=/dev/nullb0".parse().unwrap();
        assert_eq!(
            (name.kind, name.dev.as_str(), name.namespace),
            (Kind::NullBlk, "/dev/nullb0", None)
        );
        let name: Name = "c-zloop=/dev/czloop1,/dev/nvme0n1".parse().unwrap();
        assert_eq!(
            (name.kind, name.namespace.as_deref()),
            (Kind::CZloop, Some("/dev/nvme0n1"))
        );
        for bad in ["/dev/zloop0", "loop=/dev/loop0", ""] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
