# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The options of `zbench guest` that bench, bench-profile and bench-quick have in
# common, and those that the user's variables ask for. Sourced after lib.sh.

bench=/zloop/build/bench
words=(--module "zloop=$bench/zloop.ko" --module "c=$bench/c.ko" --module "base=$bench/base.ko"
	--append "$bench/zloop_append.ko" --tar "$bench/project.tar" --out /results/results.json)

# use_variables: not for what is compared with a recorded run.
use_variables() {
	local word
	words+=(--fs "${BENCH_FS:-xfs}")
	[[ -z ${BENCH_MKFS:-} ]] || words+=("--mkfs=$BENCH_MKFS")
	[[ ! -v BENCH_OPTIONS ]] || words+=(--options "zloop=$BENCH_OPTIONS")
	for word in ${BENCH_SCHEDULER:-}; do words+=(--scheduler "$word"); done
	[[ ${BENCH_NEW_DISK:-} != 1 ]] || words+=(--new-disk)
	[[ -z ${BENCH_QUEUES:-} ]] || words+=(--queues "$BENCH_QUEUES")
}
