#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An add over zone files that do not fit is refused, says why, and changes nothing.

. "$(dirname "$0")/lib.sh"

O=capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2

# A device with data in zones 2 (1 MiB), 3 (full) and 7 (4 KiB).
make_device() {
	backing "${1:-tmpfs}"
	add "$O"
	steps "$DEV" <<-END
	write z0 64k = ok
	write z2 1m = ok
	write z3 3m = ok
	write z7 4k = ok
	END
	remove
}

# refused OPTIONS WORD...: the add fails with EINVAL, a message has the words, the files stay as they are.
refused() {
	local opts=$1 before after
	shift
	before=$(cd "$BDIR/0" && stat -c '%n %s %a %F' -- * 2>&1)
	klog_mark
	add_expect "${ERRNO:-EINVAL}" "$opts"
	klog_has "$@"
	after=$(cd "$BDIR/0" && stat -c '%n %s %a %F' -- * 2>&1)
	expect "directory after the refused add" "$before" "$after"
}

# After the refusals the device is still there as it was made.
still_good() {
	add "$O"
	steps "$DEV" <<-END
	conds all = NNCFEEEC
	read z0 64k = ok
	read z2 1m = ok
	read z3 3m = ok
	read z7 4k = ok
	END
}

t_zone_size() {
	make_device
	refused capacity_mb=32,zone_size_mb=8,zone_capacity_mb=3,conv_zones=2 zone_size_mb 4 8
	refused capacity_mb=32,zone_size_mb=8,conv_zones=2 zone_size_mb 4 8
	refused capacity_mb=64,zone_size_mb=8,zone_capacity_mb=3,conv_zones=2 zone_size_mb 4 8
	refused capacity_mb=16,zone_size_mb=2,zone_capacity_mb=2,conv_zones=2 zone_size_mb 4 2
	still_good
}

t_zone_capacity() {
	make_device
	refused capacity_mb=32,zone_size_mb=4,conv_zones=2 zone_capacity_mb 3 4
	refused capacity_mb=32,zone_size_mb=4,zone_capacity_mb=2,conv_zones=2 zone_capacity_mb 3 2
	still_good
}

t_capacity() {
	make_device
	refused capacity_mb=64,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2 capacity_mb 32 64
	refused capacity_mb=28,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2 capacity_mb 32 28
	still_good
}

t_conv_zones() {
	make_device
	refused capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1 conv 2 1
	refused capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=3 conv 2 3
	refused capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=0 conv 2 0
	still_good
}

t_missing_file() {
	local file
	make_device
	for file in cnv-000000 cnv-000001 seq-000002 seq-000005 seq-000007; do
		mv "$BDIR/0/$file" "$BDIR/moved"
		refused "$O" "zone $((10#${file#*-})): the file $file is missing"
		[ ! -e "$BDIR/0/$file" ] || fail "$file was created"
		mv "$BDIR/moved" "$BDIR/0/$file"
	done
	still_good
}

t_extra_file() {
	make_device
	: > "$BDIR/0/seq-000008"
	refused "$O" "zone 8: "
	rm "$BDIR/0/seq-000008"
	truncate -s 4M "$BDIR/0/cnv-000002"
	refused "$O" "zone 2: "
	rm "$BDIR/0/cnv-000002"
	: > "$BDIR/0/seq-000001"
	refused "$O" "zone 1: "
	rm "$BDIR/0/seq-000001"
	still_good
}

t_sizes() {
	make_device
	truncate -s 3146752 "$BDIR/0/seq-000005"
	refused "$O" "zone 5: " 3146752
	truncate -s 4M "$BDIR/0/seq-000005"
	refused "$O" "zone 5: " 4194304
	truncate -s 1000 "$BDIR/0/seq-000005"
	refused "$O" "zone 5: " 1000
	truncate -s 512 "$BDIR/0/seq-000005"
	refused "$O" "zone 5: " 512
	truncate -s 0 "$BDIR/0/seq-000005"
	truncate -s 3M "$BDIR/0/cnv-000001"
	refused "$O" "zone 1: " 3145728
	truncate -s 0 "$BDIR/0/cnv-000001"
	refused "$O" "zone 1: " 0
	truncate -s 5M "$BDIR/0/cnv-000001"
	refused "$O" "zone 1: " 5242880
	truncate -s 4M "$BDIR/0/cnv-000001"
	still_good
}

# Zone files have to be regular files of the same file system.
t_file_types() {
	make_device
	mv "$BDIR/0/seq-000005" "$BDIR/moved"
	ln -s "$BDIR/moved" "$BDIR/0/seq-000005"
	ERRNO=EINVAL/ELOOP refused "$O" "zone 5: "
	rm "$BDIR/0/seq-000005"
	ln -s "$BDIR/nowhere" "$BDIR/0/seq-000005"
	ERRNO=EINVAL/ELOOP refused "$O" "zone 5: "
	rm "$BDIR/0/seq-000005"
	mkfifo "$BDIR/0/seq-000005"
	refused "$O" "zone 5: "
	rm "$BDIR/0/seq-000005"
	mkdir "$BDIR/0/seq-000005"
	ERRNO=EINVAL/EISDIR refused "$O" "zone 5: "
	rmdir "$BDIR/0/seq-000005"
	mknod "$BDIR/0/seq-000005" c 1 5
	refused "$O" "zone 5: "
	rm "$BDIR/0/seq-000005"
	new_loop 4
	mknod "$BDIR/0/seq-000005" b $((16#$(stat -c %t "$LOOP"))) $((16#$(stat -c %T "$LOOP")))
	refused "$O" "zone 5: "
	rm "$BDIR/0/seq-000005"
	mv "$BDIR/moved" "$BDIR/0/seq-000005"
	still_good
}

t_symlinked_first_file() {
	make_device
	mv "$BDIR/0/cnv-000000" "$BDIR/moved"
	ln -s "$BDIR/moved" "$BDIR/0/cnv-000000"
	ERRNO=EINVAL/ELOOP refused "$O" "zone 0: "
	rm "$BDIR/0/cnv-000000"
	mv "$BDIR/moved" "$BDIR/0/cnv-000000"
	still_good
}

# A bind mount of a file of another file system in the place of a zone file.
t_other_file_system() {
	local dir
	make_device
	dir=$BDIR
	backing_tmpfs
	: > "$BDIR/other"
	must mount --bind "$BDIR/other" "$dir/0/seq-000005"
	undo mount "$dir/0/seq-000005"
	BDIR=$dir
	refused "$O" "zone 5: "
	must umount "$dir/0/seq-000005"
	still_good
}

# One file under two names is two zones on one file.
t_hard_link() {
	make_device
	mv "$BDIR/0/seq-000005" "$BDIR/moved"
	ln "$BDIR/0/seq-000007" "$BDIR/0/seq-000005"
	ERRNO=EINVAL/EBUSY refused "$O" "zone 5: "
	rm "$BDIR/0/seq-000005"
	mv "$BDIR/moved" "$BDIR/0/seq-000005"
	still_good
}

t_read_only_fs() {
	make_device ext4
	must mount -o remount,ro "$BDIR"
	ERRNO=EROFS refused "$O" EROFS
	must mount -o remount,rw "$BDIR"
	still_good
}

# Two devices on the same zone files would destroy each other.
t_two_devices() {
	make_device
	add "$O" 0
	mkdir "$BDIR/base"
	ln -s "$BDIR/0" "$BDIR/base/1"
	ctl_expect EBUSY "add id=1,$O,base_dir=$BDIR/base"
	rm "$BDIR/base/1"
	mkdir "$BDIR/base/1"
	must mount --bind "$BDIR/0" "$BDIR/base/1"
	undo mount "$BDIR/base/1"
	ctl_expect EBUSY "add id=1,$O,base_dir=$BDIR/base"
	must umount "$BDIR/base/1"
	# the same through links to the single files
	ln "$BDIR"/0/* "$BDIR/base/1/"
	ctl_expect EBUSY/EINVAL "add id=1,$O,base_dir=$BDIR/base"
	[ ! -e /sys/block/zloop1 ] || fail "a second device on the same files exists"
	# The refusals leave the first device as it was.
	steps "$DEV" <<-END
	conds all = NNCFEEEC
	read z2 1m = ok
	write z2+1m 64k = ok
	END
	remove 0
	rm "$BDIR/base/1/"*
	rmdir "$BDIR/base/1"
	# Free again: the same directory under the other name.
	ln -s "$BDIR/0" "$BDIR/base/1"
	add "$O" 1 "$BDIR/base"
	steps "$DEV" <<< "report z2 = CLOSED +1088k"
}

tap_run t_zone_size "another zone size"
tap_run t_zone_capacity "another zone capacity"
tap_run t_capacity "more or fewer zones"
tap_run t_conv_zones "another number of conventional zones"
tap_run t_missing_file "a missing zone file"
tap_run t_extra_file "an extra zone file"
tap_run t_sizes "zone files of sizes that cannot be"
tap_run t_file_types "symlinks, pipes, directories and devices in the place of a zone file"
# A power cut can leave the geometry file without its text: it is made again, by an add that fits the zone files.
t_empty_record() {
	local record
	make_device
	record=$(< "$BDIR/0/zloop.geometry")
	: > "$BDIR/0/zloop.geometry"
	refused capacity_mb=64,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2 "geometry file is empty"
	klog_mark
	still_good
	klog_has "geometry file is empty"
	expect "geometry file" "$record" "$(< "$BDIR/0/zloop.geometry")"
	remove
	klog_mark
	still_good
	[[ $(klog_since "$ZL_MARK") != *"is empty"* ]] || fail "the geometry file was not made again"
	# What is not empty is not made again.
	remove
	printf '\n' > "$BDIR/0/zloop.geometry"
	refused "$O" "geometry file is damaged"
}

tap_run t_empty_record "an empty geometry file"
tap_run t_symlinked_first_file "a symlink in the place of the first zone file"
tap_run t_other_file_system "a zone file of another file system"
tap_run t_hard_link "one file for two zones"
tap_run t_read_only_fs "a read-only backing file system"
tap_run t_two_devices "two devices on the same files: directory by symlink, by bind mount, files by link"
tap_end
