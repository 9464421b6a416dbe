// SPDX-License-Identifier: GPL-2.0

//! Benchmark of zloop and its peers.
//!
//! `zbench guest` runs the jobs in the virtual machine; the other commands make tables, charts and comparisons of what
//! it left. tools/bench puts the two together. Documentation/performance.rst says what is measured and how.

mod append;
mod backing;
mod chart;
mod contestant;
mod fio;
mod goal;
mod guest;
mod job;
mod lifecycle;
mod memory;
mod profile;
mod regression;
mod sample;
mod stats;
mod system;
mod table;
mod zones;

use clap::{Args, Parser, Subcommand};
use std::process::ExitCode;
use system::{get, put, Res};

#[derive(Parser)]
#[command(about = "Benchmark of zloop and its peers")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run jobs; in the virtual machine
    Guest(guest::GuestArgs),
    /// Print the names of the jobs
    Jobs,
    /// Print instructions by function of the jobs that were profiled
    Profile {
        /// Where the guest and the plugin left it
        dir: String,
        /// Functions to print
        #[arg(long, default_value_t = 60)]
        lines: usize,
    },
    /// Print the table of a run, and write its JSON, table and chart
    Report(ReportArgs),
    /// Print the ratios of a run for `guest --recorded`
    Record {
        /// What `guest` left
        results: String,
    },
}

#[derive(Args)]
struct ReportArgs {
    /// What `guest` left
    results: String,
    /// What ran the virtual machine
    #[arg(long, default_value = "")]
    host: String,
    #[arg(long, default_value = "")]
    accelerator: String,
    /// Revision of the driver
    #[arg(long, default_value = "")]
    revision: String,
    /// Revision that it is compared with
    #[arg(long, default_value = "")]
    base: String,
    /// Version of rublk
    #[arg(long, default_value = "")]
    rublk: String,
    /// Write OUT.json, OUT.txt and OUT.svg
    #[arg(long)]
    out: Option<String>,
}

fn report(args: ReportArgs) -> Res<bool> {
    let mut run: sample::Run = load(&args.results)?;
    let machine = &mut run.machine;
    machine.host = args.host;
    machine.accelerator = args.accelerator;
    machine.revision = args.revision;
    machine.base = args.base;
    machine.rublk = args.rublk;
    let goals = goal::report(&run);
    let gap = if goals.is_empty() { "" } else { "\n" };
    let text = format!(
        "{}\n{goals}{gap}{}",
        table::table(&run),
        table::caption(&run)
    );
    print!("\n{text}");
    if let Some(out) = args.out {
        put(&format!("{out}.json"), &lines(&run)?)?;
        put(
            &format!("{out}.txt"),
            &format!("SPDX-License-Identifier: GPL-2.0\n\n{text}"),
        )?;
        let licence = "<!-- SPDX-License-Identifier: GPL-2.0 -->";
        put(
            &format!("{out}.svg"),
            &format!("{licence}\n{}\n", chart::chart(&run)),
        )?;
    }
    Ok(true)
}

/// A run as JSON with a line for each sample, so that two runs can be compared line by line.
fn lines(run: &sample::Run) -> Res<String> {
    let mut samples = Vec::new();
    for sample in &run.samples {
        samples.push(serde_json::to_string(sample).map_err(|e| e.to_string())?);
    }
    let head = sample::Run {
        samples: Vec::new(),
        ..run.clone()
    };
    Ok(json(&head)?.replace(
        "\"samples\": []",
        &format!("\"samples\": [\n{}\n]", samples.join(",\n")),
    ) + "\n")
}

fn json<T: serde::Serialize>(value: &T) -> Res<String> {
    serde_json::to_string_pretty(value).map_err(|e| e.to_string())
}

fn load<T: serde::de::DeserializeOwned>(path: &str) -> Res<T> {
    serde_json::from_str(&get(path)?).map_err(|e| format!("{path}: {e}"))
}

fn run(cli: Cli) -> Res<bool> {
    match cli.command {
        Command::Guest(args) => guest::main(args),
        Command::Jobs => {
            for job in job::JOBS {
                println!("{}", job.name);
            }
            Ok(true)
        }
        Command::Profile { dir, lines } => profile::print(&dir, lines),
        Command::Report(args) => report(args),
        Command::Record { results } => {
            println!("{}", json(&regression::record(&load(&results)?))?);
            Ok(true)
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("zbench: {e}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sample::Contestant;

    #[test]
    fn results_have_a_line_for_each_sample_and_can_be_read_again() {
        let run = table::tests::run_of(&[
            ("reset", Contestant::C, 1.0),
            ("reset", Contestant::Zloop, 2.0),
        ]);
        let text = lines(&run).unwrap();
        assert_eq!(text.matches("\n{\"job\"").count(), 2);
        assert!(text.contains("SPDX-License-Identifier"));
        assert_eq!(serde_json::from_str::<sample::Run>(&text).unwrap(), run);
    }
}
