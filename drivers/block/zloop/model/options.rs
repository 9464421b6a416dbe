// SPDX-License-Identifier: GPL-2.0

//! The command language of `/dev/zloop-control`.
//!
//! One write is one command, `add` or `remove`, then a blank or a comma, then options separated by
//! commas or newlines, in any order; a NUL byte ends it. Blanks before an option and empty options
//! are skipped. What the C driver accepts means the same here, except for what it should not have
//! accepted: options given twice, options glued to the command (`addid=0`), an `id` below -1, a
//! `queue_depth` above 10240.
//!
//! Numbers are read as the C driver reads them, through `match_int()` and `match_uint()` of
//! lib/parser.c: `id` in decimal, in hexadecimal after `0x`, in octal after `0`; all others in
//! decimal, also after a `0`, and here also in hexadecimal after `0x`.
//!
//! A comma belongs to the value of `base_dir` if it is written `\,`. No other byte is special after
//! a backslash, so that only names with a backslash right before a comma or at their end change
//! their meaning; the latter can be written with a `/` after the backslash.

#![forbid(unsafe_code)]

use super::option_list::{
    is_blank,
    split,
    ErrorKind,
    Items,
    Opt, //
};

pub(crate) use super::{
    base_dir::BaseDir,
    option_list::ParseError, //
};

/// What a read of the control device returns: one line for each command.
pub(crate) const HELP: &str = "add id=%d,capacity_mb=%u,zone_size_mb=%u,zone_capacity_mb=%u,\
    conv_zones=%u,base_dir=%s,nr_queues=%u,queue_depth=%u,buffered_io,zone_append=%u,\
    ordered_zone_append,discard_write_cache,max_open_zones=%u,submit_inline=%u,prealloc_kb=%u,fua=%u,\
    max_open_files=%u,append_batch_kb=%u\n\
    remove id=%d\n";

/// The largest zone size in MiB, as in the C driver.
pub(crate) const MAX_ZONE_SIZE_MB: u32 = 16384;

/// The largest device number, as the C driver's is an `int`.
pub(crate) const MAX_ID: u32 = i32::MAX.unsigned_abs();

/// The deepest queue that blk-mq can have (`BLK_MQ_MAX_DEPTH`, include/linux/blk-mq.h).
pub(crate) const MAX_QUEUE_DEPTH: u32 = 10240;

/// The most to allocate ahead of a write pointer in KiB: 1 GiB.
pub(crate) const MAX_PREALLOC_KB: u32 = 1 << 20;

/// The most appends to write together in KiB: 16 MiB.
pub(crate) const MAX_APPEND_BATCH_KB: u32 = 1 << 14;

/// One command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command<'a> {
    /// Create a device, or restore one from its zone files.
    Add(AddOptions<'a>),
    /// Remove a device.
    Remove {
        /// The device's number.
        id: u32,
    },
}

/// The options of `add`. Each is in its range; whether they go together is for
/// [`Geometry::new`](super::geometry::Geometry::new) to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AddOptions<'a> {
    /// The device's number; `None` is the lowest that is free.
    pub(crate) id: Option<u32>,
    /// The device's capacity in MiB, not 0.
    pub(crate) capacity_mb: u32,
    /// The zone size in MiB, a power of two up to [`MAX_ZONE_SIZE_MB`].
    pub(crate) zone_size_mb: u32,
    /// The zone capacity in MiB, not 0; `None` is the zone size.
    pub(crate) zone_capacity_mb: Option<u32>,
    /// The number of conventional zones; `None` leaves the choice to the driver.
    pub(crate) conv_zones: Option<u32>,
    /// The number of zones that can be open at a time; 0 is no limit.
    pub(crate) max_open_zones: u32,
    /// The directory that has or gets the directory of the device.
    pub(crate) base_dir: BaseDir<'a>,
    /// The number of I/O queues wanted, not 0.
    pub(crate) nr_queues: u32,
    /// The depth of each queue, from 1 to [`MAX_QUEUE_DEPTH`].
    pub(crate) queue_depth: u32,
    /// Use the page cache of the backing files instead of direct I/O.
    pub(crate) buffered_io: bool,
    /// Native zone append; otherwise the block layer emulates it.
    pub(crate) zone_append: bool,
    /// Fix the sectors of zone appends in the order of submission.
    pub(crate) ordered_zone_append: bool,
    /// Forget what was not flushed when the device is removed.
    pub(crate) discard_write_cache: bool,
    /// Do I/O in the task that submits it, where that is possible.
    pub(crate) submit_inline: bool,
    /// How much to allocate ahead of a write pointer at most, in KiB; 0 is nothing.
    pub(crate) prealloc_kb: u32,
    /// Make single writes durable (FUA), rather than by a flush after each.
    pub(crate) fua: bool,
    /// How many zone files stay open, more or less; 0 leaves that to the driver.
    pub(crate) max_open_files: u32,
    /// How much of the appends that wait for a zone is written together, in KiB; 0 is one at a time.
    pub(crate) append_batch_kb: u32,
}

impl Default for AddOptions<'_> {
    fn default() -> Self {
        Self {
            id: None,
            capacity_mb: 16384,
            zone_size_mb: 256,
            zone_capacity_mb: None,
            conv_zones: None,
            max_open_zones: 0,
            base_dir: BaseDir(b"/var/local/zloop"),
            nr_queues: 1,
            queue_depth: 128,
            buffered_io: false,
            zone_append: true,
            ordered_zone_append: false,
            discard_write_cache: false,
            submit_inline: true,
            prealloc_kb: 4096,
            fua: true,
            max_open_files: 0,
            append_batch_kb: 1024,
        }
    }
}

/// Reads one command from the bytes of one write to the control device.
///
/// # Errors
///
/// The first thing that is wrong, all of which are invalid arguments (EINVAL).
pub(crate) fn parse(input: &[u8]) -> Result<Command<'_>, ParseError<'_>> {
    // Programs write strings with their terminator, or whole buffers with whatever is behind it.
    let text = input.split(|byte| *byte == 0).next().unwrap_or_default();

    let ends_verb = |byte: &u8| is_blank(*byte) || *byte == b',';
    let verb_len = text.iter().position(ends_verb).unwrap_or(text.len());
    let (verb, options) = split(text, verb_len);
    match verb {
        b"add" => parse_add(options).map(Command::Add),
        b"remove" => parse_remove(options).map(|id| Command::Remove { id }),
        _ => Err(ParseError {
            option: verb,
            value: b"",
            kind: ErrorKind::UnknownCommand,
        }),
    }
}

/// Reads the options of `add`.
fn parse_add(text: &[u8]) -> Result<AddOptions<'_>, ParseError<'_>> {
    const U32: u32 = u32::MAX;

    let mut add = AddOptions::default();
    for item in Items::new(text) {
        let item = item?;
        match item.opt {
            Opt::Id => add.id = item.id(-1)?,
            Opt::CapacityMb => add.capacity_mb = item.unsigned(1, U32)?,
            Opt::ZoneSizeMb => add.zone_size_mb = item.power_of_two(MAX_ZONE_SIZE_MB)?,
            Opt::ZoneCapacityMb => add.zone_capacity_mb = Some(item.unsigned(1, U32)?),
            Opt::ConvZones => add.conv_zones = Some(item.unsigned(0, U32)?),
            Opt::BaseDir => add.base_dir = BaseDir(item.path()?),
            Opt::NrQueues => add.nr_queues = item.unsigned(1, U32)?,
            Opt::QueueDepth => add.queue_depth = item.unsigned(1, MAX_QUEUE_DEPTH)?,
            Opt::BufferedIo => add.buffered_io = item.flag()?,
            Opt::ZoneAppend => add.zone_append = item.unsigned(0, 1)? == 1,
            Opt::OrderedZoneAppend => add.ordered_zone_append = item.flag()?,
            Opt::DiscardWriteCache => add.discard_write_cache = item.flag()?,
            Opt::MaxOpenZones => add.max_open_zones = item.unsigned(0, U32)?,
            Opt::SubmitInline => add.submit_inline = item.unsigned(0, 1)? == 1,
            Opt::PreallocKb => add.prealloc_kb = item.unsigned(0, MAX_PREALLOC_KB)?,
            Opt::Fua => add.fua = item.unsigned(0, 1)? == 1,
            Opt::MaxOpenFiles => add.max_open_files = item.unsigned(0, U32)?,
            Opt::AppendBatchKb => add.append_batch_kb = item.unsigned(0, MAX_APPEND_BATCH_KB)?,
        }
    }
    Ok(add)
}

/// Reads the options of `remove`, which needs an `id` and takes nothing else.
fn parse_remove(text: &[u8]) -> Result<u32, ParseError<'_>> {
    let mut id = None;
    for item in Items::new(text) {
        let item = item?;
        if item.opt != Opt::Id {
            return Err(item.error(ErrorKind::NotForRemove));
        }
        id = item.id(0)?;
    }
    id.ok_or(ParseError {
        option: b"id",
        value: b"",
        kind: ErrorKind::MissingId,
    })
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_options))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::{
        super::{
            option_list::OPTIONS,
            text::Escaped, //
        },
        *,
    };

    /// The options of a good `add` with nothing but defaults.
    fn defaults() -> AddOptions<'static> {
        AddOptions::default()
    }

    fn add(text: &str) -> Result<AddOptions<'_>, ParseError<'_>> {
        parse(text.as_bytes()).map(|command| match command {
            Command::Add(add) => add,
            Command::Remove { .. } => panic!("{text:?} is not an add"),
        })
    }

    /// The message for a bad command.
    fn message(text: &[u8]) -> String {
        match parse(text) {
            Ok(command) => panic!("{} is {command:?}", Escaped(text)),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn defaults_are_those_of_the_c_driver_where_it_has_the_option() {
        let add = defaults();
        assert_eq!(add.id, None);
        assert_eq!((add.capacity_mb, add.zone_size_mb), (16384, 256));
        assert_eq!((add.zone_capacity_mb, add.conv_zones), (None, None));
        assert_eq!(add.max_open_zones, 0);
        assert_eq!(add.base_dir.to_string(), "/var/local/zloop");
        assert_eq!((add.nr_queues, add.queue_depth), (1, 128));
        assert!(!add.buffered_io && add.zone_append);
        assert!(!add.ordered_zone_append && !add.discard_write_cache);
        assert!(add.submit_inline && add.fua);
        assert_eq!((add.prealloc_kb, add.max_open_files), (4096, 0));
        assert_eq!(add.append_batch_kb, 1024);
    }

    #[test]
    fn help_lists_all_options_in_order() {
        let (add, remove) = HELP.split_once('\n').expect("two lines");
        let options = OPTIONS.map(|(name, opt)| match opt {
            Opt::Id => format!("{name}=%d"),
            Opt::BaseDir => format!("{name}=%s"),
            Opt::BufferedIo | Opt::OrderedZoneAppend | Opt::DiscardWriteCache => name.to_string(),
            _ => format!("{name}=%u"),
        });
        assert_eq!(add, format!("add {}", options.join(",")));
        assert_eq!(remove, "remove id=%d\n");
    }

    #[test]
    fn add_without_options_takes_the_defaults() {
        let texts = "add|add\n|add |add  \n|add\n\n|add ,|add ,,\n,|add\t\r\n|add\0|add \n\0\0\0|\
            add,|add,id=-1|add\0junk|add \0,id=5|add id=-1|add id=-0x1|add , ,id=-1";
        for text in texts.split('|') {
            assert_eq!((text, add(text)), (text, Ok(defaults())));
        }
    }

    #[test]
    fn every_option_is_read_in_any_order() {
        let all = AddOptions {
            id: Some(7),
            capacity_mb: 2048,
            zone_size_mb: 64,
            zone_capacity_mb: Some(63),
            conv_zones: Some(4),
            max_open_zones: 8,
            base_dir: BaseDir(b"/mnt/x y=z"),
            nr_queues: 2,
            queue_depth: 64,
            buffered_io: true,
            zone_append: false,
            ordered_zone_append: true,
            discard_write_cache: true,
            submit_inline: true,
            prealloc_kb: 128,
            fua: true,
            max_open_files: 9,
            append_batch_kb: 64,
        };
        let text = "id=7,capacity_mb=2048,zone_size_mb=64,zone_capacity_mb=63,conv_zones=4,\
            base_dir=/mnt/x y=z,nr_queues=2,queue_depth=64,buffered_io,zone_append=0,\
            ordered_zone_append,discard_write_cache,max_open_zones=8,submit_inline=1,prealloc_kb=128,fua=1,\
            max_open_files=9,append_batch_kb=64";
        let mut options: Vec<_> = text.split(',').collect();
        for _ in 0..options.len() {
            options.rotate_left(1);
            for separator in [",", "\n", ", ", ",,\t\n"] {
                let options = options.join(separator);
                let text = format!("add {options}");
                assert_eq!((&text, add(&text)), (&text, Ok(all)));
                let text = format!("add\n {options}\n\0");
                assert_eq!((&text, add(&text)), (&text, Ok(all)));
            }
        }
    }

    #[test]
    fn ranges_include_their_ends() {
        let texts = "capacity_mb=1|capacity_mb=4294967295|zone_size_mb=1|zone_size_mb=16384|\
            zone_capacity_mb=1|zone_capacity_mb=4294967295|conv_zones=0|conv_zones=4294967295|\
            max_open_zones=0|max_open_zones=4294967295|nr_queues=1|nr_queues=4294967295|\
            queue_depth=1|queue_depth=10240|zone_append=0|zone_append=1|\
            submit_inline=0|submit_inline=1|prealloc_kb=0|prealloc_kb=1048576|fua=0|fua=1|\
            max_open_files=0|max_open_files=4294967295|append_batch_kb=0|append_batch_kb=16384|\
            id=0|id=2147483647";
        for text in texts.split('|') {
            assert_eq!((text, add(&format!("add {text}")).is_ok()), (text, true));
        }
    }

    #[test]
    fn all_zone_sizes_are_powers_of_two() {
        let good: Vec<_> = (0..=20000)
            .filter(|mb| add(&format!("add zone_size_mb={mb}")).is_ok())
            .collect();
        assert_eq!(good, (0..=14).map(|n| 1 << n).collect::<Vec<_>>());
    }

    #[test]
    fn remove_takes_an_id_and_nothing_else() {
        for (text, id) in [
            ("remove id=0", 0),
            ("remove id=3\n", 3),
            ("remove\nid=3", 3),
            ("remove  ,, id=3,\n", 3),
            ("remove id=0x10\0", 16),
        ] {
            let want = Ok(Command::Remove { id });
            assert_eq!((text, parse(text.as_bytes())), (text, want));
        }
    }

    #[test]
    fn comma_in_base_dir_is_written_with_a_backslash() {
        // (written, read)
        let cases = [
            (r"/a\,b", "/a,b"),
            (r"\,", ","),
            (r"\,\,x\,", ",,x,"),
            (r"/a\b", r"/a\b"),
            (r"/a\\b", r"/a\\b"),
            (r"/a\\,b", r"/a\,b"),
            (r"/a\", r"/a\"),
            (r"/a\/", r"/a\/"),
        ];
        for (written, read) in cases {
            let text = format!("add base_dir={written}\nid=1");
            let add = add(&text).expect("a good path");
            assert!(add.base_dir.bytes().eq(read.bytes()));
            assert_eq!(add.base_dir.to_string(), read);
            assert_eq!(add.id, Some(1));
        }
        // Without one it ends the value.
        assert_eq!(message(b"add base_dir=/a,b"), "b: unknown option");
    }

    #[test]
    fn base_dir_may_have_any_other_byte() {
        let bytes: Vec<u8> = (1..=255).filter(|b| !b"\n,".contains(b)).collect();
        let text = [b"add base_dir=".as_slice(), &bytes].concat();
        let Ok(Command::Add(add)) = parse(&text) else {
            panic!("refused");
        };
        assert!(add.base_dir.bytes().eq(bytes));
        let shown = add.base_dir.to_string();
        assert!(shown.chars().all(|c| (' '..='~').contains(&c)));
    }

    /// Commands that are refused, and after a bar what the log says.
    const REFUSED: &str = "\
|: unknown command
 add|: unknown command
ad|ad: unknown command
ADD id=0|ADD: unknown command
addid=0|addid=0: unknown command
addcapacity_mb=64|addcapacity_mb=64: unknown command
add;id=0|add;id=0: unknown command
removeid=0|removeid=0: unknown command
add foo|foo: unknown option
add foo=1|foo=1: unknown option
add =1|=1: unknown option
add ID=1|ID=1: unknown option
add id =1|id =1: unknown option
add buffered_io |buffered_io : unknown option
add id=1,id=1|id=1: given twice
add id=-1,id=2|id=2: given twice
add buffered_io,id=1,buffered_io|buffered_io: given twice
add id=1 capacity_mb=64|id=1 capacity_mb=64: not a number
add id|id: a value is missing
add id=,capacity_mb=1|id: a value is missing
add capacity_mb|capacity_mb: a value is missing
add capacity_mb=|capacity_mb: a value is missing
add base_dir|base_dir: a value is missing
add base_dir=|base_dir: a value is missing
add buffered_io=1|buffered_io=1: takes no value
add buffered_io=|buffered_io: takes no value
add ordered_zone_append=0|ordered_zone_append=0: takes no value
add discard_write_cache=1|discard_write_cache=1: takes no value
add id=1x|id=1x: not a number
add id= 1|id= 1: not a number
add id=1 |id=1 : not a number
add id=1=1|id=1=1: not a number
add id=\u{ff11}|id=\\xef\\xbc\\x91: not a number
add capacity_mb=-1|capacity_mb=-1: not a number
add capacity_mb=1M|capacity_mb=1M: not a number
add capacity_mb=1.5|capacity_mb=1.5: not a number
add zone_append=yes|zone_append=yes: not a number
add id=-2|id=-2: out of range (-1..2147483647)
add id=2147483648|id=2147483648: out of range (-1..2147483647)
add capacity_mb=0|capacity_mb=0: out of range (1..4294967295)
add capacity_mb=4294967296|capacity_mb=4294967296: out of range (1..4294967295)
add zone_size_mb=0|zone_size_mb=0: out of range (1..16384)
add zone_size_mb=32768|zone_size_mb=32768: out of range (1..16384)
add zone_size_mb=3|zone_size_mb=3: not a power of two
add zone_capacity_mb=0|zone_capacity_mb=0: out of range (1..4294967295)
add conv_zones=4294967296|conv_zones=4294967296: out of range (0..4294967295)
add nr_queues=0|nr_queues=0: out of range (1..4294967295)
add queue_depth=0|queue_depth=0: out of range (1..10240)
add queue_depth=10241|queue_depth=10241: out of range (1..10240)
add zone_append=2|zone_append=2: out of range (0..1)
remove|id: needed to remove a device
remove ,|id: needed to remove a device
remove 1|1: unknown option
remove id=|id: a value is missing
remove id=1x|id=1x: not a number
remove id=-1|id=-1: out of range (0..2147483647)
remove id=1,id=1|id=1: given twice
remove capacity_mb=64|capacity_mb=64: not an option of remove
remove id=1,buffered_io|buffered_io: not an option of remove
";

    #[test]
    fn what_is_refused_names_option_and_value() {
        for line in REFUSED.lines() {
            let (text, want) = line.split_once('|').expect("a bar");
            assert_eq!((text, message(text.as_bytes()).as_str()), (text, want));
            // With what echo appends it is no better.
            let text = format!("{text}\n");
            assert_eq!((&text, message(text.as_bytes()).as_str()), (&text, want));
        }
    }

    #[test]
    fn nul_byte_ends_the_command() {
        for text in [
            "add id=1\0,nr_queues=0",
            "add id=1,\0,id=1",
            "add id=1\0\x7f",
        ] {
            assert_eq!((text, add(text).map(|add| add.id)), (text, Ok(Some(1))));
        }
        let base_dir = add("add base_dir=a\0b").map(|add| add.base_dir);
        assert_eq!(base_dir, Ok(BaseDir(b"a")));
    }

    #[test]
    fn control_characters_are_refused() {
        let cases: &[(&[u8], &str)] = &[
            (b"\0", ": unknown command"),
            (b"\0add", ": unknown command"),
            (b"add base_dir=\0b", "base_dir: a value is missing"),
            (b"add id=64\r\n", r"id=64\x0d: not a number"),
            (b"add \x01id=1", r"\x01id=1: unknown option"),
        ];
        for (text, want) in cases {
            assert_eq!((text, message(text).as_str()), (text, *want));
        }
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let text = format!("add capacity_mb={}", "9".repeat(4000));
        let shown = "9".repeat(64);
        let want = format!("capacity_mb={shown}...: out of range (1..4294967295)");
        assert_eq!(message(text.as_bytes()), want);
    }
}
