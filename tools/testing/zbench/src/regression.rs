// SPDX-License-Identifier: GPL-2.0

//! Whether this driver got slower: its ratio against the C driver of the same boot, compared with a recorded one.
//!
//! A ratio of two figures of one boot stays what it is when the kernel, its compiler or QEMU change the cost of what
//! both drivers have in common; an absolute figure does not.

use crate::sample::{Contestant, Run};
use crate::table::{ratio, rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much of the recorded ratio may be lost.
const ALLOWED: f64 = 0.05;

/// What was recorded: the ratio of each row, and on what.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub struct Recorded {
    #[serde(rename = "SPDX-License-Identifier")]
    pub licence: String,
    pub kernel: String,
    pub compiler: String,
    pub backing: String,
    /// How many times less than the C driver.
    pub ratios: BTreeMap<String, f64>,
}

/// The ratios of a run, to be recorded.
pub fn record(run: &Run) -> Recorded {
    let ratios = rows(run)
        .into_iter()
        .filter_map(|row| {
            let ratio = ratio(run, &row, Contestant::Zloop, Contestant::C)?;
            Some((row, (ratio * 1000.0).round() / 1000.0))
        })
        .collect();
    Recorded {
        licence: crate::sample::licence(),
        kernel: run.machine.kernel.clone(),
        compiler: run.machine.compiler.clone(),
        backing: run.machine.backing.clone(),
        ratios,
    }
}

/// TAP: a test for each recorded row. False if one fails.
pub fn check(run: &Run, recorded: &Recorded) -> (String, bool) {
    let mut text = String::new();
    let mut good = !recorded.ratios.is_empty();
    for (i, (row, was)) in recorded.ratios.iter().enumerate() {
        let now = ratio(run, row, Contestant::Zloop, Contestant::C);
        let fine = now.is_some_and(|now| now >= was * (1.0 - ALLOWED));
        let now = now.map_or("not measured".into(), |now| {
            format!("{now:.3} times less than the C driver")
        });
        good &= fine;
        text += &format!(
            "{}ok {} - {row}: {now}, recorded {was:.3}\n",
            if fine { "" } else { "not " },
            i + 1
        );
    }
    text += &format!("1..{}\n", recorded.ratios.len());
    if run.machine.kernel != recorded.kernel {
        text += &format!(
            "# recorded on {}, this is {}\n",
            recorded.kernel, run.machine.kernel
        );
    }
    (text, good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::run_of;

    fn run(zloop: f64) -> Run {
        run_of(&[
            ("reset", Contestant::C, 0.4),
            ("reset", Contestant::Zloop, zloop),
        ])
    }

    #[test]
    fn recorded_ratios_survive_json_and_match_themselves() {
        let recorded = record(&run(0.1));
        assert_eq!(recorded.ratios["reset"], 4.0);
        let json = serde_json::to_string(&recorded).unwrap();
        assert!(json.contains("SPDX-License-Identifier"));
        let recorded: Recorded = serde_json::from_str(&json).unwrap();
        let (text, good) = check(&run(0.1), &recorded);
        assert!(
            good && text.starts_with("ok 1 - reset: 4.000") && text.contains("\n1..1\n"),
            "{text}"
        );
    }

    #[test]
    fn more_than_five_percent_less_is_a_failure() {
        let recorded = record(&run(0.1));
        assert!(check(&run(0.105), &recorded).1);
        let (text, good) = check(&run(0.106), &recorded);
        assert!(!good && text.starts_with("not ok 1"), "{text}");
        // Better is fine.
        assert!(check(&run(0.05), &recorded).1);
    }

    #[test]
    fn a_row_that_was_not_measured_is_a_failure() {
        let recorded = record(&run(0.1));
        assert!(!check(&run_of(&[]), &recorded).1);
        let nothing = Recorded {
            ratios: BTreeMap::new(),
            ..recorded
        };
        assert!(!check(&run(0.1), &nothing).1);
    }
}
