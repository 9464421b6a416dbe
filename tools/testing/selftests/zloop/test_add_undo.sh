#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Creation is all or nothing: a failed or killed add removes what it made and holds no file.

. "$(dirname "$0")/lib.sh"
with_udev

# The directory is as before, the backing file system can be unmounted, and the same add works with more room.
check_undone() {
	expect "files left" "" "$(find "$BDIR" -mindepth 1 ! -name lost+found ! -path "$BDIR/0")"
	[ ! -e /sys/block/zloop0 ] || fail "a device appeared"
}

t_enospc_inodes() {
	backing_tmpfs nr_inodes=12
	mkdir "$BDIR/0"
	add_expect ENOSPC capacity_mb=80,zone_size_mb=4,conv_zones=3
	check_undone
	must mount -o remount,nr_inodes=100 "$BDIR"
	add capacity_mb=80,zone_size_mb=4,conv_zones=3
	steps "$DEV" <<< "write z19 4k = ok"
}

# The device directory too, if this add made it.
t_enospc_own_directory() {
	[ "$ZLOOP_DRIVER" = rust ] || skip "the C driver does not make the device directory"
	backing_tmpfs nr_inodes=12
	ctl_expect ENOSPC "add id=0,capacity_mb=80,zone_size_mb=4,conv_zones=3,base_dir=$BDIR"
	expect "files left" "" "$(find "$BDIR" -mindepth 1)"
}

t_enospc_ext4() {
	new_loop 40
	make_fs ext4 "$LOOP" -N 64
	mount_backing "$LOOP"
	mkdir "$BDIR/0"
	add_expect ENOSPC capacity_mb=400,zone_size_mb=4,conv_zones=3
	check_undone
	must umount "$BDIR"
	must mount "$LOOP" "$BDIR"
	add capacity_mb=64,zone_size_mb=4,conv_zones=3
}

# There is room for files, and none for what is in the geometry file: the log says so.
t_enospc_blocks() {
	[ "$ZLOOP_DRIVER" = rust ] || skip "the C driver has no geometry file"
	backing_tmpfs size=1m
	mkdir "$BDIR/0"
	dd if=/dev/zero of="$BDIR/full" bs=4k 2> /dev/null
	klog_mark
	add_expect ENOSPC capacity_mb=80,zone_size_mb=4,conv_zones=3
	klog_has "zloop0: cannot write the geometry file: error -28"
	rm "$BDIR/full"
	check_undone
	mkdir "$BDIR/0/zloop.geometry"
	klog_mark
	add_expect EISDIR capacity_mb=80,zone_size_mb=4,conv_zones=3
	klog_has "zloop0: cannot write the geometry file: error -21"
	rmdir "$BDIR/0/zloop.geometry"
	add capacity_mb=80,zone_size_mb=4,conv_zones=3
}

# A failed re-add deletes nothing.
t_failed_restore_keeps_files() {
	local before
	backing_tmpfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=2
	steps "$DEV" <<< "write z3 1m = ok"
	remove
	before=$(files)
	add_expect EINVAL capacity_mb=64,zone_size_mb=4,conv_zones=2
	add_expect EEXIST/EINVAL/EBUSY capacity_mb=32,zone_size_mb=4,conv_zones=2,queue_depth=0
	expect "zone files" "$before" "$(files)"
	add capacity_mb=32,zone_size_mb=4,conv_zones=2
	steps "$DEV" <<< "read z3 1m = ok"
}

# Foreign files in the directory are left alone, by a failed add as by a good one.
t_foreign_files() {
	backing_tmpfs nr_inodes=12
	mkdir "$BDIR/0"
	echo keep > "$BDIR/0/notes"
	add_expect ENOSPC capacity_mb=80,zone_size_mb=4,conv_zones=3
	expect "files left" notes "$(ls "$BDIR/0")"
	must mount -o remount,nr_inodes=100 "$BDIR"
	add capacity_mb=80,zone_size_mb=4,conv_zones=3
	remove
	expect "foreign file" keep "$(cat "$BDIR/0/notes")"
}

# An add of very many zones dies from SIGKILL soon and undoes itself.
killed_add() {
	long_add "$1" "$2"
	kill_long_add
	check_undone
	must umount "$BDIR"
}

t_killed_tmpfs() {
	backing_tmpfs nr_inodes=0
	killed_add 001000 capacity_mb=60000,zone_size_mb=1,conv_zones=0
	must mount -t tmpfs zloop-test "$BDIR"
	add capacity_mb=100,zone_size_mb=1,conv_zones=0
}

t_killed_ext4() {
	new_loop 400
	make_fs ext4 "$LOOP" -N 70000
	mount_backing "$LOOP"
	killed_add 000500 capacity_mb=60000,zone_size_mb=1,conv_zones=2
	must mount "$LOOP" "$BDIR"
	add capacity_mb=100,zone_size_mb=1,conv_zones=2
}

# A directory that nothing can be deleted from any more, as if the file system had become read-only. The log says that
# files are left, and not once for each of them.
t_undo_fails() {
	local lines
	[ "$ZLOOP_DRIVER" = rust ] || skip "the C driver deletes no files"
	backing_tmpfs nr_inodes=0
	klog_mark
	long_add 000200 capacity_mb=200000,zone_size_mb=1,conv_zones=0
	must chattr +i "$BDIR/0"
	wait "$BG" && fail "the add has not failed"
	expect "error" 1 "$(grep -c "Operation not permitted" "$ZL_T/background")"
	klog_has "zloop0: cannot remove the file seq-"
	klog_has "zone files are left"
	lines=$(klog_since "$ZL_MARK" | grep -c "zloop")
	((lines < 10)) || fail "$lines lines in the log"
	[ ! -e /sys/block/zloop0 ] || fail "a device appeared"
	must umount "$BDIR"
}

# While the id is being created it is taken, and cannot be removed.
t_id_while_creating() {
	local o=capacity_mb=60000,zone_size_mb=1,conv_zones=0
	backing_tmpfs nr_inodes=0
	long_add 000100 "$o"
	ctl_expect EEXIST/EBUSY "add id=0,base_dir=$BDIR,$o"
	ctl_expect ENODEV/EBUSY "remove id=0"
	background_goes_on "the add ended too early for this test"
	kill_long_add
	expect "files left" "" "$(find "$BDIR" -mindepth 1 ! -path "$BDIR/0")"
}

tap_run t_enospc_inodes "ENOSPC half way through creation"
tap_run t_enospc_own_directory "ENOSPC: the directory made by the add goes too"
tap_run t_enospc_ext4 "ENOSPC on ext4"
tap_run t_enospc_blocks "no blocks"
tap_run t_failed_restore_keeps_files "a failed re-add deletes nothing"
tap_run t_foreign_files "other files in the directory are left alone"
if [ "$ZLOOP_DRIVER" = c ]; then
	t_killed_tmpfs() { skip "add cannot be killed in the C driver"; }
	t_killed_ext4() { skip "add cannot be killed in the C driver"; }
	t_id_while_creating() { skip "add cannot be killed in the C driver"; }
fi
tap_run t_killed_tmpfs "an add of 60000 zones killed, on tmpfs"
tap_run t_killed_ext4 "an add of 60000 zones killed, on ext4"
tap_run t_undo_fails "an undo that fails"
tap_run t_id_while_creating "the id during a long add"
tap_end
