// SPDX-License-Identifier: GPL-2.0

//! Moments at which the power can fail, and what is then on the disk.
//!
//! All that was flushed before, or written past the cache, is there. Of what was in the cache any part may be: each
//! write, and of a larger one each physical block, or not. The order among writes to one place is kept: the cache has
//! one copy of a block.

use super::log::{Entry, Log, FLUSH, FUA};
use crate::pattern::{Buffer, Rng};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What a disk writes all or nothing: a physical block.
const ATOM: u64 = 4096;
/// Largest single write to the disk.
const CHUNK: usize = 1 << 20;

/// A moment in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Entries before this one are on the disk.
    pub prefix: usize,
    /// Entries that were in the cache, or on their way to the disk.
    pub cached: Range<usize>,
    /// Marks before this entry were set before the power failed.
    pub moment: usize,
    /// Decides what of the cache got to the disk.
    pub seed: u64,
}

/// What is certain at a moment: numbers of lines of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// All up to this line had happened.
    pub must: u64,
    /// Nothing after this line had.
    pub may: u64,
}

/// What a cut has taken from the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Writes of which nothing is there.
    pub writes: u64,
    /// Writes of which a part is there.
    pub torn: u64,
}

/// A part of an entry that got to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub entry: usize,
    pub range: Range<u64>,
}

/// The moments of a log from entry `from` on: while each flush is under way, when each write past the cache is, and the
/// end. Their seeds are not set.
pub fn moments(log: &Log, from: usize) -> Vec<Cut> {
    let mut out = Vec::new();
    // First of the plain writes that a flush would make durable.
    let mut plain = 0;
    for (i, entry) in log.entries.iter().enumerate() {
        if entry.is_cached() {
            continue;
        }
        if i < from {
            // Before the load.
        } else if entry.is(FLUSH) || i > plain {
            // Plain writes before a mark were never flushed: logged when the log was closed.
            out.push(before(plain, i));
        } else if entry.is(FUA) {
            out.push(Cut {
                prefix: i,
                cached: i..i + 1,
                moment: i,
                seed: 0,
            });
        }
        plain = i + 1;
    }
    out.push(before(plain, log.entries.len()));
    out
}

/// The moment before entry `end`, with all from `plain` on in the cache.
fn before(plain: usize, end: usize) -> Cut {
    Cut {
        prefix: plain,
        cached: plain..end,
        moment: end,
        seed: 0,
    }
}

/// The last moment of a log: what the death of the machine left behind. If anything was in the cache, some of it is lost:
/// the seed is the first from `seed` on that does.
pub fn last(log: &Log, seed: u64) -> Cut {
    let plain = log.entries.iter().rposition(|e| !e.is_cached());
    let mut cut = Cut {
        seed,
        ..before(plain.map_or(0, |i| i + 1), log.entries.len())
    };
    while !cut.cached.is_empty() && cut.losses(log, &cut.pieces(log)) == Losses::default() {
        cut.seed = cut.seed.wrapping_add(1);
    }
    cut
}

/// Chooses `count` of the first moments at random, in the order of the log: the more likely, the more can be lost. The
/// same one can come twice, with other losses.
pub fn choose(log: &Log, from: usize, first: usize, count: usize, seed: u64) -> Vec<Cut> {
    let mut all = moments(log, from);
    all.truncate(first.max(1));
    let mut rng = Rng::new(seed);
    // Up to which number each moment is drawn.
    let ends: Vec<usize> = all
        .iter()
        .scan(0, |sum, cut| {
            *sum += 1 + cut.cached.len();
            Some(*sum)
        })
        .collect();
    let sum = ends.last().copied().unwrap_or(1);
    let mut cuts: Vec<Cut> = (0..count)
        .map(|_| {
            let drawn = rng.below(sum);
            Cut {
                seed: rng.next(),
                ..all[ends.partition_point(|end| *end <= drawn)].clone()
            }
        })
        .collect();
    cuts.sort_by_key(|cut| (cut.prefix, cut.moment));
    cuts
}

/// The first entry after the first mark with a number: the load begins there.
pub fn start_of_load(log: &Log) -> Option<usize> {
    log.entries.iter().position(|e| e.mark.is_some())
}

impl Cut {
    /// What is certain at this moment. A mark has the number of lines at a time before it was set, and was set after
    /// the one before it.
    pub fn bounds(&self, log: &Log) -> Bounds {
        let marks = |range: Range<usize>| log.entries[range].iter().filter_map(|e| e.mark);
        Bounds {
            must: marks(0..self.moment).max().unwrap_or(0),
            may: marks(self.moment..log.entries.len())
                .nth(1)
                .unwrap_or(u64::MAX),
        }
    }

    /// Whether it is a write past the cache that was under way.
    pub fn is_past_the_cache(&self, log: &Log) -> bool {
        matches!(&log.entries[self.cached.clone()], [entry] if entry.is(FUA))
    }

    /// What of the cache is on the disk, in the order of writing.
    pub fn pieces(&self, log: &Log) -> Vec<Piece> {
        let mut rng = Rng::new(self.seed);
        // In a hundred writes. None: the cache was lost. All: it was just about to be flushed.
        let kept = [0, 10, 50, 90, 100][rng.below(5)];
        // Some disks write in order.
        let end = match rng.below(3) {
            0 => self.cached.start + rng.below(self.cached.len() + 1),
            _ => self.cached.end,
        };
        let torn = 10 * rng.below(4);
        let mut out = Vec::new();
        for i in self.cached.start..end {
            let entry = &log.entries[i];
            if rng.below(100) >= kept {
                continue;
            }
            if entry.len <= ATOM || rng.below(100) >= torn {
                out.push(whole(i, entry));
                continue;
            }
            let mut from = entry.pos;
            while from < entry.pos + entry.len {
                let to = ((from / ATOM + 1) * ATOM).min(entry.pos + entry.len);
                if rng.below(2) == 0 {
                    out.push(Piece {
                        entry: i,
                        range: from - entry.pos..to - entry.pos,
                    });
                }
                from = to;
            }
        }
        out
    }

    /// What is missing, if these pieces of the cache are on the disk.
    pub fn losses(&self, log: &Log, pieces: &[Piece]) -> Losses {
        let is_whole = |piece: &&Piece| **piece == whole(piece.entry, &log.entries[piece.entry]);
        let mut touched: Vec<usize> = pieces.iter().map(|p| p.entry).collect();
        touched.dedup();
        Losses {
            writes: (self.cached.len() - touched.len()) as u64,
            torn: (touched.len() - pieces.iter().filter(is_whole).count()) as u64,
        }
    }
}

fn whole(i: usize, entry: &Entry) -> Piece {
    Piece {
        entry: i,
        range: 0..entry.len,
    }
}

/// The pieces that make up all of some entries.
pub fn all_of(log: &Log, range: Range<usize>) -> Vec<Piece> {
    range.map(|i| whole(i, &log.entries[i])).collect()
}

/// Writes pieces to a disk.
pub fn apply(log: &Log, pieces: &[Piece], disk: &File) -> io::Result<()> {
    let mut buf = Buffer::new(CHUNK);
    for piece in pieces {
        let entry = &log.entries[piece.entry];
        let mut at = piece.range.start;
        while at < piece.range.end {
            let len = (piece.range.end - at).min(CHUNK as u64) as usize;
            let part = &mut buf.bytes_mut()[..len];
            log.data(entry, at, part)?;
            disk.write_all_at(part, entry.pos + at)?;
            at += len as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::log::{made, DISCARD, MARK};
    use super::*;

    fn block(byte: u8) -> Vec<u8> {
        vec![byte; 4096]
    }

    /// Two rounds of writes and a flush, a write past the cache, and a tail.
    fn sample() -> Log {
        made::log(&[
            (0, 0, &block(1)),
            (0, FLUSH, &[]),
            (0, MARK, b"lines=10"),
            (8, 0, &block(2)),
            (16, 0, &vec![3; 8192]),
            (0, FLUSH, &[]),
            (0, MARK, b"lines=20"),
            (0, FUA, &block(4)),
            (0, MARK, b"lines=30"),
            (32, DISCARD, &block(0)),
            (0, MARK, b"end"),
        ])
    }

    fn plain(prefix: usize, cached: Range<usize>, moment: usize) -> Cut {
        Cut {
            prefix,
            cached,
            moment,
            seed: 0,
        }
    }

    #[test]
    fn moments_are_those_of_flushes_and_writes_past_the_cache() {
        assert_eq!(
            moments(&sample(), 2),
            [
                plain(3, 3..5, 5),
                plain(7, 7..8, 7),
                plain(9, 9..10, 10),
                plain(11, 11..11, 11)
            ]
        );
        assert_eq!(moments(&sample(), 0).len(), 5);
        assert_eq!(moments(&sample(), 0)[0], plain(0, 0..1, 1));
    }

    /// The last moment of all has nothing in the cache, and no entry after it.
    #[test]
    fn one_kind_of_moment_is_a_write_past_the_cache() {
        let log = sample();
        let kinds: Vec<bool> = moments(&log, 2)
            .iter()
            .map(|cut| cut.is_past_the_cache(&log))
            .collect();
        assert_eq!(kinds, [false, true, false, false]);
    }

    #[test]
    fn the_end_of_a_log_that_broke_off_is_its_tail() {
        let log = made::log(&[
            (0, 0, &block(1)),
            (0, FLUSH, &[]),
            (8, 0, &block(2)),
            (16, 0, &block(3)),
        ]);
        assert_eq!(last(&log, 0), plain(2, 2..4, 4));
        assert_eq!(last(&made::log(&[]), 0), plain(0, 0..0, 0));
    }

    #[test]
    fn marks_bound_what_had_happened() {
        let bounds: Vec<(u64, u64)> = moments(&sample(), 2)
            .iter()
            .map(|cut| cut.bounds(&sample()))
            .map(|b| (b.must, b.may))
            .collect();
        assert_eq!(bounds[..2], [(10, 30), (20, u64::MAX)]);
        assert_eq!(bounds[2..], [(30, u64::MAX); 2]);
        assert_eq!(start_of_load(&sample()), Some(2));
    }

    #[test]
    fn the_same_seed_chooses_the_same_cuts_in_order() {
        let log = sample();
        let cuts = choose(&log, 2, 9, 50, 4);
        assert_eq!(cuts, choose(&log, 2, 9, 50, 4));
        assert_ne!(cuts, choose(&log, 2, 9, 50, 5));
        assert!(cuts.windows(2).all(|w| w[0].prefix <= w[1].prefix));
        let first = choose(&log, 2, 1, 9, 4);
        assert!(first.iter().all(|cut| cut.moment == 5));
        let pieces: Vec<_> = cuts.iter().map(|cut| cut.pieces(&log)).collect();
        assert!(pieces.windows(2).any(|w| w[0] != w[1]));
    }

    #[test]
    fn moments_with_more_in_the_cache_are_chosen_more_often() {
        let cuts = choose(&sample(), 2, 9, 4000, 1);
        let share = |moment| cuts.iter().filter(|cut| cut.moment == moment).count();
        // Caches of 2, 1, 1 and 0 entries.
        let shares = [5, 7, 10, 11].map(share);
        for (seen, weight) in shares.iter().zip([3, 2, 2, 1]) {
            assert!(seen.abs_diff(500 * weight) < 150, "{shares:?}");
        }
    }

    /// Over many seeds each write is there whole, in part, and not at all, and nothing else ever is.
    #[test]
    fn every_part_of_the_cache_can_be_lost() {
        let log = sample();
        let cut = plain(3, 3..5, 5);
        let (mut none, mut all, mut second_only, mut torn) = (0, 0, 0, 0);
        for seed in 0..2000 {
            let disk = made::file(&vec![0; 64 << 10]);
            let cut = Cut {
                seed,
                ..cut.clone()
            };
            apply(&log, &all_of(&log, 0..cut.prefix), &disk).expect("room");
            apply(&log, &cut.pieces(&log), &disk).expect("room");
            let mut buf = vec![0; 64 << 10];
            disk.read_exact_at(&mut buf, 0).expect("data");
            let blocks: Vec<u8> = buf.chunks(4096).map(|block| block[0]).collect();
            assert!(buf.chunks(4096).all(|b| b.iter().all(|byte| *byte == b[0])));
            assert_eq!(blocks[0], 1);
            assert!(blocks[4..].iter().all(|byte| *byte == 0));
            match (blocks[1], blocks[2], blocks[3]) {
                (0, 0, 0) => none += 1,
                (2, 3, 3) => all += 1,
                (0, 3, 3) => second_only += 1,
                (2, 0, 0) => (),
                (0 | 2, 3, 0) | (0 | 2, 0, 3) => torn += 1,
                other => panic!("{other:?}"),
            }
        }
        for count in [none, all, second_only, torn] {
            assert!(count > 20, "{none} {all} {second_only} {torn}");
        }
    }

    #[test]
    fn the_death_of_a_machine_costs_something() {
        let log = made::log(&[
            (0, 0, &block(1)),
            (0, FLUSH, &[]),
            (8, 0, &block(2)),
            (16, 0, &vec![3; 8192]),
        ]);
        let mut lost = Losses::default();
        for seed in 0..500 {
            let cut = last(&log, seed);
            let pieces = cut.pieces(&log);
            let losses = cut.losses(&log, &pieces);
            assert_ne!((seed, losses), (seed, Losses::default()));
            assert_eq!(
                cut.losses(&log, &all_of(&log, cut.cached.clone())),
                Losses::default()
            );
            lost.writes += losses.writes;
            lost.torn += losses.torn;
        }
        assert!(lost.writes > 0 && lost.torn > 0, "{lost:?}");
    }

    #[test]
    fn a_write_past_the_cache_is_there_before_the_next_entry_only() {
        let log = sample();
        let disk = |pieces: &[Piece]| {
            let disk = made::file(&vec![0; 64 << 10]);
            apply(&log, pieces, &disk).expect("room");
            let mut first = [0];
            disk.read_exact_at(&mut first, 0).expect("data");
            first[0]
        };
        assert_eq!(disk(&all_of(&log, 0..7)), 1);
        assert_eq!(disk(&all_of(&log, 0..8)), 4);
    }
}
