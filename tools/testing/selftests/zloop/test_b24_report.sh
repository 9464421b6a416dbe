#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each line of a report is consistent in itself, and a report does not wait for a write.

. "$(dirname "$0")/lib.sh"

# Condition and write pointer are taken in one go.
t_consistent() {
	local line
	backing_tmpfs
	add capacity_mb=32,zone_size_mb=1,conv_zones=1,nr_queues=2
	line=$("$ZBDTOOL" hammer "$DEV" --threads 2 --first 1 --zones 4 --bs 65536 --seconds 6 --manage --reporters 2 2>&1) ||
		fail "$line"
	diag "$line"
}

# A write that waits in the backing file system (frozen) does not stop the report of its zone.
t_does_not_wait() {
	backing xfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<-END
	write z1 64k = ok
	fsync = ok
	END
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	background "$ZBDTOOL" script "$DEV" <<< "write z1+64k 64k seed=2 = ok"
	in_flight 1
	sleep 1
	background_goes_on "the write ended while the file system was frozen"
	timeout $((20 * ZLOOP_SLOWNESS)) "$ZBDTOOL" report "$DEV" > "$ZL_T/out" || fail "the report waits for the write"
	background_goes_on "the write ended while the file system was frozen"
	expect "zones reported while the write waits" 8 "$(wc -l < "$ZL_T/out")"
	must fsfreeze -u "$BDIR"
	background_end
	rm "$ZL_T/out"
}

tap_run t_consistent "reports during writes, opens, finishes and resets"
tap_run t_does_not_wait "a report while a write waits"
tap_end
