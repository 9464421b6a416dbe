#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Commands, opens, signals and the module's removal against each other: each ends, with a result that makes sense, and
# nothing is left.

. "$(dirname "$0")/lib.sh"
with_udev

O=capacity_mb=24,zone_size_mb=4,conv_zones=1
SECONDS_EACH=$((3 + ZLOOP_SLOWNESS))

# One command to the control device without a subshell of ctl; its errors are expected.
try() { { printf '%s\n' "$1" > "$ZL_CTL"; } 2> /dev/null; }

# until_time COMMAND...: again and again, for some seconds.
until_time() {
	local end=$((SECONDS + SECONDS_EACH))
	while ((SECONDS < end)); do "$@"; done
}

# seeded N COMMAND: the same, for a background job, which has random numbers of its own.
seeded() {
	RANDOM=$1
	until_time "${@:2}"
}

# None of the background jobs hangs.
all_end() {
	local pid
	for pid in "$@"; do
		timeout 120 tail --pid="$pid" -f /dev/null || fail "a process does not end"
	done
	wait
}

gone() {
	[ ! -e /sys/block/zloop"$1" ] || { try "remove id=$1"; [ ! -e /sys/block/zloop"$1" ]; } ||
		fail "zloop$1 cannot be removed"
}

# Ten devices are added at once, used at once, removed at once.
t_ten_devices() {
	local i round rounds pids out
	backing xfs 1200
	for ((i = 0; i < 10; i++)); do undo dev "$i"; done
	scaled 2
	rounds=$REPLY
	for ((round = 1; round <= rounds; round++)); do
		pids=()
		for ((i = 0; i < 10; i++)); do
			with_options "$O,nr_queues=2"
			(ctl "add id=$i,base_dir=$BDIR,$REPLY"; printf %s "$REPLY" > "$ZL_T/r$i") &
			pids+=($!)
		done
		all_end "${pids[@]}"
		pids=()
		for ((i = 0; i < 10; i++)); do
			expect "add of device $i" ok "$(< "$ZL_T/r$i")"
			"$ZBDTOOL" hammer "/dev/zloop$i" --threads 1 --first 1 --zones 5 --seconds 3 --seed $((round * 10 + i)) \
				--manage --reporters 1 > "$ZL_T/h$i" 2>&1 || : > "$ZL_T/failed" &
			pids+=($!)
		done
		all_end "${pids[@]}"
		[ ! -e "$ZL_T/failed" ] || { out=$(cat "$ZL_T"/h*); fail "$out"; }
		pids=()
		for ((i = 0; i < 10; i++)); do
			(ctl "remove id=$i"; printf %s "$REPLY" > "$ZL_T/r$i") &
			pids+=($!)
		done
		all_end "${pids[@]}"
		for ((i = 0; i < 10; i++)); do
			expect "remove of device $i" ok "$(< "$ZL_T/r$i")"
		done
	done
	must umount "$BDIR"
}

# Opens and closes, reads and reports while the device comes and goes.
t_open_close() {
	local i pids=() n=0
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	# Not by the shell's redirection, which makes a file where there is no device.
	opener() { { head -c 4096 /dev/zloop0; "$ZBDTOOL" hold /dev/zloop0 < /dev/null; } > /dev/null 2>&1; }
	reporter() { "$ZBDTOOL" report /dev/zloop0 > /dev/null 2>&1; }
	until_time opener &
	pids+=($!)
	until_time opener &
	pids+=($!)
	until_time reporter &
	pids+=($!)
	cycle() {
		try "add id=0,base_dir=$BDIR,$O" && n=$((n + 1))
		for ((i = 0; i < 50; i++)); do try "remove id=0" && break; done
	}
	until_time cycle
	all_end "${pids[@]}"
	diag "$n devices"
	((n > 1)) || fail "only $n devices: nothing was tested"
	# A device whose last descriptor was closed just now is free by now.
	gone 0
	add "$O"
	steps "$DEV" <<< "write z1 64k = ok"
}

# The same id is added and removed by several at once.
t_same_id() {
	local i pids=()
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	mess() {
		case $((RANDOM % 3)) in
		0) try "remove id=0" ;;
		*) try "add id=0,base_dir=$BDIR,$O" ;;
		esac
	}
	for i in 1 2 3 4; do
		seeded "$i" mess &
		pids+=($!)
	done
	all_end "${pids[@]}"
	gone 0
	add "$O"
	steps "$DEV" <<-END
	consistent all = ok
	write z1 64k = ok
	END
}

# rmmod against add, remove and opens of the control device: the module goes only when nothing uses it.
t_rmmod() {
	local pids=() n=0
	need_module
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	# Not by the shell's redirection, which makes a file while the module is away.
	to_control() { printf '%s\n' "$1" | dd of="$ZL_CTL" conv=nocreat status=none 2> /dev/null; }
	cycle() {
		to_control "add id=0,base_dir=$BDIR,$O"
		{ : < "$ZL_CTL"; } 2> /dev/null
		to_control "remove id=0"
		sleep "0.$((RANDOM % 4))"
	}
	seeded 1 cycle &
	pids+=($!)
	seeded 2 cycle &
	pids+=($!)
	unload() {
		rmmod zloop 2> /dev/null && n=$((n + 1))
		[ -c "$ZL_CTL" ] || load_module 2> /dev/null
	}
	until_time unload
	all_end "${pids[@]}"
	[ -c "$ZL_CTL" ] || load_module || fail "the module cannot be loaded again"
	diag "unloaded $n times"
	[ "$n" -gt 0 ] || fail "the module was always in use: nothing was tested"
	gone 0
	unload_module
	load_module || fail "the module cannot be loaded again"
	add "$O"
	steps "$DEV" <<< "write z1 64k = ok"
}

# signals NAME TYPE: an add that gets a signal at any of its stages is done or undone.
signals() {
	local i pid total zones stages pause done=0 undone=0 began options
	scaled 150 40
	zones=$REPLY
	backing "$2"
	undo dev 0
	# A process of its own that does nothing else.
	adder() { exec bash -c "printf 'add id=0,base_dir=$BDIR,$options' > $ZL_CTL" 2> /dev/null; }
	# An add has to take longer than the start of a process and of the sleep that comes before the signal.
	while options=capacity_mb=$zones,zone_size_mb=1,conv_zones=2; do
		now_ms
		began=$REPLY
		(adder) || fail "add"
		now_ms
		total=$((REPLY - began))
		try "remove id=0" || fail "remove"
		rm -r "${BDIR:?}/0"
		((total < 100 * ZLOOP_SLOWNESS && zones < 2000)) || break
		zones=$((zones * 2))
	done
	scaled 30 8
	stages=$REPLY
	for ((i = 0; i < stages; i++)); do
		adder &
		pid=$!
		# From 0 to half as long again as it took without; in the end as long as it needs.
		pause=$((total * 3 * i / (2 * stages)))
		((i < stages - 2)) || pause=$((total * 5))
		printf -v pause '%d.%03d' $((pause / 1000)) $((pause % 1000))
		# The first at once: even a sleep of nothing may take as long as the add.
		((i == 0)) || sleep "$pause"
		kill "-$1" "$pid" 2> /dev/null
		timeout 60 tail --pid="$pid" -f /dev/null || fail "add does not end after $1"
		wait "$pid" 2> /dev/null
		if [ -e /sys/block/zloop0 ]; then
			done=$((done + 1))
			steps /dev/zloop0 <<-END
			consistent all = ok
			write z9 64k = ok
			END
			try "remove id=0" || fail "remove after $1"
			rm -r "${BDIR:?}/0"
		else
			undone=$((undone + 1))
			expect "files left after $1" "" "$(find "$BDIR" -mindepth 1 ! -name lost+found)"
		fi
	done
	diag "$1: $done done, $undone undone, an add of $zones zones takes $total ms"
	((done > 0 && undone > 0)) || fail "$1: $done done, $undone undone: not all stages were met"
	must umount "$BDIR"
}

t_sigkill_tmpfs() { signals KILL tmpfs; }
t_sigkill_ext4() { signals KILL ext4; }
t_sigterm_xfs() { signals TERM xfs; }

tap_run t_ten_devices "ten devices at once"
tap_run t_open_close "opens, reads and reports of a device that comes and goes"
tap_run t_same_id "several add and remove the same device"
tap_run t_rmmod "rmmod against add and remove"
tap_run t_sigkill_tmpfs "SIGKILL at each stage of an add, tmpfs"
tap_run t_sigkill_ext4 "SIGKILL at each stage of an add, ext4"
tap_run t_sigterm_xfs "SIGTERM at each stage of an add, XFS"
tap_end
