#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Backing stores that fail on demand, and views of what is dirty or durable.

# XFS whose file data is on a device of its own (a realtime device), so that data I/O can be made to fail without
# touching the metadata and the log. Sets BDIR, RT (device-mapper name) and RT_GOOD, RT_BAD (its tables).
backing_xfs_rt() {
	local meta data sectors
	modprobe -q -a xfs dm-mod
	new_loop 320
	meta=$LOOP
	new_loop "${1:-256}"
	data=$LOOP
	RT=zloop-test-rt
	dm_linear "$RT" "$data"
	sectors=$(blockdev --getsz "$data")
	RT_GOOD=$DM_TABLE
	# shellcheck disable=SC2034 # for the scripts
	RT_BAD="0 $sectors error"
	must mkfs.xfs -q -f -K -m reflink=0,rmapbt=0 -d rtinherit=1 -r "rtdev=$DM,extsize=4096" "$meta"
	mount_backing "$meta" "rtdev=$DM"
}

# The same on a slow disk in memory, of which a write fails where it is told to, once: rt_fail_one.
backing_xfs_rt_once() {
	modprobe -q xfs
	new_loop 320
	nullb_plain size=100 irqmode=2 completion_nsec=$((20000000 * ZLOOP_SLOWNESS)) badblocks_once=1 ||
		skip "no null_blk with badblocks_once"
	must mkfs.xfs -q -f -K -m reflink=0,rmapbt=0 -d rtinherit=1 -r "rtdev=$NULLB,extsize=4096" "$LOOP"
	mount_backing "$LOOP" "rtdev=$NULLB"
}

rt_fail_one() {
	local sectors=0-$((100 * 2048 - 1))
	echo "+$sectors" > "$NULLB_DIR/badblocks" || fail "null_blk does not take bad blocks"
	sleep 0.1
	echo "-$sectors" > "$NULLB_DIR/badblocks" || fail "null_blk keeps bad blocks"
}

rt_fail() { dm_swap "$RT" "$RT_BAD"; }
rt_work() { dm_swap "$RT" "$RT_GOOD"; }

# rt_slow MS: each I/O takes that much longer.
rt_slow() {
	modprobe -q dm-delay
	dm_swap "$RT" "0 $(blockdev --getsz "$DM") delay ${RT_GOOD#* linear } $1"
}

# ext4 on a device whose table can be exchanged. Sets BDIR, EXT4DM (name), EXT4DEV (device below).
backing_ext4_dm() {
	new_loop "${1:-200}"
	# shellcheck disable=SC2034 # for the scripts
	EXT4DEV=$LOOP EXT4DM=zloop-test-ext4
	dm_linear "$EXT4DM" "$LOOP"
	make_fs ext4 "$DM" -b 4096
	mount_backing "$DM"
}

# Makes COUNT sectors from FIRST on of the ext4 device fail, or all of it work again.
ext4_hole() {
	dm_hole "$EXT4DEV" "$(blockdev --getsz "$EXT4DEV")" "$1" "$2"
	dm_swap "$EXT4DM" "$REPLY"
}
ext4_work() { dm_swap "$EXT4DM" "$DM_TABLE"; }

# Dirty pages of FILE, in KiB; in REPLY. Not /proc/meminfo: what is written to a loop device can be dirty again below.
dirty_kib() {
	REPLY=$(fincore -n -r -b -o DIRTY "$1") || fail "fincore cannot tell what is dirty"
	REPLY=$((REPLY / 1024))
}

# Keeps the kernel from writing dirty pages by itself; restored by the exit of the case's subshell.
no_writeback() {
	local name
	for name in dirty_writeback_centisecs dirty_expire_centisecs dirty_background_bytes dirty_background_ratio; do
		WB_OLD[${#WB_OLD[@]}]="$name $(< /proc/sys/vm/$name)"
	done
	trap writeback_again EXIT
	echo 0 > /proc/sys/vm/dirty_writeback_centisecs
	echo 360000 > /proc/sys/vm/dirty_expire_centisecs
	echo 1000000000 > /proc/sys/vm/dirty_background_bytes
}
WB_OLD=()

writeback_again() {
	local line
	for line in "${WB_OLD[@]}"; do
		# Of bytes and ratio only one is set; writing 0 to the other is refused.
		{ [ "${line#* }" = 0 ] && [[ $line == *background* ]]; } ||
			printf '%s' "${line#* }" > "/proc/sys/vm/${line% *}"
	done
}

# A copy of what is on the device below the mounted file system, as after a power cut; mounted, sets BDIR.
# crash_copy IMAGE [MOUNT OPTIONS]
crash_copy() {
	copy_loop "$1"
	mount_backing "$LOOP" "${2:-}"
}
