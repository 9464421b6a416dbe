// SPDX-License-Identifier: GPL-2.0

//! What the driver reads of a zone file: its name, and its size, which is the write pointer.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../../../drivers/block/zloop/model/mod.rs"]
mod model;

use model::{
    layout::ZoneFile,
    write_pointer::WritePointer,
    Sector, //
};

/// Names: one that is accepted is one that the driver gives.
fn name(name: &[u8]) {
    if let Some(file) = ZoneFile::parse(name) {
        assert_eq!(file.name().as_bytes(), name);
    }
}

/// Takes a number off the front.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (number, tail) = rest.split_first_chunk()?;

    *rest = tail;
    Some(*number)
}

/// Sizes, and writes to the zone that they make: capacity in sectors, block size, then a size and a
/// write by position and length, as often as there is data.
fn sizes(mut data: &[u8]) -> Option<()> {
    let capacity = u32::from_le_bytes(take(&mut data)?);
    let block_size = u32::from_le_bytes(take(&mut data)?);
    let mut wp = WritePointer::new(capacity);

    loop {
        let size = u64::from_le_bytes(take(&mut data)?);
        let before = wp.offset();
        let possible = size <= u64::from(capacity) * 512
            && size % 512 == 0
            && block_size != 0
            && size % u64::from(block_size) == 0;

        match wp.resync(size, block_size) {
            Ok(()) => assert!(possible && wp.offset() * 512 == size),
            Err(_) => assert!(!possible && wp.offset() == before),
        }

        let (at, len) = (
            Sector::from_le_bytes(take(&mut data)?),
            Sector::from_le_bytes(take(&mut data)?),
        );
        let before = wp.offset();
        let end = before.checked_add(len);

        match wp.plan_write(at, len) {
            Ok(plan) => {
                assert_eq!((plan.start(), before), (at, at));
                plan.commit();
                assert_eq!(Some(wp.offset()), end);
                assert!(len > 0 && wp.offset() <= u64::from(capacity));
            }
            Err(_) => {
                assert!(
                    at != before || len == 0 || end.is_none_or(|end| end > u64::from(capacity))
                );
                assert_eq!(wp.offset(), before);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    name(data);
    let _ = sizes(data);
});
