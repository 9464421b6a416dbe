// SPDX-License-Identifier: GPL-2.0

//! One command of the control device, as the parser and as the [`reference`] read it.

use super::{
    model::{
        geometry::Geometry,
        options::{
            parse,
            AddOptions,
            Command,
            ParseError, //
        },
    },
    reference::{
        self,
        Reading,
        OPTIONS, //
    },
};

/// What the parser read, in the form of the reference.
fn reading(command: &Command<'_>) -> Reading {
    let mut numbers = [None; OPTIONS];
    let add = match command {
        Command::Add(add) => add,
        Command::Remove { id } => {
            numbers[0] = Some(i128::from(*id));
            return Reading {
                is_add: false,
                numbers,
                base_dir: None,
            };
        }
    };
    let flag = |flag: bool| Some(i128::from(flag));
    let number = |number: u32| Some(i128::from(number));
    Reading {
        is_add: true,
        numbers: [
            add.id.map_or(Some(-1), number),
            number(add.capacity_mb),
            number(add.zone_size_mb),
            add.zone_capacity_mb.map(i128::from),
            add.conv_zones.map(i128::from),
            Some(1),
            number(add.nr_queues),
            number(add.queue_depth),
            flag(add.buffered_io),
            flag(add.zone_append),
            flag(add.ordered_zone_append),
            flag(add.discard_write_cache),
            number(add.max_open_zones),
            flag(add.submit_inline),
            number(add.prealloc_kb),
            flag(add.fua),
            number(add.max_open_files),
            number(add.append_batch_kb),
        ],
        base_dir: Some(add.base_dir.bytes().collect()),
    }
}

/// Puts the defaults where a command of the reference says nothing.
fn with_defaults(mut read: Reading) -> Reading {
    if read.is_add {
        let defaults = reading(&Command::Add(AddOptions::default()));
        for (number, default) in read.numbers.iter_mut().zip(defaults.numbers) {
            *number = number.or(default);
        }
        read.base_dir = read.base_dir.or(defaults.base_dir);
    }
    read
}

/// Checks what the parser makes of one command.
///
/// Nothing may panic or overflow, what is refused must make one short line of the log, and the
/// [`reference`] must read the same.
pub(crate) fn check(text: &[u8]) -> Result<Command<'_>, ParseError<'_>> {
    let result = parse(text);
    let want = reference::read(text).map(with_defaults);
    let got = result.as_ref().ok().map(reading);
    assert_eq!(got, want, "{:?}", String::from_utf8_lossy(text));
    match &result {
        Ok(Command::Remove { .. }) => {}
        Ok(Command::Add(add)) => {
            let shown = add.base_dir.to_string();
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            if let Err(error) = Geometry::new(add) {
                assert!(!error.to_string().contains('\n'));
            }
        }
        Err(error) => {
            let line = error.to_string();
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            assert!(line.len() < 2 * (4 * 64 + 3) + 64, "{line}");
        }
    }
    result
}
