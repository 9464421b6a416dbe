// SPDX-License-Identifier: GPL-2.0

//! Zone geometry and reports of a device, and the words used for conditions.

use crate::uapi::{self, BlkZone, BlkZoneReport, SECTOR};
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Geometry that the script language needs; sizes in bytes.
#[derive(Clone, Copy)]
pub struct Geometry {
    pub zone_size: u64,
    pub nr_zones: u32,
}

/// Reads the zone size and count of an open device.
pub fn geometry(file: &File) -> io::Result<Geometry> {
    let (mut sectors, mut nr_zones) = (0u32, 0u32);
    // SAFETY: both ioctls write one u32 to the place given.
    unsafe {
        uapi::blk_get_zone_sectors(file.as_raw_fd(), &mut sectors)?;
        uapi::blk_get_nr_zones(file.as_raw_fd(), &mut nr_zones)?;
    }
    Ok(Geometry {
        zone_size: u64::from(sectors) * SECTOR,
        nr_zones,
    })
}

/// Memory for zone reports, to be used again and again.
pub struct Report {
    // A 16-byte header and 64-byte zones: u64 storage is aligned for both.
    memory: Vec<u64>,
    max: u32,
}

impl Report {
    /// Words of the header.
    const HEADER: usize = std::mem::size_of::<BlkZoneReport>() / 8;

    /// Room for `max` zones.
    pub fn new(max: u32) -> Self {
        let words = std::mem::size_of::<BlkZone>() / 8;
        Self {
            memory: vec![0; Self::HEADER + max as usize * words],
            max,
        }
    }

    /// Reports the zones from `sector` on, as many as there is room for.
    pub fn read(&mut self, file: &File, sector: u64, cached: bool) -> Result<&[BlkZone], Errno> {
        let header: *mut BlkZoneReport = self.memory.as_mut_ptr().cast();
        // SAFETY: there is room for the header and `max` zones, which is what nr_zones says.
        let found = unsafe {
            (*header).sector = sector;
            (*header).nr_zones = self.max;
            (*header).flags = 0;
            if cached {
                (*header).flags = uapi::REPORT_CACHED;
                uapi::blk_report_zone_v2(file.as_raw_fd(), header)?;
            } else {
                uapi::blk_report_zone(file.as_raw_fd(), header)?;
            }
            (*header).nr_zones.min(self.max) as usize
        };
        let zones = self.memory[Self::HEADER..].as_ptr().cast();
        // SAFETY: the kernel filled `found` zones after the header, and any bytes make a zone.
        Ok(unsafe { std::slice::from_raw_parts(zones, found) })
    }
}

/// Reports at most `max` zones from `sector` on.
pub fn report(file: &File, sector: u64, max: u32, cached: bool) -> Result<Vec<BlkZone>, Errno> {
    Report::new(max)
        .read(file, sector, cached)
        .map(<[_]>::to_vec)
}

/// `BLK_ZONE_COND_NOT_WP`.
pub const NOT_WP: u8 = 0x0;
/// `BLK_ZONE_COND_EMPTY`.
pub const EMPTY: u8 = 0x1;
/// `BLK_ZONE_COND_IMP_OPEN`.
pub const IMP_OPEN: u8 = 0x2;
/// `BLK_ZONE_COND_EXP_OPEN`.
pub const EXP_OPEN: u8 = 0x3;
/// `BLK_ZONE_COND_CLOSED`.
pub const CLOSED: u8 = 0x4;
/// `BLK_ZONE_COND_READONLY`.
pub const READONLY: u8 = 0xd;
/// `BLK_ZONE_COND_FULL`.
pub const FULL: u8 = 0xe;
/// `BLK_ZONE_COND_OFFLINE`.
pub const OFFLINE: u8 = 0xf;
/// `BLK_ZONE_COND_ACTIVE`: in a cached report, one of the four conditions of an active zone.
pub const ACTIVE: u8 = 0xff;

/// Name of a zone condition.
pub fn cond_name(cond: u8) -> &'static str {
    match cond {
        NOT_WP => "NOT_WP",
        EMPTY => "EMPTY",
        IMP_OPEN => "IMP_OPEN",
        EXP_OPEN => "EXP_OPEN",
        CLOSED => "CLOSED",
        READONLY => "READONLY",
        FULL => "FULL",
        OFFLINE => "OFFLINE",
        ACTIVE => "ACTIVE",
        _ => "UNKNOWN",
    }
}

/// One letter for a zone condition, for reports of many zones on one line.
pub fn cond_letter(cond: u8) -> char {
    match cond {
        NOT_WP => 'N',
        EMPTY => 'E',
        IMP_OPEN => 'I',
        EXP_OPEN => 'X',
        CLOSED => 'C',
        READONLY => 'R',
        FULL => 'F',
        OFFLINE => 'O',
        ACTIVE => 'A',
        _ => '?',
    }
}

/// A byte count in the largest unit that divides it.
pub fn size_text(bytes: u64) -> String {
    match bytes {
        0 => "0".into(),
        b if b % (1 << 30) == 0 => format!("{}g", b >> 30),
        b if b % (1 << 20) == 0 => format!("{}m", b >> 20),
        b if b % (1 << 10) == 0 => format!("{}k", b >> 10),
        b => b.to_string(),
    }
}

/// A byte count with an optional unit k, m or g.
pub fn parse_size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Condition and write pointer of a zone in the words of the script language.
pub fn zone_text(zone: &BlkZone) -> String {
    let name = cond_name(zone.cond);
    match zone.cond {
        NOT_WP | FULL | READONLY | OFFLINE => name.into(),
        EMPTY if zone.wp == zone.start => name.into(),
        _ => match zone.wp.checked_sub(zone.start) {
            Some(off) => format!("{name} +{}", size_text(off * SECTOR)),
            None => format!("{name} wp={} before start", zone.wp),
        },
    }
}

/// What is wrong within one line of a report, if anything.
pub fn inconsistency(zone: &BlkZone) -> Option<&'static str> {
    let end = zone.start + zone.capacity;
    let inside = zone.start < zone.wp && zone.wp < end;
    let open = inside || zone.wp == zone.start;
    match zone.cond {
        cond if zone.zone_type == 1 && cond != NOT_WP => {
            Some("a condition for a conventional zone")
        }
        NOT_WP if zone.zone_type != 1 => Some("NOT_WP for a sequential zone"),
        EMPTY if zone.wp != zone.start => Some("EMPTY with a write pointer beyond the start"),
        // The first write of an implicitly open zone may be under way.
        IMP_OPEN if !open => Some("IMP_OPEN with a write pointer outside of the zone"),
        EXP_OPEN if !open => Some("EXP_OPEN with a write pointer outside of the zone"),
        CLOSED if !inside => Some("CLOSED with a write pointer that is not inside"),
        FULL if !full_wp_sane(zone) => Some("FULL with a write pointer outside of the zone"),
        NOT_WP | EMPTY | IMP_OPEN | EXP_OPEN | CLOSED | FULL | ACTIVE => None,
        READONLY => Some("READONLY"),
        _ => Some("unexpected condition"),
    }
}

/// Whether a FULL zone's write pointer is one that tools print sanely: the end of its capacity or of the zone.
pub fn full_wp_sane(zone: &BlkZone) -> bool {
    zone.wp == zone.start + zone.capacity || zone.wp == zone.start + zone.len
}

/// Prints a report, one `key=value` line for each zone; positions in sectors.
pub fn print_report(dev: &str, first: u32, count: Option<u32>, cached: bool) -> io::Result<()> {
    let file = uapi::open_dev(dev, 0)?;
    let geo = geometry(&file)?;
    let max = count.unwrap_or(geo.nr_zones.saturating_sub(first));
    let start = u64::from(first) * geo.zone_size / SECTOR;
    for (i, z) in report(&file, start, max, cached)?.iter().enumerate() {
        println!(
            "zone={} start={} len={} cap={} wp={} type={} cond={}",
            first as usize + i,
            z.start,
            z.len,
            z.capacity,
            z.wp,
            if z.zone_type == 1 { "conv" } else { "seq" },
            cond_name(z.cond)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(cond: u8, wp: u64) -> BlkZone {
        BlkZone {
            start: 8192,
            len: 8192,
            wp,
            zone_type: 2,
            cond,
            capacity: 6144,
            ..Default::default()
        }
    }

    #[test]
    fn sizes_are_printed_as_they_are_parsed() {
        for bytes in [0, 1, 512, 1024, 4096, 1025, 3 << 20, 5 << 30, 2049 << 20] {
            assert_eq!(parse_size(&size_text(bytes)), Some(bytes));
        }
        for bad in ["", "k", "4x", "-1", "1kk"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_zone_is_printed_with_its_write_pointer() {
        let table = [
            (zone(0x1, 8192), "EMPTY"),
            (zone(0x1, 8200), "EMPTY +4k"),
            (zone(0x2, 8320), "IMP_OPEN +64k"),
            (zone(0x3, 8192), "EXP_OPEN +0"),
            (zone(0x4, 100), "CLOSED wp=100 before start"),
            (zone(0xe, u64::MAX), "FULL"),
        ];
        for (zone, text) in table {
            assert_eq!(zone_text(&zone), text);
        }
    }

    #[test]
    fn inconsistent_lines_are_found() {
        let good = [
            zone(0x1, 8192),
            zone(0x2, 8200),
            zone(0x2, 8192),
            zone(0x3, 8192),
            zone(0x4, 14335),
            zone(0xe, 14336),
            zone(0xe, 16384),
        ];
        for zone in good {
            assert_eq!(inconsistency(&zone), None, "{zone:?}");
        }
        let bad = [
            zone(0x0, 8192),
            zone(0x1, 8200),
            zone(0x2, 8191),
            zone(0x2, 14336),
            zone(0x3, 8191),
            zone(0x4, 8192),
            zone(0xe, u64::MAX),
            zone(0xe, 8192),
            zone(0x7, 8192),
        ];
        for zone in bad {
            assert!(inconsistency(&zone).is_some(), "{zone:?}");
        }
    }
}
