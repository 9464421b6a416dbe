#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A zone whose write pointer cannot be determined stays in error: every report says so, not only the first.
# paths: both

. "$(dirname "$0")/lib.sh"

t_sticky() {
	local first second
	backing ext4
	add capacity_mb=32,zone_size_mb=4,conv_zones=1
	steps "$DEV" <<-END
	write z1 64k = ok
	fsync = ok
	END
	# A size that cannot be, and a reset that fails: whenever the driver looks at the size, it sees this one.
	truncate -s 10001 "$BDIR/0/seq-000001"
	must chattr +i "$BDIR/0/seq-000001"
	trap 'chattr -i "$BDIR/0/seq-000001"' EXIT
	steps "$DEV" <<< "reset z1 = EIO | EPERM"
	step "$DEV" "report z1"
	first=$REPLY
	step "$DEV" "report z1"
	second=$REPLY
	diag "first report: $first, second report: $second"
	expect "the second report" "$first" "$second"
	[[ $first != *+64k* ]] || fail "the report shows the write pointer of before the error: $first"
	steps "$DEV" <<-END
	write z1+64k 4k = EIO
	# the other zones do not suffer
	report z2 = EMPTY
	write z2 4k = ok
	END
	# With a size that can be, the next command puts the zone right.
	must chattr -i "$BDIR/0/seq-000001"
	truncate -s 8192 "$BDIR/0/seq-000001"
	steps "$DEV" <<-END
	open z1 = ok
	report z1 = EXP_OPEN +8k
	read z1 8k = ok
	read z1+8k 8k zero = ok
	reset z1 = ok
	report z1 = EMPTY
	write z1 8k seed=2 = ok
	read z1 8k seed=2 = ok
	END
}

tap_run t_sticky "the error stays until the size is right"
tap_end
