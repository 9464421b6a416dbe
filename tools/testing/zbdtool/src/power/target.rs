// SPDX-License-Identifier: GPL-2.0

//! The device under load: as a block device, or as an NVMe namespace, which also takes appends, and writes past the
//! cache without a flush after them.

use crate::append::{Namespace, Outcome};
use crate::uapi::{self, ZoneOp, NVME_FLUSH, NVME_WRITE, SECTOR};
use std::fs::File;
use std::io;

/// How operations are sent. Positions and lengths are in bytes.
pub enum Target {
    Block {
        direct: File,
        /// Opened with `O_DSYNC`.
        sync: File,
    },
    Nvme(Namespace),
}

fn refused(what: &str, outcome: &Outcome) -> io::Error {
    io::Error::other(match outcome {
        Outcome::Done(sector) => format!("{what}: went to sector {sector}"),
        Outcome::Status(status) => format!("{what}: NVMe status {status:#x}"),
        Outcome::Failed(errno) => format!("{what}: {errno:?}"),
    })
}

impl Target {
    pub fn open(dev: &str, nvme: bool) -> io::Result<Self> {
        if nvme {
            return Namespace::open(dev, 1).map(Self::Nvme);
        }
        Ok(Self::Block {
            direct: uapi::open_dev(dev, libc::O_DIRECT)?,
            sync: uapi::open_dev(dev, libc::O_DIRECT | libc::O_DSYNC)?,
        })
    }

    /// For reports and zone commands.
    pub fn file(&self) -> &File {
        match self {
            Self::Block { direct, .. } => direct,
            Self::Nvme(namespace) => namespace.file(),
        }
    }

    /// Writes all of `buf`.
    pub fn write(&self, buf: &mut [u8], pos: u64, fua: bool) -> io::Result<()> {
        match self {
            Self::Block { direct, sync } => {
                let file = if fua { sync } else { direct };
                match uapi::pwrite(file, buf, pos)? {
                    n if n == buf.len() => Ok(()),
                    n => Err(io::Error::other(format!("short write of {n} bytes"))),
                }
            }
            Self::Nvme(namespace) => match namespace.send(NVME_WRITE, pos, buf, fua) {
                Outcome::Done(_) => Ok(()),
                other => Err(refused("write", &other)),
            },
        }
    }

    /// Writes all of `buf` at the write pointer of the zone at `start`, which has to be `pos`; a regular write where
    /// there are no appends.
    pub fn append(&self, buf: &mut [u8], start: u64, pos: u64, fua: bool) -> io::Result<()> {
        match self {
            Self::Block { .. } => self.write(buf, pos, fua),
            Self::Nvme(namespace) => {
                match namespace.send(uapi::NVME_ZONE_APPEND, start, buf, fua) {
                    Outcome::Done(sector) if sector * SECTOR == pos => Ok(()),
                    other => Err(refused("append", &other)),
                }
            }
        }
    }

    pub fn flush(&self) -> io::Result<()> {
        match self {
            Self::Block { direct, .. } => Ok(uapi::fsync(direct)?),
            Self::Nvme(namespace) => match namespace.send(NVME_FLUSH, 0, &mut [], false) {
                Outcome::Done(_) => Ok(()),
                other => Err(refused("flush", &other)),
            },
        }
    }

    /// A zone command for `len` bytes from `pos` on.
    pub fn manage(&self, op: ZoneOp, pos: u64, len: u64) -> io::Result<()> {
        Ok(uapi::zone_op(self.file(), op, pos / SECTOR, len / SECTOR)?)
    }
}
