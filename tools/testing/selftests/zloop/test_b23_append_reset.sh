#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Ordered appends against resets of the same zone: the write pointer is the size of the file, at any time it is quiet,
# and each append succeeds, before the reset or after it. (The zones are too large to become full.)
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_nvmet.sh"

race() {
	local z line sizes reports
	backing "$1"
	add capacity_mb=2048,zone_size_mb=256,conv_zones=0,nr_queues=2,ordered_zone_append
	nvmet_up "$DEV"
	line=$("$ZBDTOOL" append-hammer "$NVME" --first 0 --zones 4 --threads 6 --len "$NVMET_SAFE_LEN" --seconds 5 \
		--reset-dev "$DEV") || fail "$line"
	diag "$line"
	[[ $line != *resets=0* ]] || fail "no reset was done"
	[[ $line == *failed=0\ * ]] || fail "appends have failed"
	for z in 0 1 2 3; do
		sizes+="$(($(stat -c %s "$BDIR/0/seq-00000$z") / 512)) "
	done
	reports=$("$ZBDTOOL" report "$DEV" --count 4 | awk '{
		for (i = 1; i <= NF; i++) { split($i, a, "="); v[a[1]] = a[2] }
		printf "%d ", v["cond"] == "FULL" ? v["cap"] : v["wp"] - v["start"] }')
	expect "write pointers (sizes of the files)" "$sizes" "$reports"
	# An append that a reset overtook leaves a hole before it; no word of what is appended is zero.
	for z in 0 1 2 3; do
		line=$(od -An -v -tx8 -w8 "$BDIR/0/seq-00000$z" | grep -c '^ 0*$')
		[ "$line" -eq 0 ] || fail "zone $z has $line words that nobody wrote"
	done
	steps "$DEV" <<-END
	consistent all = ok
	reset all = ok
	conds all = EEEEEEEE
	END
}

t_tmpfs() { race tmpfs; }
t_xfs() { race xfs; }

tap_run t_tmpfs "tmpfs"
tap_run t_xfs "XFS"
tap_end
