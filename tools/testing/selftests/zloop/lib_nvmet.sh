#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A zloop device behind the kernel's NVMe target, connected over nvme-loop: a Zone Append command to the namespace
# becomes a native zone append (REQ_OP_ZONE_APPEND) on the zloop device, which no other stock interface gives to user
# space. The device must have no conventional zones (ZNS has none).

NVMET_CFG=/sys/kernel/config/nvmet

# Linux 7.3's target ends an append before it is done with the bio (nvmet_bdev_zone_append_bio_done() in
# drivers/nvme/target/zns.c). Up to 32 KiB the bio is part of the command, which the host may be using again by then:
# the kernel oopses in submit_bio(). So what keeps commands coming takes this length, for which bios are allocated.
# shellcheck disable=SC2034 # for the scripts
NVMET_SAFE_LEN=36864

# For scripts that do not end at the first failure to say it in another way.
nvmet_failed() { fail "$1"; }

# nvmet_up DEVICE: sets NVME (block device of the namespace), NVMEG (its character device) and NVMET_NQN (for nvmet_down).
nvmet_up() {
	local nqn=zloop-test-$RANDOM ctrl i dir

	# Fails also where they are built in.
	modprobe -q -a nvmet nvme-loop
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	[[ -d $NVMET_CFG && -c /dev/nvme-fabrics ]] || skip "no nvmet or nvme-loop"
	undo nvmet "$nqn"
	# shellcheck disable=SC2034 # for the scripts
	NVMET_NQN=$nqn
	dir=$NVMET_CFG/subsystems/$nqn
	mkdir "$dir" || { nvmet_failed "cannot make an NVMe target subsystem"; return 1; }
	echo 1 > "$dir/attr_allow_any_host"
	mkdir "$dir/namespaces/1"
	printf %s "$1" > "$dir/namespaces/1/device_path"
	echo 1 > "$dir/namespaces/1/enable" || { nvmet_failed "the NVMe target refuses $1"; return 1; }
	if [ ! -d "$NVMET_CFG/ports/7" ]; then
		mkdir "$NVMET_CFG/ports/7"
		echo loop > "$NVMET_CFG/ports/7/addr_trtype"
	fi
	ln -s "$dir" "$NVMET_CFG/ports/7/subsystems/$nqn"
	ctrl=$({ printf 'transport=loop,nqn=%s\n' "$nqn" >&5 && cat <&5; } 5<> /dev/nvme-fabrics) || {
		nvmet_failed "cannot connect to the NVMe target"
		return 1
	}
	ctrl=${ctrl#instance=}
	ctrl=${ctrl%%,*}
	for ((i = 0; i < 300 * ${ZLOOP_SLOWNESS:-1}; i++)); do
		for dir in "/sys/class/nvme/nvme$ctrl"/nvme*n1 "/sys/class/nvme-subsystem"/nvme-subsys*/nvme*n1; do
			[ -e "$dir/queue" ] || continue
			grep -qs "$nqn" "$dir/../subsysnqn" "$dir/device/subsysnqn" || continue
			NVME=/dev/${dir##*/}
			# shellcheck disable=SC2034 # for the scripts
			NVMEG=/dev/ng${NVME#/dev/nvme}
			[ -b "$NVME" ] && [ "$(cat "/sys/block/${NVME#/dev/}/queue/zoned")" = host-managed ] && return 0
		done
		sleep 0.1
	done
	nvmet_failed "no zoned NVMe namespace appeared"
	return 1
}

# nvmet_down NQN
nvmet_down() {
	local dir=$NVMET_CFG/subsystems/$1 ctl

	for ctl in /sys/class/nvme/nvme*; do
		[ "$(cat "$ctl/subsysnqn" 2> /dev/null)" = "$1" ] && echo 1 > "$ctl/delete_controller"
	done
	rm -f "$NVMET_CFG/ports/7/subsystems/$1"
	[ -d "$dir" ] || return 0
	echo 0 > "$dir/namespaces/1/enable" 2> /dev/null
	rmdir "$dir/namespaces/1" "$dir" 2> /dev/null
	rmdir "$NVMET_CFG/ports/7" 2> /dev/null
	return 0
}
