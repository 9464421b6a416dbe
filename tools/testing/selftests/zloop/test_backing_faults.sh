#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The store below fails altogether, for a while, stalls, or is shut down. Reports go on, write pointers stay right, the
# device works again when the store does, and remove ends.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"

O=capacity_mb=32,zone_size_mb=4,conv_zones=1

# A device of its own table with a file system on it. Sets BDIR, LOOP, DM, FAULTDM (name), FAULTSIZE (sectors).
backing_dm() {
	new_loop "${2:-320}"
	FAULTDM=zloop-test-fault
	dm_linear "$FAULTDM" "$LOOP"
	FAULTSIZE=$(blockdev --getsz "$LOOP")
	make_fs "$1" "$DM"
	mount_backing "$DM" "${3:-}"
}

# Two zones with data that is safe, and one with data that is not.
start_state() {
	add "$O${1:+,$1}"
	steps "$DEV" <<-END
	write z0 64k seed=9 = ok
	write z1 256k = ok
	write z2 4m = ok
	fsync = ok
	write z3 64k = ok
	END
}

# What was flushed is there after the file system was repaired and mounted again, in a device added again.
# later TYPE DEVICE
later() {
	must umount "$BDIR"
	case $1 in
	# Replays the log.
	xfs) must mount "$2" "$BDIR" ;;
	ext4)
		e2fsck -fy "$2" > "$ZL_T/fsck" 2>&1
		[ $? -lt 4 ] || fail "e2fsck: $(< "$ZL_T/fsck")"
		rm "$ZL_T/fsck"
		must mount "$2" "$BDIR"
		;;
	esac
	add "$O"
	steps "$DEV" <<-END
	consistent all = ok
	report z2 = FULL
	read z0 64k seed=9 = ok
	read z1 256k = ok
	read z2 4m = ok
	reset z5 = ok
	write z5 64k = ok
	read z5 64k = ok
	END
}

# All of the disk fails, metadata and log as well.
# all_fails TYPE MOUNT-OPTIONS OPTIONS OTHER-STATE
all_fails() {
	backing_dm "$1" 320 "${2:-}"
	start_state "${3:-}"
	dm_swap "$FAULTDM" "0 $FAULTSIZE error"
	echo 3 > /proc/sys/vm/drop_caches
	steps "$DEV" <<-END
	write z1+256k 64k = EIO
	write z0 64k seed=3 = EIO
	read z1 64k any = EIO
	fsync = EIO
	report z1 = IMP_OPEN +256k | CLOSED +256k${4:-}
	report z2 = FULL
	report z4 = EMPTY
	END
	# Whatever becomes of these, they end.
	timeout 60 "$ZBDTOOL" script "$DEV" <<-END > /dev/null
	reset z3
	finish z1
	open z5
	close z5
	END
	[ $? -ne 124 ] || fail "a zone command does not end"
	ctl "remove id=0"
	[ ! -e /sys/block/zloop0 ] || fail "remove: $REPLY, and the device is still there"
	dm_swap "$FAULTDM" "$DM_TABLE"
}

t_error_xfs() {
	# Without its log it may have shut down, and then does not say how long the file is.
	all_fails xfs "" "" " | READONLY"
	# The zone commands may have been done in memory, but their log was not.
	later xfs "$DM"
}

t_error_ext4() {
	all_fails ext4
	later ext4 "$DM"
}

# ext4 turns itself read-only when its journal fails, and the disk works again: still no write, but reads.
# read_only [COMMAND...]: with the device as it is after the command.
read_only() {
	backing_dm ext4 320 errors=remount-ro
	start_state
	"$@"
	dm_swap "$FAULTDM" "0 $FAULTSIZE error"
	touch "$BDIR/x"
	sync -f "$BDIR" 2> /dev/null
	dm_swap "$FAULTDM" "$DM_TABLE"
	! touch "$BDIR/y" 2> /dev/null || fail "the file system is not read-only: nothing is tested"
	echo 3 > /proc/sys/vm/drop_caches
	steps "$DEV" <<-END
	write z1+256k 64k = EIO | EROFS
	write z1+256k 64k = EIO | EROFS
	read z1 256k = ok
	read z1+192k 128k any = ok
	read z2 4m = ok
	reset z2 = EIO | EROFS
	report z1 = IMP_OPEN +256k | CLOSED +256k
	report z2 = FULL
	read z2 4m = ok
	END
	ctl "remove id=0"
	[ ! -e /sys/block/zloop0 ] || fail "remove: $REPLY, and the device is still there"
	later ext4 "$DM"
}

t_read_only() { read_only; }

add_again() {
	remove
	add "$O"
}

# The driver has no file open but that of zone 0.
t_read_only_closed() { read_only add_again; }

# shutdown [-f]: XFS that was told to stop, without and with its log written. It does not even say how long files
# are, so that a zone that failed to change is read-only.
shutdown() {
	backing xfs
	start_state
	must xfs_io -x -c "shutdown $1" "$BDIR"
	steps "$DEV" <<-END
	write z1+256k 64k = EIO
	write z0 64k seed=3 = EIO
	read z1 64k any = EIO
	fsync = EIO
	reset z2 = EIO
	finish z1 = EIO
	report z1 = READONLY | IMP_OPEN +256k | CLOSED +256k
	report z2 = READONLY | FULL
	report z4 = EMPTY
	END
	ctl "remove id=0"
	[ ! -e /sys/block/zloop0 ] || fail "remove: $REPLY, and the device is still there"
	add_expect EIO "$O"
	later xfs "$LOOP"
}

t_shutdown() { shutdown ""; }
t_shutdown_flush() { shutdown -f; }

# The quota of the files' owner: as a full file system.
t_quota() {
	local size
	new_loop 320
	make_fs xfs "$LOOP"
	mount_backing "$LOOP" uquota
	start_state "$1"
	must chown -R 1234 "$BDIR/0"
	must xfs_quota -x -c "limit bhard=5m 1234" "$BDIR"
	steps "$DEV" <<-END
	write z4 1m = ENOSPC | EDQUOT | EIO
	read z2 4m = ok
	END
	# The write pointer is where the file ends, whatever part of the failed write got there.
	size=$(stat -c %s "$BDIR/0/seq-000004")
	steps "$DEV" <<-END
	consistent all = ok
	reset z2 = ok
	write z4+$size 1m seed=2 = ok
	read z4+$size 1m seed=2 = ok
	read z1 256k = ok
	END
	must xfs_quota -x -c "limit bhard=0 1234" "$BDIR"
	steps "$DEV" <<< "write z2 4m = ok"
	remove
	later xfs "$LOOP"
}

t_quota_plain() { t_quota ""; }
t_quota_prealloc() { t_quota prealloc_kb=1024; }

# A disk that fails for a second, works for a second, under load.
# flaky OPTIONS
flaky() {
	backing_xfs_rt
	add "capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2${1:+,$1}"
	background "$ZBDTOOL" hammer "$DEV" --threads 3 --first 1 --zones 9 --seconds $((3 + 3 * ZLOOP_SLOWNESS)) --bs 16384 --manage --reporters 1 \
		--allow EIO
	while kill -0 "$BG" 2> /dev/null; do
		sleep 0.8
		rt_fail
		sleep 0.8
		rt_work
	done
	background_end
	steps "$DEV" <<< "consistent all = ok"
	# Some I/O did fail.
	[ "$(klog_since "start $ZL_SCRIPT t_flaky${2:-}" | grep -c 'zloop0: .* failed')" -gt 0 ] ||
		fail "no I/O failed: nothing was tested"
}

t_flaky() { flaky ""; }
t_flaky_inline() { flaky submit_inline=1,prealloc_kb=1024,fua=1 _inline; }

# dm-flakey: writes fail, reads do not.
t_error_writes() {
	backing_xfs_rt
	modprobe -q dm-flakey
	add "$O"
	steps "$DEV" <<< "write z1 256k = ok"
	dm_swap "$RT" "0 $(blockdev --getsz "$DM") flakey ${RT_GOOD#* linear } 0 60 1 error_writes"
	steps "$DEV" <<-END
	write z1+256k 64k = EIO
	read z1 256k = ok
	report z1 = IMP_OPEN +256k | CLOSED +256k
	END
	rt_work
	steps "$DEV" <<-END
	write z1+256k 64k = ok
	read z1 320k = ok
	END
}

# The block layer's own faults, in what goes to the disk.
t_fail_make_request() {
	local fault=/sys/kernel/debug/fail_make_request flag
	backing_xfs_rt
	# Of the loop device with the data, below device-mapper.
	flag=/sys/block/${LOOP##*/}/make-it-fail
	[[ -e $flag && -d $fault ]] || skip "the kernel has no CONFIG_FAIL_MAKE_REQUEST"
	add "capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2"
	echo 0 > "$fault/verbose"
	echo 15 > "$fault/probability"
	echo -1 > "$fault/times"
	echo 1 > "$flag"
	background "$ZBDTOOL" hammer "$DEV" --threads 3 --first 1 --zones 9 --seconds 4 --bs 16384 --manage --reporters 1 \
		--allow EIO
	sleep 3
	echo 0 > "$flag"
	echo 0 > "$fault/probability"
	background_end
	[ "$(klog_since "start $ZL_SCRIPT t_fail_make_request" | grep -c 'zloop0: .* failed')" -gt 0 ] ||
		fail "no I/O failed: nothing was tested"
	steps "$DEV" <<< "consistent all = ok"
}

# Completions that get lost, at random: what was asked for was done or not, a whole request at a time, and all ends.
# fake_timeouts OPTIONS
fake_timeouts() {
	local attr=/sys/block/zloop0/io-timeout-fail fault=/sys/kernel/debug/fail_io_timeout
	backing xfs
	add "capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2${1:+,$1}"
	[[ -e $attr && -d $fault ]] || skip "the kernel has no CONFIG_FAIL_IO_TIMEOUT"
	echo 0 > "$fault/verbose"
	echo 500 > /sys/block/zloop0/queue/io_timeout
	echo 2 > "$fault/probability"
	echo -1 > "$fault/times"
	echo 1 > "$attr"
	# The block layer takes a reset that timed out for one that was not done, and refuses the next write itself.
	background "$ZBDTOOL" hammer "$DEV" --threads 6 --first 1 --zones 12 --seconds 8 --bs 16384 --manage --reporters 1 \
		--allow ETIMEDOUT --allow EIO
	timeout 60 tail --pid="$BG" -f /dev/null
	echo 0 > "$attr"
	echo 0 > "$fault/probability"
	background_end
	[ "$(klog_since "start $ZL_SCRIPT $2" | grep -c 'timeout error, dev zloop0')" -gt 0 ] ||
		fail "no request timed out: nothing was tested"
	expect "reads and writes that the driver failed" "" \
		"$(klog_since "start $ZL_SCRIPT $2" | grep -E 'zloop0: zone [0-9]+: (read|write)')"
	steps "$DEV" <<< "consistent all = ok"
}

t_fake_timeouts() { fake_timeouts "" t_fake_timeouts; }
t_fake_timeouts_inline() { fake_timeouts submit_inline=1,prealloc_kb=1024,fua=1 t_fake_timeouts_inline; }

# A disk that does not answer: I/O waits, reports do not; then all of it ends well.
t_suspended() {
	backing_xfs_rt
	add "$O${1:+,$1}"
	steps "$DEV" <<< "write z1 256k = ok"
	must dmsetup --noudevsync suspend --noflush --nolockfs "$RT"
	background "$ZBDTOOL" script "$DEV" <<-END
	write z1+256k 64k = ok
	read z1 256k = ok
	fsync = ok
	END
	in_flight 1
	sleep 1
	timeout $((20 * ZLOOP_SLOWNESS)) "$ZBDTOOL" script "$DEV" <<-END || { dmsetup resume "$RT"; fail "reports wait for the disk"; }
	report z1 = IMP_OPEN +256k
	conds all = NIEEEEEE
	END
	(background_goes_on "ended without the disk") || { dmsetup resume "$RT"; exit 1; }
	must dmsetup --noudevsync resume "$RT"
	background_end
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +320k
	read z1 320k = ok
	END
}

t_suspended_plain() { t_suspended ""; }
t_suspended_inline() { t_suspended submit_inline=1,prealloc_kb=1024,fua=1; }

# remove waits for the I/O that the disk does not answer, and ends when it does.
t_remove_suspended() {
	local remover
	backing_xfs_rt
	add "$O"
	steps "$DEV" <<< "write z1 256k = ok"
	must dmsetup --noudevsync suspend --noflush --nolockfs "$RT"
	background "$ZBDTOOL" script "$DEV" <<< "write z1+256k 64k = ok"
	in_flight 1
	(ctl "remove id=0"; printf %s "$REPLY" > "$ZL_T/removed") &
	remover=$!
	undo pid "$remover"
	sleep $((ZLOOP_SLOWNESS + 1))
	[ ! -e "$ZL_T/removed" ] || { dmsetup --noudevsync resume "$RT"; fail "remove has not waited: $(< "$ZL_T/removed")"; }
	must dmsetup --noudevsync resume "$RT"
	wait "$remover"
	background_end
	expect remove ok "$(< "$ZL_T/removed")"
	[ ! -e /sys/block/zloop0 ] || fail "the device is still there"
	add "$O"
	steps "$DEV" <<-END
	report z1 = CLOSED +320k
	read z1 320k = ok
	END
	rm "$ZL_T/removed"
}

# A slow disk, with many writers.
t_delay() {
	local out
	backing_xfs_rt
	rt_slow 60
	add "capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2"
	out=$("$ZBDTOOL" hammer "$DEV" --threads 6 --first 1 --zones 12 --seconds 4 --reporters 1 --manage) || fail "$out"
	diag "$out"
	steps "$DEV" <<< "consistent all = ok"
	remove
}

tap_run t_error_xfs "all I/O fails, XFS"
tap_run t_error_ext4 "all I/O fails, ext4"
tap_run t_read_only "ext4 has made itself read-only"
tap_run t_read_only_closed "ext4 has made itself read-only, zone files are not open"
tap_run t_shutdown "XFS is shut down"
tap_run t_shutdown_flush "XFS is shut down with its log"
tap_run t_quota_plain "the owner's quota is used up"
tap_run t_quota_prealloc "the owner's quota is used up, blocks allocated ahead"
tap_run t_flaky "a disk that comes and goes, under load"
tap_run t_flaky_inline "a disk that comes and goes, under load, the short way"
tap_run t_error_writes "writes fail, reads do not (dm-flakey)"
tap_run t_fail_make_request "random I/O errors (fail_make_request)"
tap_run t_fake_timeouts "lost completions (fail_io_timeout)"
tap_run t_fake_timeouts_inline "lost completions (fail_io_timeout), the short way"
tap_run t_suspended_plain "a disk that does not answer for a while"
tap_run t_suspended_inline "a disk that does not answer for a while, the short way"
tap_run t_remove_suspended "remove while the disk does not answer"
tap_run t_delay "a slow disk, under load (dm-delay)"
tap_end
