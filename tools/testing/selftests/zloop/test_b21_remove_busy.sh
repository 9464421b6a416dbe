#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# remove refuses a device that is mounted or opened exclusively, and gives the id and the files away only when they are
# free.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_hold.sh"
with_udev

O=capacity_mb=32,zone_size_mb=4,conv_zones=1

t_exclusive() {
	backing_tmpfs
	add "$O"
	hold "$DEV" --excl
	expect "exclusive open" held "$REPLY"
	ctl_expect EBUSY "remove id=0"
	[ -e /sys/block/zloop0 ] || fail "the disk is gone"
	release
	remove
}

t_open() {
	backing_tmpfs
	add "$O"
	exec 9<> "$DEV"
	remove
	if umount "$BDIR" 2> /dev/null; then
		# Every zone file is closed: id and directory are really free.
		exec 9>&-
		return
	fi
	ctl "add id=0,base_dir=$BDIR,$O"
	if [ "$REPLY" = ok ]; then
		undo dev 0
		fail "a new device got the files that a removed device still has open"
	fi
	exec 9>&-
}

tap_run t_exclusive "opened exclusively"
tap_run t_open "the files of a removed device that is still open"
tap_end
