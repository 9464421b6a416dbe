// SPDX-License-Identifier: GPL-2.0

//! What holds for all inputs of the parts that are not about commands to zones.

use proptest::{
    collection::vec,
    prelude::*, //
};

use super::{
    config,
    model::{
        geometry::{
            Geometry,
            MAX_ZONES, //
        },
        layout::{
            ZoneFile,
            RECORD_MAX, //
        },
        options::AddOptions,
        write_pointer::WritePointer, //
    },
};

/// Any values at all, with a preference for those that go together.
fn any_options() -> impl Strategy<Value = AddOptions<'static>> {
    let mb = || {
        prop_oneof![3 => (0..33u32).prop_map(|n| 1u32.checked_shl(n).unwrap_or(0)),
        3 => 1..1u32 << 21, 1 => any::<u32>()]
    };
    let count = || prop_oneof![3 => 0..40u32, 1 => any::<u32>()];
    (
        mb(),
        mb(),
        prop::option::of(mb()),
        prop::option::of(count()),
        prop_oneof![3 => Just(0), 1 => count()],
    )
        .prop_map(
            |(capacity, zone_size, zone_capacity, conv_zones, max_open_zones)| AddOptions {
                capacity_mb: capacity,
                zone_size_mb: zone_size,
                zone_capacity_mb: zone_capacity,
                conv_zones,
                max_open_zones,
                ..AddOptions::default()
            },
        )
}

/// Geometries of all kinds.
fn geometries() -> impl Strategy<Value = Geometry> {
    let index = any::<prop::sample::Index>;
    (0..15u32, index(), index(), index()).prop_map(|(shift, capacity, nr_zones, nr_conv_zones)| {
        let zone_size_mb = 1 << shift;
        let max_zones = (u32::MAX >> shift).min(MAX_ZONES);
        // Small numbers of zones are as interesting as large ones.
        let max_zones = 2 + max_zones.saturating_sub(2) % (1 << (2 + nr_conv_zones.index(20)));
        let nr_zones = 2 + nr_zones.index(max_zones as usize - 1) as u32;
        let add = AddOptions {
            capacity_mb: nr_zones << shift,
            zone_size_mb,
            zone_capacity_mb: Some(1 + capacity.index(1 << shift) as u32),
            conv_zones: Some(nr_conv_zones.index(nr_zones as usize) as u32),
            ..AddOptions::default()
        };
        Geometry::new(&add).expect("options that go together")
    })
}

/// Geometries that are often the same, or differ in one or two options.
fn similar_geometries() -> impl Strategy<Value = Geometry> {
    (2..4u32, 0..2u32, 1..3u32, 0..2u32).prop_map(|(nr_zones, shift, capacity, conv_zones)| {
        let add = AddOptions {
            capacity_mb: nr_zones << shift,
            zone_size_mb: 1 << shift,
            zone_capacity_mb: Some(capacity.min(1 << shift)),
            conv_zones: Some(conv_zones),
            ..AddOptions::default()
        };
        Geometry::new(&add).expect("options that go together")
    })
}

/// Whether the options go together, in plain arithmetic that cannot overflow.
fn go_together(add: &AddOptions<'_>) -> bool {
    let size = i128::from(add.zone_size_mb);
    let capacity = i128::from(add.zone_capacity_mb.unwrap_or(add.zone_size_mb));
    if !(0..15).any(|n| size == 1 << n) || capacity < 1 || capacity > size {
        return false;
    }
    let zones = i128::from(add.capacity_mb) / size;
    let conv = add.conv_zones.map_or((zones - 1).min(8), i128::from);
    let seq = zones - conv;
    (2..=1 << 20).contains(&zones) && seq >= 1 && i128::from(add.max_open_zones) <= seq
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn geometry_follows_the_options(add in any_options()) {
        let geometry = Geometry::new(&add);
        prop_assert_eq!(geometry.is_ok(), go_together(&add), "{:?}", geometry);
        if let Ok(geometry) = geometry {
            prop_assert_eq!(geometry.zone_size(), u64::from(add.zone_size_mb) * 2048);
            let capacity_mb = add.zone_capacity_mb.unwrap_or(add.zone_size_mb);
            prop_assert_eq!(geometry.zone_capacity(), u64::from(capacity_mb) * 2048);
            prop_assert_eq!(1u64 << geometry.zone_shift(), geometry.zone_size());
            let asked = u64::from(add.capacity_mb) * 2048;
            prop_assert!(geometry.capacity() <= asked);
            prop_assert!(asked - geometry.capacity() < geometry.zone_size());
            prop_assert!((2..=MAX_ZONES).contains(&geometry.nr_zones()));
            prop_assert!(geometry.nr_seq_zones() >= 1);
            prop_assert_eq!(
                geometry.nr_seq_zones() + geometry.nr_conv_zones(),
                geometry.nr_zones()
            );
            match add.conv_zones {
                Some(conv_zones) => prop_assert_eq!(geometry.nr_conv_zones(), conv_zones),
                None => prop_assert!(geometry.nr_conv_zones() <= 8),
            }
        } else if let Err(error) = geometry {
            let message = error.to_string();
            let start = format!("{}={}: ", error.option, error.value);
            prop_assert!(message.starts_with(&start), "{}", message);
        }
    }

    #[test]
    fn every_sector_is_in_one_zone(geometry in geometries(), sector in any::<u64>(), near in any::<bool>()) {
        let sector = if near { sector % geometry.capacity() } else { sector };
        match geometry.zone_of(sector) {
            Some(no) => {
                prop_assert!(no < geometry.nr_zones());
                prop_assert!(geometry.offset_in_zone(sector) < geometry.zone_size());
                prop_assert_eq!(
                    geometry.zone_start(no) + geometry.offset_in_zone(sector),
                    sector
                );
                prop_assert_eq!(geometry.is_conventional(no), no < geometry.nr_conv_zones());
                let file = geometry.zone_file(no);
                prop_assert_eq!(file.no(), no);
                let conventional = matches!(file, ZoneFile::Conventional(_));
                prop_assert_eq!(conventional, geometry.is_conventional(no));
            }
            None => prop_assert!(sector >= geometry.capacity()),
        }
    }

    #[test]
    fn geometry_record_is_read_back(geometry in geometries()) {
        let mut buf = [0xff; RECORD_MAX];
        prop_assert_eq!(Geometry::decode(geometry.encode(&mut buf)), Ok(geometry));
    }

    #[test]
    fn only_what_would_be_written_is_a_geometry_record(
        geometry in geometries(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..4),
    ) {
        let mut buf = [0; RECORD_MAX];
        let mut text = geometry.encode(&mut buf).to_vec();
        for (at, byte, kind) in changes {
            let at = at.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => text.insert(at, byte % 10 + b'0'),
                _ => drop(text.remove(at)),
            }
        }
        match Geometry::decode(&text) {
            Ok(read) => prop_assert_eq!(read.encode(&mut buf), text),
            Err(error) => prop_assert!(error.to_string().starts_with("bad geometry record: ")),
        }
    }

    #[test]
    fn only_equal_geometries_match(asked in similar_geometries(), stored in similar_geometries()) {
        prop_assert_eq!(asked.mismatch(&stored).is_none(), asked == stored);
        prop_assert_eq!(asked.mismatch(&asked), None);
        if let Some(mismatch) = asked.mismatch(&stored) {
            prop_assert_ne!(mismatch.stored, mismatch.asked);
            let back = stored.mismatch(&asked).expect("as well");
            prop_assert_eq!(
                (back.option, back.stored, back.asked),
                (mismatch.option, mismatch.asked, mismatch.stored)
            );
        }
    }

    #[test]
    fn zone_file_names_are_read_back(no in any::<u32>(), conventional in any::<bool>()) {
        let (file, kind) = if conventional {
            (ZoneFile::Conventional(no), "cnv")
        } else {
            (ZoneFile::Sequential(no), "seq")
        };
        let name = file.name();
        prop_assert_eq!(name.to_string(), format!("{kind}-{no:06}"));
        prop_assert_eq!(ZoneFile::parse(name.as_bytes()), Some(file));
    }

    #[test]
    fn only_names_that_are_given_belong_to_zones(name in "(cnv|seq|[a-z]{3})-[0-9]{0,11}[0-9a-z ]?") {
        if let Some(file) = ZoneFile::parse(name.as_bytes()) {
            prop_assert_eq!(file.name().to_string(), name);
        }
    }

    #[test]
    fn write_pointer_is_the_file_size(
        capacity in 1..=u32::MAX,
        blocks in any::<u64>(),
        rest in 0..3u64,
        shift in 9..17u32,
    ) {
        let limit = u64::from(capacity) * 512;
        // About one in three does not fit, and two in three are not whole blocks.
        let size = (((blocks % (limit * 3 / 2)) >> shift) << shift) + rest;
        let mut wp = WritePointer::new(capacity);
        let fits = size <= limit && rest == 0;
        prop_assert_eq!(wp.resync(size, 1 << shift).is_ok(), fits);
        prop_assert_eq!(wp.offset(), if fits { size / 512 } else { 0 });
        prop_assert_eq!(wp.is_full(), fits && size == limit);
        prop_assert_eq!(wp.is_empty(), !fits || size == 0);
    }
}
