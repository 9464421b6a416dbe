// SPDX-License-Identifier: GPL-2.0

//! Histories as text, for those that failed and for those that tests are made of.
//!
//! ```text
//! zone 3 capacity=64 max_open=0
//! t0 1-4-6 write 0+8 #1 = ok
//! t1 2-3 report = EMPTY 0
//! t1 5-8 append 8 #2 = at 8
//! t0 6-7 read 0+16 = #1+0:8@0 zero:8@8
//! t0 9-10 report settled = IMP_OPEN 16
//! t1 9-12 finish = refused
//! ```
//!
//! The times are those of begin, acknowledgement and, where it is a later one, the end of what the block layer does.

use super::history::{Call, Event, History, Run, Seen, Source, CONDITIONS, MAX_THREADS};
use std::fmt::{self, Write};

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Zero => f.write_str("zero")?,
            Source::Written { serial, offset } => write!(f, "#{serial}+{offset}")?,
            Source::Garbage => f.write_str("garbage")?,
        }
        write!(f, ":{}@{}", self.len, self.at)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{} {}-{}", self.thread, self.begin, self.end)?;
        if self.settled != self.end {
            write!(f, "-{}", self.settled)?;
        }
        f.write_char(' ')?;
        match &self.call {
            Call::Write { at, len, serial } => write!(f, "write {at}+{len} #{serial}")?,
            Call::Append { len, serial } => write!(f, "append {len} #{serial}")?,
            Call::Read { at, len } => write!(f, "read {at}+{len}")?,
            Call::Open => f.write_str("open")?,
            Call::Close => f.write_str("close")?,
            Call::Finish => f.write_str("finish")?,
            Call::Reset => f.write_str("reset")?,
            Call::Report { settled: false } => f.write_str("report")?,
            Call::Report { settled: true } => f.write_str("report settled")?,
        }
        f.write_str(" = ")?;
        match &self.seen {
            Seen::Done => f.write_str("ok"),
            Seen::At(at) => write!(f, "at {at}"),
            Seen::Refused => f.write_str("refused"),
            Seen::NoRoom => f.write_str("no-room"),
            Seen::Line { cond, wp } => {
                let name = CONDITIONS.iter().find(|(known, _)| known == cond);
                write!(f, "{} {wp}", name.map_or("UNKNOWN", |(_, name)| name))
            }
            Seen::Data(runs) => {
                for (i, run) in runs.iter().enumerate() {
                    write!(f, "{}{run}", if i == 0 { "" } else { " " })?;
                }
                Ok(())
            }
            Seen::Odd(text) => write!(f, "odd {text}"),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "zone {} capacity={} max_open={}",
            self.zone, self.capacity, self.max_open
        )?;
        if self.emulated {
            f.write_str(" emulated")?;
        }
        f.write_char('\n')?;
        for (i, event) in self.events.iter().enumerate() {
            let crowded = if self.crowded.contains(&i) {
                " crowded"
            } else {
                ""
            };
            writeln!(f, "{event}{crowded}")?;
        }
        Ok(())
    }
}

fn pair(text: &str, between: char) -> Option<(u32, u32)> {
    let (a, b) = text.split_once(between)?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

fn serial(word: Option<&str>) -> Option<u32> {
    word?.strip_prefix('#')?.parse().ok()
}

fn parse_call(text: &str) -> Option<Call> {
    let mut words = text.split_whitespace();
    let call = match words.next()? {
        "write" => {
            let (at, len) = pair(words.next()?, '+')?;
            let serial = serial(words.next())?;
            Call::Write { at, len, serial }
        }
        "append" => Call::Append {
            len: words.next()?.parse().ok()?,
            serial: serial(words.next())?,
        },
        "read" => {
            let (at, len) = pair(words.next()?, '+')?;
            Call::Read { at, len }
        }
        "open" => Call::Open,
        "close" => Call::Close,
        "finish" => Call::Finish,
        "reset" => Call::Reset,
        "report" => Call::Report {
            settled: words.next().map(|word| word == "settled").unwrap_or(false),
        },
        _ => return None,
    };
    words.next().is_none().then_some(call)
}

fn parse_run(word: &str) -> Option<Run> {
    let (source, place) = word.split_once(':')?;
    let (len, at) = pair(place, '@')?;
    let source = match source {
        "zero" => Source::Zero,
        "garbage" => Source::Garbage,
        _ => {
            let (serial, offset) = pair(source.strip_prefix('#')?, '+')?;
            Source::Written { serial, offset }
        }
    };
    Some(Run { at, len, source })
}

fn parse_seen(text: &str) -> Option<Seen> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match first {
        "ok" => Seen::Done,
        "at" => Seen::At(rest.parse().ok()?),
        "refused" => Seen::Refused,
        "no-room" => Seen::NoRoom,
        "odd" => Seen::Odd(rest.into()),
        _ => match CONDITIONS.iter().find(|(_, name)| *name == first) {
            Some((cond, _)) => Seen::Line {
                cond: *cond,
                wp: rest.parse().ok()?,
            },
            None => Seen::Data(text.split(' ').map(parse_run).collect::<Option<_>>()?),
        },
    })
}

fn parse_event(line: &str) -> Option<Event> {
    let (call, seen) = line.split_once(" = ")?;
    let (thread, call) = call.strip_prefix('t')?.split_once(' ')?;
    let (time, call) = call.split_once(' ')?;
    let (begin, end) = time.split_once('-')?;
    let (end, settled) = end.split_once('-').unwrap_or((end, end));
    Some(Event {
        thread: thread.parse().ok().filter(|no| *no < MAX_THREADS)?,
        begin: begin.parse().ok()?,
        end: end.parse().ok()?,
        settled: settled.parse().ok()?,
        call: parse_call(call)?,
        seen: parse_seen(seen)?,
    })
}

fn parse_head(line: &str) -> Option<History> {
    let mut words = line.strip_prefix("zone ")?.split(' ');
    let zone = words.next()?.parse().ok()?;
    let mut number = |name| {
        let (key, value) = words.next()?.split_once('=')?;
        (key == name).then(|| value.parse().ok()).flatten()
    };
    let (capacity, max_open) = (number("capacity")?, number("max_open")?);
    Some(History {
        zone,
        capacity,
        max_open,
        emulated: words.next() == Some("emulated"),
        events: Vec::new(),
        crowded: Vec::new(),
    })
}

/// Reads histories.
pub fn parse(text: &str) -> Result<Vec<History>, String> {
    let mut list: Vec<History> = Vec::new();
    for (no, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        let wrong = || format!("line {}: what is '{line}'?", no + 1);
        if line.starts_with("zone ") {
            list.push(parse_head(line).ok_or_else(wrong)?);
            continue;
        }
        let history = list.last_mut().ok_or_else(wrong)?;
        let (line, crowded) = match line.strip_suffix(" crowded") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let event = parse_event(line).ok_or_else(wrong)?;
        if crowded {
            history.crowded.push(history.events.len());
        }
        history.events.push(event);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
zone 3 capacity=64 max_open=2 emulated
t0 1-4-7 write 0+8 #1 = ok
t1 2-3 report = EMPTY 0
t1 5-8 append 8 #2 = at 8
t0 6-7 read 0+16 = #1+0:8@0 zero:7@8 garbage:1@15
t0 9-10 report settled = FULL 64
t1 9-12 finish = refused
t2 11-13 open = no-room crowded
t2 14-15 reset = odd EROFS
";

    #[test]
    fn a_history_is_read_as_it_is_written() {
        let list = parse(TEXT).unwrap();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].to_string(), TEXT);
        assert_eq!(
            (list[0].events.len(), list[0].crowded.as_slice()),
            (8, &[6][..])
        );
    }

    #[test]
    fn what_is_no_history_is_refused() {
        let head = "zone 0 capacity=8 max_open=0\n";
        for line in [
            "t0 1-2 write 0+8 = ok",
            "t0 1-2 write 0 #1 = ok",
            "t0 1 reset = ok",
            "0 1-2 reset = ok",
            "t64 1-2 reset = ok",
            "t0 1-2 reset",
            "t0 1-2 reset = fine",
            "t0 1-2 reset now = ok",
            "t0 1-2 read 0+8 = zero:8",
        ] {
            assert!(parse(&format!("{head}{line}\n")).is_err(), "{line}");
            assert!(parse(&format!("{line}\n")).is_err());
        }
    }
}
