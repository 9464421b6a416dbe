#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random and mutated commands to the control device: no warning, no leak, no device left.
# panics-on: c

. "$(dirname "$0")/lib.sh"

COUNT=${ZLOOP_FUZZ_COUNT:-1500}

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

tap_run t_seed "$COUNT commands of the fixed seed"
tap_run t_random "$COUNT commands of a random seed"
tap_end
