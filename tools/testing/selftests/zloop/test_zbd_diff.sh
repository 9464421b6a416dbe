#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The same steps on zloop and on null_blk, and several threads on the same zones (zbd-diff). The short form of
# "make check-diff", which also compares with the C driver.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_nvmet.sh"
. "$(dirname "$0")/lib_nullb.sh"

scaled 2000 1000
OPS=${ZLOOP_DIFF_OPS:-$REPLY}
scaled 3
ROUNDS=${ZLOOP_DIFF_ROUNDS:-$REPLY}
NULLB=/dev/nullbz0

[ -x "$ZBDDIFF" ] || ZBDDIFF=$(command -v zbd-diff) || tap_bail "ZBDDIFF does not name the zbd-diff program"

# The ways of I/O: by work items with files in memory, and by the submitter, with blocks allocated ahead, on a disk.
QUEUED=max_open_zones=0
INLINE=submit_inline=1,prealloc_kb=1024
place() {
	[ "$ZLOOP_DRIVER" = rust ] || skip "the table of known differences and the options are those of the Rust driver"
	if [[ $1 == *"$INLINE"* ]]; then backing xfs; else backing_tmpfs; fi
}

# pair ZLOOP_OPTIONS NULL_BLK_ATTRIBUTE...: both devices, of the same shape unless the options say otherwise.
pair() {
	local options=$1
	shift
	place "$options"
	add "capacity_mb=40,zone_size_mb=2,zone_capacity_mb=1,nr_queues=2,$options"
	nullb_up "${NULLB#/dev/}" zloop0 size=40 zone_size=2 zone_capacity=1 "$@" || fail "cannot set up null_blk"
}

# diff_run ARGUMENT...: the run must find nothing.
diff_run() {
	local out
	out=$("$ZBDDIFF" run "$@" --script "$ZL_T/script" 2>&1) || fail "$out; script: $(cat "$ZL_T/script" 2> /dev/null)"
	diag "$out"
}

t_plain() {
	pair conv_zones=2 zone_nr_conv=2
	diff_run zloop="$DEV" null_blk="$NULLB" --ops "$OPS" --seed 1 --must invalid-wp,read-beyond
}

t_limit() {
	pair "conv_zones=2,max_open_zones=3,$INLINE" zone_nr_conv=2 zone_max_open=3
	diff_run zloop="$DEV" null_blk="$NULLB" --ops "$OPS" --must victim
}

t_append() {
	local ours
	pair conv_zones=0,max_open_zones=4 zone_max_open=4
	nvmet_up "$DEV"
	ours=$NVME
	nvmet_up "$NULLB"
	diff_run "zloop=$DEV,$ours" "null_blk=$NULLB,$NVME" --ops "$OPS" --seed 3
}

t_threads() {
	pair conv_zones=2 zone_nr_conv=2
	diff_run zloop="$DEV" null_blk="$NULLB" --ops "$OPS" --threads 4
}

# A device with another limit is not the same: the difference is found, and the short script shows it again.
t_finds() {
	local out steps
	pair conv_zones=2,max_open_zones=3 zone_nr_conv=2
	out=$("$ZBDDIFF" run zloop="$DEV" null_blk="$NULLB" --seed 5 --script "$ZL_T/script" \
		--trying $((120 * ZLOOP_SLOWNESS)) 2>&1) && fail "no difference between a device with a limit and one without: $out"
	[[ $out == *"DIFFERENCE after "* ]] || fail "$out"
	steps=$(grep -c '^[a-z]* z' "$ZL_T/script")
	((steps >= 4 && steps <= 8)) || fail "a script of $steps steps: $(< "$ZL_T/script")"
	out=$("$ZBDDIFF" replay zloop="$DEV" null_blk="$NULLB" "$ZL_T/script" 2>&1) &&
		fail "the script does not show it again: $out; $(< "$ZL_T/script")"
	[[ $out == *"DIFFERENCE after $steps steps: "* ]] || fail "$out"
	rm "$ZL_T/script"
}

# stress OPTIONS ARGUMENT...
stress() {
	local options=$1 device out
	shift
	place "$options"
	add "capacity_mb=24,zone_size_mb=4,zone_capacity_mb=2,conv_zones=0,nr_queues=2,$options"
	device=zloop=$DEV
	[[ $* != *append* ]] || { nvmet_up "$DEV" && device+=,$NVME; }
	out=$("$ZBDDIFF" stress "$device" "$@" --rounds "$ROUNDS" --histories "$ZL_T/histories" 2>&1) ||
		fail "$out; histories: $(cat "$ZL_T/histories" 2> /dev/null)"
	diag "$out"
}

t_stress_writes() { stress "$QUEUED" --mode writes; }
t_stress_writes_inline() { stress "$INLINE" --mode writes; }
t_stress_appends() { stress "$QUEUED" --mode appends; }
t_stress_appends_inline() { stress "$INLINE" --mode appends; }
t_stress_ordered() { stress ordered_zone_append --mode appends; }
t_stress_ordered_inline() { stress "ordered_zone_append,$INLINE" --mode appends; }
t_stress_limit() { stress "max_open_zones=2,$INLINE" --mode appends --zones 4; }

# Data that goes away behind the driver's back is missed, and the histories that are left show it again.
t_stress_finds() {
	local out
	place "$QUEUED"
	add "capacity_mb=24,zone_size_mb=4,zone_capacity_mb=2,conv_zones=0,nr_queues=2"
	(while sleep 0.05; do truncate -s 0 "$BDIR/0/seq-000000"; done) &
	undo pid $!
	out=$("$ZBDDIFF" stress zloop="$DEV" --rounds 50 --histories "$ZL_T/histories" 2>&1) && fail "nothing was found: $out"
	[[ $out == *IMPOSSIBLE* ]] || fail "$out"
	out=$("$ZBDDIFF" check "$ZL_T/histories" 2>&1) && fail "the histories do not show it: $out"
	[[ $out == zone* ]] || fail "$out"
	rm "$ZL_T/histories"
}

tap_run t_plain "$OPS steps on zloop and null_blk"
tap_run t_limit "$OPS steps with a limit of open zones, random seed, inline"
tap_run t_append "$OPS steps with native zone appends"
tap_run t_threads "$OPS steps of four threads, random seed"
tap_run t_finds "a difference is found and made into a short script"
tap_run t_stress_writes "writes of several threads to the same zones"
tap_run t_stress_writes_inline "the same, inline"
tap_run t_stress_appends "appends of several threads to the same zones"
tap_run t_stress_appends_inline "the same, inline"
tap_run t_stress_ordered "the same, ordered"
tap_run t_stress_ordered_inline "the same, ordered and inline"
tap_run t_stress_limit "the same with a limit of open zones, inline"
tap_run t_stress_finds "data that is lost is found"
tap_end
