// SPDX-License-Identifier: GPL-2.0

//! Compares what two devices show, and looks at what must hold for each of them alone.

use crate::target::Geometry;
use crate::what::{Field, What};
use std::ops::Range;
use zbd::uapi::{BlkZone, SECTOR};
use zbd::zones;
pub use zbd::zones::{CLOSED, EMPTY, EXP_OPEN, FULL, IMP_OPEN, NOT_WP};

/// Compares two reports whose first line is that of zone `first`.
pub fn reports(first: u32, ours: &[BlkZone], theirs: &[BlkZone], found: &mut Vec<What>) {
    if ours.len() != theirs.len() {
        found.push(What::Lines {
            ours: ours.len(),
            theirs: theirs.len(),
        });
    }
    for (no, (a, b)) in (first..).zip(ours.iter().zip(theirs)) {
        if a == b {
            continue;
        }
        let mut differ = |field| {
            found.push(What::Zone {
                no,
                field,
                ours: *a,
                theirs: *b,
            });
        };
        if a.cond != b.cond {
            differ(Field::Condition);
        }
        if a.wp != b.wp {
            differ(Field::WritePointer);
        }
        let same = BlkZone {
            cond: b.cond,
            wp: b.wp,
            ..*a
        };
        if same != *b {
            differ(Field::Layout);
        }
    }
}

fn only_byte(data: &[u8]) -> Option<u8> {
    let first = *data.first()?;
    data.iter().all(|b| *b == first).then_some(first)
}

/// Compares data that was read from byte `pos` of the device on. `readable` says how many bytes of a zone are data.
pub fn data(
    geo: &Geometry,
    pos: u64,
    ours: &[u8],
    theirs: &[u8],
    readable: impl Fn(u32) -> u64,
    found: &mut Vec<What>,
) {
    if ours == theirs {
        return;
    }
    let mut at = 0;
    while at < ours.len() {
        let zone = ((pos + at as u64) / geo.zone_size) as u32;
        let offset = (pos + at as u64) % geo.zone_size;
        let readable = readable(zone);
        let beyond = offset >= readable;
        let end = if beyond { geo.zone_size } else { readable };
        let part = ours.len().min(at + (end - offset) as usize);
        let (a, b) = (&ours[at..part], &theirs[at..part]);
        if a != b {
            let first = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(0);
            found.push(What::Data {
                zone,
                offset: offset + first as u64,
                beyond,
                ours: only_byte(a),
                theirs: only_byte(b),
            });
        }
        at = part;
    }
}

/// Whether a zone counts as open.
pub fn is_open(zone: &BlkZone) -> bool {
    matches!(zone.cond, IMP_OPEN | EXP_OPEN)
}

fn count(zones: &[BlkZone], what: impl Fn(&BlkZone) -> bool) -> u32 {
    zones.iter().filter(|z| what(z)).count() as u32
}

/// The number of open zones.
pub fn nr_open(zones: &[BlkZone]) -> u32 {
    count(zones, is_open)
}

/// The number of explicitly open zones.
pub fn nr_explicit(zones: &[BlkZone]) -> u32 {
    count(zones, |z| z.cond == EXP_OPEN)
}

/// The number of zones that are open or closed.
pub fn nr_active(zones: &[BlkZone]) -> u32 {
    count(zones, |z| is_open(z) || z.cond == CLOSED)
}

/// What is wrong with one device's report, whatever the other's says. `no` is the number of the first line's zone.
pub fn faults(
    ours: bool,
    geo: &Geometry,
    no: u32,
    zones: &[BlkZone],
    whole: bool,
    found: &mut Vec<What>,
) {
    for (no, zone) in (no..).zip(zones) {
        // Where the write pointer of a full zone is said to be is a matter of taste, but ours is documented.
        let text = if zone.cond == FULL && !ours {
            None
        } else {
            zones::inconsistency(zone)
        };
        if let Some(text) = text {
            found.push(What::Broken {
                ours,
                no,
                text,
                zone: *zone,
            });
        }
    }
    let mut limit = |limit: u32, used: u32, text| {
        if whole && limit != 0 && used > limit {
            found.push(What::Broken {
                ours,
                no,
                text,
                zone: BlkZone::default(),
            });
        }
    };
    limit(geo.max_open, nr_open(zones), "too many open zones");
    limit(geo.max_active, nr_active(zones), "too many active zones");
}

/// What is wrong with how one device went from one report to the next over a step that is about the zones `touched`.
///
/// Other zones stay as they are, but that implicitly open ones are closed as far as the limit demands it, if the step
/// `opens` zones.
pub fn side_effects(
    ours: bool,
    geo: &Geometry,
    (touched, opens): (&Range<u32>, bool),
    before: &[BlkZone],
    after: &[BlkZone],
    found: &mut Vec<What>,
) {
    let mut wanted = nr_open(before);
    let mut closed = Vec::new();
    for (no, (old, new)) in (0..).zip(before.iter().zip(after)) {
        if touched.contains(&no) {
            wanted += u32::from(opens && old.cond != NOT_WP && !is_open(old));
        } else if old != new {
            let closing = BlkZone {
                cond: CLOSED,
                ..*old
            };
            if old.cond == IMP_OPEN && closing == *new {
                closed.push((no, *new));
            } else {
                found.push(What::Broken {
                    ours,
                    no,
                    text: "changed by a step for another zone",
                    zone: *new,
                });
            }
        }
    }
    let limit = match (geo.max_open, geo.max_active) {
        (0, 0) => u32::MAX,
        (0, active) => active,
        (open, _) => open,
    };
    if closed.len() as u32 > wanted.saturating_sub(limit) {
        found.push(What::Broken {
            ours,
            no: closed[0].0,
            text: "closed without need",
            zone: closed[0].1,
        });
    }
}

/// Bytes of a zone that are data: what is below the write pointer.
pub fn readable(geo: &Geometry, zone: Option<&BlkZone>) -> u64 {
    match zone {
        Some(zone) if zone.cond == NOT_WP => geo.zone_size,
        Some(zone) if zone.cond == FULL => geo.zone_capacity,
        Some(zone) => zone.wp.saturating_sub(zone.start) * SECTOR,
        None => geo.zone_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEO: Geometry = Geometry {
        zone_size: 8192,
        zone_capacity: 4096,
        nr_zones: 4,
        conv: 0,
        block: 512,
        max_open: 2,
        max_active: 0,
    };

    fn zone(no: u64, cond: u8, wp: u64) -> BlkZone {
        BlkZone {
            start: 16 * no,
            len: 16,
            wp: 16 * no + wp,
            zone_type: 2,
            cond,
            capacity: 8,
            ..Default::default()
        }
    }

    fn broken(found: &[What]) -> Vec<(u32, &'static str)> {
        found
            .iter()
            .map(|what| match what {
                What::Broken { no, text, .. } => (*no, *text),
                other => panic!("{other}"),
            })
            .collect()
    }

    #[test]
    fn every_field_of_a_report_is_compared() {
        let line = zone(3, IMP_OPEN, 4);
        let mut found = Vec::new();
        reports(3, &[line], &[line], &mut found);
        assert_eq!(found, []);
        let others = [
            (zone(3, EXP_OPEN, 4), Field::Condition),
            (zone(3, IMP_OPEN, 5), Field::WritePointer),
            (BlkZone { len: 17, ..line }, Field::Layout),
            (BlkZone { reset: 1, ..line }, Field::Layout),
            (
                BlkZone {
                    capacity: 9,
                    ..line
                },
                Field::Layout,
            ),
        ];
        for (theirs, field) in others {
            found.clear();
            reports(3, &[line], &[theirs], &mut found);
            assert_eq!(
                found,
                [What::Zone {
                    no: 3,
                    field,
                    ours: line,
                    theirs
                }]
            );
        }
        found.clear();
        reports(3, &[line, line], &[line], &mut found);
        assert_eq!(found, [What::Lines { ours: 2, theirs: 1 }]);
    }

    #[test]
    fn data_is_told_apart_by_the_write_pointer() {
        let readable = |_| 1024;
        let ours = [0u8; 4096];
        let mut theirs = ours;
        let mut found = Vec::new();
        data(&GEO, 8192, &ours, &theirs, readable, &mut found);
        assert_eq!(found, []);
        theirs[1024..].fill(0xff);
        data(&GEO, 8192, &ours, &theirs, readable, &mut found);
        let beyond = What::Data {
            zone: 1,
            offset: 1024,
            beyond: true,
            ours: Some(0),
            theirs: Some(0xff),
        };
        assert_eq!(found, [beyond]);
        theirs[700] = 1;
        found.clear();
        data(&GEO, 8192, &ours, &theirs, readable, &mut found);
        let below = What::Data {
            zone: 1,
            offset: 700,
            beyond: false,
            ours: Some(0),
            theirs: None,
        };
        assert_eq!(found, [below, beyond]);
    }

    #[test]
    fn a_device_that_breaks_its_limit_is_found() {
        let open = [
            zone(0, IMP_OPEN, 1),
            zone(1, EXP_OPEN, 0),
            zone(2, CLOSED, 1),
        ];
        let mut found = Vec::new();
        faults(false, &GEO, 0, &open, true, &mut found);
        assert_eq!(found, []);
        let mut more = open.to_vec();
        more.push(zone(3, IMP_OPEN, 2));
        faults(false, &GEO, 0, &more, true, &mut found);
        assert_eq!(broken(&found), [(0, "too many open zones")]);
        found.clear();
        faults(false, &GEO, 0, &more, false, &mut found);
        assert_eq!(found, []);
        faults(true, &GEO, 7, &[zone(7, EMPTY, 3)], true, &mut found);
        assert_eq!(broken(&found)[0].0, 7);
    }

    #[test]
    fn a_step_changes_only_its_own_zones() {
        let before = [
            zone(0, IMP_OPEN, 1),
            zone(1, EXP_OPEN, 0),
            zone(2, CLOSED, 1),
            zone(3, EMPTY, 0),
        ];
        let mut after = before;
        let mut found = Vec::new();
        // Zone 3 is opened, zone 0 makes room.
        after[3] = zone(3, IMP_OPEN, 2);
        after[0].cond = CLOSED;
        side_effects(true, &GEO, (&(3..4), true), &before, &after, &mut found);
        assert_eq!(found, []);
        // The same without the need.
        side_effects(true, &GEO, (&(1..2), true), &before, &after, &mut found);
        assert_eq!(
            broken(&found),
            [
                (3, "changed by a step for another zone"),
                (0, "closed without need")
            ]
        );
        // By a step that opens nothing.
        found.clear();
        side_effects(true, &GEO, (&(3..4), false), &before, &after, &mut found);
        assert_eq!(broken(&found), [(0, "closed without need")]);
        // Without a limit nothing is closed.
        found.clear();
        let free = Geometry { max_open: 0, ..GEO };
        side_effects(true, &free, (&(3..4), true), &before, &after, &mut found);
        assert_eq!(broken(&found), [(0, "closed without need")]);
        // Data that is lost elsewhere.
        found.clear();
        after = before;
        after[2].wp -= 1;
        side_effects(true, &GEO, (&(3..4), true), &before, &after, &mut found);
        assert_eq!(broken(&found), [(2, "changed by a step for another zone")]);
    }
}
