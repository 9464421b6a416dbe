#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Native, ordered and emulated zone append, through the NVMe target.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
. "$(dirname "$0")/lib_nvmet.sh"

O=capacity_mb=16,zone_size_mb=4,zone_capacity_mb=3,conv_zones=0

TRACING=/sys/kernel/tracing
# Appends that went with others, where the driver counts them.
JOINED=/sys/kernel/debug/zloop/zloop0/joined

trace_setup() {
	[ -d "$TRACING/events/block" ] || mount -t tracefs none "$TRACING" 2> /dev/null
	[ -d "$TRACING/events/block/block_rq_issue" ] || skip "no block trace events"
}

trace_start() {
	echo > "$TRACING/trace"
	echo 1 > "$TRACING/events/block/block_rq_issue/enable"
}

trace_stop() { echo 0 > "$TRACING/events/block/block_rq_issue/enable"; }

append() { "$ZBDTOOL" append "$NVME" "$@"; }

# The sequence that every kind of append has to follow.
check_appends() {
	backing_tmpfs
	add "$O${1:+,$1}"
	nvmet_up "$DEV"
	expect "three appends" "ok sector=8192 ok sector=8200 ok sector=8208 " \
		"$(append --zone 1 --len 4096 --count 3 | tr '\n' ' ')"
	steps "$DEV" <<< "report z1 = IMP_OPEN +12k"
	expect "larger appends" "ok sector=8216 ok sector=9240 ok sector=10264 ok sector=11288 ok sector=12312 " \
		"$(append --zone 1 --len 524288 --count 5 | tr '\n' ' ')"
	expect "another zone" "ok sector=0" "$(append --zone 0 --len 65536)"
	steps "$DEV" <<< "report z1 = IMP_OPEN +2572k"
	# 500 KiB are left: an append that does not fit fails and changes nothing. Not with emulation: the block layer
	# advances its own write pointer before it sends the write, and then takes the zone for full.
	if [ "${1:-}" != zone_append=0 ]; then
		expect_match "an append that does not fit" "status=0x*" "$(append --zone 1 --len 524288)"
		steps "$DEV" <<< "report z1 = IMP_OPEN +2572k"
	fi
	expect "the rest" "ok sector=13336" "$(append --zone 1 --len 512000)"
	steps "$DEV" <<-END
	report z1 = FULL
	consistent all = ok
	END
	expect_match "an append to a full zone" "status=0x*" "$(append --zone 1 --len 4096)"
	steps "$DEV" <<< "conds all = IFEE"
}

t_native() { check_appends zone_append=1; }
t_ordered() { check_appends ordered_zone_append; }
t_emulated() { check_appends zone_append=0; }

# Appends are visible as appends below the block layer exactly if they are native.
t_native_seen() {
	local native seen

	trace_setup
	for native in 1 0; do
		backing_tmpfs
		add "$O,zone_append=$native" "$native"
		nvmet_up "$DEV"
		trace_start
		append --zone 1 --len 65536 > /dev/null
		trace_stop
		# Requests of zloop itself: 65536 bytes of this device, not those of the namespace above it.
		seen=$(grep "block_rq_issue: $(tr : , < "/sys/block/zloop$native/dev") " "$TRACING/trace" | grep -c ' ZA')
		if [ "$native" = 1 ]; then
			[ "$seen" -ge 1 ] || fail "no zone append reached the driver: $(tail -n 5 "$TRACING/trace")"
		else
			expect "zone appends seen by the driver with zone_append=0" 0 "$seen"
		fi
	done
}

# Many appends to the same zones at once: all at different places, all readable.
parallel() {
	local line most
	backing "${2:-tmpfs}"
	add "capacity_mb=256,zone_size_mb=64,conv_zones=0,nr_queues=2${1:+,$1}"
	nvmet_up "$DEV"
	line=$("$ZBDTOOL" append-hammer "$NVME" --first 0 --zones 2 --threads 8 --len "$NVMET_SAFE_LEN" --seconds 3 \
		--acks "$ZL_T/acks") || fail "$line"
	diag "$line"
	# Zones are of 64 MiB. One that has room for another append refuses none.
	most=$(awk '{ n[int($1 / 131072)]++ } END { for (z in n) if (n[z] > most) most = n[z]; print most }' "$ZL_T/acks")
	[[ $line == *" failed=0 "* || $most == $((67108864 / NVMET_SAFE_LEN)) ]] ||
		fail "appends failed, but no zone is full: $line, at most $most in a zone"
	line=$("$ZBDTOOL" append-verify "$DEV" "$ZL_T/acks") || fail "$line"
	diag "$line"
	rm "$ZL_T/acks"
}

t_parallel() { parallel ""; }
t_parallel_ordered() { parallel ordered_zone_append; }
t_parallel_emulated() { parallel zone_append=0; }
t_parallel_xfs() { parallel ordered_zone_append xfs; }

# ordered_zone_append: sectors in the order in which the requests are issued. Each append has a length of its own,
# so that the trace of issued requests tells the order: the n-th is n blocks long.
t_order() {
	local dev lens len sector next=8192 round
	declare -A at

	trace_setup
	backing_tmpfs
	add "$O,ordered_zone_append,nr_queues=1"
	nvmet_up "$DEV"
	dev=$(tr : , < /sys/block/zloop0/dev)
	for round in 1 2 3 4; do
		steps "$DEV" <<< "reset z1 = ok"
		trace_start
		"$ZBDTOOL" append-queue "$NVMEG" --block-dev "$NVME" --zone 1 --count 16 > "$ZL_T/out" ||
			fail "appends failed: $(< "$ZL_T/out")"
		trace_stop
		while read -r len sector; do
			at[$len]=$sector
		done < "$ZL_T/out"
		mapfile -t lens < <(sed -n "s/.*block_rq_issue: $dev ZA[A-Z]* \([0-9]*\) .*/\1/p" "$TRACING/trace")
		expect "zone appends seen in round $round" 16 "${#lens[@]}"
		next=8192
		for len in "${lens[@]}"; do
			expect "sector of the append of $len bytes, issued in the order ${lens[*]}" "$next" "${at[$len]}"
			next=$((next + len / 512))
		done
	done
	rm "$ZL_T/out"
}

# How many appends of so many threads to one zone end within four seconds; in REPLY.
appends() {
	local line
	rt_slow 60
	line=$("$ZBDTOOL" append-hammer "$NVME" --first 0 --threads "$1" --len "$NVMET_SAFE_LEN" --rest 8 --seconds 4 \
		--acks "$ZL_T/acks" 2>&1) || fail "$line"
	diag "$1 threads: $line"
	[[ $line == *"failed=0 "* ]] || fail "$line"
	rt_work
	line=$("$ZBDTOOL" append-verify "$DEV" "$ZL_T/acks") || fail "$line"
	rm "$ZL_T/acks"
	REPLY=${line#*acknowledged=}
	REPLY=${REPLY%% *}
	steps "$DEV" <<-END
	consistent all = ok
	reset z0 = ok
	END
}

# On a disk on which each I/O takes a while appends to one zone do not wait for each other's.
slow_disk() {
	local one
	backing_xfs_rt
	add "capacity_mb=512,zone_size_mb=128,conv_zones=0,nr_queues=2,$1"
	nvmet_up "$DEV"
	appends 1
	one=$REPLY
	appends 8
	((REPLY >= 3 * one)) || fail "$one appends of one thread, $REPLY of eight"
	[ ! -e "$JOINED" ] || (($(< "$JOINED") > 0)) || fail "none went with another one"
}

# Each on its own, they wait for each other.
t_slow_disk_alone() {
	[ -e "${JOINED%/*/*}" ] || skip "no debugfs"
	backing_xfs_rt
	add "capacity_mb=512,zone_size_mb=128,conv_zones=0,nr_queues=2,append_batch_kb=0"
	nvmet_up "$DEV"
	appends 1
	appends 8
	expect "appends that went with others" 0 "$(< "$JOINED")"
}

# Appends that are written together do not share the fate of the one for which there is no space. The first one waits
# for the thaw, the others for it; then all of them are one write, of which the first MiB has blocks.
# batch_without_space OPTIONS JOINED(0|1)
batch_without_space() {
	local free ahead good
	backing xfs
	add "capacity_mb=256,zone_size_mb=16,conv_zones=0,nr_queues=1,$1"
	steps "$DEV" <<-END
	write z1 32k = ok
	write z1+32k 32k = ok
	END
	ahead=$(stat -c '%b' "$BDIR/0/seq-000001")
	ahead=$((ahead / 2 - 64))
	((ahead >= 512)) || fail "blocks for $ahead KiB ahead"
	nvmet_up "$DEV"
	free=$(df --output=avail -k "$BDIR" | tail -n 1)
	fallocate -l "$((free - 1024))K" "$BDIR/ballast"
	dd if=/dev/zero of="$BDIR/rest" bs=4k oflag=direct status=none 2> /dev/null
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	"$ZBDTOOL" append-queue "$NVMEG" --block-dev "$NVME" --zone 1 --count 32 > "$ZL_T/out" &
	in_flight 32
	must fsfreeze -u "$BDIR"
	wait $!
	[ ! -e "$JOINED" ] || [ "$2" = "$(($(< "$JOINED") > 0))" ] || fail "$(< "$JOINED") appends went with others"
	good=$(awk '!/result/ { sum += $1 / 1024 } END { print sum + 0 }' "$ZL_T/out")
	diag "appends of $good KiB, blocks for $ahead KiB ahead: $(grep -c result "$ZL_T/out") failed"
	# They are of 4, 8, 12 ... KiB.
	((good >= ahead - 128 && good <= ahead + 256)) || fail "appends of $good KiB ended well, of $ahead KiB that have blocks"
	REPLY=$((64 + good))k
	# As it is printed.
	[ $(((64 + good) % 1024)) -ne 0 ] || REPLY=$(((64 + good) / 1024))m
	steps "$DEV" <<< "report z1 = IMP_OPEN +$REPLY"
	rm "$ZL_T/out"
}

t_batch() { batch_without_space submit_inline=0,prealloc_kb=1024,append_batch_kb=4096 1; }
t_batch_ordered() { batch_without_space ordered_zone_append,submit_inline=0,prealloc_kb=1024,append_batch_kb=4096 1; }
t_batch_off() { batch_without_space submit_inline=0,prealloc_kb=1024,append_batch_kb=0 0; }

t_slow_disk() { slow_disk submit_inline=0,append_batch_kb=1024; }
t_slow_disk_ordered() { slow_disk ordered_zone_append,submit_inline=0,append_batch_kb=1024; }
t_slow_disk_inline() { slow_disk submit_inline=1,prealloc_kb=1024,append_batch_kb=1024; }

tap_run t_native "native zone append"
tap_run t_ordered "ordered zone append"
tap_run t_emulated "zone_append=0: the block layer emulates it"
tap_run t_native_seen "native appends reach the driver, emulated ones do not"
tap_run t_parallel "parallel appends to the same zones"
tap_run t_parallel_ordered "parallel ordered appends"
tap_run t_parallel_emulated "parallel emulated appends"
tap_run t_parallel_xfs "parallel ordered appends, zones on XFS"
tap_run t_order "ordered_zone_append: sectors in order of submission"
tap_run t_batch_off "appends to a full file system, one at a time"
tap_run t_batch "appends to a full file system, written together"
tap_run t_batch_ordered "ordered appends to a full file system, written together"
tap_run t_slow_disk_alone "appends to one zone on a slow disk, append_batch_kb=0"
tap_run t_slow_disk "appends to one zone on a slow disk"
tap_run t_slow_disk_ordered "ordered appends to one zone on a slow disk"
tap_run t_slow_disk_inline "appends to one zone on a slow disk, the short way"
tap_end
