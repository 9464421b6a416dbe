// SPDX-License-Identifier: GPL-2.0

//! The zone model of the driver, compiled for the host so that cargo can test it.
//!
//! The files of the model end in their unit tests. The files in `tests` are about more than one of
//! them, or about more inputs than one would write down.

#![forbid(unsafe_code)]

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "what uses the model is the driver and the tests")
)]
#[path = "../../../drivers/block/zloop/model/mod.rs"]
mod model;

#[cfg(test)]
#[path = "tests"]
mod tests {
    mod command;
    mod fuzz;
    mod oracle;
    mod properties;
    mod reference;
    mod zones;

    use super::model;

    /// Settings for `cases` random cases.
    ///
    /// They differ from run to run; `PROPTEST_RNG_SEED` repeats one. A failure is reported with
    /// the smallest input that shows it, which belongs into a unit test rather than into a file of
    /// seeds.
    fn config(cases: u32) -> proptest::test_runner::Config {
        proptest::test_runner::Config {
            cases,
            failure_persistence: None,
            ..proptest::test_runner::Config::default()
        }
    }
}
