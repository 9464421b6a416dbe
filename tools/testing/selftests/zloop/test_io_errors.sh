#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Failing backing stores: write pointers after failed writes, reads that fail, full file systems.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
. "$(dirname "$0")/lib_nvmet.sh"

# A failed write leaves the write pointer where the data ends, and the zone can be used again.
write_failure() {
	backing_xfs_rt
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1${1:+,$1}"
	steps "$DEV" <<-END
	write z0 64k = ok
	write z1 256k = ok
	END
	rt_fail
	steps "$DEV" <<-END
	write z1+256k 64k = EIO
	report z1 = IMP_OPEN +256k | CLOSED +256k
	write z1+256k 64k = EIO
	report z1 = IMP_OPEN +256k | CLOSED +256k
	write z2 64k = EIO
	report z2 = IMP_OPEN +0 | EMPTY
	write z0 64k = EIO
	read z1 64k = EIO
	END
	rt_work
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +256k | CLOSED +256k
	write z1+256k 64k seed=2 = ok
	report z1 = IMP_OPEN +320k
	write z2 64k seed=3 = ok
	write z0 64k seed=4 = ok
	read z1 256k = ok
	read z1+256k 64k seed=2 = ok
	read z1+320k 64k zero = ok
	read z2 64k seed=3 = ok
	read z0 64k seed=4 = ok
	finish z1 = ok
	report z1 = FULL
	reset z2 = ok
	report z2 = EMPTY
	END
	remove
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1"
	steps "$DEV" <<-END
	conds all = NFEEEEEE
	read z1 256k = ok
	END
}

t_write_failure() { write_failure ""; }
t_write_failure_limit() { write_failure max_open_zones=2; }

# With a limit, a zone that only failed holds no slot for ever, and goes back to EMPTY when it is closed.
t_failed_zone_and_limit() {
	backing_xfs_rt
	add capacity_mb=32,zone_size_mb=4,conv_zones=1,max_open_zones=1
	rt_fail
	steps "$DEV" <<-END
	write z1 64k = EIO
	report z1 = IMP_OPEN +0 | EMPTY
	END
	rt_work
	steps "$DEV" <<-END
	write z2 64k = ok
	conds all = NEIEEEEE
	write z3 64k = ok
	conds all = NECIEEEE
	END
}

# The block that fails is the last of the zone: full in memory, not on disk.
t_fail_at_the_end() {
	backing_xfs_rt
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<< "write z1 4032k = ok"
	rt_fail
	steps "$DEV" <<-END
	write z1+4032k 64k = EIO
	report z1 = IMP_OPEN +4032k | CLOSED +4032k
	END
	rt_work
	steps "$DEV" <<-END
	write z1+4032k 64k = ok
	report z1 = FULL
	read z1 4m = ok
	END
}

# Appends while the store fails and recovers: what was acknowledged is there, and once only.
t_acknowledged_appends() {
	local line
	backing_xfs_rt
	add "capacity_mb=512,zone_size_mb=128,conv_zones=0,nr_queues=2${1:+,$1}"
	nvmet_up "$DEV"
	background "$ZBDTOOL" append-hammer "$NVME" --first 0 --zones 2 --threads 6 --len "$NVMET_SAFE_LEN" --rest 8 \
		--seconds $((3 + 2 * ZLOOP_SLOWNESS)) --pause 20 --acks "$ZL_T/acks"
	while kill -0 "$BG" 2> /dev/null; do
		sleep 0.5
		rt_fail
		sleep 0.2
		rt_work
	done
	background_end
	[[ $REPLY != *"failed=0 "* ]] || fail "no append failed: nothing was tested"
	line=$("$ZBDTOOL" append-verify "$DEV" "$ZL_T/acks") || fail "$line"
	diag "$line"
	steps "$DEV" <<< "consistent all = ok"
	rm "$ZL_T/acks"
}

t_acknowledged_ordered_appends() { t_acknowledged_appends ordered_zone_append; }

# A read error is an error, not zeros: with direct and with buffered I/O, alone and within a larger read.
read_error() {
	backing_ext4_dm
	add "capacity_mb=32,zone_size_mb=4,conv_zones=1${1:+,$1}"
	steps "$DEV" <<-END
	write z0 1m seed=2 = ok
	write z1 1m = ok
	fsync = ok
	END
	first_block "$BDIR/0/seq-000001"
	ext4_hole "$((REPLY + 512))" 8
	echo 3 > /proc/sys/vm/drop_caches
	steps "$DEV" <<-END
	read z1+256k 4k any = EIO
	read z1 512k any = EIO
	read z1 256k = ok
	read z1+260k 256k = ok
	report z1 = IMP_OPEN +1m
	END
	ext4_work
	echo 3 > /proc/sys/vm/drop_caches
	steps "$DEV" <<-END
	read z1 1m = ok
	write z1+1m 64k = ok
	END
	first_block "$BDIR/0/cnv-000000"
	ext4_hole "$((REPLY + 512))" 8
	echo 3 > /proc/sys/vm/drop_caches
	steps "$DEV" <<-END
	read z0 512k any = EIO
	read z0 256k seed=2 = ok
	END
	ext4_work
}

t_read_error() { read_error ""; }
t_read_error_buffered() { read_error buffered_io; }

# A full backing file system: nothing acknowledged is lost, and work goes on when there is room again.
t_full_tmpfs() {
	local i
	backing_tmpfs size=6m
	add capacity_mb=64,zone_size_mb=4,conv_zones=0
	steps "$DEV" <<-END
	write z0 4m = ok
	write z1 1m = ok
	write z1+1m 768k = ok
	write z1+1792k 1m = ENOSPC | EIO
	END
	# The write pointer is where the file ends, whatever part of the failed write got there.
	step "$DEV" "report z1"
	i=$(stat -c %s "$BDIR/0/seq-000001")
	expect_match "report after ENOSPC" "@(IMP_OPEN|CLOSED) +$((i / 1024))k" "$(to_kib "$REPLY")"
	steps "$DEV" <<-END
	read z0 4m = ok
	read z1 1792k = ok
	reset z0 = ok
	write z1+${i} 1m seed=4 = ok
	read z1 1792k = ok
	read z1+${i} 1m seed=4 = ok
	END
}

# The report's size in KiB, whatever unit it has.
to_kib() {
	local size=${1##*+}
	case $size in
	*m) size=$((${size%m} * 1024))k ;;
	esac
	printf '%s' "${1%+*}+$size"
}

t_full_ext4() {
	new_loop 24
	make_fs ext4 "$LOOP" -b 4096 -m 0 -O ^has_journal
	mount_backing "$LOOP"
	# With blocks ahead half of the second write finds its own.
	add capacity_mb=64,zone_size_mb=4,conv_zones=0,prealloc_kb=0
	must dd if=/dev/zero of="$BDIR/ballast" bs=1M count=12 status=none
	steps "$DEV" <<< "write z1 1m = ok"
	dd if=/dev/zero of="$BDIR/ballast2" bs=4k status=none 2> /dev/null
	steps "$DEV" <<-END
	write z1+1m 1m = ENOSPC | EIO
	report z1 = IMP_OPEN +1m | CLOSED +1m
	read z1 1m = ok
	END
	rm "$BDIR/ballast2"
	must sync -f "$BDIR"
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +1m | CLOSED +1m
	write z1+1m 1m seed=2 = ok
	read z1 1m = ok
	read z1+1m 1m seed=2 = ok
	END
}

# Writing through the page cache to a full XFS makes XFS flush from within the write.
t_full_xfs_buffered() {
	backing xfs 300
	add capacity_mb=512,zone_size_mb=64,conv_zones=0,buffered_io
	must fallocate -l 150m "$BDIR/ballast"
	steps "$DEV" <<< "write z0 16m = ok"
	fallocate -l 1g "$BDIR/ballast2" 2> /dev/null
	dd if=/dev/zero of="$BDIR/ballast3" bs=64k status=none 2> /dev/null
	step "$DEV" "write z1 64m"
	expect_match "writing 64 MiB to a full file system" "@(ENOSPC|EIO)*" "$REPLY"
	steps "$DEV" <<-END
	consistent all = ok
	read z0 16m = ok
	END
	rm "$BDIR"/ballast*
	steps "$DEV" <<-END
	reset z1 = ok
	write z1 16m = ok
	read z1 16m = ok
	END
}

# A zone file cut off behind the driver's back, then a failed reset: see test_b10. Here: reads below the write pointer
# that the file no longer has must not look like data.
t_truncated_behind() {
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<< "write z1 1m = ok"
	truncate -s 512k "$BDIR/0/seq-000001"
	steps "$DEV" <<-END
	read z1 512k = ok
	read z1+512k 512k zero = ok | EIO
	END
}

tap_run t_write_failure "failed writes: write pointer and recovery"
tap_run t_write_failure_limit "failed writes with an open limit"
tap_run t_failed_zone_and_limit "a zone whose only write failed holds no slot"
tap_run t_fail_at_the_end "a failed write that would have filled the zone"
tap_run t_acknowledged_appends "no acknowledged append is lost when others fail"
tap_run t_acknowledged_ordered_appends "the same, ordered"
tap_run t_read_error "read errors, direct I/O"
tap_run t_read_error_buffered "read errors, buffered_io"
tap_run t_full_tmpfs "backing tmpfs full"
tap_run t_full_ext4 "backing ext4 full"
tap_run t_full_xfs_buffered "backing XFS full, buffered_io"
tap_run t_truncated_behind "a zone file truncated from outside"
tap_end
