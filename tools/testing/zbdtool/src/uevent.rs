// SPDX-License-Identifier: GPL-2.0

//! Opens each zloop node as soon as the kernel announces it, as udev's probers do.

use crate::control::command;
use crate::uapi::errno_name;
use nix::errno::Errno;
use std::fs::File;
use std::io;
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

/// Waits for the next "add" event of a zloop disk; its name, or none in time.
fn next_add(socket: &OwnedFd, until: Instant) -> Option<String> {
    let mut buf = [0u8; 8192];
    while Instant::now() < until {
        // SAFETY: `buf` is writable and as long as said.
        let n = unsafe { libc::recv(socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), 0) };
        let Ok(n) = usize::try_from(n) else {
            // No sleep: the point is to be there before the driver is ready.
            std::thread::yield_now();
            continue;
        };
        let text = String::from_utf8_lossy(&buf[..n]).into_owned();
        let Some(path) = text.split('\0').next().and_then(|t| t.strip_prefix("add@")) else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or("");
        if name.starts_with("zloop") && path.contains("/block/") {
            return Some(name.into());
        }
    }
    None
}

/// Adds a device by `add`, opens it at its uevent, removes it by `remove`, `count` times; false if an open failed.
pub fn run(control: &str, add: &str, remove: &str, count: u32) -> io::Result<bool> {
    let socket = uevent_socket()?;
    let (mut events, mut failed) = (0, 0);
    for _ in 0..count {
        let (added, name) = std::thread::scope(|scope| {
            let adder = scope.spawn(|| command(control, add.as_bytes()));
            let name = next_add(&socket, Instant::now() + Duration::from_secs(20));
            if let Some(name) = &name {
                events += 1;
                if let Err(e) = File::open(format!("/dev/{name}")) {
                    println!("{name}: open after the uevent: {}", errno_name(&e));
                    failed += 1;
                }
            }
            (adder.join(), name)
        });
        match added {
            Ok(Ok(res)) if res == "ok" && name.is_some() => (),
            other => {
                println!("add: {other:?}, event of {name:?}");
                return Ok(false);
            }
        }
        // udev may have it open for a moment, which keeps the id.
        let began = Instant::now();
        while command(control, remove.as_bytes())? != "ok" {
            if began.elapsed() > Duration::from_secs(10) {
                println!("the device cannot be removed");
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        while command(control, remove.as_bytes())? != "ENODEV"
            && began.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    println!("events={events} failed={failed}");
    Ok(failed == 0)
}
