#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# After remove the zone files are ordinary files: their page cache can be filled under memory pressure of a cgroup.
# The C driver leaves them with an allocation mask of 0.

. "$(dirname "$0")/lib.sh"

t_read_in_cgroup() {
	local file i sum rounds
	backing ext4
	add capacity_mb=96,zone_size_mb=32,conv_zones=1
	steps "$DEV" <<-END
	write z0 32m = ok
	fsync = ok
	END
	file=$BDIR/0/cnv-000000
	remove
	small_cgroup 16
	# The C driver lets go of the files some time after remove: look for a while.
	sum=$(dd if="$file" iflag=direct bs=1M status=none | md5sum)
	scaled 8 2
	rounds=$REPLY
	for ((i = 0; i < rounds; i++)); do
		sleep 0.3
		dd if="$file" iflag=nocache count=0 status=none
		in_small cat "$file" 2> "$ZL_T/err" | md5sum > "$ZL_T/sum"
		expect "message of cat" "" "$(< "$ZL_T/err")"
		expect "checksum" "$sum" "$(< "$ZL_T/sum")"
	done
	rm "$ZL_T/err" "$ZL_T/sum"
}

tap_run t_read_in_cgroup "a zone file of 32 MiB read in a cgroup of 16 MiB"
tap_end
