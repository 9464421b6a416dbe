#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# When the "add" uevent is sent the device can be opened: udev probes it at once.

. "$(dirname "$0")/lib.sh"
with_udev

t_open_at_uevent() {
	local line
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	line=$("$ZBDTOOL" uevent-open --count 40 "add id=0,base_dir=$BDIR,capacity_mb=8,zone_size_mb=4,conv_zones=1" \
		"remove id=0") || fail "$line"
	diag "$line"
}

tap_run t_open_at_uevent "opens as soon as the node is announced"
tap_end
