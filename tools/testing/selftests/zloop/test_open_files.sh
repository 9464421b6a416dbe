#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Zone files are opened when they are needed, and closed again when there are many.
# paths: both

. "$(dirname "$0")/lib.sh"

O=capacity_mb=128,zone_size_mb=4,conv_zones=0

need_counters() {
	[ -d /sys/kernel/debug/block ] || mount -t debugfs none /sys/kernel/debug 2> /dev/null
	[ -d /sys/kernel/debug/zloop ] || skip "no debugfs"
}

# counter NAME: in REPLY.
counter() { REPLY=$(< "/sys/kernel/debug/zloop/zloop0/$1"); }

# opened COUNT: so many files were opened since the device was added.
opened() {
	counter opened
	expect "files opened" "$1" "$REPLY"
}

t_first_use() {
	need_counters
	backing_tmpfs
	add "$O"
	steps "$DEV" <<-END
	report z5 = EMPTY
	read z5 64k zero = ok
	END
	opened 0
	steps "$DEV" <<-END
	write z5 64k = ok
	write z5+64k 64k = ok
	read z5 128k = ok
	finish z6 = ok
	END
	opened 2
	remove
	add "$O"
	steps "$DEV" <<-END
	report z5 = CLOSED +128k
	report z6 = FULL
	END
	opened 0
	steps "$DEV" <<< "read z5 128k = ok"
	opened 1
}

# four_open OPTIONS: 31 zones are used, over and over, but never many are open.
four_open() {
	local i zone
	need_counters
	backing xfs
	add "$O,max_open_files=4,$1"
	for i in 0 64 128; do
		for ((zone = 1; zone < 32; zone++)); do
			echo "write z$zone+${i}k 64k = ok"
			# What is not flushed stays open.
			((zone % 3)) || echo "fsync = ok"
		done
		for ((zone = 1; zone < 32; zone++)); do
			echo "read z$zone $((i + 64))k = ok"
		done
	done > "$ZL_T/steps"
	steps "$DEV" < "$ZL_T/steps"
	rm "$ZL_T/steps"
	counter opened
	i=$REPLY
	counter closed
	diag "opened $i, closed $REPLY"
	((i > 100)) || fail "only $i files were opened: none is closed"
	((i - REPLY <= 10)) || fail "$((i - REPLY)) files are open"
	remove
	add "$O"
	for ((zone = 1; zone < 32; zone++)); do
		echo "report z$zone = CLOSED +192k"
		echo "read z$zone 192k = ok"
	done > "$ZL_T/steps"
	steps "$DEV" < "$ZL_T/steps"
	rm "$ZL_T/steps"
}

t_limit() { four_open submit_inline=0; }

t_limit_short_way() { four_open submit_inline=1,prealloc_kb=1024; }

# Four threads in twenty zones with two files open.
t_hammer() {
	local line
	backing xfs
	add "$O,nr_queues=2,max_open_files=2"
	line=$("$ZBDTOOL" hammer "$DEV" --threads 4 --first 1 --zones 20 --bs 16384 --seconds 4 --manage --reporters 1 2>&1) ||
		fail "$line"
	diag "$line"
	steps "$DEV" <<< "consistent all = ok"
}

# The times of a file that was closed because of the limit tell when it was written to.
t_times() {
	local before after
	backing xfs
	add "$O,max_open_files=1"
	before=$(stat -c %Y "$BDIR/0/seq-000003")
	sleep 1.1
	steps "$DEV" <<-END
	write z3 64k = ok
	fsync = ok
	$(for zone in 5 6 7 8 9 10 11 12; do printf 'write z%d 64k = ok\nfsync = ok\n' "$zone"; done)
	END
	remove
	after=$(stat -c %Y "$BDIR/0/seq-000003")
	((after > before)) || fail "the time of the file is still $before"
}

# changed COMMAND: what a command does to the file of zone 3, of 64 KiB, while it is closed.
changed() {
	need_counters
	backing_tmpfs
	add "$O"
	steps "$DEV" <<-END
	write z3 64k = ok
	write z4 64k = ok
	END
	remove
	add "$O"
	(cd "$BDIR/0" && "$@") || fail "$*"
	klog_mark
}

t_truncated() {
	changed truncate -s 32K seq-000003
	steps "$DEV" <<-END
	write z3+64k 4k = EIO
	report z3 = CLOSED +32k
	END
	klog_has "zone 3" 32768 65536
	# The file decides, as it does when a device is restored.
	steps "$DEV" <<-END
	reset z3 = ok
	write z3 64k = ok
	read z3 64k = ok
	read z4 64k = ok
	END
}

t_extended() {
	changed truncate -s 128K seq-000003
	steps "$DEV" <<-END
	read z3 64k = EIO
	END
	klog_has "zone 3" 131072 65536
	steps "$DEV" <<-END
	report z3 = CLOSED +128k
	reset z3 = ok
	write z3 64k = ok
	read z3 64k = ok
	END
}

t_deleted() {
	changed rm seq-000003
	steps "$DEV" <<-END
	read z3 64k = EIO
	reset z3 = EIO
	read z4 64k = ok
	END
	klog_has "zone 3" ENOENT
	: > "$BDIR/0/seq-000003"
	steps "$DEV" <<-END
	reset z3 = ok
	write z3 64k = ok
	read z3 64k = ok
	END
}

t_replaced() {
	changed ln -sf /etc/passwd seq-000003
	steps "$DEV" <<-END
	read z3 64k = EIO
	read z4 64k = ok
	END
	klog_has "zone 3" "is not a regular file"
	rm "$BDIR/0/seq-000003"
	: > "$BDIR/0/seq-000003"
}

# A device does not keep its file system from being unmounted once it is removed.
t_unmount() {
	backing xfs
	add "$O,max_open_files=2"
	steps "$DEV" <<-END
	$(for zone in 1 2 3 4 5 6 7 8 9; do printf 'write z%d 64k = ok\nfsync = ok\n' "$zone"; done)
	END
	must_fail umount "$BDIR" 2> /dev/null
	remove
	must umount "$BDIR"
}

tap_run t_first_use "files are opened on first use"
tap_run t_limit "max_open_files=4"
tap_run t_limit_short_way "max_open_files=4 with submit_inline=1"
tap_run t_hammer "max_open_files=2 under load"
tap_run t_times "times of files"
tap_run t_truncated "a file cut behind the driver's back"
tap_run t_extended "a file extended behind the driver's back"
tap_run t_deleted "a file deleted behind the driver's back"
tap_run t_replaced "a file replaced behind the driver's back"
# Reads go on in a frozen file system, also where others have to be closed for the file that they need, whose times
# cannot be set then.
t_frozen() {
	local i limit=$((300 * ZLOOP_SLOWNESS))
	backing xfs
	add "$O,max_open_files=2"
	steps "$DEV" <<-END
	$(for zone in 1 2 3 4 5 6 7 8 9; do printf 'write z%d 64k = ok\nfsync = ok\n' "$zone"; done)
	END
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	background "$ZBDTOOL" script "$DEV" <<-END
	$(for zone in 1 2 3 4 5 6 7 8 9; do printf 'read z%d 64k = ok\n' "$zone"; done)
	END
	for ((i = 0; i < limit; i++)); do
		kill -0 "$BG" 2> /dev/null || break
		sleep 0.1
	done
	must fsfreeze -u "$BDIR"
	background_end
	((i < limit)) || fail "the reads did not end before the file system was thawed"
}

# What a flush has taken up stays open until it has ended, while it waits for others to be opened.
t_in_flush() {
	need_counters
	delayed_disk xfs
	add "capacity_mb=16,zone_size_mb=1,conv_zones=3,max_open_files=1"
	steps "$DEV" <<< "write z4 64k = ok"
	# Stays in memory, so that it can be opened at once.
	exec 5< "$BDIR/0/seq-000006"
	disk_slow $((10000 * ZLOOP_SLOWNESS))
	background "$ZBDTOOL" script "$DEV" <<< "fsync = ok"
	sleep "$ZLOOP_SLOWNESS"
	another_opened
	background_end
	counter closed
	expect "files closed" 0 "$REPLY"
}

# While the disk is slow, and the command in the background waits for it: the file of zone 6, which descriptor 5 has kept
# in memory, is opened as the second one. Others have been closed for it then, if any are.
another_opened() {
	local i pid
	"$ZBDTOOL" script "$DEV" <<< "finish z6 = ok" > "$ZL_T/finish" 2>&1 &
	pid=$!
	undo pid "$pid"
	for ((i = 0; i < 50 * ZLOOP_SLOWNESS; i++)); do
		counter opened
		[ "$REPLY" -lt 2 ] || break
		sleep 0.1
	done
	sleep 0.5
	background_goes_on "it did not wait for the disk"
	exec 5<&-
	disk_fast
	wait "$pid" || fail "$(< "$ZL_T/finish")"
	opened 2
}

# So does what is being read.
t_in_read() {
	need_counters
	delayed_disk xfs
	add "capacity_mb=16,zone_size_mb=1,conv_zones=0,max_open_files=1"
	steps "$DEV" <<-END
	write z4 64k = ok
	fsync = ok
	END
	remove
	add "capacity_mb=16,zone_size_mb=1,conv_zones=0,max_open_files=1"
	steps "$DEV" <<< "read z4+60k 4k = ok"
	exec 5< "$BDIR/0/seq-000006"
	disk_slow $((10000 * ZLOOP_SLOWNESS))
	background "$ZBDTOOL" script "$DEV" <<< "read z4 4k = ok"
	in_flight 1
	another_opened
	background_end
	counter closed
	expect "files closed" 0 "$REPLY"
}

# The first flush of a device makes the size of each conventional zone durable.
t_conventional_flush() {
	need_counters
	backing xfs
	# More than are taken up at a time.
	add "capacity_mb=1110,zone_size_mb=1,conv_zones=1100,max_open_files=4"
	steps "$DEV" <<-END
	write z7 64k = ok
	write z1105 64k = ok
	fsync = ok
	END
	opened 2
	remove
	add "capacity_mb=1110,zone_size_mb=1,conv_zones=1100,max_open_files=4"
	steps "$DEV" <<-END
	read z7 64k = ok
	read z1105 64k = ok
	END
}

tap_run t_in_flush "a zone in a flush keeps its file"
tap_run t_in_read "a zone that is read keeps its file"
tap_run t_conventional_flush "a flush does not leave files of conventional zones open"
tap_run t_frozen "reads in a frozen file system"
tap_run t_unmount "the file system can be unmounted afterwards"
tap_end
