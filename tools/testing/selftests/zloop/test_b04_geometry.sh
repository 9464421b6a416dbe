#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A re-add with another geometry is refused. The C driver accepts short conventional files and another zone size.

. "$(dirname "$0")/lib.sh"

t_short_conventional() {
	backing_tmpfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=2
	remove
	truncate -s 1M "$BDIR/0/cnv-000000"
	klog_mark
	add_expect EINVAL capacity_mb=32,zone_size_mb=4,conv_zones=2
	klog_has "zone 0: " 1048576
	expect "size after the refusal" 1048576 "$(stat -c %s "$BDIR/0/cnv-000000")"
}

t_other_zone_size() {
	backing_tmpfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=2
	remove
	klog_mark
	add_expect EINVAL capacity_mb=64,zone_size_mb=8,conv_zones=2
	klog_has "zone_size_mb" 4 8
	expect "sizes after the refusal" "4194304 4194304" "$(stat -c %s "$BDIR"/0/cnv-* | paste -sd ' ')"
}

tap_run t_short_conventional "a conventional zone file that is too short"
tap_run t_other_zone_size "another zone size"
tap_end
