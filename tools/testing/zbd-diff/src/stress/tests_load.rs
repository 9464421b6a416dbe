// SPDX-License-Identifier: GPL-2.0

//! The load and the checker together pass a simulated device that is right, and find the faults of one that is not.

use super::load::{run, Load, Mode};
use crate::sim::{Quirks, Sim};
use crate::target::Geometry;

const GEO: Geometry = Geometry {
    zone_size: 256 << 10,
    zone_capacity: 192 << 10,
    nr_zones: 6,
    conv: 1,
    block: 4096,
    max_open: 0,
    max_active: 0,
};

fn load(mode: Mode, geo: Geometry, quirks: Quirks) -> bool {
    let load = Load {
        mode,
        zones: 2,
        threads: 4,
        rounds: 12,
        ops: 120,
        append_min: 0,
        time: None,
        histories: None,
    };
    let quirks = Quirks {
        slow: true,
        ..quirks
    };
    let sim = Sim::new(geo, quirks);
    run(&load, geo, 5, &|| Ok(Box::new(sim.clone()) as _)).expect("nothing is opened")
}

#[test]
fn a_device_that_is_right_passes() {
    let limited = Geometry { max_open: 1, ..GEO };
    for mode in [Mode::Writes, Mode::Appends, Mode::Mixed, Mode::Emulated] {
        assert!(load(mode, GEO, Quirks::default()), "{mode:?}");
        assert!(load(mode, limited, Quirks::default()), "{mode:?}, limited");
    }
}

#[test]
fn every_fault_of_a_device_is_found() {
    let none = Quirks::default();
    let faults = [
        (
            Mode::Writes,
            Quirks {
                corrupt: Some(50),
                ..none
            },
        ),
        (
            Mode::Writes,
            Quirks {
                close_empty: true,
                ..none
            },
        ),
        (
            Mode::Writes,
            Quirks {
                no_capacity: true,
                ..none
            },
        ),
        (
            Mode::Appends,
            Quirks {
                keep_full: true,
                ..none
            },
        ),
        (
            Mode::Appends,
            Quirks {
                append_twice: Some(50),
                ..none
            },
        ),
        (
            Mode::Appends,
            Quirks {
                refuse_append: Some(50),
                ..none
            },
        ),
        (
            Mode::Appends,
            Quirks {
                stale_report: Some(20),
                ..none
            },
        ),
        (
            Mode::Mixed,
            Quirks {
                append_twice: Some(50),
                ..none
            },
        ),
    ];
    for (mode, quirks) in faults {
        assert!(!load(mode, GEO, quirks), "{mode:?} {quirks:?}");
    }
    let limited = Geometry { max_open: 1, ..GEO };
    assert!(!load(
        Mode::Appends,
        limited,
        Quirks {
            ignore_limit: true,
            ..none
        }
    ));
}
