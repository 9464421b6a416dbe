// SPDX-License-Identifier: GPL-2.0

//! What a run leaves: one sample for each measurement, and what it was measured on.

use crate::job::{Kind, JOBS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is compared.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Direct I/O to a file that was written before.
    Floor,
    /// Direct writes that extend a file.
    FloorExt,
    /// The same, with the blocks of the file allocated before.
    FloorAhead,
    /// null_blk, zoned, in memory.
    Null,
    /// rublk, zoned, with a file a zone.
    Rublk,
    /// The C driver of the same kernel.
    C,
    /// The C driver without an I/O scheduler.
    CNone,
    /// This driver as of another revision.
    Base,
    /// This driver with its short ways off.
    Plain,
    /// The same, but submission in the submitter's task.
    PlainInline,
    /// The same, but blocks ahead.
    PlainAhead,
    /// The same, but native FUA.
    PlainFua,
    /// This driver with its short ways on, and each zone append on its own.
    Single,
    /// This driver with its short ways on.
    Zloop,
}

impl Contestant {
    pub const ALL: [Contestant; 14] = [
        Contestant::Floor,
        Contestant::FloorExt,
        Contestant::FloorAhead,
        Contestant::Null,
        Contestant::Rublk,
        Contestant::C,
        Contestant::CNone,
        Contestant::Base,
        Contestant::Plain,
        Contestant::PlainInline,
        Contestant::PlainAhead,
        Contestant::PlainFua,
        Contestant::Single,
        Contestant::Zloop,
    ];

    /// The head of its column.
    pub fn title(self) -> &'static str {
        match self {
            Contestant::Floor => "file",
            Contestant::FloorExt => "extended",
            Contestant::FloorAhead => "ahead",
            Contestant::Null => "null_blk",
            Contestant::Rublk => "rublk",
            Contestant::C => "C driver",
            Contestant::CNone => "C, none",
            Contestant::Base => "base",
            Contestant::Plain => "plain",
            Contestant::PlainInline => "+ inline",
            Contestant::PlainAhead => "+ ahead",
            Contestant::PlainFua => "+ FUA",
            Contestant::Single => "single",
            Contestant::Zloop => "zloop",
        }
    }
}

/// What the time of a run means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Guest time is guest instructions (QEMU's -icount shift=1): two nanoseconds each.
    Icount,
    /// Real time.
    Wall,
}

/// Nanoseconds of guest time that an instruction takes in icount mode.
pub const NS_PER_INSTRUCTION: f64 = 2.0;

/// What one measurement gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// So many operations took so many seconds.
    Time { ops: u64, seconds: f64 },
    /// So many zones took so many bytes.
    Memory { zones: u64, bytes: f64 },
    /// It could not be measured, and why.
    Failed(String),
}

impl Value {
    /// Seconds for one operation, or bytes for one zone.
    pub fn cost(&self) -> Option<f64> {
        match self {
            Value::Time { ops, seconds } if *ops > 0 => Some(seconds / *ops as f64),
            Value::Memory { zones, bytes } if *zones > 0 => Some(bytes / *zones as f64),
            _ => None,
        }
    }
}

/// One measurement of one contestant in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What was measured: a job's name, or a part of a job.
    pub job: String,
    pub contestant: Contestant,
    pub round: u32,
    pub value: Value,
    /// Mean and 99th percentile of the completion latency in microseconds, where fio reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<(f64, f64)>,
}

/// Machine and versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub kernel: String,
    pub compiler: String,
    pub cpus: u32,
    pub cpu: String,
    pub memory_mib: u64,
    pub fio: String,
    pub backing: String,
    #[serde(default)]
    pub host: String,
    #[serde(default)]
    pub accelerator: String,
    #[serde(default)]
    pub revision: String,
    #[serde(default)]
    pub base: String,
    #[serde(default)]
    pub rublk: String,
}

/// All of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    #[serde(rename = "SPDX-License-Identifier", default = "licence")]
    pub licence: String,
    pub mode: Mode,
    pub machine: Machine,
    /// Options and I/O scheduler of each contestant's device.
    #[serde(default)]
    pub setups: BTreeMap<Contestant, String>,
    pub samples: Vec<Sample>,
}

/// Of the files of results, which are part of the project.
pub fn licence() -> String {
    "GPL-2.0".into()
}

/// The parts that a job is shown as, in this order.
pub fn rows(kind: Kind, name: &str) -> Vec<String> {
    match kind {
        Kind::Lifecycle { zones } => LIFECYCLE
            .iter()
            .map(|part| format!("{part}-{zones}"))
            .collect(),
        _ => vec![name.to_owned()],
    }
}

/// Parts of a life cycle job.
pub const LIFECYCLE: [&str; 6] = ["add", "report", "memory", "remove", "add-again", "add-cold"];

/// Names of all rows of the table, in order.
pub fn all_rows() -> Vec<String> {
    JOBS.iter()
        .flat_map(|job| rows(job.kind, job.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_per_operation_and_absent_for_what_failed() {
        let time = Value::Time {
            ops: 4,
            seconds: 2.0,
        };
        assert_eq!(time.cost(), Some(0.5));
        let memory = Value::Memory {
            zones: 10,
            bytes: 100.0,
        };
        assert_eq!(memory.cost(), Some(10.0));
        assert_eq!(
            Value::Time {
                ops: 0,
                seconds: 1.0
            }
            .cost(),
            None
        );
        assert_eq!(Value::Failed("no".into()).cost(), None);
    }

    #[test]
    fn a_sample_survives_json() {
        let sample = Sample {
            job: "reset".into(),
            contestant: Contestant::FloorExt,
            round: 2,
            value: Value::Time {
                ops: 7,
                seconds: 0.25,
            },
            latency_us: Some((1.5, 9.0)),
        };
        let text = serde_json::to_string(&sample).unwrap();
        assert!(text.contains("\"floor-ext\""));
        assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
    }
}
