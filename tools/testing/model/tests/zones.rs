// SPDX-License-Identifier: GPL-2.0

//! Random sequences of commands to a device made of the model's parts, put together as in the
//! driver, and to the [`Oracle`]: after each, all that can be seen must be the same.

use std::cell::Cell;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::TestRunner, //
};

use super::{
    config,
    model::{
        condition::{
            self,
            Condition,
            Effect,
            Refused, //
        },
        open_set::{
            OpenSet,
            Openness,
            Slot, //
        },
        write_pointer::WritePointer,
        ZoneNo, //
    },
    oracle::{
        Cond,
        Failure,
        Oracle, //
    },
};

/// The shape of a device. Zones are much smaller than any real one, so that they fill.
#[derive(Clone, Copy, Debug)]
struct Shape {
    nr_zones: u32,
    nr_conv_zones: u32,
    zone_capacity: u32,
    zone_size: u32,
    max_open: u32,
}

/// A command. Zone numbers are taken modulo the number of zones.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A write that starts so many sectors beyond the write pointer.
    Write(u32, i64, u64),
    Append(u32, u64),
    /// An admitted write fails, and the file then has about this share, in 256ths, of the
    /// capacity.
    WriteFails(u32, u8),
    Open(u32),
    Close(u32),
    Finish(u32),
    Reset(u32),
    ResetAll,
}

fn shapes() -> impl Strategy<Value = Shape> {
    (2..12u32, 1..24u32, 0..12u32)
        .prop_flat_map(|(nr_zones, zone_capacity, gap)| {
            (0..nr_zones).prop_flat_map(move |nr_conv_zones| {
                let nr_seq_zones = nr_zones - nr_conv_zones;
                prop_oneof![1..=nr_seq_zones.min(3), 0..=nr_seq_zones].prop_map(move |max_open| {
                    Shape {
                        nr_zones,
                        nr_conv_zones,
                        zone_capacity,
                        zone_size: zone_capacity + gap,
                        max_open,
                    }
                })
            })
        })
        .no_shrink()
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let zone = any::<u32>;
    let len = || prop_oneof![8 => 1..6u64, 2 => 0..30u64, 1 => any::<u64>()];
    let off = prop_oneof![12 => Just(0i64), 1 => -3..30i64, 1 => any::<i64>()];
    let op = prop_oneof![
        12 => (zone(), off, len()).prop_map(|(no, off, len)| Op::Write(no, off, len)),
        8 => (zone(), len()).prop_map(|(no, len)| Op::Append(no, len)),
        2 => (zone(), any::<u8>()).prop_map(|(no, share)| Op::WriteFails(no, share)),
        4 => zone().prop_map(Op::Open),
        4 => zone().prop_map(Op::Close),
        1 => zone().prop_map(Op::Finish),
        2 => zone().prop_map(Op::Reset),
        1 => Just(Op::ResetAll),
    ];
    vec(op, 1..1000)
}

/// A device as the driver composes it.
struct Device {
    shape: Shape,
    wps: Vec<WritePointer>,
    open_set: OpenSet<Vec<Slot>>,
}

impl Device {
    fn new(shape: Shape) -> Self {
        let nr_zones = shape.nr_zones as usize;
        Self {
            shape,
            wps: (0..nr_zones)
                .map(|_| WritePointer::new(shape.zone_capacity))
                .collect(),
            open_set: OpenSet::new(vec![Slot::EMPTY; nr_zones], shape.max_open),
        }
    }

    fn start(&self, no: ZoneNo) -> u64 {
        u64::from(no) * u64::from(self.shape.zone_size)
    }

    fn is_conventional(&self, no: ZoneNo) -> bool {
        no < self.shape.nr_conv_zones
    }

    fn condition(&self, no: ZoneNo) -> Condition {
        if self.is_conventional(no) {
            return Condition::NotWp;
        }
        condition::condition(&self.wps[no as usize], self.open_set.openness(no))
    }

    fn write(&mut self, no: ZoneNo, sector: Option<u64>, len: u64) -> Result<u64, Failure> {
        if self.is_conventional(no) {
            return sector.ok_or(Failure::Invalid);
        }
        let start = self.start(no);
        let wp = &mut self.wps[no as usize];
        let plan = match sector {
            Some(sector) => wp.plan_write(sector.wrapping_sub(start), len),
            None => wp.plan_append(len),
        };
        let plan = plan.map_err(|_| Failure::Invalid)?;
        self.open_set
            .open_implicit(no)
            .map_err(|_| Failure::Resources)?;
        let at = start + plan.start();
        let full = plan.fills_zone();
        plan.commit();
        if full {
            self.open_set.close(no);
        }
        Ok(at)
    }

    fn write_failed(&mut self, no: ZoneNo, len: u64) {
        if self.is_conventional(no) {
            return;
        }
        let wp = &mut self.wps[no as usize];
        wp.resync(len << 9, 512).expect("not above the capacity");
        if wp.is_full() {
            self.open_set.close(no);
        }
    }

    /// Runs a zone management command if the zone's condition asks for it.
    fn command(
        &mut self,
        no: ZoneNo,
        decide: fn(Condition) -> Result<Effect, Refused>,
        act: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match decide(self.condition(no)) {
            Err(_) => Err(Failure::Invalid),
            Ok(Effect::Nothing) => Ok(()),
            Ok(Effect::Act) => act(self),
        }
    }

    fn open(&mut self, no: ZoneNo) -> Result<(), Failure> {
        self.command(no, condition::open, |device| {
            let opened = device.open_set.open_explicit(no);
            opened.map(drop).map_err(|_| Failure::Resources)
        })
    }

    fn close(&mut self, no: ZoneNo) -> Result<(), Failure> {
        self.command(no, condition::close, |device| {
            assert!(device.open_set.close(no));
            Ok(())
        })
    }

    fn finish(&mut self, no: ZoneNo) -> Result<(), Failure> {
        self.command(no, condition::finish, |device| {
            device.wps[no as usize].finish();
            device.open_set.close(no);
            Ok(())
        })
    }

    fn reset(&mut self, no: ZoneNo) -> Result<(), Failure> {
        self.command(no, condition::reset, |device| {
            device.wps[no as usize].reset();
            device.open_set.close(no);
            Ok(())
        })
    }
}

/// A device and the oracle, which get the same commands.
struct Pair {
    device: Device,
    oracle: Oracle,
}

impl Pair {
    fn new(shape: Shape) -> Self {
        Self {
            device: Device::new(shape),
            oracle: Oracle::new(
                shape.nr_zones as usize,
                shape.nr_conv_zones as usize,
                shape.zone_size.into(),
                shape.zone_capacity.into(),
                shape.max_open as usize,
            ),
        }
    }

    /// Runs one command on both; they must agree on how it ends, which is returned.
    fn run(&mut self, op: Op) -> Result<Result<(), Failure>, TestCaseError> {
        let Self { device, oracle } = self;
        let nr_zones = device.shape.nr_zones;
        let (got, want) = match op {
            Op::Write(no, off, len) => {
                let no = no % nr_zones;
                let wp = oracle.report(no as usize).1;
                let sector = Some(wp.wrapping_add_signed(off));
                let want = oracle.write(no as usize, sector, len);
                let got = device.write(no, sector, len);
                prop_assert_eq!(got, want);
                (got.map(drop), want.map(drop))
            }
            Op::Append(no, len) => {
                let no = no % nr_zones;
                let want = oracle.write(no as usize, None, len);
                let got = device.write(no, None, len);
                prop_assert_eq!(got, want);
                (got.map(drop), want.map(drop))
            }
            Op::WriteFails(no, share) => {
                let no = no % nr_zones;
                let len = u64::from(share) * u64::from(device.shape.zone_capacity) / 255;
                device.write_failed(no, len);
                oracle.write_failed(no as usize, len);
                (Ok(()), Ok(()))
            }
            Op::Open(no) => {
                let no = no % nr_zones;
                (device.open(no), oracle.open(no as usize))
            }
            Op::Close(no) => {
                let no = no % nr_zones;
                (device.close(no), oracle.close(no as usize))
            }
            Op::Finish(no) => {
                let no = no % nr_zones;
                (device.finish(no), oracle.finish(no as usize))
            }
            Op::Reset(no) => {
                let no = no % nr_zones;
                (device.reset(no), oracle.reset(no as usize))
            }
            Op::ResetAll => {
                let mut sequential = device.shape.nr_conv_zones..nr_zones;
                (
                    sequential.clone().try_for_each(|no| device.reset(no)),
                    sequential.try_for_each(|no| oracle.reset(no as usize)),
                )
            }
        };
        prop_assert_eq!(got, want);
        Ok(got)
    }

    /// Compares all zones.
    fn compare(&self) -> Result<(), TestCaseError> {
        let Self { device, oracle } = self;
        for no in 0..device.shape.nr_zones {
            let (cond, wp) = oracle.report(no as usize);
            prop_assert_eq!(u8::from(device.condition(no)), cond as u8, "zone {}", no);
            let zone_size = device.shape.zone_size.into();
            let reported = device.wps[no as usize].reported(device.start(no), zone_size);
            match cond {
                Cond::NotWp => {
                    prop_assert_eq!(device.open_set.openness(no), Openness::Closed);
                }
                Cond::Full => prop_assert_eq!(reported, device.start(no) + zone_size),
                _ => prop_assert_eq!(reported, wp, "zone {}", no),
            }
        }
        let nr_open = device.open_set.nr_open();
        prop_assert_eq!(nr_open as usize, oracle.nr_open());
        prop_assert!(device.shape.max_open == 0 || nr_open <= device.shape.max_open);
        Ok(())
    }
}

#[test]
fn device_agrees_with_the_oracle_on_random_commands() {
    // Sequences have 500 commands on average.
    let mut runner = TestRunner::new(config(800));
    let (nr_ops, nr_invalid, nr_resources) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |counter: &Cell<u32>| counter.set(counter.get() + 1);
    let result = runner.run(&(shapes(), ops()), |(shape, ops)| {
        let mut pair = Pair::new(shape);
        for op in ops {
            match pair.run(op)? {
                Ok(()) => {}
                Err(Failure::Invalid) => count(&nr_invalid),
                Err(Failure::Resources) => count(&nr_resources),
            }
            pair.compare()?;
            count(&nr_ops);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let (nr_ops, nr_invalid, nr_resources) = (nr_ops.get(), nr_invalid.get(), nr_resources.get());
    println!("{nr_ops} commands, {nr_invalid} invalid, {nr_resources} without resources");
    // Otherwise the commands are too few or not mixed well enough to say much.
    assert!(nr_ops >= 100_000);
    assert!((nr_ops / 10..nr_ops / 3 * 2).contains(&nr_invalid));
    assert!(nr_resources >= nr_ops / 100);
}
