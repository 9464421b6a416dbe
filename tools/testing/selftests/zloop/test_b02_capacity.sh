#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Regular writes never cross the zone capacity. In the C driver they do, and the device cannot be added again.
# paths: both

. "$(dirname "$0")/lib.sh"

t_cross() {
	backing_tmpfs
	add capacity_mb=16,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1
	steps "$DEV" <<-END
	write z1 2688k bs=448k = ok
	report z1 = IMP_OPEN +2688k
	write z1+2688k 448k = EIO
	report z1 = IMP_OPEN +2688k | CLOSED +2688k
	END
	expect "size of the zone file" 2752512 "$(stat -c %s "$BDIR/0/seq-000001")"
	remove
	add capacity_mb=16,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1
	steps "$DEV" <<-END
	report z1 = CLOSED +2688k
	read z1 2688k bs=448k = ok
	write z1+2688k 384k = ok
	report z1 = FULL
	END
}

tap_run t_cross "a write across the capacity fails and changes nothing"
tap_end
