// SPDX-License-Identifier: GPL-2.0

//! The backing file system that all contestants share: made anew for each, on a disk in memory.

use crate::system::{open_direct, run, tried, Res};
use nix::mount::{mount, umount, MsFlags};
use std::fs;
use std::os::unix::fs::FileExt;
use zbd::pattern::Buffer;

/// The disk. brd completes requests in the submitter's context and costs little more than a copy.
const DISK: &str = "/dev/ram0";

/// Where it is mounted.
pub const DIR: &str = "/mnt/bench";

/// Loads brd and writes all of the disk once: the first write to a page allocates it, which only the contestant that
/// happens to come first would pay for.
pub fn prepare_disk(mib: u64) -> Res<()> {
    make_disk(mib)?;
    let disk = open_direct(DISK)?;
    let buffer = Buffer::new(1 << 20);
    for at in 0..mib {
        tried(DISK, disk.write_all_at(buffer.bytes(), at << 20))?;
    }
    Ok(())
}

fn make_disk(mib: u64) -> Res<()> {
    let size = format!("rd_size={}", mib * 1024);
    run("modprobe", &["brd", "rd_nr=1", &size]).map(drop)
}

/// Replaces the disk by one without pages.
pub fn new_disk(mib: u64) -> Res<()> {
    run("rmmod", &["brd"])?;
    make_disk(mib)
}

/// Has the mounted file system write what it has in its log to where it belongs: until then it keeps the inodes.
pub fn settle() -> Res<()> {
    run("fsfreeze", &["--freeze", DIR])?;
    run("fsfreeze", &["--unfreeze", DIR]).map(drop)
}

/// A mounted file system; unmounted when dropped.
pub struct Backing;

/// mkfs and mount options that keep the disk's pages and leave nothing to be done in the background.
fn commands(fs: &str) -> Res<(Vec<&'static str>, &'static str)> {
    Ok(match fs {
        "xfs" => (vec!["mkfs.xfs", "-q", "-f", "-K"], ""),
        "ext4" => (
            vec![
                "mkfs.ext4",
                "-q",
                "-F",
                "-E",
                "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
            ],
            "nodiscard",
        ),
        "btrfs" => (vec!["mkfs.btrfs", "-q", "-f", "-K"], "nodiscard"),
        _ => return Err(format!("no backing file system {fs}: xfs, ext4 or btrfs")),
    })
}

impl Backing {
    /// `words` are added to the mkfs command.
    pub fn make(fs: &str, words: &[String]) -> Res<Self> {
        let (mut mkfs, options) = commands(fs)?;
        mkfs.extend(words.iter().map(String::as_str));
        mkfs.push(DISK);
        run(mkfs[0], &mkfs[1..])?;
        tried(DIR, fs::create_dir_all(DIR))?;
        let res = mount(Some(DISK), DIR, Some(fs), MsFlags::empty(), Some(options));
        tried(format!("mount {fs} on {DISK}"), res.map_err(Into::into))?;
        Ok(Self)
    }

    /// Unmounts it; it must not be busy, or a contestant has left something.
    pub fn unmount(self) -> Res<()> {
        std::mem::forget(self);
        tried(format!("umount {DIR}"), umount(DIR).map_err(Into::into))
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        let _ = umount(DIR);
    }
}
