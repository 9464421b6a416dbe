// SPDX-License-Identifier: GPL-2.0

//! Why a zone does not do what it is asked to, for the log and for the submitter.

#![forbid(unsafe_code)]

use crate::{
    abstractions::block::status::Status,
    model::{
        condition::Refused,
        open_set::NoResource,
        write_pointer::{
            Reject,
            SizeError, //
        }, //
    },
};
use core::fmt::{
    self,
    Display, //
};
use kernel::prelude::*;

/// Why a zone does not do what it is asked to.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    /// The write does not fit the write pointer or the capacity.
    Write(Reject),
    /// The zone's condition does not allow the command.
    Command(Refused),
    /// All open zones that the device can have are explicitly open.
    NoOpenZone,
    /// Opening, reading, writing or changing the file failed, or finding out its size.
    File(Error),
    /// The file, just opened, is not of the size that the write pointer stands for, in bytes.
    Changed { size: u64, expected: u64 },
    /// The size of the file cannot be that of a zone.
    Size(SizeError),
    /// A conventional zone has no write pointer.
    Conventional,
    /// The device is being removed.
    Removed,
}

impl Refusal {
    /// The same for those who take an errno.
    pub(crate) fn error(self) -> Error {
        match self {
            Refusal::File(error) => error,
            _ => EIO,
        }
    }

    /// What the submitter gets to see.
    pub(crate) fn status(self) -> Status {
        match self {
            Refusal::NoOpenZone => Status::ZONE_OPEN_RESOURCE,
            Refusal::File(error) => Status::from_error(error),
            _ => Status::IO_ERROR,
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Write(reject) => reject.fmt(f),
            Refusal::Command(refused) => refused.fmt(f),
            Refusal::NoOpenZone => f.write_str("the limit of open zones is reached"),
            Refusal::File(error) => write!(f, "zone file: error {}", error.to_errno()),
            Refusal::Changed { size, expected } => {
                write!(f, "the zone file has {size} bytes instead of {expected}")
            }
            Refusal::Size(error) => error.fmt(f),
            Refusal::Conventional => f.write_str("the zone is conventional"),
            Refusal::Removed => f.write_str("the device is being removed"),
        }
    }
}

impl From<NoResource> for Refusal {
    fn from(_: NoResource) -> Self {
        Refusal::NoOpenZone
    }
}

#[kunit_tests(zloop_refusal)]
mod tests {
    use super::*;
    use crate::abstractions::compat;

    #[test]
    fn submitter_sees_what_it_can_do_something_about() {
        assert!(Refusal::NoOpenZone.status() == Status::ZONE_OPEN_RESOURCE);
        assert!(Refusal::from(NoResource).status() == Status::ZONE_OPEN_RESOURCE);
        assert!(Refusal::File(ETIMEDOUT).status() == Status::TIMEOUT);
        assert!(Refusal::File(compat::eopnotsupp()).status() == Status::NOT_SUPPORTED);
        assert!(Refusal::File(ENOSPC).status() != Status::IO_ERROR);
    }

    #[test]
    fn anything_else_is_an_io_error() {
        assert!(Refusal::Conventional.status() == Status::IO_ERROR);
        assert!(Refusal::Removed.status() == Status::IO_ERROR);
        assert!(Refusal::Write(Reject::Full).status() == Status::IO_ERROR);
        assert!(Refusal::File(EXDEV).status() == Status::IO_ERROR);
    }
}
