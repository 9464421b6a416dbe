// SPDX-License-Identifier: GPL-2.0

//! fio: its arguments for a job, and its results.

use crate::job::{Fio, Sync};
use serde::Deserialize;

/// Name of the job that is measured; another one may make files dirty meanwhile.
const NAME: &str = "bench";

/// Where a job runs, and how long.
pub struct Place<'a> {
    pub path: &'a str,
    /// A zoned device, and not a file.
    pub zoned: bool,
    /// Size of the file to work on; None for all of a device.
    pub size: Option<u64>,
    /// A file for each job, `path.0` and so on, which grows with the writes.
    pub grows: bool,
    /// Its blocks are allocated when the job begins.
    pub ahead: bool,
    /// File on the backing file system that gets dirty meanwhile, if the job asks for it.
    pub foreign: &'a str,
    pub runtime_ms: u64,
    pub ramp_ms: u64,
    /// Where the results go.
    pub output: &'a str,
    /// File that is made when the job begins, after all of fio's preparations.
    pub begun: Option<&'a str>,
}

/// Arguments of fio for a job.
pub fn arguments(job: &Fio, place: &Place) -> Vec<String> {
    let mut args: Vec<String> = [
        "--output-format=json",
        "--thread",
        "--group_reporting",
        "--allow_mounted_write=1",
    ]
    .map(String::from)
    .to_vec();
    let mut add = |text: String| args.push(text);
    add(format!("--output={}", place.output));
    add(format!("--name={NAME}"));
    if place.grows {
        add(format!("--filename_format={}.$jobnum", place.path));
    } else {
        add(format!("--filename={}", place.path));
    }
    if place.zoned {
        add("--zonemode=zbd".into());
    } else if place.ahead {
        add("--fallocate=keep".into());
    } else {
        add("--fallocate=none".into());
    }
    if let Some(size) = place.size {
        let files = if place.grows { job.jobs.into() } else { 1 };
        add(format!("--size={}", size / files));
    }
    if let Some(begun) = place.begun {
        add(format!("--exec_prerun=touch {begun}"));
    }
    add("--direct=1".into());
    add(format!("--ioengine={}", job.engine.word()));
    add(format!("--rw={}", job.rw.word()));
    add(format!("--bs={}", job.bytes));
    add(format!("--iodepth={}", job.depth));
    add(format!("--numjobs={}", job.jobs));
    add("--norandommap".into());
    let times = [
        "--time_based".into(),
        format!("--runtime={}ms", place.runtime_ms),
        format!("--ramp_time={}ms", place.ramp_ms),
    ];
    times.iter().cloned().for_each(&mut add);
    match job.sync {
        Sync::None => return args,
        Sync::Fdatasync => add("--fdatasync=1".into()),
        Sync::Dsync => add("--sync=dsync".into()),
    }
    // A second job, slow enough to leave the processor to the first.
    add("--name=foreign".into());
    add("--new_group".into());
    add(format!("--filename={}", place.foreign));
    for text in [
        "--zonemode=none",
        "--size=64m",
        "--direct=0",
        "--ioengine=psync",
        "--rw=write",
        "--bs=16k",
        "--iodepth=1",
        "--numjobs=1",
        "--rate=16m",
        "--fdatasync=0",
        "--sync=none",
    ] {
        add(text.into());
    }
    times.into_iter().for_each(&mut add);
    args
}

#[derive(Deserialize)]
struct Output {
    jobs: Vec<JobOutput>,
}

#[derive(Deserialize)]
struct JobOutput {
    jobname: String,
    error: i32,
    read: Direction,
    write: Direction,
}

#[derive(Deserialize)]
struct Direction {
    total_ios: u64,
    /// In milliseconds.
    runtime: u64,
    clat_ns: Latency,
}

#[derive(Deserialize)]
struct Latency {
    mean: f64,
    #[serde(default)]
    percentile: std::collections::BTreeMap<String, f64>,
}

/// What fio measured.
#[derive(Debug, PartialEq)]
pub struct Result {
    pub ops: u64,
    pub seconds: f64,
    /// Mean and 99th percentile of the completion latency in microseconds.
    pub latency_us: (f64, f64),
}

/// Finds the job's result in what fio wrote. Notes of fio may come before the JSON.
pub fn parse(text: &str, write: bool) -> std::result::Result<Result, String> {
    let start = text.find('{').ok_or("fio left no JSON")?;
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Output>();
    let output = values
        .next()
        .ok_or("fio left no JSON")?
        .map_err(|e| format!("fio's JSON: {e}"))?;
    let job = output
        .jobs
        .iter()
        .find(|job| job.jobname == NAME)
        .ok_or("fio has no result of the job")?;
    if job.error != 0 {
        return Err(format!("fio's job ended with error {}", job.error));
    }
    let side = if write { &job.write } else { &job.read };
    if side.total_ios == 0 || side.runtime == 0 {
        return Err("fio's job did no I/O".into());
    }
    let p99 = side
        .clat_ns
        .percentile
        .get("99.000000")
        .copied()
        .unwrap_or(0.0);
    Ok(Result {
        ops: side.total_ios,
        seconds: side.runtime as f64 / 1e3,
        latency_us: (side.clat_ns.mean / 1e3, p99 / 1e3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{select, Kind};

    fn args_of(name: &str, zoned: bool) -> String {
        let Kind::Fio(job) = select(&[name.to_owned()]).unwrap()[0].kind else {
            panic!("{name} is not fio's");
        };
        let place = Place {
            path: "/dev/zloop0",
            zoned,
            size: (!zoned).then_some(4096),
            grows: false,
            ahead: false,
            foreign: "/mnt/foreign",
            runtime_ms: 500,
            ramp_ms: 100,
            output: "/tmp/o",
            begun: None,
        };
        arguments(&job, &place).join(" ")
    }

    #[test]
    fn arguments_are_those_of_the_mailing_list() {
        let args = args_of("randwrite-4k-qd32-2jobs", true);
        for want in [
            "--zonemode=zbd",
            "--ioengine=libaio",
            "--direct=1",
            "--rw=randwrite",
            "--bs=4096",
            "--iodepth=32",
            "--numjobs=2",
        ] {
            assert!(args.contains(want), "{want} is missing in {args}");
        }
        assert!(!args.contains("foreign"));
        assert!(args_of("write-128k-qd32-uring", true).contains("--ioengine=io_uring"));
    }

    #[test]
    fn a_file_is_not_opened_as_a_zoned_device() {
        let args = args_of("randread-4k-qd1", false);
        assert!(!args.contains("zbd") && args.contains("--size=4096"));
    }

    #[test]
    fn files_that_grow_are_one_for_each_job() {
        let Kind::Fio(job) = select(&["randwrite-4k-qd32-2jobs".into()]).unwrap()[0].kind else {
            panic!("not fio's");
        };
        let place = Place {
            path: "/mnt/file",
            zoned: false,
            size: Some(8192),
            grows: true,
            ahead: true,
            foreign: "",
            runtime_ms: 500,
            ramp_ms: 100,
            output: "/tmp/o",
            begun: None,
        };
        let args = arguments(&job, &place).join(" ");
        assert!(args.contains("--filename_format=/mnt/file.$jobnum --fallocate=keep --size=4096"));
    }

    #[test]
    fn durable_writes_come_with_foreign_dirty_data() {
        let args = args_of("write-4k-fdatasync", true);
        let (own, foreign) = args.split_once("--name=foreign").unwrap();
        assert!(own.contains("--fdatasync=1") && own.contains("--zonemode=zbd"));
        assert!(foreign.contains("--fdatasync=0") && foreign.contains("--zonemode=none"));
        assert!(args_of("write-4k-dsync", true).contains("--sync=dsync"));
    }

    fn json(error: i32, ios: u64) -> String {
        let none = r#"{"total_ios":0,"runtime":0,"clat_ns":{"mean":0.0}}"#;
        let some = format!(
            r#"{{"total_ios":{ios},"runtime":500,"clat_ns":{{"mean":2000.0,"percentile":{{"99.000000":7000}}}}}}"#
        );
        format!(
            "fio: a note\n{{\"jobs\":[{{\"jobname\":\"foreign\",\"error\":0,\"read\":{none},\"write\":{none}}},\
             {{\"jobname\":\"bench\",\"error\":{error},\"read\":{none},\"write\":{some}}}]}}\ntrailing"
        )
    }

    #[test]
    fn result_is_that_of_the_measured_job() {
        assert_eq!(
            parse(&json(0, 100), true).unwrap(),
            Result {
                ops: 100,
                seconds: 0.5,
                latency_us: (2.0, 7.0)
            }
        );
    }

    #[test]
    fn a_failed_or_idle_job_has_no_result() {
        assert!(parse(&json(5, 100), true).unwrap_err().contains("error 5"));
        assert!(parse(&json(0, 0), true).unwrap_err().contains("no I/O"));
        assert!(parse(&json(0, 100), false).is_err());
        assert!(parse("fio: no such file", true).is_err());
        assert!(parse("{\"jobs\":[", true).is_err());
    }
}
