// SPDX-License-Identifier: GPL-2.0

//! Opens each zloop node as soon as the kernel announces it, as udev's probers do.

use crate::uapi::errno_name;
use nix::errno::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A socket that receives the kernel's uevents.
fn uevent_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain system calls; the descriptor is owned from here on, the address is initialised.
    unsafe {
        let fd = Errno::result(libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
            libc::NETLINK_KOBJECT_UEVENT,
        ))?;
        let fd = OwnedFd::from_raw_fd(fd);
        let mut addr: libc::sockaddr_nl = std::mem::zeroed();
        addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        addr.nl_groups = 1;
        Errno::result(libc::bind(
            fd.as_raw_fd(),
            (&raw const addr).cast(),
            std::mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t,
        ))?;
        Ok(fd)
    }
}

/// Waits for `count` zloop "add" events, at most `seconds`; false if an open failed or an event is missing.
pub fn run(count: u32, seconds: u64) -> io::Result<bool> {
    let socket = uevent_socket()?;
    println!("ready");
    io::stdout().flush()?;
    let began = Instant::now();
    let mut buf = [0u8; 8192];
    let (mut events, mut failed) = (0, 0);
    while events < count && began.elapsed() < Duration::from_secs(seconds) {
        // SAFETY: `buf` is writable and as long as said.
        let n = unsafe { libc::recv(socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0) };
        if n <= 0 {
            // No sleep: the point is to be there before the driver is ready.
            std::thread::yield_now();
            continue;
        }
        let text = String::from_utf8_lossy(&buf[..n as usize]).into_owned();
        let Some(path) = text.split('\0').next().and_then(|t| t.strip_prefix("add@")) else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or("");
        if !name.starts_with("zloop") || !path.contains("/block/") {
            continue;
        }
        events += 1;
        if let Err(e) = File::open(format!("/dev/{name}")) {
            println!("{name}: open after the uevent: {}", errno_name(&e));
            failed += 1;
        }
    }
    println!("events={events} failed={failed}");
    Ok(events == count && failed == 0)
}
