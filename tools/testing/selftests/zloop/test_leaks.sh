#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Nothing grows: memory, slab objects, open files, workqueues, module references; measured over many cycles.

. "$(dirname "$0")/lib.sh"

# Counters after everything that can be freed was freed. Sets FILES, SLAB (KiB), MEM (KiB free), WORKERS.
measure() {
	local key value cache
	must sync
	sleep 1
	echo 3 > /proc/sys/vm/drop_caches
	for cache in /sys/kernel/slab/kmalloc-*/shrink; do
		echo 1 > "$cache"
	done
	sleep 1
	echo 3 > /proc/sys/vm/drop_caches
	read -r FILES _ < /proc/sys/fs/file-nr
	while read -r key value _; do
		case $key in
		SUnreclaim:) SLAB=$value ;;
		MemFree:) MEM=$value ;;
		esac
	done < /proc/meminfo
	WORKERS=$(pgrep -c R-zloop)
	KMALLOC=$(awk '/^kmalloc-/ { n += $2 } END { print n }' /proc/slabinfo)
}

# With KASAN what is freed stays in use for a while, so that memory tells nothing; kmemleak does.
KASAN=$([ ! -e /proc/config.gz ] || zcat /proc/config.gz | grep -x CONFIG_KASAN=y)

# within LIMIT_SLAB_KIB LIMIT_MEM_KIB LIMIT_OBJECTS
within() { ((SLAB <= SLAB0 + $1 && MEM >= MEM0 - $2 && KMALLOC <= KMALLOC0 + $3)); }

# report LIMIT_SLAB_KIB LIMIT_MEM_KIB LIMIT_OBJECTS
report() {
	# Some of it is freed by work items and after grace periods; what has leaked stays.
	for _ in 1 2 3; do
		if [ -n "$KASAN" ] || within "$@"; then break; fi
		diag "kmalloc objects $KMALLOC, slab $SLAB KiB: once more in 5 s"
		sleep 5
		measure
	done
	diag "open files $FILES0 -> $FILES, slab $SLAB0 -> $SLAB KiB, kmalloc objects $KMALLOC0 -> $KMALLOC," \
		"free memory $MEM0 -> $MEM KiB, workqueue rescuers $WORKERS0 -> $WORKERS"
	((FILES <= FILES0 + 64)) || fail "open files grew from $FILES0 to $FILES"
	expect "workqueue rescuers" "$WORKERS0" "$WORKERS"
	[ ! -e /sys/module/zloop/refcnt ] || expect "module references" 0 "$(< /sys/module/zloop/refcnt)"
	[ -z "$KASAN" ] || return 0
	((SLAB <= SLAB0 + $1)) || fail "slab grew from $SLAB0 to $SLAB KiB"
	((MEM >= MEM0 - $2)) || fail "free memory went from $MEM0 to $MEM KiB"
	((KMALLOC <= KMALLOC0 + $3)) || fail "kmalloc objects grew from $KMALLOC0 to $KMALLOC"
}

remember() { FILES0=$FILES SLAB0=$SLAB MEM0=$MEM KMALLOC0=$KMALLOC WORKERS0=$WORKERS; }

cycle() {
	add capacity_mb=256,zone_size_mb=1,conv_zones=2,nr_queues=2
	"$ZBDTOOL" script "$DEV" <<-END || fail "I/O"
	reset all = ok
	write z0 64k = ok
	write z2 256k = ok
	open z3 = ok
	write z4 1m = ok
	finish z5 = ok
	fsync = ok
	read z2 256k = ok
	END
	remove
}

CYCLES=100 SMALL=400 FAILING=150 RELOADS=50
# Before that, what is only made once.
WARM=(5 50 10 5)
# Without the limits of memory there is no need for so many: more than the limit of files, the rest is kmemleak's.
[ -z "$KASAN" ] || { CYCLES=4 SMALL=70 FAILING=18 RELOADS=3 && WARM=(2 5 2 2); }

# 256 zones each: one small object leaked for each zone is 25600 objects, one file 25600 files.
t_add_remove() {
	local i
	backing_tmpfs
	for ((i = 0; i < WARM[0]; i++)); do cycle; done
	measure
	remember
	for ((i = 0; i < CYCLES; i++)); do cycle; done
	measure
	report 3000 12000 2000
}

# Many small devices: one object leaked for each device is 400 objects.
t_add_remove_small() {
	local i
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	small() {
		for ((i = 0; i < $1; i++)); do
			printf 'add id=0,base_dir=%s,capacity_mb=2,zone_size_mb=1,conv_zones=1' "$BDIR" > "$ZL_CTL" || fail add
			printf 'remove id=0' > "$ZL_CTL" || fail remove
		done
	}
	small "${WARM[1]}"
	measure
	remember
	small "$SMALL"
	measure
	report 2500 12000 380
}

t_failed_adds() {
	local i
	backing_tmpfs nr_inodes=100
	mkdir "$BDIR/0"
	failing() {
		for ((i = 0; i < $1; i++)); do
			# ENOSPC half way, and geometry and option errors
			{ printf 'add id=0,base_dir=%s,capacity_mb=200,zone_size_mb=1' "$BDIR" > "$ZL_CTL"; } 2> /dev/null && fail added
			{ printf 'add id=0,base_dir=%s,queue_depth=99999' "$BDIR" > "$ZL_CTL"; } 2> /dev/null && fail added
			{ printf 'add base_dir=%s/none,buffered_io,id=3' "$BDIR" > "$ZL_CTL"; } 2> /dev/null && fail added
			{ printf 'add base_dir=%s,base_dir=%s' "$BDIR" "$BDIR" > "$ZL_CTL"; } 2> /dev/null && fail added
		done
	}
	failing "${WARM[2]}"
	measure
	remember
	failing "$FAILING"
	measure
	report 2500 12000 380
	must umount "$BDIR"
}

t_module_reload() {
	local i
	need_module
	backing_tmpfs
	reload() {
		for ((i = 0; i < $1; i++)); do
			must rmmod zloop
			load_module || fail "load $i"
		done
	}
	reload "${WARM[3]}"
	measure
	remember
	reload "$RELOADS"
	measure
	# Loading a module leaves some objects of the module loader itself.
	report 2500 16000 1500
}

tap_run t_add_remove "$CYCLES cycles of add, I/O and remove"
tap_run t_add_remove_small "$SMALL cycles of a small device"
if [ "$ZLOOP_DRIVER" = c ]; then
	t_failed_adds() { skip "a failed add leaks a file in the C driver (test_b17)"; }
fi
tap_run t_failed_adds "$((4 * FAILING)) failed adds"
tap_run t_module_reload "$RELOADS cycles of rmmod and modprobe"
tap_end
