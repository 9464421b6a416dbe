// SPDX-License-Identifier: GPL-2.0

//! Counts of what was done.

use crate::known::TABLE;
use crate::target::Reply;
use std::collections::BTreeMap;

/// How often each operation ended in which way, and how often each known difference was seen.
#[derive(Clone)]
pub struct Tally {
    pub steps: u64,
    pub known: [u64; TABLE.len()],
    ok: BTreeMap<&'static str, u64>,
    failed: BTreeMap<(&'static str, String), u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            steps: 0,
            known: [0; TABLE.len()],
            ok: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// Counts a step.
    pub fn count(&mut self, op: &'static str, reply: &Reply) {
        self.steps += 1;
        match reply {
            // Without an allocation: that is most of them.
            Ok(_) => *self.ok.entry(op).or_insert(0) += 1,
            Err(fail) => *self.failed.entry((op, fail.to_string())).or_insert(0) += 1,
        }
    }

    /// Adds what another thread has counted.
    pub fn add(&mut self, other: &Tally) {
        self.steps += other.steps;
        for (key, n) in &other.failed {
            *self.failed.entry(key.clone()).or_insert(0) += n;
        }
        for (op, n) in &other.ok {
            *self.ok.entry(op).or_insert(0) += n;
        }
        for (sum, n) in self.known.iter_mut().zip(other.known) {
            *sum += n;
        }
    }

    /// How often an operation succeeded and failed.
    pub fn outcomes(&self, op: &str) -> (u64, u64) {
        let failed = self
            .failed
            .iter()
            .filter(|((name, _), _)| *name == op)
            .map(|(_, n)| n)
            .sum();
        (self.ok.get(op).copied().unwrap_or(0), failed)
    }

    /// One line for each operation and one for the known differences.
    pub fn print(&self) {
        for (op, n) in &self.ok {
            let mut line = format!("{op}: ok {n}");
            for ((_, fail), n) in self.failed.iter().filter(|((name, _), _)| name == op) {
                line += &format!(", {fail} {n}");
            }
            println!("{line}");
        }
        let mut line = String::from("known differences:");
        for (known, n) in TABLE.iter().zip(self.known).filter(|(_, n)| *n != 0) {
            line += &format!(" {}={n}", known.name);
        }
        println!("{line}");
    }
}
