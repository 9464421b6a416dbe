// SPDX-License-Identifier: GPL-2.0

//! QEMU plugin that counts the guest's instructions by the address of their translation block, from one mark of the
//! guest to the next (see `profile.rs`).
//!
//! QEMU gives a plugin C functions that are found when it is loaded, in `qemu/qemu-plugin.h` of QEMU 10.0 (interface
//! version 4). The eleven that this one needs are declared below; the crate that binds them all is for newer QEMUs.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::fmt::Write;
use std::sync::{Mutex, OnceLock};

#[repr(C)]
#[derive(Clone, Copy)]
struct PluginU64 {
    score: *mut c_void,
    offset: usize,
}

type TranslateCallback = extern "C" fn(u64, *mut c_void);
type ExecCallback = extern "C" fn(c_uint, *mut c_void);

/// `enum qemu_plugin_op`: add to the counter.
const ADD_U64: c_int = 0;
/// `enum qemu_plugin_cb_flags`: the callback reads no registers.
const NO_REGS: c_int = 0;

extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: TranslateCallback);
    fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        tb: *mut c_void,
        op: c_int,
        entry: PluginU64,
        imm: u64,
    );
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut c_void,
        callback: ExecCallback,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(tb: *const c_void) -> usize;
    fn qemu_plugin_tb_vaddr(tb: *const c_void) -> u64;
    fn qemu_plugin_tb_get_insn(tb: *const c_void, index: usize) -> *mut c_void;
    fn qemu_plugin_insn_data(insn: *const c_void, dest: *mut c_void, len: usize) -> usize;
    fn qemu_plugin_scoreboard_new(element_size: usize) -> *mut c_void;
    fn qemu_plugin_u64_sum(entry: PluginU64) -> u64;
}

/// Counters in one scoreboard; QEMU allocates them for several processors.
const CHUNK: usize = 1 << 14;

/// A translation block: its address and number of instructions. QEMU translates it again when it likes.
type Block = (u64, usize);

struct Counters {
    directory: String,
    /// Runs that were written.
    runs: u32,
    chunks: Vec<*mut c_void>,
    blocks: HashMap<Block, (PluginU64, u64)>,
}

// SAFETY: the pointers are handles that QEMU's functions take from any thread.
unsafe impl Send for Counters {}

static COUNTERS: OnceLock<Mutex<Counters>> = OnceLock::new();

impl Counters {
    /// The counter of a block's executions.
    fn counter(&mut self, block: Block) -> PluginU64 {
        let used = self.blocks.len();
        let chunks = &mut self.chunks;
        self.blocks
            .entry(block)
            .or_insert_with(|| {
                if used / CHUNK == chunks.len() {
                    // SAFETY: may be called whenever the plugin is loaded.
                    chunks.push(unsafe { qemu_plugin_scoreboard_new(CHUNK * 8) });
                }
                let entry = PluginU64 {
                    score: chunks[used / CHUNK],
                    offset: used % CHUNK * 8,
                };
                (entry, 0)
            })
            .0
    }

    fn start(&mut self) {
        for (entry, base) in self.blocks.values_mut() {
            // SAFETY: the entry lies in a scoreboard that is never freed.
            *base = unsafe { qemu_plugin_u64_sum(*entry) };
        }
    }

    /// Writes a line "address instructions executions" for each block that was executed since the start.
    fn stop(&mut self) {
        let mut text = String::new();
        for ((address, instructions), (entry, base)) in &self.blocks {
            // SAFETY: as in `start`.
            let count = unsafe { qemu_plugin_u64_sum(*entry) } - base;
            if count > 0 {
                let _ = writeln!(text, "{address:x} {instructions} {count}");
            }
        }
        let path = format!("{}/counts.{}", self.directory, self.runs);
        if let Err(e) = std::fs::write(&path, text) {
            eprintln!("profile: {path}: {e}");
        }
        self.runs += 1;
    }
}

fn with_counters<T>(what: impl FnOnce(&mut Counters) -> T) -> Option<T> {
    let counters = COUNTERS.get()?;
    Some(what(
        &mut counters.lock().unwrap_or_else(|e| e.into_inner()),
    ))
}

/// The marks of `profile.rs` but for the byte that differs.
const MARK: [u8; 8] = [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x4d, 0x42, 0x5a];
const MARK_BYTE: usize = 4;

extern "C" fn marked(_cpu: c_uint, data: *mut c_void) {
    match data as usize {
        1 => with_counters(Counters::start),
        2 => with_counters(Counters::stop),
        _ => None,
    };
}

extern "C" fn translated(_id: u64, tb: *mut c_void) {
    // SAFETY: `tb` is valid during this callback, and so are its instructions.
    unsafe {
        let instructions = qemu_plugin_tb_n_insns(tb);
        let address = qemu_plugin_tb_vaddr(tb);
        if let Some(entry) = with_counters(|c| c.counter((address, instructions))) {
            qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, ADD_U64, entry, 1);
        }
        for i in 0..instructions {
            let insn = qemu_plugin_tb_get_insn(tb, i);
            let mut bytes = [0u8; MARK.len()];
            let got = qemu_plugin_insn_data(insn, bytes.as_mut_ptr().cast(), bytes.len());
            let kind = std::mem::replace(&mut bytes[MARK_BYTE], 0);
            if got == MARK.len() && bytes == MARK {
                qemu_plugin_register_vcpu_insn_exec_cb(
                    insn,
                    marked,
                    NO_REGS,
                    usize::from(kind) as *mut c_void,
                );
            }
        }
    }
}

/// The interface version, which QEMU looks for.
#[no_mangle]
pub static qemu_plugin_version: c_int = 4;

/// Called by QEMU with the words that follow the plugin's name on its command line: out=DIRECTORY.
///
/// # Safety
///
/// As QEMU calls it: `argv` has `argc` strings.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let mut directory = None;
    for i in 0..usize::try_from(argc).unwrap_or(0) {
        // SAFETY: `argv` has `argc` strings.
        let word = unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy();
        directory = word.strip_prefix("out=").map(str::to_owned).or(directory);
    }
    let Some(directory) = directory else {
        eprintln!("profile: out=DIRECTORY is missing");
        return -1;
    };
    let counters = Counters {
        directory,
        runs: 0,
        chunks: Vec::new(),
        blocks: HashMap::new(),
    };
    if COUNTERS.set(Mutex::new(counters)).is_err() {
        return -1;
    }
    // SAFETY: `id` is this plugin's.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    0
}
