// SPDX-License-Identifier: GPL-2.0

//! A zoned device as the standards describe it: every zone stores its condition.
//!
//! It shares no code and no data structure with the model. Positions are sectors of the device,
//! conditions are stored and changed by each transition, and the zones that may be closed for
//! others are in a vector. Its rules are those of ZBC-2 for host-managed devices, with the ZNS
//! rules for zone append, which ZBC does not have.

/// A zone condition, numbered as in ZBC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cond {
    NotWp = 0,
    Empty = 1,
    ImpOpen = 2,
    ExpOpen = 3,
    Closed = 4,
    Full = 14,
}

/// How a command ends that does not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The zone's condition or write pointer does not allow it.
    Invalid,
    /// INSUFFICIENT ZONE RESOURCES: too many zones are open.
    Resources,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Zone {
    start: u64,
    wp: u64,
    cond: Cond,
}

/// One device.
pub(crate) struct Oracle {
    zones: Vec<Zone>,
    zone_capacity: u64,
    max_open: usize,
    /// Implicitly open zones, least recently written first.
    implicit: Vec<usize>,
}

impl Oracle {
    pub(crate) fn new(
        nr_zones: usize,
        nr_conv_zones: usize,
        zone_size: u64,
        zone_capacity: u64,
        max_open: usize,
    ) -> Self {
        let zones = (0..nr_zones)
            .map(|no| Zone {
                start: no as u64 * zone_size,
                wp: no as u64 * zone_size,
                cond: if no < nr_conv_zones {
                    Cond::NotWp
                } else {
                    Cond::Empty
                },
            })
            .collect();
        Self {
            zones,
            zone_capacity,
            max_open,
            implicit: Vec::new(),
        }
    }

    /// Condition and write pointer of a zone; the latter means nothing for conventional and full
    /// zones.
    pub(crate) fn report(&self, no: usize) -> (Cond, u64) {
        (self.zones[no].cond, self.zones[no].wp)
    }

    pub(crate) fn nr_open(&self) -> usize {
        self.zones
            .iter()
            .filter(|zone| matches!(zone.cond, Cond::ImpOpen | Cond::ExpOpen))
            .count()
    }

    fn end(&self, no: usize) -> u64 {
        self.zones[no].start + self.zone_capacity
    }

    fn set(&mut self, no: usize, cond: Cond) {
        self.implicit.retain(|other| *other != no);
        if cond == Cond::ImpOpen {
            self.implicit.push(no);
        }
        self.zones[no].cond = cond;
    }

    fn close_or_empty(&mut self, no: usize) {
        let zone = &self.zones[no];
        let cond = if zone.wp == zone.start {
            Cond::Empty
        } else {
            Cond::Closed
        };
        self.set(no, cond);
    }

    /// The "manage open zone resources" function, for a zone that is going to be opened.
    fn manage_open_resources(&mut self) -> Result<(), Failure> {
        if self.max_open == 0 || self.nr_open() < self.max_open {
            return Ok(());
        }
        let victim = *self.implicit.first().ok_or(Failure::Resources)?;
        self.close_or_empty(victim);
        Ok(())
    }

    /// A write of `len` sectors at `sector`, or an append if that is `None`.
    ///
    /// Returns where it went.
    pub(crate) fn write(
        &mut self,
        no: usize,
        sector: Option<u64>,
        len: u64,
    ) -> Result<u64, Failure> {
        let wp = self.zones[no].wp;
        match self.zones[no].cond {
            Cond::NotWp => return sector.ok_or(Failure::Invalid),
            Cond::Full => return Err(Failure::Invalid),
            _ if len == 0 => return Err(Failure::Invalid),
            _ if sector.is_some_and(|sector| sector != wp) => return Err(Failure::Invalid),
            _ if len > self.end(no) - wp => return Err(Failure::Invalid),
            Cond::Empty | Cond::Closed => {
                self.manage_open_resources()?;
                self.set(no, Cond::ImpOpen);
            }
            Cond::ImpOpen => self.set(no, Cond::ImpOpen),
            Cond::ExpOpen => {}
        }
        self.zones[no].wp += len;
        if self.zones[no].wp == self.end(no) {
            self.set(no, Cond::Full);
        }
        Ok(wp)
    }

    pub(crate) fn open(&mut self, no: usize) -> Result<(), Failure> {
        match self.zones[no].cond {
            Cond::NotWp | Cond::Full => return Err(Failure::Invalid),
            Cond::Empty | Cond::Closed => self.manage_open_resources()?,
            Cond::ImpOpen | Cond::ExpOpen => {}
        }
        self.set(no, Cond::ExpOpen);
        Ok(())
    }

    pub(crate) fn close(&mut self, no: usize) -> Result<(), Failure> {
        match self.zones[no].cond {
            Cond::NotWp | Cond::Empty | Cond::Full => return Err(Failure::Invalid),
            Cond::ImpOpen | Cond::ExpOpen => self.close_or_empty(no),
            Cond::Closed => {}
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, no: usize) -> Result<(), Failure> {
        if self.zones[no].cond == Cond::NotWp {
            return Err(Failure::Invalid);
        }
        self.zones[no].wp = self.end(no);
        self.set(no, Cond::Full);
        Ok(())
    }

    pub(crate) fn reset(&mut self, no: usize) -> Result<(), Failure> {
        if self.zones[no].cond == Cond::NotWp {
            return Err(Failure::Invalid);
        }
        self.zones[no].wp = self.zones[no].start;
        self.set(no, Cond::Empty);
        Ok(())
    }

    /// A write failed after it had been admitted, and left `len` sectors in the zone.
    ///
    /// An open zone stays open, except that a full one cannot be; a zone that the write had filled
    /// is closed.
    pub(crate) fn write_failed(&mut self, no: usize, len: u64) {
        self.zones[no].wp = self.zones[no].start + len;
        match self.zones[no].cond {
            Cond::NotWp => {}
            _ if len == self.zone_capacity => self.set(no, Cond::Full),
            Cond::ImpOpen | Cond::ExpOpen => {}
            Cond::Empty | Cond::Closed | Cond::Full => self.close_or_empty(no),
        }
    }
}
