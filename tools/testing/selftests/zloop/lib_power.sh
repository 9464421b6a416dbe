#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Power cuts: load on a device whose backing file system is on a disk with a volatile cache, then what each of many
# cuts would have left of that disk. dm-log-writes records what reached the disk, and when it was flushed; zbdtool
# chooses moments, and what of the cache is lost.
#
# ram0 is the disk, ram1 has the log. ram3 is a copy of the disk, on which the log is replayed; ram2 takes what only
# one cut has written.

POWER_MB=512
POWER_LOG=zl-power-log
# udev would look at each of the disks that come and go here, and takes longer than the tests.
export DM_DISABLE_UDEV=1

power_begin() {
	modprobe -q -a dm-mod dm-log-writes dm-snapshot xfs ext4 btrfs
	# Another script's.
	[ -b /dev/ram3 ] || rmmod brd 2> /dev/null
	[ -b /dev/ram3 ] || modprobe brd rd_nr=4 rd_size=$((POWER_MB << 10)) max_part=1 || tap_bail "no brd module"
	[ "$(blockdev --getsize64 /dev/ram3)" -ge $((POWER_MB << 20)) ] || tap_bail "/dev/ram3 is too small"
	POWER_UDEVD=$(pidof systemd-udevd) && udevadm control --exit
	trap power_end EXIT
}

power_end() {
	local n
	# Built in, they stay.
	rmmod brd 2> /dev/null || for n in 0 1 2 3; do blkdiscard -f "/dev/ram$n"; done
	[ -z "$POWER_UDEVD" ] || /usr/lib/systemd/systemd-udevd --daemon --resolve-names=never
}

# power_disk FS [MKFS OPTION...]: a fresh disk with that file system, not mounted.
power_disk() {
	local n
	for n in 0 1 2 3; do
		must blkdiscard -f "/dev/ram$n"
	done
	POWER_FS=$1
	shift
	make_fs "$POWER_FS" /dev/ram0 "$@"
}

# power_log [MOUNT OPTIONS]: from here on, what is written to the disk is logged; mounts it, sets BDIR.
power_log() {
	POWER_MOUNT=${1:-}
	must dd if=/dev/ram0 of=/dev/ram3 bs=1M conv=sparse iflag=direct oflag=direct
	# Taken down last.
	undo dm zl-power-cut
	undo dm $POWER_LOG
	must dmsetup create $POWER_LOG --table "0 $((POWER_MB << 11)) log-writes /dev/ram0 /dev/ram1"
	mount_backing "/dev/mapper/$POWER_LOG" "$POWER_MOUNT"
	undo dev 0
}

# power_log_end: the log is complete, the disk is not in use.
power_log_end() {
	local status
	must umount "$BDIR"
	status=$(dmsetup status $POWER_LOG)
	[[ $status != *logging_disabled* ]] || fail "the log is not complete: $status"
	must dmsetup remove --retry $POWER_LOG
	rm -f "$ZL_T/out"
}

# power_load OPTIONS LOAD-OPTION...: adds the device with these options, loads it, and removes it again.
power_load() {
	local out
	with_options "$1"
	POWER_OPTIONS=$REPLY
	shift
	out=$("$ZBDTOOL" power load /dev/zloop0 --journal "$ZL_T/journal" --marks $POWER_LOG --noise "$BDIR/noise" \
		--add "add id=0,base_dir=$BDIR,$POWER_OPTIONS" --remove "remove id=0" "$@" 2>&1) || fail "load: $out"
}

# power_load_nvme OPTIONS LOAD-OPTION...: the same through an NVMe target, which passes on appends, and FUA without a
# flush. No conventional zones.
power_load_nvme() {
	local out
	with_options "$1"
	POWER_OPTIONS=$REPLY
	shift
	add "$POWER_OPTIONS"
	nvmet_up "$DEV"
	out=$("$ZBDTOOL" power load "$NVME" --nvme --journal "$ZL_T/journal" --marks $POWER_LOG --noise "$BDIR/noise" \
		"$@" 2>&1) || fail "load: $out"
	nvmet_down "$NVMET_NQN"
	remove
}

# power_survive CUTS SEED OPTION...: the status of zbdtool; REPLY is what it printed.
power_survive() {
	local count=$1 seed=$2 status
	shift 2
	REPLY=$("$ZBDTOOL" power survive /dev/zloop0 --log /dev/ram1 --journal "$ZL_T/journal" --disk /dev/ram3 \
		--cow /dev/ram2 --fs "$POWER_FS" --mount-options "$POWER_MOUNT" --mount "$BDIR" --dir "$BDIR/0" \
		--add "add id=0,base_dir=$BDIR,$POWER_OPTIONS" --remove "remove id=0" \
		--count "$count" --seed "$seed" "$@" 2>&1)
	status=$?
	diag "seed $seed: ${REPLY##*$'\n'}"
	[ -z "${POWER_TALLY:-}" ] || printf '%s\n' "${REPLY##*$'\n'}" >> "$POWER_TALLY"
	rm -f "$ZL_T/journal"
	return "$status"
}

# power_cuts FS OPTIONS CUTS SEED LOAD-OPTION...: all of it; fails if a cut did harm.
power_cuts() {
	local fs=$1 options=$2 cuts=$3 seed=$4
	shift 4
	power_disk "$fs"
	power_log
	power_load "$options" --seed "$seed" "$@"
	power_log_end
	# shellcheck disable=SC2086 # words
	power_survive "$cuts" "$seed" ${POWER_JUDGE:-} || fail "$REPLY"
}

# The same with buffered_io: ext4 and btrfs store the size of a file, and so the write pointer, before the data of the
# page cache, XFS that of a later part whose write-back is complete before an earlier one (xfs_setfilesize()). After a
# cut there can be zeros in what was not flushed.
power_cuts_zeros() { POWER_JUDGE=--zeros power_cuts "$@"; }

# The same with appends and FUA.
power_cuts_nvme() {
	local fs=$1 options=$2 cuts=$3 seed=$4
	shift 4
	power_disk "$fs"
	power_log
	power_load_nvme "$options" --seed "$seed" --fua 25 "$@"
	power_log_end
	# shellcheck disable=SC2086 # words
	power_survive "$cuts" "$seed" ${POWER_JUDGE:-} || fail "$REPLY"
}

# Cuts while a device is made, up to its first writes. Whatever is left, a device can be added in its place.
power_cuts_birth() {
	local fs=$1 options=$2 cuts=$3 seed=$4
	power_disk "$fs"
	power_log
	power_load "$options" --seed "$seed" --ops 20 --flush 30
	power_log_end
	power_survive "$cuts" "$seed" --first 12 || fail "$REPLY"
}

# Zones of file systems on the device; see suites/fs.
declare -A POWER_TOP=(
	[btrfs]="capacity_mb=512,zone_size_mb=16,zone_capacity_mb=12,conv_zones=4"
	[f2fs]="capacity_mb=512,zone_size_mb=16,conv_zones=8"
	[xfs]="capacity_mb=1024,zone_size_mb=16,conv_zones=24,ordered_zone_append"
)
# btrfs: see suites/fs, fsync of two files at a time fails on zoned btrfs of Linux 7.3.
#
# f2fs loses what was synced before, on any disk with a volatile cache, when it is overwritten and the power fails while
# the address of the new block is on the disk and the data is not. Unless it is strict, an fsync flushes the two together
# (f2fs_do_sync_file() in fs/f2fs/file.c); and a checkpoint, which the first fsync of a new file needs, does not wait for
# the data of other files (f2fs_is_cp_guaranteed() in fs/f2fs/data.c).
declare -A POWER_TOP_MOUNT=([btrfs]=notreelog [f2fs]=fsync_mode=strict)
declare -A POWER_TOP_THREADS=([btrfs]=1 [f2fs]=1)

# power_cuts_top FS TOP CUTS SEED LOAD-OPTION...: cuts with the file system TOP on the device, whose files are judged.
power_cuts_top() {
	local fs=$1 top=$2 cuts=$3 seed=$4 mount=${POWER_TOP_MOUNT[$2]:-} dir=$ZL_T/top out
	shift 4
	modprobe -q "$top"
	power_disk "$fs"
	mount_backing /dev/ram0
	add "${POWER_TOP[$top]}"
	# shellcheck disable=SC2086 # words
	must ${TOP_MKFS[$top]} "$DEV"
	remove
	must umount "$BDIR"
	power_log
	with_options "${POWER_TOP[$top]}"
	POWER_OPTIONS=$REPLY
	add "$POWER_OPTIONS"
	mkdir -p "$dir"
	must mount -t "$top" ${mount:+-o "$mount"} "$DEV" "$dir"
	undo mount "$dir"
	mkdir "$dir/files"
	out=$("$ZBDTOOL" power files "$dir/files" --journal "$ZL_T/journal" --marks $POWER_LOG --seed "$seed" \
		--threads "${POWER_TOP_THREADS[$top]:-2}" "$@" 2>&1) || fail "load: $out"
	must umount "$dir"
	remove
	power_log_end
	power_survive "$cuts" "$seed" --top "$top" --top-mount "$dir" --top-options "$mount" \
		--fsck "${TOP_FSCK[$top]} $DEV" || fail "$REPLY"
}

# power_discard FS OPTIONS SEED LOAD-OPTION...: no cut, but a removal that loses what was not flushed.
power_discard() {
	local out seed=$3
	backing "$1"
	add "$2,discard_write_cache"
	out=$("$ZBDTOOL" power load "$DEV" --journal "$ZL_T/journal" --fua 0 --unflushed 60 --seed "$seed" "${@:4}" 2>&1) ||
		fail "load: $out"
	remove
	add "$2"
	out=$("$ZBDTOOL" power judge "$DEV" --journal "$ZL_T/journal" --discarded 2>&1) || fail "$out"
	diag "seed $seed: $out"
	rm "$ZL_T/journal"
	[[ $out != *zones_behind=0* ]] || fail "nothing was discarded"
}
