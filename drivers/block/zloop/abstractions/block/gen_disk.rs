// SPDX-License-Identifier: GPL-2.0

//! Zoned disks, from the allocation to the last user.
//!
//! A [`NewDisk`] can be set up and is seen by nobody; [`NewDisk::add`] makes it a [`Disk`], which
//! user space sees until [`Disk::remove`]. The driver's state lives until the last descriptor of
//! the disk is closed, which may be later.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use super::{
    limits::ZonedLimits,
    operations::{
        Operations,
        VTables, //
    },
    tag_set::TagSet, //
};
use crate::abstractions::ffi;
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    static_lock_class,
    str::NullTerminatedFormatter,
    sync::Arc,
    types::ForeignOwnable, //
};

/// What a disk keeps alive: fields drop in this order.
pub(super) struct DiskData<T: Operations> {
    /// The requests, before the device that they are for.
    _tag_set: Pin<KBox<TagSet<T>>>,
    device: Arc<T::Device>,
}

impl<T: Operations> DiskData<T> {
    pub(super) fn device(&self) -> &T::Device {
        &self.device
    }
}

/// A disk that nobody can see yet.
///
/// # Invariants
///
/// - `disk` is a valid disk that was never added, of whose references this one owns the first.
/// - Its `private_data` is a foreign `KBox<DiskData<T>>`, and its `queuedata` points at the device
///   in there.
pub(crate) struct NewDisk<T: Operations> {
    disk: NonNull<bindings::gendisk>,
    _driver: core::marker::PhantomData<T>,
}

impl<T: Operations> NewDisk<T> {
    /// Allocates a disk of `capacity` sectors. May sleep.
    ///
    /// The disk has no partitions. `name` must fit `DISK_NAME_LEN`, otherwise `EINVAL`.
    pub(crate) fn new(
        name: fmt::Arguments<'_>,
        tag_set: Pin<KBox<TagSet<T>>>,
        device: Arc<T::Device>,
        limits: ZonedLimits,
        capacity: u64,
    ) -> Result<Self> {
        let mut raw_limits = limits.to_raw();
        let raw_tags = tag_set.as_raw();
        let queue_data = Arc::as_ptr(&device);
        let data = KBox::new(
            DiskData {
                _tag_set: tag_set,
                device,
            },
            GFP_KERNEL,
        )?;

        // SAFETY: The tag set is allocated and goes to `data`, which outlives the disk; so does the
        // device. The lock class is static.
        let disk = from_err_ptr(unsafe {
            bindings::__blk_mq_alloc_disk(
                raw_tags,
                &mut raw_limits,
                queue_data.cast_mut().cast(),
                static_lock_class!().as_ptr(),
            )
        })?;
        // SAFETY: The disk is new, so that nobody else looks at it.
        unsafe {
            (*disk).private_data = data.into_foreign();
        }
        // INVARIANT: The disk was not added, and its data has just been set.
        let this = Self {
            // SAFETY: A disk that was allocated is not null.
            disk: unsafe { NonNull::new_unchecked(disk) },
            _driver: core::marker::PhantomData,
        };

        // SAFETY: As above; none of its locks is held.
        unsafe { ffi::zloop_set_lock_classes(disk) };
        // SAFETY: As above.
        unsafe { (*disk).fops = &VTables::<T>::DISK };
        // CAST: A single low bit.
        let flags = bindings::GENHD_FL_NO_PART as i32;
        // SAFETY: As above.
        unsafe { (*disk).flags = flags };
        // SAFETY: As above, and the reference does not outlive this statement's block.
        let name_slot = unsafe { &mut (*disk).disk_name };
        NullTerminatedFormatter::new(name_slot)
            .ok_or(EINVAL)?
            .write_fmt(name)?;
        // SAFETY: The disk is valid.
        unsafe { bindings::set_capacity(disk, capacity) };
        // SAFETY: The disk is valid.
        let queue = unsafe { (*disk).queue };
        // The disk that holds the files throttles write-back; doing it twice only costs.
        // SAFETY: The queue of a valid disk is valid.
        unsafe { bindings::blk_queue_flag_set(bindings::QUEUE_FLAG_DISABLE_WBT_DEF, queue) };
        Ok(this)
    }

    /// Has the block layer ask for all zones ([`Operations::report_zones`]), check them and set
    /// itself up for them. May sleep.
    pub(crate) fn revalidate_zones(&self) -> Result {
        // SAFETY: The disk is valid, has limits, a capacity and all callbacks.
        to_result(unsafe { bindings::blk_revalidate_disk_zones(self.disk.as_ptr()) })
    }

    /// Makes the disk visible. May sleep; I/O starts before this function returns.
    pub(crate) fn add(self) -> Result<Disk<T>> {
        // SAFETY: By the type invariants the disk is valid and was not added.
        to_result(unsafe {
            bindings::device_add_disk(
                core::ptr::null_mut(),
                self.disk.as_ptr(),
                core::ptr::null_mut(),
            )
        })?;

        let this = ManuallyDrop::new(self);

        // INVARIANT: The disk was added, and the reference moves.
        Ok(Disk {
            disk: this.disk,
            _driver: core::marker::PhantomData,
        })
    }
}

impl<T: Operations> Drop for NewDisk<T> {
    fn drop(&mut self) {
        let disk = self.disk.as_ptr();
        // SAFETY: The disk is valid until the reference is dropped below.
        let data = unsafe { (*disk).private_data };

        // SAFETY: By the type invariants this drops the only reference. `free_disk` is not called
        // for a disk that was never added (`disk_release()`).
        unsafe { bindings::put_disk(disk) };
        // SAFETY: By the type invariants `data` came from `into_foreign`, and with the disk its
        // last user is gone: `put_disk()` dropped the only reference and released it. That nobody
        // else has got one while `add_disk()` failed is what all block drivers rely on, which free
        // their tag set then.
        drop(unsafe { KBox::<DiskData<T>>::from_foreign(data) });
    }
}

/// A disk that user space can see. Dropping it removes it.
///
/// # Invariants
///
/// - `disk` is valid and was added; this owns its first reference. It is not removed before this is
///   dropped.
/// - Its `private_data` is a foreign `KBox<DiskData<T>>`, which `free_disk` will free when the last
///   reference is gone.
pub(crate) struct Disk<T: Operations> {
    disk: NonNull<bindings::gendisk>,
    _driver: core::marker::PhantomData<T>,
}

// SAFETY: A disk may be removed by any task, and what it owns is `Send`.
unsafe impl<T: Operations> Send for Disk<T> {}
// SAFETY: The methods that take `&self` may run at once: `bd_prepare_to_claim()` locks.
unsafe impl<T: Operations> Sync for Disk<T> {}

impl<T: Operations> Disk<T> {
    /// The driver's state of this device.
    pub(crate) fn device(&self) -> &Arc<T::Device> {
        // SAFETY: By the type invariants the disk is valid.
        let data = unsafe { (*self.disk.as_ptr()).private_data };

        // SAFETY: By the type invariants it was made by `into_foreign` and is there as long as the
        // reference that this owns. Nobody has mutable access to it.
        &unsafe { &*data.cast::<DiskData<T>>() }.device
    }

    /// Claims the whole disk, so that nobody can open it exclusively (mount it, ...).
    ///
    /// `EBUSY` if somebody has. Waits while somebody else is about to. May sleep.
    pub(crate) fn claim(&self) -> Result<Claim> {
        // SAFETY: The disk is valid, and so is its whole-disk block device.
        let bdev = unsafe { (*self.disk.as_ptr()).part0 };
        let holder = self.disk.as_ptr().cast();

        // SAFETY: The block device is valid; the holder is an address that nobody else uses.
        to_result(unsafe { bindings::bd_prepare_to_claim(bdev, holder, core::ptr::null()) })?;
        // SAFETY: The block device is valid.
        let device = unsafe { &raw mut (*bdev).bd_device };
        // SAFETY: The disk's own device is the one embedded in `part0`, so this is a reference to
        // the disk, which is valid here.
        unsafe { bindings::get_device(device) };
        // INVARIANT: The claim was granted, and the reference taken.
        Ok(Claim { bdev, holder })
    }

    /// Removes the disk: waits for its requests to end; later ones fail. May sleep.
    ///
    /// Descriptors that are open stay open, and keep the driver's state.
    pub(crate) fn remove(self) {
        drop(self);
    }
}

impl<T: Operations> Drop for Disk<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the disk was added and not removed.
        unsafe { bindings::del_gendisk(self.disk.as_ptr()) };
        // A request may have ended before the work item that ended it is over.
        T::work_queue(self.device()).flush();
        // SAFETY: This is the reference that the type owns.
        unsafe { bindings::put_disk(self.disk.as_ptr()) };
    }
}

/// A claim on a disk that is about to be removed; ends when dropped.
///
/// # Invariants
///
/// `bdev` is the whole-disk device of a disk to which this owns a reference, being claimed by `holder`.
pub(crate) struct Claim {
    bdev: *mut bindings::block_device,
    holder: *mut kernel::ffi::c_void,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the claim is in progress.
        unsafe { bindings::bd_abort_claiming(self.bdev, self.holder) };
        // SAFETY: The block device is valid as long as there is the reference.
        let device = unsafe { &raw mut (*self.bdev).bd_device };
        // SAFETY: The reference is this type's. It is dropped last.
        unsafe { bindings::put_device(device) };
    }
}
