// SPDX-License-Identifier: GPL-2.0

//! Steps as text. A step is a line such as
//!
//! ```text
//! write z3+wp+4k 8k seed=17 sync quiet t=1
//! append z3 8k seed=18
//! read z2+cap-4k 16k
//! reset z3x3 skew=8 trim=-8
//! finish all
//! report z3x3 cached
//! flush
//! ```

use crate::op::{Base, Op, Place, Range, Step, ALL};
use std::fmt;
use zbd::uapi::ZoneOp;
use zbd::zones::{parse_size, size_text};

fn signed_size(bytes: i64) -> String {
    let sign = if bytes < 0 { '-' } else { '+' };
    format!("{sign}{}", size_text(bytes.unsigned_abs()))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "z{}", self.zone)?;
        match self.base {
            Base::Start => (),
            Base::WritePointer => f.write_str("+wp")?,
            Base::Capacity => f.write_str("+cap")?,
            Base::End => f.write_str("+end")?,
        }
        if self.delta != 0 {
            f.write_str(&signed_size(self.delta))?;
        }
        Ok(())
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.zone, self.count) {
            (0, ALL) => f.write_str("all")?,
            (zone, 1) => write!(f, "z{zone}")?,
            (zone, count) => write!(f, "z{zone}x{count}")?,
        }
        if self.skew != 0 {
            write!(f, " skew={}", self.skew)?;
        }
        if self.trim != 0 {
            write!(f, " trim={}", self.trim)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())?;
        match self.op {
            Op::Write { at, len, sync } => {
                write!(f, " {at} {} seed={}", size_text(len.into()), self.seed)?;
                if sync {
                    f.write_str(" sync")?;
                }
            }
            Op::Append { zone, len } => {
                write!(f, " z{zone} {} seed={}", size_text(len.into()), self.seed)?;
            }
            Op::Read { at, len } => write!(f, " {at} {}", size_text(len.into()))?,
            Op::Manage { range, .. } => write!(f, " {range}")?,
            Op::Report { range, cached } => {
                write!(f, " {range}")?;
                if cached {
                    f.write_str(" cached")?;
                }
            }
            Op::Flush => (),
        }
        if self.quiet {
            f.write_str(" quiet")?;
        }
        if self.thread != 0 {
            write!(f, " t={}", self.thread)?;
        }
        Ok(())
    }
}

/// A number that may follow `z`, and what comes after it.
fn zone_number(text: &str) -> Option<(u32, &str)> {
    let rest = text.strip_prefix('z')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((rest[..end].parse().ok()?, &rest[end..]))
}

fn parse_place(text: &str) -> Option<Place> {
    let (zone, mut rest) = zone_number(text)?;
    let mut base = Base::Start;
    for (word, named) in [
        ("+wp", Base::WritePointer),
        ("+cap", Base::Capacity),
        ("+end", Base::End),
    ] {
        if let Some(after) = rest.strip_prefix(word) {
            (base, rest) = (named, after);
        }
    }
    let delta = match rest.split_at_checked(1) {
        None => 0,
        Some(("+", size)) => i64::try_from(parse_size(size)?).ok()?,
        Some(("-", size)) => -i64::try_from(parse_size(size)?).ok()?,
        Some(_) => return None,
    };
    Some(Place { zone, base, delta })
}

fn parse_range(text: &str) -> Option<Range> {
    if text == "all" {
        return Some(Range::all());
    }
    let (zone, rest) = zone_number(text)?;
    let count = match rest.strip_prefix('x') {
        Some(count) => count.parse().ok()?,
        None if rest.is_empty() => 1,
        None => return None,
    };
    Some(Range::zones(zone, count))
}

/// Reads a step; `None` if it is none.
pub fn parse(line: &str) -> Option<Step> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let mut step = Step {
        thread: 0,
        op: Op::Flush,
        seed: 0,
        quiet: false,
    };
    if name != "flush" {
        let target = words.next()?;
        step.op = match (name, ZoneOp::parse(name)) {
            (_, Some(op)) => Op::Manage {
                op,
                range: parse_range(target)?,
            },
            ("report", _) => Op::Report {
                range: parse_range(target)?,
                cached: false,
            },
            _ => {
                let len = u32::try_from(parse_size(words.next()?)?).ok()?;
                match name {
                    "write" => Op::Write {
                        at: parse_place(target)?,
                        len,
                        sync: false,
                    },
                    "read" => Op::Read {
                        at: parse_place(target)?,
                        len,
                    },
                    "append" => Op::Append {
                        zone: zone_number(target)?.0,
                        len,
                    },
                    _ => return None,
                }
            }
        };
    }
    for word in words {
        match (word.split_once('=').unwrap_or((word, "")), &mut step.op) {
            (("quiet", ""), _) => step.quiet = true,
            (("t", v), _) => step.thread = v.parse().ok()?,
            (("seed", v), Op::Write { .. } | Op::Append { .. }) => step.seed = v.parse().ok()?,
            (("sync", ""), Op::Write { sync, .. }) => *sync = true,
            (("cached", ""), Op::Report { cached, .. }) => *cached = true,
            (("skew", v), Op::Manage { range, .. } | Op::Report { range, .. }) => {
                range.skew = v.parse().ok()?;
            }
            (("trim", v), Op::Manage { range, .. } | Op::Report { range, .. }) => {
                range.trim = v.parse().ok()?;
            }
            _ => return None,
        }
    }
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_written_as_they_are_read() {
        for line in [
            "write z3+wp+4k 8k seed=17 sync quiet t=1",
            "write z3+512 513 seed=0",
            "write z99+cap-4k 0 seed=1",
            "append z3 8k seed=18",
            "read z2+end-4k 16k",
            "read z2+wp 1",
            "reset z3x3 skew=8 trim=-8",
            "finish all",
            "open z0x0",
            "close z5 quiet",
            "report z3x5 cached",
            "report all skew=1",
            "flush",
            "flush t=2",
        ] {
            let step = parse(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(step.to_string(), line);
        }
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for line in [
            "",
            "write",
            "write z3",
            "write 3 4k",
            "write z3*wp 4k",
            "append z3",
            "erase z3",
            "open",
            "open z3y1",
            "reset z3 sync",
            "read z1 4k cached",
            "flush now",
            "report z1 t=x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
