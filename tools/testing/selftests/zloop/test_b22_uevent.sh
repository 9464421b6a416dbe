#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# When the "add" uevent is sent the device can be opened: udev probes it at once.

. "$(dirname "$0")/lib.sh"

t_open_at_uevent() {
	local i pid count=40
	backing_tmpfs
	mkdir "$BDIR/0"
	"$ZBDTOOL" uevent-open --count "$count" --seconds 60 > "$ZL_T/out" &
	pid=$!
	undo pid "$pid"
	undo dev 0
	for ((i = 0; i < 100; i++)); do
		[ ! -s "$ZL_T/out" ] || break
		sleep 0.05
	done
	for ((i = 0; i < count; i++)); do
		add_again
	done
	wait "$pid" || fail "$(< "$ZL_T/out")"
	diag "$(tail -n 1 "$ZL_T/out")"
	rm "$ZL_T/out"
}

# The opener may still have the previous device open.
add_again() {
	local j
	for ((j = 0; j < 50; j++)); do
		ctl "add id=0,base_dir=$BDIR,capacity_mb=8,zone_size_mb=4,conv_zones=1"
		[ "$REPLY" != ok ] || break
		sleep 0.05
	done
	expect "add" ok "$REPLY"
	for ((j = 0; j < 50; j++)); do
		ctl "remove id=0"
		[ "$REPLY" != ok ] || return 0
		sleep 0.05
	done
	fail "remove: $REPLY"
}

tap_run t_open_at_uevent "opens as soon as the node is announced"
tap_end
