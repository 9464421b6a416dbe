// SPDX-License-Identifier: GPL-2.0

//! Scripts: steps in a file, with a head that says what they were made for.

use crate::op::Step;
use crate::op_text;
use crate::target::Geometry;
use std::fmt::Write;

/// Steps, and the number of threads that they are for.
#[derive(Debug, PartialEq, Eq)]
pub struct Script {
    pub threads: u32,
    pub steps: Vec<Step>,
}

/// The text of a script.
pub fn text(threads: u32, geo: &Geometry, remarks: &[String], steps: &[Step]) -> String {
    let mut out = String::from("# zbd-diff script\n");
    for remark in remarks {
        let _ = writeln!(out, "# {remark}");
    }
    let _ = writeln!(out, "# {geo:?}\nthreads {threads}");
    for step in steps {
        let _ = writeln!(out, "{step}");
    }
    out
}

/// Reads a script.
pub fn parse(text: &str) -> Result<Script, String> {
    let mut script = Script {
        threads: 1,
        steps: Vec::new(),
    };
    for (no, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let wrong = || format!("line {}: what is '{line}'?", no + 1);
        if let Some(threads) = line.strip_prefix("threads ") {
            script.threads = threads.parse().map_err(|_| wrong())?;
            continue;
        }
        let step = op_text::parse(line).ok_or_else(wrong)?;
        if step.thread >= script.threads {
            return Err(format!("line {}: no thread {}", no + 1, step.thread));
        }
        script.steps.push(step);
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_as_it_is_written() {
        let geo = Geometry {
            zone_size: 1 << 20,
            zone_capacity: 1 << 20,
            nr_zones: 4,
            conv: 0,
            block: 512,
            max_open: 0,
            max_active: 0,
        };
        let steps: Vec<Step> = ["write z1+wp 4k seed=1", "flush quiet t=1"]
            .iter()
            .filter_map(|line| op_text::parse(line))
            .collect();
        let text = text(2, &geo, &["seed 7".into()], &steps);
        assert_eq!(parse(&text), Ok(Script { threads: 2, steps }));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, line) in [
            ("open z1\nopen\n", 2),
            ("# x\nflush t=1\n", 2),
            ("threads x", 1),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(&format!("line {line}:")), "{error}");
        }
    }
}
