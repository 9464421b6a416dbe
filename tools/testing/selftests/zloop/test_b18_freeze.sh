#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writes to a frozen backing file system wait. The C driver writes into frozen ext4.
# paths: both

. "$(dirname "$0")/lib.sh"

t_frozen_ext4() {
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	background "$ZBDTOOL" script "$DEV" <<< "write z1 64k = ok"
	in_flight 1
	sleep 1
	background_goes_on "the write ended while the file system was frozen"
	must fsfreeze -u "$BDIR"
	background_end
	steps "$DEV" <<< "read z1 64k = ok"
}

tap_run t_frozen_ext4 "ext4"
tap_end
