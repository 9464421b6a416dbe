#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Parallel writers, zone management and reports, everything checked.
# panics-on: c
# paths: both

. "$(dirname "$0")/lib.sh"

hammer() {
	local line
	line=$("$ZBDTOOL" hammer "$DEV" "$@" 2>&1) || fail "$line"
	diag "$line"
	steps "$DEV" <<-END
	consistent all = ok
	reset all = ok
	END
}

t_plain() {
	backing_tmpfs
	add capacity_mb=128,zone_size_mb=4,conv_zones=1,nr_queues=2
	hammer --threads 4 --first 1 --zones 31 --bs 16384 --seconds 3 --reporters 1
}

t_managed() {
	backing_tmpfs
	add capacity_mb=128,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1,nr_queues=2
	hammer --threads 4 --first 1 --zones 16 --bs 8192 --seconds 4 --manage --reporters 1
}

# With explicit opens the limit can be reached for good: that is no failure here, lost slots are found at the end.
t_limited() {
	local i
	backing_tmpfs
	add capacity_mb=128,zone_size_mb=4,conv_zones=1,nr_queues=2,max_open_zones=4
	for i in 1 2; do
		# After a write that failed, here for want of an open zone, the block layer itself refuses writes to
		# that zone with EIO until the zone is reported or reset (BLK_ZONE_WPLUG_NEED_WP_UPDATE).
		hammer --threads 4 --first 1 --zones 16 --bs 8192 --seconds 3 --manage --reporters 1 \
			--allow ETOOMANYREFS --allow write:EIO --seed "$i"
		steps "$DEV" <<-END
		open z1-4 = ok
		open z5 = ETOOMANYREFS
		reset all = ok
		END
	done
}

t_limit_one() {
	backing_tmpfs
	add capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2,max_open_zones=1
	hammer --threads 4 --first 1 --zones 4 --bs 4096 --seconds 3
}

t_xfs() {
	backing xfs
	add capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2,queue_depth=8
	hammer --threads 4 --first 1 --zones 15 --bs 65536 --seconds 4 --manage --reporters 1
}

t_buffered() {
	backing ext4
	add capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2,buffered_io
	hammer --threads 4 --first 1 --zones 15 --bs 65536 --seconds 4 --manage --reporters 1
}

tap_run t_plain "writers and reports"
tap_run t_managed "with open, close, finish and reset"
tap_run t_limited "with a limit of four open zones"
tap_run t_limit_one "with a limit of one open zone"
tap_run t_xfs "zones on XFS"
tap_run t_buffered "buffered_io on ext4"
tap_end
