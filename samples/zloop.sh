#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# zloop.sh: make and remove zloop devices from a shell, and list them.
#
#   zloop.sh add [OPTION=VALUE]...   e.g. zloop.sh add capacity_mb=2048 zone_size_mb=64
#   zloop.sh remove /dev/zloopN      the zone files stay: add id=N ... brings it back
#   zloop.sh list
#
# add prints the name of the new device. Without id=N it takes the first number
# that has neither a device nor a directory. Options: cat /dev/zloop-control.
set -eu

ctl=/dev/zloop-control

die() {
	echo "zloop.sh: $*" >&2
	exit 1
}

free_id() {
	id=0
	while [ -e "/sys/block/zloop$id" ] || [ -e "$1/$id" ]; do
		id=$((id + 1))
	done
	echo "$id"
}

add() {
	id='' base=/var/local/zloop options=''
	for option in "$@"; do
		case $option in
		id=*) id=${option#id=} ;;
		base_dir=*) base=${option#base_dir=} ;;
		*) options=$options,$option ;;
		esac
	done
	[ -n "$id" ] || id=$(free_id "$base")
	# The driver of the mainline kernel wants the directory to be there.
	mkdir -p "$base/$id"
	echo "add id=$id,base_dir=$base$options" >"$ctl" || {
		rmdir "$base/$id" 2>/dev/null || :
		die "not added: the reason is in the kernel log"
	}
	# The device exists now; udev may need a moment to set up its node.
	tries=0
	until [ -b "/dev/zloop$id" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 50 ] || die "no /dev/zloop$id"
		sleep 0.1
	done
	echo "/dev/zloop$id"
}

remove() {
	case $1 in
	/dev/zloop[0-9]*) echo "remove id=${1#/dev/zloop}" >"$ctl" || die "$1 is not removed: is it mounted?" ;;
	*) die "$1 is no zloop device" ;;
	esac
}

list() {
	for disk in /sys/block/zloop[0-9]*; do
		[ -e "$disk" ] || continue
		echo "/dev/${disk##*/} $(($(cat "$disk/size") / 2048)) MiB," \
			"$(cat "$disk/queue/nr_zones") zones of $(($(cat "$disk/queue/chunk_sectors") / 2048)) MiB"
	done
}

[ -c "$ctl" ] || modprobe zloop || die "the module is not there"
command=${1:-}
[ $# = 0 ] || shift
case $command in
add | remove | list) "$command" "$@" ;;
*) die "usage: zloop.sh add [OPTION=VALUE]... | remove DEVICE | list" ;;
esac
