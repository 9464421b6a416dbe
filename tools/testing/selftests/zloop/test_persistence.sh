#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A device that is added again is the same device: data, write pointers, conditions; also after the module was loaded anew.
# paths: both

. "$(dirname "$0")/lib.sh"
with_udev

O=capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2

fill() {
	steps "$DEV" <<-END
	write z0+1m 64k = ok
	write z1+end-4k 4k seed=2 = ok
	write z2 1m seed=3 = ok
	write z3 3m seed=4 = ok
	write z4 4k seed=5 = ok
	finish z4 = ok
	open z5 = ok
	open z6 = ok
	write z6 64k seed=6 = ok
	conds all = NNIFFXXE
	END
}

check() {
	steps "$DEV" <<-END
	conds all = NNCFFECE
	consistent all = ok
	report z2 = CLOSED +1m
	report z6 = CLOSED +64k
	read z0+1m 64k = ok
	read z0 1m zero = ok
	read z1+end-4k 4k seed=2 = ok
	read z2 1m seed=3 = ok
	read z2+1m 2m zero = ok
	read z3 3m seed=4 = ok
	read z4 4k seed=5 = ok
	read z4+4k 1m zero = ok
	read z5 1m zero = ok
	read z6 64k seed=6 = ok
	# and goes on
	write z6+64k 64k seed=7 = ok
	write z2+1m 2m seed=8 = ok
	read z2 1m seed=3 = ok
	read z2+1m 2m seed=8 = ok
	conds all = NNFFFEIE
	END
}

FILES="cnv-000000 4194304
cnv-000001 4194304
seq-000002 1048576
seq-000003 3145728
seq-000004 3145728
seq-000005 0
seq-000006 65536
seq-000007 0"

persist() {
	backing "$1"
	add "$O${2:+,$2}"
	fill
	remove
	expect "zone files and sizes" "$FILES" "$(files)"
	add "$O${2:+,$2}"
	check
}

t_tmpfs() { persist tmpfs; }
t_ext4() { persist ext4; }
t_buffered() { persist ext4 buffered_io; }

t_remount() {
	backing ext4
	add "$O"
	fill
	remove
	must umount "$BDIR"
	must mount "$LOOP" "$BDIR"
	add "$O"
	check
}

t_module_reload() {
	need_module
	backing_tmpfs
	add "$O"
	fill
	remove
	unload_module
	load_module || fail "the module cannot be loaded again"
	add "$O"
	check
}

# Another id is another directory: moving the directory moves the device.
t_moved_directory() {
	backing_tmpfs
	add "$O" 0
	fill
	remove 0
	mv "$BDIR/0" "$BDIR/9"
	add "$O" 9
	check
}

# Options that are not geometry may change.
t_other_options() {
	backing_tmpfs
	add "$O"
	fill
	remove
	add "$O,max_open_zones=3,nr_queues=2,queue_depth=4,buffered_io,zone_append=0"
	check
}

# Everything that was not flushed is still in the zone files: remove is no power cut.
t_no_flush_needed() {
	backing ext4
	add "$O,buffered_io"
	steps "$DEV" <<< "write z2 1m = ok"
	remove
	add "$O"
	steps "$DEV" <<-END
	report z2 = CLOSED +1m
	read z2 1m = ok
	END
}

tap_run t_tmpfs "on tmpfs"
tap_run t_ext4 "on ext4, direct I/O"
tap_run t_buffered "on ext4, buffered_io"
tap_run t_remount "with an unmount of the backing file system in between"
tap_run t_module_reload "with another load of the module in between"
tap_run t_moved_directory "under another id"
tap_run t_other_options "with other options that are not geometry"
tap_run t_no_flush_needed "unflushed data survives remove"
tap_end
