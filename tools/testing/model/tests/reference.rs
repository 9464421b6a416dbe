// SPDX-License-Identifier: GPL-2.0

//! A second reading of the commands of the control device, as simple as can be, to compare the
//! parser with: it makes copies, looks at everything several times and does not say what is wrong.

/// What a command says; numbers are those of the options in the order of the control device's
/// help text, flags are 1, and what was not given is `None`.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) is_add: bool,
    pub(crate) numbers: [Option<i128>; OPTIONS],
    pub(crate) base_dir: Option<Vec<u8>>,
}

enum Kind {
    Id,
    Number(i128, i128),
    PowerOfTwo(i128),
    Path,
    Flag,
}

const MAX: i128 = u32::MAX as i128;

/// The number of options.
pub(crate) const OPTIONS: usize = KINDS.len();

const KINDS: [(&str, Kind); 18] = [
    ("id", Kind::Id),
    ("capacity_mb", Kind::Number(1, MAX)),
    ("zone_size_mb", Kind::PowerOfTwo(16384)),
    ("zone_capacity_mb", Kind::Number(1, MAX)),
    ("conv_zones", Kind::Number(0, MAX)),
    ("base_dir", Kind::Path),
    ("nr_queues", Kind::Number(1, MAX)),
    ("queue_depth", Kind::Number(1, 10240)),
    ("buffered_io", Kind::Flag),
    ("zone_append", Kind::Number(0, 1)),
    ("ordered_zone_append", Kind::Flag),
    ("discard_write_cache", Kind::Flag),
    ("max_open_zones", Kind::Number(0, MAX)),
    ("submit_inline", Kind::Number(0, 1)),
    ("prealloc_kb", Kind::Number(0, 1 << 20)),
    ("fua", Kind::Number(0, 1)),
    ("max_open_files", Kind::Number(0, MAX)),
    ("append_batch_kb", Kind::Number(0, 1 << 14)),
];

/// Digits in a base, if they are nothing else and not too many for 128 bits.
fn digits(text: &str, radix: u32) -> Option<i128> {
    let all_digits = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    let text = text.trim_start_matches('0');
    match (all_digits, text.len()) {
        (false, _) => None,
        (true, 0) => Some(0),
        (true, 1..=30) => i128::from_str_radix(text, radix).ok(),
        (true, _) => Some(i128::MAX),
    }
}

fn number(text: &str, zero_is_octal: bool) -> Option<i128> {
    if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        return digits(hex, 16);
    }
    if zero_is_octal && text.len() > 1 && text.starts_with('0') {
        return digits(text, 8);
    }
    digits(text, 10)
}

/// Reads a command, or refuses it.
pub(crate) fn read(input: &[u8]) -> Option<Reading> {
    // Latin-1, so that each byte is a character.
    let text: String = input.iter().copied().map(char::from).collect();
    let text = text.split_once('\0').map_or(&*text, |(text, _)| text);
    let is_blank = |c: char| " \t\n\x0b\x0c\r".contains(c);
    let (command, rest) = match text.find(|c| is_blank(c) || c == ',') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let is_add = match command {
        "add" => true,
        "remove" => false,
        _ => return None,
    };

    // An escaped comma is no separator: hide it, and bring it back in the end.
    let hidden = rest.replace("\\,", "\u{2c2c}");
    let mut reading = Reading {
        is_add,
        numbers: [None; OPTIONS],
        base_dir: None,
    };
    let mut seen = Vec::new();
    for item in hidden.split([',', '\n']) {
        let item = item.trim_start_matches(is_blank);
        if item.is_empty() {
            continue;
        }
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (item, None),
        };
        let index = KINDS.iter().position(|option| option.0 == name)?;
        if seen.contains(&index) || (!is_add && name != "id") {
            return None;
        }
        seen.push(index);
        let result = match KINDS[index].1 {
            Kind::Flag => value.is_none().then_some(1)?,
            Kind::Path => {
                let value = value?.replace('\u{2c2c}', ",");
                if value.is_empty() {
                    return None;
                }
                reading.base_dir = Some(value.chars().map(|c| c as u8).collect());
                1
            }
            Kind::Id => {
                let value = value?;
                let id = match value.strip_prefix('-') {
                    Some(value) => -number(value, true)?,
                    None => number(value, true)?,
                };
                let min = if is_add { -1 } else { 0 };
                (min..1 << 31).contains(&id).then_some(id)?
            }
            Kind::Number(min, max) => {
                let value = number(value?, false)?;
                (min..=max).contains(&value).then_some(value)?
            }
            Kind::PowerOfTwo(max) => {
                let value = number(value?, false)?;
                (1..=max).contains(&value).then_some(value)?;
                (value.count_ones() == 1).then_some(value)?
            }
        };
        reading.numbers[index] = Some(result);
    }
    if !is_add && reading.numbers[0].is_none() {
        return None;
    }
    Some(reading)
}
