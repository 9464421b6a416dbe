// SPDX-License-Identifier: GPL-2.0

//! The table on the terminal, and how figures are written.

use crate::sample::{all_rows, Contestant, Machine, Mode, Run, Value, NS_PER_INSTRUCTION};
use crate::stats::{summary, Summary};
use std::fmt::Write;

/// The median of what a contestant needs for one operation of a row.
pub fn cell(run: &Run, row: &str, contestant: Contestant) -> Option<Summary> {
    let costs: Vec<f64> = run
        .samples
        .iter()
        .filter(|s| s.job == row && s.contestant == contestant)
        .filter_map(|s| s.value.cost())
        .collect();
    summary(&costs)
}

/// How many times faster (or smaller) a contestant is than `than`.
pub fn ratio(run: &Run, row: &str, contestant: Contestant, than: Contestant) -> Option<f64> {
    let own = cell(run, row, contestant)?.median;
    let other = cell(run, row, than)?.median;
    (own > 0.0).then(|| other / own)
}

/// Three significant digits, with k, M or G.
pub fn short(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{suffix}")
}

fn is_memory(row: &str) -> bool {
    row.starts_with("memory-")
}

/// The figure that a row shows of a cost.
fn figure(mode: Mode, row: &str, cost: f64) -> String {
    match mode {
        _ if is_memory(row) => short(cost),
        Mode::Icount => short(cost * 1e9 / NS_PER_INSTRUCTION),
        Mode::Wall => short(cost * 1e6),
    }
}

/// A sample in words.
pub fn cost(mode: Mode, value: &Value) -> String {
    let Some(cost) = value.cost() else {
        return "-".into();
    };
    match (mode, value) {
        (_, Value::Memory { .. }) => format!("{} bytes a zone", short(cost)),
        (Mode::Icount, _) => format!(
            "{} instructions each ({} in a second)",
            short(cost * 1e9 / NS_PER_INSTRUCTION),
            short(1.0 / cost)
        ),
        (Mode::Wall, _) => format!(
            "{} us each ({} in a second)",
            short(cost * 1e6),
            short(1.0 / cost)
        ),
    }
}

/// Contestants that have at least one sample.
pub fn contestants(run: &Run) -> Vec<Contestant> {
    Contestant::ALL
        .into_iter()
        .filter(|c| run.samples.iter().any(|s| s.contestant == *c))
        .collect()
}

/// Rows that have at least one sample, in the order of the jobs.
pub fn rows(run: &Run) -> Vec<String> {
    let mut rows = all_rows();
    rows.retain(|row| run.samples.iter().any(|s| s.job == *row));
    rows
}

/// Lines of columns; the first column is left aligned, the others right.
pub fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| {
        lines
            .iter()
            .filter_map(|l| l.get(i))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut out = String::new();
        for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if i == 0 {
                write!(out, "{cell:<width$}")
            } else {
                write!(out, "  {cell:>width$}")
            };
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
    text
}

/// The whole table: figure and ratio against the C driver, the largest spread of a row at its end.
pub fn table(run: &Run) -> String {
    let contestants = contestants(run);
    let mut head = vec![String::new()];
    for c in &contestants {
        head.push(c.title().to_owned());
        if *c != Contestant::C {
            head.push("x C".into());
        }
    }
    head.push("spread".into());
    let mut lines = vec![head];
    for row in rows(run) {
        let mut line = vec![row.clone()];
        let mut spread: Option<f64> = None;
        for c in &contestants {
            match cell(run, &row, *c) {
                Some(s) => {
                    line.push(figure(run.mode, &row, s.median));
                    if s.rounds > 1 {
                        spread = Some(spread.unwrap_or(0.0).max(s.spread));
                    }
                }
                None if failure(run, &row, *c).is_some() => line.push("failed".into()),
                None => line.push("-".into()),
            }
            if *c != Contestant::C {
                let ratio = ratio(run, &row, *c, Contestant::C);
                line.push(ratio.map_or("-".into(), |r| format!("{r:.2}")));
            }
        }
        line.push(spread.map_or("-".into(), |s| format!("{:.1}%", s * 100.0)));
        lines.push(line);
    }
    format!("{}{}", align(&lines), failures(run))
}

fn failure<'a>(run: &'a Run, row: &str, contestant: Contestant) -> Option<&'a str> {
    run.samples.iter().find_map(|s| match &s.value {
        Value::Failed(why) if s.job == row && s.contestant == contestant => Some(why.as_str()),
        _ => None,
    })
}

fn failures(run: &Run) -> String {
    let mut text = String::new();
    for s in &run.samples {
        if let Value::Failed(why) = &s.value {
            let _ = writeln!(
                text,
                "failed: {}, {}, round {}: {why}",
                s.job,
                s.contestant.title(),
                s.round
            );
        }
    }
    text
}

/// What the figures are, and what they were measured on.
pub fn caption(run: &Run) -> String {
    let Machine {
        kernel,
        compiler,
        cpus,
        cpu,
        memory_mib,
        fio,
        backing,
        host,
        accelerator,
        revision,
        base,
        rublk,
    } = &run.machine;
    let what = match run.mode {
        Mode::Icount => {
            "guest instructions for one operation (memory: bytes a zone); lower is better"
        }
        Mode::Wall => {
            "microseconds of real time for one operation (memory: bytes a zone); lower is better"
        }
    };
    let mut text = format!(
        "{what}\n\
         x C: how many times less than the C driver; spread: largest of the row, (max - min) / median\n\
         zloop {revision}; Linux {kernel} ({compiler}); {backing}; {fio}\n\
         VM: {accelerator}, {cpus} processor(s) {cpu}, {memory_mib} MiB; host: {host}\n"
    );
    for (contestant, setup) in &run.setups {
        let _ = writeln!(text, "{}: {setup}", contestant.title());
    }
    for (name, version) in [("base", base), ("rublk", rublk)] {
        if !version.is_empty() {
            let _ = writeln!(text, "{name}: {version}");
        }
    }
    text
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::sample::Sample;

    pub fn run_of(samples: &[(&str, Contestant, f64)]) -> Run {
        Run {
            licence: crate::sample::licence(),
            mode: Mode::Icount,
            machine: Machine::default(),
            setups: Default::default(),
            samples: samples
                .iter()
                .enumerate()
                .map(|(i, (job, contestant, seconds))| Sample {
                    job: (*job).to_owned(),
                    contestant: *contestant,
                    round: i as u32,
                    value: Value::Time {
                        ops: 1000,
                        seconds: *seconds,
                    },
                    latency_us: None,
                })
                .collect(),
        }
    }

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (1234.0, "1234"),
            (12_345.0, "12.3k"),
            (170_000.0, "170k"),
            (9_870_000.0, "9.87M"),
            (2e10, "20.0G"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn ratio_is_of_medians_and_above_one_for_less() {
        let run = run_of(&[
            ("reset", Contestant::C, 0.4),
            ("reset", Contestant::Zloop, 0.1),
            ("reset", Contestant::Zloop, 0.3),
            ("reset", Contestant::Zloop, 0.1),
        ]);
        assert_eq!(
            ratio(&run, "reset", Contestant::Zloop, Contestant::C),
            Some(4.0)
        );
        assert_eq!(
            ratio(&run, "finish", Contestant::Zloop, Contestant::C),
            None
        );
        assert_eq!(ratio(&run, "reset", Contestant::Base, Contestant::C), None);
    }

    #[test]
    fn table_has_a_line_for_each_row_and_says_what_failed() {
        let mut run = run_of(&[
            ("reset", Contestant::C, 0.4),
            ("reset", Contestant::Zloop, 0.1),
        ]);
        run.samples[0].value = Value::Failed("no memory".into());
        let text = table(&run);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().next().unwrap().contains("C driver"));
        let row = text.lines().nth(1).unwrap();
        assert!(
            row.starts_with("reset") && row.contains("failed") && row.contains("50.0k"),
            "{row}"
        );
        assert!(text.contains("failed: reset, C driver, round 0: no memory"));
    }

    #[test]
    fn rows_are_in_the_order_of_the_jobs() {
        let run = run_of(&[
            ("reset", Contestant::C, 1.0),
            ("randread-4k-qd1", Contestant::C, 1.0),
        ]);
        assert_eq!(rows(&run), ["randread-4k-qd1", "reset"]);
    }
}
