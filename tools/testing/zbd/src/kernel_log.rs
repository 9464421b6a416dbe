// SPDX-License-Identifier: GPL-2.0

//! The kernel log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Reader of the kernel log.
pub struct KernelLog(File);

impl KernelLog {
    /// A reader that starts with the next message.
    pub fn from_now() -> io::Result<Self> {
        Self::open(SeekFrom::End(0))
    }

    /// A reader that starts with the oldest message there is.
    pub fn from_start() -> io::Result<Self> {
        Self::open(SeekFrom::Start(0))
    }

    fn open(at: SeekFrom) -> io::Result<Self> {
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(at)?;
        Ok(Self(file))
    }

    /// The messages since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let mut record = [0u8; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(&record[..n]).into_owned();
                    let message = text.split_once(';').map_or("", |(_, m)| m);
                    out.push(message.lines().next().unwrap_or("").to_string());
                }
                // Records were overwritten before they were read: go on with the oldest.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => (),
                Err(_) => return out,
            }
        }
    }
}
