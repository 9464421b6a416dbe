// SPDX-License-Identifier: GPL-2.0

//! Whether it is worth trying what has failed before.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{
    ordering::Relaxed,
    Atomic, //
};

/// After so many failures in a row only one attempt in [`PERIOD`] is made.
const PATIENCE: u32 = 4;
const PERIOD: u32 = 64;

/// How something has been going lately.
///
/// Any context. What several tasks report at the same time may get lost, which only costs an
/// attempt.
pub(crate) struct Chance(Atomic<u32>);

impl Chance {
    /// Everything is possible.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// There is no reason to try more often than every now and then.
    pub(crate) const fn small() -> Self {
        Self(Atomic::new(PATIENCE))
    }

    /// Whether to try. A refusal counts: every now and then there is another attempt.
    #[inline]
    pub(crate) fn is_worth_it(&self) -> bool {
        let failures = self.0.load(Relaxed);

        if failures < PATIENCE {
            return true;
        }
        self.0
            .store(failures.wrapping_add(1).max(PATIENCE), Relaxed);
        failures % PERIOD == 0
    }

    /// It worked.
    #[inline]
    pub(crate) fn worked(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Relaxed);
        }
    }

    /// It did not.
    pub(crate) fn failed(&self) {
        let failures = self.0.load(Relaxed);

        self.0.store(failures.wrapping_add(1).max(1), Relaxed);
    }
}
