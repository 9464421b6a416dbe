// SPDX-License-Identifier: GPL-2.0

//! What is to be reached, and whether it was.

use crate::sample::{Contestant, Mode, Run};
use crate::table::{align, ratio, rows};
use std::fmt::Write;

/// A row's goals.
struct Goal {
    row: &'static str,
    /// How many times less than the C driver, at least.
    minimum: f64,
    /// How much of what a file does without a driver would be good.
    aim: Option<f64>,
}

const fn goal(row: &'static str, minimum: f64, aim: Option<f64>) -> Goal {
    Goal { row, minimum, aim }
}

/// In instructions.
const GOALS: &[Goal] = &[
    goal("randwrite-4k-qd1", 4.0, Some(0.5)),
    goal("randwrite-4k-qd32-2jobs", 4.0, Some(0.5)),
    goal("randwrite-128k-qd32", 1.8, Some(0.9)),
    goal("write-128k-qd32", 1.7, Some(0.9)),
    goal("randread-4k-qd1", 2.0, Some(0.95)),
    goal("randread-4k-qd32", 1.5, Some(0.95)),
    goal("append-4k-qd32", 4.0, None),
    goal("append-4k-qd32-plugged", 4.0, None),
    goal("write-4k-fdatasync", 6.0, Some(1.0)),
    goal("write-4k-dsync", 6.0, Some(1.0)),
    goal("add-10000", 3.0, None),
    goal("memory-10000", 3.0, None),
    goal("remove-10000", 2.0, None),
    goal("add-again-10000", 2.0, None),
];

/// In real time: never slower, and this where threads that wake each other cost most.
const GOAL_OF_TIME: (&str, f64) = ("randwrite-4k-qd1", 5.0);

/// Against rublk, in every row.
const MINIMUM_RUBLK: f64 = 2.0;

/// Share of the floor that a figure must reach to be called equal.
const EQUAL: f64 = 0.995;

fn verdict(value: f64, minimum: f64) -> String {
    let word = if value >= minimum { "met" } else { "NOT MET" };
    word.into()
}

/// The goals of the rows that were measured, and whether they are met.
pub fn report(run: &Run) -> String {
    let mut lines = Vec::new();
    for row in rows(run) {
        let Some(value) = ratio(run, &row, Contestant::Zloop, Contestant::C) else {
            continue;
        };
        let known = GOALS.iter().find(|goal| goal.row == row);
        let minimum = match (run.mode, known) {
            (Mode::Icount, Some(goal)) => goal.minimum,
            (Mode::Icount, None) => continue,
            (Mode::Wall, _) if row == GOAL_OF_TIME.0 => GOAL_OF_TIME.1,
            (Mode::Wall, _) => 1.0,
        };
        let mut line = vec![
            row.clone(),
            format!("{value:.2}"),
            format!("{minimum:.2}"),
            verdict(value, minimum),
        ];
        let aim = known
            .and_then(|goal| goal.aim)
            .filter(|_| run.mode == Mode::Icount);
        let share = ratio(run, &row, Contestant::Zloop, Contestant::Floor);
        if let (Some(aim), Some(share)) = (aim, share) {
            line.push(format!("{share:.2}"));
            line.push(format!("{aim:.2}"));
            line.push(verdict(share, aim * EQUAL));
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return String::new();
    }
    let head = ["goal", "x C", "at least", "", "of file", "aim", ""].map(String::from);
    lines.insert(0, head.to_vec());
    let mut text = align(&lines);
    let rublk: Vec<_> = rows(run)
        .into_iter()
        .filter_map(|row| Some((ratio(run, &row, Contestant::Zloop, Contestant::Rublk)?, row)))
        .collect();
    let below: Vec<_> = rublk
        .iter()
        .filter(|(ratio, _)| *ratio < MINIMUM_RUBLK)
        .map(|(ratio, row)| format!("{row} {ratio:.2}"))
        .collect();
    if !rublk.is_empty() {
        let _ = writeln!(
            text,
            "x rublk, at least {MINIMUM_RUBLK:.2}: met in {} of {} rows{}{}",
            rublk.len() - below.len(),
            rublk.len(),
            if below.is_empty() { "" } else { "; NOT MET: " },
            below.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::all_rows;
    use crate::table::tests::run_of;

    #[test]
    fn goals_are_of_rows_that_there_are() {
        for goal in GOALS {
            assert!(all_rows().iter().any(|row| row == goal.row), "{}", goal.row);
        }
    }

    fn run(zloop: f64) -> Run {
        run_of(&[
            ("randwrite-4k-qd1", Contestant::Floor, 0.1),
            ("randwrite-4k-qd1", Contestant::Rublk, 0.4),
            ("randwrite-4k-qd1", Contestant::C, 0.8),
            ("randwrite-4k-qd1", Contestant::Zloop, zloop),
            // Not a goal, but to be better than rublk in.
            ("reset", Contestant::Rublk, 0.1),
            ("reset", Contestant::Zloop, 0.05),
        ])
    }

    fn words(text: &str, row: &str) -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(row));
        line.unwrap().split_whitespace().map(String::from).collect()
    }

    #[test]
    fn goal_is_met_or_not() {
        let text = report(&run(0.2));
        let want = [
            "randwrite-4k-qd1",
            "4.00",
            "4.00",
            "met",
            "0.50",
            "0.50",
            "met",
        ];
        assert_eq!(words(&text, "randwrite"), want);
        assert!(text.contains("met in 2 of 2 rows\n"), "{text}");
        let text = report(&run(0.21));
        assert_eq!(words(&text, "randwrite")[3..5], ["NOT", "MET"]);
        assert!(text.contains("met in 1 of 2 rows; NOT MET: randwrite-4k-qd1 1.90"));
    }

    #[test]
    fn time_has_goals_of_its_own() {
        let run = Run {
            mode: Mode::Wall,
            ..run(0.2)
        };
        assert_eq!(
            words(&report(&run), "randwrite")[..5],
            ["randwrite-4k-qd1", "4.00", "5.00", "NOT", "MET"]
        );
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        assert_eq!(report(&run_of(&[("reset", Contestant::C, 0.4)])), "");
    }
}
