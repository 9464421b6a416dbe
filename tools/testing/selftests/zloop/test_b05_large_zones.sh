#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Zones above 2 GiB: writes at 2 GiB, re-add of files of that size. The C driver opens without O_LARGEFILE.

. "$(dirname "$0")/lib.sh"

t_write() {
	backing_tmpfs
	add capacity_mb=16384,zone_size_mb=4096,conv_zones=1
	steps "$DEV" <<-END
	write z0+2g 64k = ok
	read z0+2g 64k = ok
	END
}

t_restore() {
	backing_tmpfs
	add capacity_mb=16384,zone_size_mb=4096,conv_zones=1
	remove
	truncate -s 2G "$BDIR/0/seq-000001"
	truncate -s 3G "$BDIR/0/seq-000002"
	add capacity_mb=16384,zone_size_mb=4096,conv_zones=1
	steps "$DEV" <<-END
	report z1-2 = CLOSED +2g, CLOSED +3g
	write z1+2g 64k = ok
	read z1+2g 64k = ok
	finish z2 = ok
	report z2 = FULL
	END
}

tap_run t_write "a write at 2 GiB"
tap_run t_restore "zone files of 2 GiB and more"
tap_end
