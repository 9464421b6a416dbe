#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writers of different zones with max_open_zones=1. In the C driver one writer closes the zone of another that is just
# being used: list corruption and a kernel panic within a second.
# panics-on: c

. "$(dirname "$0")/lib.sh"

t_parallel() {
	local line
	backing_tmpfs
	add capacity_mb=64,zone_size_mb=4,conv_zones=1,max_open_zones=1,nr_queues=2
	line=$("$ZBDTOOL" hammer "$DEV" --threads 6 --first 1 --zones 6 --bs 4096 --seconds 10) || fail "$line"
	diag "$line"
	# No slot was lost or counted twice. Which errno it is, is the matter of test_b09.
	steps "$DEV" <<-END
	reset all = ok
	open z1 = ok
	open z2 = ETOOMANYREFS | EIO
	close z1 = ok
	open z2 = ok
	END
}

tap_run t_parallel "six writers, one open zone"
tap_end
