#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Whoever hears of the end of a write may use the zone again at once, by a reset, for example. In the C driver the block
# layer may not be done with the write then, gives up the zone's write plug with the next write on it, and the one after
# that gets EIO.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_nvmet.sh"

# overtake OPTIONS [ARGUMENT]...: writes that are not done in the task that submits them.
overtake() {
	local line rounds NVME=
	scaled 120
	rounds=$REPLY
	# It looks there whether the block layer is at work on the zone.
	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug 2> /dev/null
	add "capacity_mb=16,zone_size_mb=4,conv_zones=0,buffered_io,$1"
	[[ $* != *append* ]] || nvmet_up "$DEV"
	line=$("$ZBDTOOL" overtake "$DEV" --zone 1 --rounds "$rounds" ${NVME:+--nvme "$NVME"} "${@:2}" 2>&1) ||
		fail "$line"
	diag "$line"
	steps "$DEV" <<-END
	conds all = EEEE
	END
}

t_reset() {
	backing_tmpfs
	overtake nr_queues=1
}

t_two_queues() {
	backing ext4
	overtake nr_queues=2
}

t_reset_all() {
	backing_tmpfs
	overtake nr_queues=2 --then reset-all
}

t_append() {
	backing_tmpfs
	overtake nr_queues=2 --then append --bs "$NVMET_SAFE_LEN"
}

# The zone has room for 1 MiB.
t_refused_append() {
	backing_tmpfs
	overtake zone_capacity_mb=1,nr_queues=2 --then append-too-much --bs 131072
}

t_failed_append() {
	backing_tmpfs
	overtake nr_queues=2,max_open_zones=1 --open 2 --then append --bs "$NVMET_SAFE_LEN"
}

t_failed_report() {
	backing_tmpfs
	overtake nr_queues=2,max_open_zones=1 --open 2 --then report
}

t_failed_reset_all() {
	backing_tmpfs
	overtake nr_queues=2,max_open_zones=1 --open 2 --then reset-all
}

tap_run t_reset "reset of the zone"
tap_run t_two_queues "two queues, ext4"
tap_run t_reset_all "reset of all zones"
tap_run t_append "append after a write"
tap_run t_refused_append "append that is refused after a write"
tap_run t_failed_append "append after a write that fails"
tap_run t_failed_report "report after a write that fails"
tap_run t_failed_reset_all "reset of all zones after a write that fails"
tap_end
