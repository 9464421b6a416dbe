// SPDX-License-Identifier: GPL-2.0

//! Commands of the control device: the parser against a second one.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../../../drivers/block/zloop/model/mod.rs"]
mod model;

#[path = "../../model/tests/command.rs"]
mod command;
#[path = "../../model/tests/reference.rs"]
mod reference;

fuzz_target!(|text: &[u8]| {
    let _ = command::check(text);
});
