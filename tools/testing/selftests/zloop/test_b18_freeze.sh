#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writes to a frozen backing file system wait. The C driver writes into frozen ext4.

. "$(dirname "$0")/lib.sh"

t_frozen_ext4() {
	local pid
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	"$ZBDTOOL" script "$DEV" > "$ZL_T/out" <<< "write z1 64k = ok" &
	pid=$!
	undo pid "$pid"
	sleep 1
	kill -0 "$pid" 2> /dev/null || fail "the write ended while the file system was frozen: $(< "$ZL_T/out")"
	must fsfreeze -u "$BDIR"
	wait "$pid" || fail "$(< "$ZL_T/out")"
	steps "$DEV" <<< "read z1 64k = ok"
	rm "$ZL_T/out"
}

tap_run t_frozen_ext4 "ext4"
tap_end
