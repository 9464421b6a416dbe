#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the zloop functional tests, all of them or those named. TAP on standard output; one TAP file for each script in
# $ZLOOP_RESULTS, if that is set. Exit status 0 only if every test passed or was skipped with a reason.
#
#   MODULE=path         the zloop.ko to test (default: modprobe zloop)
#   ZLOOP_DRIVER=c      the module is the C driver: scripts that make its kernel panic are not run unless named
#   ZLOOP_PEER_MODULE=  the C driver's zloop.ko, for the test of on-disk compatibility
#   ZLOOP_OPTIONS=a,b=1 options for each device that does not have them from its test
#   ZBDTOOL=path        the helper program (default: zbdtool in PATH)
#   ZLOOP_RESULTS=dir   where the TAP files go
#   ZLOOP_TIMEOUT=s     time limit of one script (default 600)
#   ZLOOP_ONLY=pattern  only the test functions that match
#   ZLOOP_MAY_SKIP=re   a case that is skipped for another reason than one that begins like this has failed
#   ZBDDIFF=path        zbd-diff (default: that in PATH)
#   ZLOOP_SLOWNESS=N    the machine is so many times slower than usual: fewer rounds
#
# Those of one script (ZLOOP_MANY_ZONES, ZLOOP_CUTS, ZLOOP_SEED, ZLOOP_FUZZ_COUNT ...) are in its head.

set -u
cd "$(dirname "$0")" || exit 2

limit=${ZLOOP_TIMEOUT:-600}
results=${ZLOOP_RESULTS:-$(mktemp -d)} || exit 2
mkdir -p "$results" || exit 2

if [ $# -gt 0 ]; then
	scripts=("${@##*/}")
	named=1
else
	scripts=(test_*.sh)
	named=0
fi

# As a builtin, where bash has it: it runs all the time.
enable -f sleep sleep 2> /dev/null

# Runs script $1 with its output in $2. A script that does not even die by SIGKILL (a task stuck in the kernel) is
# given up, so that the run ends.
run_limited() {
	local pid i status signal end=$((SECONDS + limit))
	setsid "./$1" > "$2" 2>&1 < /dev/null &
	pid=$!
	while ((SECONDS < end)); do
		kill -0 "$pid" 2> /dev/null || break
		sleep 0.3
	done
	if ! kill -0 "$pid" 2> /dev/null; then
		wait "$pid"
		return
	fi
	{
		printf '# tasks that wait in the kernel when the time was over:\n'
		echo w > /proc/sysrq-trigger
		dmesg | tail -n 60 | sed 's/^/# /'
		printf 'not ok %s: no end after %d s\n' "$1" "$limit"
	} >> "$2"
	# By SIGTERM first: the script takes down what the case had set up.
	for signal in TERM KILL; do
		kill "-$signal" -- "-$pid" 2> /dev/null
		for ((i = 0; i < 100; i++)); do
			kill -0 "$pid" 2> /dev/null || break 2
			sleep 0.3
		done
	done
	kill -0 "$pid" 2> /dev/null && return 125
	wait "$pid" 2> /dev/null
	status=$?
	return $((status ? status : 1))
}

printf 'TAP version 14\n1..%d\n' "${#scripts[@]}"
n=0
bad=()
total=(0 0 0)
for script in "${scripts[@]}"; do
	n=$((n + 1))
	name=${script%.sh}
	out=$results/$name.tap
	if [ "$named" -eq 0 ] && [ "${ZLOOP_DRIVER:-rust}" = c ] && grep -q '^# panics-on: c' "$script"; then
		printf 'ok %d - %s # SKIP makes the kernel panic on the C driver, to be run alone\n' "$n" "$name"
		continue
	fi
	printf '# Subtest: %s\n' "$name"
	began=$SECONDS
	run_limited "$script" "$out"
	status=$?
	sed 's/^/    /' "$out"
	counts=$(awk '/^not ok /{f++} /^ok .*# SKIP/{s++; next} /^ok /{p++} /^1\.\./{plan=1} END{print p+0, f+0, s+0, plan+0}' "$out")
	read -r passed failed skipped plan <<< "$counts"
	total=($((total[0] + passed)) $((total[1] + failed)) $((total[2] + skipped)))
	note="$passed passed, $failed failed, $skipped skipped, $((SECONDS - began)) s"
	if [ "$status" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$plan" -eq 1 ]; then
		printf 'ok %d - %s # %s\n' "$n" "$name" "$note"
	else
		printf 'not ok %d - %s # %s, status %d\n' "$n" "$name" "$note" "$status"
		bad+=("$name")
	fi
	if [ "$status" -eq 125 ]; then
		printf 'Bail out! %s is stuck in the kernel; the machine has to be started again\n' "$name"
		exit 1
	fi
done
printf '# total: %d passed, %d failed, %d skipped, %d s\n' "${total[@]}" "$SECONDS"
[ ${#bad[@]} -eq 0 ] || printf '# failed scripts: %s\n' "${bad[*]}"
[ ${#bad[@]} -eq 0 ]
