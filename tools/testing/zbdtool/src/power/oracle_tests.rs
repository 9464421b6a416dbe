// SPDX-License-Identifier: GPL-2.0

//! The oracle accepts what a good disk can leave behind, and names each class of fault.

use super::allowed::Past;
use super::block::{Content, Tag};
use super::cut::Bounds;
use super::journal::{Op, Record, Shape, Timed};
use super::oracle::{check_zone, Fault, Found};
use crate::pattern::Rng;
use crate::uapi::BlkZone;

/// One conventional zone, then sequential ones, of 24 blocks of 4 KiB of which 16 can be written.
const SHAPE: Shape = Shape {
    run: 5,
    unit: 4096,
    zones: 3,
    conventional: 1,
    size: 24,
    capacity: 16,
};

const ZONE: u64 = 1;

fn tag(place: u64, index: u64, generation: u64) -> Content {
    Content::Block(Tag {
        run: SHAPE.run,
        place,
        index,
        generation,
    })
}

/// A sequential zone with data of one generation up to `data`, and its write pointer at `wp`.
fn zone(generation: u64, data: u64, wp: u64, full: bool) -> Found {
    let start = ZONE * SHAPE.size * 8;
    let cond = match wp {
        _ if full => 0xe,
        0 => 0x1,
        _ => 0x4,
    };
    let wp = if full { SHAPE.capacity } else { wp };
    Found {
        zone: BlkZone {
            start,
            len: SHAPE.size * 8,
            wp: start + wp * 8,
            zone_type: 2,
            cond,
            capacity: SHAPE.capacity * 8,
            ..BlkZone::default()
        },
        blocks: (0..SHAPE.capacity)
            .map(|i| match i < data {
                true => tag(ZONE, i, generation),
                false => Content::Zeros,
            })
            .collect(),
    }
}

fn conventional(blocks: Vec<Content>) -> Found {
    Found {
        zone: BlkZone {
            len: SHAPE.size * 8,
            wp: u64::MAX,
            zone_type: 1,
            capacity: SHAPE.size * 8,
            ..BlkZone::default()
        },
        blocks,
    }
}

fn record(lines: &str) -> Record {
    Record::parse(lines.as_bytes()).expect("a journal")
}

/// What the oracle says at the end of a journal.
fn verdict(lines: &str, no: u64, found: &Found) -> Option<Fault> {
    let record = record(lines);
    let end = Bounds {
        must: record.lines,
        may: record.lines,
    };
    check_zone(&Past::new(&record, end), &SHAPE, no, found).map(|f| f.fault)
}

/// Six blocks flushed, four more not.
const WRITTEN: &str = "+1 write 1 0 6 0 0\n-1\n+3 flush\n-3\n+5 write 1 6 4 0 0\n-5\n";
/// Six blocks, a reset, three blocks; all of it flushed.
const RESET: &str =
    "+1 write 1 0 6 0 0\n-1\n+3 reset 1\n-3\n+5 write 1 0 3 1 0\n-5\n+7 flush\n-7\n";
/// Six blocks flushed, then finished.
const FINISHED: &str = "+1 write 1 0 6 0 0\n-1\n+3 flush\n-3\n+5 finish 1\n-5\n";
/// The same, flushed again.
const FINISH_FLUSHED: &str =
    "+1 write 1 0 6 0 0\n-1\n+3 flush\n-3\n+5 finish 1\n-5\n+7 flush\n-7\n";

#[test]
fn all_that_may_be_left_is_accepted() {
    for wp in 6..=10 {
        assert_eq!(verdict(WRITTEN, ZONE, &zone(0, wp, wp, false)), None);
    }
    assert_eq!(verdict(RESET, ZONE, &zone(1, 3, 3, false)), None);
    assert_eq!(verdict(FINISHED, ZONE, &zone(0, 6, 6, false)), None);
    assert_eq!(verdict(FINISHED, ZONE, &zone(0, 6, 6, true)), None);
    assert_eq!(verdict(FINISH_FLUSHED, ZONE, &zone(0, 6, 6, true)), None);
    let filled = "+1 write 1 0 16 0 0\n-1\n";
    for wp in 0..16 {
        assert_eq!(verdict(filled, ZONE, &zone(0, wp, wp, false)), None);
    }
    assert_eq!(verdict(filled, ZONE, &zone(0, 16, 16, true)), None);
    let undone = "+1 write 1 0 6 0 1\n-1\n+3 reset 1\n-3\n";
    for found in [zone(0, 6, 6, false), zone(1, 0, 0, false)] {
        assert_eq!(verdict(undone, ZONE, &found), None);
    }
    let empty_finished = "+1 finish 1\n-1\n";
    for full in [false, true] {
        assert_eq!(verdict(empty_finished, ZONE, &zone(0, 0, 0, full)), None);
    }
}

/// What is not flushed may be zeros in some setups; nothing else changes.
#[test]
fn zeros_are_tolerated_only_above_what_was_flushed() {
    let verdict = |lines: &str, found: &Found| {
        let record = record(lines);
        let end = Bounds {
            must: record.lines,
            may: record.lines,
        };
        let mut past = Past::new(&record, end);
        past.zeros = true;
        check_zone(&past, &SHAPE, ZONE, found).map(|f| f.fault)
    };
    let with = |found: &Found, index: usize, content: Content| {
        let mut found = found.clone();
        found.blocks[index] = content;
        found
    };
    for data in 6..=9 {
        assert_eq!(verdict(WRITTEN, &zone(0, data, 9, false)), None);
    }
    let island = with(&zone(0, 9, 9, false), 7, Content::Zeros);
    assert_eq!(verdict(WRITTEN, &island), None);
    let nothing = "+1 write 1 0 6 0 0\n-1\n";
    assert_eq!(verdict(nothing, &zone(0, 0, 4, false)), None);
    let finish = "+1 write 1 0 6 0 0\n-1\n+3 finish 1\n-3\n";
    assert_eq!(verdict(finish, &zone(0, 3, 3, true)), None);
    let filled = format!("+1 write 1 0 {} 0 0\n-1\n", SHAPE.capacity);
    let end = SHAPE.capacity;
    assert_eq!(verdict(&filled, &zone(0, end - 2, end, true)), None);
    let full = zone(0, 8, 8, true);
    assert_eq!(verdict(WRITTEN, &full), Some(Fault::FullWithoutReason));

    let lost = with(&zone(0, 9, 9, false), 5, Content::Zeros);
    assert_eq!(verdict(WRITTEN, &lost), Some(Fault::Hole));
    assert_eq!(verdict(WRITTEN, &zone(0, 5, 9, false)), Some(Fault::Hole));
    assert_eq!(verdict(WRITTEN, &zone(0, 9, 11, false)), Some(Fault::Hole));
    let stale = with(&island, 8, tag(ZONE, 8, 1));
    assert_eq!(verdict(WRITTEN, &stale), Some(Fault::Hole));
    let flushed = format!("{finish}+5 flush\n-5\n");
    assert_eq!(verdict(&flushed, &zone(0, 3, 3, true)), Some(Fault::Lost));
}

/// A change of something that was right.
type Plant = fn(&mut Found);

#[test]
fn each_class_of_fault_is_named() {
    let cases: [(&str, Found, Fault); 14] = [
        (WRITTEN, zone(0, 5, 5, false), Fault::Lost),
        (WRITTEN, zone(0, 0, 0, false), Fault::Lost),
        (WRITTEN, zone(0, 11, 11, false), Fault::Future),
        (WRITTEN, zone(1, 6, 6, false), Fault::Future),
        (WRITTEN, zone(0, 8, 8, true), Fault::FullWithoutReason),
        (WRITTEN, zone(0, 16, 16, true), Fault::Future),
        (WRITTEN, zone(0, 7, 8, false), Fault::Hole),
        (WRITTEN, zone(0, 0, 8, false), Fault::Hole),
        (RESET, zone(0, 6, 6, false), Fault::ResetUndone),
        (RESET, zone(1, 2, 2, false), Fault::Lost),
        (FINISHED, zone(0, 5, 5, true), Fault::Lost),
        (FINISH_FLUSHED, zone(0, 6, 6, false), Fault::FinishUndone),
        (FINISH_FLUSHED, zone(0, 4, 4, true), Fault::Lost),
        (
            "+1 write 1 0 6 0 0\n-1\n+3 finish 1\n-3\n",
            zone(0, 3, 3, true),
            Fault::Hole,
        ),
    ];
    for (lines, found, fault) in cases {
        assert_eq!(
            verdict(lines, ZONE, &found),
            Some(fault),
            "{lines}{found:?}"
        );
    }

    let plants: [(Plant, Fault); 13] = [
        (|f| f.blocks[3] = tag(1, 3, 1), Fault::Mixed),
        (|f| f.blocks[3] = tag(1, 4, 0), Fault::Misplaced),
        (|f| f.blocks[3] = tag(2, 3, 0), Fault::Misplaced),
        (
            |f| {
                f.blocks[3] = Content::Block(Tag {
                    run: 6,
                    place: 1,
                    index: 3,
                    generation: 0,
                })
            },
            Fault::Misplaced,
        ),
        (|f| f.blocks[3] = Content::Garbage, Fault::Garbage),
        (|f| f.blocks[3] = Content::Zeros, Fault::Hole),
        (|f| f.blocks[9] = tag(1, 9, 0), Fault::PastWritePointer),
        (|f| f.blocks[15] = Content::Garbage, Fault::PastWritePointer),
        (|f| f.zone.wp += 1, Fault::Report),
        (|f| f.zone.wp = f.zone.start, Fault::Report),
        (|f| f.zone.cond = 0x2, Fault::Report),
        (|f| f.zone.capacity += 8, Fault::Report),
        (|f| f.zone.zone_type = 1, Fault::Report),
    ];
    for (i, (plant, fault)) in plants.iter().enumerate() {
        let mut found = zone(0, 8, 8, false);
        assert_eq!(verdict(WRITTEN, ZONE, &found), None);
        plant(&mut found);
        assert_eq!(verdict(WRITTEN, ZONE, &found), Some(*fault), "plant {i}");
    }
}

#[test]
fn faults_of_conventional_zones_are_named() {
    let lines =
        "+1 write 0 0 2 1 0\n-1\n+3 write 0 1 2 2 0\n-3\n+5 flush\n-5\n+7 write 0 2 1 3 0\n";
    let good = vec![tag(0, 0, 1), tag(0, 1, 2), tag(0, 2, 2), Content::Zeros];
    let with = |index: usize, content: Content| {
        let mut blocks = good.clone();
        blocks[index] = content;
        verdict(lines, 0, &conventional(blocks))
    };
    assert_eq!(with(0, tag(0, 0, 1)), None);
    assert_eq!(with(2, tag(0, 2, 3)), None);
    assert_eq!(with(1, tag(0, 1, 1)), Some(Fault::Lost));
    assert_eq!(with(0, Content::Zeros), Some(Fault::Lost));
    assert_eq!(with(2, Content::Garbage), Some(Fault::Garbage));
    assert_eq!(with(0, tag(0, 1, 2)), Some(Fault::Misplaced));
    assert_eq!(with(0, tag(1, 0, 1)), Some(Fault::Misplaced));
    assert_eq!(with(0, tag(0, 0, 2)), Some(Fault::Future));
    assert_eq!(with(3, tag(0, 3, 1)), Some(Fault::Future));
    let short = conventional(good[..2].to_vec());
    assert_eq!(verdict(lines, 0, &short), Some(Fault::Lost));
    let unflushed = "+1 write 0 0 2 1 0\n-1\n";
    for blocks in [vec![Content::Zeros; 2], vec![tag(0, 0, 1), Content::Zeros]] {
        assert_eq!(verdict(unflushed, 0, &conventional(blocks)), None);
    }
}

/// A zone as a simple drive keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    generation: u64,
    wp: u64,
    finished: bool,
}

impl State {
    fn after(self, op: &Op) -> Self {
        match *op {
            Op::Write { count, .. } => Self {
                wp: self.wp + count,
                ..self
            },
            Op::Reset { .. } => Self {
                generation: self.generation + 1,
                ..Self::default()
            },
            Op::Finish { .. } => Self {
                finished: true,
                ..self
            },
            _ => self,
        }
    }

    fn found(self) -> Found {
        let full = self.finished || self.wp == SHAPE.capacity;
        zone(self.generation, self.wp, self.wp, full)
    }
}

/// A random history of one zone with one operation at a time, and the states after each.
fn random_history(rng: &mut Rng) -> (Record, Vec<State>) {
    let (mut ops, mut states) = (Vec::new(), vec![State::default()]);
    let mut line = 0;
    for _ in 0..30 {
        let now = states[states.len() - 1];
        let full = now.finished || now.wp == SHAPE.capacity;
        let place = ZONE;
        let op = match rng.below(10) {
            0..=1 => Op::Flush,
            2 => Op::Finish { place },
            3 => Op::Reset { place },
            _ if full => Op::Reset { place },
            _ => Op::Write {
                place,
                block: now.wp,
                count: 1 + rng.next() % (SHAPE.capacity - now.wp).min(5),
                generation: now.generation,
                fua: rng.below(5) == 0,
            },
        };
        let op = match op {
            Op::Finish { .. } if full => Op::Flush,
            op => op,
        };
        ops.push(Timed {
            op,
            start: line + 1,
            end: Some(line + 2),
        });
        states.push(now.after(&op));
        line += 2;
    }
    let record = Record {
        shape: SHAPE,
        ops,
        lines: line,
    };
    (record, states)
}

/// At a random moment a good drive is in some state from the durable one on; a bad one is before it, or ahead.
#[test]
fn random_histories_are_judged_as_a_simple_drive_would_be() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let (record, states) = random_history(&mut rng);
        let moment = rng.next() % (record.lines + 1);
        let bounds = Bounds {
            must: moment,
            may: moment,
        };
        let past = Past::new(&record, bounds);
        // States by number of operations done: those acknowledged, and one that may be under way.
        let done = (moment / 2) as usize;
        let begun = moment.div_ceil(2) as usize;
        let durable = (0..done)
            .rev()
            .find_map(|i| match record.ops[i].op {
                Op::Flush => Some(i),
                Op::Write { fua: true, .. } => Some(i + 1),
                _ => None,
            })
            .unwrap_or(0);
        let allowed = &states[durable..=begun];
        for (i, state) in states.iter().enumerate() {
            let verdict = check_zone(&past, &SHAPE, ZONE, &state.found());
            // Another state may look the same.
            let looks = |s: &State| {
                let full = |s: &State| s.finished || s.wp == SHAPE.capacity;
                s.wp == state.wp
                    && full(s) == full(state)
                    && (s.wp == 0 || s.generation == state.generation)
            };
            // Part of a write: it is between two states of one generation.
            let between = allowed.windows(2).any(|w| {
                w[0].generation == state.generation
                    && w[1].generation == state.generation
                    && !state.finished
                    && (w[0].wp..w[1].wp).contains(&state.wp)
            });
            let good = allowed.iter().any(looks) || between;
            assert_eq!(
                verdict.is_none(),
                good,
                "seed {seed}, moment {moment}, state {i} {state:?}: {verdict:?}; {record:?}"
            );
            if good {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(accepted > 3000 && refused > 3000, "{accepted} {refused}");
}
