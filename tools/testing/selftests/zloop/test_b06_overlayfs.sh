#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# overlayfs as the backing file system: works, with direct I/O or at least with buffered_io. It reports no block size.

. "$(dirname "$0")/lib.sh"

t_overlay() {
	modprobe -q overlay
	backing ext4
	mkdir "$BDIR/upper" "$BDIR/work" "$BDIR/lower" "$ZL_T/ovl"
	must mount -t overlay -o "lowerdir=$BDIR/lower,upperdir=$BDIR/upper,workdir=$BDIR/work" none "$ZL_T/ovl"
	undo mount "$ZL_T/ovl"
	BDIR=$ZL_T/ovl
	add capacity_mb=16,zone_size_mb=4,conv_zones=1,buffered_io
	steps "$DEV" <<-END
	write z1 64k = ok
	read z1 64k = ok
	END
	remove
	klog_mark
	ctl "add id=0,base_dir=$BDIR,capacity_mb=16,zone_size_mb=4,conv_zones=1"
	if [ "$REPLY" = ok ]; then
		steps "$DEV" <<-END
		read z1 64k = ok
		write z1+64k 64k = ok
		END
		remove
	else
		klog_has buffered_io
	fi
}

tap_run t_overlay "overlayfs"
tap_end
