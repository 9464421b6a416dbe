// SPDX-License-Identifier: GPL-2.0

//! Random and mutated commands to the control device.

use crate::control::{command, disks, remove_new};
use crate::pattern::Rng;
use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

const NAMES: &[&str] = &[
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
    "bogus",
    "",
];

const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "8",
    "16",
    "17",
    "63",
    "64",
    "65",
    "128",
    "255",
    "256",
    "1023",
    "1024",
    "4096",
    "10240",
    "10241",
    "16384",
    "16385",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "-2",
    "-2147483648",
    "007",
    "0x10",
    "+5",
    " 5",
    "5 ",
    "1e3",
    "",
    "99999999999999999999999",
    "%s%n",
    "1x",
];

const DIRS: &[&str] = &[
    "b", "b", "b", "./b", "", ".", "missing", "b/", "b/0", "file", "b\\,c", "bb\x01",
];

/// A command that is often right.
fn generate(rng: &mut Rng) -> Vec<u8> {
    if rng.below(8) == 0 {
        return format!("remove id={}", VALUES[rng.below(VALUES.len())]).into_bytes();
    }
    if rng.below(3) == 0 {
        // Small and right in itself, so that the mutations of a good command are seen too.
        return format!(
            "add capacity_mb={},zone_size_mb={},conv_zones={},base_dir=b",
            4 * (2 + rng.below(8)),
            1 << rng.below(3),
            rng.below(4)
        )
        .into_bytes();
    }
    let mut text = String::from("add ");
    for i in 0..rng.below(9) {
        if i > 0 {
            text.push(if rng.below(20) == 0 { '\n' } else { ',' });
        }
        let name = NAMES[rng.below(NAMES.len())];
        text.push_str(name);
        let flag = matches!(
            name,
            "buffered_io" | "ordered_zone_append" | "discard_write_cache"
        );
        if !flag || rng.below(16) == 0 {
            text.push('=');
            let pool = if name == "base_dir" { DIRS } else { VALUES };
            text.push_str(pool[rng.below(pool.len())]);
        }
    }
    if rng.below(2) == 0 {
        text.push_str(",base_dir=b");
    }
    text.into_bytes()
}

/// Changes a few bytes. No `/` is ever inserted: paths stay below the working directory.
fn mutate(rng: &mut Rng, text: &mut Vec<u8>) {
    const BYTES: &[u8] = b"\0\n\t ,,==0123456789-+xadir_%s\\\"'\xff\x80\x7f";
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(text.len() + 1);
        match rng.below(6) {
            0 if at < text.len() => text[at] = BYTES[rng.below(BYTES.len())],
            1 if at < text.len() => {
                text.remove(at);
            }
            2 => text.insert(at, BYTES[rng.below(BYTES.len())]),
            3 => text.truncate(at),
            4 => {
                let tail = text[at..].to_vec();
                text.extend(tail);
            }
            5 if at < text.len() => text[at] ^= 1 << rng.below(8),
            _ => (),
        }
        // A flipped bit can make a slash, a deletion the parent directory.
        for i in 0..text.len() {
            if text[i] == b'/' || text[i..].starts_with(b"..") {
                text[i] = b'_';
            }
        }
    }
    if rng.below(200) == 0 {
        text.resize(4000 + rng.below(200), b'A');
    }
}

/// Writes random commands; false if a device stays or cannot be removed.
pub fn run(control: &str, base: &str, count: u64, seed: u64) -> io::Result<bool> {
    std::env::set_current_dir(base)?;
    let mut rng = Rng::new(seed);
    let mut results: BTreeMap<String, u64> = BTreeMap::new();
    let mut good = true;
    let (mut slowest, mut slow_text) = (0, String::new());
    for _ in 0..count {
        let mut text = generate(&mut rng);
        if rng.below(2) == 0 {
            mutate(&mut rng, &mut text);
        }
        let began = Instant::now();
        let res = command(control, &text)?;
        let took = began.elapsed().as_millis();
        if took > slowest {
            slowest = took;
            slow_text = String::from_utf8_lossy(&text).into_owned();
        }
        if res == "ok" {
            if let Err(e) = remove_new(control, &[], Some("b"))? {
                println!("{:?}: {e}", String::from_utf8_lossy(&text));
                good = false;
            }
        } else if !disks()?.is_empty() {
            println!(
                "{:?}: {res}, but a device exists",
                String::from_utf8_lossy(&text)
            );
            remove_new(control, &[], Some("b"))?.ok();
            good = false;
        }
        *results.entry(res).or_insert(0) += 1;
    }
    println!(
        "commands={count} seed={seed} results={results:?} slowest_ms={slowest} ({slow_text:?})"
    );
    Ok(good && results.contains_key("ok") && results.contains_key("EINVAL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_never_leave_the_working_directory() {
        let mut rng = Rng::new(7);
        for _ in 0..20_000 {
            let mut text = generate(&mut rng);
            mutate(&mut rng, &mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains("=/") && !text.contains(".."), "{text:?}");
        }
    }
}
