#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Queue limits and attributes of the disk.

. "$(dirname "$0")/lib.sh"
with_udev

attr() { expect "$2" "$3" "$(sysfs "$1" "$2")"; }

t_limits() {
	backing_tmpfs
	add capacity_mb=35,zone_size_mb=4,zone_capacity_mb=3,conv_zones=2,max_open_zones=3,queue_depth=17,fua=1
	attr 0 queue/zoned host-managed
	attr 0 queue/chunk_sectors 8192
	attr 0 queue/nr_zones 8
	attr 0 size 65536
	attr 0 queue/zone_append_max_bytes 1048576
	attr 0 queue/max_hw_sectors_kb 1024
	attr 0 queue/max_open_zones 3
	attr 0 queue/max_active_zones 0
	attr 0 queue/write_cache "write back"
	attr 0 queue/fua 1
	attr 0 queue/discard_max_bytes 0
	attr 0 queue/logical_block_size 4096
	attr 0 queue/physical_block_size 4096
	attr 0 mq/0/nr_tags 17
	attr 0 ro 0
	attr 0 removable 0
	# One minor: no partitions.
	attr 0 ext_range 1
}

t_emulated_append() {
	backing_tmpfs
	add capacity_mb=16,zone_size_mb=4,conv_zones=1,zone_append=0
	# The block layer emulates zone append and says how long one may be.
	attr 0 queue/zone_append_max_bytes 1048576
}

t_queues() {
	backing_tmpfs
	add capacity_mb=16,zone_size_mb=4,conv_zones=1,nr_queues=64
	expect "hardware queues (capped by the CPUs)" "$(nproc)" \
		"$(find /sys/block/zloop0/mq -mindepth 1 -maxdepth 1 | wc -l)"
}

# Logical block size and DMA alignment follow the direct I/O geometry of the zone files.
check_block_size() {
	local bs=$1
	attr 0 queue/logical_block_size "$bs"
	attr 0 queue/physical_block_size "$bs"
	steps /dev/zloop0 <<-END
	write z1 $bs = ok
	report z1 = IMP_OPEN +$(( bs % 1024 ? bs : bs / 1024 ))$([ $((bs % 1024)) -ne 0 ] || echo k)
	read z1 $bs = ok
	END
	[ "$bs" -eq 512 ] || steps /dev/zloop0 <<-END
	write z2 512 = EINVAL
	report z2 = EMPTY
	END
}

t_block_size_ext4_1k() {
	new_loop 100
	make_fs ext4 "$LOOP" -b 1024
	mount_backing "$LOOP"
	add capacity_mb=16,zone_size_mb=4,conv_zones=1
	check_block_size 1024
}

t_block_size_xfs_4k() {
	backing xfs
	add capacity_mb=16,zone_size_mb=4,conv_zones=1
	check_block_size 4096
}

t_block_size_xfs_512() {
	new_loop 400
	make_fs xfs "$LOOP" -m crc=0,reflink=0,rmapbt=0,finobt=0 -b size=512
	mount "$LOOP" /mnt 2> /dev/null || skip "the kernel does not mount XFS with 512-byte blocks"
	umount /mnt
	mount_backing "$LOOP"
	add capacity_mb=16,zone_size_mb=4,conv_zones=1
	check_block_size 512
}

# Sectors of more than a page: what is smaller could not be read or written.
t_block_size_xfs_16k() {
	new_loop 400
	losetup -d "$LOOP"
	LOOP=$(losetup -f --show -b 16384 "$ZL_T/img$ZL_N") || skip "the kernel has no disks with such blocks"
	undo loop "$LOOP"
	make_fs xfs "$LOOP" -b size=16k -s size=16k
	mount_backing "$LOOP"
	add capacity_mb=16,zone_size_mb=4,conv_zones=1
	check_block_size 16384
	# Through the page cache.
	must dd if=/dev/zero of=/dev/zloop0 bs=4k count=1 conv=fsync status=none
}

t_dma_alignment() {
	local align
	backing xfs
	add capacity_mb=16,zone_size_mb=4,conv_zones=1
	align=$(sysfs 0 queue/dma_alignment 2> /dev/null) || skip "no dma_alignment attribute"
	((align >= 511 && ((align + 1) & align) == 0)) || fail "strange dma_alignment $align"
	remove
	add capacity_mb=16,zone_size_mb=4,conv_zones=1,buffered_io
	attr 0 queue/dma_alignment 511
}

tap_run t_limits "limits of a device follow its options"
tap_run t_emulated_append "zone_append=0 leaves zone append to the block layer"
tap_run t_queues "nr_queues is capped by the number of CPUs"
tap_run t_block_size_ext4_1k "block size on ext4 with 1 KiB blocks"
tap_run t_block_size_xfs_4k "block size on XFS with 4 KiB blocks"
tap_run t_block_size_xfs_512 "block size on XFS with 512-byte blocks"
tap_run t_block_size_xfs_16k "block size on XFS with sectors of 16 KiB"
tap_run t_dma_alignment "DMA alignment"
tap_end
