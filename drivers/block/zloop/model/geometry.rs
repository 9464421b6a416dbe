// SPDX-License-Identifier: GPL-2.0

//! How a device is divided into zones.
//!
//! All zones have the same size, a power of two. The first ones are conventional and can be
//! written anywhere; the others are sequential and can be written up to the zone capacity, which
//! may be less than the zone size.

#![forbid(unsafe_code)]

use core::ops::Range;

use super::{
    layout::ZoneFile,
    options::{
        AddOptions,
        MAX_ZONE_SIZE_MB, //
    },
    rule::{
        GeometryError,
        Rule, //
    },
    write_pointer::WritePointer,
    Sector,
    ZoneNo,
    SECTOR_SHIFT, //
};

/// The largest number of zones.
///
/// The bound keeps the device's tables far below the size from which an
/// allocation is refused with a warning, and is far above the largest devices in use, of some
/// hundred thousand zones.
pub(crate) const MAX_ZONES: u32 = 1 << 20;

/// The number of conventional zones of a device that has enough zones, unless it is given.
const DEFAULT_CONV_ZONES: u32 = 8;

/// The zones of one device.
///
/// # Invariants
///
/// - `zone_size_mb` is a power of two up to [`MAX_ZONE_SIZE_MB`].
/// - `1 <= zone_capacity_mb <= zone_size_mb`.
/// - `2 <= nr_zones <= MAX_ZONES`, and the capacity in MiB fits in 32 bits.
/// - `nr_conv_zones < nr_zones`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Geometry {
    zone_size_mb: u32,
    zone_capacity_mb: u32,
    nr_zones: u32,
    nr_conv_zones: u32,
}

/// Converts MiB to sectors.
fn sectors(mb: u32) -> Sector {
    Sector::from(mb) << 11
}

impl Geometry {
    /// The geometry that `add` asks for.
    ///
    /// # Errors
    ///
    /// The options contradict each other; the error names one.
    pub(crate) fn new(add: &AddOptions<'_>) -> Result<Self, GeometryError> {
        let geometry = Self::from_options(
            add.capacity_mb,
            add.zone_size_mb,
            add.zone_capacity_mb.unwrap_or(add.zone_size_mb),
            add.conv_zones,
        )?;
        let nr_seq_zones = geometry.nr_seq_zones();
        if add.max_open_zones > nr_seq_zones {
            return Err(GeometryError {
                option: "max_open_zones",
                value: add.max_open_zones,
                rule: Rule::AboveSequentialZones { nr_seq_zones },
            });
        }
        Ok(geometry)
    }

    /// The geometry of a device, from options that nobody has checked.
    pub(super) fn from_options(
        capacity_mb: u32,
        zone_size_mb: u32,
        zone_capacity_mb: u32,
        conv_zones: Option<u32>,
    ) -> Result<Self, GeometryError> {
        let error = |option, value, rule| {
            Err(GeometryError {
                option,
                value,
                rule,
            })
        };

        if !zone_size_mb.is_power_of_two() || zone_size_mb > MAX_ZONE_SIZE_MB {
            return error("zone_size_mb", zone_size_mb, Rule::ZoneSize);
        }
        if !(1..=zone_size_mb).contains(&zone_capacity_mb) {
            let rule = Rule::ZoneCapacity { zone_size_mb };
            return error("zone_capacity_mb", zone_capacity_mb, rule);
        }
        let nr_zones = capacity_mb.checked_div(zone_size_mb).unwrap_or(0);
        if nr_zones < 2 {
            return error("capacity_mb", capacity_mb, Rule::TooSmall { zone_size_mb });
        }
        if nr_zones > MAX_ZONES {
            return error("capacity_mb", capacity_mb, Rule::TooManyZones { nr_zones });
        }
        let max_conv_zones = nr_zones.saturating_sub(1);
        let nr_conv_zones = conv_zones.unwrap_or(DEFAULT_CONV_ZONES.min(max_conv_zones));
        if nr_conv_zones > max_conv_zones {
            return error(
                "conv_zones",
                nr_conv_zones,
                Rule::NoSequentialZone { nr_zones },
            );
        }

        // INVARIANT: as checked one by one.
        Ok(Self {
            zone_size_mb,
            zone_capacity_mb,
            nr_zones,
            nr_conv_zones,
        })
    }

    /// The zone size in MiB.
    pub(super) fn zone_size_mb(&self) -> u32 {
        self.zone_size_mb
    }

    /// The zone capacity of sequential zones in MiB.
    pub(super) fn zone_capacity_mb(&self) -> u32 {
        self.zone_capacity_mb
    }

    /// The capacity of the device in MiB: that of `add`, rounded down to whole zones.
    pub(super) fn capacity_mb(&self) -> u32 {
        // By the invariants this is exact.
        self.nr_zones.saturating_mul(self.zone_size_mb)
    }

    /// The zone size in sectors, a power of two.
    pub(crate) fn zone_size(&self) -> Sector {
        sectors(self.zone_size_mb)
    }

    /// The zone capacity of sequential zones in sectors.
    pub(crate) fn zone_capacity(&self) -> Sector {
        sectors(self.zone_capacity_mb)
    }

    /// The binary logarithm of [`Geometry::zone_size`].
    pub(crate) fn zone_shift(&self) -> u32 {
        self.zone_size().trailing_zeros()
    }

    /// The number of zones.
    pub(crate) fn nr_zones(&self) -> u32 {
        self.nr_zones
    }

    /// The number of conventional zones, which are the first.
    pub(crate) fn nr_conv_zones(&self) -> u32 {
        self.nr_conv_zones
    }

    /// The number of sequential zones, never 0.
    pub(crate) fn nr_seq_zones(&self) -> u32 {
        self.nr_zones.saturating_sub(self.nr_conv_zones)
    }

    /// The capacity of the device in sectors, a multiple of the zone size.
    pub(crate) fn capacity(&self) -> Sector {
        sectors(self.capacity_mb())
    }

    /// The zone that a sector is in, or `None` beyond the end of the device.
    pub(crate) fn zone_of(&self, sector: Sector) -> Option<ZoneNo> {
        let no = sector.checked_shr(self.zone_shift())?;
        ZoneNo::try_from(no).ok().filter(|no| *no < self.nr_zones)
    }

    /// The first sector of zone `no`; also right for the end of the last zone.
    pub(crate) fn zone_start(&self, no: ZoneNo) -> Sector {
        // Nothing is lost: the number has 32 bits, the shift is at most 25.
        Sector::from(no).wrapping_shl(self.zone_shift())
    }

    /// The sectors of zone `no`, those beyond its capacity included.
    pub(crate) fn sectors_of(&self, no: ZoneNo) -> Range<Sector> {
        let start = self.zone_start(no);

        start..start.wrapping_add(self.zone_size())
    }

    /// How far a sector is from the start of its zone.
    pub(crate) fn offset_in_zone(&self, sector: Sector) -> Sector {
        sector & self.zone_size().wrapping_sub(1)
    }

    /// Whether zone `no` is conventional.
    pub(crate) fn is_conventional(&self, no: ZoneNo) -> bool {
        no < self.nr_conv_zones
    }

    /// The file of zone `no`.
    pub(crate) fn zone_file(&self, no: ZoneNo) -> ZoneFile {
        if self.is_conventional(no) {
            ZoneFile::Conventional(no)
        } else {
            ZoneFile::Sequential(no)
        }
    }

    /// The write pointer of an empty sequential zone.
    pub(crate) fn new_write_pointer(&self) -> WritePointer {
        // Nothing is saturated: 16 GiB are 2^25 sectors.
        WritePointer::new(u32::try_from(self.zone_capacity()).unwrap_or(u32::MAX))
    }

    /// Checks that the device can have logical blocks of `bytes` bytes.
    ///
    /// # Errors
    ///
    /// It is no block size, or the zone capacity is not a multiple of it.
    pub(crate) fn check_block_size(&self, bytes: u32) -> Result<(), GeometryError> {
        let capacity_bytes = self.zone_capacity() << SECTOR_SHIFT;
        if bytes >= 512
            && bytes.is_power_of_two()
            && capacity_bytes.checked_rem(u64::from(bytes)) == Some(0)
        {
            return Ok(());
        }
        Err(GeometryError {
            option: "zone_capacity_mb",
            value: self.zone_capacity_mb,
            rule: Rule::BlockSize { bytes },
        })
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_geometry))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    /// The geometry for some options; the others are the defaults. Not read by the parser, so that
    /// it does not refuse what is tested here.
    fn geometry(text: &str) -> Result<Geometry, GeometryError> {
        let mut add = AddOptions::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').expect("a value");
            let value = value.parse().expect("a number");
            match name {
                "capacity_mb" => add.capacity_mb = value,
                "zone_size_mb" => add.zone_size_mb = value,
                "zone_capacity_mb" => add.zone_capacity_mb = Some(value),
                "conv_zones" => add.conv_zones = Some(value),
                "max_open_zones" => add.max_open_zones = value,
                _ => panic!("{name} is no option of the geometry"),
            }
        }
        Geometry::new(&add)
    }

    fn good(text: &str) -> Geometry {
        geometry(text).expect(text)
    }

    /// A device of 2 conventional and 6 sequential zones of 4 MiB with room for 3 MiB.
    fn small() -> Geometry {
        good("capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2")
    }

    #[test]
    fn defaults_make_64_zones_of_256_mib() {
        let geometry = good("");
        assert_eq!((geometry.nr_zones(), geometry.nr_conv_zones()), (64, 8));
        assert_eq!(geometry.nr_seq_zones(), 56);
        assert_eq!(geometry.zone_size(), 256 * 2048);
        assert_eq!(geometry.zone_capacity(), 256 * 2048);
        assert_eq!(geometry.zone_shift(), 19);
        assert_eq!(geometry.capacity(), 16384 * 2048);
    }

    #[test]
    fn capacity_is_rounded_down_to_whole_zones() {
        // (capacity, zone size, zones)
        let cases = [(8, 4, 2), (11, 4, 2), (12, 4, 3), (u32::MAX, 8192, 524287)];
        for (capacity_mb, zone_size_mb, nr_zones) in cases {
            let geometry = good(&format!(
                "capacity_mb={capacity_mb},zone_size_mb={zone_size_mb}"
            ));
            assert_eq!(geometry.nr_zones(), nr_zones);
            assert_eq!(
                geometry.capacity(),
                u64::from(nr_zones) * geometry.zone_size()
            );
        }
    }

    #[test]
    fn default_conventional_zones_leave_a_sequential_one() {
        for (nr_zones, conv) in [(2, 1), (3, 2), (8, 7), (9, 8), (10, 8), (1000, 8)] {
            let geometry = good(&format!("capacity_mb={nr_zones},zone_size_mb=1"));
            assert_eq!((nr_zones, geometry.nr_conv_zones()), (nr_zones, conv));
        }
    }

    #[test]
    fn largest_zones_need_more_than_32_bits() {
        let geometry = good("capacity_mb=4294967295,zone_size_mb=16384");
        let last = geometry.nr_zones() - 1;
        assert_eq!(geometry.nr_zones(), 262143);
        assert_eq!(geometry.zone_shift(), 25);
        assert_eq!(geometry.zone_start(last), 262142 << 25);
        assert_eq!(geometry.zone_of(geometry.capacity() - 1), Some(last));
        assert_eq!(geometry.new_write_pointer().capacity(), 1 << 25);
    }

    #[test]
    fn sectors_belong_to_zones() {
        let geometry = small();
        // (sector, zone, offset in the zone)
        let cases = [
            (0, Some(0), 0),
            (8191, Some(0), 8191),
            (8192, Some(1), 0),
            (16385, Some(2), 1),
            (65535, Some(7), 8191),
            (65536, None, 0),
            (1 << 45, None, 0),
            (u64::MAX, None, 8191),
        ];
        for (sector, zone, offset) in cases {
            assert_eq!((sector, geometry.zone_of(sector)), (sector, zone));
            assert_eq!((sector, geometry.offset_in_zone(sector)), (sector, offset));
        }
        for no in 0..8 {
            assert_eq!(geometry.zone_start(no), u64::from(no) * 8192);
            assert_eq!(
                geometry.sectors_of(no),
                u64::from(no) * 8192..u64::from(no + 1) * 8192
            );
        }
    }

    #[test]
    fn first_zones_are_conventional() {
        let geometry = small();
        assert!(geometry.is_conventional(1));
        assert!(!geometry.is_conventional(2));
        assert_eq!(geometry.zone_file(1), ZoneFile::Conventional(1));
        assert_eq!(geometry.zone_file(2), ZoneFile::Sequential(2));
        assert_eq!(geometry.new_write_pointer().capacity(), 6144);
        assert!(geometry.new_write_pointer().is_empty());
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        const NO_POWER: &str = "not a power of two from 1 to 16384";
        const NO_CAPACITY: &str = "out of range (1..256, the zone size)";
        const TOO_SMALL: &str = "less than two zones of 256 MiB";
        const ALL_CONV: &str = "leaves no sequential zone of 64 zones";
        // Options of which the first is wrong, and why.
        let cases = [
            ("zone_size_mb=0", NO_POWER),
            ("zone_size_mb=48", NO_POWER),
            ("zone_size_mb=32768", NO_POWER),
            ("zone_capacity_mb=0", NO_CAPACITY),
            ("zone_capacity_mb=257", NO_CAPACITY),
            ("capacity_mb=0", TOO_SMALL),
            ("capacity_mb=256", TOO_SMALL),
            ("capacity_mb=511", TOO_SMALL),
            (
                "capacity_mb=4294967295,zone_size_mb=1",
                "4294967295 zones, at most 1048576 are possible",
            ),
            (
                "capacity_mb=1048577,zone_size_mb=1",
                "1048577 zones, at most 1048576 are possible",
            ),
            ("conv_zones=64", ALL_CONV),
            ("conv_zones=4294967295", ALL_CONV),
            ("max_open_zones=57", "more than the 56 sequential zones"),
            (
                "max_open_zones=2,conv_zones=63",
                "more than the 1 sequential zones",
            ),
        ];
        for (text, why) in cases {
            let error = geometry(text).expect_err(text).to_string();
            let option = text.split(',').next().unwrap_or_default();
            assert_eq!(error, format!("{option}: {why}"));
        }
    }

    #[test]
    fn limits_are_themselves_allowed() {
        for text in [
            "zone_capacity_mb=256",
            "zone_capacity_mb=1",
            "capacity_mb=512",
            "capacity_mb=1048576,zone_size_mb=1",
            "conv_zones=63",
            "conv_zones=0",
            "max_open_zones=56",
        ] {
            assert_eq!((text, geometry(text).is_ok()), (text, true));
        }
    }

    #[test]
    fn zone_capacity_is_a_multiple_of_the_block_size() {
        let geometry = small();
        for bytes in [512, 1024, 4096, 65536, 1 << 20] {
            assert_eq!(geometry.check_block_size(bytes), Ok(()));
        }
        for bytes in [0, 1, 256, 513, 3 << 20, 1 << 21, 1 << 31, u32::MAX] {
            let error = geometry.check_block_size(bytes).map_err(|e| e.to_string());
            let want =
                format!("zone_capacity_mb=3: not a multiple of the block size of {bytes} bytes");
            assert_eq!(error, Err(want));
        }
    }
}
