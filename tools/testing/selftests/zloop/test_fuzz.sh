#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random and mutated commands to the control device, random ioctls and I/O to a device, and files that are changed
# behind its back: no warning, no leak, no device left.
# panics-on: c

. "$(dirname "$0")/lib.sh"

scaled 1500
COUNT=${ZLOOP_FUZZ_COUNT:-$REPLY}

# The default base directory must not be the machine's.
fuzz() {
	local out seed=$1 files_before files_after
	backing_tmpfs nr_inodes=300
	mkdir "$BDIR/b"
	: > "$BDIR/file"
	read -r files_before _ < /proc/sys/fs/file-nr
	# shellcheck disable=SC2016 # expanded by the inner shell
	out=$(unshare -m bash -c 'mkdir -p /var/local && mount -t tmpfs -o nr_inodes=300 none /var/local &&
		mkdir /var/local/zloop && exec "$@"' fuzz "$ZBDTOOL" fuzz "$BDIR" --count "$COUNT" --seed "$seed") ||
		fail "seed $seed: $out"
	diag "$out"
	read -r files_after _ < /proc/sys/fs/file-nr
	diag "open files: $files_before before, $files_after after"
	((files_after < files_before + 200)) || fail "open files grew from $files_before to $files_after"
	must umount "$BDIR"
	reload_module
}

t_seed() { fuzz "${ZLOOP_FUZZ_SEED:-1}"; }
t_random() { fuzz "$RANDOM$RANDOM"; }

# What somebody who has a device open can ask for. After that it is one: the sizes of the files are the write pointers,
# it takes writes, and comes back with the same zones.
t_ioctls() {
	local out before options=capacity_mb=40,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2,max_open_zones=3
	backing_tmpfs
	add "$options"
	out=$("$ZBDTOOL" fuzz-device "$DEV" --count "$((COUNT / 2))" --seed "${ZLOOP_FUZZ_SEED:-1}") || fail "$out"
	diag "$out"
	steps "$DEV" <<< "consistent all = ok"
	before=$("$ZBDTOOL" report "$DEV" | sed 's/ cond=.*//')
	remove
	add "$options"
	expect "zones after the removal" "$before" "$("$ZBDTOOL" report "$DEV" | sed 's/ cond=.*//')"
	steps "$DEV" <<-END
	reset all = ok
	write z2 3m = ok
	report z2 = FULL
	END
}

# What somebody who controls the backing directory can do. Open files and mounts are let go of whatever happens.
t_files() {
	local out
	if [ "$1" = tmpfs ]; then backing_tmpfs nr_inodes=300; else backing "$1"; fi
	mkdir "$BDIR/0"
	undo dev 0
	out=$("$ZBDTOOL" fuzz-files "$BDIR" "capacity_mb=32,zone_size_mb=4,conv_zones=2,max_open_zones=2" \
		--conv 2 --zones 8 --zone-size "$((4 << 20))" --count "$COUNT" --seed "${ZLOOP_FUZZ_SEED:-1}") || fail "$out"
	diag "$out"
	must umount "$BDIR"
}

t_files_tmpfs() { t_files tmpfs; }
t_files_ext4() { t_files ext4; }

tap_run t_seed "$COUNT commands of the fixed seed"
tap_run t_random "$COUNT commands of a random seed"
tap_run t_ioctls "random ioctls and I/O"
tap_run t_files_tmpfs "files changed behind the device's back, on tmpfs"
tap_run t_files_ext4 "the same on ext4"
tap_end
