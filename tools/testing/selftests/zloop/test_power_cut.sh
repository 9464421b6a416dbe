#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Power cuts: what was flushed survives, and nothing else than what was written is ever there. A few cuts for each
# file system; the suite `crash` makes hundreds.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_nvmet.sh"
. "$(dirname "$0")/lib_power.sh"

O=capacity_mb=16,zone_size_mb=1,conv_zones=2
scaled 4 2
CUTS=${ZLOOP_CUTS:-$REPLY}
SEED=${ZLOOP_SEED:-1}
# Where all takes long, a shorter load: half of the time goes into it.
OPS=120 MORE=150
((ZLOOP_SLOWNESS == 1)) || OPS=40 MORE=50

power_begin

t_xfs() { power_cuts xfs "$O" "$CUTS" "$SEED" --ops "$OPS"; }
t_ext4() { power_cuts ext4 "$O" "$CUTS" "$SEED" --ops "$OPS"; }
t_btrfs() { power_cuts btrfs "$O" "$CUTS" "$SEED" --ops "$OPS"; }

# Appends, and FUA as a file system sends it.
t_append() { power_cuts_nvme xfs capacity_mb=16,zone_size_mb=1,conv_zones=0 "$CUTS" "$SEED" --ops "$OPS"; }

# Each of the two alone, so that neither does the work of the other: a flush makes durable what was written before it,
# and FUA, which flushes nothing, what it writes. The loads are those of the lies below.
scaled 12 2
FEW=$((CUTS > REPLY ? CUTS : REPLY))

t_flush() { power_cuts xfs "$O" "$FEW" "$SEED" --ops "$MORE" --fua 0 --flush 10; }

# t_fua FS [JUDGE-OPTION...]
t_fua() {
	power_disk "$1"
	power_log
	power_load_nvme capacity_mb=16,zone_size_mb=1,conv_zones=0,fua=1 --seed "$SEED" --ops "$MORE" --fua 40 --flush 1
	power_log_end
	power_survive "$FEW" "$SEED" "${@:2}" || fail "$REPLY"
}

t_fua_xfs() { t_fua xfs; }
t_fua_btrfs() { t_fua btrfs; }
# An fsync on f2fs sends the size of the file to the disk before it flushes the data (f2fs_do_sync_file()).
t_fua_f2fs() { t_fua f2fs --zeros; }

t_buffered() {
	POWER_JUDGE=--zeros power_cuts_nvme xfs capacity_mb=16,zone_size_mb=1,conv_zones=0,buffered_io "$FEW" "$SEED" \
		--ops "$MORE" --flush 1
}

t_birth() { power_cuts_birth btrfs "$O" "$CUTS" "$SEED"; }

t_files() { power_cuts_top xfs f2fs "$CUTS" "$SEED" --ops "$MORE"; }

t_discard() { power_discard ext4 "$O" "$SEED"; }

# The opposite, so that the tests above can fail: flushes and FUA that are acknowledged and not done are found out. That
# they are does not depend on the kernel.
for_method() { ((ZLOOP_SLOWNESS == 1)) || skip "method: checked where it takes less time"; }

t_lie_flush() {
	for_method
	power_disk xfs
	power_log
	# Without O_DSYNC, which would flush for the others.
	power_load "$O" --seed "$SEED" --ops 150 --fua 0 --flush 10 --lie flush
	power_log_end
	power_survive 12 "$SEED" && fail "a flush that was not done has no consequence"
	[[ $REPLY == *Lost:* ]] || fail "data that was not flushed is not called lost: $REPLY"
}

t_lie_fua() {
	for_method
	power_disk xfs
	power_log
	power_load_nvme capacity_mb=16,zone_size_mb=1,conv_zones=0 --seed "$SEED" --ops 150 --fua 40 --flush 1 --lie fua
	power_log_end
	power_survive 12 "$SEED" && fail "writes that did not go past the cache have no consequence"
	[[ $REPLY == *Lost:* ]] || fail "data that was not flushed is not called lost: $REPLY"
}

t_lie_discard() {
	local out
	for_method
	backing ext4
	# Without the option.
	add "$O"
	out=$("$ZBDTOOL" power load "$DEV" --journal "$ZL_T/journal" --fua 0 --unflushed 60 --seed "$SEED" 2>&1) ||
		fail "load: $out"
	remove
	add "$O"
	out=$("$ZBDTOOL" power judge "$DEV" --journal "$ZL_T/journal" --discarded 2>&1) && fail "not found out: $out"
	rm "$ZL_T/journal"
	[[ $out == *Future:* ]] || fail "data that was not flushed is not called too new: $out"
}

tap_run t_xfs "XFS"
tap_run t_ext4 "ext4"
tap_run t_btrfs "btrfs"
tap_run t_append "appends and FUA, through an NVMe target"
tap_run t_flush "flushes, and no FUA"
tap_run t_fua_xfs "native FUA, and few flushes, XFS"
tap_run t_fua_btrfs "FUA where it cannot be native, and few flushes, btrfs"
tap_run t_fua_f2fs "FUA where it cannot be native, and few flushes, f2fs"
tap_run t_buffered "buffered_io, XFS"
tap_run t_birth "cuts while a device is made"
tap_run t_files "files of f2fs on a device"
tap_run t_discard "discard_write_cache: exactly what was flushed is left"
tap_run t_lie_flush "a flush that is not done is found out (check of the method)"
tap_run t_lie_fua "FUA that is ignored is found out (check of the method)"
tap_run t_lie_discard "a cache that is not discarded is found out (check of the method)"
tap_end
