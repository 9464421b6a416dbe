// SPDX-License-Identifier: GPL-2.0

//! Commands to an NVMe namespace whose backend is the device under test: the only way from user space to a native zone
//! append on a block device.

use crate::uapi::{self, NvmePassthruCmd64, NVME_ZONE_APPEND, SECTOR};
use crate::zones;
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// A namespace with what is needed to address it.
pub struct Namespace {
    file: File,
    nsid: u32,
    /// Bytes of a logical block.
    pub lba: u64,
    zone_size: u64,
}

/// How one command ended.
pub enum Outcome {
    /// Done; an append at this sector.
    Done(u64),
    /// NVMe status.
    Status(i32),
    /// The command never got to the controller.
    Failed(Errno),
}

impl Namespace {
    /// Opens the namespace by its block device.
    pub fn open(dev: &str, nsid: u32) -> io::Result<Self> {
        let file = uapi::open_dev(dev, 0)?;
        let geo = zones::geometry(&file)?;
        let lba = uapi::logical_block_size(&file)?;
        Ok(Self {
            file,
            nsid,
            lba,
            zone_size: geo.zone_size,
        })
    }

    /// The block device.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The logical block that a zone starts at.
    pub fn slba(&self, zone: u32) -> u64 {
        u64::from(zone) * self.zone_size / self.lba
    }

    /// Sends one command for `buf` at byte `pos` of the namespace; `fua`: durable when it is done.
    pub fn send(&self, opcode: u8, pos: u64, buf: &mut [u8], fua: bool) -> Outcome {
        let slba = pos / self.lba;
        let blocks = (buf.len() as u64 / self.lba) as u32;
        let mut cmd = NvmePassthruCmd64 {
            opcode,
            nsid: self.nsid,
            addr: buf.as_mut_ptr() as u64,
            data_len: buf.len() as u32,
            cdw10: slba as u32,
            cdw11: (slba >> 32) as u32,
            cdw12: blocks.saturating_sub(1) | (u32::from(fua) << 30),
            timeout_ms: 60_000,
            ..Default::default()
        };
        // SAFETY: `cmd` names `buf`, which lives across the call.
        match unsafe { uapi::nvme_io64_cmd(self.file.as_raw_fd(), &mut cmd) } {
            Ok(0) => Outcome::Done(cmd.result * self.lba / SECTOR),
            Ok(status) => Outcome::Status(status),
            Err(e) => Outcome::Failed(e),
        }
    }

    /// Appends `buf` to a zone and waits for the end.
    pub fn append(&self, zone: u32, buf: &mut [u8]) -> Outcome {
        self.send(
            NVME_ZONE_APPEND,
            u64::from(zone) * self.zone_size,
            buf,
            false,
        )
    }
}
