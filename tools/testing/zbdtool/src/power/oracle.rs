// SPDX-License-Identifier: GPL-2.0

//! Compares what is there after a power cut with what may be.

use super::allowed::{Past, Span, Versions};
use super::block::{Content, Tag};
use super::journal::Shape;
use crate::uapi::{BlkZone, SECTOR};
use crate::zones::{self, CLOSED, EMPTY, FULL, NOT_WP};
use std::fmt;

/// Something that no power cut may cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Data that was made durable is gone.
    Lost,
    /// A reset that was made durable is undone.
    ResetUndone,
    /// A finish that was made durable is undone.
    FinishUndone,
    /// More is there than was ever sent.
    Future,
    /// The zone is full, but was neither filled nor finished.
    FullWithoutReason,
    /// Zeros below the write pointer, where no zeros were written.
    Hole,
    /// Data of several generations in one zone.
    Mixed,
    /// Data in a place that it was not written to.
    Misplaced,
    /// Neither zeros nor data of ours, or a part of a block.
    Garbage,
    /// Data beyond the write pointer.
    PastWritePointer,
    /// A report that no device may give.
    Report,
}

/// A fault with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub fault: Fault,
    pub place: u64,
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: place {}: {}", self.fault, self.place, self.detail)
    }
}

/// A zone as it was found: its line of the report, and each block up to the zone's capacity.
#[derive(Clone, Debug)]
pub struct Found {
    pub zone: BlkZone,
    pub blocks: Vec<Content>,
}

const CONVENTIONAL: u8 = 1;

type Outcome = Result<(), (Fault, String)>;

/// One zone of a device that was just added again. At most one fault is named: others follow from it.
pub fn check_zone(past: &Past, shape: &Shape, no: u64, found: &Found) -> Option<Finding> {
    let outcome = check_report(shape, no, &found.zone).and_then(|()| {
        if no < shape.conventional {
            check_cells(past, shape, no, &found.blocks)
        } else {
            let spans = past.spans(no);
            match check_sequential(&spans, shape, no, found) {
                Err((fault @ (Fault::Hole | Fault::FullWithoutReason), text)) if past.zeros => {
                    spans
                        .iter()
                        .find_map(|span| {
                            let filled = without_zeros(span, shape, no, found);
                            check_sequential(&spans, shape, no, &filled).ok()
                        })
                        .ok_or((fault, text))
                }
                outcome => outcome,
            }
        }
    });
    outcome.err().map(|(fault, detail)| Finding {
        fault,
        place: no,
        detail,
    })
}

/// The zone with data in place of zeros where it was not flushed, as if it was of this generation.
fn without_zeros(span: &Span, shape: &Shape, no: u64, found: &Found) -> Found {
    let mut filled = found.clone();
    for index in span.low..span.high {
        let content = &mut filled.blocks[index as usize];
        let below = index < (found.zone.wp - found.zone.start) * SECTOR / shape.unit;
        if *content == Content::Zeros && (below || found.zone.cond == FULL) {
            *content = Content::Block(Tag {
                run: shape.run,
                place: no,
                index,
                generation: span.generation,
            });
        }
    }
    filled
}

fn check_report(shape: &Shape, no: u64, zone: &BlkZone) -> Outcome {
    let sectors = |blocks: u64| blocks * shape.unit / SECTOR;
    let conventional = no < shape.conventional;
    let wrong = zones::inconsistency(zone).or(if zone.start != sectors(no * shape.size) {
        Some("start")
    } else if zone.len != sectors(shape.size) {
        Some("length")
    } else if (zone.zone_type == CONVENTIONAL) != conventional {
        Some("type")
    } else if conventional {
        (zone.cond != NOT_WP).then_some("condition of a conventional zone")
    } else if zone.capacity != sectors(shape.capacity) {
        Some("capacity")
    } else if !matches!(zone.cond, EMPTY | CLOSED | FULL) {
        Some("condition of a zone that nobody opened")
    } else if (zone.wp - zone.start) % sectors(1) != 0 {
        Some("write pointer within a block")
    } else {
        None
    });
    match wrong {
        None => Ok(()),
        Some(text) => Err((Fault::Report, format!("{text}: {zone:?}"))),
    }
}

/// The generation of the blocks of a zone from the first one on, and how many there are.
fn written(shape: &Shape, no: u64, blocks: &[Content]) -> Result<(u64, u64), (Fault, String)> {
    let mut first = None;
    for (index, content) in (0..).zip(blocks) {
        let tag = match content {
            Content::Zeros => break,
            Content::Garbage => return Err((Fault::Garbage, format!("block {index}"))),
            Content::Block(tag) => tag,
        };
        if (tag.run, tag.place, tag.index) != (shape.run, no, index) {
            return Err((Fault::Misplaced, format!("block {index} is {tag:?}")));
        }
        let generation = *first.get_or_insert(tag.generation);
        if tag.generation != generation {
            let text = format!("block {index} is {tag:?}, the first is of {generation}");
            return Err((Fault::Mixed, text));
        }
    }
    let count = blocks.iter().take_while(|c| **c != Content::Zeros).count();
    Ok((first.unwrap_or(0), count as u64))
}

fn check_sequential(spans: &[Span], shape: &Shape, no: u64, found: &Found) -> Outcome {
    let full = found.zone.cond == FULL;
    let wp = if full {
        shape.capacity
    } else {
        (found.zone.wp - found.zone.start) * SECTOR / shape.unit
    };
    let (below, beyond) = found.blocks.split_at(wp as usize);
    if let Some(at) = beyond.iter().position(|c| *c != Content::Zeros) {
        let text = format!("block {} is {:?}, wp {wp}", wp + at as u64, beyond[at]);
        return Err((Fault::PastWritePointer, text));
    }
    let (generation, data) = written(shape, no, below)?;
    let rest = &below[data as usize..];
    if let Some(at) = rest.iter().position(|c| *c != Content::Zeros) {
        let text = format!("blocks {data} to {}, wp {wp}", data + at as u64);
        return Err((Fault::Hole, text));
    }
    // Without data the generation cannot be seen: any that fits will do.
    let fits = |span: &&Span| data == 0 || span.generation == generation;
    let text = format!(
        "generation {generation}, {data} blocks of data, wp {wp}, full {full}; allowed {spans:?}"
    );
    let mut fault = if data == 0 {
        Fault::Lost
    } else if spans.iter().all(|s| s.generation > generation) {
        Fault::ResetUndone
    } else {
        Fault::Future
    };
    for span in spans.iter().filter(fits) {
        fault = match check_span(span, shape, full, wp, data) {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
    }
    Err((fault, text))
}

/// Whether a zone with `data` blocks of this generation, and zeros after them, may be there.
fn check_span(span: &Span, shape: &Shape, full: bool, wp: u64, data: u64) -> Result<(), Fault> {
    if full {
        let filled = data == shape.capacity;
        return match span.finish {
            _ if filled && span.high == shape.capacity => Ok(()),
            Some(at) if data == at => Ok(()),
            // A finished zone keeps what was in it.
            Some(at) if data < at => Err(if data < span.low {
                Fault::Lost
            } else {
                Fault::Hole
            }),
            _ if data < span.low => Err(Fault::Lost),
            _ if data > span.high => Err(Fault::Future),
            _ => Err(Fault::FullWithoutReason),
        };
    }
    if data < wp {
        Err(Fault::Hole)
    } else if wp < span.low {
        Err(Fault::Lost)
    } else if span.finished {
        Err(Fault::FinishUndone)
    } else if wp > span.high {
        Err(Fault::Future)
    } else {
        Ok(())
    }
}

/// Blocks that are written in any order: a conventional zone or a file, as far as it is there.
pub fn check_cells(past: &Past, shape: &Shape, place: u64, blocks: &[Content]) -> Outcome {
    let versions = past.versions(place);
    let never = Versions {
        never: true,
        ..Versions::default()
    };
    for (index, content) in (0..).zip(blocks) {
        let versions = versions.get(&index).unwrap_or(&never);
        check_cell(versions, shape, place, index, content).map_err(|fault| {
            let text = format!("block {index} is {content:?}; allowed {versions:?}");
            (fault, text)
        })?;
    }
    let last = versions.iter().rev().find(|(_, v)| !v.never);
    match last {
        Some((index, _)) if *index >= blocks.len() as u64 => Err((
            Fault::Lost,
            format!("block {index}: only {} blocks are there", blocks.len()),
        )),
        _ => Ok(()),
    }
}

fn check_cell(
    versions: &Versions,
    shape: &Shape,
    place: u64,
    index: u64,
    content: &Content,
) -> Result<(), Fault> {
    match content {
        Content::Garbage => Err(Fault::Garbage),
        Content::Zeros if versions.never => Ok(()),
        Content::Zeros => Err(Fault::Lost),
        Content::Block(tag) if (tag.run, tag.place, tag.index) != (shape.run, place, index) => {
            Err(Fault::Misplaced)
        }
        Content::Block(tag) if versions.allowed.contains(&tag.generation) => Ok(()),
        Content::Block(tag) if versions.lost.contains(&tag.generation) => Err(Fault::Lost),
        Content::Block(_) => Err(Fault::Future),
    }
}
