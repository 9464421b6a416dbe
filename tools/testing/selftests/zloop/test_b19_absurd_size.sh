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
	backing_tmpfs nr_inodes=0
	long_add 002000 capacity_mb=100000,zone_size_mb=1
	kill_long_add
	[ ! -e /sys/block/zloop0 ] || fail "the killed add was carried through"
	expect "files left" 0 "$(find "$BDIR/0" -type f 2> /dev/null | wc -l)"
	must umount "$BDIR"
}

tap_run t_warn "four thousand million zones"
tap_run t_killable "an add of 100000 zones dies from a signal"
tap_end
