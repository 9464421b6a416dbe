// SPDX-License-Identifier: GPL-2.0

//! The lines of the table allow what they are for, and nothing that only looks like it.

use crate::compare::{CLOSED, EMPTY, EXP_OPEN, FULL, IMP_OPEN, NOT_WP};
use crate::known::{find, Case, TABLE};
use crate::op::{Base, Op, Place, Range};
use crate::target::{Fail, Geometry, Kind};
use crate::what::{Field, What};
use nix::errno::Errno;
use zbd::uapi::{BlkZone, ZoneOp};

const GEO: Geometry = Geometry {
    zone_size: 64 << 10,
    zone_capacity: 48 << 10,
    nr_zones: 8,
    conv: 0,
    block: 4096,
    max_open: 2,
    max_active: 0,
};

const ACTIVE: Geometry = Geometry {
    max_active: 3,
    ..GEO
};

const FREE: Geometry = Geometry { max_open: 0, ..GEO };

/// A line of a report of zone `no`, with so many sectors written.
fn zone(no: u32, cond: u8, written: u64) -> BlkZone {
    let start = u64::from(no) * 128;
    BlkZone {
        start,
        len: 128,
        wp: start + written,
        zone_type: 2,
        cond,
        capacity: 96,
        ..Default::default()
    }
}

fn condition(no: u32, ours: u8, theirs: u8, written: u64) -> What {
    What::Zone {
        no,
        field: Field::Condition,
        ours: zone(no, ours, written),
        theirs: zone(no, theirs, written),
    }
}

fn pointer(cond: u8, ours: u64, theirs: u64) -> What {
    What::Zone {
        no: 0,
        field: Field::WritePointer,
        ours: BlkZone {
            wp: ours,
            ..zone(0, cond, 0)
        },
        theirs: BlkZone {
            wp: theirs,
            ..zone(0, cond, 0)
        },
    }
}

fn result(ours: Result<u64, Errno>, theirs: Result<u64, Errno>) -> What {
    What::Result {
        ours: ours.map_err(Fail::Errno),
        theirs: theirs.map_err(Fail::Errno),
    }
}

fn write(zone: u32) -> Op {
    Op::Write {
        at: Place {
            zone,
            base: Base::WritePointer,
            delta: 0,
        },
        len: 4096,
        sync: false,
    }
}

fn manage(op: ZoneOp, zone: u32, count: u32) -> Op {
    let range = Range::zones(zone, count);
    Op::Manage { op, range }
}

/// The zones of a device before a step, by their conditions.
fn zones(conds: &[u8]) -> Vec<BlkZone> {
    (0..)
        .zip(conds)
        .map(|(no, cond)| {
            let written = match *cond {
                EMPTY | EXP_OPEN => 0,
                FULL => 128,
                _ => 8,
            };
            zone(no, *cond, written)
        })
        .collect()
}

/// A difference after a step for the zones from 3 on.
struct Seen {
    peer: Kind,
    geo: [Geometry; 2],
    op: Op,
    count: u32,
    before: Vec<BlkZone>,
    alone: bool,
    done: bool,
    what: What,
}

impl Seen {
    fn row(&self) -> Option<&'static str> {
        let case = Case {
            op: &self.op,
            zones: &(3..3 + self.count),
            bytes: &(3 * GEO.zone_size..3 * GEO.zone_size + 4096),
            ours: &self.geo[0],
            theirs: &self.geo[1],
            before: Some([&self.before, &self.before]),
            alone: self.alone,
            done: self.done,
            what: &self.what,
        };
        find(self.peer, &case).map(|row| TABLE[row].name)
    }
}

/// Two open zones, the first explicitly, and a closed one.
const ONE: &[u8] = &[EXP_OPEN, IMP_OPEN, EMPTY, CLOSED];
/// No zone can be opened.
const BOTH: &[u8] = &[EXP_OPEN, EXP_OPEN, EMPTY, CLOSED];

fn seen(peer: Kind, op: Op, before: &[u8], what: What) -> Seen {
    Seen {
        peer,
        geo: [GEO, GEO],
        op,
        count: 1,
        before: zones(before),
        alone: true,
        done: false,
        what,
    }
}

#[test]
fn write_pointers_that_mean_nothing_may_differ_but_ours_are_as_documented() {
    let row = |what| seen(Kind::NullBlk, Op::Flush, ONE, what).row();
    assert_eq!(row(pointer(FULL, 128, u64::MAX)), Some("invalid-wp"));
    assert_eq!(row(pointer(FULL, 96, 128)), None);
    assert_eq!(row(pointer(NOT_WP, u64::MAX, 128)), Some("invalid-wp"));
    assert_eq!(row(pointer(NOT_WP, 0, 128)), None);
    assert_eq!(row(pointer(IMP_OPEN, 8, 16)), None);
}

#[test]
fn who_makes_room_may_differ_but_not_the_zone_of_the_step() {
    let mut case = seen(
        Kind::NullBlk,
        write(3),
        ONE,
        condition(1, CLOSED, IMP_OPEN, 8),
    );
    case.done = true;
    assert_eq!(case.row(), Some("victim"));
    case.what = condition(3, CLOSED, IMP_OPEN, 8);
    assert_eq!(case.row(), None);
    case.op = manage(ZoneOp::Close, 3, 1);
    assert_eq!(case.row(), None);
    case.alone = false;
    assert_eq!(case.row(), Some("victim"));
    case.alone = true;
    // What failed has left the zone as it was, which may have been different.
    case.done = false;
    assert_eq!(case.row(), Some("victim"));
    case.geo = [FREE, FREE];
    assert_eq!(case.row(), None);
    case.geo = [GEO, GEO];
    for [ours, theirs] in [[EMPTY, IMP_OPEN], [EXP_OPEN, CLOSED], [FULL, CLOSED]] {
        case.what = condition(1, ours, theirs, 8);
        assert_eq!(case.row(), None);
    }
}

#[test]
fn opens_of_a_range_may_end_in_any_order_if_some_fail() {
    let what = condition(4, EXP_OPEN, EMPTY, 0);
    let mut case = seen(Kind::NullBlk, manage(ZoneOp::Open, 3, 3), ONE, what);
    case.count = 3;
    assert_eq!(case.row(), Some("order-of-opens"));
    case.done = true;
    assert_eq!(case.row(), None);
    case.done = false;
    case.what = condition(4, EXP_OPEN, FULL, 128);
    assert_eq!(case.row(), None);
    case.what = condition(2, EXP_OPEN, EMPTY, 0);
    assert_eq!(case.row(), None);
}

#[test]
fn an_empty_zone_with_data_is_a_fault_of_null_blk_with_several_threads_and_a_limit_only() {
    let closed = condition(3, IMP_OPEN, EMPTY, 8);
    let broken = |ours| What::Broken {
        ours,
        no: 3,
        text: "",
        zone: zone(3, EMPTY, 8),
    };
    let row = |peer, alone, geo, what| {
        let mut case = seen(peer, write(3), ONE, what);
        (case.alone, case.geo) = (alone, [geo, geo]);
        case.row()
    };
    let null = Kind::NullBlk;
    assert_eq!(row(null, false, GEO, closed), Some("empty-written"));
    assert_eq!(row(null, false, GEO, broken(false)), Some("empty-written"));
    assert_eq!(row(null, false, GEO, broken(true)), None);
    assert_eq!(row(null, true, GEO, closed), None);
    assert_eq!(row(null, false, FREE, closed), None);
    assert_eq!(row(Kind::CZloop, false, GEO, closed), None);
    let others = [
        condition(3, EMPTY, IMP_OPEN, 8),
        condition(3, IMP_OPEN, EMPTY, 0),
        condition(3, EXP_OPEN, EMPTY, 8),
    ];
    for what in others {
        assert_eq!(row(null, false, GEO, what), None);
    }
}

#[test]
fn a_finish_needs_no_open_zone_where_theirs_can_have_none() {
    let op = manage(ZoneOp::Finish, 3, 1);
    let failed = result(Ok(0), Err(Errno::ETOOMANYREFS));
    let row = |peer, before, what| seen(peer, op, before, what).row();
    assert_eq!(row(Kind::NullBlk, BOTH, failed), Some("finish-resource"));
    assert_eq!(row(Kind::NullBlk, ONE, failed), None);
    assert_eq!(row(Kind::CZloop, BOTH, failed), None);
    assert_eq!(
        row(Kind::NullBlk, BOTH, result(Err(Errno::ETOOMANYREFS), Ok(0))),
        None
    );
}

#[test]
fn a_limit_of_active_zones_explains_nothing_before_it_is_reached() {
    let full = [EXP_OPEN, IMP_OPEN, CLOSED, EMPTY];
    let mut case = seen(
        Kind::NullBlk,
        write(3),
        &full,
        result(Ok(4096), Err(Errno::EOVERFLOW)),
    );
    case.geo[1] = ACTIVE;
    assert_eq!(case.row(), Some("no-active-limit"));
    case.before = zones(&[EXP_OPEN, IMP_OPEN, EMPTY, EMPTY]);
    assert_eq!(case.row(), None);
    case.before = zones(&full);
    case.what = result(Err(Errno::EIO), Err(Errno::EOVERFLOW));
    assert_eq!(case.row(), None);
    // A closed zone is active already.
    case.before = zones(ONE);
    case.what = result(Ok(4096), Err(Errno::ETOOMANYREFS));
    assert_eq!(case.row(), Some("closed-is-active"));
    case.before = zones(&[EXP_OPEN, CLOSED, EMPTY, CLOSED]);
    assert_eq!(case.row(), None);
}

#[test]
fn the_errno_of_the_c_driver_stands_for_a_limit_that_is_reached() {
    let what = result(Err(Errno::ETOOMANYREFS), Err(Errno::EIO));
    let row = |peer, before| seen(peer, write(3), before, what).row();
    assert_eq!(row(Kind::CZloop, BOTH), Some("limit-errno"));
    assert_eq!(row(Kind::CZloop, ONE), None);
    assert_eq!(row(Kind::NullBlk, BOTH), None);
    // The C driver refuses an explicit open where a zone could be closed.
    let what = result(Ok(0), Err(Errno::EIO));
    let row = |before| seen(Kind::CZloop, manage(ZoneOp::Open, 3, 1), before, what).row();
    assert_eq!(row(ONE), Some("explicit-open"));
    assert_eq!(row(&[IMP_OPEN, EMPTY, EMPTY, EMPTY]), None);
}

#[test]
fn a_refused_write_closes_an_empty_zone_of_the_c_driver_only() {
    let what = condition(3, EXP_OPEN, EMPTY, 0);
    let mut case = seen(Kind::CZloop, write(3), ONE, what);
    assert_eq!(case.row(), Some("refused-write"));
    case.done = true;
    assert_eq!(case.row(), None);
    case.done = false;
    case.peer = Kind::NullBlk;
    assert_eq!(case.row(), None);
    case.peer = Kind::CZloop;
    case.what = condition(3, EXP_OPEN, CLOSED, 8);
    assert_eq!(case.row(), None);
}
