// SPDX-License-Identifier: GPL-2.0

//! The condition of a zone, and what a zone management command does in each.
//!
//! A condition is computed from the write pointer and from whether the zone is open; nobody stores
//! it, so it cannot disagree with them. In particular a zone without data that is closed is EMPTY,
//! whoever closed it.
//!
//! The table of transitions is that of the zone condition state machine of ZBC-2 and of the zone
//! state machine of the ZNS command set, as far as a host-managed device without an active limit
//! goes; `drivers/block/null_blk/zoned.c` (`null_open_zone()`, `null_close_zone()`,
//! `null_finish_zone()`, `null_reset_zone()`) agrees with it, and so does
//! `drivers/block/zloop.c`:
//!
//! | condition | open     | close           | finish  | reset   |
//! |-----------|----------|-----------------|---------|---------|
//! | EMPTY     | EXP_OPEN | refused         | FULL    | nothing |
//! | IMP_OPEN  | EXP_OPEN | CLOSED or EMPTY | FULL    | EMPTY   |
//! | EXP_OPEN  | nothing  | CLOSED or EMPTY | FULL    | EMPTY   |
//! | CLOSED    | EXP_OPEN | nothing         | FULL    | EMPTY   |
//! | FULL      | refused  | refused         | nothing | EMPTY   |
//! | others    | refused  | refused         | refused | refused |
//!
//! A finish takes no open resource: the zone is never open in between. The C driver, scsi_debug
//! (`zbc_finish_zone()`) and QEMU do the same; null_blk asks for one.

#![forbid(unsafe_code)]

use core::fmt;

use super::{
    open_set::Openness,
    write_pointer::WritePointer, //
};

/// A zone condition, with the value that it has in ZBC, ZNS and `enum blk_zone_cond`
/// (include/uapi/linux/blkzoned.h).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Condition {
    /// A conventional zone: there is no write pointer.
    NotWp = 0x0,
    /// Nothing is written.
    Empty = 0x1,
    /// Opened by a write.
    ImpOpen = 0x2,
    /// Opened by a command.
    ExpOpen = 0x3,
    /// Partly written and not open.
    Closed = 0x4,
    /// Can be read only.
    ReadOnly = 0xd,
    /// Nothing more can be written.
    Full = 0xe,
    /// Neither read nor written. The rules are complete, although no zone gets there.
    #[cfg_attr(not(any(test, CONFIG_KUNIT = "y")), allow(dead_code))]
    Offline = 0xf,
}

impl Condition {
    /// The name that `blk_zone_cond_str()` gives it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NotWp => "NOT_WP",
            Self::Empty => "EMPTY",
            Self::ImpOpen => "IMP_OPEN",
            Self::ExpOpen => "EXP_OPEN",
            Self::Closed => "CLOSED",
            Self::ReadOnly => "READONLY",
            Self::Full => "FULL",
            Self::Offline => "OFFLINE",
        }
    }
}

impl From<Condition> for u8 {
    fn from(condition: Condition) -> Self {
        #[expect(clippy::as_conversions, reason = "there is no other way")]
        // CAST: the enumeration is a `u8`.
        let value = condition as u8;
        value
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The condition of a sequential zone.
///
/// A full zone is FULL even if nobody has closed it yet.
pub(crate) fn condition(wp: &WritePointer, openness: Openness) -> Condition {
    if wp.is_full() {
        return Condition::Full;
    }
    match openness {
        Openness::Implicit => Condition::ImpOpen,
        Openness::Explicit => Condition::ExpOpen,
        Openness::Closed if wp.is_empty() => Condition::Empty,
        Openness::Closed => Condition::Closed,
    }
}

/// What there is to do for a zone management command that is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// The zone is in the wanted condition already: succeed and leave it alone.
    Nothing,
    /// Do what the command says.
    Act,
}

/// A zone management command that the zone's condition does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    /// The command's name.
    pub(crate) command: &'static str,
    /// The condition of the zone.
    pub(crate) condition: Condition,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of a zone that is {}", self.command, self.condition)
    }
}

/// Decides on an OPEN ZONE command. To act is to open the zone explicitly, which may still fail
/// for want of resources.
pub(crate) fn open(condition: Condition) -> Result<Effect, Refused> {
    match condition {
        Condition::ExpOpen => Ok(Effect::Nothing),
        Condition::Empty | Condition::ImpOpen | Condition::Closed => Ok(Effect::Act),
        Condition::NotWp | Condition::Full | Condition::ReadOnly | Condition::Offline => {
            Err(Refused {
                command: "open",
                condition,
            })
        }
    }
}

/// Decides on a CLOSE ZONE command. To act is to close the zone, after which it is CLOSED, or
/// EMPTY if nothing is written.
pub(crate) fn close(condition: Condition) -> Result<Effect, Refused> {
    match condition {
        Condition::Closed => Ok(Effect::Nothing),
        Condition::ImpOpen | Condition::ExpOpen => Ok(Effect::Act),
        Condition::NotWp
        | Condition::Empty
        | Condition::Full
        | Condition::ReadOnly
        | Condition::Offline => Err(Refused {
            command: "close",
            condition,
        }),
    }
}

/// Decides on a FINISH ZONE command. To act is to use up the capacity and to close the zone.
pub(crate) fn finish(condition: Condition) -> Result<Effect, Refused> {
    match condition {
        Condition::Full => Ok(Effect::Nothing),
        Condition::Empty | Condition::ImpOpen | Condition::ExpOpen | Condition::Closed => {
            Ok(Effect::Act)
        }
        Condition::NotWp | Condition::ReadOnly | Condition::Offline => Err(Refused {
            command: "finish",
            condition,
        }),
    }
}

/// Decides on a RESET WRITE POINTER command. To act is to drop the zone's data and to close it.
pub(crate) fn reset(condition: Condition) -> Result<Effect, Refused> {
    match condition {
        Condition::Empty => Ok(Effect::Nothing),
        Condition::ImpOpen | Condition::ExpOpen | Condition::Closed | Condition::Full => {
            Ok(Effect::Act)
        }
        Condition::NotWp | Condition::ReadOnly | Condition::Offline => Err(Refused {
            command: "reset",
            condition,
        }),
    }
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::prelude::kunit_tests(zloop_condition))]
mod tests {
    #[cfg(not(test))]
    use crate::testing::*;

    use super::*;

    const ALL: [(Condition, u8, &str); 8] = [
        (Condition::NotWp, 0x0, "NOT_WP"),
        (Condition::Empty, 0x1, "EMPTY"),
        (Condition::ImpOpen, 0x2, "IMP_OPEN"),
        (Condition::ExpOpen, 0x3, "EXP_OPEN"),
        (Condition::Closed, 0x4, "CLOSED"),
        (Condition::ReadOnly, 0xd, "READONLY"),
        (Condition::Full, 0xe, "FULL"),
        (Condition::Offline, 0xf, "OFFLINE"),
    ];

    #[test]
    fn conditions_have_the_values_and_names_of_the_kernel() {
        for (condition, value, name) in ALL {
            assert_eq!(u8::from(condition), value);
            assert_eq!(condition.to_string(), name);
        }
    }

    #[test]
    fn condition_follows_from_write_pointer_and_openness() {
        // (sectors of 8 written, when closed, when implicitly open, when explicitly open)
        let cases = [
            (0, Condition::Empty, Condition::ImpOpen, Condition::ExpOpen),
            (1, Condition::Closed, Condition::ImpOpen, Condition::ExpOpen),
            (7, Condition::Closed, Condition::ImpOpen, Condition::ExpOpen),
            (8, Condition::Full, Condition::Full, Condition::Full),
        ];
        for (sectors, closed, implicit, explicit) in cases {
            let mut wp = WritePointer::new(8);
            wp.resync(sectors << 9, 512).expect("a size that fits");
            assert_eq!(condition(&wp, Openness::Closed), closed);
            assert_eq!(condition(&wp, Openness::Implicit), implicit);
            assert_eq!(condition(&wp, Openness::Explicit), explicit);
        }
    }

    #[test]
    fn every_command_in_every_condition() {
        const NOTHING: Option<Effect> = Some(Effect::Nothing);
        const ACT: Option<Effect> = Some(Effect::Act);
        // Condition, then open, close, finish, reset; `None` is refused.
        let cases = [
            (Condition::NotWp, [None, None, None, None]),
            (Condition::Empty, [ACT, None, ACT, NOTHING]),
            (Condition::ImpOpen, [ACT, ACT, ACT, ACT]),
            (Condition::ExpOpen, [NOTHING, ACT, ACT, ACT]),
            (Condition::Closed, [ACT, NOTHING, ACT, ACT]),
            (Condition::Full, [None, None, NOTHING, ACT]),
            (Condition::ReadOnly, [None, None, None, None]),
            (Condition::Offline, [None, None, None, None]),
        ];
        type Decide = fn(Condition) -> Result<Effect, Refused>;
        let commands: [(&str, Decide); 4] = [
            ("open", open),
            ("close", close),
            ("finish", finish),
            ("reset", reset),
        ];
        assert_eq!(cases.len(), ALL.len());
        for (condition, want) in cases {
            for ((command, decide), want) in commands.into_iter().zip(want) {
                let refused = Refused { command, condition };
                assert_eq!((command, decide(condition)), (command, want.ok_or(refused)));
            }
        }
    }

    #[test]
    fn refusal_names_command_and_condition() {
        let refused = open(Condition::Full).expect_err("a full zone cannot be opened");
        assert_eq!(refused.to_string(), "open of a zone that is FULL");
    }
}
