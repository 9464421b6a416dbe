// SPDX-License-Identifier: GPL-2.0

//! A sequential zone's write pointer: where the next write goes, and whether it may.
//!
//! A [`Plan`] says where a write goes, and [`Plan::commit`] moves the write pointer over it. The
//! plan borrows the write pointer, so that it cannot outlive the state it was made for: who drops
//! it has changed nothing, and plans again when the data is in the file.
//!
//! Locking: the caller holds the zone's lock from plan to commit, and has the zone's turn from the
//! first plan of a write to the last, so that the write pointer stays where it is.

#![forbid(unsafe_code)]

use core::fmt;

use super::{
    Sector,
    SECTOR_SHIFT, //
};

/// The write pointer of one sequential zone, as an offset from the zone's start.
///
/// # Invariants
///
/// `offset <= capacity`.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct WritePointer {
    /// Sectors written.
    offset: u32,
    /// Sectors that can be written, the zone capacity.
    capacity: u32,
}

impl WritePointer {
    /// The write pointer of an empty zone that has room for `capacity` sectors.
    pub(crate) const fn new(capacity: u32) -> Self {
        // INVARIANT: 0 is not above any capacity.
        Self {
            offset: 0,
            capacity,
        }
    }

    /// The write pointer, in sectors from the zone's start; the capacity for a full zone.
    pub(crate) fn offset(&self) -> Sector {
        Sector::from(self.offset)
    }

    /// The zone capacity in sectors.
    pub(crate) fn capacity(&self) -> Sector {
        Sector::from(self.capacity)
    }

    /// Whether nothing is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.offset == 0
    }

    /// Whether the capacity is used up.
    pub(crate) fn is_full(&self) -> bool {
        self.offset == self.capacity
    }

    /// Decides on a write of `len` sectors at `at` sectors from the zone's start.
    ///
    /// # Errors
    ///
    /// Any [`Reject`]; a full zone is reported as such, wherever the write was to go.
    pub(crate) fn plan_write(&mut self, at: Sector, len: Sector) -> Result<Plan<'_>, Reject> {
        let offset = self.offset();
        if len != 0 && !self.is_full() && at != offset {
            return Err(Reject::Unaligned { at, wp: offset });
        }
        self.plan_append(len)
    }

    /// Decides on a write of `len` sectors that goes where the write pointer is.
    ///
    /// # Errors
    ///
    /// Any [`Reject`] but `Unaligned`.
    pub(crate) fn plan_append(&mut self, len: Sector) -> Result<Plan<'_>, Reject> {
        if len == 0 {
            return Err(Reject::Zero);
        }
        if self.is_full() {
            return Err(Reject::Full);
        }
        let end = u32::try_from(len)
            .ok()
            .and_then(|len| self.offset.checked_add(len))
            .filter(|end| *end <= self.capacity);
        match end {
            // INVARIANT: `end` is above `offset`, as `len` is not 0, and not above the capacity.
            Some(end) => Ok(Plan { wp: self, end }),
            None => Err(Reject::BeyondCapacity {
                at: self.offset(),
                len,
                capacity: self.capacity(),
            }),
        }
    }

    /// Makes the zone empty.
    pub(crate) fn reset(&mut self) {
        self.offset = 0;
    }

    /// Makes the zone full.
    pub(crate) fn finish(&mut self) {
        self.offset = self.capacity;
    }

    /// Takes the write pointer from the size of the zone's file, which is what counts after a
    /// write has failed and when a device is restored.
    ///
    /// `block_size` is the device's logical block size in bytes.
    ///
    /// # Errors
    ///
    /// The size is none that a zone file can have; the write pointer is as it was.
    pub(crate) fn resync(&mut self, size_bytes: u64, block_size: u32) -> Result<(), SizeError> {
        let max = self.capacity() << SECTOR_SHIFT;
        if size_bytes > max {
            return Err(SizeError::TooLarge {
                size: size_bytes,
                max,
            });
        }
        let unaligned = SizeError::Unaligned {
            size: size_bytes,
            block_size,
        };
        let sectors = size_bytes >> SECTOR_SHIFT;
        if size_bytes.checked_rem(u64::from(block_size)) != Some(0)
            || sectors << SECTOR_SHIFT != size_bytes
        {
            return Err(unaligned);
        }
        // INVARIANT: `size_bytes` is not above the capacity, which also makes the conversion exact.
        self.offset = u32::try_from(sectors).map_err(|_| unaligned)?;
        Ok(())
    }

    /// The write pointer that a zone report shows for a zone of `zone_size` sectors at
    /// `zone_start`, both in sectors of the device.
    ///
    /// The standards leave it open for a full zone. The zone's end is what null_blk reports after
    /// a finish; an all-ones value, as the C driver's, is printed by blkzone as a huge offset.
    pub(crate) fn reported(&self, zone_start: Sector, zone_size: Sector) -> Sector {
        let offset = if self.is_full() {
            zone_size
        } else {
            self.offset()
        };
        zone_start.saturating_add(offset)
    }
}

/// A write that was found possible, and that [`Plan::commit`] makes final.
///
/// Dropping it leaves the write pointer alone.
///
/// # Invariants
///
/// `wp.offset < end <= wp.capacity`.
#[must_use = "the write pointer has not moved yet"]
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    wp: &'a mut WritePointer,
    end: u32,
}

impl Plan<'_> {
    /// Where the write goes, in sectors from the zone's start.
    pub(crate) fn start(&self) -> Sector {
        self.wp.offset()
    }

    /// Whether the zone is full once the write is done, and then must be closed.
    pub(crate) fn fills_zone(&self) -> bool {
        self.end == self.wp.capacity
    }

    /// Moves the write pointer to the end of the write.
    pub(crate) fn commit(self) {
        self.wp.offset = self.end;
    }
}

/// Why a write or a zone append is not admitted. All positions are in sectors from the zone's
/// start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reject {
    /// Nothing is to be written.
    Zero,
    /// The zone is full.
    Full,
    /// A write that does not start at the write pointer.
    Unaligned {
        /// Where it starts.
        at: Sector,
        /// Where it would have to start.
        wp: Sector,
    },
    /// The room that is left does not suffice.
    BeyondCapacity {
        /// Where the write starts.
        at: Sector,
        /// Its length.
        len: Sector,
        /// The zone capacity.
        capacity: Sector,
    },
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Zero => f.write_str("write of no sectors"),
            Self::Full => f.write_str("write to a full zone"),
            Self::Unaligned { at, wp } => write!(f, "unaligned write: sector {at}, wp {wp}"),
            Self::BeyondCapacity { at, len, capacity } => write!(
                f,
                "write beyond the zone capacity: sector {at}, {len} sectors, capacity {capacity}"
            ),
        }
    }
}

/// Why a zone file's size cannot be a write pointer. All figures are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SizeError {
    /// The file is larger than the zone capacity.
    TooLarge {
        /// The file's size.
        size: u64,
        /// The zone capacity.
        max: u64,
    },
    /// The size is not a multiple of the block size.
    Unaligned {
        /// The file's size.
        size: u64,
        /// The logical block size.
        block_size: u32,
    },
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLarge { size, max } => {
                write!(f, "file too large: {size} bytes, zone capacity {max}")
            }
            Self::Unaligned { size, block_size } => {
                write!(
                    f,
                    "file size {size} is not a multiple of the block size {block_size}"
                )
            }
        }
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_write_pointer))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    /// A write pointer at `offset` of 100 sectors.
    fn at(offset: u32) -> WritePointer {
        WritePointer {
            offset,
            capacity: 100,
        }
    }

    #[test]
    fn write_pointer_stays_small() {
        // A device can have a million zones.
        assert_eq!(size_of::<WritePointer>(), 8);
    }

    #[test]
    fn committed_writes_move_the_write_pointer() {
        // (offset before, length, fills the zone)
        let cases = [
            (0, 1, false),
            (0, 100, true),
            (40, 59, false),
            (99, 1, true),
        ];
        for (offset, len, fills) in cases {
            for append in [false, true] {
                let mut wp = at(offset);
                let start = Sector::from(offset);
                let plan = if append {
                    wp.plan_append(len)
                } else {
                    wp.plan_write(start, len)
                };
                let plan = plan.expect("admissible");
                assert_eq!((plan.start(), plan.fills_zone()), (start, fills));
                plan.commit();
                assert_eq!(wp.offset(), start + len);
                assert_eq!(wp.is_full(), fills);
                assert!(!wp.is_empty());
            }
        }
    }

    #[test]
    fn dropped_plan_changes_nothing() {
        let mut wp = at(40);
        drop(wp.plan_write(40, 60));
        drop(wp.plan_append(1));
        assert_eq!(wp, at(40));
    }

    fn unaligned(at: Sector, wp: Sector) -> Reject {
        Reject::Unaligned { at, wp }
    }

    /// A write or append to a zone of 100 sectors that goes too far.
    fn beyond(at: Sector, len: Sector) -> Reject {
        let capacity = 100;
        Reject::BeyondCapacity { at, len, capacity }
    }

    #[test]
    fn rejected_write_changes_nothing_and_says_why() {
        const HIGH: Sector = 1 << 32;
        // (offset, start, length, why)
        let cases = [
            (0, 0, 0, Reject::Zero),
            (40, 8, 0, Reject::Zero),
            (100, 100, 0, Reject::Zero),
            (0, 8, 8, unaligned(8, 0)),
            (40, 39, 1, unaligned(39, 40)),
            (40, 41, 1, unaligned(41, 40)),
            (40, 0, 500, unaligned(0, 40)),
            (40, u64::MAX, 1, unaligned(u64::MAX, 40)),
            (40, HIGH + 40, 1, unaligned(HIGH + 40, 40)),
            (0, 0, 101, beyond(0, 101)),
            (40, 40, 61, beyond(40, 61)),
            (99, 99, 2, beyond(99, 2)),
            (40, 40, HIGH - 1, beyond(40, HIGH - 1)),
            (40, 40, HIGH, beyond(40, HIGH)),
            (40, 40, u64::MAX, beyond(40, u64::MAX)),
            (100, 100, 1, Reject::Full),
            (100, 0, 1, Reject::Full),
            (100, 50, 200, Reject::Full),
        ];
        for (offset, start, len, why) in cases {
            let mut wp = at(offset);
            let plan = wp.plan_write(start, len);
            assert_eq!((start, len, plan.err()), (start, len, Some(why)));
            assert_eq!(wp, at(offset));
        }
    }

    #[test]
    fn rejected_append_changes_nothing_and_says_why() {
        let cases = [
            (0, 0, Reject::Zero),
            (100, 0, Reject::Zero),
            (0, 101, beyond(0, 101)),
            (93, 8, beyond(93, 8)),
            (1, u64::MAX, beyond(1, u64::MAX)),
            (100, 1, Reject::Full),
            (100, u64::MAX, Reject::Full),
        ];
        for (offset, len, why) in cases {
            let mut wp = at(offset);
            let plan = wp.plan_append(len);
            assert_eq!((len, offset, plan.err()), (len, offset, Some(why)));
            assert_eq!(wp, at(offset));
        }
    }

    #[test]
    fn reset_empties_and_finish_fills() {
        for offset in [0, 1, 99, 100] {
            let mut wp = at(offset);
            wp.finish();
            assert_eq!(wp, at(100));
            wp.reset();
            assert_eq!(wp, at(0));
        }
    }

    #[test]
    fn resync_takes_the_offset_from_the_file_size() {
        // (size in bytes, block size, sectors)
        let cases = [
            (0, 512, 0),
            (512, 512, 1),
            (4096, 4096, 8),
            (51200, 512, 100),
            (51200, 1024, 100),
        ];
        for (size, block_size, sectors) in cases {
            let mut wp = at(50);
            assert_eq!(wp.resync(size, block_size), Ok(()));
            assert_eq!(wp, at(sectors));
        }
    }

    #[test]
    fn resync_works_up_to_the_largest_zone() {
        // 16 GiB in sectors of 512 bytes: the size in bytes needs more than 32 bits.
        let mut wp = WritePointer::new(16 << 21);
        assert_eq!(wp.resync(16 << 30, 4096), Ok(()));
        assert!(wp.is_full());
        let mut wp = WritePointer::new(u32::MAX);
        assert_eq!(wp.resync(u64::from(u32::MAX) << 9, 512), Ok(()));
        assert!(wp.is_full());
    }

    #[test]
    fn impossible_file_size_is_refused_and_changes_nothing() {
        let large = |size| SizeError::TooLarge { size, max: 51200 };
        let odd = |size, block_size| SizeError::Unaligned { size, block_size };
        let cases = [
            (51201, 512, large(51201)),
            (51712, 512, large(51712)),
            (1 << 41, 512, large(1 << 41)),
            (u64::MAX, 512, large(u64::MAX)),
            (1, 512, odd(1, 512)),
            (511, 512, odd(511, 512)),
            (513, 512, odd(513, 512)),
            (512, 4096, odd(512, 4096)),
            (51200, 4096, odd(51200, 4096)),
            // Not block sizes at all, but no reason to divide by zero or to lose bytes.
            (512, 0, odd(512, 0)),
            (100, 1, odd(100, 1)),
        ];
        for (size, block_size, why) in cases {
            let mut wp = at(50);
            assert_eq!(wp.resync(size, block_size), Err(why));
            assert_eq!(wp, at(50));
        }
    }

    #[test]
    fn full_zone_reports_its_end() {
        assert_eq!(at(0).reported(1024, 128), 1024);
        assert_eq!(at(99).reported(1024, 128), 1123);
        assert_eq!(at(100).reported(1024, 128), 1152);
    }

    #[test]
    fn messages_name_the_figures() {
        let too_large = SizeError::TooLarge { size: 9, max: 8 };
        let odd = SizeError::Unaligned {
            size: 9,
            block_size: 512,
        };
        let cases: [(&dyn fmt::Display, &str); 6] = [
            (&Reject::Zero, "write of no sectors"),
            (&Reject::Full, "write to a full zone"),
            (&unaligned(8, 0), "unaligned write: sector 8, wp 0"),
            (
                &beyond(40, 61),
                "write beyond the zone capacity: sector 40, 61 sectors, capacity 100",
            ),
            (&too_large, "file too large: 9 bytes, zone capacity 8"),
            (&odd, "file size 9 is not a multiple of the block size 512"),
        ];
        for (error, want) in cases {
            assert_eq!(error.to_string(), want);
        }
    }
}
