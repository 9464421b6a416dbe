// SPDX-License-Identifier: GPL-2.0

//! The checker is right about histories that were made by hand, and agrees with trying all orders of small ones.

use super::crowd;
use super::history::{Call, Event, History, Seen, CONDITIONS};
use super::linear::{check, explain};
use super::spec::{Spec, State};
use super::text::parse;
use zbd::pattern::Rng;

fn history(head: &str, lines: &str) -> History {
    let mut list = parse(&format!("zone 1 {head}\n{lines}\n")).expect("a history");
    crowd::mark(&mut list);
    list.remove(0)
}

const HEAD: &str = "capacity=32 max_open=0";

#[test]
fn good_histories_are_right() {
    let good = [
        // One after the other.
        "t0 1-2 write 0+8 #1 = ok
         t0 3-4 report = IMP_OPEN 8
         t0 5-6 append 8 #2 = at 8
         t0 7-8 read 0+32 = #1+0:8@0 #2+0:8@8 zero:16@16
         t0 9-10 close = ok
         t0 11-12 report = CLOSED 16
         t0 13-14 append 16 #3 = at 16
         t0 15-16 report = FULL 0
         t0 17-18 append 8 #4 = refused
         t0 19-20 open = refused
         t0 21-22 close = refused
         t0 23-24 reset = ok
         t0 25-26 report = EMPTY 0
         t0 27-28 close = refused",
        // Two appends at once, in either order.
        "t0 1-4 append 8 #1 = at 4
         t1 2-3 append 4 #2 = at 0
         t1 5-6 append 24 #3 = refused",
        "t0 1-4 append 8 #1 = at 0
         t1 2-3 append 4 #2 = at 8",
        // A report during an append sees one or the other.
        "t0 1-6 append 8 #1 = at 0
         t1 2-3 report = EMPTY 0
         t1 4-5 report = IMP_OPEN 8",
        // It opens the zone before it moves the write pointer.
        "t0 1-8 append 8 #1 = at 0
         t1 2-3 report = EMPTY 0
         t1 4-5 report = IMP_OPEN 0
         t1 6-7 report = IMP_OPEN 8
         t1 9-10 close = ok
         t0 11-16 append 8 #2 = at 8
         t1 12-13 report = IMP_OPEN 8
         t1 14-15 report = IMP_OPEN 16",
        // An open empty zone.
        "t0 1-2 open = ok
         t0 3-4 report = EXP_OPEN 0
         t1 5-8 close = ok
         t0 6-7 report = EXP_OPEN 0
         t0 9-10 report = EMPTY 0",
        // A reset between two appends of another thread, all of it at once with a third.
        "t0 1-2 append 8 #1 = at 0
         t1 3-10 reset = ok
         t0 4-5 append 8 #2 = at 8
         t0 6-7 append 8 #3 = at 0
         t2 8-9 report = IMP_OPEN 8",
        // A read during a write sees any part of it; one during a reset, too.
        "t0 1-4 write 0+8 #1 = ok
         t1 2-3 read 0+8 = zero:2@0 #1+2:3@2 zero:3@5
         t0 5-10 reset = ok
         t1 6-7 read 0+8 = #1+0:4@0 zero:4@4
         t1 8-9 read 0+8 = #1+0:8@0",
        // A sector of which a part is written.
        "t0 1-4 write 0+8 #1 = ok
         t1 2-3 read 0+1 = zero:1@0 #1+0:1@0",
        // A finish does not change the data.
        "t0 1-2 write 0+8 #1 = ok
         t0 3-4 finish = ok
         t0 5-6 read 0+16 = #1+0:8@0 zero:8@8
         t0 7-8 finish = ok
         t0 9-10 report = FULL 32",
        // Refused: not at the write pointer; then because of that; not after a report when all is quiet.
        "t0 1-2 write 8+8 #1 = refused
         t0 3-4 write 0+8 #2 = refused
         t0 5-6 report settled = EMPTY 0
         t0 7-8 write 0+8 #3 = ok
         t0 9-10 write 8+32 #4 = refused",
        // Refused because another one is under way, or a reset.
        "t0 1-4 write 0+8 #1 = ok
         t1 2-3 write 0+8 #2 = refused
         t0 5-6 report settled = IMP_OPEN 8
         t1 7-10 reset = ok
         t0 8-9 write 8+8 #3 = refused",
        // The block layer may also let a write through before it has been told.
        "t0 1-2 write 8+8 #1 = refused
         t0 3-4 write 0+8 #2 = ok",
        // Appends and writes together: the block layer does not know of the appends.
        "t0 1-2 write 0+8 #1 = ok
         t0 3-4 append 8 #2 = at 8
         t0 5-6 write 16+8 #3 = refused
         t0 7-8 reset = ok
         t0 9-10 write 0+8 #4 = ok",
    ];
    for lines in good {
        let history = history(HEAD, lines);
        if let Err(fault) = check(&history) {
            panic!("{}", explain(&history, &fault));
        }
    }
}

#[test]
fn bad_histories_are_not() {
    // Each with the number of the line that cannot be.
    let bad = [
        // Nothing opens the zone; it is open for an append, and then it is not.
        (3, "t0 1-2 append 8 #1 = at 0\nt0 3-4 close = ok\nt1 5-6 report = IMP_OPEN 8"),
        (4, "t0 1-2 append 8 #1 = at 0\nt0 3-4 close = ok\nt0 5-8 append 32 #2 = refused\nt1 6-7 report = IMP_OPEN 8"),
        (3, "t0 1-8 append 8 #1 = at 0\nt1 2-3 report = IMP_OPEN 0\nt1 4-5 report = EMPTY 0"),
        // Two appends at the same place.
        (1, "t0 1-4 append 8 #1 = at 0\nt1 2-3 append 8 #2 = at 0\nt0 5-6 report = IMP_OPEN 8"),
        // A gap.
        (2, "t0 1-2 append 8 #1 = at 0\nt1 3-4 append 8 #2 = at 16"),
        // Beyond the capacity.
        (2, "t0 1-2 append 24 #1 = at 0\nt0 3-4 append 16 #2 = at 24"),
        // To a full zone.
        (2, "t0 1-2 finish = ok\nt0 3-4 write 0+8 #1 = ok"),
        // Not at the write pointer.
        (1, "t0 1-2 write 8+8 #1 = ok"),
        // Refused without a reason: an append, and a write that nothing disturbs.
        (2, "t0 1-2 append 8 #1 = at 0\nt0 3-4 append 8 #2 = refused"),
        (1, "t0 1-2 write 0+8 #1 = refused"),
        (
            4,
            "t0 1-2 write 8+8 #1 = refused\nt0 3-4 report settled = EMPTY 0\nt0 5-6 write 0+8 #2 = ok
             t1 7-8 write 8+8 #3 = refused",
        ),
        (
            4,
            "t0 1-2 write 8+8 #1 = refused\nt0 3-4 reset = ok\nt0 5-6 write 0+8 #2 = ok
             t1 7-8 write 8+8 #3 = refused",
        ),
        // An old report.
        (2, "t0 1-2 append 8 #1 = at 0\nt1 3-4 report = EMPTY 0"),
        (3, "t0 1-6 append 8 #1 = at 0\nt1 2-3 report = IMP_OPEN 8\nt1 4-5 report = EMPTY 0"),
        // A report of what never was.
        (2, "t0 1-4 append 8 #1 = at 0\nt1 2-3 report = IMP_OPEN 4"),
        (2, "t0 1-2 append 8 #1 = at 0\nt0 3-4 report = CLOSED 8"),
        (2, "t0 1-2 open = ok\nt0 3-4 report = IMP_OPEN 0"),
        (2, "t0 1-2 finish = ok\nt0 3-4 report = CLOSED 32"),
        // Lost, found elsewhere, damaged, too early, and of a write that failed.
        (2, "t0 1-2 write 0+8 #1 = ok\nt0 3-4 read 0+8 = #1+0:4@0 zero:4@4"),
        (2, "t0 1-2 write 0+8 #1 = ok\nt0 3-4 read 0+8 = #1+0:4@0 #1+5:3@4 zero:1@7"),
        (2, "t0 1-2 write 0+8 #1 = ok\nt0 3-4 read 0+8 = #1+0:7@0 garbage:1@7"),
        (1, "t0 1-2 read 0+8 = #1+0:8@0\nt0 3-4 write 0+8 #1 = ok"),
        (2, "t0 1-2 write 8+8 #1 = refused\nt0 3-4 read 8+8 = #1+0:8@8"),
        (1, "t0 1-2 read 0+8 = #9+0:8@0"),
        // Old data after a reset, and zeros after a write.
        (3, "t0 1-2 write 0+8 #1 = ok\nt0 3-4 reset = ok\nt1 5-6 read 0+8 = #1+0:8@0"),
        (
            4,
            "t0 1-2 write 0+8 #1 = ok\nt1 3-4 reset = ok\nt0 5-6 write 0+8 #2 = ok
             t1 7-8 read 0+8 = #1+0:8@0",
        ),
        // The order of two that are at once is known from what followed.
        (
            4,
            "t0 1-4 append 8 #1 = at 0\nt1 2-3 reset = ok\nt0 5-6 report = IMP_OPEN 8
             t1 7-8 read 0+8 = zero:8@0",
        ),
        (
            4,
            "t0 1-4 append 8 #1 = at 0\nt1 2-3 reset = ok\nt1 5-6 read 0+8 = #1+0:8@0
             t0 7-8 report = EMPTY 0",
        ),
        // Commands that should have been refused, or not.
        (1, "t0 1-2 close = ok"),
        (2, "t0 1-2 append 8 #1 = at 0\nt0 3-4 close = refused"),
        (1, "t0 1-2 open = refused"),
        (1, "t0 1-2 reset = refused"),
        (2, "t0 1-2 finish = ok\nt0 3-4 open = ok"),
        (1, "t0 1-2 open = no-room"),
        (1, "t0 1-2 reset = odd EROFS"),
    ];
    for (line, lines) in bad {
        let history = history(HEAD, lines);
        let fault = check(&history).expect_err(lines);
        assert_eq!(fault.event + 1, line, "{lines}");
    }
}

#[test]
fn the_limit_is_about_all_zones() {
    let text = |open: &str| {
        format!(
            "zone 0 capacity=32 max_open=1\n{open}\n\
             zone 1 capacity=32 max_open=1\nt1 5-6 write 0+8 #1 = no-room\nt1 7-8 open = no-room\n"
        )
    };
    let judge = |open: &str| {
        let mut list = parse(&text(open)).unwrap();
        crowd::mark(&mut list);
        (check(&list[1]).is_ok(), crowd::exceeded(&list).is_none())
    };
    assert_eq!(judge("t0 1-2 open = ok"), (true, true));
    assert_eq!(judge("t0 1-2 open = ok\nt0 3-9 close = ok"), (true, true));
    // There was room at one of the two.
    assert_eq!(judge("t0 1-2 open = ok\nt0 3-4 close = ok"), (false, true));
    assert_eq!(judge("t0 1-2 append 8 #2 = at 0"), (false, true));
    assert_eq!(judge("t0 7-8 open = ok"), (false, true));

    let two = "zone 0 capacity=32 max_open=1\nt0 1-4 open = ok\n\
               zone 1 capacity=32 max_open=1\nt1 5-6 open = ok\n";
    assert!(crowd::exceeded(&parse(two).unwrap()).is_some());
    let one = two.replace("t0 1-4 open = ok", "t0 1-4 open = ok\nt2 3-7 close = ok");
    assert!(crowd::exceeded(&parse(&one).unwrap()).is_none());
    // Nor is there room for a zone that is opened by a write.
    let third = "zone 0 capacity=32 max_open=1\nt0 1-4 open = ok\n\
                 zone 1 capacity=32 max_open=1\nt1 5-6 append 8 #1 = at 0\n";
    assert!(crowd::exceeded(&parse(third).unwrap()).is_some());
    let early = third.replace("t1 5-6", "t1 3-6");
    assert!(crowd::exceeded(&parse(&early).unwrap()).is_none());
    let closed = third.replace("t0 1-4 open = ok", "t0 1-4 open = ok\nt0 6-7 close = ok");
    assert!(crowd::exceeded(&parse(&closed).unwrap()).is_none());
    let free = third.replace("max_open=1", "max_open=2");
    assert!(crowd::exceeded(&parse(&free).unwrap()).is_none());
    // An implicitly open zone may be closed at any time.
    let history = history(
        "capacity=32 max_open=1",
        "t0 1-2 append 8 #1 = at 0\nt0 3-4 report = CLOSED 8\nt0 5-6 append 8 #2 = at 8\nt0 7-8 report = IMP_OPEN 16",
    );
    assert_eq!(check(&history), Ok(()));
}

/// Whether any order of the events explains them, tried one by one. Histories without reads.
fn any_order(history: &History) -> bool {
    fn search(spec: &mut Spec, events: &[Event], left: &mut Vec<usize>, state: &State) -> bool {
        if left.is_empty() {
            return true;
        }
        for k in 0..left.len() {
            let i = left[k];
            // None that is left may have ended before this one began.
            if left.iter().any(|j| events[*j].end < events[i].begin) {
                continue;
            }
            if let Some(next) = spec.step(state, i) {
                left.remove(k);
                let found = search(spec, events, left, &next);
                left.insert(k, i);
                if found {
                    return true;
                }
            }
        }
        false
    }
    let mut spec = Spec::new(history);
    let start = spec.start();
    let mut left: Vec<usize> = (0..history.events.len()).collect();
    search(&mut spec, &history.events, &mut left, &start)
}

/// A small history in which each thing happens at a random time and ends in a likely way.
fn small(rng: &mut Rng) -> History {
    let mut events = Vec::new();
    let mut free = [0u64; 3];
    let (mut wp, mut now) = (0u32, 0u64);
    for serial in 1..=6 {
        let thread = rng.below(3) as u32;
        now += 1 + rng.below(3) as u64;
        // No two at the same time.
        let begin = now.max(free[thread as usize]) * 16 + u64::from(serial);
        let end = begin + 16 * rng.below(6) as u64 + 8;
        free[thread as usize] = end / 16 + 1;
        let (call, seen) = match rng.below(8) {
            0..=2 => {
                let at = wp;
                wp += 8;
                let wrong = 8 * u32::from(rng.below(6) == 0);
                let at = at + wrong;
                (Call::Append { len: 8, serial }, Seen::At(at))
            }
            3 => (Call::Append { len: 8, serial }, Seen::Refused),
            4 => {
                wp = 0;
                (Call::Reset, Seen::Done)
            }
            5 => (
                Call::Close,
                [Seen::Done, Seen::Refused][rng.below(2)].clone(),
            ),
            6 => (
                Call::Open,
                [Seen::Done, Seen::Refused][rng.below(2)].clone(),
            ),
            _ => {
                let cond = CONDITIONS[rng.below(CONDITIONS.len())].0;
                let call = Call::Report { settled: false };
                (call, Seen::Line { cond, wp })
            }
        };
        events.push(Event {
            thread,
            begin,
            end,
            settled: end,
            call,
            seen,
        });
    }
    events.sort_by_key(|e| e.begin);
    History {
        zone: 0,
        capacity: 32,
        max_open: 0,
        emulated: false,
        events,
        crowded: Vec::new(),
    }
}

// What the block layer still does for a write may be the reason why another one is refused, and nothing else.
#[test]
fn what_is_acknowledged_counts_at_once() {
    let right = |lines| check(&history(HEAD, lines)).is_ok();
    assert!(right(
        "t0 1-2-5 write 0+8 #1 = ok
         t1 3-4 write 8+8 #2 = refused"
    ));
    assert!(right(
        "t0 1-2-5 reset = ok
         t1 3-4 write 0+8 #1 = refused"
    ));
    for wrong in [
        "t0 1-2 write 0+8 #1 = ok
         t1 3-4 write 8+8 #2 = refused",
        "t0 1-2-5 write 0+8 #1 = ok
         t1 3-4 read 0+8 = zero:8@0",
        "t0 1-2-5 write 0+8 #1 = ok
         t1 3-4 report = EMPTY 0",
        "t0 1-2 write 0+8 #1 = ok
         t0 3-4-7 reset = ok
         t1 5-6 read 0+8 = #1+0:8@0",
        "t0 1-2 open = ok
         t0 3-4-7 write 0+8 #1 = ok
         t1 5-6 open = refused",
    ] {
        assert!(!right(wrong), "{wrong}");
    }
}

#[test]
fn the_checker_agrees_with_trying_all_orders() {
    let mut rng = Rng::new(42);
    let mut right = 0;
    const ALL: u32 = 60_000;
    for _ in 0..ALL {
        let history = small(&mut rng);
        let expected = any_order(&history);
        assert_eq!(check(&history).is_ok(), expected, "\n{history}");
        right += u32::from(expected);
    }
    assert!(
        right > ALL / 50 && right < ALL / 2,
        "{right} of {ALL} were right"
    );
}
