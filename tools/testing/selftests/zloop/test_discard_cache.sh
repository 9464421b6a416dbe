#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# discard_write_cache: on remove every sequential zone goes back to its last flushed state.
# paths: both

. "$(dirname "$0")/lib.sh"

O=capacity_mb=32,zone_size_mb=4,conv_zones=1

setup() {
	backing "${1:-ext4}"
	add "$O,discard_write_cache"
}

# again CONDITIONS: removes, adds without the option, compares the conditions.
again() {
	remove
	add "$O"
	steps "$DEV" <<< "conds all = $1"
}

t_never_flushed() {
	setup
	steps "$DEV" <<-END
	write z1 1m = ok
	write z2 4m = ok
	write z3 64k = ok
	finish z3 = ok
	finish z4 = ok
	END
	again NEEEEEEE
	steps "$DEV" <<-END
	read z1 1m zero = ok
	write z1 4k = ok
	END
}

# Whoever removes the device need not be the one who added it.
t_other_owner() {
	setup
	steps "$DEV" <<-END
	write z1 1m = ok
	fsync = ok
	write z1+1m 1m = ok
	write z2 64k = ok
	END
	must chown -R 65534:65534 "$BDIR/0"
	must setpriv --bounding-set=-dac_override,-dac_read_search bash -c "echo 'remove id=0' > $ZL_CTL"
	must chown -R 0:0 "$BDIR/0"
	add "$O"
	steps "$DEV" <<-END
	conds all = NCEEEEEE
	report z1 = CLOSED +1m
	END
}

# The one who removes the device is killed while somebody reads the file, so that it cannot be cut yet.
t_killed() {
	delayed_disk xfs
	add "$O,discard_write_cache"
	steps "$DEV" <<-END
	write z1 1m = ok
	fsync = ok
	write z1+1m 1m = ok
	END
	disk_slow $((4000 * ZLOOP_SLOWNESS))
	cat "$BDIR/0/seq-000001" > /dev/null &
	undo pid $!
	sleep "$ZLOOP_SLOWNESS"
	background bash -c "echo 'remove id=0' > $ZL_CTL"
	sleep "$ZLOOP_SLOWNESS"
	background_goes_on "the removal did not wait for the reader"
	kill -KILL "$BG"
	wait "$BG"
	disk_fast
	add "$O"
	steps "$DEV" <<< "report z1 = CLOSED +1m"
}

t_flushed_stays() {
	setup
	steps "$DEV" <<-END
	write z1 1m = ok
	write z2 4m = ok
	write z3 64k = ok
	finish z3 = ok
	write z4 64k = ok
	close z4 = ok
	fsync = ok
	END
	again NCFFCEEE
	steps "$DEV" <<-END
	report z1 = CLOSED +1m
	report z4 = CLOSED +64k
	read z1 1m = ok
	read z2 4m = ok
	read z3 64k = ok
	END
}

t_written_since() {
	setup
	steps "$DEV" <<-END
	write z1 1m = ok
	fsync = ok
	write z1+1m 512k seed=2 = ok
	END
	again NCEEEEEE
	steps "$DEV" <<-END
	report z1 = CLOSED +1m
	read z1 1m = ok
	read z1+1m 512k zero = ok
	END
}

t_full_since() {
	setup
	steps "$DEV" <<-END
	write z1 1m = ok
	write z2 1m = ok
	fsync = ok
	write z1+1m 3m seed=2 = ok
	finish z2 = ok
	conds all = NFFEEEEE
	END
	again NCCEEEEE
	steps "$DEV" <<-END
	report z1-2 = CLOSED +1m, CLOSED +1m
	read z1 1m = ok
	read z2 1m = ok
	read z1+1m 3m zero = ok
	END
}

# A reset takes the flushed data away for good: what was written after it was never flushed.
t_reset_and_rewritten() {
	setup
	steps "$DEV" <<-END
	write z1 2m = ok
	write z2 2m = ok
	write z3 4m = ok
	fsync = ok
	reset z1 = ok
	write z1 1m seed=2 = ok
	reset z2 = ok
	write z2 3m seed=2 = ok
	reset z3 = ok
	END
	again NEEEEEEE
	steps "$DEV" <<-END
	read z1 4m zero = ok
	read z2 4m zero = ok
	END
}

t_reset_rewritten_flushed() {
	setup
	steps "$DEV" <<-END
	write z1 2m = ok
	fsync = ok
	reset z1 = ok
	write z1 1m seed=2 = ok
	fsync = ok
	write z1+1m 2m seed=3 = ok
	END
	again NCEEEEEE
	steps "$DEV" <<-END
	report z1 = CLOSED +1m
	read z1 1m seed=2 = ok
	END
}

# What was there when the device was added counts as flushed.
t_present_at_add() {
	backing ext4
	add "$O"
	steps "$DEV" <<-END
	write z1 1m = ok
	write z2 4m = ok
	END
	remove
	add "$O,discard_write_cache"
	steps "$DEV" <<< "conds all = NCFEEEEE"
	remove
	add "$O,discard_write_cache"
	steps "$DEV" <<-END
	conds all = NCFEEEEE
	write z1+1m 1m seed=2 = ok
	write z3 1m seed=2 = ok
	END
	again NCFEEEEE
	steps "$DEV" <<-END
	report z1 = CLOSED +1m
	read z1 1m = ok
	read z2 4m = ok
	END
}

# A mark of an earlier life of the zone says nothing about the data of now.
t_stale_mark() {
	setup
	steps "$DEV" <<-END
	write z1 2m = ok
	fsync = ok
	END
	remove
	add "$O"
	steps "$DEV" <<-END
	reset z1 = ok
	fsync = ok
	END
	remove
	add "$O,discard_write_cache"
	steps "$DEV" <<< "write z1 1m seed=2 = ok"
	again NEEEEEEE
}

# O_SYNC writes and zone appends with FUA are flushes, too.
t_sync_write() {
	setup
	steps "$DEV" <<-END
	write z1 64k sync = ok
	write z1+64k 64k seed=2 = ok
	END
	again NCEEEEEE
	steps "$DEV" <<< "report z1 = CLOSED +64k"
}

t_conventional_untouched() {
	setup
	steps "$DEV" <<-END
	write z0 4m = ok
	write z1 64k = ok
	END
	again NEEEEEEE
	expect "size of the conventional zone's file" 4194304 "$(stat -c %s "$BDIR/0/cnv-000000")"
}

# mark FILE: in hexadecimal.
mark() { getfattr --only-values -n user.zloop.wp "$1" 2> /dev/null | od -An -tx1 | tr -d ' \n' | sed 's/^/0x/'; }

# The mark as the C driver writes it: the write pointer as a 64-bit sector number of the device.
t_mark_format() {
	setup
	steps "$DEV" <<-END
	write z2 1m = ok
	fsync = ok
	END
	expect "user.zloop.wp of zone 2" 0x0048000000000000 "$(mark "$BDIR/0/seq-000002")"
}

# What is on the disk when the FLUSH ends is what a power cut leaves. ext4 does not commit a mark for long.
t_mark_durable() {
	local image
	new_loop 400
	image=$ZL_T/img$ZL_N
	make_fs ext4 "$LOOP"
	mount_backing "$LOOP" commit=900
	add "$O,discard_write_cache"
	steps "$DEV" <<-END
	write z2 1m = ok
	fsync = ok
	END
	copy_loop "$image"
	mkdir "$ZL_T/copy"
	must mount "$LOOP" "$ZL_T/copy"
	undo mount "$ZL_T/copy"
	expect "user.zloop.wp of zone 2" 0x0048000000000000 "$(mark "$ZL_T/copy/0/seq-000002")"
}

t_without_the_option() {
	backing ext4
	add "$O"
	steps "$DEV" <<-END
	write z1 1m = ok
	fsync = ok
	write z1+1m 1m seed=2 = ok
	END
	again NCEEEEEE
	steps "$DEV" <<< "report z1 = CLOSED +2m"
}

t_no_xattrs() {
	mkdir "$ZL_T/ram"
	must mount -t ramfs none "$ZL_T/ram"
	undo mount "$ZL_T/ram"
	BDIR=$ZL_T/ram
	klog_mark
	add_expect EOPNOTSUPP/EINVAL "$O,buffered_io,discard_write_cache"
	klog_has discard_write_cache
	expect "files left" "" "$(find "$BDIR" -mindepth 1 ! -path "$BDIR/0")"
	add "$O,buffered_io"
}

many() {
	local z
	backing "$1"
	add "capacity_mb=256,zone_size_mb=4,conv_zones=1,discard_write_cache"
	for ((z = 1; z < 64; z++)); do
		printf 'write z%d 64k = ok\n' "$z"
	done | "$ZBDTOOL" script "$DEV" || fail "writes"
	steps "$DEV" <<-END
	fsync = ok
	reset z1-32 = ok
	END
	for ((z = 1; z < 64; z += 2)); do
		printf 'write z%d%s 64k = ok\n' "$z" "$([ "$z" -le 32 ] || echo +64k)"
	done | "$ZBDTOOL" script "$DEV" || fail "writes"
	remove
	add "capacity_mb=256,zone_size_mb=4,conv_zones=1"
	steps "$DEV" <<-END
	conds all = N$(printf 'E%.0s' {1..32})$(printf 'C%.0s' {33..63})
	report z63 = CLOSED +64k
	END
}

# An add that is refused leaves the mark alone, which the device's next removal may go by.
t_refused_add() {
	local before
	setup
	steps "$DEV" <<-END
	write z1 64k = ok
	fsync = ok
	END
	remove
	before=$(getfattr -n user.zloop.wp -e hex "$BDIR/0/seq-000001" 2>&1)
	add "$O"
	steps "$DEV" <<< "write z1+64k 64k seed=2 = ok"
	remove
	mv "$BDIR/0/seq-000005" "$BDIR/5"
	ctl_expect ENOENT/EINVAL/EIO "add id=0,base_dir=$BDIR,$O,discard_write_cache"
	expect "mark after a refused add" "$before" "$(getfattr -n user.zloop.wp -e hex "$BDIR/0/seq-000001" 2>&1)"
	mv "$BDIR/5" "$BDIR/0/seq-000005"
	add "$O,discard_write_cache"
	steps "$DEV" <<< "read z1 64k = ok"
}

t_many_xfs() { many xfs; }
t_many_btrfs() { many btrfs; }

tap_run t_never_flushed "never flushed: empty, also full and finished zones"
tap_run t_other_owner "removed by a task that may not write to the files"
tap_run t_killed "removed by a task that is killed"
tap_run t_flushed_stays "flushed data stays"
tap_run t_written_since "written since the flush"
tap_run t_full_since "full or finished since the flush"
tap_run t_reset_and_rewritten "reset and rewritten since the flush"
tap_run t_reset_rewritten_flushed "reset, rewritten, flushed and written again"
tap_run t_present_at_add "data that was there at the add stays"
tap_run t_stale_mark "a mark left by an earlier life of the zone"
tap_run t_sync_write "synchronous writes are flushed"
tap_run t_conventional_untouched "conventional zones keep their size"
tap_run t_mark_format "format of user.zloop.wp"
tap_run t_mark_durable "user.zloop.wp is durable after a FLUSH, ext4"
tap_run t_without_the_option "without the option nothing is discarded"
tap_run t_no_xattrs "a backing file system without user xattrs is refused"
tap_run t_refused_add "an add that is refused leaves the mark alone"
tap_run t_many_xfs "63 zones on XFS"
tap_run t_many_btrfs "63 zones on btrfs"
tap_end
