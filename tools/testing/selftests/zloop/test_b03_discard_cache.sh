#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# discard_write_cache: the four cases in which the C driver keeps data that was never flushed.
# test_discard_cache.sh has all the others.
# paths: both

. "$(dirname "$0")/lib.sh"

O=capacity_mb=32,zone_size_mb=4,conv_zones=1

setup() {
	backing ext4
	add "$O,discard_write_cache"
}

t_never_flushed() {
	setup
	steps "$DEV" <<< "write z1 1m = ok"
	remove
	expect "size of the zone file" 0 "$(stat -c %s "$BDIR/0/seq-000001")"
}

t_full_since_flush() {
	setup
	steps "$DEV" <<-END
	write z1 1m = ok
	fsync = ok
	write z1+1m 3m seed=2 = ok
	report z1 = FULL
	END
	remove
	expect "size of the zone file" 1048576 "$(stat -c %s "$BDIR/0/seq-000001")"
	add "$O"
	steps "$DEV" <<< "read z1 1m = ok"
}

t_reset_since_flush() {
	setup
	steps "$DEV" <<-END
	write z1 2m = ok
	fsync = ok
	reset z1 = ok
	write z1 1m seed=2 = ok
	END
	remove
	expect "size of the zone file" 0 "$(stat -c %s "$BDIR/0/seq-000001")"
}

# A failed sync leaves no mark that promises more than the disk has.
t_failed_sync() {
	local mark
	. "$ZL_DIR/lib_faults.sh"
	backing_xfs_rt
	add "$O,discard_write_cache,buffered_io"
	steps "$DEV" <<-END
	write z1 64k = ok
	fsync = ok
	END
	no_writeback
	steps "$DEV" <<< "write z1+64k 64k seed=2 = ok"
	rt_fail
	steps "$DEV" <<< "fsync = EIO"
	rt_work
	remove
	mark=$(stat -c %s "$BDIR/0/seq-000001")
	expect "size of the zone file" 65536 "$mark"
}

tap_run t_never_flushed "a zone that was never flushed"
tap_run t_full_since_flush "a zone that is full since the flush"
tap_run t_reset_since_flush "a zone reset and rewritten since the flush"
tap_run t_failed_sync "a flush that failed"
tap_end
