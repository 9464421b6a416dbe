#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A device of very many zones, ZLOOP_MANY_ZONES=200000 in check-full: how long commands take, that a signal ends an add,
# how much memory a zone keeps, and that the first and the last zone work.

. "$(dirname "$0")/lib.sh"

scaled 10000
ZONES=${ZLOOP_MANY_ZONES:-$REPLY}
O=capacity_mb=$ZONES,zone_size_mb=1,conv_zones=1
LAST=z$((ZONES - 1))
# Bytes that a zone may keep while it is not used, its file included: a third of what the C driver needs.
MAX_BYTES=780

# Not on a loop device: 200,000 files are made on the file system of the VM's own disk.
backing_scratch() {
	BDIR=$ZLOOP_SCRATCH/many-zones
	rm -rf "$BDIR"
	mkdir "$BDIR"
}

# timed COMMAND: to the control device; it has to succeed. Sets MS.
timed() {
	local began
	now_ms
	began=$REPLY
	ctl_expect ok "$1"
	now_ms
	MS=$((REPLY - began))
	diag "${1%% *}: $ZONES zones in $MS ms"
}

# KiB of the kernel's memory that cannot be given back. Sets KIB.
in_use() {
	local i key value cache
	for i in 1 2 3; do
		must sync
		echo 3 > /proc/sys/vm/drop_caches
		sleep 0.3
	done
	for cache in /sys/kernel/slab/*/shrink; do
		[ ! -e "$cache" ] || echo 1 > "$cache"
	done
	KIB=0
	while read -r key value _; do
		case $key in
		Slab: | VmallocUsed: | Percpu:) KIB=$((KIB + value)) ;;
		esac
	done < /proc/meminfo
}

# check_ends REPORT-OF-THE-FIRST REPORT-OF-THE-LAST
check_ends() {
	steps "$DEV" <<-END
	report z0 = NOT_WP
	report z1 = $1
	report $LAST = $2
	report z$((ZONES / 2)) = EMPTY
	END
}

t_all() {
	local with
	backing_scratch
	klog_mark
	undo dev 0
	DEV=/dev/zloop0
	timed "add id=0,base_dir=$BDIR,$O"
	# It says every five seconds how far it is.
	if ((MS < 11000)); then
		diag "progress: not looked for, the add was too quick to have to say any"
	else
		klog_has "zloop0:" " of $ZONES zones"
	fi
	expect "capacity in sectors" "$((ZONES * 2048))" "$(< /sys/block/zloop0/size)"
	check_ends EMPTY EMPTY
	steps "$DEV" <<-END
	write z1 64k = ok
	write $LAST 1m = ok
	fsync = ok
	read $LAST 1m = ok
	END
	in_use
	with=$KIB
	timed "remove id=0"
	in_use
	diag "memory with and without the device: $with and $KIB KiB, $(((with - KIB) * 1024 / ZONES)) bytes for a zone"
	# With KASAN memory that is freed stays in use for a while; with few zones the device itself counts.
	[ -n "$KASAN" ] || ((ZONES < 5000)) || (((with - KIB) * 1024 < MAX_BYTES * ZONES)) || fail "a zone keeps more than $MAX_BYTES bytes"

	timed "add id=0,base_dir=$BDIR,$O"
	check_ends "CLOSED +64k | IMP_OPEN +64k" FULL
	steps "$DEV" <<-END
	read z1 64k = ok
	read $LAST 1m = ok
	write z1+64k 64k seed=3 = ok
	reset $LAST = ok
	END
	timed "remove id=0"
	rm -r "$BDIR"
}

# A signal ends an add, which takes back what it has made.
t_signal() {
	local pid began total half
	backing_scratch
	undo dev 0
	timed "add id=0,base_dir=$BDIR,$O"
	total=$MS
	timed "remove id=0"
	rm -r "${BDIR:?}/0"
	# A process of its own, and nothing but the write.
	bash -c "printf 'add id=0,base_dir=$BDIR,$O' > $ZL_CTL" 2> /dev/null &
	pid=$!
	half=$BDIR/0/seq-$(printf %06d $((ZONES / 2)))
	until [ -e "$half" ]; do
		kill -0 "$pid" 2> /dev/null || fail "add ended too early"
		sleep 0.05
	done
	kill -TERM "$pid"
	now_ms
	began=$REPLY
	wait "$pid" 2> /dev/null
	now_ms
	diag "add of $total ms: $((REPLY - began)) ms after a signal it had ended"
	((REPLY - began < total + 5000)) || fail "add took $((REPLY - began)) ms to end after a signal"
	[ ! -e /sys/block/zloop0 ] || fail "a signal in the middle of an add of $total ms had no effect"
	expect "files left" "" "$(find "$BDIR" -mindepth 1 | head -n 3)"
	rmdir "$BDIR"
}

KASAN=$([ ! -e /proc/config.gz ] || zcat /proc/config.gz | grep -x CONFIG_KASAN=y)

tap_run t_all "add, use, remove, add again, remove"
tap_run t_signal "a signal ends an add"
tap_end
