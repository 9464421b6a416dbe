#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Removal: refused while the device is held exclusively, complete when write(2) returns, module reference.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_hold.sh"
. "$(dirname "$0")/lib_nvmet.sh"
with_udev

O=capacity_mb=32,zone_size_mb=4,conv_zones=1

t_exclusive_open() {
	backing_tmpfs
	add "$O"
	hold "$DEV" --excl
	expect "exclusive open" held "$REPLY"
	ctl_expect EBUSY "remove id=0"
	# Nothing is changed by the refusal.
	steps "$DEV" <<-END
	write z1 64k = ok
	read z1 64k = ok
	report z1 = IMP_OPEN +64k
	END
	release
	remove
	[ ! -e "$DEV" ] || fail "$DEV still exists"
}

t_device_mapper() {
	backing_tmpfs
	add "$O"
	dm_linear zloop-test-rm "$DEV"
	ctl_expect EBUSY "remove id=0"
	steps "$DM" <<< "write z1 64k = ok"
	# With a retry the second attempt may find that the first one was late, not in vain.
	dmsetup remove --retry zloop-test-rm || must_fail dmsetup info zloop-test-rm
	remove
}

t_mounted_btrfs() {
	modprobe -q btrfs
	backing_tmpfs
	add capacity_mb=384,zone_size_mb=4,conv_zones=0
	must mkfs.btrfs -q -f -d single -m single "$DEV"
	mkdir "$ZL_T/fs"
	must mount -t btrfs "$DEV" "$ZL_T/fs"
	undo mount "$ZL_T/fs"
	ctl_expect EBUSY "remove id=0"
	echo content > "$ZL_T/fs/file"
	must sync -f "$ZL_T/fs"
	ctl_expect EBUSY "remove id=0"
	expect "file" content "$(cat "$ZL_T/fs/file")"
	must umount "$ZL_T/fs"
	rmdir "$ZL_T/fs"
	remove
}

# The id and the directory of a removed device that is still open (descriptor 9): refused, unless every zone file is
# closed already. Then the backing file system can be unmounted, and they are really free.
add_while_open() {
	if umount "$BDIR" 2> /dev/null; then
		must mount -t tmpfs none "$BDIR"
		diag "the zone files are closed although a descriptor is open"
		undo dev 0
		return
	fi
	ctl "add id=0,base_dir=$BDIR,$O"
	if [ "$REPLY" = ok ]; then
		undo dev 0
		fail "a new device got the id and the files that a removed device still has open"
	fi
	expect_match "errno of the add" "E@(EXIST|BUSY)" "$REPLY"
}

# add_when_closed: the id and the directory are free.
add_when_closed() {
	local i
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		ctl "add id=0,base_dir=$BDIR,$O"
		[ "$REPLY" != ok ] || break
		sleep 0.1
	done
	expect "add after the close" ok "$REPLY"
}

# A mere open descriptor does not refuse a remove. Its I/O fails afterwards, it can be closed, and then the id and
# the directory are free.
t_open_descriptor() {
	backing_tmpfs
	add "$O"
	steps "$DEV" <<< "write z1 64k = ok"
	exec 9<> "$DEV"
	remove
	[ ! -e /sys/block/zloop0 ] || fail "the disk still exists"
	# There is nothing to wait for.
	ctl_expect ENODEV "remove id=0"
	if printf x >&9; then
		fail "a write to the removed device succeeded"
	fi 2> /dev/null
	# The block layer says end of file or an error: in any case no data.
	expect "bytes read from the removed device" 0 "$(dd bs=4096 count=1 <&9 2> /dev/null | wc -c)"
	add_while_open
	exec 9>&-
	add_when_closed
}

# What was written through the page cache of the device, and not synced, is in the file afterwards. (Closing the device
# would sync it.)
t_page_cache() {
	backing_tmpfs
	add "$O"
	must dd if=/dev/urandom of="$ZL_T/data" bs=64k count=4 status=none
	exec 9<> "$DEV"
	cat "$ZL_T/data" >&9 || fail "cannot write"
	(($(sysfs 0 stat | awk '{ print $5 }') == 0)) || skip "the page cache was written back already"
	remove
	exec 9>&-
	must cmp -n $((256 << 10)) "$ZL_T/data" "$BDIR/0/cnv-000000"
}

# Nor does the NVMe target, which opens its devices as everybody does; the id is free when it lets go (of the C driver
# at once).
t_nvme_target() {
	local O=${O/conv_zones=1/conv_zones=0}
	backing_tmpfs
	add "$O"
	nvmet_up "$DEV"
	remove
	[ ! -e /sys/block/zloop0 ] || fail "the disk still exists"
	must_fail dd if="$NVME" of=/dev/null bs=4096 count=1 iflag=direct
	if [ "$ZLOOP_DRIVER" = rust ]; then
		klog_mark
		ctl_expect EEXIST "add id=0,base_dir=$BDIR,$O"
		klog_has "add: id=0: the device was removed, and is still open"
	fi
	nvmet_down "$NVMET_NQN"
	add_when_closed
}

# What xfstests does: I/O, remove, umount of the backing file system, without a pause in between.
umount_at_once() {
	local i rounds
	scaled 8 2
	rounds=$REPLY
	backing "$1"
	for ((i = 0; i < rounds; i++)); do
		add "$O"
		steps "$DEV" <<-END
		reset all = ok
		write z1 1m = ok
		write z0 64k = ok
		finish z2 = ok
		END
		remove
		must umount "$BDIR"
		mount_again
	done
}

t_umount_at_once_tmpfs() {
	mount_again() { must mount -t tmpfs none "$BDIR"; }
	umount_at_once tmpfs
}

t_umount_at_once_xfs() {
	mount_again() { must mount "$LOOP" "$BDIR"; }
	umount_at_once xfs
}

# Nothing is between them at all. Several files have something to be flushed, who helps with that gets no processor for a
# while, and does not keep the device: somebody else does.
t_umount_next() {
	local i zone zones rounds
	backing tmpfs
	scaled 8 2
	zones=$REPLY
	scaled 3
	rounds=$REPLY
	for ((i = 0; i < rounds; i++)); do
		add "$O"
		steps "$DEV" <<-END
		reset all = ok
		$(for ((zone = 0; zone < zones; zone++)); do echo "write z$zone 4k = ok"; done)
		END
		hold "$DEV" --readonly
		for _ in $(seq "$(nproc)"); do
			chrt -f 10 bash -c 'while :; do :; done' &
			undo pid $!
		done
		chrt -f 50 "$ZBDTOOL" then-umount "remove id=0" "$BDIR" > "$ZL_T/out" || fail "round $i: $(< "$ZL_T/out")"
		rm "$ZL_T/out"
		pkill -f 'while :; do :; done'
		release
		must mount -t tmpfs none "$BDIR"
	done
}

# A worker of io_uring, which closes files later than other tasks do, removes a device with many open ones.
t_umount_after_io_uring() {
	local i z rounds
	scaled 8 2
	rounds=$REPLY
	for ((i = 0; i < rounds; i++)); do
		backing_tmpfs
		add capacity_mb=1024,zone_size_mb=1,conv_zones=1
		steps "$DEV" < <(for ((z = 1; z < 1024; z++)); do echo "write z$z 4k = ok"; done)
		"$ZBDTOOL" then-umount --io-uring "remove id=0" "$BDIR" > "$ZL_T/out" || fail "round $i: $(< "$ZL_T/out")"
	done
	rm "$ZL_T/out"
}

# The same command without an id gets the same device again, also if somebody still looks at the one that was removed:
# it waits for two seconds. Not judged if this script was kept from running for so long that these may have passed.
add_while_open_for() {
	local i began late=
	add "$O"
	steps "$DEV" <<< "write z1 64k = ok"
	hold "$DEV" --readonly
	expect "open" held "$REPLY"
	remove
	undo dev 0
	now_ms
	began=$REPLY
	# shellcheck disable=SC2016 # for the shell that is started
	background bash -c ': > "$3"; echo "$1" > "$2"' add "add $O,base_dir=$BDIR" "$ZL_CTL" "$ZL_T/started" 7>&- 8<&-
	for ((i = 0; i < 100 * ZLOOP_SLOWNESS; i++)); do
		[ ! -e "$ZL_T/started" ] || break
		sleep 0.1
	done
	sleep 0.5
	now_ms
	((REPLY - began < 1500)) || late=1
	[ -n "$late" ] || background_goes_on "add has not waited"
	release
	now_ms
	((REPLY - began < 1900)) || late=1
	background_end
	rm "$ZL_T/started"
	[ -z "$late" ] || return 1
	[ -e /sys/block/zloop0 ] || fail "the device has got another id"
	steps "$DEV" <<< "read z1 64k = ok"
	expect "directories" 0 "$(ls "$BDIR")"
}

t_add_again_while_open() {
	local round i
	for round in 1 2 3 4 5; do
		backing_tmpfs
		! add_while_open_for || return 0
		diag "round $round took too long"
		for i in /sys/block/zloop[0-9]*; do
			ctl_expect ok "remove id=${i##*zloop}"
		done
	done
	fail "the host is too slow to tell"
}

# The id is free at once, with another geometry in another directory.
t_id_free() {
	local i
	backing_tmpfs
	for ((i = 1; i < 16; i++)); do
		mkdir -p "$BDIR/b$i"
		add "capacity_mb=$((16 * i)),zone_size_mb=4,conv_zones=1" 0 "$BDIR/b$i"
		remove
	done
}

t_twice() {
	local one two
	backing_tmpfs
	add "$O"
	for _ in 1 2 3 4 5; do
		(ctl "remove id=0"; printf %s "$REPLY" > "$ZL_T/one") &
		(ctl "remove id=0"; printf %s "$REPLY" > "$ZL_T/two") &
		wait
		one=$(< "$ZL_T/one")
		two=$(< "$ZL_T/two")
		rm "$ZL_T/one" "$ZL_T/two"
		case "$one $two" in
		"ok ENODEV" | "ENODEV ok" | "ok EBUSY" | "EBUSY ok") ;;
		*) fail "two removes at once: $one and $two" ;;
		esac
		add "$O"
	done
}

# I/O of an open descriptor while the device goes: errors, but everything ends.
t_during_io() {
	local pid i j written
	backing_tmpfs
	for i in 1 2 3; do
		add "capacity_mb=64,zone_size_mb=4,conv_zones=1,max_open_zones=4,nr_queues=2"
		"$ZBDTOOL" hammer "$DEV" --threads 2 --first 1 --zones 4 --seconds 2 > /dev/null 2>&1 &
		pid=$!
		undo pid "$pid"
		for ((j = 0; j < 300 * ZLOOP_SLOWNESS; j++)); do
			read -r _ _ _ _ written _ < /sys/block/zloop0/stat
			((written < 20)) || break
			sleep 0.1
		done
		((written >= 20)) || fail "round $i: no I/O to remove the device in"
		remove
		wait "$pid"
		[ ! -e /sys/block/zloop0 ] || fail "round $i: the disk still exists"
		# Free when the last descriptor was closed.
		zl_wait_add "capacity_mb=64,zone_size_mb=4,conv_zones=1"
		remove
	done
}

zl_wait_add() {
	local i
	undo dev 0
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		ctl "add id=0,base_dir=$BDIR,$1"
		[ "$REPLY" != ok ] || return 0
		sleep 0.1
	done
	fail "add after remove: $REPLY"
}

# Waits until the module has as many references as said: udev opens new devices for a moment.
expect_refs() {
	local count i
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		read -r count < /sys/module/zloop/refcnt
		[ "$count" -ne "$1" ] || return 0
		sleep 0.1
	done
	fail "the module has $count references, expected $1"
}

t_module() {
	need_module
	backing_tmpfs
	expect_refs 0
	add "$O" 0
	must_fail rmmod zloop
	expect_refs 1
	add "$O" 1
	expect_refs 2
	remove 1
	expect_refs 1
	must_fail rmmod zloop
	remove 0
	expect_refs 0
	exec 9< "$ZL_CTL"
	must_fail rmmod zloop
	exec 9<&-
	# An open descriptor of a removed device keeps the module too.
	add "$O" 0
	exec 9< "$DEV"
	remove 0
	must_fail rmmod zloop
	exec 9<&-
	unload_module
	load_module || fail "the module cannot be loaded again"
}

# Who shows a counter of a device keeps neither that nor the module, and can go on when both are gone.
t_module_counter() {
	need_module
	[ -d /sys/kernel/debug/zloop ] || mount -t debugfs none /sys/kernel/debug 2> /dev/null
	[ -d /sys/kernel/debug/zloop ] || skip "no debugfs"
	backing_tmpfs
	add "$O" 0
	exec 9< /sys/kernel/debug/zloop/zloop0/inline
	remove 0
	unload_module
	must_fail cat <&9
	exec 9<&-
	load_module || fail "the module cannot be loaded again"
}

# A failed add holds neither the module nor an id.
t_module_after_failed_add() {
	need_module
	backing_tmpfs nr_inodes=8
	mkdir "$BDIR/0"
	add_expect ENOSPC "capacity_mb=64,zone_size_mb=4,conv_zones=1"
	add_expect EINVAL "capacity_mb=64,zone_size_mb=4,conv_zones=16"
	ctl_expect ENOENT/EINVAL "add id=0,capacity_mb=64,zone_size_mb=4,conv_zones=1,base_dir=$BDIR/none"
	expect_refs 0
	must rmmod zloop
	load_module || fail "the module cannot be loaded again"
}

tap_run t_exclusive_open "refused while opened exclusively"
tap_run t_device_mapper "refused while device-mapper uses the device"
tap_run t_mounted_btrfs "refused while a file system on it is mounted"
tap_run t_open_descriptor "not refused by an open descriptor; id and files are free when it is closed"
tap_run t_page_cache "what is in the page cache is written"
tap_run t_nvme_target "not refused by the NVMe target either"
tap_run t_umount_at_once_tmpfs "tmpfs below can be unmounted at once"
tap_run t_umount_at_once_xfs "XFS below can be unmounted at once"
tap_run t_umount_next "tmpfs below can be unmounted in the next system call"
# Two at a time, each of which may come to close files of the other.
t_umount_beside_another() {
	local n i round pids=()
	backing_tmpfs size=200m
	backing_tmpfs size=200m
	n=$ZL_N
	mkdir "$ZL_T/mnt$((n - 1))/0" "$ZL_T/mnt$n/1"
	undo dev 0
	undo dev 1
	one() {
		local dir=$ZL_T/mnt$((n - 1 + $1))
		ctl "remove id=$1"
		[ "$REPLY" = ok ] || { echo "remove id=$1: $REPLY"; return; }
		umount "$dir" 2>&1 && mount -t tmpfs zloop-test "$dir" && mkdir "$dir/$1"
	}
	scaled 5 2
	for ((round = REPLY; round > 0; round--)); do
		for i in 0 1; do
			ctl "add id=$i,base_dir=$ZL_T/mnt$((n - 1 + i)),capacity_mb=200,zone_size_mb=1,conv_zones=199"
			expect "add of device $i" ok "$REPLY"
			must dd if="/dev/zloop$i" of=/dev/null bs=1M iflag=direct status=none
		done
		pids=()
		for i in 0 1; do
			one "$i" > "$ZL_T/one$i" &
			pids+=($!)
		done
		wait "${pids[@]}"
		expect "remove and umount" "" "$(cat "$ZL_T"/one[01])"
	done
}

tap_run t_umount_beside_another "the same while another device is removed"
tap_run t_umount_after_io_uring "tmpfs below can be unmounted at once, by io_uring"
tap_run t_add_again_while_open "add without an id, while the device that was removed is open"
tap_run t_id_free "the id is free at once"
tap_run t_twice "two removes at once"
tap_run t_during_io "remove during I/O"
tap_run t_module "the module stays while a device or a descriptor exists"
tap_run t_module_counter "the module goes while somebody looks at a counter"
tap_run t_module_after_failed_add "failed adds hold nothing"
tap_end
