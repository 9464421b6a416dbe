#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# null_blk devices in memory: a zoned one, to compare zloop with, and one to have zone files on. The caller provides "undo", as lib.sh does.

NULLB_CFG=/sys/kernel/config/nullb

# nullb_up NAME LIKE ATTRIBUTE=VALUE...: /dev/NAME, with the block size and the largest request of /dev/LIKE. Not
# nullb0: there is one if null_blk is built into the kernel.
nullb_up() {
	local dir=$NULLB_CFG/$1 queue=/sys/block/$2/queue attr sectors
	shift 2
	sectors=$((2 * $(< "$queue/max_hw_sectors_kb")))
	[ -d /sys/module/null_blk ] || modprobe -q null_blk nr_devices=0 || return
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	mkdir "$dir" || return
	undo nullb "${dir##*/}"
	for attr in zoned=1 memory_backed=1 "blocksize=$(< "$queue/logical_block_size")" "max_sectors=$sectors" \
		"zone_append_max_sectors=$sectors" "$@" power=1; do
		echo "${attr#*=}" > "$dir/${attr%%=*}" || return
	done
	[ -b "/dev/${dir##*/}" ]
}

# nullb_plain ATTRIBUTE=VALUE...: one without zones, in memory; its name in NULLB, its directory in NULLB_DIR.
nullb_plain() {
	local attr
	[ -d /sys/module/null_blk ] || modprobe -q null_blk nr_devices=0 || return
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	NULLB_DIR=$NULLB_CFG/zloop-test
	mkdir "$NULLB_DIR" || return
	undo nullb zloop-test
	for attr in memory_backed=1 "$@" power=1; do
		echo "${attr#*=}" > "$NULLB_DIR/${attr%%=*}" || return
	done
	NULLB=/dev/nullb$(< "$NULLB_DIR/index")
	[ -b "$NULLB" ] || NULLB=/dev/zloop-test
	[ -b "$NULLB" ]
}

# nullb_down NAME
nullb_down() { [ ! -d "$NULLB_CFG/$1" ] || rmdir "$NULLB_CFG/$1"; }
