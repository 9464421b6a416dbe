#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An explicit open at the limit closes an implicitly open zone first.
# paths: both

. "$(dirname "$0")/lib.sh"

t_open() {
	backing_tmpfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,max_open_zones=2
	steps "$DEV" <<-END
	write z1 4k = ok
	write z2 4k = ok
	open z3 = ok
	conds all = NCIXEEEE
	open z4 = ok
	conds all = NCCXXEEE
	END
}

tap_run t_open "explicit open with implicitly open zones"
tap_end
