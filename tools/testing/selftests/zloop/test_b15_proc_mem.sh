#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A zone file that is a symlink to /proc/self/mem is refused. The C driver calls a function that the file does not
# have: kernel panic.
# panics-on: c

. "$(dirname "$0")/lib.sh"

O=capacity_mb=16,zone_size_mb=4,conv_zones=1

special() {
	local target=$1
	backing_tmpfs
	add "$O"
	remove
	rm "$BDIR/0/seq-000002"
	ln -s "$target" "$BDIR/0/seq-000002"
	ctl "add id=0,base_dir=$BDIR,$O,buffered_io"
	if [ "$REPLY" = ok ]; then
		undo dev 0
		"$ZBDTOOL" script /dev/zloop0 <<< "read z2 64k any"
		fail "a device on $target was added"
	fi
	expect_match "errno" "E@(INVAL|LOOP)" "$REPLY"
	# Not only because it is a symlink: the file itself in its place.
	rm "$BDIR/0/seq-000002"
	: > "$BDIR/0/seq-000002"
	must mount --bind "$(readlink -f "$target")" "$BDIR/0/seq-000002"
	undo mount "$BDIR/0/seq-000002"
	add_expect EINVAL/EACCES/EPERM/EROFS "$O,buffered_io"
}

t_proc_mem() { special "/proc/1/mem"; }
t_proc_file() { special /proc/sys/vm/swappiness; }
t_sysfs_file() { special /sys/kernel/rcu_expedited; }

t_self_mem() {
	backing_tmpfs
	add "$O"
	remove
	rm "$BDIR/0/seq-000002"
	ln -s /proc/self/mem "$BDIR/0/seq-000002"
	ctl "add id=0,base_dir=$BDIR,$O,buffered_io"
	if [ "$REPLY" = ok ]; then
		undo dev 0
		"$ZBDTOOL" script /dev/zloop0 <<< "read z2 64k any"
		fail "a device on /proc/self/mem was added"
	fi
	expect_match "errno" "E@(INVAL|LOOP)" "$REPLY"
}

tap_run t_proc_file "a file of procfs"
tap_run t_sysfs_file "a file of sysfs"
tap_run t_proc_mem "/proc/1/mem"
tap_run t_self_mem "/proc/self/mem"
tap_end
