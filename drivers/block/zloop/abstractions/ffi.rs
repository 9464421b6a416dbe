// SPDX-License-Identifier: GPL-2.0

//! Raw declarations that the kernel crate's bindings lack.
//!
//! Written at build time by bindgen from `bindings_helper.h`, which lists what is in here and why.

#![allow(
    clippy::all,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

include!(env!("ZLOOP_BINDINGS"));
