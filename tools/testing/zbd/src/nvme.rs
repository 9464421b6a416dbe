// SPDX-License-Identifier: GPL-2.0

//! Native zone appends: NVMe Zone Append commands to a ZNS namespace whose backend is the device under test.
//!
//! The kernel has no other way from user space to a native zone append on a block device.

use crate::uapi::{self, NvmePassthruCmd64, NVME_ZONE_APPEND, SECTOR};
use crate::zones;
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// A namespace with what is needed to address it.
pub struct Namespace {
    pub file: File,
    nsid: u32,
    /// Bytes of a logical block.
    pub lba: u64,
    zone_size: u64,
}

/// How one append ended.
pub enum Outcome {
    /// Written at this sector.
    Done(u64),
    /// NVMe status.
    Status(i32),
    /// The command never got to the controller.
    Failed(Errno),
}

impl Namespace {
    /// Opens the block device of a namespace.
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

    /// The logical block that a zone starts at.
    pub fn slba(&self, zone: u32) -> u64 {
        u64::from(zone) * self.zone_size / self.lba
    }

    /// Appends `buf` to a zone and waits for the end.
    pub fn append(&self, zone: u32, buf: &mut [u8]) -> Outcome {
        let slba = self.slba(zone);
        let mut cmd = NvmePassthruCmd64 {
            opcode: NVME_ZONE_APPEND,
            nsid: self.nsid,
            addr: buf.as_mut_ptr() as u64,
            data_len: buf.len() as u32,
            cdw10: slba as u32,
            cdw11: (slba >> 32) as u32,
            cdw12: (buf.len() as u64 / self.lba - 1) as u32,
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
}
