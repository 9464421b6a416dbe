#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Little memory, which is freed by writing to the device: swap on it, and file systems on it whose users are in a small
# cgroup, while the file system below is frozen for a moment. All data stays, and nothing waits for itself.

. "$(dirname "$0")/lib.sh"

SECONDS_EACH=$((3 + ZLOOP_SLOWNESS))

# The limit was met, and nobody was killed for it.
was_small() {
	local events
	events=$(tr '\n' ' ' < "$SMALL"/memory.events)
	diag "$events"
	[[ $events =~ " max "[1-9] ]] || fail "there was enough memory"
	[[ $events == *"oom_kill 0"* ]] || fail "out of memory"
}

was_inline() {
	local count
	count=$(< "/sys/kernel/debug/zloop/zloop0/inline")
	diag "done by the submitter: $count"
	[ "$count" -gt 0 ] || fail "the short way was not taken"
}

# What does not fit into the cgroup is swapped to the conventional zones: by way of a loop device, since swapon(2) takes
# no zoned one.
t_swap() {
	local swap out sum before hammer
	[ -e /proc/swaps ] || skip "the kernel has no CONFIG_SWAP"
	backing xfs
	add capacity_mb=128,zone_size_mb=16,conv_zones=6,nr_queues=2
	swap=$(losetup -f --show --sizelimit 96M "$DEV") || fail "losetup failed"
	undo loop "$swap"
	must mkswap "$swap"
	must swapon "$swap"
	undo swap "$swap"
	small_cgroup 20
	mkdir "$ZL_T/anon"
	must mount -t tmpfs -o size=200m zloop-test "$ZL_T/anon"
	undo mount "$ZL_T/anon"
	before=$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)
	in_small "$ZBDTOOL" hammer "$DEV" --threads 2 --first 6 --zones 2 --seconds "$SECONDS_EACH" &> "$ZL_T/hammer" &
	hammer=$!
	undo pid "$hammer"
	# shellcheck disable=SC2016 # for the shell below
	sum=$(in_small bash -c 'head -c 40M /dev/urandom | tee "$1" | md5sum' bash "$ZL_T/anon/data")
	out=$(in_small md5sum "$ZL_T/anon/data")
	expect "checksum" "${sum%% *}" "${out%% *}"
	wait "$hammer" || fail "$(< "$ZL_T/hammer")"
	diag "$(< "$ZL_T/hammer")"
	out=$(($(awk '$1 == "pswpout" { print $2 }' /proc/vmstat) - before))
	diag "$out pages written to swap"
	[ "$out" -gt 2000 ] || fail "only $out pages were swapped"
	was_small
	was_inline
	must umount "$ZL_T/anon"
	must swapoff "$swap"
	losetup -d "$swap"
	remove
}

declare -A OPTIONS=(
	[btrfs]="capacity_mb=1024,zone_size_mb=16,zone_capacity_mb=12,conv_zones=4,nr_queues=2"
	[f2fs]="capacity_mb=768,zone_size_mb=16,conv_zones=8,nr_queues=2"
	[xfs]="capacity_mb=1536,zone_size_mb=16,conv_zones=32,nr_queues=2"
)

# synced FILE: fsync, again if btrfs says EAGAIN, which Linux 7.2 and 7.3 do for files on any zoned device while something
# else writes metadata.
synced() {
	local out try
	for ((try = 0; try < 50; try++)); do
		out=$(sync "$1" 2>&1) && return
		[[ $TOP_TYPE == btrfs && $out == *"temporarily unavailable"* ]] || break
		sleep 0.1
	done
	printf '%s\n' "$out" >&2
	return 1
}

# churn DIR SECONDS: makes and deletes trees for so long, and leaves the last ones, with their checksums.
churn() {
	local n=0 data
	while ((SECONDS < $2)) || ((n < 2)); do
		n=$((n + 1))
		mkdir "$1/$n" && cp "$ZL_DIR"/test_b*.sh "$1/$n/" || return
		data=$1/$n/data
		dd if=/dev/urandom bs=64k count=112 status=none | tee "$data" | md5sum | sed "s|-|$data|" > "$1.$n.sums"
		case $1 in
		*1) synced "$data" || return ;;
		esac
		find "$1/$n" -type f -exec md5sum {} + >> "$1.$n.sums" || return
		((n < 3)) || rm -rf "${1:?}/$((n - 2))" "$1.$((n - 2)).sums" || return
	done
}
export -f synced churn

on_top() {
	local fs=$1 top=$ZL_T/top end i pids=() options=
	modprobe -q "$fs"
	backing xfs 2000
	add "${OPTIONS[$fs]}"
	# shellcheck disable=SC2086 # words
	must ${TOP_MKFS[$fs]} "$DEV"
	mkdir -p "$top"
	[ "$fs" != btrfs ] || options=notreelog
	must mount -t "$fs" ${options:+-o "$options"} "$DEV" "$top"
	undo mount "$top"
	small_cgroup 24
	end=$SECONDS
	for i in 1 2 3; do
		mkdir "$top/$i"
		# shellcheck disable=SC2016 # for the shell below
		ZL_DIR=$ZL_DIR TOP_TYPE=$fs in_small bash -c 'churn "$1" "$2"' bash "$top/$i" "$SECONDS_EACH" 2> "$ZL_T/churn$i" &
		pids+=($!)
		undo pid $!
	done
	sleep 1
	must fsfreeze -f "$BDIR"
	undo thaw "$BDIR"
	sleep 1
	must fsfreeze -u "$BDIR"
	for i in 1 2 3; do
		timeout 300 tail --pid="${pids[i - 1]}" -f /dev/null || fail "worker $i does not end"
		wait "${pids[i - 1]}" || fail "worker $i: $(< "$ZL_T/churn$i")"
	done
	diag "$((SECONDS - end)) s, $(cat "$top"/*.sums | wc -l) files left"
	was_small
	was_inline
	sync
	echo 3 > /proc/sys/vm/drop_caches
	cat "$top"/*.sums > "$ZL_T/sums"
	md5sum --quiet -c "$ZL_T/sums" > "$ZL_T/wrong" 2>&1 || fail "$(head -n 20 "$ZL_T/wrong")"
	must umount "$top"
	# shellcheck disable=SC2086 # words
	must ${TOP_FSCK[$fs]} "$DEV"
	remove
}

t_btrfs() { on_top btrfs; }
t_f2fs() { on_top f2fs; }
t_xfs() { on_top xfs; }

tap_run t_swap "swap on the device"
tap_run t_btrfs "btrfs in a small cgroup"
tap_run t_f2fs "f2fs in a small cgroup"
tap_run t_xfs "XFS in a small cgroup"
tap_end
