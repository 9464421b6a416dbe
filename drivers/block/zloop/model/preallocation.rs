// SPDX-License-Identifier: GPL-2.0

//! Blocks allocated ahead of the write pointer.
//!
//! The file of a sequential zone gets blocks beyond its end before they are written, in steps that
//! grow with what is in the zone, so that most writes find theirs and need not wait for the
//! allocator. The first write to a zone gets none: many zones never have another. The size of the
//! file stays the write pointer. What is left over goes back when the zone is closed by a command,
//! finished or reset, when the device is removed, or when the file system runs out of space.
//!
//! Locking: that of the zone.

#![forbid(unsafe_code)]

use super::{
    Sector,
    SECTOR_SHIFT, //
};

/// The first step, in sectors: 1 MiB.
const MIN_STEP: Sector = 2048;

/// Up to where the file of one zone has blocks, in sectors from the start of the zone; 0 if that is
/// not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Preallocation(u32);

/// A range of a file, in sectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// First sector.
    pub(crate) start: Sector,
    /// The sector after the last one, at most the zone capacity.
    pub(crate) end: Sector,
}

impl Preallocation {
    /// Nothing is known to be allocated.
    pub(crate) const NONE: Self = Self(0);

    /// What to allocate before a write of the sectors from `start` to `end`, or `None` if they have
    /// their blocks, the write is the first one, or `max_step`, the longest step in sectors, is 0.
    ///
    /// The write must have been admitted: it ends within `capacity`.
    pub(crate) fn before_write(
        self,
        start: Sector,
        end: Sector,
        capacity: Sector,
        max_step: Sector,
    ) -> Option<Step> {
        if max_step == 0 || start == 0 || end <= Sector::from(self.0) {
            return None;
        }
        let ahead = end.max(MIN_STEP).min(max_step);

        Some(Step {
            start,
            end: end.saturating_add(ahead).min(capacity),
        })
    }

    /// Notes that a step was allocated.
    pub(crate) fn extend(&mut self, step: Step) {
        self.0 = u32::try_from(step.end).unwrap_or(self.0);
    }

    /// Whether there are blocks beyond the write pointer `wp`.
    pub(crate) fn is_ahead_of(self, wp: Sector) -> bool {
        Sector::from(self.0) > wp
    }
}

impl Step {
    /// What of it a file system with `available` of `total` bytes free has room for: the last
    /// sixteenth is left to those who write. `None` if that is not worth it.
    pub(crate) fn within(self, available: u64, total: u64) -> Option<Self> {
        let len = self.end.saturating_sub(self.start);
        let spare = available.saturating_sub(total / 16) >> SECTOR_SHIFT;

        (spare >= len.min(MIN_STEP)).then_some(Self {
            start: self.start,
            end: self.start.saturating_add(len.min(spare)),
        })
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_preallocation))]
mod tests {
    use super::*;

    const CAPACITY: Sector = 65536;
    const MAX: Sector = 8192;

    /// The end of the step before a write, if there is one, which begins with the write.
    fn step(upto: u32, start: Sector, end: Sector) -> Option<Sector> {
        let step = Preallocation(upto).before_write(start, end, CAPACITY, MAX)?;
        (step.start == start).then_some(step.end)
    }

    #[test]
    fn steps_grow_with_the_zone_up_to_the_maximum_and_end_at_the_capacity() {
        for (start, end, want) in [
            (8, 16, 2064),
            (136, 144, 2192),
            (8000, 8008, 16016),
            (20000, 20256, 28448),
            (60000, 60008, CAPACITY),
            (65528, 65536, CAPACITY),
        ] {
            assert_eq!((start, step(0, start, end)), (start, Some(want)));
        }
    }

    #[test]
    fn first_write_and_write_within_what_is_allocated_need_no_step() {
        assert_eq!(step(0, 0, 8), None);
        assert_eq!(step(136, 0, 8), None);
        assert_eq!(step(136, 128, 136), None);
        assert_eq!(step(136, 128, 144), Some(2192));
    }

    #[test]
    fn sequence_of_writes_allocates_seldom_and_always_enough() {
        let mut now = Preallocation::NONE;
        let mut steps = 0;
        for start in (0..CAPACITY).step_by(8) {
            let end = start + 8;
            if let Some(step) = now.before_write(start, end, CAPACITY, MAX) {
                assert!(step.end >= end && step.end <= CAPACITY);
                now.extend(step);
                steps += 1;
            }
            assert!(start == 0 || now.is_ahead_of(start));
        }
        assert!(!now.is_ahead_of(CAPACITY));
        assert!((1..=16).contains(&steps));
    }

    #[test]
    fn no_step_without_a_maximum() {
        assert_eq!(Preallocation::NONE.before_write(8, 16, CAPACITY, 0), None);
    }

    #[test]
    fn last_sixteenth_of_a_file_system_is_not_allocated_ahead() {
        const MIB: u64 = 1 << 20;
        let whole = Step {
            start: 8192,
            end: 16384,
        };
        let rest = Step {
            start: CAPACITY - 8,
            end: CAPACITY,
        };
        let end = |step: Step, available| step.within(available, 160 * MIB).map(|step| step.end);

        assert_eq!(end(whole, 160 * MIB), Some(16384));
        assert_eq!(end(whole, 14 * MIB), Some(16384));
        assert_eq!(end(whole, 13 * MIB), Some(14336));
        assert_eq!(end(whole, 11 * MIB), Some(10240));
        assert_eq!(end(whole, 11 * MIB - 1), None);
        assert_eq!(end(whole, 0), None);
        assert_eq!(end(rest, 10 * MIB + 4096), Some(CAPACITY));
        assert_eq!(end(rest, 10 * MIB + 4095), None);
    }
}
