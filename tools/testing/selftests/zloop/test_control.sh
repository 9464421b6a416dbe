#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The control device: help text, access, command syntax, range of every option, ids.

. "$(dirname "$0")/lib.sh"
with_udev

HELP_ADD='add id=%d,capacity_mb=%u,zone_size_mb=%u,zone_capacity_mb=%u,conv_zones=%u,base_dir=%s,nr_queues=%u,queue_depth=%u,buffered_io,zone_append=%u,ordered_zone_append,discard_write_cache,max_open_zones=%u'

t_help() {
	local lines
	mapfile -t lines < "$ZL_CTL"
	expect "number of lines" 2 "${#lines[@]}"
	# New options may only follow at the end.
	[ "${lines[0]}" = "$HELP_ADD" ] || expect_match "first line" "$HELP_ADD,*" "${lines[0]}"
	expect "second line" "remove id=%d" "${lines[1]}"
	expect "last byte" "0a" "$(tail -c 1 "$ZL_CTL" | od -An -tx1 | tr -d ' ')"
}

t_partial_reads() {
	local whole
	whole=$(< "$ZL_CTL")
	expect "byte by byte" "$whole" "$(dd if="$ZL_CTL" bs=1 status=none)"
	expect "7 bytes at a time" "$whole" "$(dd if="$ZL_CTL" bs=7 status=none)"
	expect "pread at an offset" "${whole:4:20}" "$(dd if="$ZL_CTL" bs=4 skip=1 count=5 status=none)"
	expect "two reads of one descriptor" "add id" "$({ head -c 4 && head -c 2; } < <(dd if="$ZL_CTL" bs=2 count=3 status=none))"
}

t_node() {
	expect "type, mode and owner" "character special file 600 0:0" "$(stat -c '%F %a %u:%g' "$ZL_CTL")"
	expect "major (misc)" a "$(stat -c %t "$ZL_CTL")"
	grep -qx "[0-9]*:[0-9]*" /sys/class/misc/zloop-control/dev || fail "no sysfs entry of class misc"
}

# The capability counts where the write happens, not where the descriptor came from.
t_capability() {
	local err
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	err=$(setpriv --bounding-set=-sys_admin bash -c \
		"printf 'add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=0,base_dir=$BDIR' >&9" 9> "$ZL_CTL" 2>&1) &&
		fail "a process without CAP_SYS_ADMIN added a device"
	errno_of "$err"
	expect "errno" EPERM "$REPLY"
	err=$(setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "printf 'remove id=0' >&9" 9> "$ZL_CTL" 2>&1) &&
		fail "an unprivileged process removed a device"
	errno_of "$err"
	expect "errno of remove" EPERM "$REPLY"
	err=$(setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "cat $ZL_CTL" 2>&1) &&
		fail "an unprivileged process opened the control device"
	errno_of "${err%$'\n'*}"
	expect "errno of open" EACCES "$REPLY"
}

table() {
	local out
	out=$("$ZBDTOOL" control --base "$BDIR") || fail "$out"
}

# What cannot be understood: EINVAL, and a log line that names the option and the value.
t_malformed() {
	backing_tmpfs
	mkdir "$BDIR"/{0,1,5}
	local b="base_dir=$BDIR,zone_size_mb=4,conv_zones=1"
	table <<-END
	EINVAL |  | ad
	EINVAL |  | list
	EINVAL |  | \\n
	EINVAL |  | addid=0,capacity_mb=8,$b
	EINVAL |  | addcapacity_mb=8,$b
	EINVAL |  | adding capacity_mb=8,$b
	EINVAL | capacity_mb | add capacity_mb=,$b
	EINVAL | capacity_mb | add capacity_mb,$b
	EINVAL | capacity_mb 8x | add capacity_mb=8x,$b
	EINVAL | capacity_mb 8 | add capacity_mb=8 x,$b
	EINVAL | capacity_mb -8 | add capacity_mb=-8,$b
	EINVAL | capacity_mb 1e3 | add capacity_mb=1e3,$b
	EINVAL | capacity_mb 4294967296 | add capacity_mb=4294967296,$b
	EINVAL | capacity_mb 99999999999999999999999 | add capacity_mb=99999999999999999999999,$b
	EINVAL | CAPACITY_MB | add CAPACITY_MB=8,$b
	EINVAL | capacity | add capacity=8,$b
	EINVAL | bogus | add bogus,capacity_mb=8,$b
	EINVAL | bogus 17 | add capacity_mb=8,$b,bogus=17
	EINVAL | id 1x | add id=1x,capacity_mb=8,$b
	EINVAL | id | add id=,capacity_mb=8,$b
	EINVAL | id 2147483648 | add id=2147483648,capacity_mb=8,$b
	EINVAL | id -2 | add id=-2,capacity_mb=8,$b
	EINVAL | buffered_io | add buffered_io=1,capacity_mb=8,$b
	EINVAL | ordered_zone_append | add ordered_zone_append=yes,capacity_mb=8,$b
	EINVAL | base_dir | add capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir
	EINVAL | base_dir | add capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=
	EINVAL | zone_append 2 | add zone_append=2,capacity_mb=8,$b
	EINVAL |  | remove
	EINVAL |  | remove \\n
	EINVAL | id | remove id=
	EINVAL | id abc | remove id=abc
	EINVAL |  | removeid=0
	EINVAL | capacity_mb | remove id=0,capacity_mb=8
	EINVAL/ENODEV |  | remove id=-1
	ENODEV |  | remove id=77
	END
}

# An option given twice is a mistake of the caller, whichever value was meant.
t_repeated() {
	backing_tmpfs
	mkdir "$BDIR"/{0,1,2}
	local b="base_dir=$BDIR,zone_size_mb=4"
	table <<-END
	EINVAL | capacity_mb | add capacity_mb=8,capacity_mb=16,$b,conv_zones=1
	EINVAL | id | add id=1,id=2,capacity_mb=8,$b,conv_zones=1
	EINVAL | buffered_io | add buffered_io,capacity_mb=8,buffered_io,$b,conv_zones=1
	EINVAL | base_dir | add capacity_mb=8,base_dir=$BDIR,$b,conv_zones=1
	EINVAL | id | remove id=0,id=1
	END
}

t_accepted_syntax() {
	backing_tmpfs
	mkdir "$BDIR"/{0,1,5}
	local b="base_dir=$BDIR"
	table <<-END
	ok | | add capacity_mb=8,zone_size_mb=4,conv_zones=1,$b
	ok | | add,capacity_mb=8,zone_size_mb=4,conv_zones=1,$b
	ok | | add capacity_mb=8,zone_size_mb=4,conv_zones=1,$b\\0,what is left in the buffer
	ok | | add    capacity_mb=8,zone_size_mb=4,conv_zones=1,$b
	ok | | add \\t capacity_mb=8,zone_size_mb=4,conv_zones=1,$b\\n
	ok | | add $b,conv_zones=1\\nzone_size_mb=4\\ncapacity_mb=8
	ok | | add id=-1,capacity_mb=8,zone_size_mb=4,conv_zones=1,$b
	ok | | add conv_zones=1,zone_capacity_mb=3,$b,id=5,zone_append=1,capacity_mb=8,max_open_zones=1,zone_size_mb=4
	ok | | add nr_queues=2,queue_depth=16,buffered_io,zone_append=0,ordered_zone_append,discard_write_cache,capacity_mb=8,zone_size_mb=4,conv_zones=1,$b
	END
}

t_ranges() {
	backing_tmpfs
	mkdir "$BDIR"/{0,1,2147483647}
	local b="base_dir=$BDIR"
	table <<-END
	EINVAL | capacity_mb 0 | add capacity_mb=0,zone_size_mb=4,conv_zones=0,$b
	EINVAL | capacity_mb 4 | add capacity_mb=4,zone_size_mb=4,conv_zones=0,$b
	EINVAL | capacity_mb 7 | add capacity_mb=7,zone_size_mb=4,conv_zones=0,$b
	ok | | add capacity_mb=8,zone_size_mb=4,conv_zones=0,$b
	ok | | add capacity_mb=11,zone_size_mb=4,conv_zones=0,$b
	EINVAL | zone_size_mb 0 | add capacity_mb=8,zone_size_mb=0,conv_zones=0,$b
	EINVAL | zone_size_mb 3 | add capacity_mb=8,zone_size_mb=3,conv_zones=0,$b
	EINVAL | zone_size_mb 32768 | add capacity_mb=131072,zone_size_mb=32768,conv_zones=0,$b
	EINVAL | zone_size_mb 4294967295 | add capacity_mb=131072,zone_size_mb=4294967295,conv_zones=0,$b
	ok | | add capacity_mb=4,zone_size_mb=1,conv_zones=0,$b
	ok | | add capacity_mb=65536,zone_size_mb=16384,conv_zones=0,$b
	EINVAL | zone_capacity_mb 0 | add capacity_mb=8,zone_size_mb=4,zone_capacity_mb=0,conv_zones=0,$b
	EINVAL | zone_capacity_mb 5 | add capacity_mb=8,zone_size_mb=4,zone_capacity_mb=5,conv_zones=0,$b
	EINVAL | zone_capacity_mb 257 | add zone_capacity_mb=257,$b
	ok | | add capacity_mb=8,zone_size_mb=4,zone_capacity_mb=1,conv_zones=0,$b
	ok | | add capacity_mb=8,zone_size_mb=4,zone_capacity_mb=4,conv_zones=0,$b
	EINVAL | conv_zones 2 | add capacity_mb=8,zone_size_mb=4,conv_zones=2,$b
	EINVAL | conv_zones 4294967295 | add capacity_mb=8,zone_size_mb=4,conv_zones=4294967295,$b
	ok | | add capacity_mb=8,zone_size_mb=4,conv_zones=1,$b
	EINVAL | max_open_zones 4 | add capacity_mb=16,zone_size_mb=4,conv_zones=1,max_open_zones=4,$b
	EINVAL | max_open_zones 4294967295 | add capacity_mb=16,zone_size_mb=4,conv_zones=1,max_open_zones=4294967295,$b
	ok | | add capacity_mb=16,zone_size_mb=4,conv_zones=1,max_open_zones=3,$b
	ok | | add capacity_mb=16,zone_size_mb=4,conv_zones=1,max_open_zones=0,$b
	EINVAL | nr_queues 0 | add capacity_mb=8,zone_size_mb=4,conv_zones=0,nr_queues=0,$b
	ok | | add capacity_mb=8,zone_size_mb=4,conv_zones=0,nr_queues=4294967295,$b
	EINVAL | queue_depth 0 | add capacity_mb=8,zone_size_mb=4,conv_zones=0,queue_depth=0,$b
	EINVAL | queue_depth 10241 | add capacity_mb=8,zone_size_mb=4,conv_zones=0,queue_depth=10241,$b
	EINVAL | queue_depth 4294967295 | add capacity_mb=8,zone_size_mb=4,conv_zones=0,queue_depth=4294967295,$b
	ok | | add capacity_mb=8,zone_size_mb=4,conv_zones=0,queue_depth=1,$b
	ok | | add capacity_mb=8,zone_size_mb=4,conv_zones=0,queue_depth=10240,$b
	ok | | add id=2147483647,capacity_mb=8,zone_size_mb=4,conv_zones=0,$b
	END
}

t_page_limit() {
	local page pad
	backing_tmpfs
	mkdir "$BDIR/0"
	page=$(getconf PAGESIZE)
	local opts="capacity_mb=8,zone_size_mb=4,conv_zones=0,id=0,base_dir=$BDIR"
	undo dev 0
	# printf of ctl adds a newline, and "add" is three bytes long.
	pad=$((page - ${#opts} - 4))
	printf -v pad '%*s' "$pad" ''
	ctl_expect ok "add$pad$opts"
	remove 0
	ctl_expect EINVAL/ENOMEM/E2BIG "add $pad$opts"
	printf -v pad '%*s' 70000 ''
	ctl_expect EINVAL/ENOMEM/E2BIG "add $pad$opts"
}

# A command that is not wholly readable is not executed in part.
t_unreadable() {
	local text
	backing_tmpfs
	mkdir "$BDIR/0"
	undo dev 0
	text="add id=0,zone_size_mb=4,conv_zones=1,base_dir=$BDIR,capacity_mb=8"
	expect "the last digit of a longer number is unreadable" EFAULT "$("$ZBDTOOL" control-fault ${#text} "${text}0")"
	[ ! -e /sys/block/zloop0 ] || fail "the readable part of the command was executed"
	expect "nothing is readable" EFAULT "$("$ZBDTOOL" control-fault 0 "$text")"
	expect "only the first word is readable" EFAULT "$("$ZBDTOOL" control-fault 4 "$text")"
}

t_defaults() {
	backing_tmpfs
	add ""
	expect "capacity (sectors)" 33554432 "$(sysfs 0 size)"
	expect "zone size (sectors)" 524288 "$(sysfs 0 queue/chunk_sectors)"
	expect "zones" 64 "$(sysfs 0 queue/nr_zones)"
	expect "open limit" 0 "$(sysfs 0 queue/max_open_zones)"
	expect "append limit" 1048576 "$(sysfs 0 queue/zone_append_max_bytes)"
	expect "queue depth" 128 "$(sysfs 0 mq/0/nr_tags)"
	expect "queues" 1 "$(find /sys/block/zloop0/mq -mindepth 1 -maxdepth 1 | wc -l)"
	expect "conventional zones" 8 "$("$ZBDTOOL" report "$DEV" | grep -c type=conv)"
	expect "files" "8 56" "$(find "$BDIR/0" -name 'cnv-*' | wc -l) $(find "$BDIR/0" -name 'seq-*' | wc -l)"
}

# Without base_dir, devices live in /var/local/zloop. A private mount keeps the real one out of the test.
t_default_base_dir() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -m bash -c '
		mkdir -p /var/local && mount -t tmpfs none /var/local && mkdir -p /var/local/zloop/6 &&
		printf "add id=6,capacity_mb=8,zone_size_mb=4,conv_zones=1" > /dev/zloop-control &&
		ls /var/local/zloop/6 | grep -c seq- ; printf "remove id=6" > /dev/zloop-control' > "$ZL_T/out" 2>&1
	undo dev 6
	expect "sequential zone files" 1 "$(< "$ZL_T/out")"
}

t_relative_base_dir() {
	backing_tmpfs
	mkdir "$BDIR/sub" "$BDIR/sub/0"
	cd "$BDIR" || fail cd
	add capacity_mb=8,zone_size_mb=4,conv_zones=1 0 sub
	[ -f "$BDIR/sub/0/seq-000001" ] || fail "the zone files are not below the writer's directory"
	cd /
}

t_base_dir_errors() {
	backing_tmpfs
	: > "$BDIR/file"
	mkdir "$BDIR/dir"
	: > "$BDIR/dir/0"
	klog_mark
	ctl_expect ENOENT "add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR/missing"
	klog_has "$BDIR/missing"
	ctl_expect ENOTDIR "add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR/file"
	ctl_expect ENOTDIR "add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR/dir"
	[ ! -e "$BDIR/missing" ] || fail "the missing base directory was created"
}

# Only the device's own directory is made for the user.
t_device_directory_created() {
	backing_tmpfs
	undo dev 0
	ctl_expect ok "add id=0,capacity_mb=8,zone_size_mb=4,conv_zones=1,base_dir=$BDIR"
	expect "type and owner" "directory 0:0" "$(stat -c '%F %u:%g' "$BDIR/0")"
	expect "zone file modes" "600" "$(stat -c %a "$BDIR"/0/cnv-* "$BDIR"/0/seq-* | sort -u)"
}

t_ids() {
	backing_tmpfs
	local o="capacity_mb=8,zone_size_mb=4,conv_zones=1"
	add "$o" 0
	add "$o" 2
	mkdir "$BDIR"/{1,3}
	undo dev 1
	undo dev 3
	ctl_expect ok "add $o,base_dir=$BDIR"
	[ -b /dev/zloop1 ] || fail "the lowest free id is 1, but there is no zloop1"
	ctl_expect ok "add id=-1,$o,base_dir=$BDIR"
	[ -b /dev/zloop3 ] || fail "the lowest free id is 3, but there is no zloop3"
	ctl_expect EEXIST "add id=2,$o,base_dir=$BDIR"
	remove 1
	ctl_expect ENODEV "remove id=1"
	ctl_expect ok "add id=1,$o,base_dir=$BDIR"
	remove 0
	remove 1
	ctl_expect ok "add $o,base_dir=$BDIR"
	[ -b /dev/zloop0 ] || fail "the id 0 was not used again"
}

tap_run t_help "reading gives the two lines of the C driver"
tap_run t_partial_reads "reads of any size and offset give the same text"
tap_run t_node "the node is a misc character device of mode 0600"
tap_run t_capability "writing needs CAP_SYS_ADMIN in the writing process"
tap_run t_malformed "malformed commands: EINVAL and a message with option and value"
tap_run t_repeated "an option given twice is refused"
tap_run t_accepted_syntax "blanks, newlines and any order of options are accepted"
tap_run t_ranges "limits of every option"
tap_run t_page_limit "a command of one page works, a longer one is refused"
tap_run t_unreadable "a command in memory that cannot be read: EFAULT"
tap_run t_defaults "defaults of all options"
tap_run t_default_base_dir "default base directory"
tap_run t_relative_base_dir "a relative base_dir is relative to the writer"
tap_run t_base_dir_errors "a missing or wrong base directory keeps its errno"
tap_run t_device_directory_created "the device directory is created, zone files have mode 0600"
tap_run t_ids "ids: lowest free, EEXIST, ENODEV, reuse"
tap_end
