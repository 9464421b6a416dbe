#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Two tasks give the same command for the same zone. The block layer takes it for the continuation of the one that waits
# in the scheduler, which ends at the same sector, and makes one request of both. Neither has data: a driver that ends
# the request by its length ends the first one only, and blk_mq_end_request() is a BUG() then.
#
# The C driver is stuck after that.
# panics-on: c

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"

# Commands that waited in the scheduler for others; in REPLY.
merged() {
	local fields
	read -r -a fields < "/sys/block/${DEV##*/}/stat"
	REPLY=${fields[5]}
}

# script NAME: in a task of its own, with the lines of standard input.
script() {
	"$ZBDTOOL" script "$DEV" > "$ZL_T/$1" 2>&1 <&0 &
	TASKS[$1]=$!
}

# has_ended PID: it does so in half a minute.
has_ended() {
	local i
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		kill -0 "$1" 2> /dev/null || return 0
		sleep 0.1
	done
	return 1
}

# twice COMMAND: two tasks give it for zone 1 while writes have both tags and a third one is the next to be sent.
twice() {
	local -A TASKS=()
	local name before zone

	merged
	before=$REPLY
	must dmsetup --noudevsync suspend --noflush --nolockfs "$RT"
	for zone in 0 2 3; do
		script "write$zone" <<< "write z$zone+${AT}k 64k = ok"
		[ "$zone" -ne 2 ] || in_flight 2
	done
	AT=$((AT + 64))
	for name in first second; do
		sleep 0.5
		script "$name" <<< "$1 z1 = ok"
	done
	sleep 0.5
	must dmsetup --noudevsync resume "$RT"
	for name in "${!TASKS[@]}"; do
		has_ended "${TASKS[$name]}" || fail "$1: $name does not end"
		wait "${TASKS[$name]}" || fail "$1: $name: $(< "$ZL_T/$name")"
		rm "$ZL_T/$name"
	done
	merged
	[ "$REPLY" -gt "$before" ] || skip "the block layer makes two requests of two commands"
}

t_merged() {
	AT=0
	backing_xfs_rt
	add capacity_mb=16,zone_size_mb=4,conv_zones=0,queue_depth=2,nr_queues=1
	must sh -c "echo mq-deadline > /sys/block/${DEV##*/}/queue/scheduler"
	steps "$DEV" <<< "write z1 64k = ok"
	twice open
	steps "$DEV" <<< "report z1 = EXP_OPEN +64k"
	twice close
	steps "$DEV" <<< "report z1 = CLOSED +64k"
	twice finish
	steps "$DEV" <<< "report z1 = FULL"
	# Resets of two tasks wait for each other before, in the ioctl.
	steps "$DEV" <<-END
	reset z1 = ok
	report z1 = EMPTY
	write z1 64k = ok
	read z0 192k = ok
	END
}

tap_run t_merged "open, close and finish of a zone by two tasks"
tap_end
