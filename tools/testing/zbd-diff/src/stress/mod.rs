// SPDX-License-Identifier: GPL-2.0

//! Several threads on the same zones, and a model of what they may see.
//!
//! Each thread notes when each of its operations began and ended and what came of it. The operations of one zone are a
//! history; it is right if there is an order of them, in which each has its place between its begin and its end, that
//! a zone could have gone through step by step (linearizability). `spec.rs` says what a zone may do in a step,
//! `linear.rs` looks for the order.

mod coded;
mod crowd;
pub mod history;
mod linear;
pub mod load;
mod spec;
#[cfg(test)]
mod tests_checker;
#[cfg(test)]
mod tests_load;
mod text;
mod worker;

use std::fs;
use std::io;

/// Checks the histories of a file again; false if one cannot be right.
pub fn check_file(path: &str) -> io::Result<bool> {
    let list = text::parse(&fs::read_to_string(path)?).map_err(io::Error::other)?;
    let mut good = true;
    for history in &list {
        if let Err(fault) = linear::check(history) {
            println!(
                "zone {}: {}",
                history.zone,
                linear::explain(history, &fault)
            );
            good = false;
        }
    }
    Ok(good)
}
