#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A read error of the backing file is an error of the device, not zeros. With buffered_io the C driver takes the short
# read before the error for the end of the file.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"

t_bad_block() {
	backing_ext4_dm
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,buffered_io
	steps "$DEV" <<-END
	write z1 1m = ok
	fsync = ok
	END
	first_block "$BDIR/0/seq-000001"
	ext4_hole "$((REPLY + 512))" 8
	echo 3 > /proc/sys/vm/drop_caches
	steps "$DEV" <<-END
	read z1 512k any = EIO
	read z1 256k = ok
	END
	ext4_work
}

tap_run t_bad_block "512 KiB over one bad block"
tap_end
