#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A failed add keeps no file open: the backing file system can be unmounted.

. "$(dirname "$0")/lib.sh"

failed_add() {
	backing "$1"
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	remove
	truncate -s 1000 "$BDIR/0/seq-000005"
	add_expect EINVAL capacity_mb=32,zone_size_mb=4,conv_zones=1
	must umount "$BDIR"
}

t_ext4() { failed_add ext4; }
t_xfs() { failed_add xfs; }
t_tmpfs() { failed_add tmpfs; }

tap_run t_ext4 "ext4"
tap_run t_xfs "XFS"
tap_run t_tmpfs "tmpfs"
tap_end
