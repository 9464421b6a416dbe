#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The short ways of I/O: submission in the submitter's task, blocks allocated ahead, native FUA. That they are taken,
# that they can be turned off, and that they leave nothing behind. That the results are right is for all other tests.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
. "$(dirname "$0")/lib_nullb.sh"

# Each case chooses them.
ZLOOP_OPTIONS=

GEOMETRY=capacity_mb=128,zone_size_mb=16,conv_zones=1
O=$GEOMETRY,submit_inline=1,prealloc_kb=4096,fua=1
KEEP_BLOCKS=0

need_counters() {
	[ -d /sys/kernel/debug/block ] || mount -t debugfs none /sys/kernel/debug 2> /dev/null
	[ -d /sys/kernel/debug/zloop ] || skip "no debugfs"
}

# between WHAT LOW HIGH: of REPLY.
between() {
	((REPLY >= $2 && REPLY <= $3)) || fail "$1: $REPLY, expected $2 to $3"
}

# counter NAME: in REPLY.
counter() { REPLY=$(< "/sys/kernel/debug/zloop/zloop0/$1"); }

# gains NAME COMMAND...: how much a counter grows by the steps on standard input; in REPLY.
gains() {
	local before
	counter "$1"
	before=$REPLY
	steps "$DEV"
	counter "$1"
	REPLY=$((REPLY - before))
}

# ahead ZONE: KiB that the file of a zone has blocks for beyond its end, in REPLY.
ahead() {
	local blocks size
	read -r blocks size < <(stat -c '%b %s' "$BDIR/0/$(printf 'seq-%06d' "$1")")
	REPLY=$((blocks / 2 - size / 1024))
}

SMALL_WRITES='write z1 64k = ok
write z1+64k 4k = ok
write z1+68k 4k = ok
write z1+72k 4k = ok
write z1+76k 4k = ok
write z1+80k 4k = ok
write z1+84k 4k = ok
write z1+88k 4k = ok
read z1 92k = ok'

# The first write opens the file and the second one allocates, in work items; those after them, and the read, are done by
# the writer.
t_inline_taken() {
	need_counters
	backing xfs
	add "$O"
	gains inline <<< "$SMALL_WRITES"
	[ "$REPLY" -ge 7 ] || fail "$REPLY of 9 inline"
	counter deferred
	[ "$REPLY" -le 2 ] || fail "$REPLY deferred"
	counter preallocated
	expect preallocated 1 "$REPLY"
}

# ext4 takes its lock exclusively for a write that extends the file, and so does not do it without waiting. That is
# noticed: most writes are not tried in vain. Reads are not concerned.
t_inline_ext4() {
	local i
	need_counters
	backing ext4
	add "$O"
	gains again < <(for ((i = 0; i < 100; i++)); do echo "write z1+$((i * 4))k 4k = ok"; done)
	between "of 100 writes tried in vain" 1 10
	gains inline <<-END
	read z1 64k = ok
	read z1+64k 64k = ok
	END
	expect "reads inline" 2 "$REPLY"
}

t_default() {
	need_counters
	backing xfs
	add "$GEOMETRY"
	expect "queue/fua" 1 "$(sysfs 0 queue/fua)"
	gains inline <<< "$SMALL_WRITES"
	between "of 9 writes inline" 1 9
	counter preallocated
	[ "$REPLY" -ge 1 ] || fail "nothing was allocated ahead"
	# The disk below has its own; without one there is nothing to read.
	expect "write-back throttling" 0 "$(sysfs 0 queue/wbt_lat_usec 2> /dev/null || echo 0)"
}

t_inline_off() {
	need_counters
	backing xfs
	add "$GEOMETRY,submit_inline=0"
	gains deferred <<< "$SMALL_WRITES"
	expect deferred 9 "$REPLY"
	counter inline
	expect inline 0 "$REPLY"
}

# A scheduler's requests come from the block layer's workqueue, which must not be kept waiting.
t_scheduler() {
	need_counters
	backing xfs
	add "$O"
	[[ $(sysfs 0 queue/scheduler) == *"[none]"* ]] || fail "scheduler: $(sysfs 0 queue/scheduler)"
	must sh -c 'echo mq-deadline > /sys/block/zloop0/queue/scheduler'
	gains deferred <<< "$SMALL_WRITES"
	expect deferred 9 "$REPLY"
	counter inline
	expect inline 0 "$REPLY"
	remove
	# The work item of one queue sends what is in the scheduler for all of them.
	add "$O,nr_queues=2"
	must sh -c 'echo mq-deadline > /sys/block/zloop0/queue/scheduler'
	steps "$DEV" <<< "write z0 4m = ok"
	must fio --name=read --filename="$DEV" --size=4m --rw=randread --bs=4k --direct=1 --numjobs=8 --time_based \
		--runtime=3 --output=/dev/null
	counter inline
	expect "inline, two queues" 0 "$REPLY"
}

# Not where the disk fails what may not wait: each small read would be one of those first.
t_inline_disk() {
	need_counters
	backing_xfs_rt
	add "$O"
	gains inline <<< "$SMALL_WRITES"
	[ "$REPLY" -ge 1 ] || fail "nothing was done by the submitter"
	remove
	must umount "$BDIR"
	rmdir "$BDIR"
	new_loop 400
	modprobe -q dm-delay
	dm_linear zloop-test-delay "$LOOP"
	dm_swap zloop-test-delay "0 $(blockdev --getsz "$LOOP") delay $LOOP 0 0"
	make_fs xfs "$DM"
	mount_backing "$DM"
	add "$O"
	steps "$DEV" <<< "write z1 1m = ok"
	gains again <<-END
	read z1 4k = ok
	read z1+64k 4k = ok
	read z1+128k 64k = ok
	END
	expect "reads tried in vain" 0 "$REPLY"
}

# A file system that allocates no blocks ahead is asked once. (Writes are not even tried inline before that is done.)
t_prealloc_impossible() {
	local i
	need_counters
	new_loop 320
	make_fs ext4 "$LOOP" -O ^extent,^64bit
	mount_backing "$LOOP"
	add "$O"
	gains again < <(for ((i = 0; i < 100; i++)); do echo "write z1+$((i * 4))k 4k = ok"; done)
	between "of 100 writes tried" 1 10
	counter preallocated
	expect preallocated 0 "$REPLY"
}

# Many zones have one write only.
t_prealloc_first() {
	need_counters
	backing xfs
	add "$O"
	gains preallocated <<-END
	write z1 64k = ok
	write z2 4k = ok
	END
	expect "for first writes" 0 "$REPLY"
	gains preallocated <<< "write z1+64k 4k = ok"
	expect "for a second write" 1 "$REPLY"
}

t_prealloc_off() {
	need_counters
	backing xfs
	add "$GEOMETRY,prealloc_kb=0"
	gains preallocated <<< "$SMALL_WRITES"
	expect preallocated 0 "$REPLY"
	ahead 1
	expect "blocks ahead" "$KEEP_BLOCKS" "$REPLY"
}

# Blocks ahead: they are there, grow with the zone up to the limit, and never show in the size.
t_prealloc_steps() {
	backing "$1"
	add "$O"
	steps "$DEV" <<-END
	write z1 32k = ok
	write z1+32k 32k = ok
	END
	ahead 1
	between "KiB ahead after 64 KiB" 1020 1032
	steps "$DEV" <<-END
	write z1+64k 960k = ok
	write z1+1m 1m = ok
	write z1+2m 64k = ok
	END
	ahead 1
	# The second write may come in two parts.
	between "KiB ahead after 2112 KiB" 950 1996
	expect_match files "*seq-000001 2162688*" "$(files)"
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +2112k
	read z1 64k = ok
	read z1+2112k 64k zero = ok
	END
}

# All that ends the writing of a zone gives back what is left.
# Also after a write that failed.
t_prealloc_failed_write() {
	backing_xfs_rt
	add "$O"
	steps "$DEV" <<-END
	write z1 64k = ok
	write z1+64k 4k = ok
	write z2 64k = ok
	write z2+64k 4k = ok
	END
	ahead 1
	[ "$REPLY" -ge 128 ] || fail "$REPLY KiB ahead"
	rt_fail
	steps "$DEV" <<-END
	write z1+68k 4k = EIO
	write z2+68k 4k = EIO
	END
	rt_work
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +68k
	close z1 = ok
	END
	ahead 1
	[ "$REPLY" -le 8 ] || fail "closed: $REPLY KiB ahead"
	remove
	ahead 2
	[ "$REPLY" -le 8 ] || fail "removed: $REPLY KiB ahead"
}

# A step that is longer than what is left: the file system gives that before it says that there is no more. Another zone
# must not lack it.
t_prealloc_too_long() {
	backing ext4 130
	add capacity_mb=256,zone_size_mb=128,conv_zones=0,prealloc_kb=1048576
	must dd if=/dev/zero of="$DEV" bs=1M count=97 oflag=direct status=none
	steps "$DEV" <<< "write z1 8m = ok"
	steps "$DEV" <<< "close z0 = ok"
	ahead 0
	[ "$REPLY" -le 8 ] || fail "closed: $REPLY KiB ahead"
}

t_prealloc_given_back() {
	local zone
	backing "$1"
	add "$O"
	for zone in 1 2 3 4 5; do
		steps "$DEV" <<-END
		write z$zone 128k = ok
		write z$zone+128k 128k = ok
		END
		ahead "$zone"
		[ "$REPLY" -ge 128 ] || fail "zone $zone: $REPLY KiB ahead"
	done
	steps "$DEV" <<-END
	close z1 = ok
	finish z2 = ok
	reset z3 = ok
	report z1 = CLOSED +256k
	report z2 = FULL
	report z3 = EMPTY
	END
	ahead 1
	[ "$REPLY" -le 8 ] || fail "closed: $REPLY KiB ahead"
	expect "finished: KiB in use" 256 "$(($(stat -c %b "$BDIR/0/seq-000002") / 2))"
	ahead 3
	[ "$REPLY" -le 8 ] || fail "reset: $REPLY KiB ahead"
	remove
	for zone in 4 5; do
		ahead "$zone"
		[ "$REPLY" -le 8 ] || fail "zone $zone, removed: $REPLY KiB ahead"
	done
	add "$O"
	steps "$DEV" <<-END
	conds all = NCFECCEE
	read z4 256k = ok
	END
}

# A zone that is written to the end has no more than its capacity.
t_prealloc_capacity() {
	backing xfs
	add capacity_mb=16,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1,prealloc_kb=4096
	steps "$DEV" <<-END
	write z1 1m = ok
	write z1+1m 1m = ok
	write z1+2m 512k = ok
	END
	expect "KiB in use" 3072 "$(($(stat -c %b "$BDIR/0/seq-000001") / 2))"
	steps "$DEV" <<-END
	write z1+2560k 512k = ok
	report z1 = FULL
	END
	expect "KiB in use" 3072 "$(($(stat -c %b "$BDIR/0/seq-000001") / 2))"
}

# Space that is set aside for one zone must not be missing in another.
t_prealloc_full_fs() {
	local i free
	new_loop 400
	make_fs ext4 "$LOOP" -m 0
	mount_backing "$LOOP"
	add capacity_mb=320,zone_size_mb=16,conv_zones=0,prealloc_kb=4096
	for i in 1 2 3 4 5 6 7 8; do
		steps "$DEV" <<-END
		write z$i 1m = ok
		write z$i+1m 1m = ok
		write z$i+2m 64k = ok
		END
	done
	ahead 1
	[ "$REPLY" -ge 512 ] || fail "$REPLY KiB ahead, nothing to give back"
	free=$(df --output=avail -k "$BDIR" | tail -n 1)
	must fallocate -l "$((free - 512))K" "$BDIR/ballast"
	steps "$DEV" <<-END
	write z10 1m = ok
	write z10+1m 1m = ok
	write z9 64k = ok
	read z10 2m = ok
	END
	ahead 1
	[ "$REPLY" -le 8 ] || fail "$REPLY KiB still ahead"
	steps "$DEV" <<< "read z1 2112k = ok"
}

# Nor are those of a zone that found no space itself: it keeps them, until another one lacks them.
t_prealloc_full_fs_twice() {
	local free
	new_loop 400
	make_fs xfs "$LOOP"
	mount_backing "$LOOP"
	add capacity_mb=320,zone_size_mb=16,conv_zones=0,prealloc_kb=4096
	steps "$DEV" <<-END
	write z1 1m = ok
	write z1+1m 1m = ok
	write z1+2m 252k = ok
	END
	ahead 1
	[ "$REPLY" -ge 512 ] || fail "$REPLY KiB ahead, nothing to give back"
	free=$(df --output=avail -k "$BDIR" | tail -n 1)
	must fallocate -l "$((free - 64))K" "$BDIR/ballast"
	# Some requests that fit, one that begins where there are blocks, and ends where there are none.
	step "$DEV" "write z1+2300k 8m"
	diag "beyond them: $REPLY"
	ahead 1
	[ "$REPLY" -ge 128 ] || fail "$REPLY KiB ahead after the write that found no space"
	steps "$DEV" <<< "write z2 128k = ok"
	ahead 1
	[ "$REPLY" -le 8 ] || fail "$REPLY KiB still ahead"
}

# Nor if several find the file system full at the same time: one of them has the others' blocks given back, which takes a
# while.
t_prealloc_full_fs_together() {
	local i free pids=()
	new_loop 400
	make_fs ext4 "$LOOP" -m 0
	mount_backing "$LOOP"
	add capacity_mb=1024,zone_size_mb=16,conv_zones=0,prealloc_kb=1024
	for ((i = 8; i < 64; i++)); do
		printf 'write z%d 32k = ok\nwrite z%d+32k 32k = ok\n' "$i" "$i"
	done > "$ZL_T/steps"
	steps "$DEV" < "$ZL_T/steps"
	rm "$ZL_T/steps"
	ahead 63
	[ "$REPLY" -ge 512 ] || fail "$REPLY KiB ahead, nothing to give back"
	free=$(df --output=avail -k "$BDIR" | tail -n 1)
	must fallocate -l "$((free - 512))K" "$BDIR/ballast"
	# So that they begin at the same time.
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	for i in 0 1 2 3 4 5; do
		"$ZBDTOOL" script "$DEV" <<< "write z$i 1m = ok" > "$ZL_T/out$i" &
		pids+=($!)
	done
	in_flight 6
	must fsfreeze -u "$BDIR"
	for i in 0 1 2 3 4 5; do
		wait "${pids[i]}" || fail "$(< "$ZL_T/out$i")"
		rm "$ZL_T/out$i"
	done
}

# Nothing is set aside where it would eat memory, or where little is left.
t_prealloc_not_there() {
	need_counters
	backing tmpfs
	add "$O"
	gains preallocated <<< "$SMALL_WRITES"
	expect "on tmpfs" 0 "$REPLY"
	remove
	backing xfs
	must fallocate -l "$(($(df --output=avail -k "$BDIR" | tail -n 1) - 12000))K" "$BDIR/ballast"
	add capacity_mb=128,zone_size_mb=16,conv_zones=0,prealloc_kb=4096
	gains preallocated <<< "$SMALL_WRITES"
	expect "on a file system that is nearly full" 0 "$REPLY"
}

t_fua() {
	need_counters
	backing xfs
	add "$O"
	expect "queue/fua" 1 "$(sysfs 0 queue/fua)"
	must dd if=/dev/zero of="$DEV" bs=64k count=1 seek=256 oflag=direct,dsync status=none
	counter fua
	[ "$REPLY" -ge 1 ] || fail "no FUA write was seen"
	remove
	add "$GEOMETRY,fua=0"
	expect "queue/fua" 0 "$(sysfs 0 queue/fua)"
	remove
	# The cache of such a device must hear of each flush.
	add "$O,discard_write_cache"
	expect "queue/fua" 0 "$(sysfs 0 queue/fua)"
	remove
	# What was written before the write with FUA is in the page cache.
	add "$O,buffered_io"
	expect "queue/fua with buffered_io" 0 "$(sysfs 0 queue/fua)"
}

# A write is made durable by itself only on a file system that is known to do all of it. overlayfs passes it on.
t_fua_where() {
	local fs want
	for fs in xfs=1 ext4=1 btrfs=0 tmpfs=1 f2fs=0; do
		want=${fs#*=} fs=${fs%=*}
		modprobe -q "$fs"
		backing "$fs"
		add "$O"
		expect "queue/fua on $fs" "$want" "$(sysfs 0 queue/fua)"
		remove
	done
	backing xfs
	modprobe -q overlay
	mkdir "$BDIR/lower" "$BDIR/upper" "$BDIR/work" "$ZL_T/ovl"
	must mount -t overlay -o "lowerdir=$BDIR/lower,upperdir=$BDIR/upper,workdir=$BDIR/work" none "$ZL_T/ovl"
	undo mount "$ZL_T/ovl"
	BDIR=$ZL_T/ovl
	add "$O"
	expect "queue/fua on overlayfs on XFS" 1 "$(sysfs 0 queue/fua)"
}

# A task that is being killed submits the rest of its read; there is nothing wrong with that, and no error. (Here the
# file system reads through its page cache, whatever it was asked for, and stops for a signal.)
t_killed() {
	local i log before reads rounds size=16 zones=4 killed=0
	need_counters
	# A read takes long enough to be killed with less of them where all takes long.
	((ZLOOP_SLOWNESS == 1)) || size=4 zones=1
	scaled 12 3
	rounds=$REPLY
	new_loop 400
	make_fs ext4 "$LOOP"
	mount_backing "$LOOP" data=journal ext4
	add "$O"
	for ((i = 1; i <= zones; i++)); do steps "$DEV" <<< "write z$i ${size}m = ok"; done
	gains inline <<< "read z1 ${size}m = ok"
	[ "$REPLY" -ge 1 ] || fail "reads are not done by the submitter"
	klog_mark
	for ((i = 0; i < rounds || (killed == 0 && i < 40); i++)); do
		read -r before _ < /sys/block/zloop0/stat
		dd if="$DEV" of=/dev/null bs="$((zones * size))M" count=1 skip=16M iflag=direct,skip_bytes status=none &
		# Some of it is read.
		while kill -0 $! 2> /dev/null; do
			read -r reads _ < /sys/block/zloop0/stat
			((reads == before)) || break
		done
		# Where all takes long, to begin a sleep takes longer than the rest of the read.
		((i % 6 == 0)) || sleep "0.0$((i % 6))"
		kill -KILL $! 2> /dev/null
		wait $! 2> /dev/null
		[ $? -ne 137 ] || killed=$((killed + 1))
	done
	diag "$killed of $i reads were killed"
	[ "$killed" -gt 0 ] || fail "no read was killed: nothing was tested"
	log=$(klog_since "$ZL_MARK")
	[[ $log != *error* ]] || fail "an error in the log: $log"
}

# A plug may have requests for the disk below as well, with all the tags that the disk has. Nobody else can send them, so
# what goes to the device in the same plug must not wait for a tag: not in blk_finish_plug(), nor when a large request
# has the plug sent before the next one, whose tag was taken already, is put into it.
# plug_of_two DEPTH BLOCK-SIZE
plug_of_two() {
	local i like
	modprobe -q xfs
	like=(/sys/block/*)
	nullb_up zldisk "${like##*/}" zoned=0 size=400 submit_queues=1 "hw_queue_depth=$1" || skip "no null_blk"
	echo none > /sys/block/zldisk/queue/scheduler
	make_fs xfs /dev/zldisk
	mount_backing /dev/zldisk "" xfs
	add capacity_mb=16,zone_size_mb=4,conv_zones=1,submit_inline=1
	steps "$DEV" <<< "write z0 4m = ok"
	background fio --name=plug --thread --filename="$DEV:/dev/zldisk" --rw=randread --bs="$2" --size=3m --io_size=6m \
		--direct=1 --output=/dev/null --ioengine=libaio --iodepth=3 --iodepth_batch_submit=3 --iodepth_batch_complete_min=3
	for ((i = 0; i < 600 * ZLOOP_SLOWNESS; i++)); do
		kill -0 "$BG" 2> /dev/null || break
		sleep 0.1
	done
	((i < 600 * ZLOOP_SLOWNESS)) || fail "the reads do not end"
	background_end
}
t_plug_of_two() { plug_of_two 2 8k; }
t_plug_of_two_large() { plug_of_two 1 128k; }

# Writing does not move the times of a zone file each time; they do show it in the end. Reading never does.
t_times() {
	local before
	backing "$1"
	add "$O"
	steps "$DEV" <<< "write z1 64k = ok"
	touch -d '2001-01-01 00:00' "$BDIR/0/seq-000001" "$BDIR/0/seq-000002" "$BDIR/0/cnv-000000"
	before=$(stat -c %Y "$BDIR/0/seq-000002")
	steps "$DEV" <<-END
	write z1+64k 64k = ok
	write z0 64k = ok
	read z1 64k = ok
	read z0 64k = ok
	END
	expect "access time after a read" "$before" "$(stat -c %X "$BDIR/0/seq-000001")"
	expect "access time after a read, conventional" "$before" "$(stat -c %X "$BDIR/0/cnv-000000")"
	remove
	[ "$(stat -c %Y "$BDIR/0/seq-000001")" -gt "$before" ] || fail "a written zone has its old time"
	[ "$(stat -c %Y "$BDIR/0/cnv-000000")" -gt "$before" ] || fail "a written conventional zone has its old time"
	expect "the time of an untouched zone" "$before" "$(stat -c %Y "$BDIR/0/seq-000002")"
	touch -d '2001-01-01 00:00' "$BDIR/0/seq-000001" "$BDIR/0/cnv-000000"
	add "$O"
	steps "$DEV" <<-END
	read z1 64k = ok
	read z0 64k = ok
	END
	remove
	expect "the time of a zone that was read" "$before" "$(stat -c %Y "$BDIR/0/seq-000001")"
	expect "the time of a conventional zone that was read" "$before" "$(stat -c %Y "$BDIR/0/cnv-000000")"
}

# In a frozen file system a write waits, and not in the task that submits it: asynchronous I/O returns.
t_frozen() {
	local i
	need_counters
	backing xfs
	add "$O"
	steps "$DEV" <<-END
	write z1 32k = ok
	write z1+32k 32k = ok
	END
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	dd if=/dev/zero of="$DEV" bs=4k count=1 seek=4112 oflag=direct status=none &
	for ((i = 0; i < 100 * ZLOOP_SLOWNESS; i++)); do
		counter again
		[ "$REPLY" -eq 0 ] || break
		sleep 0.1
	done
	expect "writes that could not go on at once" 1 "$REPLY"
	must fsfreeze -u "$BDIR"
	wait $! || fail "the write failed"
	steps "$DEV" <<< "report z1 = IMP_OPEN +68k"
}

# The limit of the size of files that a task may write does not concern a device, nor so the files behind it.
t_file_size_limit() {
	backing xfs
	add "$O"
	steps "$DEV" <<-END
	write z1 64k = ok
	write z1+64k 64k = ok
	write z0+1m 64k = ok
	END
	(
		ulimit -f 16
		steps "$DEV" <<-END
		write z1+128k 4k = ok
		write z1+132k 64k = ok
		write z0+1m 64k seed=2 = ok
		read z0+1m 64k seed=2 = ok
		END
	) || fail "a task with a limit cannot write (status $?)"
	steps "$DEV" <<< "read z1 196k = ok"
}

# XFS on a disk in memory: whose I/O takes no interrupt.
backing_ram() {
	[ -b /dev/ram0 ] || modprobe brd rd_nr=1 rd_size=$((400 << 10)) max_part=1 || skip "no brd"
	make_fs xfs /dev/ram0
	mount_backing /dev/ram0
}

# block_interrupts: soft interrupts of the block layer so far, in REPLY.
block_interrupts() {
	local counts count
	counts=$(grep BLOCK: /proc/softirqs) || fail "no count of soft interrupts"
	REPLY=0
	for count in ${counts#*:}; do REPLY=$((REPLY + count)); done
}

# A task that ends a request does so itself: a soft interrupt would wake another task for it.
t_ended_at_once() {
	local before i option
	[ "$(nproc)" -ge 2 ] || skip "one processor"
	backing_ram
	for option in submit_inline=1 submit_inline=0; do
		add "$GEOMETRY,nr_queues=1,$option"
		block_interrupts
		before=$REPLY
		steps "$DEV" < <(for ((i = 0; i < 200; i++)); do echo "write z1+$((i * 4))k 4k = ok"; done)
		block_interrupts
		diag "$option: $((REPLY - before)) soft interrupts for 200 writes"
		((REPLY - before < 100)) || fail "$option: $((REPLY - before)) soft interrupts for 200 writes"
		remove 0
		rm -r "${BDIR:?}/0"
	done
	must umount "$BDIR"
	must blkdiscard -f /dev/ram0
}

# Small files that a file system writes back come as appends in one plug. They are written together: also on a disk in
# memory, where each of them alone is done before the next one comes.
t_plugged() {
	local i
	need_counters
	backing_ram
	add "capacity_mb=1536,zone_size_mb=16,conv_zones=32,nr_queues=1,submit_inline=1,prealloc_kb=1024"
	must mkfs.xfs -f -q "$DEV"
	mkdir "$ZL_T/top"
	must mount "$DEV" "$ZL_T/top"
	undo mount "$ZL_T/top"
	for ((i = 0; i < 256; i++)); do
		printf '%4096d' "$i" > "$ZL_T/top/$i"
		printf '%4096d' "$i" >> "$ZL_T/all"
	done
	counter joined
	expect "joined before" 0 "$REPLY"
	must sync -f "$ZL_T/top"
	counter joined
	diag "of 256 appends: $REPLY with others"
	between "appends of 256 that went with others" 200 256
	must umount "$ZL_T/top"
	must mount "$DEV" "$ZL_T/top"
	(cd "$ZL_T/top" && cat {0..255}) | cmp - "$ZL_T/all" > "$ZL_T/differs" 2>&1 || fail "the files: $(< "$ZL_T/differs")"
	rm "$ZL_T/all" "$ZL_T/differs"
	must umount "$ZL_T/top"
	remove
	must umount "$BDIR"
	must blkdiscard -f /dev/ram0
}
t_prealloc_steps_xfs() { t_prealloc_steps xfs; }
t_prealloc_steps_ext4() { t_prealloc_steps ext4; }
t_given_back_xfs() { t_prealloc_given_back xfs; }
t_given_back_ext4() { t_prealloc_given_back ext4; }
t_times_xfs() { t_times xfs; }
t_times_btrfs() { t_times btrfs; }

tap_run t_inline_taken "writes and reads are done in the submitter's task"
tap_run t_inline_ext4 "a file system that has writes wait is not asked each time"
tap_run t_default "all of them are the default"
tap_run t_inline_off "submit_inline=0"
tap_run t_scheduler "not with an I/O scheduler"
tap_run t_inline_disk "not reads from a disk that cannot be asked not to wait"
tap_run t_ended_at_once "no soft interrupt for a request that a task ends"
tap_run t_prealloc_impossible "nothing can be allocated ahead"
tap_run t_prealloc_first "the first write to a zone allocates for itself"
tap_run t_prealloc_off "prealloc_kb=0"
tap_run t_prealloc_steps_xfs "blocks are allocated ahead in growing steps, XFS"
tap_run t_prealloc_steps_ext4 "blocks are allocated ahead in growing steps, ext4"
tap_run t_given_back_xfs "blocks ahead are given back, XFS"
tap_run t_given_back_ext4 "blocks ahead are given back, ext4"
tap_run t_prealloc_failed_write "also if a write failed"
tap_run t_prealloc_too_long "also if there was not enough for all of them"
tap_run t_prealloc_capacity "no blocks beyond the zone capacity"
tap_run t_prealloc_full_fs "blocks ahead of one zone are not missing in another"
tap_run t_prealloc_full_fs_twice "also if it found no space itself"
tap_run t_prealloc_full_fs_together "nor if several zones lack them at once"
tap_run t_prealloc_not_there "no blocks ahead on tmpfs and on a file system that is nearly full"
tap_run t_fua "native FUA, and without it"
tap_run t_fua_where "native FUA where it is durable"
tap_run t_killed "a task that is killed while it reads"
tap_run t_plug_of_two "a plug with requests for the disk below, all of its tags"
tap_run t_plug_of_two_large "a plug that is sent while such a request is made"
tap_run t_times_xfs "the times of written zone files, XFS"
tap_run t_times_btrfs "the times of written zone files, btrfs"
tap_run t_file_size_limit "a task's limit of file sizes does not count"
tap_run t_plugged "appends submitted together are written together"
tap_run t_frozen "a submitter does not wait for a frozen file system"
rmmod brd 2> /dev/null
tap_end
