// SPDX-License-Identifier: GPL-2.0

//! btrfs remembers the disks that it has seen by the identity of the file system on them. The disks of two cuts have
//! the same: it has to forget the first one.

use std::fs::File;
use std::os::fd::AsRawFd;

/// `struct btrfs_ioctl_vol_args` of `linux/btrfs.h`; an empty name stands for all disks.
#[repr(C)]
struct VolArgs {
    fd: i64,
    name: [u8; 4088],
}

nix::ioctl_write_ptr!(forget_dev, 0x94, 5, VolArgs);

/// Forgets the disks that are not mounted, if btrfs is there at all.
pub fn forget() {
    let Ok(control) = File::options().write(true).open("/dev/btrfs-control") else {
        return;
    };
    let args = VolArgs {
        fd: 0,
        name: [0; 4088],
    };
    // SAFETY: `args` lives across the call. It fails if a disk is mounted, and has then forgotten the others.
    let _ = unsafe { forget_dev(control.as_raw_fd(), &args) };
}
