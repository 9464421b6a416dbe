// SPDX-License-Identifier: GPL-2.0

//! The table of the differences that are right, and what decides it.
//!
//! A difference that no line of [`TABLE`] allows is a failure. Each line is as narrow as it can be: it names the
//! other device, and its test looks at the step, at both results or zones and at what the devices were like before.
//!
//! Most come from what ZBC-2 and ZNS leave open; for those of the C driver this driver follows the standards.

use crate::compare::{
    nr_active, nr_explicit, nr_open, CLOSED, EMPTY, EXP_OPEN, FULL, IMP_OPEN, NOT_WP,
};
use crate::op::Op;
use crate::target::{Fail, Geometry, Kind, Reply};
use crate::what::{Field, What};
use nix::errno::Errno;
use std::ops::Range;
use zbd::uapi::{BlkZone, ZoneOp};

/// A difference with what it has to be judged by.
pub struct Case<'a> {
    pub op: &'a Op,
    /// Zones that the step is about.
    pub zones: &'a Range<u32>,
    /// Bytes of the device that a write is about.
    pub bytes: &'a Range<u64>,
    pub ours: &'a Geometry,
    pub theirs: &'a Geometry,
    /// Our zones and theirs before the step, if a report says so and it was of all zones.
    pub before: Option<[&'a [BlkZone]; 2]>,
    /// No other thread opens zones meanwhile, for which these may be closed.
    pub alone: bool,
    /// Both devices did what the step asked for.
    pub done: bool,
    pub what: &'a What,
}

/// What to do after a difference that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: it may last, and has no further effects.
    GoOn,
    /// Reset the zones that differ on both devices, so that they are alike again.
    Reset,
}

/// A line of the table.
pub struct Known {
    pub name: &'static str,
    /// The devices that the other one can be.
    pub peers: &'static [Kind],
    pub what: &'static str,
    /// The clause of the standard or the place in the kernel that decides.
    pub decides: &'static str,
    pub then: Then,
    pub allows: fn(&Case) -> bool,
}

const ANY: &[Kind] = &[Kind::Zloop, Kind::NullBlk, Kind::CZloop];
const NULL_BLK: &[Kind] = &[Kind::NullBlk];
const C_ZLOOP: &[Kind] = &[Kind::CZloop];

pub const TABLE: &[Known] = &[
    Known {
        name: "invalid-wp",
        peers: ANY,
        what: "write pointer in the report of a zone that has none: conventional, full",
        decides: "ZBC-2 and ZNS, zone descriptor: the write pointer is not valid there; \
                  block/blk-zoned.c, blk_zone_wp_offset()",
        then: Then::GoOn,
        allows: |case| match case.what {
            What::Zone {
                field: Field::WritePointer,
                ours,
                theirs,
                ..
            } => {
                // Ours is documented.
                let documented = match ours.cond {
                    NOT_WP => ours.wp == u64::MAX,
                    FULL => ours.wp == ours.start + ours.len,
                    _ => false,
                };
                ours.cond == theirs.cond && documented
            }
            _ => false,
        },
    },
    Known {
        name: "victim",
        peers: ANY,
        what: "which implicitly open zone is closed to make room for another",
        decides: "ZBC-2, manage open zone resources: any of them; ours and the C driver close the one that was \
                  written longest ago, null_blk the next one by number (null_close_imp_open_zone())",
        then: Then::GoOn,
        allows: |case| match case.what {
            What::Zone {
                no,
                field: Field::Condition,
                ours,
                theirs,
            } => {
                let conds = [ours.cond, theirs.cond];
                // What was just written, opened or closed is not a matter of taste.
                let settled =
                    case.alone && case.done && changes(case) && *case.zones == (*no..*no + 1);
                !settled
                    && ours.wp == theirs.wp
                    && (conds == [IMP_OPEN, CLOSED] || conds == [CLOSED, IMP_OPEN])
                    && case.ours.max_open != 0
                    && case.theirs.max_open != 0
            }
            _ => false,
        },
    },
    Known {
        name: "order-of-opens",
        peers: ANY,
        what: "which zones of a range are open after too many were to be opened by one call",
        decides: "block/blk-zoned.c, blkdev_zone_mgmt(): a command for each zone, all at once",
        then: Then::Reset,
        allows: |case| match case.what {
            What::Zone {
                field: Field::Condition,
                ours,
                theirs,
                ..
            } => {
                let openable = |z: &BlkZone| matches!(z.cond, EMPTY | IMP_OPEN | EXP_OPEN | CLOSED);
                case.zones.len() > 1
                    && is(case, ZoneOp::Open)
                    && !case.done
                    && limited(case)
                    && zone_in_range(case)
                    && openable(ours)
                    && openable(theirs)
                    && ours.wp == theirs.wp
            }
            _ => false,
        },
    },
    Known {
        name: "first-error",
        peers: ANY,
        what: "which errno a call ends with of which parts in several zones fail in several ways",
        decides: "block/bio.c, bio_chain_endio(): that of the part that ends first",
        then: Then::GoOn,
        allows: |case| match case.what {
            What::Result {
                ours: Err(ours),
                theirs: Err(theirs),
            } => {
                let possible = |fail: &Fail| {
                    matches!(
                        fail,
                        Fail::Errno(Errno::EIO | Errno::ETOOMANYREFS | Errno::EOVERFLOW)
                    )
                };
                case.zones.len() > 1 && limited(case) && possible(ours) && possible(theirs)
            }
            _ => false,
        },
    },
    Known {
        name: "read-beyond",
        peers: NULL_BLK,
        what: "data of a read beyond the write pointer: zeros here, ones there",
        decides: "ZBC-2, reads at or above the write pointer: any pattern; null_blk/main.c, null_transfer()",
        then: Then::GoOn,
        allows: |case| match case.what {
            What::Data {
                beyond,
                ours,
                theirs,
                ..
            } => *beyond && (*ours, *theirs) == (Some(0), Some(0xff)),
            _ => false,
        },
    },
    Known {
        name: "finish-resource",
        peers: NULL_BLK,
        what: "finish of a zone that is not open when no zone can be opened",
        decides: "null_blk/zoned.c, null_finish_zone(): wants an open zone first; ZBC-2 and ZNS go from EMPTY and \
                  CLOSED to FULL without one, as scsi_debug, QEMU and the C driver do",
        then: Then::Reset,
        allows: |case| {
            let full = case.before.is_none_or(|[_, zones]| {
                let (geo, explicit) = (case.theirs, nr_explicit(zones));
                (geo.max_open != 0 && explicit >= geo.max_open)
                    || (geo.max_active != 0 && nr_active(zones) >= geo.max_active)
            });
            is(case, ZoneOp::Finish)
                && limited(case)
                && full
                && match case.what {
                    What::Result {
                        ours: Ok(_),
                        theirs,
                    } => no_resource(theirs),
                    What::Zone { ours, theirs, .. } => {
                        zone_in_range(case)
                            && ours.cond == FULL
                            && matches!(theirs.cond, EMPTY | CLOSED)
                    }
                    _ => false,
                }
        },
    },
    Known {
        name: "empty-written",
        peers: NULL_BLK,
        what: "a zone is closed, as empty, while its first write is under way",
        decides: "null_blk/zoned.c, null_close_imp_open_zone(): does not lock the zone that it closes, whose write \
                  pointer moves after that",
        then: Then::Reset,
        allows: |case| {
            let written = |zone: &BlkZone| zone.cond == EMPTY && zone.wp > zone.start;
            !case.alone
                && case.theirs.max_open != 0
                && match case.what {
                    What::Zone {
                        field: Field::Condition,
                        ours,
                        theirs,
                        ..
                    } => {
                        matches!(ours.cond, IMP_OPEN | CLOSED)
                            && written(theirs)
                            && theirs.wp == ours.wp
                    }
                    What::Broken {
                        ours: false, zone, ..
                    } => written(zone),
                    _ => false,
                }
        },
    },
    Known {
        name: "no-active-limit",
        peers: NULL_BLK,
        what: "a zone becomes active where the other has a limit of active zones and it is reached",
        decides: "ZNS, maximum active resources: this driver has no such limit (MAR of all ones)",
        then: Then::Reset,
        allows: |case| {
            let full = case
                .before
                .is_none_or(|[_, zones]| nr_active(zones) + case.zones.len() as u32 > case.theirs.max_active);
            case.ours.max_active == 0
                && case.theirs.max_active != 0
                && full
                && opens(case)
                && match case.what {
                    What::Result { ours, theirs } => match theirs {
                        Err(Fail::Errno(Errno::EOVERFLOW)) => {
                            matches!(ours, Ok(_) | Err(Fail::Errno(Errno::ETOOMANYREFS)))
                        }
                        Err(Fail::Status(_)) => matches!(case.op, Op::Append { .. }),
                        _ => false,
                    },
                    What::Zone { theirs, .. } => zone_in_range(case) && theirs.cond == EMPTY,
                    _ => false,
                }
        },
    },
    Known {
        name: "closed-is-active",
        peers: NULL_BLK,
        what: "a closed zone is opened at both limits while another one is implicitly open",
        decides: "null_blk/zoned.c, null_check_open(): wants one more active zone, which a closed zone does not \
                  take; ZNS: it is active already, and an implicitly open one can be closed for it",
        then: Then::Reset,
        allows: |case| {
            let both = case.before.is_none_or(|[_, zones]| {
                nr_active(zones) >= case.theirs.max_active && nr_open(zones) >= case.theirs.max_open
            });
            case.theirs.max_active != 0
                && case.theirs.max_open != 0
                && both
                && opens(case)
                && match case.what {
                    What::Result {
                        ours: Ok(_),
                        theirs,
                    } => match theirs {
                        Err(Fail::Errno(Errno::ETOOMANYREFS)) => true,
                        Err(Fail::Status(_)) => matches!(case.op, Op::Append { .. }),
                        _ => false,
                    },
                    What::Zone { theirs, .. } => zone_in_range(case) && theirs.cond == CLOSED,
                    _ => false,
                }
        },
    },
    Known {
        name: "capacity",
        peers: C_ZLOOP,
        what: "a write from below the zone capacity to above it succeeds there",
        decides: "ZNS, zone capacity: writes beyond it end with Zone Boundary Error; block/blk-zoned.c and null_blk \
                  agree; drivers/block/zloop.c, zloop_seq_write_prep() does not look",
        then: Then::Reset,
        allows: |case| {
            matches!(case.op, Op::Write { .. })
                && match case.what {
                    What::Result {
                        ours: Err(Fail::Errno(Errno::EIO)),
                        theirs,
                    } => theirs.is_ok() && case.zones.clone().any(|no| crosses(case, no)),
                    What::Zone { no, .. } | What::Broken { ours: false, no, .. } => {
                        crosses(case, *no)
                    }
                    _ => false,
                }
        },
    },
    Known {
        name: "explicit-open",
        peers: C_ZLOOP,
        what: "explicit open at the limit while another zone is implicitly open fails there",
        decides: "ZBC-2, manage open zone resources: an implicitly open zone is closed first; null_blk/zoned.c, \
                  null_check_open(); drivers/block/zloop.c, zloop_open_closed_or_empty_zone() does not",
        then: Then::Reset,
        allows: |case| {
            let full = case.before.is_none_or(|[_, zones]| {
                nr_open(zones) + case.zones.len() as u32 > case.theirs.max_open
            });
            is(case, ZoneOp::Open)
                && limited(case)
                && full
                && match case.what {
                    What::Result {
                        ours: Ok(_),
                        theirs,
                    } => *theirs == Err(Fail::Errno(Errno::EIO)),
                    What::Zone {
                        field: Field::Condition,
                        ours,
                        theirs,
                        ..
                    } => {
                        let opened = zone_in_range(case) && ours.cond == EXP_OPEN;
                        opened || (ours.cond, theirs.cond) == (CLOSED, IMP_OPEN)
                    }
                    _ => false,
                }
        },
    },
    Known {
        name: "refused-write",
        peers: C_ZLOOP,
        what: "an empty zone that is explicitly open is closed there when a write to it is refused",
        decides: "ZBC-2 and ZNS: a write that ends with an error because of its place changes no zone condition; \
                  null_blk agrees; drivers/block/zloop.c, zloop_update_seq_zone() takes the condition from the file",
        then: Then::Reset,
        allows: |case| match case.what {
            What::Zone {
                field: Field::Condition,
                ours,
                theirs,
                ..
            } => {
                matches!(case.op, Op::Write { .. })
                    && !case.done
                    && zone_in_range(case)
                    && (ours.cond, theirs.cond) == (EXP_OPEN, EMPTY)
                    && ours.wp == theirs.wp
            }
            _ => false,
        },
    },
    Known {
        name: "limit-errno",
        peers: C_ZLOOP,
        what: "no zone can be opened: ETOOMANYREFS here, EIO there",
        decides: "include/linux/blk_types.h, BLK_STS_ZONE_OPEN_RESOURCE; null_blk/zoned.c, null_check_open()",
        then: Then::GoOn,
        allows: |case| match case.what {
            What::Result { ours, theirs } => {
                let full = case.before.is_none_or(|[zones, _]| {
                    nr_explicit(zones) + case.zones.len() as u32 > case.ours.max_open
                });
                case.ours.max_open != 0
                    && full
                    && *ours == Err(Fail::Errno(Errno::ETOOMANYREFS))
                    && *theirs == Err(Fail::Errno(Errno::EIO))
            }
            _ => false,
        },
    },
];

fn is(case: &Case, wanted: ZoneOp) -> bool {
    matches!(case.op, Op::Manage { op, .. } if *op == wanted)
}

/// Whether the step opens zones, explicitly or not.
fn opens(case: &Case) -> bool {
    matches!(case.op, Op::Write { .. } | Op::Append { .. }) || is(case, ZoneOp::Open)
}

/// Whether the step is one that changes zones.
fn changes(case: &Case) -> bool {
    matches!(
        case.op,
        Op::Write { .. } | Op::Append { .. } | Op::Manage { .. }
    )
}

/// Both or the other have a limit of open or active zones.
fn limited(case: &Case) -> bool {
    case.theirs.max_open != 0 || case.theirs.max_active != 0
}

/// The part of a write that is in this zone begins below its capacity and ends above.
fn crosses(case: &Case, no: u32) -> bool {
    let start = u64::from(no) * case.ours.zone_size;
    let capacity = start + case.ours.zone_capacity;
    let end = case.bytes.end.min(start + case.ours.zone_size);
    case.zones.contains(&no) && case.bytes.start < capacity && end > capacity
}

fn zone_in_range(case: &Case) -> bool {
    match case.what {
        What::Zone { no, .. } => case.zones.contains(no),
        _ => false,
    }
}

fn no_resource(reply: &Reply) -> bool {
    matches!(
        reply,
        Err(Fail::Errno(Errno::ETOOMANYREFS | Errno::EOVERFLOW))
    )
}

/// The line of the table that allows a difference to a device of that kind.
pub fn find(peer: Kind, case: &Case) -> Option<usize> {
    TABLE
        .iter()
        .position(|known| known.peers.contains(&peer) && (known.allows)(case))
}

/// Prints the table.
pub fn print() {
    for known in TABLE {
        let peers: Vec<_> = known.peers.iter().map(|kind| kind.name()).collect();
        println!("{} ({})", known.name, peers.join(", "));
        println!("    {}", known.what);
        println!("    {}", known.decides);
    }
}
