#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Zone conditions and their transitions, write pointer rules, reads, without an open limit.
# paths: both

. "$(dirname "$0")/lib.sh"

# Zone 0 is conventional, zones of 4 MiB with a capacity of 3 MiB.
setup() {
	backing_tmpfs
	add "capacity_mb=32,zone_size_mb=4,zone_capacity_mb=3,conv_zones=1${1:+,$1}"
}

t_transitions() {
	setup
	steps "$DEV" <<-END
	conds all = NEEEEEEE
	# implicit open by a write, then explicit, closed, open again, implicit by a write
	write z1 4k = ok
	report z1 = IMP_OPEN +4k
	open z1 = ok
	report z1 = EXP_OPEN +4k
	open z1 = ok
	close z1 = ok
	report z1 = CLOSED +4k
	close z1 = ok
	report z1 = CLOSED +4k
	open z1 = ok
	report z1 = EXP_OPEN +4k
	close z1 = ok
	write z1+4k 4k = ok
	report z1 = IMP_OPEN +8k
	close z1 = ok
	report z1 = CLOSED +8k
	# a write to an explicitly open zone leaves it explicitly open
	open z2 = ok
	report z2 = EXP_OPEN +0
	write z2 64k = ok
	report z2 = EXP_OPEN +64k
	# open and closed without data: empty again
	open z3 = ok
	close z3 = ok
	report z3 = EMPTY
	# closing an empty zone is a no-op by ZBC, an error by ZNS; it changes nothing
	close z3 = ok | EIO
	report z3 = EMPTY
	# finish from every condition
	finish z1 = ok
	report z1 = FULL
	finish z1 = ok
	finish z2 = ok
	finish z3 = ok
	write z4 4k = ok
	finish z4 = ok
	conds all = NFFFFEEE
	consistent all = ok
	# what a full zone refuses
	open z1 = EIO
	close z1 = ok | EIO
	write z1 4k = EIO
	write z1+8k 4k = EIO
	report z1 = FULL
	# reset from every condition
	reset z1 = ok
	report z1 = EMPTY
	reset z1 = ok
	open z5 = ok
	reset z5 = ok
	report z5 = EMPTY
	write z5 4k = ok
	reset z5 = ok
	report z5 = EMPTY
	write z5 4k = ok
	close z5 = ok
	reset z5 = ok
	conds all = NEFFFEEE
	read z5 4m zero = ok
	END
}

t_write_rules() {
	setup
	steps "$DEV" <<-END
	write z1+4k 4k = EIO
	report z1 = EMPTY
	write z1 64k = ok
	report z1 = IMP_OPEN +64k
	write z1 4k = EIO
	report z1 = IMP_OPEN +64k
	write z1+68k 4k = EIO
	report z1 = IMP_OPEN +64k
	write z1+64k 4k seed=2 = ok
	read z1 64k = ok
	read z1+64k 4k seed=2 = ok
	# not a multiple of the logical block size
	write z1+68k 512 = EINVAL
	report z1 = IMP_OPEN +68k
	# a refused write closes nothing
	open z2 = ok
	write z2+4k 4k = EIO
	report z2 = EXP_OPEN +0
	close z2 = ok
	END
}

# A zone is full exactly at its capacity; nothing is written beyond it.
t_capacity() {
	setup
	steps "$DEV" <<-END
	write z1 3m bs=64k = ok
	report z1 = FULL
	read z1 3m = ok
	write z1+3m 4k = EIO
	write z2 3068k bs=1m = ok
	report z2 = IMP_OPEN +3068k
	write z2+3068k 4k = ok
	report z2 = FULL
	consistent all = ok
	# the gap between capacity and size
	read z1+3m 1m zero = ok
	END
	expect "size of the zone file" 3145728 "$(stat -c %s "$BDIR/0/seq-000001")"
}

t_reads() {
	setup
	steps "$DEV" <<-END
	read z1 4m zero = ok
	write z1 128k = ok
	read z1 128k = ok
	# across the write pointer, past it, across a zone border
	read z1+64k 64k = ok
	read z1+128k 1m zero = ok
	read z1+3m 1m zero = ok
	read z2 4m zero = ok
	finish z1 = ok
	read z1 128k = ok
	read z1+128k 3m zero = ok
	reset z1 = ok
	read z1 4m zero = ok
	write z1 128k seed=9 = ok
	read z1 128k seed=9 = ok
	read z1+128k 128k zero = ok
	END
}

t_conventional() {
	setup
	steps "$DEV" <<-END
	report z0 = NOT_WP
	read z0 4m zero = ok
	write z0+1m 64k = ok
	write z0+4k 4k seed=2 = ok
	write z0+end-4k 4k seed=3 = ok
	write z0+1m 64k seed=4 = ok
	read z0+1m 64k seed=4 = ok
	read z0+4k 4k seed=2 = ok
	read z0+end-4k 4k seed=3 = ok
	read z0 4k zero = ok
	open z0 = EIO
	close z0 = EIO
	finish z0 = EIO
	reset z0 = EIO
	report z0 = NOT_WP
	# a full size zone, whatever zone_capacity_mb says
	consistent z0 = ok
	END
	expect "capacity of the conventional zone" cap=8192 "$("$ZBDTOOL" report "$DEV" --count 1 | cut -d' ' -f4)"
}

t_reset_all() {
	setup
	steps "$DEV" <<-END
	write z0 1m = ok
	write z1 1m = ok
	finish z2 = ok
	open z3 = ok
	write z4 4k = ok
	close z4 = ok
	conds all = NIFXCEEE
	reset all = ok
	conds all = NEEEEEEE
	read z0 1m = ok
	read z1 1m zero = ok
	read z2 1m zero = ok
	write z1 4k seed=2 = ok
	write z2 4k seed=2 = ok
	END
	expect "zone files" "0 0" "$(stat -c %s "$BDIR"/0/seq-00000[34] | tr '\n' ' ' | sed 's/ $//')"
}

t_ranges() {
	setup
	steps "$DEV" <<-END
	open z1-3 = ok
	conds all = NXXXEEEE
	close z1-3 = ok
	conds all = NEEEEEEE
	write z1 4k = ok
	write z2 4k = ok
	finish z1-2 = ok
	conds all = NFFEEEEE
	reset z2-7 = ok
	conds all = NFEEEEEE
	END
}

# What blkzone and the block layer's cache show.
t_reports() {
	local line
	setup
	steps "$DEV" <<-END
	write z1 1m = ok
	finish z2 = ok
	creport z3 = EMPTY
	creport z2 = FULL
	creport z1 = ACTIVE +1m | IMP_OPEN +1m
	cconds z0-1 = NA | NI
	consistent all = ok
	END
	line=$(blkzone report -o $((2 * 8192)) -c 1 "$DEV")
	# util-linux 2.42 and later know that a full zone has no write pointer.
	case $line in
	*len\ 0x002000*cap\ 0x001800*wptr\ N/A*\(fu\)*) ;;
	*) expect_match "blkzone line of a full zone" "*len 0x002000*cap 0x001800*wptr 0x00[12][80]00*(fu)*" "$line" ;;
	esac
	expect "zones from the third on" 5 "$(blkzone report -o $((3 * 8192)) "$DEV" | wc -l)"
}

# A regular write through the page cache of a conventional zone, and O_SYNC.
t_buffered_and_sync() {
	setup
	steps "$DEV" <<-END
	write z0 64k buffered = ok
	fsync = ok
	read z0 64k = ok
	write z1 64k sync = ok
	write z1+64k 64k sync seed=2 = ok
	report z1 = IMP_OPEN +128k
	read z1 64k = ok
	END
}

t_large_io() {
	setup "nr_queues=2,queue_depth=4"
	steps "$DEV" <<-END
	write z1 1m = ok
	write z1+1m 1m = ok
	write z1+2m 1m = ok
	report z1 = FULL
	write z2 3m bs=4k = ok
	report z2 = FULL
	read z1 3m = ok
	read z2 3m = ok
	END
}

tap_run t_transitions "all conditions and transitions"
tap_run t_write_rules "writes start at the write pointer"
tap_run t_capacity "a zone is full at its capacity"
tap_run t_reads "reads beyond the write pointer return zeros"
tap_run t_conventional "conventional zones"
tap_run t_reset_all "reset of all zones"
tap_run t_ranges "zone management of several zones"
tap_run t_reports "reports: cached, blkzone, partial"
tap_run t_buffered_and_sync "buffered and synchronous writes"
tap_run t_large_io "1 MiB and 4 KiB requests, shallow queues"
tap_end
