// SPDX-License-Identifier: GPL-2.0

//! The zone model of the driver, compiled for the host so that cargo can test it.

#![forbid(unsafe_code)]

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "what uses the model is the driver and the tests")
)]
#[path = "../../../drivers/block/zloop/model/mod.rs"]
mod model;
