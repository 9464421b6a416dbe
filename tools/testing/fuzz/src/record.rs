// SPDX-License-Identifier: GPL-2.0

//! Geometry files: one that is accepted is one that the driver writes, and what it says can be.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../../../drivers/block/zloop/model/mod.rs"]
mod model;

use model::{
    geometry::Geometry,
    layout::RECORD_MAX, //
};

fuzz_target!(|text: &[u8]| {
    let geometry = match Geometry::decode(text) {
        Ok(geometry) => geometry,
        Err(error) => {
            let line = error.to_string();

            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            return;
        }
    };
    let mut buf = [0; RECORD_MAX];

    // The one way to write it, so a longer file, of which the driver reads a part, is none.
    assert_eq!(geometry.encode(&mut buf), text);
    assert!(text.len() < RECORD_MAX);
    assert!(geometry.mismatch(&geometry).is_none());

    let last = geometry.nr_zones() - 1;

    assert!(geometry.nr_conv_zones() <= last);
    assert!(0 < geometry.zone_capacity() && geometry.zone_capacity() <= geometry.zone_size());
    assert_eq!(geometry.zone_size(), 1 << geometry.zone_shift());
    assert_eq!(
        geometry.zone_start(last) + geometry.zone_size(),
        geometry.capacity()
    );
    assert_eq!(geometry.zone_of(geometry.capacity() - 1), Some(last));
    assert_eq!(geometry.zone_of(geometry.capacity()), None);
    for no in [0, geometry.nr_conv_zones(), last] {
        let file = geometry.zone_file(no);

        assert_eq!(file.no(), no);
        assert_eq!(geometry.zone_of(geometry.zone_start(no)), Some(no));
    }
});
