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

export KERNEL MODULE V RUSTC ZLOOP_CACHE MIRROR INSTALL_MOD_PATH

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

.PHONY: shell
shell: module ## a prompt in a VM of the test kernel, with the module loaded
	@$(tools)/vm --results $(build)/results/shell --shell
