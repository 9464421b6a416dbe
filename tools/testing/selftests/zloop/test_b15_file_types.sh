#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Zone files must be regular files of one file system: a symlink to a disk must not overwrite that disk.
# test_b15_proc_mem.sh has the case that makes the C driver's kernel panic.

. "$(dirname "$0")/lib.sh"

O=capacity_mb=16,zone_size_mb=4,conv_zones=1

t_symlink_to_disk() {
	backing_tmpfs
	add "$O"
	remove
	new_loop 4
	rm "$BDIR/0/seq-000002"
	ln -s "$LOOP" "$BDIR/0/seq-000002"
	klog_mark
	ctl "add id=0,base_dir=$BDIR,$O"
	if [ "$REPLY" = ok ]; then
		undo dev 0
		"$ZBDTOOL" script /dev/zloop0 <<< "write z2 64k"
		fail "a device on a symlink to a disk was added; the first bytes of that disk are now $(od -An -tx1 -N8 "$LOOP")"
	fi
	expect_match "errno" "E@(INVAL|LOOP)" "$REPLY"
	klog_has "zone 2: "
}

t_fifo() {
	backing_tmpfs
	add "$O"
	remove
	rm "$BDIR/0/seq-000002"
	mkfifo "$BDIR/0/seq-000002"
	add_expect EINVAL "$O"
	add_expect EINVAL "$O,buffered_io"
}

t_character_device() {
	backing_tmpfs
	add "$O"
	remove
	rm "$BDIR/0/seq-000002"
	mknod "$BDIR/0/seq-000002" c 1 3
	add_expect EINVAL "$O"
	add_expect EINVAL "$O,buffered_io"
}

tap_run t_symlink_to_disk "a symlink to a block device"
tap_run t_fifo "a pipe"
tap_run t_character_device "a character device"
tap_end
