#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Helpers of the zloop functional tests. A script sources this file, defines one function for each test case,
# runs each with "tap_run FUNCTION DESCRIPTION" and ends with "tap_end".
#
# A case runs in a subshell. It fails by "fail MESSAGE" (which ends it) or by the checks at its end: what it set up
# (devices, mounts, loop and device-mapper devices) is taken down in reverse order, and it must be possible to take
# it down; the kernel log must hold no warning. So cases do not clean up after themselves and do not depend on others.

set -u
export LC_ALL=C

ZL_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ZL_CTL=/dev/zloop-control
ZL_SCRIPT=$(basename "$0" .sh)
# Which driver is under test: "rust" (default) or "c". Only for what differs by design, never for a defect.
ZLOOP_DRIVER=${ZLOOP_DRIVER:-rust}
ZBDTOOL=${ZBDTOOL:-}
# shellcheck disable=SC2034 # for the scripts
ZBDDIFF=${ZBDDIFF:-zbd-diff}
# Options for each device that a test adds, unless the test itself gives them: the whole suite with other defaults.
ZLOOP_OPTIONS=${ZLOOP_OPTIONS:-}

tap_count=0
tap_failed=0
# Not empty: this script has started udevd.
ZL_UDEVD=

# How many times as long everything takes as on a kernel without checkers.
ZLOOP_SLOWNESS=${ZLOOP_SLOWNESS:-1}

# --- TAP -----------------------------------------------------------------------------------------------------------

diag() { printf '# %s\n' "${*//$'\n'/$'\n'# }"; }

# Ends the script: nothing in it can be tested here.
tap_bail() {
	printf 'Bail out! %s\n' "$*"
	exit 1
}

# Ends the case as failed.
fail() {
	diag "FAIL: $*"
	exit 1
}

# Ends the case as skipped; the reason is part of the result line. Where it is known what may be missing, nothing else is:
# ZLOOP_MAY_SKIP, the beginnings of reasons, as a regular expression.
skip() {
	[[ ! -v ZLOOP_MAY_SKIP || $* =~ ^($ZLOOP_MAY_SKIP) ]] || fail "this may not be skipped here: $*"
	printf '%s' "$*" > "$ZL_T/skip"
	exit 4
}

# Milliseconds since boot, without starting a process.
now_ms() {
	local up
	read -r up _ < /proc/uptime
	REPLY=$((10#${up/./} * 10))
}

# scaled COUNT [MIN]: fewer rounds of something where each takes longer; in REPLY.
scaled() {
	REPLY=$1
	((ZLOOP_SLOWNESS == 1)) || REPLY=$(($1 / ZLOOP_SLOWNESS / 2))
	((REPLY >= ${2:-1})) || REPLY=${2:-1}
}

# tap_run FUNCTION DESCRIPTION
tap_run() {
	local status began taken note=

	# shellcheck disable=SC2053 # a pattern on purpose
	[ -z "${ZLOOP_ONLY:-}" ] || [[ $1 == $ZLOOP_ONLY ]] || return 0
	tap_count=$((tap_count + 1))
	now_ms
	began=$REPLY
	ZL_T=$(mktemp -d "${ZLOOP_TMP:-/tmp}/zloop-test.XXXXXX") || tap_bail "mktemp failed"
	: > "$ZL_T/undo"
	zl_kmsg "start $ZL_SCRIPT $1"
	( "$1" )
	status=$?
	[ "$status" -ne 4 ] || { note=" # SKIP $(< "$ZL_T/skip")"; status=0; }
	[ "$status" -eq 0 ] || diag "kernel log: $(klog_since "start $ZL_SCRIPT $1" | tail -n 20)"
	zl_teardown || status=1
	zl_check_kernel_log "start $ZL_SCRIPT $1" || status=1
	zl_kmsg "end $ZL_SCRIPT $1 status=$status"
	rmdir "$ZL_T" 2> /dev/null || rm -rf --one-file-system "$ZL_T"
	now_ms
	taken=$((REPLY - began))
	[ "$status" -eq 0 ] || { printf 'not '; tap_failed=$((tap_failed + 1)); note=; }
	printf 'ok %d %s: %s%s\n' "$tap_count" "$1" "$2" "$note"
	diag "duration $((taken / 1000)).$(printf %03d $((taken % 1000))) s"
}

# Prints the plan and leaves with the script's status.
tap_end() {
	end_udev
	printf '1..%d\n' "$tap_count"
	[ "$tap_failed" -eq 0 ]
	exit
}

# --- Assertions ----------------------------------------------------------------------------------------------------

# expect WHAT EXPECTED SEEN
expect() { [ "$2" = "$3" ] || fail "$1: expected '$2', seen '$3'"; }

# expect_match WHAT PATTERN SEEN (a bash pattern)
expect_match() {
	# shellcheck disable=SC2053 # the right side is a pattern on purpose
	[[ $3 == $2 ]] || fail "$1: expected pattern '$2', seen '$3'"
}

# must COMMAND...: the command has to succeed; its output is shown when it does not.
must() {
	local out
	out=$("$@" 2>&1) || fail "'$*' failed with status $?: $out"
}

# must_fail COMMAND...
must_fail() {
	local out
	! out=$("$@" 2>&1) || fail "'$*' succeeded, it has to fail: $out"
}

# Steps for zbdtool on standard input, on the device given. The case fails when a result differs.
steps() {
	local out
	out=$("$ZBDTOOL" script "$1") || fail "$1: $out"
	[ -z "$out" ] || diag "$out"
}

# The result of one step, in REPLY.
step() {
	REPLY=$("$ZBDTOOL" script "$1" <<< "$2" 2>&1)
	REPLY=${REPLY#"$2: "}
}

# background COMMAND...: begins it with its output, and the input given, aside; it does not outlive the case. Sets BG.
background() {
	"$@" > "$ZL_T/background" 2>&1 <&0 &
	BG=$!
	undo pid "$BG"
}

# background_goes_on WHY: the command has not ended.
background_goes_on() { kill -0 "$BG" 2> /dev/null || fail "$1: $(< "$ZL_T/background")"; }

# in_flight COUNT: waits until so many requests are with the driver.
in_flight() {
	local i reads writes
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		read -r reads writes < /sys/block/zloop0/inflight
		((reads + writes < $1)) || return 0
		sleep 0.1
	done
	fail "$((reads + writes)) requests in flight, not $1"
}

# background_end: waits for the command, which has to succeed; its output is shown, and in REPLY.
background_end() {
	wait "$BG" || fail "$(< "$ZL_T/background")"
	REPLY=$(< "$ZL_T/background")
	[ -z "$REPLY" ] || diag "$REPLY"
	rm "$ZL_T/background"
}

# --- Kernel log ----------------------------------------------------------------------------------------------------

zl_kmsg() { printf 'zloop-selftest: %s\n' "$*" > /dev/kmsg; }

# Kernel messages since the last message that ends with TEXT.
klog_since() { "$ZBDTOOL" kernel-log "$1"; }

# Marks the place in the log that klog_has starts from.
klog_mark() {
	ZL_MARK="mark $ZL_SCRIPT $BASHPID $RANDOM"
	zl_kmsg "$ZL_MARK"
}

# klog_has WORD...: one message of zloop since the mark has all the words.
klog_has() {
	local line word log
	log=$(klog_since "$ZL_MARK")
	while read -r line; do
		[[ $line == *zloop* ]] || continue
		for word in "$@"; do
			[[ $line == *"$word"* ]] || continue 2
		done
		return 0
	done <<< "$log"
	fail "no kernel message with all of '$*'; seen: $log"
}

zl_check_kernel_log() {
	local bad
	bad=$("$ZBDTOOL" kernel-log --bad "$1") || { diag "kernel log: $bad"; return 1; }
}

# --- What a case sets up -------------------------------------------------------------------------------------------

# undo KIND ARGUMENT: to be taken down after the case, last first.
undo() { printf '%s %s\n' "$1" "$2" >> "$ZL_T/undo"; }

is_mounted() { [[ $(< /proc/self/mounts) == *" $1 "* ]]; }

zl_retry_umount() {
	local i
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		umount "$1" 2> /dev/null && return 0
		is_mounted "$1" || return 0
		sleep 0.1
	done
	return 1
}

zl_teardown() {
	local kind arg lines i status=0 out

	mapfile -t lines < "$ZL_T/undo"
	for ((i = ${#lines[@]} - 1; i >= 0; i--)); do
		read -r kind arg <<< "${lines[i]}"
		case $kind in
		dev)
			[ -e "/sys/block/zloop$arg" ] || continue
			out=$(zl_wait_remove "$arg") || { diag "left over: zloop$arg cannot be removed: $out"; status=1; }
			;;
		mount)
			is_mounted "$arg" || continue
			zl_retry_umount "$arg" && continue
			diag "left over: $arg cannot be unmounted"
			umount -l "$arg"
			status=1
			;;
		loop) losetup -d "$arg" 2> /dev/null ;;
		dm)
			# A removal that was late leaves the node behind.
			dmsetup info "$arg" > /dev/null 2>&1 || { rm -f "/dev/mapper/$arg"; continue; }
			dmsetup --noudevsync remove --retry "$arg" || { diag "left over: dm $arg"; dmsetup remove -f "$arg"; status=1; }
			;;
		pid) kill "$arg" 2> /dev/null ;;
		thaw) fsfreeze -u "$arg" 2> /dev/null ;;
		nvmet) nvmet_down "$arg" ;;
		swap) swapoff "$arg" 2> /dev/null ;;
		cgroup)
			[ -d "$arg" ] || continue
			# Children of what was killed may still be there.
			echo 1 > "$arg/cgroup.kill"
			for _ in {1..300}; do
				! rmdir "$arg" 2> /dev/null || continue 2
				sleep 0.1
			done
			diag "left over: $arg"
			status=1
			;;
		nullb) rmdir "/sys/kernel/config/nullb/$arg" || { diag "left over: null_blk $arg"; status=1; } ;;
		esac
	done
	for arg in /sys/block/zloop[0-9]*; do
		[ -e "$arg" ] || continue
		diag "left over: ${arg##*/} was not made through the helpers, removing it"
		zl_wait_remove "${arg##*zloop}" > /dev/null
		status=1
	done
	return "$status"
}

zl_wait_remove() {
	local i
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		{ printf 'remove id=%d' "$1" > "$ZL_CTL"; } 2> /dev/null
		[ -e "/sys/block/zloop$1" ] || return 0
		sleep 0.1
	done
	ctl "remove id=$1"
	printf %s "$REPLY"
	return 1
}

# The errno name of a message of bash.
errno_of() {
	case $1 in
	*"Operation not permitted") REPLY=EPERM ;;
	*"No such file or directory") REPLY=ENOENT ;;
	*"Input/output error") REPLY=EIO ;;
	*"No such device or address") REPLY=ENXIO ;;
	*"Permission denied") REPLY=EACCES ;;
	*"Cannot allocate memory") REPLY=ENOMEM ;;
	*"Device or resource busy") REPLY=EBUSY ;;
	*"File exists") REPLY=EEXIST ;;
	*"No such device") REPLY=ENODEV ;;
	*"Not a directory") REPLY=ENOTDIR ;;
	*"Is a directory") REPLY=EISDIR ;;
	*"Invalid argument") REPLY=EINVAL ;;
	*"File too large") REPLY=EFBIG ;;
	*"No space left on device") REPLY=ENOSPC ;;
	*"Read-only file system") REPLY=EROFS ;;
	*"Too many levels of symbolic links") REPLY=ELOOP ;;
	*"Operation not supported") REPLY=EOPNOTSUPP ;;
	*"Interrupted system call") REPLY=EINTR ;;
	*"Text file busy") REPLY=ETXTBSY ;;
	*"Argument list too long") REPLY=E2BIG ;;
	*"Value too large for defined data type") REPLY=EOVERFLOW ;;
	*"Numerical result out of range") REPLY=ERANGE ;;
	*) REPLY="unknown errno: $1" ;;
	esac
}

# One command to the control device; REPLY is "ok" or the errno name.
ctl() {
	local err
	if err=$({ printf '%s\n' "$1" > "$ZL_CTL"; } 2>&1); then
		REPLY=ok
	else
		errno_of "$err"
	fi
}

# ctl_expect EXPECTED COMMAND; EXPECTED may list alternatives: EINVAL/ENOMEM
ctl_expect() {
	ctl "$2"
	[[ /$1/ == */"$REPLY"/* ]] || fail "'$2': expected $1, seen $REPLY; log: $(dmesg | grep zloop | tail -n 3)"
}

# with_options OPTIONS: these, with those of ZLOOP_OPTIONS that are not among them; in REPLY.
with_options() {
	local option
	REPLY=$1
	for option in ${ZLOOP_OPTIONS//,/ }; do
		[[ ,$1, == *,"${option%%=*}"[=,]* ]] || REPLY+=${REPLY:+,}$option
	done
}

# add OPTIONS [ID [BASE]]: adds zloop<ID> (default 0) in directory BASE (default $BDIR); sets DEV.
add() {
	local id=${2:-0} base=${3:-$BDIR}
	mkdir -p "$base/$id"
	undo dev "$id"
	with_options "$1"
	ctl_expect ok "add id=$id,base_dir=$base${REPLY:+,$REPLY}"
	# The node is there when write(2) returns: the tests rely on it as fstests does.
	[ -b "/dev/zloop$id" ] || fail "add succeeded, but /dev/zloop$id does not exist"
	# shellcheck disable=SC2034 # for the scripts
	DEV=/dev/zloop$id
}

# add_expect ERRNO OPTIONS [ID [BASE]]: an add that has to fail.
add_expect() {
	local id=${3:-0} base=${4:-$BDIR}
	mkdir -p "$base/$id"
	ctl "add id=$id,base_dir=$base${2:+,$2}"
	if [ "$REPLY" = ok ]; then
		undo dev "$id"
		fail "'add $2' succeeded, expected $1"
	fi
	[[ /$1/ == */"$REPLY"/* ]] || fail "'add $2': expected $1, seen $REPLY"
	[ ! -e "/sys/block/zloop$id" ] || fail "'add $2' failed, but zloop$id exists"
}

# long_add ZONE OPTIONS: begins to add zloop0, in a process of its own that does nothing but the write, and waits until
# there is the file of ZONE (six digits). Sets BG.
long_add() {
	local i
	mkdir -p "$BDIR/0"
	undo dev 0
	background bash -c "printf 'add id=0,base_dir=$BDIR,$2' > $ZL_CTL"
	for ((i = 0; i < 3000 * ZLOOP_SLOWNESS; i++)); do
		[ ! -e "$BDIR/0/seq-$1" ] || break
		kill -0 "$BG" 2> /dev/null || break
		sleep 0.02
	done
	background_goes_on "the add ended too early for this test: make it longer"
	[ -e "$BDIR/0/seq-$1" ] || fail "the add did not get to zone $1"
}

# kill_long_add: ends what long_add has begun, which may not go on for long.
kill_long_add() {
	local began
	kill -KILL "$BG"
	now_ms
	began=$REPLY
	wait "$BG" 2> /dev/null
	now_ms
	diag "ended $((REPLY - began)) ms after SIGKILL"
	((REPLY - began < 20000)) || fail "the add went on for $((REPLY - began)) ms after SIGKILL"
}

# remove [ID]
remove() { ctl_expect ok "remove id=${1:-0}"; }

# --- Backing stores ------------------------------------------------------------------------------------------------

ZL_N=0

# backing_tmpfs [MOUNT OPTIONS]: sets BDIR.
# shellcheck disable=SC2120 # the options are optional
backing_tmpfs() {
	ZL_N=$((ZL_N + 1))
	BDIR=$ZL_T/mnt$ZL_N
	mkdir "$BDIR"
	must mount -t tmpfs -o "size=1g${1:+,$1}" zloop-test "$BDIR"
	undo mount "$BDIR"
}

# new_loop SIZE_MB: a loop device on a sparse file; sets LOOP.
new_loop() {
	ZL_N=$((ZL_N + 1))
	truncate -s "$1M" "$ZL_T/img$ZL_N"
	LOOP=$(losetup -f --show "$ZL_T/img$ZL_N") || fail "losetup failed"
	undo loop "$LOOP"
}

# copy_loop IMAGE: a loop device on a copy of a sparse file; sets LOOP.
copy_loop() {
	ZL_N=$((ZL_N + 1))
	must cp --sparse=always "$1" "$ZL_T/img$ZL_N"
	LOOP=$(losetup -f --show "$ZL_T/img$ZL_N") || fail "losetup failed"
	undo loop "$LOOP"
}

# make_fs TYPE DEVICE [MKFS OPTION...]
make_fs() {
	local fs=$1 dev=$2
	shift 2
	case $fs in
	ext4) must mkfs.ext4 -q -F -E lazy_itable_init=1,nodiscard "$@" "$dev" ;;
	xfs) must mkfs.xfs -q -f -K "$@" "$dev" ;;
	btrfs) must mkfs.btrfs -q -f -K "$@" "$dev" ;;
	f2fs) must mkfs.f2fs -q -f -t 0 "$@" "$dev" ;;
	*) fail "unknown file system $fs" ;;
	esac
}

# shellcheck disable=SC2034 # for the scripts
# File systems on the device: how they are made, and what judges them.
declare -A TOP_MKFS=(
	[btrfs]="mkfs.btrfs -f -q -O zoned -m single -d single"
	[f2fs]="mkfs.f2fs -f -q -m"
	[xfs]="mkfs.xfs -f -q"
)
# shellcheck disable=SC2034 # for the scripts
declare -A TOP_FSCK=(
	[btrfs]="btrfs check --readonly --check-data-csum"
	[f2fs]="fsck.f2fs --dry-run"
	[xfs]="xfs_repair -n"
)

# mount_backing DEVICE [OPTIONS [TYPE]]: sets BDIR.
mount_backing() {
	ZL_N=$((ZL_N + 1))
	BDIR=$ZL_T/mnt$ZL_N
	mkdir "$BDIR"
	must mount ${3:+-t "$3"} ${2:+-o "$2"} "$1" "$BDIR"
	undo mount "$BDIR"
}

# fresh_image TYPE SIZE_MB: a file system that is made once; each user takes a copy. In REPLY.
fresh_image() {
	REPLY=${ZLOOP_TMP:-/tmp}/zloop-image.$1.$2
	[ ! -e "$REPLY" ] || return 0
	truncate -s "$2M" "$REPLY.new"
	make_fs "$1" "$REPLY.new"
	# Without the zeros that were written, so that copies are quick.
	must cp --sparse=always "$REPLY.new" "$REPLY.copy"
	rm "$REPLY.new"
	mv "$REPLY.copy" "$REPLY"
}

# backing TYPE [SIZE_MB]: a fresh file system of that type; sets BDIR, and LOOP unless it is tmpfs.
backing() {
	local options=

	case $1 in
	tmpfs) backing_tmpfs "" ;;
	# Knows file systems by their UUID, also those of devices that are gone.
	btrfs)
		new_loop "${2:-400}"
		make_fs btrfs "$LOOP"
		mount_backing "$LOOP"
		;;
	*)
		fresh_image "$1" "${2:-400}"
		copy_loop "$REPLY"
		# All copies have the same one.
		[ "$1" != xfs ] || options=nouuid
		# Without the type, mount may see none on a busy machine, and try them all.
		mount_backing "$LOOP" "$options" "$1"
		;;
	esac
}

# dm_linear NAME DEVICE: a device-mapper device over all of DEVICE; sets DM. Its table can be exchanged.
dm_linear() {
	local sectors
	modprobe -q dm-mod
	sectors=$(blockdev --getsz "$2")
	DM_TABLE="0 $sectors linear $2 0"
	must dmsetup --noudevsync create "$1" --table "$DM_TABLE"
	undo dm "$1"
	DM=/dev/mapper/$1
	dmsetup mknodes "$1" 2> /dev/null
	[ -b "$DM" ] || fail "$DM does not exist"
}

# dm_swap NAME TABLE: exchanges the table without flushing or freezing.
dm_swap() {
	must dmsetup --noudevsync suspend --noflush --nolockfs "$1"
	must dmsetup load "$1" --table "$2"
	must dmsetup --noudevsync resume "$1"
}

# delayed_disk TYPE: mounts a fresh file system on a disk that can be made slow; sets BDIR. disk_slow MS makes it slow to
# read from, and what is read again is not in memory any more.
delayed_disk() {
	modprobe -q -a dm-delay "$1"
	new_loop 400
	dm_linear zloop-test-delay "$LOOP"
	make_fs "$1" "$DM"
	mount_backing "$DM"
}

disk_slow() {
	# Clean inodes are needed, not only data that is on the disk.
	must fsfreeze -f "$BDIR"
	must fsfreeze -u "$BDIR"
	echo 3 > /proc/sys/vm/drop_caches
	dm_swap zloop-test-delay "0 $(blockdev --getsz "$LOOP") delay $LOOP 0 $1 $LOOP 0 0"
}

disk_fast() { dm_swap zloop-test-delay "0 $(blockdev --getsz "$LOOP") linear $LOOP 0"; }

# dm_hole DEVICE TOTAL FIRST COUNT: the table of a linear device whose sectors FIRST.. fail; in REPLY.
dm_hole() {
	local end=$(($3 + $4))
	REPLY="0 $3 linear $1 0
$3 $4 error
$end $(($2 - end)) linear $1 $end"
}

# first_block FILE: sector on the backing device where FILE's data starts; in REPLY. ext4 of 4 KiB blocks.
first_block() {
	local phys
	phys=$(filefrag -v -b4096 "$1" | awk '$1 == "0:" { sub(/\.\.$/, "", $4); print $4; exit }')
	[ -n "$phys" ] || fail "no extent found for $1"
	REPLY=$((phys * 8))
}

# small_cgroup MEGABYTES: a cgroup with so much memory, for in_small; sets SMALL.
small_cgroup() {
	local root=/sys/fs/cgroup
	[ -f $root/cgroup.controllers ] || mount -t cgroup2 none $root 2> /dev/null
	[ -f $root/cgroup.controllers ] || skip "no cgroup v2"
	grep -qw memory $root/cgroup.controllers || skip "no memory controller"
	echo +memory > $root/cgroup.subtree_control
	SMALL=$root/zloop-test
	mkdir "$SMALL" || fail "cannot make a cgroup"
	undo cgroup "$SMALL"
	echo "$1M" > "$SMALL"/memory.max
}

# in_small COMMAND...: the command, in the cgroup.
in_small() { (echo 0 > "$SMALL"/cgroup.procs && exec "$@"); }

# --- zloop module --------------------------------------------------------------------------------------------------

load_module() {
	if [ -n "${MODULE:-}" ]; then
		insmod "$MODULE"
	else
		modprobe zloop
	fi || return 1
	local i
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		[ -c "$ZL_CTL" ] && return 0
		sleep 0.1
	done
	return 1
}

# For scripts about what others do with a device: udevd opens each one that comes, until tap_end. Not with checkers, where
# that takes as long as all tests.
with_udev() {
	local udevd=/usr/lib/systemd/systemd-udevd
	if [ "$ZLOOP_SLOWNESS" -eq 1 ] && [ -x "$udevd" ] && ! pidof -q systemd-udevd; then
		"$udevd" --daemon --resolve-names=never && ZL_UDEVD=1
	fi
}

end_udev() {
	[ -n "$ZL_UDEVD" ] || return 0
	udevadm control --exit
	# As long as it is there dmsetup takes udevd to be, and waits for it.
	rm -f /run/udev/control
	ZL_UDEVD=
}

# Skips a case that unloads the module where there is none.
need_module() { [ -e /sys/module/zloop/refcnt ] || skip "the driver is built into this kernel"; }

# A device that was just removed may still be open for udev to look at.
unload_module() {
	local i
	for ((i = 0; i < 300 * ZLOOP_SLOWNESS; i++)); do
		rmmod zloop 2> /dev/null && return 0
		sleep 0.1
	done
	fail "rmmod: $(rmmod zloop 2>&1)"
}

# Unloads and loads the module, unless the driver is built in.
reload_module() {
	[ -e /sys/module/zloop/refcnt ] || return 0
	unload_module
	load_module || fail "the module cannot be loaded again"
}

# sysfs ID ATTRIBUTE
sysfs() {
	local value
	read -r value < "/sys/block/zloop$1/$2" || return
	printf '%s\n' "$value"
}

# files [ID]: names and sizes of the zone files, one line each.
files() { (cd "$BDIR/${1:-0}" && stat -c '%n %s' -- cnv-* seq-* 2> /dev/null); }

# The time limit of run_tests.sh: the case's processes got the signal, too.
ZL_T=
trap '[ -z "$ZL_T" ] || zl_teardown; end_udev; exit 143' TERM

[ "$(id -u)" -eq 0 ] || tap_bail "not root"
# As builtins, where bash has them (Debian: bash-builtins): with checkers in the kernel a process takes half a second.
for ZL_I in mkdir mktemp rmdir sleep; do enable -f "$ZL_I" "$ZL_I" 2> /dev/null; done
[ -x "$ZBDTOOL" ] || ZBDTOOL=$(command -v zbdtool) || tap_bail "ZBDTOOL does not name the zbdtool program"
[ -c "$ZL_CTL" ] || load_module || tap_bail "the module cannot be loaded"
# shellcheck disable=SC2034 # for the scripts
DATA=$ZL_DIR
modprobe -q loop
printf 'TAP version 13\n'
