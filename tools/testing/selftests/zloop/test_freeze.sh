#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A frozen backing file system: writes wait, reads and reports go on, everything ends after the thaw.

. "$(dirname "$0")/lib.sh"

freeze() {
	local pid
	backing "$1"
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1${2:+,$2}"
	steps "$DEV" <<-END
	write z1 64k = ok
	write z2 64k = ok
	fsync = ok
	END
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	"$ZBDTOOL" script "$DEV" > "$ZL_T/out" <<-END &
	write z1+64k 64k seed=2 = ok
	fsync = ok
	END
	pid=$!
	undo pid "$pid"
	sleep 1
	if ! kill -0 "$pid" 2> /dev/null; then
		fail "the write ended while the file system was frozen: $(< "$ZL_T/out")"
	fi
	# In a process of its own with a time limit: it must not wait for the write.
	timeout 10 "$ZBDTOOL" script "$DEV" > "$ZL_T/out2" <<-END || fail "reads or reports fail or wait: $(< "$ZL_T/out2")"
	report z2 = IMP_OPEN +64k
	consistent all = ok
	read z2 64k = ok
	read z1 64k = ok
	END
	timeout 10 "$ZBDTOOL" report "$DEV" > /dev/null || fail "a report of all zones waits for the write"
	kill -0 "$pid" 2> /dev/null || fail "the write ended while the file system was frozen"
	expect "size of the zone file while frozen" 65536 "$(stat -c %s "$BDIR/0/seq-000001")"
	must fsfreeze -u "$BDIR"
	wait "$pid" || fail "$(< "$ZL_T/out")"
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +128k
	read z1+64k 64k seed=2 = ok
	END
	rm "$ZL_T/out" "$ZL_T/out2"
}

t_ext4() { freeze ext4 ""; }
t_ext4_buffered() { freeze ext4 buffered_io; }
t_xfs() { freeze xfs ""; }

# A write that takes longer than the request timeout is not failed: it ends when it ends.
t_timeout() {
	local pid
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	[ -e /sys/block/zloop0/queue/io_timeout ] || skip "the driver has no timeout handler, so requests have none"
	echo 300 > /sys/block/zloop0/queue/io_timeout
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	"$ZBDTOOL" script "$DEV" > "$ZL_T/out" <<< "write z1 64k = ok" &
	pid=$!
	undo pid "$pid"
	sleep 3
	kill -0 "$pid" 2> /dev/null || fail "the write ended while the file system was frozen: $(< "$ZL_T/out")"
	must fsfreeze -u "$BDIR"
	wait "$pid" || fail "$(< "$ZL_T/out")"
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +64k
	read z1 64k = ok
	END
	rm "$ZL_T/out"
}

# Finish and reset change the file: they wait, too.
t_zone_management() {
	local pid
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<< "write z1 64k = ok"
	steps "$DEV" <<< "write z2 64k = ok"
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	"$ZBDTOOL" script "$DEV" > "$ZL_T/out" <<-END &
	finish z1 = ok
	reset z2 = ok
	END
	pid=$!
	undo pid "$pid"
	sleep 0.7
	kill -0 "$pid" 2> /dev/null || fail "finish and reset ended while the file system was frozen"
	must fsfreeze -u "$BDIR"
	wait "$pid" || fail "$(< "$ZL_T/out")"
	steps "$DEV" <<< "conds all = NFEEEEEE"
	rm "$ZL_T/out"
}

tap_run t_ext4 "ext4"
tap_run t_ext4_buffered "ext4, buffered_io"
tap_run t_xfs "XFS"
tap_run t_timeout "a write that waits longer than the request timeout"
tap_run t_zone_management "finish and reset"
tap_end
