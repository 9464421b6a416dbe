// SPDX-License-Identifier: GPL-2.0

//! What can differ between two devices.

use crate::target::Reply;
use std::fmt;
use zbd::uapi::BlkZone;
use zbd::zones;

/// A part of a line of a zone report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Start, length, capacity, type and what is reserved.
    Layout,
    Condition,
    WritePointer,
}

/// A difference, or something that is wrong with one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The step ended in another way.
    Result { ours: Reply, theirs: Reply },
    /// Other data was read. The byte that all of what differs is made of is given, if there is one.
    Data {
        zone: u32,
        /// First byte that differs, from the start of the zone.
        offset: u64,
        /// At or above the write pointer, or in the gap above the capacity.
        beyond: bool,
        ours: Option<u8>,
        theirs: Option<u8>,
    },
    /// A zone looks different in a report.
    Zone {
        no: u32,
        field: Field,
        ours: BlkZone,
        theirs: BlkZone,
    },
    /// A report has another number of lines.
    Lines { ours: usize, theirs: usize },
    /// One device is at fault whatever the other does.
    Broken {
        ours: bool,
        no: u32,
        text: &'static str,
        zone: BlkZone,
    },
}

impl What {
    /// The zone that it is about, if it is about one.
    pub fn zone(&self) -> Option<u32> {
        match self {
            What::Data { zone: no, .. } | What::Zone { no, .. } | What::Broken { no, .. } => {
                Some(*no)
            }
            What::Result { .. } | What::Lines { .. } => None,
        }
    }

    /// Whether two differences are of the same kind, so that one may stand for the other in a shorter script.
    pub fn resembles(&self, other: &What) -> bool {
        match (self, other) {
            (What::Zone { field: a, .. }, What::Zone { field: b, .. }) => a == b,
            (What::Broken { text: a, .. }, What::Broken { text: b, .. }) => a == b,
            (What::Result { ours: a, theirs: b }, What::Result { ours: c, theirs: d }) => {
                (a.is_ok(), b.is_ok()) == (c.is_ok(), d.is_ok())
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Ok(n) => format!("ok {n}"),
        Err(fail) => fail.to_string(),
    }
}

fn byte_text(byte: Option<u8>) -> String {
    byte.map_or("data".into(), |b| format!("{b:#04x}s"))
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Result { ours, theirs } => write!(
                f,
                "result: ours {}, theirs {}",
                reply_text(ours),
                reply_text(theirs)
            ),
            What::Data {
                zone,
                offset,
                beyond,
                ours,
                theirs,
            } => write!(
                f,
                "data of zone {zone} at byte {offset}, {} the write pointer: ours {}, theirs {}",
                if *beyond { "beyond" } else { "below" },
                byte_text(*ours),
                byte_text(*theirs)
            ),
            What::Zone {
                no,
                field,
                ours,
                theirs,
            } => write!(
                f,
                "zone {no}, {field:?}: ours {} ({ours:?}), theirs {} ({theirs:?})",
                zones::zone_text(ours),
                zones::zone_text(theirs)
            ),
            What::Lines { ours, theirs } => {
                write!(f, "lines of the report: ours {ours}, theirs {theirs}")
            }
            What::Broken {
                ours,
                no,
                text,
                zone,
            } => write!(
                f,
                "{} zone {no}: {text} ({zone:?})",
                if *ours { "our" } else { "their" }
            ),
        }
    }
}
