#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# FLUSH: what was acknowledged before it is durable afterwards; only the device's own files are touched.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
. "$(dirname "$0")/lib_nullb.sh"

# After a flush, a copy of the disk below the backing file system holds all data: nothing waits in memory.
durable() {
	local fs=$1 opts=$2 image
	backing "$fs"
	image=$(losetup -n -O BACK-FILE "$LOOP")
	no_writeback
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1${opts:+,$opts}"
	steps "$DEV" <<-END
	write z0+1m 256k = ok
	write z1 1m seed=2 = ok
	write z2 256k seed=3 = ok
	write z3 4m seed=4 = ok
	write z4 64k seed=5 = ok
	finish z4 = ok
	write z5 64k seed=6 = ok
	reset z5 = ok
	fsync = ok
	write z6 64k sync seed=7 = ok
	END
	crash_copy "$image" "$([ "$fs" != xfs ] || echo nouuid)"
	mv "$BDIR/0" "$BDIR/1"
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1${opts:+,$opts}" 1
	steps "$DEV" <<-END
	conds all = NCCFFECE
	read z0+1m 256k = ok
	report z1 = CLOSED +1m
	read z1 1m seed=2 = ok
	read z2 256k seed=3 = ok
	read z3 4m seed=4 = ok
	read z4 64k seed=5 = ok
	read z4+64k 64k zero = ok
	report z6 = CLOSED +64k
	read z6 64k seed=7 = ok
	END
}

t_durable_ext4() { durable ext4 ""; }
t_durable_ext4_buffered() { durable ext4 buffered_io; }
t_durable_xfs() { durable xfs ""; }
t_durable_xfs_buffered() { durable xfs buffered_io; }
t_durable_btrfs() { durable btrfs buffered_io; }

# Data of before a remove counts as acknowledged, too: a flush of the re-added device covers it.
t_durable_after_readd() {
	local image
	backing ext4
	image=$(losetup -n -O BACK-FILE "$LOOP")
	no_writeback
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,buffered_io
	must sync -f "$BDIR"
	steps "$DEV" <<-END
	write z0 64k = ok
	write z1 1m seed=2 = ok
	END
	remove
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,buffered_io
	steps "$DEV" <<< "fsync = ok"
	crash_copy "$image"
	mv "$BDIR/0" "$BDIR/1"
	add capacity_mb=32,zone_size_mb=4,conv_zones=1 1
	steps "$DEV" <<-END
	report z1 = CLOSED +1m
	read z0 64k = ok
	read z1 1m seed=2 = ok
	END
}

# A new device that was never written: after a flush it can be added after a power cut.
t_durable_creation() {
	local image
	backing "$1"
	image=$(losetup -n -O BACK-FILE "$LOOP")
	no_writeback
	add capacity_mb=32,zone_size_mb=4,conv_zones=3
	steps "$DEV" <<-END
	write z4 64k = ok
	fsync = ok
	END
	crash_copy "$image" "$([ "$1" != xfs ] || echo nouuid)"
	mv "$BDIR/0" "$BDIR/1"
	add capacity_mb=32,zone_size_mb=4,conv_zones=3 1
	steps "$DEV" <<-END
	conds all = NNNECEEE
	read z4 64k = ok
	END
}

t_durable_creation_ext4() { t_durable_creation ext4; }
t_durable_creation_btrfs() { t_durable_creation btrfs; }
t_durable_creation_xfs() { t_durable_creation xfs; }

# The opposite, so that the tests above can fail: without a flush, buffered data is not on the disk.
t_not_durable_without_flush() {
	local image
	backing ext4
	image=$(losetup -n -O BACK-FILE "$LOOP")
	no_writeback
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,buffered_io
	must sync -f "$BDIR"
	steps "$DEV" <<< "write z1 1m = ok"
	crash_copy "$image"
	expect "size of the zone file after the crash" 0 "$(stat -c %s "$BDIR/0/seq-000001")"
}

# 24 MiB of somebody else's dirty data are not written out by a flush of ours.
foreign() {
	local before after
	backing "$1"
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1${2:+,$2}"
	must sync
	no_writeback
	must dd if=/dev/zero of="$BDIR/foreign" bs=1M count=24 status=none
	dirty_kib "$BDIR/foreign"
	before=$REPLY
	((before > 20000)) || fail "only $before KiB dirty: this test does not work here"
	steps "$DEV" <<-END
	write z1 64k = ok
	fsync = ok
	write z0 64k = ok
	fsync = ok
	END
	dirty_kib "$BDIR/foreign"
	after=$REPLY
	diag "dirty before $before KiB, after the flush $after KiB"
	((after > before - 4000)) || fail "the flush wrote $((before - after)) KiB of foreign data"
}

t_foreign_ext4() { foreign ext4 ""; }
t_foreign_xfs() { foreign xfs buffered_io; }

# Zones written since the last flush only: a flush with nothing to do is quick, however many zones there are.
t_idle_flush() {
	local began
	backing ext4
	add capacity_mb=2000,zone_size_mb=1,conv_zones=1
	steps "$DEV" <<-END
	write z1 64k = ok
	fsync = ok
	END
	now_ms
	began=$REPLY
	for _ in 1 2 3 4 5; do echo "fsync = ok"; done | "$ZBDTOOL" script "$DEV" || fail "flush failed"
	now_ms
	diag "5 flushes with nothing written: $((REPLY - began)) ms"
	((REPLY - began < 3000 * ZLOOP_SLOWNESS)) || fail "idle flushes are slow"
}

# A write-back error is reported by one flush, and only by one.
t_error_once() {
	backing_ext4_dm
	add capacity_mb=32,zone_size_mb=4,conv_zones=2,buffered_io
	steps "$DEV" <<-END
	write z0 1m = ok
	write z1 64k = ok
	fsync = ok
	END
	first_block "$BDIR/0/cnv-000000"
	ext4_hole "$REPLY" 64
	steps "$DEV" <<-END
	write z0 16k seed=2 = ok
	write z1 16k seed=2 = ok
	fsync = EIO
	fsync = ok
	END
	ext4_work
	steps "$DEV" <<-END
	write z0 16k seed=3 = ok
	fsync = ok
	read z0 16k seed=3 = ok
	read z1 16k seed=2 = ok
	END
}

# The error of a sequential zone that is not written again before the flush.
t_error_sequential() {
	backing_xfs_rt
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,buffered_io
	steps "$DEV" <<-END
	write z1 256k = ok
	fsync = ok
	END
	no_writeback
	steps "$DEV" <<< "write z1+256k 256k seed=2 = ok"
	rt_fail
	steps "$DEV" <<< "fsync = EIO"
	rt_work
	steps "$DEV" <<-END
	fsync = ok
	read z1 256k = ok
	END
}

# Flushes of many threads while all zones are written.
t_concurrent() {
	local i pids=()
	backing xfs
	add capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2
	"$ZBDTOOL" hammer "$DEV" --threads 2 --first 1 --zones 15 --bs 16384 --seconds 4 > "$ZL_T/out" &
	pids=($!)
	for i in 1 2; do
		(while kill -0 "${pids[0]}" 2> /dev/null; do echo "fsync = ok"; sleep 0.01; done | "$ZBDTOOL" script "$DEV") &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || fail "$(< "$ZL_T/out")"
	done
	diag "$(< "$ZL_T/out")"
	rm "$ZL_T/out"
}

# btrfs makes a direct write part of the file when it is submitted, and an fsync writes to the log what is part of the
# file. A FLUSH while a write to the same zone is in flight must not make durable that there is data which is not there:
# after a power cut then, what was flushed before reads as it was, or as what was being written.
t_write_in_flight_btrfs() {
	local i meta data sectors table name=zloop-test-slow images=() loops=()
	modprobe -q -a btrfs dm-mod dm-delay
	new_loop 200
	meta=$LOOP
	new_loop 900
	data=$LOOP
	sectors=$(blockdev --getsz "$data")
	dm_linear "$name" "$data"
	must mkfs.btrfs -q -f -m single -d single "$meta" "$DM"
	mount_backing "$meta" "device=$DM" btrfs
	# The first of the data goes to the first disk.
	must dd if=/dev/zero of="$BDIR/ballast" bs=1M count=64 conv=fsync status=none
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<-END
	write z0 4m seed=1 = ok
	fsync = ok
	write z0+128k 4k seed=2 = ok
	END
	# Writes take 20 seconds, but that of the super block; reads and flushes do not.
	table="0 2048 linear $data 0"$'\n'"2048 $((sectors - 2048)) delay $data 2048 0 $data 2048 20000 $data 2048 0"
	dm_swap "$name" "$table"
	background "$ZBDTOOL" script "$DEV" <<< "write z0 4k seed=3 = ok"
	in_flight 1
	background_goes_on "the write is not in flight"
	steps "$DEV" <<< "fsync = ok"
	if kill -0 "$BG" 2> /dev/null; then
		diag "the flush did not wait for the write"
		for i in "$meta" "$data"; do
			images+=("$ZL_T/copy${#images[@]}")
			must cp --sparse=always "$(losetup -n -O BACK-FILE "$i")" "${images[-1]}"
		done
		background_goes_on "the write is no longer in flight"
	fi
	background_end
	dm_swap "$name" "$DM_TABLE"
	remove
	must umount "$BDIR"
	must dmsetup remove --retry "$name"
	must losetup -d "$meta" "$data"
	btrfs -q device scan --forget
	[ ${#images[@]} -ne 0 ] || return 0
	for i in "${images[@]}"; do
		loops+=("$(losetup -f --show "$i")")
		undo loop "${loops[-1]}"
	done
	mount_backing "${loops[0]}" "device=${loops[1]}" btrfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	step "$DEV" "read z0 4k seed=1"
	diag "as it was: $REPLY"
	[ "$REPLY" = ok ] || step "$DEV" "read z0 4k seed=3"
	expect "what was flushed" ok "$REPLY"
}

# A disk with a cache, which takes its time: what was written is in the cache only when the flush comes, and the file
# system did not wait for it.
disk() {
	local i before like
	modprobe -q "$1"
	like=(/sys/block/*)
	nullb_up zldisk "${like##*/}" zoned=0 size=400 cache_size=16 irqmode=2 completion_nsec=2000000 || skip "no null_blk"
	make_fs "$1" /dev/zldisk
	mount_backing /dev/zldisk "" "$1"
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<< "write z0 64k = ok"
	for i in 1 2 3 4 5; do
		disk_flushes
		before=$REPLY
		steps "$DEV" <<-END
		write z0 4k seed=$i = ok
		fsync = ok
		END
		disk_flushes
		[ "$REPLY" -gt "$before" ] || fail "flush $i did not reach the disk"
	done
}

# How many flushes the disk has had, in REPLY.
disk_flushes() { read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ REPLY _ < /sys/block/zldisk/stat; }

t_disk_xfs() { disk xfs; }
t_disk_ext4() { disk ext4; }
t_disk_btrfs() { disk btrfs; }
t_disk_f2fs() { disk f2fs; }

tap_run t_durable_ext4 "durable on ext4"
tap_run t_durable_ext4_buffered "durable on ext4, buffered_io"
tap_run t_durable_xfs "durable on XFS"
tap_run t_durable_xfs_buffered "durable on XFS, buffered_io"
tap_run t_durable_btrfs "durable on btrfs, buffered_io"
tap_run t_durable_after_readd "what was written before a remove"
tap_run t_durable_creation_ext4 "a new device, ext4"
tap_run t_durable_creation_xfs "a new device, XFS"
tap_run t_durable_creation_btrfs "a new device, btrfs"
tap_run t_write_in_flight_btrfs "a write in flight to a zone that is flushed, btrfs"
tap_run t_not_durable_without_flush "not durable without a flush (check of the method)"
tap_run t_foreign_ext4 "foreign dirty data stays dirty, ext4"
tap_run t_foreign_xfs "foreign dirty data stays dirty, XFS, buffered_io"
tap_run t_idle_flush "a flush with nothing to do"
tap_run t_error_once "a write-back error is reported once"
tap_run t_error_sequential "a write-back error of a sequential zone"
tap_run t_concurrent "concurrent flushes"
tap_run t_disk_xfs "a flush is one of the disk below, XFS"
tap_run t_disk_ext4 "a flush is one of the disk below, ext4"
tap_run t_disk_btrfs "a flush is one of the disk below, btrfs"
tap_run t_disk_f2fs "a flush is one of the disk below, f2fs"
tap_end
