// SPDX-License-Identifier: GPL-2.0

//! How much memory the machine has.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use kernel::{
    bindings,
    prelude::*, //
};

/// The memory of the machine that the kernel manages, in bytes. Any context.
pub(crate) fn total() -> u64 {
    let mut info = bindings::sysinfo::default();

    // SAFETY: `info` can be written to.
    unsafe { bindings::si_meminfo(&mut info) };

    // CAST: At most 64 bits wide.
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

#[kunit_tests(zloop_memory)]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory() {
        assert!(total() > 1 << 20);
    }
}
