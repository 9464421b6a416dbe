# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Common to the scripts of this directory: paths, messages, locks, and how
# things get into the cache. Sourced, never run.

set -euo pipefail
export LC_ALL=C.UTF-8
# Ctrl-C ends the script also if the command that it interrupted went on, or ended in another way.
trap 'exit 130' INT
# chroot, ip and others, which users do not have in theirs.
PATH=$PATH:/usr/sbin:/sbin
umask 022

# The Debian release of the build root is that of the kernel packages, whose
# compilers the module needs; the guest root is newer, see guest.packages.
# shellcheck disable=SC2034 # these are used by the scripts that source this file
{
	ROOT_SUITE=trixie
	GUEST_SUITE=forky
	TOP=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/..")
	TOOLS=$TOP/tools
	BUILD=$TOP/build
	SRC=$TOP/drivers/block/zloop
	CACHE=$(realpath -m -- "${ZLOOP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zloop}")
	JOBS=${JOBS:-$(nproc)}
	# Results of other kernels have a name of their own; the tests of the debug
	# kernels take several times as long.
	FLAVOUR=${KERNEL:+-$KERNEL} SLOWNESS=1
	DEB_ARCH=amd64 RUST_TARGET=
	case ${KERNEL:-} in
	debug | uml) SLOWNESS=4 ;;
	# A kernel of another release needs that release's compilers.
	forky | sid) ROOT_SUITE=$KERNEL ;;
	# Cross-built, and emulated.
	arm64) DEB_ARCH=arm64 RUST_TARGET=aarch64-unknown-linux-gnu SLOWNESS=4 ;;
	esac
	ZBDTOOL=build/cargo/zbdtool${RUST_TARGET:+/$RUST_TARGET}/release/zbdtool
}

say() { printf '%s\n' "  $*" >&2; }

die() {
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# step DESCRIPTION COMMAND...: run quietly, say how long it took; on failure
# show the end of the output and where all of it is.
step() {
	local what=$1 log start=$SECONDS rc=0
	shift
	mkdir -p "$CACHE/logs"
	log=$CACHE/logs/$(tr -cs 'a-zA-Z0-9.\n' - <<<"$what" | cut -c1-60).log
	if [[ ${V:-0} == 1 ]]; then
		say "$what ..."
		"$@" >&2 || rc=$?
	else
		printf '  %s ... ' "$what" >&2
		"$@" >"$log" 2>&1 </dev/null || rc=$?
		printf '%s\n' "$([[ $rc == 0 ]] && echo "$((SECONDS - start)) s" || echo FAILED)" >&2
	fi
	if [[ $rc != 0 ]]; then
		[[ ${V:-0} == 1 ]] || tail -n 30 "$log" >&2
		die "$what failed with status $rc${V:+}; the whole output is in $log"
	fi
}

# hash_of WORD-OR-FILE...: a short key of the given strings and file contents.
hash_of() {
	local item
	for item in "$@"; do
		if [[ -f $item ]]; then cat -- "$item"; else printf '%s\n' "$item"; fi
	done | sha256sum | cut -c1-12
}

# Everything in the cache is made under a temporary name and then renamed, so
# that what is there under its final name is whole. with_lock keeps two makes
# from making the same thing; the lock ends with the process that holds it.
#
# make_once DIR FUNCTION: unless DIR exists, call FUNCTION TMPDIR, then rename.
make_once() {
	local dir=$1 fn=$2
	[[ -d $dir ]] && return
	mkdir -p "$(dirname -- "$dir")"
	(
		with_lock "${dir##*/}"
		[[ -d $dir ]] && exit
		remove_tree "$dir.tmp"
		"$fn" "$dir.tmp"
		mv -T -- "$dir.tmp" "$dir"
	)
}

# with_lock NAME: hold the lock NAME of the cache until this (sub)shell ends.
with_lock() {
	local fd
	mkdir -p "$CACHE/locks"
	exec {fd}>"$CACHE/locks/$1"
	if ! flock -n "$fd"; then
		say "waiting for another run that holds $CACHE/locks/$1"
		flock "$fd"
	fi
}

# in_userns COMMAND...: with root, just run it; otherwise run it as root of a
# user namespace with the caller's subordinate ids, which own the Debian roots.
in_userns() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	else
		unshare --map-root-user --map-auto "$@"
	fi
}

# remove_tree DIR: never crosses into another file system, so that a mount
# left in a tree cannot be emptied.
remove_tree() {
	[[ -e $1 ]] || return 0
	in_userns rm -rf --one-file-system -- "$1"
}

# link_tree FROM TO: a copy that shares its files where it can. Tools that write
# a file in place must not touch it.
link_tree() {
	cp -al "$1" "$2" 2>/dev/null || {
		remove_tree "$2"
		cp -a --reflink=auto "$1" "$2"
	}
}

# emulator_failed LOG: whether the last line is an assertion of QEMU, and the kernel
# had not started its first process.
emulator_failed() {
	tail -n 1 "$1" | grep -q '^qemu-system-.*: Assertion .* failed' &&
		! grep -q 'Run .* as init process' "$1"
}

# vm_status DIR RC TIMEOUT: end with the status of a VM with results in DIR, whose
# emulator ended with RC (see tools/vm).
vm_status() {
	local results=$1 rc=$2 timeout=$3 log="the kernel log is $1/console.log"
	if [[ ! -s $results/console.log ]]; then
		say "the guest has not said anything"
		exit 91
	elif ! "$TOOLS/log-check" "$results/console.log" >"$results/splats.log"; then
		sed 's/^/  /' "$results/splats.log" >&2
		say "the kernel log has a splat: $log"
		exit 90
	elif [[ -s $results/status ]]; then
		exit "$(<"$results/status")"
	elif [[ $rc == 124 || $rc == 137 ]]; then
		say "no end after $timeout s: $log"
		exit 92
	else
		say "the guest died: $log"
		exit 91
	fi
}

# kernel_tap STATUS NAME DIR: one test point from the status of tools/vm. What was
# wrong is in its description too, since a summary may show no more than that.
kernel_tap() {
	local not='' why='' told=''
	case $1 in
	90) told=$(<"$3/splats.log") why=": ${told%%$'\n'*}" ;;
	91) why=": the guest died" ;;
	92) why=": it took too long" ;;
	*) [[ -s $3/status ]] || why=": it did not start" ;;
	esac
	[[ -z $why ]] || not="not "
	[[ -z $why || -n $told ]] || told=$(tail -n 20 "$3/console.log" 2>/dev/null)
	printf '1..1\n'
	[[ -z $told ]] || tr -d '\r' <<<"$told" | sed 's/^/# /'
	# A # would begin a directive.
	why=${why//[$'\r'#]/}
	printf '%sok 1 - %s: the VM ends by itself, without a splat in %s%s\n' "$not" "$2" "$3/console.log" "$why"
}
