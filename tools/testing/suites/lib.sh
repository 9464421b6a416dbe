# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Common to the public test suites, which run as root in the virtual machine:
# TAP output and the zloop devices they work on. Sourced, never run.

set -u
export LC_ALL=C.UTF-8

ctl=/dev/zloop-control
scratch=${ZLOOP_SCRATCH:-/var/local/zloop}/suites
# shellcheck disable=SC2034 # used by the scripts that source this file
results=${ZLOOP_RESULTS:-/tmp}
tap_count=0
tap_failed=0
tap_passed=0
tap_skipped=0

diag() { printf '# %s\n' "${*//$'\n'/$'\n'# }"; }

bail() {
	printf 'Bail out! %s\n' "$*"
	exit 1
}

# The descriptions come from other projects; # would begin a directive.
tap_line() {
	tap_count=$((tap_count + 1))
	printf '%s %d - %s\n' "$1" "$tap_count" "${2//#/}${3:+ # SKIP $3}"
}

pass() {
	tap_passed=$((tap_passed + 1))
	tap_line ok "$1"
}

fail() {
	tap_failed=$((tap_failed + 1))
	tap_line 'not ok' "$1"
}

skip() {
	tap_skipped=$((tap_skipped + 1))
	# Without a reason it would read as a pass.
	tap_line ok "$1" "${2:-no reason given}"
}

# check DESCRIPTION COMMAND...: a test that passes if the command succeeds.
# What the command printed is shown when it fails.
check() {
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		pass "$what"
	else
		fail "$what"
		diag "$* failed:"
		diag "$(tail -n 30 <<<"$out")"
		return 1
	fi
}

# equal DESCRIPTION EXPECTED SEEN
equal() {
	if [[ $2 == "$3" ]]; then
		pass "$1"
	else
		fail "$1"
		diag "$(diff --label expected --label seen -u <(echo "$2") <(echo "$3") | head -n 30)"
		return 1
	fi
}

tap_end() {
	printf '1..%d\n' "$tap_count"
	diag "passed $tap_passed failed $tap_failed skipped $tap_skipped, $SECONDS s"
	[[ $tap_failed == 0 && $tap_count != 0 ]]
	exit
}

need_commands() {
	local name
	for name in "$@"; do
		type -P "$name" >/dev/null || bail "$name is not installed"
	done
}

need_driver() {
	[[ -c $ctl ]] || modprobe zloop || bail "cannot load the module"
	[[ -c $ctl ]] || bail "no $ctl"
}

# device_add ID OPTIONS: a device in a directory of its own below $scratch. The
# environment may have options for all devices.
device_add() {
	mkdir -p "$scratch/$1" || return
	printf 'add id=%d,%s,base_dir=%s\n' "$1" "$2${ZLOOP_OPTIONS:+,$ZLOOP_OPTIONS}" "$scratch" >"$ctl" || return
	# devtmpfs makes the node with the disk; udev may still be at work on it.
	udevadm settle --timeout=60 2>/dev/null
	[[ -b /dev/zloop$1 ]]
}

device_remove() { printf 'remove id=%d\n' "$1" >"$ctl"; }

# device_destroy ID: remove the device and what it stored.
device_destroy() {
	[[ ! -b /dev/zloop$1 ]] || device_remove "$1" || return
	rm -rf --one-file-system "${scratch:?}/$1"
}

# device_fresh ID OPTIONS: a new, empty device instead of an old one.
device_fresh() {
	device_destroy "$1" && device_add "$1" "$2"
}

# was_done ID COUNTER...: the device has done what these counters count. They are printed.
was_done() {
	local name counters=/sys/kernel/debug/zloop/zloop$1 status=0
	shift
	for name in "$@"; do
		diag "$name $(<"$counters/$name")"
		[[ $(<"$counters/$name") =~ ^[1-9] ]] || status=1
	done
	return "$status"
}

# zones DEVICE: what a device must remember: the report without the open
# conditions, which last only as long as the device, and with blanks squeezed.
zones() {
	blkzone report "$1" | sed -E 's/zcond: *[23]\((oi|oe)\)/zcond: 4(cl)/; s/[[:blank:]]+/ /g'
}
