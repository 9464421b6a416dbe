#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations that fail, each in turn, in add, remove and all I/O: the state is the one before or the one after, the
# operation works when it is tried again, and nothing is lost or leaked. Needs a kernel with fault injection.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_nullb.sh"
. "$(dirname "$0")/lib_nvmet.sh"

FAST=submit_inline=1,prealloc_kb=1024,fua=1
LONG=submit_inline=0,fua=0
# Each case chooses them.
ZLOOP_OPTIONS=
# Of add, which has about 900 places, every n-th one only; 1 is all of them, and takes long. With another seed it is others.
STRIDE=${ZLOOP_FAULT_STRIDE:-23}
SOME=(--stride "$STRIDE" --first $((${ZLOOP_SEED:-0} % STRIDE)))
TALLY=$(mktemp)

need_faults() {
	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug 2> /dev/null
	[[ -d /sys/kernel/debug/failslab && -d /sys/kernel/debug/fail_page_alloc ]] ||
		skip "the kernel has no CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC"
	[ -n "${ZLOOP_ALLOC_FAULTS:-}" ] || skip "takes long: make check-faults"
}

# What is allocated in work items for an append can be done without, and so for a FLUSH: one file is synced after the other.
MAY_ALL_SUCCEED=
# Operations that allocate nothing there: a regular expression.
NONE_IN=

# walk ARGUMENT...: of zbdtool faults. Fails unless each operation but NONE_IN met faults, and some were noticed.
walk() {
	local out line injected all=0 failed=0
	out=$("$ZBDTOOL" faults "$@") || fail "$out"
	diag "$out"
	while read -r line; do
		[[ $line =~ injected=([0-9]+)\ failed=([0-9]+) ]] || continue
		printf '%s\n' "${BASH_REMATCH[*]:1}" >> "$TALLY"
		injected=${BASH_REMATCH[1]} all=$((all + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
		[ "$injected" != 0 ] || [[ $line =~ ^($NONE_IN)\  ]] || fail "nothing was tested: $line"
	done <<< "$out"
	[ "$all" != 0 ] || fail "nothing was tested: $out"
	[[ $failed$MAY_ALL_SUCCEED != 0 ]] || fail "no fault was noticed"
}

# What kmemleak finds that was not there when the case began.
leaks_before() { echo scan > /sys/kernel/debug/kmemleak && echo clear > /sys/kernel/debug/kmemleak; } 2> /dev/null
no_leaks() {
	local report
	{ echo scan > /sys/kernel/debug/kmemleak; } 2> /dev/null || { diag "no kmemleak"; return; }
	# Only what is 5 s old is reported.
	sleep 6
	echo scan > /sys/kernel/debug/kmemleak
	report=$(head -n 60 /sys/kernel/debug/kmemleak)
	[ -z "$report" ] || fail "leaked: $report"
}

ADD=capacity_mb=12,zone_size_mb=4,conv_zones=1

# control_walk TYPE ARGUMENT...: the backing file system can be unmounted afterwards.
control_walk() {
	need_faults
	backing "$1"
	leaks_before
	walk "$2" "$BDIR" "$ADD" "${@:3}"
	must umount "$BDIR"
	no_leaks
}

t_add_tmpfs() { control_walk tmpfs add "${SOME[@]}"; }
t_add_xfs() { control_walk xfs add "${SOME[@]}"; }
t_add_again() { control_walk xfs add --again "${SOME[@]}"; }
t_remove() { control_walk xfs remove; }

# first_use_walk PLACE: a zone's file is opened by the first read, in a work item.
first_use_walk() {
	need_faults
	backing tmpfs
	add "$ADD"
	steps "$DEV" <<< "write z1 64k = ok"
	remove
	leaks_before
	walk first-use "$BDIR" "$ADD" --place "$1"
	must umount "$BDIR"
	no_leaks
}

t_first_use() { first_use_walk workers-slab; }

# io_walk TYPE OPTIONS ARGUMENT...
io_walk() {
	need_faults
	if [ "$1" = null_blk ]; then backing_null_blk; else backing "$1"; fi
	add "capacity_mb=24,zone_size_mb=4,conv_zones=1${2:+,$2}"
	leaks_before
	walk io "$DEV" "${@:3}"
	remove
	must umount "$BDIR"
	no_leaks
}

# XFS on memory that is there already: what the disk itself allocates is not to fail.
backing_null_blk() {
	nullb_plain size=300 || skip "no null_blk"
	must dd if=/dev/zero of="$NULLB" bs=1M oflag=direct count=300 status=none
	make_fs xfs "$NULLB"
	mount_backing "$NULLB"
}

# A report, a FLUSH and a reset of all zones need no memory of the task that asks for them.
NONE_FOR_TASK="Report|Flush|ResetAll"
t_io_tmpfs() { NONE_IN=$NONE_FOR_TASK io_walk tmpfs "$FAST"; }
t_io_xfs() { NONE_IN=$NONE_FOR_TASK io_walk null_blk "$FAST"; }
t_io_buffered() { NONE_IN=$NONE_FOR_TASK io_walk null_blk buffered_io,submit_inline=1; }

# Of these operations only a FLUSH takes memory of the driver's own in a work item. tmpfs takes pages for the data, where there was none
# before; what it takes for the first write to a file it has by then.
NONE_FOR_ZONE="Reset|ResetAll|Finish|Open|Close|Report"
t_workers_tmpfs() {
	NONE_IN="Read|Write|WriteConventional|$NONE_FOR_ZONE" MAY_ALL_SUCCEED=1
	io_walk tmpfs "$LONG" --place workers-slab
}

t_workers_pages_tmpfs() {
	NONE_IN="Read|WriteConventional|Flush|$NONE_FOR_ZONE"
	io_walk tmpfs "$LONG" --place workers-pages
}

# XFS allocates much in its workers, and nothing small.
t_workers_xfs() { NONE_IN="Open|Close|Report" io_walk null_blk "$LONG,prealloc_kb=1024" --place workers-slab --grain 512; }

# Whole pages it mostly insists on (__GFP_NOFAIL): which operation asks for one that it can do without, and whether it
# takes no for an answer, depends on what its caches have.
t_workers_pages_xfs() {
	MAY_ALL_SUCCEED=1
	NONE_IN="Read|Write|WriteConventional|Flush|$NONE_FOR_ZONE"
	io_walk null_blk "$LONG,prealloc_kb=1024" --place workers-pages
}

# Native appends, which come to the device in a worker of the NVMe target.
appends() {
	need_faults
	backing_tmpfs
	add "capacity_mb=24,zone_size_mb=4,conv_zones=0${1:+,$1}"
	nvmet_up "$DEV"
	MAY_ALL_SUCCEED=1 walk io "$DEV" --ops append --nvme "$NVME" --len "$NVMET_SAFE_LEN" --place workers-slab
	walk io "$DEV" --ops append --nvme "$NVME" --len "$NVMET_SAFE_LEN" --place workers-pages
	nvmet_down "$NVMET_NQN"
}

t_append() { appends ""; }
t_append_ordered() { appends ordered_zone_append; }

tap_run t_add_tmpfs "add, on tmpfs"
tap_run t_add_xfs "add, on XFS"
tap_run t_add_again "add of a device that exists"
tap_run t_remove "remove"
tap_run t_first_use "the first read of a zone"
tap_run t_io_tmpfs "I/O in the submitter's task, tmpfs"
tap_run t_io_xfs "I/O in the submitter's task, XFS"
tap_run t_io_buffered "I/O in the submitter's task, XFS, buffered_io"
tap_run t_workers_tmpfs "I/O in work items, slab objects, tmpfs"
tap_run t_workers_pages_tmpfs "I/O in work items, pages, tmpfs"
tap_run t_workers_xfs "I/O in work items, slab objects, XFS"
tap_run t_workers_pages_xfs "I/O in work items, pages, XFS"
tap_run t_append "native appends"
tap_run t_append_ordered "native appends, ordered"
diag "$(awk '{ injected += $1; failed += $2 } END { printf "%d faults, %d of them noticed", injected, failed }' "$TALLY")"
rm "$TALLY"
tap_end
