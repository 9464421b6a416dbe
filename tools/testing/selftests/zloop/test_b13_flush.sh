#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# FLUSH writes this device's files only, and reports write-back errors. The C driver syncs the whole backing file system
# and loses the error.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"

t_foreign_data() {
	local before
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	must sync
	no_writeback
	must dd if=/dev/zero of="$BDIR/foreign" bs=1M count=24 status=none
	dirty_kib "$BDIR/foreign"
	before=$REPLY
	((before > 20000)) || fail "only $before KiB dirty: this test does not work here"
	steps "$DEV" <<-END
	write z1 4k = ok
	fsync = ok
	END
	dirty_kib "$BDIR/foreign"
	diag "dirty before $before KiB, after the flush $REPLY KiB"
	((REPLY > before - 4000)) || fail "the flush wrote $((before - REPLY)) KiB of foreign data"
}

t_error_reported() {
	backing_ext4_dm
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,buffered_io
	steps "$DEV" <<-END
	write z0 1m = ok
	fsync = ok
	END
	first_block "$BDIR/0/cnv-000000"
	ext4_hole "$REPLY" 8
	steps "$DEV" <<-END
	write z0 16k seed=2 = ok
	fsync = EIO
	END
	ext4_work
}

tap_run t_foreign_data "foreign dirty data stays dirty"
tap_run t_error_reported "a bad block below fails the flush"
tap_end
