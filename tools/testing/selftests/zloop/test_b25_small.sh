#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Smaller defects of the C driver.

. "$(dirname "$0")/lib.sh"

t_enoent() {
	backing_tmpfs
	ctl_expect ENOENT "add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR/missing"
}

t_no_blank_after_add() {
	backing_tmpfs
	mkdir "$BDIR/0"
	ctl "addcapacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR"
	[ "$REPLY" != ok ] || undo dev 0
	expect "errno" EINVAL "$REPLY"
}

# Fewer than nine zones without conv_zones.
t_default_conv_zones() {
	local conv mb
	for mb in 512 128 576; do
		backing_tmpfs
		add "capacity_mb=$mb,zone_size_mb=64"
		conv=$("$ZBDTOOL" report "$DEV" | grep -c type=conv)
		diag "$((mb / 64)) zones: $conv conventional"
		((conv < mb / 64)) || fail "no sequential zone"
		[ "$mb" -ne 576 ] || expect "conventional zones of nine" 8 "$conv"
		remove
	done
}

t_queue_depth() {
	backing_tmpfs
	mkdir "$BDIR/0"
	klog_mark
	ctl "add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,queue_depth=4294967295,base_dir=$BDIR"
	[ "$REPLY" != ok ] || undo dev 0
	expect "errno" EINVAL "$REPLY"
	klog_has queue_depth 4294967295
}

# The write pointer of a full zone as blkzone prints it.
t_full_wp() {
	local line
	backing_tmpfs
	add capacity_mb=16,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1
	steps "$DEV" <<-END
	write z1 3m = ok
	finish z2 = ok
	consistent all = ok
	END
	line=$(blkzone report -o 8192 -c 2 "$DEV")
	diag "$line"
	[[ $line == *"(fu)"*"(fu)"* ]] || fail "blkzone does not show two full zones: $line"
	[[ $line != *0xffff* ]] || fail "blkzone prints $line"
}

t_log_prefix() {
	backing_tmpfs
	klog_mark
	add capacity_mb=16,zone_size_mb=4,conv_zones=1
	remove
	if klog_since "$ZL_MARK" | grep -q 'zloop: zloop:'; then
		fail "doubled prefix: $(klog_since "$ZL_MARK" | grep 'zloop: zloop:')"
	fi
}

# A comma in base_dir is written as "\,".
t_comma_in_base_dir() {
	backing_tmpfs
	mkdir -p "$BDIR/a,b/0"
	undo dev 0
	ctl_expect ok "add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR/a\\,b"
	[ -f "$BDIR/a,b/0/seq-000001" ] || fail "the zone files are elsewhere: $(find "$BDIR")"
}

# CAP_SYS_ADMIN of the writer, whoever opened the descriptor.
t_capability() {
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	# Root, so that only the capability is missing, not the access to the directory.
	if setpriv --bounding-set=-sys_admin bash -c \
		"printf 'add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR' >&9" 9> "$ZL_CTL" 2> /dev/null; then
		fail "a process without CAP_SYS_ADMIN added a device"
	fi
	[ ! -e /sys/block/zloop0 ] || fail "a device was added"
}

# A device on storage under memory pressure: the workqueue has a rescuer.
t_rescuer() {
	backing_tmpfs
	add capacity_mb=8,zone_size_mb=4,conv_zones=1 7
	pgrep R-zloop > /dev/null || fail "no rescuer thread: the workqueue is not WQ_MEM_RECLAIM"
}

tap_run t_enoent "a missing directory is ENOENT"
tap_run t_no_blank_after_add "add without a blank"
tap_run t_default_conv_zones "default conv_zones on devices of few zones"
tap_run t_queue_depth "queue_depth that overflows"
tap_run t_full_wp "write pointer of a full zone"
tap_run t_log_prefix "prefix of kernel messages"
tap_run t_comma_in_base_dir "a comma in base_dir"
tap_run t_capability "a control descriptor inherited by a process without CAP_SYS_ADMIN"
tap_run t_rescuer "the workqueue makes progress without memory"
tap_end
