#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Whether a device is new or restored is decided by all its files, not by those of zone 0.

. "$(dirname "$0")/lib.sh"

O=capacity_mb=32,zone_size_mb=4,conv_zones=1

t_first_file_missing() {
	backing_tmpfs
	add "$O"
	steps "$DEV" <<< "write z3 1m = ok"
	remove
	rm "$BDIR/0/cnv-000000"
	klog_mark
	add_expect EINVAL "$O"
	klog_has "zone 0: the file cnv-000000 is missing"
	[ ! -e "$BDIR/0/cnv-000000" ] || fail "a new zone 0 was made for an old device"
	expect "size of zone 3" 1048576 "$(stat -c %s "$BDIR/0/seq-000003")"
}

# A creation that failed can be done again when its cause is gone.
t_failed_creation() {
	backing_tmpfs nr_inodes=8
	mkdir "$BDIR/0"
	add_expect ENOSPC "$O"
	must mount -o remount,nr_inodes=100 "$BDIR"
	add "$O"
	steps "$DEV" <<< "conds all = NEEEEEEE"
}

tap_run t_first_file_missing "the file of zone 0 is missing"
tap_run t_failed_creation "creation again after one that failed"
tap_end
