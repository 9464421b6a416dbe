#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Appends in flight while others fail: no acknowledged append is overwritten or lost. The C driver computes the write
# pointer from the file size without waiting for what is in flight.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
. "$(dirname "$0")/lib_nullb.sh"
. "$(dirname "$0")/lib_nvmet.sh"

# recover OPTIONS [SECONDS]: all writes fail for a moment, again and again.
recover() {
	backing_xfs_rt
	fail_some() {
		rt_fail
		rt_work
	}
	appends "$1,capacity_mb=512,zone_size_mb=256" "${2:-}"
}

# recover_one OPTIONS: one write fails while others wait for it or for the disk, again and again.
recover_one() {
	backing_xfs_rt_once
	fail_some() { rt_fail_one; }
	appends "$1,capacity_mb=128,zone_size_mb=64"
}

# appends OPTIONS [SECONDS]
appends() {
	local line rounds=0
	add "$1,conv_zones=0,nr_queues=2"
	nvmet_up "$DEV"
	background "$ZBDTOOL" append-hammer "$NVME" --first 0 --zones 1 --threads 8 --len "$NVMET_SAFE_LEN" --rest 8 \
		--seconds $((${2:-6} + 4 * ZLOOP_SLOWNESS)) --pause 2 --acks "$ZL_T/acks"
	while kill -0 "$BG" 2> /dev/null; do
		sleep 0.2
		fail_some
		rounds=$((rounds + 1))
	done
	background_end
	[[ $REPLY == *" failed="[1-9]* ]] || fail "no append failed"
	diag "failed $rounds times"
	# A slow machine takes seconds for one.
	[ "$rounds" -ge 2 ] || fail "only $rounds times something failed"
	line=$("$ZBDTOOL" append-verify "$DEV" "$ZL_T/acks") || fail "$line"
	diag "$line"
	steps "$DEV" <<< "consistent all = ok"
	rm "$ZL_T/acks"
}

t_plain() { recover zone_append=1; }
t_ordered() { recover ordered_zone_append; }
# Several writes in flight at the same time, as nowhere else: work items, each of which has one append.
t_alone() { recover zone_append=1,submit_inline=0,append_batch_kb=0 20; }
t_ordered_alone() { recover ordered_zone_append,submit_inline=0,append_batch_kb=0 20; }

t_one() { recover_one zone_append=1,submit_inline=0,append_batch_kb=0; }
t_one_ordered() { recover_one ordered_zone_append,submit_inline=0,append_batch_kb=0; }

tap_run t_plain "append"
tap_run t_ordered "ordered append"
[ "$ZLOOP_DRIVER" = c ] || tap_run t_alone "append, each a write of its own"
[ "$ZLOOP_DRIVER" = c ] || tap_run t_ordered_alone "ordered append, each a write of its own"
[ "$ZLOOP_DRIVER" = c ] || tap_run t_one "append, one fails while others are on their way"
[ "$ZLOOP_DRIVER" = c ] || tap_run t_one_ordered "ordered append, one fails while others are on their way"
tap_end
