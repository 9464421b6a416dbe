// SPDX-License-Identifier: GPL-2.0

//! What a power cut may leave behind, by the journal.
//!
//! The operations of one place follow one another: each is sent when the one before was acknowledged. So a place has a
//! history, and a cut may leave it anywhere between the last state that was made durable and the last operation that
//! may have been sent: also in the middle of an operation, and before one that was acknowledged but not flushed.

use super::cut::Bounds;
use super::journal::{Op, Record, Timed};
use std::collections::BTreeMap;

/// What may be left of one generation of a sequential zone: the time between two resets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub generation: u64,
    /// The write pointer is nowhere below this...
    pub low: u64,
    /// ...nor above this.
    pub high: u64,
    /// The write pointer at which the zone may have been finished.
    pub finish: Option<u64>,
    /// The finish is durable.
    pub finished: bool,
}

/// What may be left of one block of a conventional zone or of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The durable version, and those that came after it.
    pub allowed: Vec<u64>,
    /// Versions that are older than a durable one.
    pub lost: Vec<u64>,
    /// No version is durable.
    pub never: bool,
}

/// A record, seen from a moment.
pub struct Past<'a> {
    record: &'a Record,
    bounds: Bounds,
    /// Data that was not flushed may be zeros, below the write pointer as well.
    pub zeros: bool,
    /// Start of the last flush of everything that was acknowledged.
    flushed: u64,
    /// The same for single places.
    synced: BTreeMap<u64, u64>,
}

impl<'a> Past<'a> {
    pub fn new(record: &'a Record, bounds: Bounds) -> Self {
        let mut past = Self {
            record,
            bounds,
            zeros: false,
            flushed: 0,
            synced: BTreeMap::new(),
        };
        for timed in &record.ops {
            if timed.end.is_none_or(|end| end > bounds.must) {
                continue;
            }
            let last = match timed.op {
                Op::Flush => &mut past.flushed,
                Op::Sync { place } => past.synced.entry(place).or_default(),
                _ => continue,
            };
            *last = timed.start.max(*last);
        }
        past
    }

    /// Whether a flush of everything was acknowledged.
    pub fn was_flushed(&self) -> bool {
        self.flushed != 0
    }

    /// Whether something of this place is durable.
    pub fn is_certain(&self, place: u64) -> bool {
        self.ops(place)
            .any(|t| matches!(t.op, Op::Write { .. }) && self.is_durable(t))
    }

    /// Whether an operation of this place was acknowledged for certain and made durable.
    pub fn is_durable(&self, timed: &Timed) -> bool {
        let place = timed.op.place().unwrap_or(u64::MAX);
        let flushed = self
            .flushed
            .max(self.synced.get(&place).copied().unwrap_or(0));
        let fua = matches!(timed.op, Op::Write { fua: true, .. });
        timed
            .end
            .is_some_and(|end| end < flushed || (fua && end <= self.bounds.must))
    }

    /// The operations of a place that may have been sent.
    pub fn ops(&self, place: u64) -> impl Iterator<Item = &'a Timed> + '_ {
        self.record
            .ops
            .iter()
            .filter(move |t| t.op.place() == Some(place) && t.start <= self.bounds.may)
    }

    /// What may be left of a sequential zone, oldest generation first.
    pub fn spans(&self, zone: u64) -> Vec<Span> {
        let mut spans = vec![Span::default()];
        let mut now = Span::default();
        for timed in self.ops(zone) {
            match timed.op {
                Op::Write { block, count, .. } => now.high = block + count,
                Op::Finish { .. } => now.finish = Some(now.high),
                Op::Reset { .. } => {
                    now = Span {
                        generation: now.generation + 1,
                        ..Span::default()
                    };
                    spans.push(now.clone());
                }
                _ => continue,
            }
            if self.is_durable(timed) {
                now.low = now.high;
                now.finished = now.finish.is_some();
                spans.clear();
                spans.push(now.clone());
            } else if let Some(last) = spans.last_mut() {
                last.clone_from(&now);
            }
        }
        spans
    }

    /// What may be left of each block of a conventional zone or of a file that was ever written.
    pub fn versions(&self, place: u64) -> BTreeMap<u64, Versions> {
        let mut blocks: BTreeMap<u64, Versions> = BTreeMap::new();
        for timed in self.ops(place) {
            let Op::Write {
                block,
                count,
                generation,
                ..
            } = timed.op
            else {
                continue;
            };
            let durable = self.is_durable(timed);
            for index in block..block + count {
                let versions = blocks.entry(index).or_insert_with(|| Versions {
                    never: true,
                    ..Versions::default()
                });
                if durable {
                    versions.lost.append(&mut versions.allowed);
                    versions.never = false;
                }
                versions.allowed.push(generation);
            }
        }
        blocks
    }
}

/// The record of a load after which all was flushed.
pub fn flushed_at_end(record: &Record) -> Record {
    let mut out = record.clone();
    out.ops.push(Timed {
        op: Op::Flush,
        start: record.lines + 1,
        end: Some(record.lines + 2),
    });
    out.lines += 2;
    out
}

/// The record of a load that stopped at its last flush, but for resets, whose effect is durable at once: what
/// `discard_write_cache` leaves of sequential zones. `None` if the last flush was not alone.
pub fn up_to_last_flush(record: &Record) -> Option<Record> {
    let last = record.ops.iter().rfind(|t| t.op == Op::Flush)?;
    let (start, end) = (last.start, last.end?);
    let is_alone =
        |t: &Timed| t.start > end || t.start == start || t.end.is_some_and(|e| e < start);
    if !record.ops.iter().all(is_alone) {
        return None;
    }
    let mut out = record.clone();
    out.ops
        .retain(|t| t.start < end || matches!(t.op, Op::Reset { .. }));
    Some(flushed_at_end(&out))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of lines such as "+1 write 3 0 8 0 0" and "-1", and the bounds.
    fn spans(lines: &[&str], must: u64, may: u64) -> Vec<Span> {
        let record = Record::parse((lines.join("\n") + "\n").as_bytes()).expect("a journal");
        Past::new(&record, Bounds { must, may }).spans(3)
    }

    fn span(generation: u64, low: u64, high: u64) -> Span {
        Span {
            generation,
            low,
            high,
            ..Span::default()
        }
    }

    const TWO_WRITES: [&str; 8] = [
        "+1 write 3 0 8 0 0",
        "-1",
        "+3 flush",
        "-3",
        "+5 write 3 8 8 0 0",
        "-5",
        "+7 flush",
        "-7",
    ];

    #[test]
    fn what_was_flushed_is_the_least_and_what_was_sent_the_most() {
        assert_eq!(spans(&TWO_WRITES, 0, 0), [span(0, 0, 0)]);
        assert_eq!(spans(&TWO_WRITES, 2, 4), [span(0, 0, 8)]);
        assert_eq!(spans(&TWO_WRITES, 3, 4), [span(0, 0, 8)]);
        assert_eq!(spans(&TWO_WRITES, 4, 4), [span(0, 8, 8)]);
        assert_eq!(spans(&TWO_WRITES, 4, 5), [span(0, 8, 16)]);
        assert_eq!(spans(&TWO_WRITES, 7, 7), [span(0, 8, 16)]);
        assert_eq!(spans(&TWO_WRITES, 8, 8), [span(0, 16, 16)]);
    }

    #[test]
    fn a_flush_covers_only_what_was_acknowledged_before_it_was_sent() {
        let lines = ["+1 write 3 0 8 0 0", "+2 flush", "-1", "-2"];
        assert_eq!(spans(&lines, 4, 4), [span(0, 0, 8)]);
    }

    #[test]
    fn a_flush_of_a_place_does_not_cover_others() {
        let lines = ["+1 write 3 0 8 0 0", "-1", "+3 sync 4", "-3"];
        assert_eq!(spans(&lines, 4, 4), [span(0, 0, 8)]);
        let lines = ["+1 write 3 0 8 0 0", "-1", "+3 sync 3", "-3"];
        assert_eq!(spans(&lines, 4, 4), [span(0, 8, 8)]);
    }

    #[test]
    fn a_write_past_the_cache_is_durable_with_all_below_it() {
        let lines = ["+1 write 3 0 8 0 0", "-1", "+3 write 3 8 8 0 1", "-3"];
        assert_eq!(spans(&lines, 3, 4), [span(0, 0, 16)]);
        assert_eq!(spans(&lines, 4, 4), [span(0, 16, 16)]);
    }

    #[test]
    fn a_reset_that_was_not_flushed_may_be_undone() {
        let lines = [
            "+1 write 3 0 8 0 1",
            "-1",
            "+3 reset 3",
            "-3",
            "+5 write 3 0 4 1 0",
            "-5",
            "+7 flush",
            "-7",
        ];
        assert_eq!(spans(&lines, 6, 6), [span(0, 8, 8), span(1, 0, 4)]);
        assert_eq!(spans(&lines, 8, 8), [span(1, 4, 4)]);
    }

    #[test]
    fn a_finish_may_or_must_be_there() {
        let lines = [
            "+1 write 3 0 8 0 1",
            "-1",
            "+3 finish 3",
            "-3",
            "+5 flush",
            "-5",
        ];
        let maybe = Span {
            finish: Some(8),
            ..span(0, 8, 8)
        };
        assert_eq!(spans(&lines, 4, 4), [maybe.clone()]);
        let certain = Span {
            finished: true,
            ..maybe
        };
        assert_eq!(spans(&lines, 6, 6), [certain]);
    }

    #[test]
    fn a_discarded_cache_leaves_what_was_flushed_and_no_zone_that_was_reset_since() {
        let lines = [
            "+1 write 3 0 8 0 0",
            "-1",
            "+3 write 4 0 8 0 0",
            "-3",
            "+5 flush",
            "-5",
            "+7 write 3 8 8 0 0",
            "-7",
            "+9 reset 4",
            "-9",
            "+11 write 4 0 2 1 0",
            "-11",
        ];
        let record = Record::parse((lines.join("\n") + "\n").as_bytes()).expect("a journal");
        let left = up_to_last_flush(&record).expect("a flush");
        let end = Bounds {
            must: left.lines,
            may: left.lines,
        };
        assert_eq!(Past::new(&left, end).spans(3), [span(0, 8, 8)]);
        assert_eq!(Past::new(&left, end).spans(4), [span(1, 0, 0)]);
        let all = flushed_at_end(&record);
        let end = Bounds {
            must: all.lines,
            may: all.lines,
        };
        assert_eq!(Past::new(&all, end).spans(3), [span(0, 16, 16)]);
        let busy = ["+1 write 3 0 8 0 0", "+2 flush", "-1", "-2"];
        let record = Record::parse((busy.join("\n") + "\n").as_bytes()).expect("a journal");
        assert_eq!(up_to_last_flush(&record), None);
    }

    #[test]
    fn a_block_has_its_durable_version_or_a_later_one() {
        let lines = [
            "+1 write 0 0 2 1 0",
            "-1",
            "+3 write 0 1 2 2 1",
            "-3",
            "+5 write 0 1 1 3 0",
        ];
        let record = Record::parse((lines.join("\n") + "\n").as_bytes()).expect("a journal");
        let versions = Past::new(&record, Bounds { must: 5, may: 5 }).versions(0);
        let expected = [
            (0, vec![1], vec![], true),
            (1, vec![2, 3], vec![1], false),
            (2, vec![2], vec![], false),
        ];
        for (index, allowed, lost, never) in expected {
            let seen = &versions[&index];
            assert_eq!(
                *seen,
                Versions {
                    allowed,
                    lost,
                    never
                }
            );
        }
        assert_eq!(versions.len(), 3);
    }
}
