#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Absurd sizes are refused by a check, not by a warning of the kernel's allocator; an add of many zones can be killed.
# With panic_on_warn the C driver's kernel panics here.
# panics-on: c

. "$(dirname "$0")/lib.sh"

t_warn() {
	local o
	backing_tmpfs nr_inodes=100
	mkdir "$BDIR/0"
	for o in capacity_mb=4294967295,zone_size_mb=1 capacity_mb=4294967295,zone_size_mb=2,conv_zones=0 \
		capacity_mb=2000000000,zone_size_mb=1,conv_zones=1999999999; do
		add_expect EINVAL/ENOMEM/E2BIG/EFBIG "$o"
	done
}

t_killable() {
	local pid i began
	backing_tmpfs nr_inodes=0
	mkdir "$BDIR/0"
	undo dev 0
	bash -c "printf 'add id=0,base_dir=$BDIR,capacity_mb=100000,zone_size_mb=1' > $ZL_CTL" 2> /dev/null &
	pid=$!
	undo pid "$pid"
	for ((i = 0; i < 600 * ZLOOP_SLOWNESS; i++)); do
		[ ! -e "$BDIR/0/seq-002000" ] || break
		kill -0 "$pid" 2> /dev/null || break
		sleep 0.05
	done
	kill -0 "$pid" 2> /dev/null || fail "add ended before it could be killed"
	[ -e "$BDIR/0/seq-002000" ] || fail "add did not get to zone 2000"
	kill -KILL "$pid"
	now_ms
	began=$REPLY
	wait "$pid" 2> /dev/null
	now_ms
	diag "ended $((REPLY - began)) ms after SIGKILL"
	((REPLY - began < 20000 * ZLOOP_SLOWNESS)) || fail "add went on for $((REPLY - began)) ms after SIGKILL"
	[ ! -e /sys/block/zloop0 ] || fail "the killed add was carried through"
	expect "files left" 0 "$(find "$BDIR/0" -type f 2> /dev/null | wc -l)"
	must umount "$BDIR"
}

tap_run t_warn "four thousand million zones"
tap_run t_killable "an add of 100000 zones dies from a signal"
tap_end
