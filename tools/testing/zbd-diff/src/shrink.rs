// SPDX-License-Identifier: GPL-2.0

//! Makes a failing sequence of steps short: leaves out what is not needed, and makes simple what is.

use crate::op::{Op, Step};

/// Tries until nothing more can be left out or `tries` are used up. `fails` runs a sequence from the start. Appends are of
/// `append_min` bytes or more.
pub fn shrink(
    mut steps: Vec<Step>,
    append_min: u32,
    mut tries: u32,
    mut fails: impl FnMut(&[Step]) -> bool,
) -> Vec<Step> {
    let mut attempt = |steps: &[Step]| {
        if tries == 0 {
            return false;
        }
        tries -= 1;
        fails(steps)
    };

    // The end alone, which is most often enough.
    let mut len = 8;
    while len < steps.len() {
        let tail = &steps[steps.len() - len..];
        if attempt(tail) {
            steps = tail.to_vec();
            break;
        }
        len *= 4;
    }

    // Leave out pieces, smaller and smaller ones.
    let mut piece = steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < steps.len() {
            let mut less = steps.clone();
            less.drain(at..(at + piece).min(steps.len()));
            if attempt(&less) {
                steps = less;
            } else {
                at += piece;
            }
        }
        if piece == 1 {
            break;
        }
        piece = piece.div_ceil(2);
    }

    for i in 0..steps.len() {
        for simpler in simpler(&steps[i], append_min) {
            let mut less = steps.clone();
            less[i] = simpler;
            if attempt(&less) {
                steps = less;
            }
        }
    }
    steps
}

/// Steps that are simpler than one.
fn simpler(step: &Step, append_min: u32) -> Vec<Step> {
    let mut list = Vec::new();
    if step.quiet {
        list.push(Step {
            quiet: false,
            ..*step
        });
    }
    let mut op = step.op;
    match &mut op {
        Op::Write { len, sync, .. } => {
            *sync = false;
            *len = (*len).min(4096);
        }
        Op::Append { len, .. } => *len = (*len).min(append_min.max(4096)),
        Op::Read { len, .. } => *len = (*len).min(4096),
        Op::Manage { range, .. } | Op::Report { range, .. } => range.count = range.count.min(1),
        Op::Flush => (),
    }
    if op != step.op {
        list.push(Step { op, ..*step });
        list.push(Step {
            op,
            quiet: false,
            ..*step
        });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op_text::parse;

    fn steps(lines: &[&str]) -> Vec<Step> {
        lines.iter().map(|line| parse(line).unwrap()).collect()
    }

    /// Fails if there is a write to zone 1 and later a finish of zone 2.
    fn write_then_finish(steps: &[Step]) -> bool {
        let write = steps
            .iter()
            .position(|s| matches!(s.op, Op::Write { at, .. } if at.zone == 1));
        let finish = steps
            .iter()
            .rposition(|s| s.to_string().starts_with("finish z2"));
        matches!((write, finish), (Some(w), Some(f)) if w < f)
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        let mut long = Vec::new();
        for i in 0..500 {
            long.push(format!("write z{}+wp 16k seed={i} sync quiet", i % 7));
            long.push(format!("read z{}+wp 4k", i % 5));
        }
        long.push("finish z2x3".into());
        long.extend((0..40).map(|_| "flush".to_string()));
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let short = shrink(steps(&long), 0, 1000, write_then_finish);
        let text: Vec<String> = short.iter().map(Step::to_string).collect();
        assert_eq!(short.len(), 2, "{text:?}");
        assert!(text[0].starts_with("write z1+wp 4k seed=") && !text[0].contains("sync"));
        assert_eq!(text[1], "finish z2");
    }

    #[test]
    fn appends_do_not_get_shorter_than_they_may_be() {
        let short = shrink(steps(&["append z1 64k seed=1"]), 36 << 10, 100, |steps| {
            !steps.is_empty()
        });

        assert_eq!(
            short[0].op,
            Op::Append {
                zone: 1,
                len: 36 << 10
            }
        );
    }

    #[test]
    fn the_number_of_tries_is_kept() {
        let long = steps(&["flush"; 100]);
        let mut tried = 0;
        let short = shrink(long.clone(), 0, 10, |_| {
            tried += 1;
            false
        });
        assert_eq!((short, tried), (long, 10));
    }

    #[test]
    fn one_step_that_fails_alone_stays() {
        let short = shrink(steps(&["flush", "open z1"]), 0, 100, |s| {
            s.iter().any(|s| s.op.name() == "open")
        });
        assert_eq!(short, steps(&["open z1"]));
    }
}
