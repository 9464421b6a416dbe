#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fake timeouts (fail_io_timeout) end: every request completes.

. "$(dirname "$0")/lib.sh"

t_fake_timeout() {
	local attr=/sys/block/zloop0/io-timeout-fail fault=/sys/kernel/debug/fail_io_timeout
	backing_tmpfs
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	[ -e "$attr" ] || skip "the kernel has no CONFIG_FAIL_IO_TIMEOUT"
	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
	# A stack trace for each would look like a warning.
	echo 0 > "$fault/verbose"
	echo 500 > /sys/block/zloop0/queue/io_timeout
	echo 1 > "$attr"
	echo 100 > "$fault/probability"
	echo 8 > "$fault/times"
	timeout -s KILL 60 "$ZBDTOOL" script "$DEV" <<-END
	write z0 4k
	read z0 4k any
	write z1 4k
	fsync
	reset z1
	END
	[ $? -ne 137 ] || fail "a request with a fake timeout never completed"
	[ "$(< "$fault/times")" -lt 8 ] || fail "no completion was dropped: nothing was tested"
	echo 0 > "$fault/probability"
	echo 0 > "$attr"
	steps "$DEV" <<-END
	reset z1 = ok
	write z1 4k = ok
	read z1 4k = ok
	END
}

tap_run t_fake_timeout "requests whose completion is dropped once"
tap_end
