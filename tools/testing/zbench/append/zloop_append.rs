// SPDX-License-Identifier: GPL-2.0

//! Native zone appends to a block device, for the benchmark: no system call makes them.
//!
//! Loading the module does the work: `count` appends of `bytes` bytes with `depth` in flight, to one zone after the
//! other, as a file system that fills its open zone sends them, `batch` of them in a plug, as it does when it writes
//! back what many files have. What it took goes to the kernel log, and the module refuses to stay.

use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::{
        Instant,
        Monotonic, //
    },
    types::Opaque, //
};

module! {
    type: ZoneAppend,
    name: "zloop_append",
    authors: ["The zloop developers"],
    description: "Zone appends for the benchmark of zloop",
    license: "GPL",
    params: {
        major: u32 {
            default: 0,
            description: "Major number of the device",
        },
        minor: u32 {
            default: 0,
            description: "Minor number of the device",
        },
        zone_bytes: u64 {
            default: 0,
            description: "Size of the device's zones",
        },
        bytes: u32 {
            default: 4096,
            description: "Size of one append",
        },
        count: u64 {
            default: 0,
            description: "Number of appends",
        },
        depth: u32 {
            default: 32,
            description: "Appends in flight",
        },
        batch: u32 {
            default: 1,
            description: "Appends submitted together, in a plug; a part of depth",
        },
    },
}

const SECTOR: u64 = 512;
/// `BLK_OPEN_READ | BLK_OPEN_WRITE`, which bindgen does not evaluate.
const OPEN_READ_WRITE: bindings::blk_mode_t = 1 << 0 | 1 << 1;
/// `REQ_OP_ZONE_APPEND | REQ_SYNC | REQ_IDLE`, as for direct I/O.
const OPF: bindings::blk_opf_t = bindings::req_op_REQ_OP_ZONE_APPEND
    | 1 << bindings::req_flag_bits___REQ_SYNC
    | 1 << bindings::req_flag_bits___REQ_IDLE;

/// Appends that ended with an error.
static FAILED: Atomic<u64> = Atomic::new(0);

/// One append in flight, or none.
struct Slot {
    bio: Opaque<bindings::bio>,
    vec: Opaque<bindings::bio_vec>,
    done: Opaque<bindings::completion>,
}

/// The open device; closed when dropped.
struct Device(*mut bindings::file);

impl Device {
    fn open(number: bindings::dev_t) -> Result<Self> {
        // SAFETY: No holder and no operations of one are given.
        let file = unsafe {
            bindings::bdev_file_open_by_dev(
                number,
                OPEN_READ_WRITE,
                core::ptr::null_mut(),
                core::ptr::null(),
            )
        };
        Ok(Self(from_err_ptr(file)?))
    }

    fn as_bdev(&self) -> *mut bindings::block_device {
        // SAFETY: The file is that of an open block device.
        unsafe { bindings::file_bdev(self.0) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: Opened by `open`, and nothing is in flight any more.
        unsafe { bindings::bdev_fput(self.0) };
    }
}

unsafe extern "C" fn end_io(bio: *mut bindings::bio) {
    // SAFETY: `bi_private` is the slot of the bio, which `run` keeps until the completion below.
    let (slot, status) = unsafe { (&*(*bio).bi_private.cast::<Slot>(), (*bio).bi_status) };
    if status != 0 {
        FAILED.fetch_add(1, Relaxed);
    }
    // SAFETY: Initialised by `run`.
    unsafe { bindings::complete(slot.done.get()) };
}

/// What to do, by the module's parameters of these names.
struct Work {
    zone_bytes: u64,
    bytes: u32,
    count: u64,
    depth: u32,
    batch: u32,
}

impl Work {
    /// Whether [`run`] can do it.
    fn is_possible(&self) -> bool {
        self.bytes != 0
            && self.zone_bytes >= u64::from(self.bytes)
            && self.batch != 0
            && self.depth != 0
            && self.depth % self.batch == 0
            && self.count >= u64::from(self.depth)
            && self.count % u64::from(self.batch) == 0
    }
}

/// Appends everything and waits for it; returns the nanoseconds it took.
fn run(device: &Device, work: &Work) -> Result<i64> {
    let Work {
        zone_bytes,
        bytes,
        count,
        depth,
        batch,
    } = *work;
    let plug = Opaque::<bindings::blk_plug>::uninit();
    let mut data = KVec::<u8>::new();
    data.resize(bytes as usize, 0, GFP_KERNEL)?;
    let mut slots = KVec::with_capacity(depth as usize, GFP_KERNEL)?;
    for _ in 0..depth {
        slots.push(
            Slot {
                bio: Opaque::uninit(),
                vec: Opaque::uninit(),
                done: Opaque::uninit(),
            },
            GFP_KERNEL,
        )?;
    }
    let per_zone = zone_bytes / u64::from(bytes);
    let start = Instant::<Monotonic>::now();
    let slot_of = |i: u64| &slots[(i % u64::from(depth)) as usize];
    for i in 0..count + u64::from(depth) {
        let starts_batch = i % u64::from(batch) == 0;
        if starts_batch && i >= u64::from(depth) {
            for j in i..i + u64::from(batch) {
                let slot = slot_of(j);
                // SAFETY: The slot's append before this one was submitted: `batch` divides `depth` and `count`, and
                // `count >= depth`.
                unsafe {
                    bindings::wait_for_completion(slot.done.get());
                    bindings::bio_uninit(slot.bio.get());
                }
            }
        }
        if i >= count {
            continue;
        }
        if batch > 1 && starts_batch {
            // SAFETY: The plug stays where it is and is finished below.
            unsafe { bindings::blk_start_plug(plug.get()) };
        }
        let slot = slot_of(i);
        let bio = slot.bio.get();
        // SAFETY: Nothing uses the slot now. The bio has room for the one vector that is added; slot and data stay
        // where they are until the append is complete, which is waited for above.
        unsafe {
            bindings::init_completion(slot.done.get());
            bindings::bio_init(bio, device.as_bdev(), slot.vec.get(), 1, OPF);
            (*bio).bi_iter.bi_sector = i / per_zone * zone_bytes / SECTOR;
            (*bio).bi_private = core::ptr::from_ref(slot).cast_mut().cast();
            (*bio).bi_end_io = Some(end_io);
            bindings::bio_add_virt_nofail(bio, data.as_mut_ptr().cast(), bytes);
            bindings::submit_bio(bio);
        }
        if batch > 1 && (i + 1) % u64::from(batch) == 0 {
            // SAFETY: Started above, by this task.
            unsafe { bindings::blk_finish_plug(plug.get()) };
        }
    }
    Ok(start.elapsed().as_nanos())
}

struct ZoneAppend;

impl kernel::Module for ZoneAppend {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let number = module_parameters::major.value() << 20 | module_parameters::minor.value();
        let work = Work {
            zone_bytes: *module_parameters::zone_bytes.value_ref(),
            bytes: *module_parameters::bytes.value_ref(),
            count: *module_parameters::count.value_ref(),
            depth: *module_parameters::depth.value_ref(),
            batch: *module_parameters::batch.value_ref(),
        };
        if !work.is_possible() {
            return Err(EINVAL);
        }
        let device = Device::open(number)?;
        let ns = run(&device, &work)?;
        pr_info!(
            "{} appends, {} failed, {ns} ns\n",
            work.count,
            FAILED.load(Relaxed)
        );
        Err(ECANCELED)
    }
}
