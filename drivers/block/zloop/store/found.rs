// SPDX-License-Identifier: GPL-2.0

//! What there is in the directory of a device.

#![forbid(unsafe_code)]

use crate::{
    abstractions::fs::EntryKind,
    model::{
        geometry::Geometry,
        layout::{
            ZoneFile,
            GEOMETRY_FILE, //
        },
        ZoneNo, //
    }, //
};
use kernel::prelude::*;

/// What [`Store::examine`](super::Store::examine) sees.
#[derive(Default)]
pub(super) struct Found {
    /// Zone files of the device asked for.
    pub(super) zones: ZoneNo,
    /// There is a geometry file.
    pub(super) record: bool,
    /// A zone file that the device asked for does not have.
    pub(super) foreign: Option<ZoneFile>,
    /// A zone whose name is taken by something else.
    pub(super) not_regular: Option<ZoneNo>,
}

impl Found {
    /// Notes one entry.
    pub(super) fn add(&mut self, geometry: &Geometry, name: &[u8], kind: EntryKind) {
        if name == GEOMETRY_FILE.to_bytes() {
            self.record = true;
        }
        let Some(file) = ZoneFile::parse(name) else {
            return;
        };
        let no = file.no();

        if no >= geometry.nr_zones() || geometry.zone_file(no) != file {
            // The lowest, so that the message does not depend on the order of the directory.
            if self.foreign.is_none_or(|other| no < other.no()) {
                self.foreign = Some(file);
            }
        } else if matches!(kind, EntryKind::Regular | EntryKind::Unknown) {
            self.zones = self.zones.saturating_add(1);
        } else {
            self.not_regular = Some(self.not_regular.map_or(no, |other| other.min(no)));
        }
    }
}

#[kunit_tests(zloop_found)]
mod tests {
    use super::*;
    use crate::model::options::AddOptions;

    #[test]
    fn directory_has_files_of_the_device_and_others() -> Result {
        let add = AddOptions {
            capacity_mb: 8,
            zone_size_mb: 1,
            conv_zones: Some(2),
            ..Default::default()
        };
        let geometry = Geometry::new(&add).map_err(|_| EINVAL)?;
        let mut found = Found::default();

        for name in ["cnv-000001", "seq-000002", "seq-000007", "readme", "seq-2"] {
            found.add(&geometry, name.as_bytes(), EntryKind::Regular);
        }
        assert_eq!(found.zones, 3);
        assert!(!found.record && found.foreign.is_none() && found.not_regular.is_none());

        // Of another kind, beyond the end: the lowest is remembered.
        for name in ["seq-000009", "seq-000001", "cnv-000002", "seq-000008"] {
            found.add(&geometry, name.as_bytes(), EntryKind::Regular);
        }
        assert_eq!(found.foreign, Some(ZoneFile::Sequential(1)));
        assert_eq!(found.zones, 3);

        found.add(&geometry, b"seq-000005", EntryKind::Other);
        found.add(&geometry, b"seq-000004", EntryKind::Directory);
        found.add(&geometry, b"seq-000006", EntryKind::Unknown);
        found.add(&geometry, GEOMETRY_FILE.to_bytes(), EntryKind::Regular);
        assert_eq!(found.not_regular, Some(4));
        assert_eq!(found.zones, 4);
        assert!(found.record);
        Ok(())
    }
}
