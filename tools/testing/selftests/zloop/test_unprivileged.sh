#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Unprivileged users get nowhere: by the nodes, by descriptors that were passed to them, in user namespaces, and in
# containers that make nodes of their own. test_control.sh has the plain cases.

. "$(dirname "$0")/lib.sh"

O=capacity_mb=16,zone_size_mb=4,conv_zones=1

# as_user COMMAND...: as a user without any capability. What it prints on both outputs is in REPLY.
as_user() {
	REPLY=$(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@" 2>&1)
}

# in_namespace SCRIPT: an unprivileged user's bash that is root, with all capabilities, of a user namespace of its own
# (and of a mount namespace).
in_namespace() {
	as_user unshare --user --map-root-user --mount bash -c "$1"
}

# A backing store that everybody can get to.
backing_for_all() {
	backing_tmpfs
	must chmod 755 "$ZL_T"
	must chmod 777 "$BDIR"
}

# expect_errno WHAT ERRNO: the last line of what as_user has seen.
expect_errno() {
	errno_of "${REPLY##*$'\n'}"
	[[ /$2/ == */"$REPLY"/* ]] || fail "$1: expected $2, seen $REPLY"
}

no_device() { [ ! -e /sys/block/zloop7 ] || fail "a device was made"; }

t_namespace() {
	backing_for_all
	undo dev 7
	# It works at all: root of the namespace has the capabilities there.
	in_namespace 'grep CapEff /proc/self/status && mount -t tmpfs none /mnt && echo mounted' || fail "no user namespace: $REPLY"
	[[ $REPLY == *mounted ]] || fail "no capability in the namespace: $REPLY"
	in_namespace "printf 'add id=7,base_dir=$BDIR,$O' > $ZL_CTL" && fail "a user namespace added a device"
	expect_errno "open of the control device" EACCES
	no_device
}

# Should somebody open the node up, it is the capability that counts, and that of the initial namespace.
t_node_for_all() {
	backing_for_all
	undo dev 7
	must chmod 666 "$ZL_CTL"
	trap 'chmod 600 $ZL_CTL' EXIT
	as_user bash -c "printf 'add id=7,base_dir=$BDIR,$O' > $ZL_CTL" && fail "a user added a device"
	expect_errno "add by a user" EPERM
	no_device
	in_namespace "printf 'add id=7,base_dir=$BDIR,$O' > $ZL_CTL" && fail "a user namespace added a device"
	expect_errno "add in a user namespace" EPERM
	no_device
	add "$O"
	in_namespace "printf 'remove id=0' > $ZL_CTL" && fail "a user namespace removed a device"
	expect_errno "remove in a user namespace" EPERM
	# Reading tells what the options are, and nothing of the devices.
	as_user cat "$ZL_CTL" || fail "reading: $REPLY"
	expect "what a user reads" "$(cat "$ZL_CTL")" "$REPLY"
	[[ $REPLY != *"$BDIR"* ]] || fail "a user is told of a directory"
}

# A descriptor that root has opened, in the hands of somebody else.
t_descriptor() {
	backing_for_all
	undo dev 7
	in_namespace "printf 'add id=7,base_dir=$BDIR,$O' >&9" 9> "$ZL_CTL" && fail "a user namespace added a device"
	expect_errno "add through root's descriptor" EPERM
	no_device
}

# Nodes that a container makes: not by mknod(2), and one that is there cannot be opened on a mount of its own.
t_mknod() {
	local minor
	minor=$((16#$(stat -c %T "$ZL_CTL")))
	backing_for_all
	add "$O"
	in_namespace "mount -t tmpfs none /mnt && mknod /mnt/ctl c 10 $minor" && fail "a user namespace made a node"
	expect_errno "mknod of the control device" EPERM
	in_namespace "mount -t tmpfs none /mnt && mknod /mnt/disk b $(sysfs 0 dev | tr : ' ')" && fail "a user namespace made a node"
	expect_errno "mknod of the disk" EPERM
	# Root makes it where the container looks, and lets everybody open it: the capability is still missing.
	must mknod -m 666 "$BDIR/ctl" c 10 "$minor"
	in_namespace "printf 'remove id=0' > $BDIR/ctl" && fail "a user namespace removed a device"
	expect_errno "remove through a node of the container" EPERM
	[ -b "$DEV" ] || fail "the device is gone"
}

# Root of a container without the capability, as container engines run it: it is root of the initial user namespace.
t_root_without_capability() {
	backing_tmpfs
	undo dev 7
	REPLY=$(setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin bash -c "printf 'add id=7,base_dir=$BDIR,$O' > $ZL_CTL" 2>&1) &&
		fail "root without CAP_SYS_ADMIN added a device"
	expect_errno "add without CAP_SYS_ADMIN" EPERM
	no_device
}

# The disk is the disk group's, and a descriptor for reading reads: zone commands want one for writing.
t_disk() {
	backing_tmpfs
	add "$O"
	steps "$DEV" <<< "write z1 64k = ok"
	expect "others' access to the node" 0 "$(($(stat -c %a "$DEV") % 10))"
	as_user blkzone report "$DEV" && fail "a user opened the disk"
	expect_errno "open of the disk" EACCES
	as_user "$ZBDTOOL" script fd:9 9< "$DEV" <<-END || fail "$REPLY"
	report z1 = IMP_OPEN +64k
	read z1 64k = ok
	write z1+64k 4k = EBADF
	reset z1 = EBADF
	open z1 = EBADF
	finish z1 = EBADF
	END
	steps "$DEV" <<< "report z1 = IMP_OPEN +64k"
}

# What is shown to everybody: nothing of the directory; the counters are root's.
t_what_is_shown() {
	backing_tmpfs
	add "$O"
	# shellcheck disable=SC2016 # expanded by the inner shell
	as_user bash -c 'grep -rsl "$1" /sys/block/zloop0/ /sys/module/zloop/ /sys/class/misc/zloop-control/' show "$BDIR"
	expect "attributes that name the directory" "" "$REPLY"
	as_user ls /sys/kernel/debug/zloop && fail "a user looked into debugfs"
	expect_errno "debugfs" EACCES
	expect "mode of the device's files" 600 "$(stat -c %a "$BDIR"/0/cnv-* "$BDIR"/0/seq-* "$BDIR"/0/zloop.geometry | sort -u)"
}

tap_run t_namespace "root of a user namespace"
tap_run t_node_for_all "a control device that everybody may open"
tap_run t_descriptor "a descriptor of root's in a user namespace"
tap_run t_mknod "nodes made in a container"
tap_run t_root_without_capability "root without CAP_SYS_ADMIN"
tap_run t_disk "the disk"
tap_run t_what_is_shown "what everybody is shown"
tap_end
