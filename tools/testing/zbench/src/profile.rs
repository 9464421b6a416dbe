// SPDX-License-Identifier: GPL-2.0

//! Instructions by function: the guest marks when the plugin of the VM counts (`plugin/lib.rs`), and what it counted
//! by address is put together by function and by part of the kernel.

use crate::system::{get, put, Res};
use std::time::Duration;

/// Made by the job when its I/O begins.
pub const BEGUN: &str = "/tmp/fio.begun";

/// When counting starts after that, and how long it lasts.
const BEFORE: Duration = Duration::from_millis(50);
const COUNTED: Duration = Duration::from_millis(200);

/// Tells the plugin to begin: an instruction that does nothing, with a displacement that nothing else has.
fn mark_start() {
    // SAFETY: nopl 0x5a424d01(%rax,%rax,1) has no effect.
    unsafe { std::arch::asm!(".byte 0x0f, 0x1f, 0x84, 0x00, 0x01, 0x4d, 0x42, 0x5a") };
}

/// Tells the plugin to stop, and to write what it has.
fn mark_stop() {
    // SAFETY: nopl 0x5a424d02(%rax,%rax,1) has no effect.
    unsafe { std::arch::asm!(".byte 0x0f, 0x1f, 0x84, 0x00, 0x02, 0x4d, 0x42, 0x5a") };
}

/// Says what the next counts are of. The plugin writes them to a file of the host, in the order of the jobs;
/// `DIR/names` says which is which, and how many operations were counted if that is known. `DIR/kallsyms.N` has the
/// addresses of that time.
fn note(dir: &str, name: &str) -> Res<()> {
    let names = format!("{dir}/names");
    let mut list = get(&names).unwrap_or_default();
    put(
        &format!("{dir}/kallsyms.{}", list.lines().count()),
        &get("/proc/kallsyms")?,
    )?;
    list.push_str(name);
    list.push('\n');
    put(&names, &list)
}

/// Runs `what`, which are `ops` operations, with all of its instructions counted.
pub fn all_of<T>(dir: &str, name: &str, ops: u64, what: impl FnOnce() -> Res<T>) -> Res<T> {
    note(dir, &format!("{name} {ops}"))?;
    mark_start();
    let result = what();
    mark_stop();
    result
}

/// Runs a job of fio with the instructions in its middle counted.
pub fn middle_of(dir: &str, name: &str, job: impl FnOnce() -> Res<()>) -> Res<()> {
    note(dir, name)?;
    let _ = std::fs::remove_file(BEGUN);
    let marker = std::thread::spawn(|| {
        while !std::path::Path::new(BEGUN).exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(BEFORE);
        mark_start();
        std::thread::sleep(COUNTED);
        mark_stop();
    });
    job()?;
    if !std::path::Path::new(BEGUN).exists() {
        return Err("the job did not say when it began".into());
    }
    let _ = marker.join();
    Ok(())
}

/// Symbols of the kernel at the time, by address.
struct Symbols(Vec<(u64, String, String)>);

impl Symbols {
    /// Of /proc/kallsyms: address, type, name and, for modules, [module].
    fn parse(text: &str) -> Self {
        let mut list: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let address = u64::from_str_radix(words.next()?, 16).ok()?;
                let kind = words.next()?;
                let name = words.next()?;
                let module = words.next().unwrap_or_default().trim_matches(['[', ']']);
                "tTwW".contains(kind).then(|| {
                    (
                        address,
                        format!("{:#}", rustc_demangle::demangle(name)),
                        module.to_owned(),
                    )
                })
            })
            .collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list.dedup_by(|b, a| a.0 == b.0);
        Self(list)
    }

    /// Function and module (empty for the kernel itself) at an address, and whether it is the function's first.
    fn find(&self, address: u64) -> (&str, &str, bool) {
        let next = self.0.partition_point(|(start, ..)| *start <= address);
        match next.checked_sub(1).map(|i| &self.0[i]) {
            Some((start, name, module)) => (name, module, *start == address),
            None => ("?", "", false),
        }
    }
}

/// Parts of the kernel that have no module of their own, and how the names of their functions begin.
const AREAS: &[(&str, &str)] = &[
    (
        "copying",
        "__copy_ _copy_ clear_ copy_ memcpy memmove memset raw_copy rep_movs rep_stos",
    ),
    (
        "zoned block layer",
        "blk_zone blkdev_zone disk_get_zone disk_should disk_zone zone_w",
    ),
    (
        "block layer",
        "__bio __blk __dd_ __rq_qos __sbitmap __submit_bio bdev bio_ blk_ blkdev bvec_ dd_ \
         disk_ elv_ guard_bio ioprio ll_back ll_front part_ rq_ sbitmap submit_bio \
         update_io_ticks wbt_",
    ),
    ("iomap", "__iomap iomap"),
    (
        "workqueues",
        "__queue_delayed __queue_work assign_work delayed_work flush_work insert_work \
         kick_pool move_linked process_one_work process_sch pwq_ queue_work rescuer set_work \
         worker_ wq_",
    ),
    (
        "scheduler",
        "___schedule __dequeue __enqueue __resched __schedule __switch __update_load \
         __wake_up attach_ autoremove_wake available_idle avg_vruntime cgroup_rstat \
         check_preempt clear_buddies cpu_util cpuacct default_wake dequeue_ dl_ enqueue_ \
         entity_ finish_task finish_wait hrtick io_schedule migrate_ min_vruntime pick_ \
         place_ prepare_task prepare_to_wait propagate psi_ put_prev record_times resched \
         reweight rseq sched_ schedule select_task set_next switch_ task_ try_to_wake ttwu \
         update_cfs update_curr update_entity update_load update_min update_rq vruntime \
         wake_up wakeup_ yield",
    ),
    (
        "locks",
        "__down __mutex __percpu __up _raw_spin down lockref mutex native_queued osq_ percpu_ \
         queued_ refcount rwsem up",
    ),
    (
        "memory",
        "___slab __alloc_pages __folio __free __get_ __handle_mm __kmalloc __memcg __mod_ \
         __slab __xa alloc_ bad_page do_anonymous find_vma folio follow_ free_ get_page \
         get_user_pages gup handle_mm internal_get_user is_valid_gup kfree kmalloc kmem \
         kvmalloc lru_ mas_ memcg mempool mm_ mod_ mt_ obj_cgroup page_ pin_user put_ refill_ \
         rmqueue slab try_grab unpin vma_ xa_ xas_",
    ),
    (
        "aio and io_uring",
        "__io_ __x64_sys_io aio_ do_io_get io_ lookup_ioctx read_events",
    ),
    (
        "files",
        "__fget __filemap __fput __fsnotify __import __mark_inode apparmor current_time \
         dentry dio_ do_fallocate do_fsync do_truncate errseq ext4 fget file_ filemap fput \
         fsnotify fsync generic_ import_ inode iov_iter iter_ kiocb mnt_ notify_change path_ \
         rw_verify security_ setattr sync_ timestamp touch_ truncate unmap_mapping vfs_ wb_ \
         wbc_ writeback",
    ),
    (
        "time",
        "__hrtimer __timer acpi_pm calc_ clockevents enqueue_hr hrtimer ktime lapic \
         local_clock mod_timer native_sched_clock pvclock rb_ read_hpet read_tsc run_local \
         run_timer tick_ timekeeping timer tsc_ update_process update_wall",
    ),
    (
        "interrupts, RCU",
        "__call_rcu __do_soft __irq __local_bh __raise_soft __rcu __srcu asm_ call_rcu \
         common_interrupt do_soft error_ exc_ handle_edge handle_irq handle_soft irq note_gp \
         note_interrupt raise_soft rcu srcu swake sysvec tasklet",
    ),
    (
        "system calls",
        "__get_user __put_user __x64 __x86 arch_exit do_syscall entry_ exit_to_user fpu_ \
         its_return restore_fp restore_regs ret_from save_fp srso syscall_ x64_sys x86_",
    ),
    ("tracing", "__perf __trace ftrace perf_ trace_"),
    ("lists, sorting", "__list_ list_ merge"),
];

/// Addresses from here are the kernel's.
const KERNEL: u64 = 1 << 63;

/// The part of the kernel that a function belongs to.
fn area<'a>(name: &str, module: &'a str) -> &'a str {
    if !module.is_empty() {
        return module;
    }
    AREAS
        .iter()
        .filter_map(|(area, starts)| {
            let longest = starts
                .split_ascii_whitespace()
                .filter(|s| name.starts_with(s))
                .map(|s| s.len())
                .max()?;
            Some((longest, *area))
        })
        .max_by_key(|(longest, _)| *longest)
        .map_or("other", |(_, area)| area)
}

/// Instructions and calls of a function.
#[derive(Default)]
struct Count {
    instructions: u64,
    calls: u64,
}

/// The profile of one job, as text: by part, then by function. Without a number of operations it is that of fio's
/// submissions.
pub fn report(counts: &str, kallsyms: &str, ops: Option<u64>, lines: usize) -> Res<String> {
    use std::collections::HashMap;
    use std::fmt::Write;
    let symbols = Symbols::parse(kallsyms);
    let mut functions: HashMap<(&str, &str), Count> = HashMap::new();
    for line in counts.lines() {
        let mut words = line.split(' ');
        let mut word = |radix| {
            words
                .next()
                .and_then(|w| u64::from_str_radix(w, radix).ok())
        };
        let (Some(address), Some(length), Some(times)) = (word(16), word(10), word(10)) else {
            return Err(format!("not a count: {line}"));
        };
        let (name, module, first) = if address < KERNEL {
            ("(user space)", "user space", false)
        } else {
            symbols.find(address)
        };
        let count = functions.entry((name, module)).or_default();
        count.instructions += length * times;
        count.calls += if first { times } else { 0 };
    }
    let total: u64 = functions.values().map(|c| c.instructions).sum();
    // Each I/O of fio is one of these system calls, with one exception that the caller has to know.
    let calls = |name| functions.get(&(name, "")).map_or(0, |c: &Count| c.calls);
    let ios = ops.unwrap_or(calls("__x64_sys_io_submit").max(calls("__do_sys_io_uring_enter")));
    if total == 0 || ios == 0 {
        return Err("no I/O in the profile".into());
    }
    let each = |n: u64| n as f64 / ios as f64;

    let mut parts: HashMap<&str, u64> = HashMap::new();
    for ((name, module), count) in &functions {
        *parts.entry(area(name, module)).or_default() += count.instructions;
    }
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut text = format!(
        "{ios} operations, {:.0} instructions each\n\n{:>10} {:>6}  part\n",
        each(total),
        "each",
        "share"
    );
    let share = |n: u64| n as f64 * 100.0 / total as f64;
    for (part, count) in parts {
        let _ = writeln!(text, "{:>10.0} {:>5.1}%  {part}", each(count), share(count));
    }
    let mut list: Vec<_> = functions.iter().collect();
    list.sort_by(|a, b| b.1.instructions.cmp(&a.1.instructions).then(a.0.cmp(b.0)));
    let _ = writeln!(
        text,
        "\n{:>10} {:>6} {:>7}  function",
        "each", "share", "calls"
    );
    for ((name, module), count) in list.into_iter().take(lines) {
        let module = if module.is_empty() || *module == "user space" {
            String::new()
        } else {
            format!(" [{module}]")
        };
        let _ = writeln!(
            text,
            "{:>10.0} {:>5.1}% {:>7.2}  {name}{module}",
            each(count.instructions),
            share(count.instructions),
            each(count.calls),
        );
    }
    Ok(text)
}

/// Prints the profiles in a directory. False if one of them could not be made.
pub fn print(dir: &str, lines: usize) -> Res<bool> {
    let mut good = true;
    for (i, line) in get(&format!("{dir}/names"))?.lines().enumerate() {
        let (name, ops) = match line.split_once(' ') {
            Some((name, ops)) => (name, ops.parse().ok()),
            None => (line, None),
        };
        let counts = get(&format!("{dir}/counts.{i}"))?;
        let symbols = get(&format!("{dir}/kallsyms.{i}"))?;
        let text = report(&counts, &symbols, ops, lines).unwrap_or_else(|e| {
            good = false;
            format!("FAILED: {e}\n")
        });
        println!("== {name}\n{text}");
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &str = "ffffffff81000000 T _text\nffffffff81000100 T __x64_sys_io_submit\n\
        ffffffff81000200 T blk_mq_submit_bio\nffffffff81000300 d data\n\
        ffffffffc0000000 t _RNvNtCs8ak_5zloop4zone5admit\t[zloop]\n";

    #[test]
    fn instructions_are_summed_by_function_and_part() {
        let counts = "ffffffff81000100 5 10\nffffffff81000120 7 10\nffffffff81000210 100 1\n\
                      ffffffffc0000000 20 10\n401000 10 100\n";
        let twice = report(counts, SYMBOLS, Some(5), 10).unwrap();
        assert!(twice.starts_with("5 operations, 284 instructions each"));
        let text = report(counts, SYMBOLS, None, 10).unwrap();
        assert!(
            text.starts_with("10 operations, 142 instructions each"),
            "{text}"
        );
        let line = |end: &str| {
            text.lines()
                .find(|l| l.ends_with(end))
                .unwrap_or_else(|| panic!("{end} in {text}"))
        };
        assert_eq!(
            line("__x64_sys_io_submit")
                .split_whitespace()
                .collect::<Vec<_>>()[..3],
            ["12", "8.5%", "1.00"]
        );
        assert!(line("block layer").contains("10 "));
        assert!(line("zloop::zone::admit [zloop]").contains("20 "));
        assert!(line("(user space)").contains("100 "));
    }

    #[test]
    fn a_profile_without_io_is_an_error() {
        assert!(report("ffffffff81000210 100 1\n", SYMBOLS, None, 10).is_err());
        assert!(report("", SYMBOLS, None, 10).is_err());
        assert!(report("nonsense\n", SYMBOLS, None, 10).is_err());
    }

    #[test]
    fn rust_names_are_paths() {
        let symbols = Symbols::parse(
            "f0 t _RNvMs0_NtCsfJrJwZ3Ujd7_5zloop4zoneNtB5_4Zone11admit_write [zloop]\n",
        );
        assert_eq!(
            symbols.find(0xf1),
            ("<zloop::zone::Zone>::admit_write", "zloop", false)
        );
        assert_eq!(symbols.find(0x10), ("?", "", false));
    }

    #[test]
    fn the_longest_beginning_decides() {
        assert_eq!(area("blk_zone_wplug_handle", ""), "zoned block layer");
        assert_eq!(area("blk_mq_run", ""), "block layer");
        assert_eq!(area("anything", "xfs"), "xfs");
        assert_eq!(area("qqq", ""), "other");
    }
}
