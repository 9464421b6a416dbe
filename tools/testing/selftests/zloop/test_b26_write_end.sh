#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Whoever hears of the end of a write may reset the zone and write to it again at once. In the C driver the block layer
# may not be done with the first write then, gives up the zone's write plug with the second one on it, and the third one
# gets EIO.

. "$(dirname "$0")/lib.sh"

# overtake NR_QUEUES [ARGUMENT]...: writes that are not done in the task that submits them.
overtake() {
	local line
	add "capacity_mb=16,zone_size_mb=4,conv_zones=1,buffered_io,nr_queues=$1"
	line=$("$ZBDTOOL" overtake "$DEV" --zone 1 --rounds $((120 / ZLOOP_SLOWNESS)) "${@:2}" 2>&1) || fail "$line"
	diag "$line"
	steps "$DEV" <<-END
	conds all = NEEE
	END
}

t_reset() {
	backing_tmpfs
	overtake 1
}

t_two_queues() {
	backing ext4
	overtake 2
}

t_reset_all() {
	backing_tmpfs
	overtake 2 --all
}

tap_run t_reset "reset of the zone"
tap_run t_two_queues "two queues, ext4"
tap_run t_reset_all "reset of all zones"
tap_end
