#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ordered_zone_append: the append that fills a zone succeeds. The C driver marks the zone full when it queues the
# request and then refuses to open the full zone.
# paths: both

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_nvmet.sh"

fill() {
	backing_tmpfs
	add "capacity_mb=8,zone_size_mb=1,conv_zones=0,ordered_zone_append${1:+,$1}"
	nvmet_up "$DEV"
	expect "16 appends of 64 KiB to a zone of 1 MiB" 16 \
		"$("$ZBDTOOL" append "$NVME" --zone 1 --len 65536 --count 16 | grep -c '^ok')"
	steps "$DEV" <<< "report z1 = FULL"
	# All in flight at once: 136 blocks of 4 KiB, then the rest.
	"$ZBDTOOL" append-queue "$NVMEG" --block-dev "$NVME" --zone 2 --count 16 > "$ZL_T/out" || fail "$(< "$ZL_T/out")"
	expect "the rest of zone 2" "ok sector=5184" "$("$ZBDTOOL" append "$NVME" --zone 2 --len 491520)"
	steps "$DEV" <<< "report z2 = FULL"
	rm "$ZL_T/out"
}

t_fill() { fill ""; }
t_fill_with_limit() { fill max_open_zones=1; }

tap_run t_fill "ordered appends up to the capacity"
tap_run t_fill_with_limit "the same with max_open_zones=1"
tap_end
