# SPDX-License-Identifier: GPL-2.0
#
# The front door. Every target makes what it needs first: the Debian roots and
# the kernel (cached, see tools/lib.sh), then the module.

SHELL := /bin/bash
.DEFAULT_GOAL := module

build := $(CURDIR)/build
tools := $(CURDIR)/tools

# Kernel trees of the user have a build directory of their own.
ifdef KDIR
export KDIR := $(abspath $(KDIR))
module_dir := $(build)/kdir-$(subst /,_,$(patsubst /%,%,$(KDIR)))
else
module_dir := $(build)/module
endif

# The tests run on the module of this tree unless MODULE= names another.
module_to_test = $(if $(MODULE),,module)

# Each of the programs below uses both processors, and some of them the same files.
.NOTPARALLEL:

export KERNEL MODULE V RUSTC ZLOOP_CACHE MIRROR INSTALL_MOD_PATH
export BLKTESTS XFSTESTS
export CUTS KILLS SEED CRASH RUNS KERNELS KERNEL_TESTS
export DIFF_TIME DIFF_OPS DIFF_ROUNDS DIFF_SEED

##@ The module

.PHONY: module
module: ## build build/zloop.ko for the test kernel, or for KDIR=/path/to/kernel/tree
	@$(tools)/module-build $(module_dir)
	@cmp -s $(module_dir)/zloop.ko $(build)/zloop.ko || cp $(module_dir)/zloop.ko $(build)/zloop.ko

.PHONY: modules_install
modules_install: module ## install it under INSTALL_MOD_PATH and run depmod
	@$(tools)/module-install $(module_dir)

.PHONY: peer
peer: ## build the kernel's own C driver as build/peer/zloop.ko (use with MODULE=)
	@env -u KDIR $(tools)/peer

.PHONY: doc
doc: module ## rustdoc of the module, in build/doc
	@$(tools)/doc

##@ Use

.PHONY: demo
demo: module ## create, use, remove and restore a zoned device in a VM; every step verified
	@$(tools)/demo

.PHONY: shell
shell: $(module_to_test) ## a prompt in a VM of the test kernel, with the module loaded
	@$(tools)/vm --results $(build)/results/shell --shell

##@ Tests (results in build/results)

.PHONY: check
check: $(module_to_test) peer ## check-quick, functional suite both ways, suites in short form, bench-quick
	@$(tools)/check --two functional quick functional-options zbd fs qemu samples bench-quick

.PHONY: check-full
check-full: export ZLOOP_MANY_ZONES ?= 200000
check-full: export KERNELS := $(or $(KERNELS),7.2 forky arm64) # the newest is what all else runs on
check-full: $(module_to_test) peer ## check but bench-quick, suites in full; in-tree, other kernels, faults, cuts, diff, fuzz, mutations
	@$(tools)/check --two in-tree quick kernels faults functional zbd-full fs-full diff functional-options \
		mutations crash qemu samples fuzz

.PHONY: check-debug check-uml check-faults
check-debug: ## functional suite, KUnit, short zbd and fs on a kernel with KASAN, lockdep, kmemleak ...
check-uml: ## the same checkers in User Mode Linux: KUnit, functional suite, fs
check-faults: ## failing memory and disks, signals, races; ZLOOP_FAULT_STRIDE=1 for every allocation of add
check-debug check-uml check-faults: check-%:
	@$(tools)/check-debug $*

.PHONY: check-quick
check-quick: ## unit tests, formatting, lints, module build: no VM
	@$(tools)/check-quick

.PHONY: check-functional
check-functional: $(module_to_test) ## the functional suite; TESTS="test_flush.sh ..." for some of it
	@$(tools)/check-functional $(TESTS)

.PHONY: check-in-tree
check-in-tree: ## build the driver inside the kernel's tree, as module and built in
	@$(tools)/check-in-tree

.PHONY: check-qemu check-samples
check-qemu: $(module_to_test) ## QEMU's zoned block layer: qemu-io on /dev/zloop0
check-samples: $(module_to_test) ## the scripts of samples/
check-qemu check-samples: check-%:
	@$(tools)/check-suites $*

.PHONY: check-fs check-zbd
check-fs: $(module_to_test) ## zonefs, btrfs, f2fs and XFS on zloop
	@$(tools)/check-suites fs-full
check-zbd: $(module_to_test) ## fio's t/zbd tests, in two geometries
	@$(tools)/check-suites zbd-full

.PHONY: check-crash
check-crash: $(module_to_test) ## power cuts; CUTS=2000 KILLS=20 SEED=7 for more and others
	@$(tools)/check-crash

.PHONY: check-mutations check-fuzz check-kernels
check-mutations: ## deliberate bugs, one by one: each has to be found by the tests
	@$(tools)/check-mutations
check-kernels: ## builds for the supported kernels, and tests on each; KERNELS="newest 7.2 forky arm64"
	@$(tools)/check-kernels
check-fuzz: ## coverage-guided fuzzing of the zone model; RUNS=1000000 SEED=1
	@$(tools)/check-fuzz

.PHONY: check-diff
check-diff: $(module_to_test) ## null_blk and the C driver take the same random steps; DIFF_TIME=300 s a setup
	@$(tools)/check-suites diff-long

.PHONY: check-blktests check-xfstests
check-blktests: $(module_to_test) ## blktests, from your check-out BLKTESTS=DIR
check-xfstests: $(module_to_test) ## xfstests, from your check-out XFSTESTS=DIR
check-blktests check-xfstests: check-%:
	@$(tools)/check-suites $*

##@ Performance (Documentation/performance.rst)

.PHONY: bench bench-quick bench-profile
bench: $(module_to_test) peer ## compare with the C driver and others; BENCH_JOBS=, BENCH_MODE=wall, BASE=revision
	@$(tools)/bench

bench-quick: $(module_to_test) peer ## fail if a few jobs cost 5 % more than recorded
	@$(tools)/bench-quick

bench-profile: $(module_to_test) peer ## instructions by kernel function, of BENCH_JOBS="..."
	@$(tools)/bench-profile $(BENCH_JOBS)

##@ Other

.PHONY: setup
setup: ## make the Debian roots and the kernel tree, and nothing else
	@$(tools)/kernel >/dev/null && $(tools)/debian-root guest >/dev/null

.PHONY: update
update: ## look for a newer kernel in the archive the next time
	@$(tools)/kernel update

.PHONY: debug-kernel
debug-kernel: ## build the kernel with checkers that KERNEL=debug names; ARCH=arm64 for that architecture
	@$(tools)/debug-kernel $(if $(filter arm64,$(ARCH)),arm64,debug)

.PHONY: clean
clean: ## remove build/
	@$(tools)/clean build

.PHONY: distclean
distclean: ## remove build/ and the cache
	@$(tools)/clean build cache

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*?## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z_-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' Makefile
	@printf '\nVariables: KERNEL=7.2 another kernel of Debian (forky, arm64: see tools/kernel); MODULE=build/peer/zloop.ko\n'
	@printf 'the module to test; V=1 show commands; ZLOOP_CACHE=DIR the cache (~/.cache/zloop).\n'
