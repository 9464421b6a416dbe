#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Zones of all sizes, also above 2 and 4 GiB; files are sparse.

. "$(dirname "$0")/lib.sh"

t_small() {
	backing_tmpfs
	add capacity_mb=6,zone_size_mb=1,conv_zones=2
	steps "$DEV" <<-END
	conds all = NNEEEE
	write z2 1m = ok
	report z2 = FULL
	write z1+1020k 4k = ok
	read z2 1m = ok
	END
}

t_capacity_rounded_down() {
	backing_tmpfs
	add capacity_mb=19,zone_size_mb=4,conv_zones=0
	expect "zones" 4 "$(sysfs 0 queue/nr_zones)"
	expect "sectors" 32768 "$(sysfs 0 size)"
	steps "$DEV" <<< "conds all = EEEE"
}

check_16g() {
	add capacity_mb=81920,zone_size_mb=16384,conv_zones=1
	expect "sectors" 167772160 "$(sysfs 0 size)"
	steps "$DEV" <<-END
	conds all = NEEEE
	write z0+3g 64k = ok
	write z0+end-64k 64k seed=2 = ok
	read z0+3g 64k = ok
	read z0+end-64k 64k seed=2 = ok
	read z0+5g 64k zero = ok
	finish z1 = ok
	report z1 = FULL
	read z1+9g 64k zero = ok
	END
	expect "size of a full zone" 17179869184 "$(stat -c %s "$BDIR/0/seq-000001")"
	remove
	# A write pointer at 2 GiB, beyond 4 GiB and just before the end, without writing that much.
	truncate -s 2147483648 "$BDIR/0/seq-000002"
	truncate -s 4295032832 "$BDIR/0/seq-000003"
	truncate -s 17179865088 "$BDIR/0/seq-000004"
	add capacity_mb=81920,zone_size_mb=16384,conv_zones=1
	steps "$DEV" <<-END
	conds all = NFCCC
	report z2-3 = CLOSED +2g, CLOSED +4194368k
	write z2+2g 1m seed=3 = ok
	report z2 = IMP_OPEN +2049m
	write z2+2049m 1m seed=4 = ok
	read z2+2g 1m seed=3 = ok
	read z2+2049m 1m seed=4 = ok
	write z3+4194368k 64k seed=5 = ok
	read z3+4194368k 64k seed=5 = ok
	write z4+end-4k 4k seed=6 = ok
	report z4 = FULL
	read z4+end-4k 4k seed=6 = ok
	fsync = ok
	reset z2 = ok
	report z2 = EMPTY
	END
	remove
	add capacity_mb=81920,zone_size_mb=16384,conv_zones=1
	steps "$DEV" <<-END
	conds all = NFECF
	read z3+4194368k 64k seed=5 = ok
	END
}

t_16g_tmpfs() {
	backing_tmpfs
	check_16g
}

t_16g_xfs() {
	backing xfs
	check_16g
}

t_small_capacity_in_large_zone() {
	backing_tmpfs
	add capacity_mb=65536,zone_size_mb=16384,zone_capacity_mb=1,conv_zones=0
	steps "$DEV" <<-END
	write z1 1m = ok
	report z1 = FULL
	write z1+1m 4k = EIO
	read z1+15g 64k zero = ok
	END
}

t_many_zones() {
	backing_tmpfs
	add capacity_mb=5000,zone_size_mb=1,conv_zones=5
	expect "zones" 5000 "$(sysfs 0 queue/nr_zones)"
	steps "$DEV" <<-END
	write z5 4k = ok
	write z4999 1m = ok
	report z4999 = FULL
	END
	remove
	add capacity_mb=5000,zone_size_mb=1,conv_zones=5
	steps "$DEV" <<-END
	report z5 = CLOSED +4k
	read z4999 1m = ok
	END
}

tap_run t_small "zones of 1 MiB"
tap_run t_capacity_rounded_down "the capacity is rounded down to whole zones"
tap_run t_16g_tmpfs "zones of 16 GiB on tmpfs: I/O beyond 2 and 4 GiB"
tap_run t_16g_xfs "zones of 16 GiB on XFS: I/O beyond 2 and 4 GiB"
tap_run t_small_capacity_in_large_zone "1 MiB of capacity in a zone of 16 GiB"
tap_run t_many_zones "5000 zones"
tap_end
