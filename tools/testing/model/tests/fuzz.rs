// SPDX-License-Identifier: GPL-2.0

//! A million random and mutated commands through the parser.
//!
//! Nothing may panic or overflow, what is refused must make one short line of the log, and the
//! [`reference`](super::reference) must read the same. The commands are the same in each run,
//! unless `ZLOOP_FUZZ_SEED` is set; `ZLOOP_FUZZ_COMMANDS` changes their number.

use std::{
    collections::HashMap,
    env, //
};

use super::{
    command::check,
    model::options::{
        Command,
        ParseError, //
    },
};

/// Marsaglia's xorshift: enough for this, and the same everywhere.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const NAMES: [&str; 18] = [
    "id",
    "capacity_mb",
    "zone_size_mb",
    "zone_capacity_mb",
    "conv_zones",
    "base_dir",
    "nr_queues",
    "queue_depth",
    "buffered_io",
    "zone_append",
    "ordered_zone_append",
    "discard_write_cache",
    "max_open_zones",
    "submit_inline",
    "prealloc_kb",
    "fua",
    "max_open_files",
    "append_batch_kb",
];

const VALUES: [&str; 34] = [
    "0",
    "1",
    "2",
    "3",
    "8",
    "64",
    "256",
    "1024",
    "16384",
    "16385",
    "10240",
    "10241",
    "-1",
    "-2",
    "-0",
    "00",
    "010",
    "08",
    "0x10",
    "0X1f",
    "0x",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "/tmp",
    "/a\\,b",
    "\\",
    "",
    "1x",
    "%u",
];

const PIECES: [&str; 16] = [
    ",", "\n", " ", "=", "\\", "\\,", "\0", "add", "remove", "add ", "\t", "\r", "\x0b", "x", "-",
    "0",
];

/// A command of known options, most of which are right.
fn generate(rng: &mut Rng) -> Vec<u8> {
    if rng.below(8) == 0 {
        let options = [
            "",
            "id=0",
            "id=0,capacity_mb=1",
            "buffered_io",
            &format!("id={}", rng.pick(&VALUES)),
        ];
        return format!("remove {}", rng.pick(&options)).into_bytes();
    }
    let mut text = String::from("add");
    let mut names = NAMES.to_vec();
    for nth in 0..rng.below(6) {
        text.push_str(if nth == 0 { " " } else { "," });
        let name = match rng.below(40) {
            0 => rng.pick(&NAMES),
            _ => names.swap_remove(rng.below(names.len())),
        };
        text.push_str(name);
        let is_flag =
            name.starts_with("buffered") || name.starts_with("o") || name.starts_with("d");
        if is_flag != (rng.below(50) == 0) {
            continue;
        }
        text.push('=');
        match name {
            "base_dir" => text.push_str(rng.pick(&["/tmp", "/a\\,b", "relative", "/\\", "/\0x"])),
            "zone_append" | "submit_inline" | "fua" => text.push_str(rng.pick(&["0", "1"])),
            "zone_size_mb" if rng.below(8) > 0 => text.push_str(&(1 << rng.below(15)).to_string()),
            "zone_size_mb" => text.push_str(&(1 + rng.below(17000)).to_string()),
            _ if rng.below(4) == 0 => text.push_str(rng.pick(&VALUES)),
            _ => text.push_str(&(1 + rng.below(9000)).to_string()),
        }
    }
    text.into_bytes()
}

/// Changes a command in one place.
fn mutate(rng: &mut Rng, text: &mut Vec<u8>, other: &[u8]) {
    let at = rng.below(text.len() + 1);
    let end = at + rng.below(text.len() - at + 1);
    let insert = |text: &mut Vec<u8>, piece: &[u8]| drop(text.splice(at..at, piece.to_vec()));
    match rng.below(9) {
        0 if at < text.len() => text[at] = rng.next() as u8,
        1 if at < text.len() => text[at] ^= 1 << rng.below(8),
        2 => drop(text.drain(at..end)),
        3 => {
            let piece = text[at..end].to_vec();
            insert(text, &piece);
        }
        4 => insert(text, rng.pick(&PIECES).as_bytes()),
        5 => insert(text, rng.pick(&VALUES).as_bytes()),
        6 => insert(text, rng.pick(&NAMES).as_bytes()),
        7 => drop(text.splice(at.., other[other.len().min(at)..].to_vec())),
        _ => {
            let bytes: Vec<u8> = (0..rng.below(9)).map(|_| rng.next() as u8).collect();
            insert(text, &bytes);
        }
    }
    text.truncate(4096);
}

/// The name of an [`ErrorKind`](super::model::options::ErrorKind), without its payload.
fn kind(error: &ParseError<'_>) -> String {
    let debug = format!("{:?}", error.kind);
    debug.split(' ').next().unwrap_or_default().to_owned()
}

fn from_env(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn million_commands_are_read_as_by_the_reference() {
    let commands = from_env("ZLOOP_FUZZ_COMMANDS").unwrap_or(1_000_000);
    let mut rng = Rng(from_env("ZLOOP_FUZZ_SEED")
        .unwrap_or(0x2545_f491_4f6c_dd1d)
        .max(1));
    let mut last = Vec::new();
    let mut outcomes = HashMap::<String, u64>::new();
    for _ in 0..commands {
        let mut text = if rng.below(64) == 0 {
            let len = rng.below(64);
            (0..len).map(|_| rng.next() as u8).collect()
        } else {
            generate(&mut rng)
        };
        // Up to three, most often none.
        for _ in 0..rng.below(8).saturating_sub(4) {
            mutate(&mut rng, &mut text, &last);
        }
        let outcome = match check(&text) {
            Ok(Command::Add(_)) => "Add".to_owned(),
            Ok(Command::Remove { .. }) => "Remove".to_owned(),
            Err(error) => kind(&error),
        };
        *outcomes.entry(outcome).or_default() += 1;
        last = text;
    }
    println!("{outcomes:?}");
    // Every outcome was seen often: 10 kinds of errors and two commands.
    assert_eq!(outcomes.len(), 12);
    for (outcome, count) in outcomes {
        assert!(count >= commands / 2000, "{outcome}: {count}");
    }
}
