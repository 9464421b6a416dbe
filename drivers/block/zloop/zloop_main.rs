// SPDX-License-Identifier: GPL-2.0

//! Zoned loop block device driver.

use kernel::prelude::*;

mod abstractions;

module! {
    type: ZloopModule,
    name: "zloop",
    authors: ["The zloop developers"],
    description: "Zoned loopback device",
    license: "GPL",
}

struct ZloopModule;

impl kernel::Module for ZloopModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(ZloopModule)
    }
}
