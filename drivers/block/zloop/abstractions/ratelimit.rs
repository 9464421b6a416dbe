// SPDX-License-Identifier: GPL-2.0

//! Limiting how often something is logged.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

use super::ffi;

/// The kernel's `struct ratelimit_state`, with the default limits: 10 times in 5 seconds.
///
/// # Invariants
///
/// `state` was initialised by `ratelimit_default_init()`.
#[pin_data]
pub(crate) struct RateLimit {
    #[pin]
    state: Opaque<bindings::ratelimit_state>,
    name: &'static CStr,
}

// SAFETY: A `struct ratelimit_state` belongs to no task.
unsafe impl Send for RateLimit {}

// SAFETY: `___ratelimit()`, the only thing that a shared reference allows, locks the state.
unsafe impl Sync for RateLimit {}

impl RateLimit {
    /// Makes a limit that has not been used. The kernel logs the number of suppressed messages
    /// after `name`.
    pub(crate) fn new(name: &'static CStr) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: This is what initialises it.
            // SAFETY: `state` is valid for writes and stays where it is.
            state <- Opaque::ffi_init(|state| unsafe { ffi::ratelimit_default_init(state) }),
            name,
        })
    }

    /// Whether to log now, and counts this as one use if so.
    ///
    /// Any context.
    pub(crate) fn allow(&self) -> bool {
        // SAFETY: By the type invariant the state is initialised, and `name` is NUL-terminated.
        unsafe { bindings::___ratelimit(self.state.get(), self.name.as_char_ptr()) != 0 }
    }
}

#[kunit_tests(zloop_ratelimit)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_limited() -> Result {
        let limit = KBox::pin_init(RateLimit::new(c"zloop-kunit"), GFP_KERNEL)?;
        let allowed = (0..1000).filter(|_| limit.allow()).count();

        // Ten at once, and ten more every five seconds, should this take that long.
        assert!((10..1000).contains(&allowed));
        Ok(())
    }
}
