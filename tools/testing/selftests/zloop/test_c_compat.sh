#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A device made by the C driver opens here, and back. ZLOOP_PEER_MODULE names the C driver's module.

. "$(dirname "$0")/lib.sh"
with_udev

O=capacity_mb=48,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2

own() {
	unload_module
	load_module || fail "our module cannot be loaded"
}

peer() {
	unload_module
	must insmod "$ZLOOP_PEER_MODULE"
}

need_peer() {
	[ "$ZLOOP_DRIVER" = rust ] || skip "the C driver is the one under test"
	need_module
	[ -n "${ZLOOP_PEER_MODULE:-}" ] || skip "ZLOOP_PEER_MODULE is not set"
	[ -r "$ZLOOP_PEER_MODULE" ] || fail "ZLOOP_PEER_MODULE=$ZLOOP_PEER_MODULE cannot be read"
	trap '[ ! -e /sys/block/zloop0 ] || printf "remove id=0" > $ZL_CTL; (unload_module); load_module' EXIT
}

fill() {
	steps "$DEV" <<-END
	write z0+1m 64k = ok
	write z1+end-4k 4k seed=2 = ok
	write z2 1m seed=3 = ok
	write z3 3m seed=4 = ok
	write z4 4k seed=5 = ok
	finish z4 = ok
	write z5 64k seed=6 = ok
	fsync = ok
	END
}

check() {
	steps "$DEV" <<-END
	conds all = NNCFFCEEEEEE
	report z2 = CLOSED +1m
	report z5 = CLOSED +64k
	read z0+1m 64k = ok
	read z1+end-4k 4k seed=2 = ok
	read z2 1m seed=3 = ok
	read z3 3m seed=4 = ok
	read z4 4k seed=5 = ok
	read z4+4k 2m zero = ok
	read z5 64k seed=6 = ok
	read z6 3m zero = ok
	END
}

there_and_back() {
	need_peer
	backing "$1"
	peer
	add "$O${2:+,$2}"
	fill
	remove
	own
	add "$O${2:+,$2}"
	check
	steps "$DEV" <<-END
	write z5+64k 64k seed=7 = ok
	reset z4 = ok
	write z7 3m seed=8 = ok
	fsync = ok
	END
	remove
	peer
	add "$O${2:+,$2}"
	steps "$DEV" <<-END
	conds all = NNCFECEFEEEE
	report z5 = CLOSED +128k
	read z5 64k seed=6 = ok
	read z5+64k 64k seed=7 = ok
	read z7 3m seed=8 = ok
	read z2 1m seed=3 = ok
	read z0+1m 64k = ok
	END
	remove
	own
	add "$O${2:+,$2}"
	steps "$DEV" <<< "conds all = NNCFECEFEEEE"
}

t_tmpfs() { there_and_back tmpfs ""; }
t_ext4() { there_and_back ext4 ""; }
t_xfs_buffered() { there_and_back xfs buffered_io; }

# Made here first: any extra file of ours must not disturb the C driver.
t_made_here() {
	need_peer
	backing ext4
	add "$O"
	fill
	remove
	peer
	add "$O"
	check
	remove
	own
	add "$O"
	check
}

# A write pointer recorded by the C driver's flush is honoured.
t_discard_write_cache() {
	need_peer
	backing ext4
	peer
	add "$O,discard_write_cache"
	steps "$DEV" <<-END
	write z2 1m = ok
	fsync = ok
	write z2+1m 1m seed=2 = ok
	END
	remove
	own
	add "$O,discard_write_cache"
	steps "$DEV" <<-END
	report z2 = CLOSED +1m
	write z2+1m 512k seed=3 = ok
	fsync = ok
	write z2+1536k 512k seed=4 = ok
	END
	remove
	peer
	add "$O,discard_write_cache"
	steps "$DEV" <<-END
	report z2 = CLOSED +1536k
	read z2 1m = ok
	read z2+1m 512k seed=3 = ok
	END
	remove
	own
}

tap_run t_tmpfs "C, here, C, here on tmpfs"
tap_run t_ext4 "C, here, C, here on ext4"
tap_run t_xfs_buffered "C, here, C, here on XFS, buffered_io"
tap_run t_made_here "here, C, here"
tap_run t_discard_write_cache "discard_write_cache across drivers"
tap_end
