// SPDX-License-Identifier: GPL-2.0

//! The limit of open zones, which is about all zones at once: when it may refuse, and when it was exceeded.
//!
//! Implicitly open zones make room, so only explicitly open ones count. When exactly a zone is explicitly open is not
//! known; it may be from the begin of the open to the end of the next command that closes it, and it is from the end
//! of the open to the begin of the first one that may have closed it.

use super::history::{Call, Event, History, Seen, Time};

/// A time in which a zone is explicitly open.
struct Span {
    zone: u32,
    from: Time,
    to: Time,
}

/// Whether an event ends the time in which a zone is explicitly open, if it is.
fn closes(history: &History, event: &Event) -> bool {
    let fills = event
        .written()
        .is_some_and(|(at, len)| at + len == history.capacity);
    let command = matches!(event.call, Call::Close | Call::Finish | Call::Reset);
    fills || (command && event.seen == Seen::Done)
}

fn spans(histories: &[History], surely: bool) -> Vec<Span> {
    let mut list = Vec::new();
    for history in histories {
        for open in &history.events {
            if (&open.call, &open.seen) != (&Call::Open, &Seen::Done) {
                continue;
            }
            let closing = history.events.iter().filter(|e| closes(history, e));
            let (from, to) = if surely {
                let first = closing
                    .filter(|e| e.end > open.begin)
                    .map(|e| e.begin)
                    .min();
                (open.end, first)
            } else {
                let first = closing.filter(|e| e.begin > open.end).map(|e| e.end).min();
                (open.begin, first)
            };
            list.push(Span {
                zone: history.zone,
                from,
                to: to.unwrap_or(Time::MAX),
            });
        }
    }
    list
}

/// The number of zones with a span that has all of the time from `begin` to `end`.
fn count(spans: &[Span], begin: Time, end: Time, but: Option<u32>) -> u32 {
    let mut zones: Vec<u32> = spans
        .iter()
        .filter(|s| s.from <= begin && end < s.to && Some(s.zone) != but)
        .map(|s| s.zone)
        .collect();
    zones.sort_unstable();
    zones.dedup();
    zones.len() as u32
}

/// Notes in each history which events may have been refused because of other zones.
pub fn mark(histories: &mut [History]) {
    let possible = spans(histories, false);
    for history in histories {
        if history.max_open == 0 {
            continue;
        }
        for (i, event) in history.events.iter().enumerate() {
            let refused = match event.seen {
                Seen::NoRoom => true,
                // NVMe does not tell the two apart.
                Seen::Refused => matches!(event.call, Call::Append { .. }),
                _ => false,
            };
            let during = |s: &&Span| s.from > event.begin && s.from < event.end;
            let crowded = |now| count(&possible, now, now, Some(history.zone)) >= history.max_open;
            let mut moments = possible.iter().filter(during).map(|s| s.from);
            if refused && (crowded(event.begin) || moments.any(crowded)) {
                history.crowded.push(i);
            }
        }
    }
}

/// A moment at which more zones were explicitly open than can be, or as many and another one was written to.
pub fn exceeded(histories: &[History]) -> Option<Time> {
    let limit = histories.first().map(|h| h.max_open).filter(|n| *n != 0)?;
    let sure = spans(histories, true);
    let explicit = sure
        .iter()
        .map(|s| s.from)
        .find(|now| count(&sure, *now, *now, None) > limit);

    explicit.or_else(|| {
        histories.iter().find_map(|history| {
            let written = history.events.iter().filter(|e| e.written().is_some());
            let full =
                |event: &&Event| count(&sure, event.begin, event.end, Some(history.zone)) >= limit;

            written.filter(full).map(|e| e.begin).next()
        })
    })
}
