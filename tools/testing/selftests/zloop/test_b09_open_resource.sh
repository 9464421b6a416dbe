#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# No zone can be opened: ETOOMANYREFS (BLK_STS_ZONE_OPEN_RESOURCE), for opens and for writes. A zone implicitly closed
# without data is empty again.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"

t_status() {
	backing_tmpfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,max_open_zones=1
	steps "$DEV" <<-END
	open z1 = ok
	open z2 = ETOOMANYREFS
	write z2 4k = ETOOMANYREFS
	conds all = NXEEEEEE
	END
}

t_implicitly_closed_without_data() {
	backing_xfs_rt
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,max_open_zones=1
	rt_fail
	steps "$DEV" <<< "write z1 64k = EIO"
	rt_work
	steps "$DEV" <<-END
	report z1 = EMPTY | IMP_OPEN +0
	write z2 4k = ok
	conds all = NEIEEEEE
	END
}

tap_run t_status "errno at the limit"
tap_run t_implicitly_closed_without_data "implicitly closed without data"
tap_end
