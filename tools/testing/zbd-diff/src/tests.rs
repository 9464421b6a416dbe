// SPDX-License-Identifier: GPL-2.0

//! The comparison as a whole, on simulated devices: nothing is found where nothing is wrong, each fault is found and
//! its script is short, and each known difference is known for the right device only.

use crate::known::TABLE;
use crate::op::Step;
use crate::op_text::parse;
use crate::run::{case_seed, Arena, Contestant, Failure, Limits};
use crate::sim::{Quirks, Sim};
use crate::tally::Tally;
use crate::target::{Geometry, Kind};
use crate::what::What;
use std::time::Duration;

const GEO: Geometry = Geometry {
    zone_size: 64 << 10,
    zone_capacity: 64 << 10,
    nr_zones: 12,
    conv: 2,
    block: 4096,
    max_open: 0,
    max_active: 0,
};

const SMALL: Geometry = Geometry {
    zone_capacity: 48 << 10,
    ..GEO
};

const LIMITED: Geometry = Geometry {
    max_open: 3,
    ..SMALL
};

const APPENDS: Geometry = Geometry { conv: 0, ..SMALL };

struct Match {
    geo: Geometry,
    kind: Kind,
    ours: Quirks,
    theirs: Quirks,
    threads: u32,
}

impl Match {
    fn new(geo: Geometry, kind: Kind, theirs: Quirks) -> Self {
        Self {
            geo,
            kind,
            ours: Quirks::default(),
            theirs,
            threads: 1,
        }
    }

    fn arena(&self) -> Arena<'static> {
        let contestant = |kind, quirks| {
            let sim = Sim::new(self.geo, quirks);
            Contestant {
                kind,
                geo: self.geo,
                open: Box::new(move || Ok(Box::new(sim.clone()) as _)),
            }
        };
        Arena {
            ours: contestant(Kind::Zloop, self.ours),
            theirs: contestant(self.kind, self.theirs),
            threads: self.threads,
            append: (self.geo.conv == 0).then_some(0),
        }
    }

    fn run(&self, seed: u64, steps: u64) -> (Tally, Option<(u64, Failure)>) {
        let limits = Limits {
            steps,
            time: None,
            case: 1000,
            tries: 2000,
            trying: Duration::from_secs(600),
        };
        let mut told = None;
        let (tally, failed) = self
            .arena()
            .run(seed, &limits, |case, failure| {
                told = Some((case, failure.what));
                Ok(())
            })
            .expect("nothing is opened");
        // At once, and of what is still the same when it was made short.
        assert_eq!(told.is_some(), failed.is_some());
        if let (Some((case, what)), Some((short_case, short))) = (told, &failed) {
            assert_eq!(case, *short_case);
            assert!(short.what.resembles(&what));
        }
        (tally, failed)
    }

    fn passes(&self, seed: u64, steps: u64) -> Tally {
        let (tally, failed) = self.run(seed, steps);
        if let Some((case, failure)) = failed {
            panic!("case {case}: {}\n{}", failure.what, lines(&failure.steps));
        }
        assert!(tally.steps >= steps - 10, "{}", tally.steps);
        tally
    }

    fn fails(&self, seed: u64, steps: u64) -> Failure {
        let (_, failed) = self.run(seed, steps);
        failed.expect("a difference").1
    }
}

fn lines(steps: &[Step]) -> String {
    let lines: Vec<String> = steps.iter().map(Step::to_string).collect();
    lines.join("\n")
}

fn seen(tally: &Tally) -> Vec<&'static str> {
    TABLE
        .iter()
        .zip(tally.known)
        .filter(|(_, n)| *n != 0)
        .map(|(known, _)| known.name)
        .collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    for (seed, geo) in (1..).zip([GEO, SMALL, LIMITED, APPENDS]) {
        let tally = Match::new(geo, Kind::Zloop, Quirks::default()).passes(seed, 20_000);
        assert_eq!(seen(&tally), [] as [&str; 0]);
        for op in [
            "write", "read", "open", "close", "finish", "reset", "report",
        ] {
            let (ok, failed) = tally.outcomes(op);
            assert!(ok > 50 && failed > 10, "{op}: {ok} ok, {failed} failed");
        }
    }
}

#[test]
fn every_fault_is_found_and_its_script_is_short() {
    let none = Quirks::default();
    let faults = [
        (
            SMALL,
            Quirks {
                corrupt: Some(100),
                ..none
            },
            6,
        ),
        (
            SMALL,
            Quirks {
                keep_full: true,
                ..none
            },
            6,
        ),
        (
            LIMITED,
            Quirks {
                leak_open: true,
                ..none
            },
            12,
        ),
        (
            SMALL,
            Quirks {
                close_empty: true,
                ..none
            },
            1,
        ),
        (
            SMALL,
            Quirks {
                no_capacity: true,
                ..none
            },
            2,
        ),
        (
            LIMITED,
            Quirks {
                no_room: true,
                ..none
            },
            4,
        ),
        (
            LIMITED,
            Quirks {
                finish_opens: true,
                ..none
            },
            5,
        ),
        (
            SMALL,
            Quirks {
                null_blk: true,
                ..none
            },
            2,
        ),
    ];
    for (geo, quirks, most) in faults {
        for ours in [false, true] {
            let mut game = Match::new(geo, Kind::Zloop, quirks);
            if ours {
                std::mem::swap(&mut game.ours, &mut game.theirs);
            }
            let failure = game.fails(3, 40_000);
            // What depends on a count of writes cannot be made shorter on a device that counts on.
            if quirks.corrupt.is_none() {
                let text = lines(&failure.steps);
                assert!(
                    failure.steps.len() <= most,
                    "{quirks:?}: {}\n{text}",
                    failure.what
                );
            }
        }
    }
}

#[test]
fn known_differences_are_known_for_their_device_only() {
    let none = Quirks::default();
    let cases = [
        (
            SMALL,
            Kind::NullBlk,
            Quirks {
                null_blk: true,
                ..none
            },
            vec!["invalid-wp", "read-beyond"],
        ),
        (
            LIMITED,
            Kind::NullBlk,
            Quirks {
                lowest_first: true,
                ..none
            },
            vec!["victim"],
        ),
        (
            LIMITED,
            Kind::NullBlk,
            Quirks {
                finish_opens: true,
                ..none
            },
            vec!["finish-resource", "victim"],
        ),
        (
            SMALL,
            Kind::CZloop,
            Quirks {
                no_capacity: true,
                ..none
            },
            vec!["capacity"],
        ),
        (
            SMALL,
            Kind::CZloop,
            Quirks {
                refusal_closes: true,
                ..none
            },
            vec!["refused-write"],
        ),
        (
            LIMITED,
            Kind::CZloop,
            Quirks {
                no_room: true,
                ..none
            },
            vec!["explicit-open", "limit-errno"],
        ),
    ];
    for (geo, kind, quirks, rows) in cases {
        let tally = Match::new(geo, kind, quirks).passes(5, 40_000);
        for row in &rows {
            assert!(seen(&tally).contains(row), "{quirks:?}: {:?}", seen(&tally));
        }
        // The same from another device is a failure, unless any may choose.
        if !quirks.lowest_first {
            Match::new(geo, Kind::Zloop, quirks).fails(5, 40_000);
        }
    }
}

#[test]
fn all_data_is_compared_when_a_case_ends() {
    let quirks = Quirks {
        corrupt: Some(1),
        ..Quirks::default()
    };
    let arena = Match::new(SMALL, Kind::Zloop, quirks).arena();
    let mut pairs = arena.pairs().expect("nothing is opened");
    let steps = parse("write z3+wp 8k seed=1")
        .map(|step| vec![step])
        .unwrap();
    let failure = arena.script(&mut pairs, &steps).expect_err("other data");
    assert!(matches!(failure.what, What::Data { zone: 3, .. }));
}

#[test]
fn several_threads_find_what_one_finds() {
    let wide = Geometry {
        nr_zones: 26,
        max_open: 9,
        ..SMALL
    };
    let mut game = Match::new(wide, Kind::Zloop, Quirks::default());
    game.threads = 4;
    game.passes(7, 40_000);
    game.theirs.close_empty = true;
    let failure = game.fails(7, 40_000);
    assert!(failure.steps.len() <= 4, "{}", lines(&failure.steps));
}

#[test]
fn a_case_can_be_run_again_alone() {
    let game = Match::new(
        SMALL,
        Kind::Zloop,
        Quirks {
            keep_full: true,
            ..Quirks::default()
        },
    );
    let (_, failed) = game.run(11, 40_000);
    let (case, failure) = failed.expect("a difference");
    let (_, again) = game.run(case, 1000);
    let (same, twin) = again.expect("the difference again");
    assert_eq!((case, failure.what), (same, twin.what));
    assert_ne!(case_seed(11, 1), case_seed(11, 2));
    assert_ne!(case_seed(11, 1), case_seed(12, 1));
}
