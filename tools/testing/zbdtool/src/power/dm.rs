// SPDX-License-Identifier: GPL-2.0

//! Messages to a device-mapper device: marks in the log of dm-log-writes, of which there are too many for a process
//! each.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `struct dm_ioctl` of `linux/dm-ioctl.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct DmIoctl {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// The ioctl's argument: header, `struct dm_target_msg` (a sector, then the text).
#[repr(C)]
struct Message {
    header: DmIoctl,
    sector: u64,
    text: [u8; 64],
}

nix::ioctl_readwrite!(dm_target_msg, 0xfd, 14, DmIoctl);

/// Sets marks in the log of one dm-log-writes device.
pub struct Marker {
    control: File,
    name: [u8; 128],
}

impl Marker {
    /// For the device of that name.
    pub fn open(name: &str) -> io::Result<Self> {
        let mut bytes = [0; 128];
        if name.len() >= bytes.len() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        let control = File::options()
            .read(true)
            .write(true)
            .open("/dev/mapper/control")?;
        Ok(Self {
            control,
            name: bytes,
        })
    }

    /// Sets the mark `lines=COUNT`.
    pub fn mark(&self, count: u64) -> io::Result<()> {
        let mut text = [0; 64];
        let words = format!("mark lines={count}");
        text[..words.len()].copy_from_slice(words.as_bytes());
        let mut message = Message {
            header: DmIoctl {
                version: [4, 0, 0],
                data_size: std::mem::size_of::<Message>() as u32,
                data_start: std::mem::size_of::<DmIoctl>() as u32,
                target_count: 0,
                open_count: 0,
                flags: 0,
                event_nr: 0,
                padding: 0,
                dev: 0,
                name: self.name,
                uuid: [0; 129],
                data: [0; 7],
            },
            sector: 0,
            text,
        };
        let header: *mut DmIoctl = (&raw mut message).cast();
        // SAFETY: the pointer is to the whole message, whose length and layout the header says.
        unsafe { dm_target_msg(self.control.as_raw_fd(), header)? };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(std::mem::size_of::<DmIoctl>(), 312);
        assert_eq!(std::mem::offset_of!(DmIoctl, dev), 40);
        assert_eq!(std::mem::offset_of!(Message, sector), 312);
        assert_eq!(std::mem::offset_of!(Message, text), 320);
    }
}
