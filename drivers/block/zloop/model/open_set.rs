// SPDX-License-Identifier: GPL-2.0

//! Which zones of a device are open, and which of them has to make room.
//!
//! The set has one slot a zone in a slice that the caller provides. The implicitly open zones form
//! a list through their slots, least recently used first; explicitly open zones count against the
//! limit but are never closed to make room, so they are in no list. All operations take constant
//! time.
//!
//! The set never looks at a zone, and a zone does not know that it is open: when a zone is closed
//! to make room for another, nothing happens but that the set forgets it. So no two zones are ever
//! locked at once. Locking: the device's lock, taken inside a zone's.
//!
//! The rules are those of the "manage open zone resources" function of ZBC-2, which are also those
//! of the ZNS command set for its maximum open resources.

#![forbid(unsafe_code)]

use core::ops::DerefMut;

use super::ZoneNo;

/// No zone, in a link. There are fewer zones than that.
const NONE: ZoneNo = ZoneNo::MAX;

/// Whether and how a zone is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub(crate) enum Openness {
    /// Not open; this says nothing about the write pointer.
    #[default]
    Closed,
    /// Opened by a write, closed again when another zone needs the resource.
    Implicit,
    /// Opened by a command, and only closed by one.
    Explicit,
}

/// What the set knows of one zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    prev: ZoneNo,
    next: ZoneNo,
    openness: Openness,
}

impl Slot {
    /// The slot of a zone that is not open.
    pub(crate) const EMPTY: Self = Self {
        prev: NONE,
        next: NONE,
        openness: Openness::Closed,
    };
}

impl Default for Slot {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// All zones that may be open are explicitly open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoResource;

/// The open zones of one device.
///
/// # Invariants
///
/// - `nr_open` is the number of slots that are not `Closed`, and not above `limit` unless that
///   is 0.
/// - The slots that are `Implicit`, and no others, are linked from `head` to `tail`.
#[derive(Debug)]
pub(crate) struct OpenSet<S> {
    slots: S,
    /// The least recently used of the implicitly open zones.
    head: ZoneNo,
    /// The most recently used of them.
    tail: ZoneNo,
    nr_open: u32,
    limit: u32,
}

impl<S: DerefMut<Target = [Slot]>> OpenSet<S> {
    /// A set without open zones, for as many zones as there are slots, of which up to `limit` may
    /// be open at a time; 0 is no limit.
    pub(crate) fn new(mut slots: S, limit: u32) -> Self {
        slots.fill(Slot::EMPTY);
        // INVARIANT: all slots are closed and there is no list.
        Self {
            slots,
            head: NONE,
            tail: NONE,
            nr_open: 0,
            limit,
        }
    }

    /// The number of zones that are open, implicitly or explicitly.
    #[cfg(any(test, CONFIG_KUNIT = "y"))]
    pub(crate) fn nr_open(&self) -> u32 {
        self.nr_open
    }

    /// Whether and how zone `no` is open.
    pub(crate) fn openness(&self, no: ZoneNo) -> Openness {
        self.slot(no).openness
    }

    /// Opens zone `no` because of a write to it, or notes that it was used.
    ///
    /// Returns the implicitly open zone that was closed to make room, if one had to be. A zone
    /// that is explicitly open stays so.
    ///
    /// # Errors
    ///
    /// The limit is reached and no implicitly open zone is left; also for a zone that the device
    /// does not have. Nothing has changed.
    pub(crate) fn open_implicit(&mut self, no: ZoneNo) -> Result<Option<ZoneNo>, NoResource> {
        let victim = match self.openness(no) {
            Openness::Explicit => return Ok(None),
            Openness::Implicit => {
                self.unlink(no);
                None
            }
            Openness::Closed => self.add(no)?,
        };
        // INVARIANT: the zone is counted, in no list, and gets both the state and the link.
        self.set(no, Openness::Implicit);
        self.link_tail(no);
        Ok(victim)
    }

    /// Opens zone `no` because of a command.
    ///
    /// Returns the implicitly open zone that was closed to make room, if one had to be. A zone
    /// that is implicitly open becomes explicitly open; it has its resource already.
    ///
    /// # Errors
    ///
    /// As for [`OpenSet::open_implicit`].
    pub(crate) fn open_explicit(&mut self, no: ZoneNo) -> Result<Option<ZoneNo>, NoResource> {
        let victim = match self.openness(no) {
            Openness::Explicit => return Ok(None),
            Openness::Implicit => {
                self.unlink(no);
                None
            }
            Openness::Closed => self.add(no)?,
        };
        // INVARIANT: the zone is counted and in no list.
        self.set(no, Openness::Explicit);
        Ok(victim)
    }

    /// Closes zone `no`, and returns whether it was open.
    pub(crate) fn close(&mut self, no: ZoneNo) -> bool {
        match self.openness(no) {
            Openness::Closed => return false,
            Openness::Implicit => self.unlink(no),
            Openness::Explicit => {}
        }
        // INVARIANT: the zone is in no list, and no longer counted.
        self.set(no, Openness::Closed);
        self.nr_open = self.nr_open.saturating_sub(1);
        true
    }

    /// Counts one more open zone, closing an implicitly open one if there is no room.
    fn add(&mut self, no: ZoneNo) -> Result<Option<ZoneNo>, NoResource> {
        if self.get_mut(no).is_none() {
            return Err(NoResource);
        }
        let mut victim = None;
        if self.limit != 0 && self.nr_open >= self.limit {
            let lru = self.head;
            if !self.close(lru) {
                return Err(NoResource);
            }
            victim = Some(lru);
        }
        self.nr_open = self.nr_open.saturating_add(1);
        Ok(victim)
    }

    /// The slot of zone `no`; an empty one for a number out of range.
    fn slot(&self, no: ZoneNo) -> Slot {
        usize::try_from(no)
            .ok()
            .and_then(|index| self.slots.get(index))
            .copied()
            .unwrap_or_default()
    }

    /// The slot of zone `no`, which is none for [`NONE`] and for a number out of range.
    fn get_mut(&mut self, no: ZoneNo) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(no).ok()?)
    }

    /// Changes how zone `no` is open.
    fn set(&mut self, no: ZoneNo, openness: Openness) {
        if let Some(slot) = self.get_mut(no) {
            slot.openness = openness;
        }
    }

    /// Takes zone `no` out of the list.
    fn unlink(&mut self, no: ZoneNo) {
        let Slot { prev, next, .. } = self.slot(no);
        match self.get_mut(prev) {
            Some(slot) => slot.next = next,
            None => self.head = next,
        }
        match self.get_mut(next) {
            Some(slot) => slot.prev = prev,
            None => self.tail = prev,
        }
        if let Some(slot) = self.get_mut(no) {
            slot.prev = NONE;
            slot.next = NONE;
        }
    }

    /// Appends zone `no`, which is in no list, as the most recently used.
    fn link_tail(&mut self, no: ZoneNo) {
        let last = self.tail;
        match self.get_mut(last) {
            Some(slot) => slot.next = no,
            None => self.head = no,
        }
        if let Some(slot) = self.get_mut(no) {
            slot.prev = last;
        }
        self.tail = no;
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_open_set))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    fn set(zones: usize, limit: u32) -> OpenSet<Vec<Slot>> {
        OpenSet::new(vec![Slot::EMPTY; zones], limit)
    }

    /// The implicitly open zones, least recently used first; checks every link and count.
    fn lru(set: &OpenSet<Vec<Slot>>) -> Vec<ZoneNo> {
        let mut list = Vec::new();
        let (mut prev, mut no) = (NONE, set.head);
        while no != NONE {
            let slot = set.slots[no as usize];
            assert_eq!(slot.openness, Openness::Implicit);
            assert_eq!(slot.prev, prev);
            list.push(no);
            assert!(list.len() <= set.slots.len(), "the list has a loop");
            (prev, no) = (no, slot.next);
        }
        assert_eq!(set.tail, prev);
        let count = |what| set.slots.iter().filter(|s| s.openness == what).count();
        assert_eq!(list.len(), count(Openness::Implicit));
        assert_eq!(set.nr_open as usize, list.len() + count(Openness::Explicit));
        for slot in &set.slots {
            if slot.openness != Openness::Implicit {
                assert_eq!((slot.prev, slot.next), (NONE, NONE));
            }
        }
        list
    }

    #[test]
    fn slot_stays_small() {
        assert!(size_of::<Slot>() <= 12);
    }

    #[test]
    fn writes_order_zones_by_last_use() {
        let mut set = set(5, 0);
        for no in [3, 1, 4, 1, 3, 3] {
            assert_eq!(set.open_implicit(no), Ok(None));
        }
        assert_eq!(lru(&set), [4, 1, 3]);
        assert_eq!(set.nr_open(), 3);
    }

    #[test]
    fn implicit_open_at_the_limit_closes_the_least_recently_used() {
        let mut set = set(5, 2);
        assert_eq!(set.open_implicit(0), Ok(None));
        assert_eq!(set.open_implicit(1), Ok(None));
        assert_eq!(set.open_implicit(0), Ok(None));
        assert_eq!(set.open_implicit(2), Ok(Some(1)));
        assert_eq!(set.openness(1), Openness::Closed);
        assert_eq!(lru(&set), [0, 2]);
        assert_eq!(set.nr_open(), 2);
    }

    #[test]
    fn explicit_open_at_the_limit_closes_the_least_recently_used() {
        let mut set = set(5, 2);
        assert_eq!(set.open_implicit(0), Ok(None));
        assert_eq!(set.open_implicit(1), Ok(None));
        assert_eq!(set.open_explicit(2), Ok(Some(0)));
        assert_eq!(set.openness(2), Openness::Explicit);
        assert_eq!(lru(&set), [1]);
    }

    #[test]
    fn explicitly_open_zones_are_never_closed_for_others() {
        let mut set = set(5, 2);
        assert_eq!(set.open_explicit(0), Ok(None));
        assert_eq!(set.open_explicit(1), Ok(None));
        assert_eq!(set.open_implicit(2), Err(NoResource));
        assert_eq!(set.open_explicit(3), Err(NoResource));
        assert_eq!(set.openness(2), Openness::Closed);
        assert_eq!(set.openness(3), Openness::Closed);
        assert_eq!(set.nr_open(), 2);
        assert!(lru(&set).is_empty());
    }

    #[test]
    fn zone_that_is_open_needs_no_second_resource() {
        let mut set = set(5, 2);
        assert_eq!(set.open_explicit(0), Ok(None));
        assert_eq!(set.open_implicit(1), Ok(None));
        // At the limit, but both are open already.
        assert_eq!(set.open_implicit(1), Ok(None));
        assert_eq!(set.open_explicit(0), Ok(None));
        assert_eq!(set.open_explicit(1), Ok(None));
        assert_eq!(set.openness(1), Openness::Explicit);
        assert!(lru(&set).is_empty());
    }

    #[test]
    fn write_leaves_an_explicitly_open_zone_explicitly_open() {
        let mut set = set(5, 2);
        assert_eq!(set.open_explicit(0), Ok(None));
        assert_eq!(set.open_implicit(0), Ok(None));
        assert_eq!(set.openness(0), Openness::Explicit);
        assert!(lru(&set).is_empty());
    }

    #[test]
    fn close_frees_a_resource_once() {
        let mut set = set(5, 2);
        assert_eq!(set.open_explicit(0), Ok(None));
        assert_eq!(set.open_implicit(1), Ok(None));
        assert!(set.close(0));
        assert!(!set.close(0));
        assert!(set.close(1));
        assert!(!set.close(1));
        assert_eq!(set.nr_open(), 0);
        assert!(lru(&set).is_empty());
        assert_eq!(set.open_explicit(2), Ok(None));
    }

    #[test]
    fn any_place_of_the_list_can_be_closed() {
        for gone in 0..4 {
            let mut set = set(4, 0);
            for no in 0..4 {
                assert_eq!(set.open_implicit(no), Ok(None));
            }
            assert!(set.close(gone));
            let rest: Vec<_> = (0..4).filter(|no| *no != gone).collect();
            assert_eq!(lru(&set), rest);
        }
    }

    #[test]
    fn no_limit_means_all_zones() {
        let mut set = set(100, 0);
        for no in 0..100 {
            assert_eq!(set.open_explicit(no), Ok(None));
        }
        assert_eq!(set.nr_open(), 100);
    }

    #[test]
    fn limit_of_one_passes_from_zone_to_zone() {
        let mut set = set(3, 1);
        assert_eq!(set.open_implicit(0), Ok(None));
        assert_eq!(set.open_implicit(1), Ok(Some(0)));
        assert_eq!(set.open_explicit(2), Ok(Some(1)));
        assert_eq!(set.open_implicit(0), Err(NoResource));
        assert_eq!(lru(&set), []);
    }

    #[test]
    fn zone_that_does_not_exist_is_refused() {
        let mut set = set(3, 2);
        assert_eq!(set.open_implicit(0), Ok(None));
        assert_eq!(set.open_implicit(1), Ok(None));
        for no in [3, 1000, NONE - 1, NONE] {
            assert_eq!(set.open_implicit(no), Err(NoResource));
            assert_eq!(set.open_explicit(no), Err(NoResource));
            assert!(!set.close(no));
            assert_eq!(set.openness(no), Openness::Closed);
        }
        assert_eq!(lru(&set), [0, 1]);
    }

    #[test]
    fn new_set_forgets_what_the_slots_said() {
        let old = Slot {
            prev: 1,
            next: 7,
            openness: Openness::Implicit,
        };
        let set = OpenSet::new(vec![old; 3], 1);
        assert_eq!(set.nr_open(), 0);
        assert!(lru(&set).is_empty());
    }

    #[test]
    fn damaged_links_do_not_panic() {
        let mut set = set(3, 1);
        assert_eq!(set.open_implicit(0), Ok(None));
        for link in [0, 1, 2, 3, NONE] {
            set.slots[0].prev = link;
            set.slots[0].next = link;
            set.head = link;
            set.tail = link;
            for no in 0..4 {
                let _ = set.open_implicit(no);
                let _ = set.open_explicit(no);
                let _ = set.close(no);
            }
        }
    }
}
