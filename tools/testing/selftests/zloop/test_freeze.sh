#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A frozen backing file system: writes wait, reads and reports go on, everything ends after the thaw.
# paths: both

. "$(dirname "$0")/lib.sh"

freeze() {
	backing "$1"
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1${2:+,$2}"
	steps "$DEV" <<-END
	write z1 64k = ok
	write z2 64k = ok
	fsync = ok
	END
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	background "$ZBDTOOL" script "$DEV" <<-END
	write z1+64k 64k seed=2 = ok
	fsync = ok
	END
	in_flight 1
	sleep 1
	background_goes_on "the write ended while the file system was frozen"
	# In a process of its own with a time limit: it must not wait for the write.
	timeout $((20 * ZLOOP_SLOWNESS)) "$ZBDTOOL" script "$DEV" > "$ZL_T/out" <<-END || fail "reads or reports fail or wait: $(< "$ZL_T/out")"
	report z2 = IMP_OPEN +64k
	consistent all = ok
	read z2 64k = ok
	read z1 64k = ok
	END
	timeout $((20 * ZLOOP_SLOWNESS)) "$ZBDTOOL" report "$DEV" > /dev/null || fail "a report of all zones waits for the write"
	background_goes_on "the write ended while the file system was frozen"
	expect "size of the zone file while frozen" 65536 "$(stat -c %s "$BDIR/0/seq-000001")"
	must fsfreeze -u "$BDIR"
	background_end
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +128k
	read z1+64k 64k seed=2 = ok
	END
	rm "$ZL_T/out"
}

t_ext4() { freeze ext4 ""; }
t_ext4_buffered() { freeze ext4 buffered_io; }
t_xfs() { freeze xfs ""; }

# A write that takes longer than the request timeout is not failed: it ends when it ends.
t_timeout() {
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	[ -e /sys/block/zloop0/queue/io_timeout ] || skip "the driver has no timeout handler, so requests have none"
	echo 300 > /sys/block/zloop0/queue/io_timeout
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	background "$ZBDTOOL" script "$DEV" <<< "write z1 64k = ok"
	in_flight 1
	sleep 3
	background_goes_on "the write ended while the file system was frozen"
	must fsfreeze -u "$BDIR"
	background_end
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +64k
	read z1 64k = ok
	END
}

# Finish and reset change the file: they wait, too.
t_zone_management() {
	local reset
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<< "write z1 64k = ok"
	steps "$DEV" <<< "write z2 64k = ok"
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	"$ZBDTOOL" script "$DEV" <<< "reset z2 = ok" > "$ZL_T/reset" 2>&1 &
	reset=$!
	undo pid "$reset"
	background "$ZBDTOOL" script "$DEV" <<< "finish z1 = ok"
	in_flight 2
	sleep 1
	background_goes_on "the finish ended while the file system was frozen"
	kill -0 "$reset" 2> /dev/null || fail "the reset ended while the file system was frozen: $(< "$ZL_T/reset")"
	must fsfreeze -u "$BDIR"
	background_end
	wait "$reset" || fail "$(< "$ZL_T/reset")"
	rm "$ZL_T/reset"
	steps "$DEV" <<< "conds all = NFEEEEEE"
}

tap_run t_ext4 "ext4"
tap_run t_ext4_buffered "ext4, buffered_io"
tap_run t_xfs "XFS"
tap_run t_timeout "a write that waits longer than the request timeout"
tap_run t_zone_management "finish and reset"
tap_end
