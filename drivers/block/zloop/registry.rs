// SPDX-License-Identifier: GPL-2.0

//! The devices that there are, by id.
//!
//! An id is taken from the moment an `add` asks for it until the last descriptor of the device is
//! closed, and the directory until its files are. [`REGISTRY`] is the outermost lock; it is not held
//! while files are opened or a disk goes.

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        block::gen_disk::{
            Claim,
            Disk, //
        },
        debugfs::Dir,
        fs::Directory,
        task, //
    },
    model::options::MAX_ID,
    requests::Driver,
    REGISTRY, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// All devices, in ascending order of their ids.
pub(crate) struct Registry {
    entries: KVec<Entry>,
    /// Where the devices show their counters.
    pub(crate) counters: Option<Arc<Dir>>,
}

struct Entry {
    id: u32,
    directory: Option<Arc<Directory>>,
    state: State,
}

enum State {
    Adding,
    Live(Disk<Driver>),
    Removing,
    /// Removed, and still open somewhere.
    Removed,
}

impl State {
    /// Whether the device is on its way out.
    fn is_leaving(&self) -> bool {
        matches!(self, State::Removing | State::Removed)
    }
}

impl Registry {
    /// No devices.
    pub(crate) const fn new() -> Self {
        Self {
            entries: KVec::new(),
            counters: None,
        }
    }

    /// Where the entry of an id is, or where it would have to be.
    fn position(&self, id: u32) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id)
    }

    fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        let at = self.position(id).ok()?;

        self.entries.get_mut(at)
    }

    /// The lowest id that is free.
    fn lowest_free(&self) -> u32 {
        self.lowest_id_without(|_| true)
    }

    /// The lowest id that is free, or will be: that of a device on its way out counts as well.
    fn lowest_free_soon(&self) -> u32 {
        self.lowest_id_without(|entry| !entry.state.is_leaving())
    }

    /// The lowest id for which there is no entry that counts.
    fn lowest_id_without(&self, counts: impl Fn(&Entry) -> bool) -> u32 {
        let mut id = 0;

        for entry in &self.entries {
            if entry.id != id || !counts(entry) {
                break;
            }
            id += 1;
        }
        id
    }

    fn forget(&mut self, id: u32) -> Option<Entry> {
        let at = self.position(id).ok()?;
        let entry = self.entries.remove(at).ok();

        if self.entries.is_empty() {
            // The registry is static: nothing drops it when the module goes.
            self.entries = KVec::new();
        }
        entry
    }
}

/// An id that nobody else gets; free again when dropped. The device keeps it.
pub(crate) struct Reservation {
    id: u32,
}

/// How long an `add` waits, in steps of [`GRACE_STEP`], for a device that is being removed to let
/// go of the id: udev may be looking at it.
const GRACE_STEPS: u32 = 20;
const GRACE_STEP: Delta = Delta::from_millis(100);

impl Reservation {
    /// Takes `id`, or the lowest free one. `EEXIST` if it is taken. May sleep.
    ///
    /// Waits for a while for the id of a device that is on its way out, also if none is named: the
    /// same command gets the same device again.
    pub(crate) fn new(id: Option<u32>) -> Result<Self> {
        for _ in 0..GRACE_STEPS {
            if !is_on_its_way_out(id) || task::fatal_signal_pending() {
                break;
            }
            fsleep(GRACE_STEP);
        }

        let mut registry = REGISTRY.lock();
        let id = id.unwrap_or_else(|| registry.lowest_free());

        if id > MAX_ID {
            pr_err!("add: id={}: out of range\n", id);
            return Err(EINVAL);
        }
        if let Some(entry) = registry.entry(id) {
            let why = match entry.state {
                State::Adding => "the device is being added already",
                State::Live(_) => "there is such a device",
                State::Removing => "the device is being removed",
                State::Removed => "the device was removed, and is still open",
            };

            pr_err!("add: id={}: {}\n", id, why);
            return Err(EEXIST);
        }

        let (Ok(at) | Err(at)) = registry.position(id);
        let entry = Entry {
            id,
            directory: None,
            state: State::Adding,
        };

        registry.entries.reserve(1, GFP_KERNEL)?;
        registry
            .entries
            .insert_within_capacity(at, entry)
            .map_err(|_| ENOMEM)?;
        Ok(Self { id })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Takes the directory, too. `EBUSY` if another device has it, by whatever path.
    pub(crate) fn claim_directory(&self, directory: Arc<Directory>) -> Result {
        let mut registry = REGISTRY.lock();

        for entry in &registry.entries {
            let Some(other) = &entry.directory else {
                continue;
            };

            if entry.id != self.id && other.is_same(&directory) {
                pr_err!(
                    "zloop{}: the directory is in use by zloop{}\n",
                    self.id,
                    entry.id
                );
                return Err(EBUSY);
            }
        }
        if let Some(entry) = registry.entry(self.id) {
            entry.directory = Some(directory);
        }
        Ok(())
    }

    /// Lets go of the directory.
    pub(crate) fn release_directory(&self) {
        let directory = REGISTRY
            .lock()
            .entry(self.id)
            .and_then(|entry| entry.directory.take());

        // Closes it, which is better done without the lock.
        drop(directory);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let entry = REGISTRY.lock().forget(self.id);

        // Closes the directory, which is better done without the lock.
        drop(entry);
    }
}

/// Whether a device is being removed, or is removed and still open: the one with this id, or the
/// one with the lowest id that is not in use.
fn is_on_its_way_out(id: Option<u32>) -> bool {
    let mut registry = REGISTRY.lock();
    let id = id.unwrap_or_else(|| registry.lowest_free_soon());

    registry
        .entry(id)
        .is_some_and(|entry| entry.state.is_leaving())
}

/// Makes a device known that is complete: it can be removed from now on.
pub(crate) fn publish(id: u32, disk: Disk<Driver>) {
    if let Some(entry) = REGISTRY.lock().entry(id) {
        entry.state = State::Live(disk);
    }
}

/// Removes a device. Process context; waits for I/O in flight.
///
/// `ENODEV` if there is none any more, `EBUSY` if somebody uses it exclusively (a file system, for
/// example) or is removing it. When this returns all zone files are closed.
pub(crate) fn remove(id: u32) -> Result {
    let (why, error) = match take_live(id) {
        Ok(disk) => match disk.claim() {
            Ok(claim) => {
                finish_removal(id, disk, claim);
                return Ok(());
            }
            Err(error) => {
                if let Some(entry) = REGISTRY.lock().entry(id) {
                    entry.state = State::Live(disk);
                }
                ("the device is in use", error)
            }
        },
        Err(refusal) => refusal,
    };

    pr_err!("remove: id={}: {}\n", id, why);
    Err(error)
}

/// Takes the disk of a device out of the registry, so that nobody else removes it.
fn take_live(id: u32) -> Result<Disk<Driver>, (&'static str, Error)> {
    let mut registry = REGISTRY.lock();
    let entry = registry
        .entry(id)
        .ok_or(("there is no such device", ENODEV))?;

    match core::mem::replace(&mut entry.state, State::Removing) {
        State::Live(disk) => Ok(disk),
        State::Adding => {
            entry.state = State::Adding;
            Err(("the device is still being added", ENODEV))
        }
        State::Removing => Err(("the device is being removed already", EBUSY)),
        State::Removed => {
            entry.state = State::Removed;
            Err(("the device was removed already, and is still open", ENODEV))
        }
    }
}

/// Removes a disk that was taken and claimed.
fn finish_removal(id: u32, disk: Disk<Driver>, claim: Claim) {
    let device = disk.device().clone();

    disk.remove();
    device.shut_down();
    drop(claim);
    if let Some(entry) = REGISTRY.lock().entry(id) {
        entry.state = State::Removed;
    }
    // The last one to use the device, which may be somebody who has it open, gives up the id.
    drop(device);
    pr_info!("zloop{}: removed\n", id);
}

#[kunit_tests(zloop_registry)]
mod tests {
    use super::*;
    use crate::abstractions::task::InitFs;

    /// Ids that nobody uses.
    const FREE: u32 = MAX_ID - 2;

    fn with(ids: &[u32]) -> Result<Registry> {
        let mut registry = Registry::new();

        for &id in ids {
            let entry = Entry {
                id,
                directory: None,
                state: State::Adding,
            };

            registry.entries.push(entry, GFP_KERNEL)?;
        }
        Ok(registry)
    }

    #[test]
    fn lowest_free_id_is_the_first_gap() -> Result {
        assert_eq!(with(&[])?.lowest_free(), 0);
        assert_eq!(with(&[1])?.lowest_free(), 0);
        assert_eq!(with(&[0, 1, 3])?.lowest_free(), 2);
        assert_eq!(with(&[0, 1, 2])?.lowest_free(), 3);
        Ok(())
    }

    #[test]
    fn id_of_a_device_on_its_way_out_is_free_soon() -> Result {
        let mut registry = with(&[0, 1, 2])?;

        assert_eq!(registry.lowest_free_soon(), 3);
        registry.entry(1).ok_or(ENODEV)?.state = State::Removing;
        assert_eq!(registry.lowest_free_soon(), 1);
        registry.entry(1).ok_or(ENODEV)?.state = State::Removed;
        assert_eq!(registry.lowest_free_soon(), 1);
        assert_eq!(registry.lowest_free(), 3);
        assert_eq!(with(&[1])?.lowest_free_soon(), 0);
        Ok(())
    }

    #[test]
    fn forgotten_entry_is_gone() -> Result {
        let mut registry = with(&[2, 5, 7])?;

        assert!(registry.forget(6).is_none());
        assert!(registry.forget(5).is_some_and(|entry| entry.id == 5));
        assert!(registry.forget(5).is_none());
        assert!(registry.entry(7).is_some());
        assert!(registry.forget(7).is_some() && registry.forget(2).is_some());
        assert_eq!(registry.entries.capacity(), 0);
        Ok(())
    }

    #[test]
    fn reserved_id_is_taken_until_the_reservation_goes() -> Result {
        let first = Reservation::new(Some(FREE))?;

        assert_eq!(first.id(), FREE);
        assert_eq!(Reservation::new(Some(FREE)).err(), Some(EEXIST));
        let second = Reservation::new(Some(FREE + 1))?;

        drop(first);
        let first = Reservation::new(Some(FREE))?;

        assert_eq!(Reservation::new(Some(FREE + 1)).err(), Some(EEXIST));
        drop((first, second));
        Ok(())
    }

    #[test]
    fn id_has_to_fit_an_int() {
        assert_eq!(Reservation::new(Some(MAX_ID + 1)).err(), Some(EINVAL));
    }

    #[test]
    fn reserved_device_cannot_be_removed() -> Result {
        let reservation = Reservation::new(Some(FREE))?;

        assert_eq!(remove(FREE).err(), Some(ENODEV));
        assert_eq!(remove(FREE + 1).err(), Some(ENODEV));
        // The attempt has not changed anything.
        assert_eq!(Reservation::new(Some(FREE)).err(), Some(EEXIST));
        drop(reservation);
        Ok(())
    }

    #[test]
    fn directory_belongs_to_one_device() -> Result {
        let _fs = InitFs::enter();
        let open = |path| Arc::new(Directory::open(path)?, GFP_KERNEL).map_err(Error::from);
        let first = Reservation::new(Some(FREE))?;
        let second = Reservation::new(Some(FREE + 1))?;

        first.claim_directory(open(c"/proc")?)?;
        assert_eq!(second.claim_directory(open(c"/proc/")?).err(), Some(EBUSY));
        // Another one, and the same by its own device.
        second.claim_directory(open(c"/")?)?;
        first.claim_directory(open(c"/proc/.")?)?;
        first.release_directory();
        second.claim_directory(open(c"/proc")?)?;
        Ok(())
    }
}
