// SPDX-License-Identifier: GPL-2.0

//! Zoned loop block device driver.
//!
//! A host-managed zoned block device whose zones are regular files, one a zone. The size of the
//! file of a sequential zone is its write pointer.
//!
//! - [`model`]: what the driver decides, without doing it. Pure; also tested on the host.
//! - [`abstractions`]: kernel interfaces made safe. All unsafe code is in there, except for the
//!   initialisation of [`REGISTRY`] below.
//! - the rest: the driver. [`control`] takes commands, [`add`] makes devices of directories
//!   ([`store`]), [`registry`] knows and removes them, [`requests`] and [`transfer`] handle their
//!   requests, [`zone`] knows the rules of who may change what.
//!
//! See Documentation/admin-guide/blockdev/zoned_loop.rst for how to use it and
//! Documentation/architecture.rst for how it works.

use abstractions::module::Stragglers;
use kernel::{
    miscdevice::{
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*, //
};

mod abstractions;
mod add;
mod block_geometry;
mod cache;
mod chance;
mod control;
mod counters;
mod device;
mod files;
mod flush;
mod model;
mod path;
mod refusal;
mod registry;
mod report;
mod requests;
mod store;
#[cfg(CONFIG_KUNIT = "y")]
mod testing;
mod transfer;
mod zone;

module! {
    type: ZloopModule,
    name: "zloop",
    authors: ["The zloop developers"],
    description: "Zoned loopback device",
    license: "GPL",
}

kernel::sync::global_lock! {
    // SAFETY: Initialised first thing in the module's `init`. All uses come after that: the directory
    // of the counters and the control device, which are made there, and unit tests, which run when
    // `init` has returned.
    pub(crate) unsafe(uninit) static REGISTRY: Mutex<registry::Registry> =
        registry::Registry::new();
}

kernel::sync::global_lock! {
    /// Held while a task waits for files to be closed.
    ///
    // SAFETY: The lock is initialised when the module is loaded, before there is a device.
    pub(crate) unsafe(uninit) static CLOSES: Mutex<()> = ();
}

#[pin_data]
struct ZloopModule {
    #[pin]
    _control: MiscDeviceRegistration<control::Control>,
    _counters: counters::Root,
    _stragglers: Stragglers,
}

impl kernel::InPlaceModule for ZloopModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: `init` is called once for each load of the module, before anything else.
        unsafe { REGISTRY.init() };
        // SAFETY: As above.
        unsafe { CLOSES.init() };

        try_pin_init!(Self {
            _stragglers: Stragglers,
            _counters: counters::Root::new()?,
            _control <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"zloop-control",
            }),
        })
    }
}
