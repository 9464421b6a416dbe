#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Backing file systems: direct I/O where it works, else a refusal that names buffered_io.

. "$(dirname "$0")/lib.sh"

O=capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1

# The whole life of a device in $BDIR.
life() {
	steps "$DEV" <<-END
	write z0+64k 64k = ok
	write z1 3m seed=2 = ok
	write z2 64k seed=3 = ok
	write z2+64k 4k seed=4 = ok
	fsync = ok
	write z3 64k = ok
	finish z3 = ok
	write z4 64k = ok
	reset z4 = ok
	conds all = NFIFEEEE
	read z1 3m seed=2 = ok
	END
	remove
	add "$O${1:+,$1}"
	steps "$DEV" <<-END
	conds all = NFCFEEEE
	read z0+64k 64k = ok
	read z0 64k zero = ok
	read z1 3m seed=2 = ok
	read z2 64k seed=3 = ok
	read z2+64k 4k seed=4 = ok
	read z2+68k 64k zero = ok
	write z2+68k 64k seed=5 = ok
	END
	remove
}

# Direct I/O, or a refusal that names buffered_io; then buffered_io works.
direct_or_refusal() {
	mkdir -p "$BDIR/0"
	klog_mark
	ctl "add id=0,base_dir=$BDIR,$O"
	if [ "$REPLY" = ok ]; then
		undo dev 0
		DEV=/dev/zloop0
		[ -z "${1:-}" ] || fail "direct I/O cannot work on $1, but add did not refuse it"
		diag "direct I/O, block size $(sysfs 0 queue/logical_block_size)"
		life
		rm -rf --one-file-system "$BDIR/0"
	else
		klog_has buffered_io
		diag "refused with $REPLY: $(klog_since "$ZL_MARK" | grep buffered_io | head -n 1)"
	fi
	add "$O,buffered_io"
	life buffered_io
}

t_ext4() { backing ext4; add "$O"; life; }
t_xfs() { backing xfs; add "$O"; life; }
t_btrfs() { backing btrfs; add "$O"; life; }
t_tmpfs() { backing tmpfs; add "$O"; life; }
t_ext4_buffered() { backing ext4; add "$O,buffered_io"; life buffered_io; }
t_xfs_buffered() { backing xfs; add "$O,buffered_io"; life buffered_io; }
t_btrfs_buffered() { backing btrfs; add "$O,buffered_io"; life buffered_io; }

# Files without checksums and copy on write.
t_btrfs_nocow() {
	backing btrfs
	mkdir "$BDIR/0"
	must chattr +C "$BDIR/0"
	add "$O"
	life
}

overlay() {
	modprobe -q overlay
	backing "$1"
	mkdir "$BDIR/upper" "$BDIR/work" "$BDIR/lower" "$ZL_T/ovl"
	must mount -t overlay -o "lowerdir=$BDIR/lower,upperdir=$BDIR/upper,workdir=$BDIR/work" none "$ZL_T/ovl"
	undo mount "$ZL_T/ovl"
	BDIR=$ZL_T/ovl
	direct_or_refusal
}

t_overlay_tmpfs() { overlay tmpfs; }
t_overlay_ext4() { overlay ext4; }

# A device whose files come from the lower layer: the first write copies them up.
t_overlay_lower() {
	modprobe -q overlay
	backing ext4
	mkdir "$BDIR/upper" "$BDIR/work" "$BDIR/lower" "$ZL_T/ovl"
	add "$O" 0 "$BDIR/lower"
	steps "$DEV" <<-END
	write z0 64k = ok
	write z1 64k = ok
	END
	remove
	must mount -t overlay -o "lowerdir=$BDIR/lower,upperdir=$BDIR/upper,workdir=$BDIR/work" none "$ZL_T/ovl"
	undo mount "$ZL_T/ovl"
	BDIR=$ZL_T/ovl
	add "$O,buffered_io"
	steps "$DEV" <<-END
	report z1 = CLOSED +64k
	read z1 64k = ok
	write z1+64k 64k seed=2 = ok
	write z0+64k 64k seed=2 = ok
	read z1 64k = ok
	read z0 64k = ok
	END
	remove
	expect "the lower layer's file" 65536 "$(stat -c %s "${BDIR%/ovl}"/mnt*/lower/0/seq-000001)"
}

# A file system of the host, as a virtual machine has it.
shared_fs() {
	local dir type opts
	while read -r _ dir type opts _; do
		[[ $type == "$1" && ,$opts, == *,rw,* ]] || continue
		for dir in "$dir/var/tmp" "$dir"; do
			BDIR=$(mktemp -d "$dir/zloop-test.XXXXXX" 2> /dev/null) && break 2
		done
	done < /proc/self/mounts
	[ -n "${BDIR:-}" ] || skip "no writable $1 mount"
	trap 'rm -rf --one-file-system "$BDIR"' EXIT
	direct_or_refusal
}

t_9p() { shared_fs 9p; }
t_virtiofs() { shared_fs virtiofs; }

# No direct I/O at all.
t_ramfs() {
	mkdir "$ZL_T/ram"
	must mount -t ramfs none "$ZL_T/ram"
	undo mount "$ZL_T/ram"
	BDIR=$ZL_T/ram
	direct_or_refusal ramfs
}

# Device on a file system on another zloop device: the conventional zone holds an ext4.
t_nested() {
	backing_tmpfs
	add capacity_mb=256,zone_size_mb=64,conv_zones=1 1
	# Only the first zone can be written at random: a linear mapping of it.
	must dmsetup --noudevsync create zloop-test-conv --table "0 131072 linear /dev/zloop1 0" ||
		skip "no mapping of the first zone"
	undo dm zloop-test-conv
	dmsetup mknodes zloop-test-conv 2> /dev/null
	make_fs ext4 /dev/mapper/zloop-test-conv
	mount_backing /dev/mapper/zloop-test-conv
	add "$O" 0
	life
}

tap_run t_ext4 "ext4"
tap_run t_xfs "XFS"
tap_run t_btrfs "btrfs"
tap_run t_tmpfs "tmpfs"
tap_run t_ext4_buffered "ext4, buffered_io"
tap_run t_xfs_buffered "XFS, buffered_io"
tap_run t_btrfs_buffered "btrfs, buffered_io"
tap_run t_btrfs_nocow "btrfs, no copy on write"
tap_run t_overlay_tmpfs "overlayfs on tmpfs"
tap_run t_overlay_ext4 "overlayfs on ext4"
tap_run t_overlay_lower "overlayfs, zone files of the lower layer"
tap_run t_9p "9p"
tap_run t_virtiofs "virtiofs"
tap_run t_ramfs "ramfs"
tap_run t_nested "a device in the conventional zone of another"
tap_end
