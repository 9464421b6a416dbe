// SPDX-License-Identifier: GPL-2.0

//! The kernel interfaces that the tools speak: zone ioctls, NVMe passthrough, raw I/O with its errno.

use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

/// Size of a sector, the unit of all zone ioctls.
pub const SECTOR: u64 = 512;

/// Input flag of `BLKREPORTZONEV2`: answer from the block layer's cache.
pub const REPORT_CACHED: u32 = 1 << 31;

/// `struct blk_zone` of `linux/blkzoned.h`; positions and lengths in sectors.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct BlkZone {
    pub start: u64,
    pub len: u64,
    pub wp: u64,
    pub zone_type: u8,
    pub cond: u8,
    pub non_seq: u8,
    pub reset: u8,
    pub resv: [u8; 4],
    pub capacity: u64,
    pub reserved: [u8; 24],
}

/// Header of a zone report; the zones follow in memory.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct BlkZoneReport {
    pub sector: u64,
    pub nr_zones: u32,
    pub flags: u32,
}

/// A range of zones, in sectors.
#[repr(C)]
pub struct BlkZoneRange {
    pub sector: u64,
    pub nr_sectors: u64,
}

/// `struct nvme_passthru_cmd64` of `linux/nvme_ioctl.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct NvmePassthruCmd64 {
    pub opcode: u8,
    pub flags: u8,
    pub rsvd1: u16,
    pub nsid: u32,
    pub cdw2: u32,
    pub cdw3: u32,
    pub metadata: u64,
    pub addr: u64,
    pub metadata_len: u32,
    pub data_len: u32,
    pub cdw10: u32,
    pub cdw11: u32,
    pub cdw12: u32,
    pub cdw13: u32,
    pub cdw14: u32,
    pub cdw15: u32,
    pub timeout_ms: u32,
    pub rsvd2: u32,
    pub result: u64,
}

/// `struct nvme_uring_cmd`: the same without the result, 72 bytes of the 80 in a big SQE.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct NvmeUringCmd {
    pub opcode: u8,
    pub flags: u8,
    pub rsvd1: u16,
    pub nsid: u32,
    pub cdw2: u32,
    pub cdw3: u32,
    pub metadata: u64,
    pub addr: u64,
    pub metadata_len: u32,
    pub data_len: u32,
    pub cdw10: u32,
    pub cdw11: u32,
    pub cdw12: u32,
    pub cdw13: u32,
    pub cdw14: u32,
    pub cdw15: u32,
    pub timeout_ms: u32,
    pub rsvd2: u32,
}

/// NVMe I/O command set opcodes.
pub const NVME_FLUSH: u8 = 0x00;
pub const NVME_WRITE: u8 = 0x01;
pub const NVME_ZONE_APPEND: u8 = 0x7d;

nix::ioctl_readwrite!(blk_report_zone, 0x12, 130, BlkZoneReport);
nix::ioctl_readwrite!(blk_report_zone_v2, 0x12, 142, BlkZoneReport);
nix::ioctl_write_ptr!(blk_reset_zone, 0x12, 131, BlkZoneRange);
nix::ioctl_read!(blk_get_zone_sectors, 0x12, 132, u32);
nix::ioctl_read!(blk_get_nr_zones, 0x12, 133, u32);
nix::ioctl_write_ptr!(blk_open_zone, 0x12, 134, BlkZoneRange);
nix::ioctl_write_ptr!(blk_close_zone, 0x12, 135, BlkZoneRange);
nix::ioctl_write_ptr!(blk_finish_zone, 0x12, 136, BlkZoneRange);
nix::ioctl_readwrite!(nvme_io64_cmd, b'N', 0x48, NvmePassthruCmd64);
/// Request number of `NVME_URING_CMD_IO`.
pub const NVME_URING_CMD_IO: u32 =
    nix::request_code_readwrite!(b'N', 0x80, std::mem::size_of::<NvmeUringCmd>()) as u32;
nix::ioctl_read!(blk_get_size64, 0x12, 114, u64);
nix::ioctl_read_bad!(
    blk_logical_block_size,
    nix::request_code_none!(0x12, 104),
    libc::c_int
);

/// A zone management operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneOp {
    Open,
    Close,
    Finish,
    Reset,
}

impl ZoneOp {
    /// The operation of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "open" => Self::Open,
            "close" => Self::Close,
            "finish" => Self::Finish,
            "reset" => Self::Reset,
            _ => return None,
        })
    }
}

/// Runs `op` on the sectors from `sector` on.
pub fn zone_op(file: &File, op: ZoneOp, sector: u64, nr_sectors: u64) -> Result<(), Errno> {
    let range = BlkZoneRange { sector, nr_sectors };
    let fd = file.as_raw_fd();
    // SAFETY: `range` lives across the call and has the layout that the ioctl reads.
    let res = unsafe {
        match op {
            ZoneOp::Open => blk_open_zone(fd, &range),
            ZoneOp::Close => blk_close_zone(fd, &range),
            ZoneOp::Finish => blk_finish_zone(fd, &range),
            ZoneOp::Reset => blk_reset_zone(fd, &range),
        }
    };
    res.map(|_| ())
}

/// Opens a block device; `fd:N` takes an inherited descriptor instead.
pub fn open_dev(path: &str, extra_flags: i32) -> io::Result<File> {
    if let Some(fd) = path.strip_prefix("fd:") {
        let fd: RawFd = fd
            .parse()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: the caller of the tool handed this descriptor over for it to use.
        return Ok(unsafe { File::from_raw_fd(fd) });
    }
    File::options()
        .read(true)
        .write(true)
        .custom_flags(extra_flags)
        .open(path)
}

/// Name of the errno in `err`, such as `EIO`.
pub fn errno_name(err: &io::Error) -> String {
    match err.raw_os_error() {
        Some(code) => format!("{:?}", Errno::from_raw(code)),
        None => format!("{:?}", err.kind()),
    }
}

/// Size of a logical block of a block device.
pub fn logical_block_size(file: &File) -> io::Result<u64> {
    let mut size: libc::c_int = 0;
    // SAFETY: the ioctl writes one int.
    unsafe { blk_logical_block_size(file.as_raw_fd(), &mut size)? };
    Ok(size as u64)
}

/// One pwrite(2): bytes written or the errno.
pub fn pwrite(file: &File, buf: &[u8], pos: u64) -> Result<usize, Errno> {
    // SAFETY: the pointer and length describe `buf`.
    let ret = unsafe {
        libc::pwrite(
            file.as_raw_fd(),
            buf.as_ptr().cast(),
            buf.len(),
            pos as libc::off_t,
        )
    };
    usize::try_from(ret).map_err(|_| Errno::last())
}

/// One pread(2): bytes read or the errno.
pub fn pread(file: &File, buf: &mut [u8], pos: u64) -> Result<usize, Errno> {
    // SAFETY: the pointer and length describe `buf`, which is writable.
    let ret = unsafe {
        libc::pread(
            file.as_raw_fd(),
            buf.as_mut_ptr().cast(),
            buf.len(),
            pos as libc::off_t,
        )
    };
    usize::try_from(ret).map_err(|_| Errno::last())
}

/// fsync(2).
pub fn fsync(file: &File) -> Result<(), Errno> {
    // SAFETY: plain system call on a valid descriptor.
    Errno::result(unsafe { libc::fsync(file.as_raw_fd()) }).map(|_| ())
}
