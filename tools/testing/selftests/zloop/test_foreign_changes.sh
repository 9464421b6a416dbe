#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Somebody else changes the zone files of a device in use. The device may fail what it can no longer do, but it says
# nothing that is not so, and does no harm; and the next add sees what is there then.
# paths: both

. "$(dirname "$0")/lib.sh"

O=capacity_mb=32,zone_size_mb=4,conv_zones=1

# On TYPE, with data in zones 0 to 3, of which 2 is full.
begin() {
	backing "$1"
	add "$O${2:+,$2}"
	steps "$DEV" <<-END
	write z0 64k seed=9 = ok
	write z1 1m = ok
	write z2 4m = ok
	write z3 64k = ok
	fsync = ok
	END
	F=$BDIR/0/seq-000001
}

# Reset puts a zone right, whatever was done to its file.
usable() {
	steps "$DEV" <<-END
	reset $1 = ok
	report $1 = EMPTY
	write $1 64k seed=5 = ok
	report $1 = IMP_OPEN +64k
	read $1 64k seed=5 = ok
	read $1+64k 64k zero = ok
	consistent all = ok
	END
}

# Cut off: what is missing is zeros or an error, never other data.
t_truncated() {
	begin "$1"
	truncate -s 512k "$F"
	truncate -s 0 "$BDIR/0/seq-000002"
	steps "$DEV" <<-END
	read z1 512k = ok
	read z1+512k 512k zero = ok | EIO
	read z2 1m zero = ok | EIO
	consistent all = ok
	END
	step "$DEV" "write z1+1m 64k"
	case $REPLY in
	ok | EIO) ;;
	*) fail "a write to the zone: $REPLY" ;;
	esac
	steps "$DEV" <<< "read z1 512k = ok"
	usable z1
	usable z2
	steps "$DEV" <<< "read z3 64k = ok"
}

t_truncated_ext4() { t_truncated ext4; }
t_truncated_xfs() { t_truncated xfs; }
t_truncated_tmpfs() { t_truncated tmpfs; }

# What was cut off stays cut off when the device is removed, though blocks were allocated ahead of the write pointer, and
# though a cache is discarded. What was added stays, too.
t_cut_for_good() {
	local options=${2:-}
	backing "$1"
	add "$O${options:+,$options}"
	steps "$DEV" <<-END
	write z1 64k = ok
	write z2 64k = ok
	write z3 64k = ok
	write z4 64k = ok
	fsync = ok
	write z1+64k 64k = ok
	write z2+64k 64k = ok
	write z3+64k 64k = ok
	write z4+64k 64k = ok
	END
	truncate -s 0 "$BDIR/0/seq-000001"
	truncate -s 32k "$BDIR/0/seq-000002"
	[ -n "$options" ] || truncate -s 512k "$BDIR/0/seq-000003"
	steps "$DEV" <<< "close z1-2 = ok"
	remove
	add "$O"
	steps "$DEV" <<-END
	report z1 = EMPTY
	report z2 = CLOSED +32k
	report z3 = CLOSED +$3
	report z4 = CLOSED +$4
	read z2 32k = ok
	read z4 64k = ok
	END
}

t_cut_for_good_xfs() { t_cut_for_good xfs "" 512k 128k; }
t_cut_for_good_ext4() { t_cut_for_good ext4 "" 512k 128k; }
t_cut_for_good_discard() { t_cut_for_good xfs discard_write_cache 64k 64k; }

# A conventional zone's file cut off: what is missing is an error, and it can be written again.
t_truncated_conventional() {
	begin "$1"
	if [ -n "${2:-}" ]; then
		remove
		add "$O"
	fi
	truncate -s 32k "$BDIR/0/cnv-000000"
	steps "$DEV" <<-END
	read z0 32k seed=9 = ok
	read z0 64k = EIO
	read z0+1m 4k = EIO
	write z0 64k seed=2 = ok
	read z0 64k seed=2 = ok
	read z0+64k 4k = EIO
	write z0+cap-4k 4k seed=3 = ok
	read z0+cap-4k 4k seed=3 = ok
	END
	remove
	# Its size is its capacity again, or add says what is wrong with it.
	ctl "add id=0,base_dir=$BDIR,$O"
	case $REPLY in
	ok) undo dev 0 ;;
	EINVAL) ;;
	*) fail "add: $REPLY" ;;
	esac
}

t_truncated_conventional_ext4() { t_truncated_conventional ext4; }
t_truncated_conventional_xfs() { t_truncated_conventional xfs again; }
t_truncated_conventional_tmpfs() { t_truncated_conventional tmpfs; }

# Data added behind the write pointer is not shown until the zone is written there or added again.
t_extended() {
	begin ext4
	head -c 65536 /dev/urandom >> "$F"
	steps "$DEV" <<-END
	report z1 = IMP_OPEN +1m
	read z1+1m 64k zero = ok
	write z1+1m 64k seed=2 = ok
	read z1+1m 64k seed=2 = ok
	consistent all = ok
	END
	# Beyond the capacity as well.
	truncate -s 8m "$BDIR/0/seq-000003"
	steps "$DEV" <<-END
	report z3 = IMP_OPEN +64k
	read z3 64k = ok
	write z3+64k 64k seed=2 = ok | EIO
	read z3 64k = ok
	consistent all = ok
	END
	usable z1
	usable z3
}

# A deleted file: the device has it, or says that it cannot be had. The next add refuses the directory.
t_deleted() {
	begin ext4
	rm "$F" "$BDIR/0/seq-000006"
	steps "$DEV" <<-END
	read z1 1m = ok | EIO
	report z1 = IMP_OPEN +1m | CLOSED +1m
	write z6 64k = ok | EIO
	write z4 64k = ok
	reset z1 = ok | EIO
	fsync = ok | EIO
	consistent all = ok
	END
	remove
	add_expect EINVAL/ENOENT "$O"
	expect "zone files" 6 "$(find "$BDIR/0" -name 'cnv-*' -o -name 'seq-*' | wc -l)"
}

# Nothing is asked of the mode of a file again.
t_chmod() {
	begin ext4
	chmod 000 "$BDIR"/0/*
	steps "$DEV" <<-END
	read z1 1m = ok
	write z1+1m 64k seed=2 = ok
	write z5 64k = ok
	reset z2 = ok
	END
	remove
	add "$O"
	steps "$DEV" <<-END
	read z1 1m = ok
	read z1+1m 64k seed=2 = ok
	END
}

# immutable FLAG: a file that may not be changed, or only be added to: what is refused changes nothing, and works
# when it is allowed again.
immutable() {
	begin ext4
	must chattr "+$1" "$F" "$BDIR/0/seq-000005"
	steps "$DEV" <<-END
	read z1 1m = ok
	reset z1 = EIO | EPERM
	report z1 = IMP_OPEN +1m | CLOSED +1m
	read z1 1m = ok
	END
	step "$DEV" "write z1+1m 64k seed=2"
	case $REPLY in
	ok) steps "$DEV" <<< "report z1 = IMP_OPEN +1088k" ;;
	EIO | EPERM) steps "$DEV" <<< "report z1 = IMP_OPEN +1m | CLOSED +1m" ;;
	*) fail "write: $REPLY" ;;
	esac
	must chattr "-$1" "$F" "$BDIR/0/seq-000005"
	steps "$DEV" <<-END
	write z5 64k = ok
	read z1 1m = ok
	END
	usable z1
}

t_immutable() { immutable i; }
t_append_only() { immutable a; }

# Another file, a directory or a link in the place of one: the device does not follow. The next add does, if it is a
# regular file of a size that can be.
t_replaced() {
	begin ext4
	head -c 131072 /dev/zero > "$BDIR/0/other"
	mv "$BDIR/0/other" "$F"
	rm "$BDIR/0/seq-000003"
	ln -s /etc/hostname "$BDIR/0/seq-000003"
	rm "$BDIR/0/seq-000004"
	mkdir "$BDIR/0/seq-000004"
	steps "$DEV" <<-END
	read z1 1m = ok | EIO
	write z1+1m 64k = ok | EIO
	reset z3 = ok | EIO
	write z4 64k = ok | EIO
	consistent all = ok
	END
	expect "the file in the place of another" 131072 "$(stat -c %s "$F")"
	remove
	expect "the file in the place of another" 131072 "$(stat -c %s "$F")"
	[ -s /etc/hostname ] || fail "the target of the link was changed"
	add_expect EINVAL/ELOOP/EISDIR "$O"
	rm "$BDIR/0/seq-000003"
	rmdir "$BDIR/0/seq-000004"
	: > "$BDIR/0/seq-000003"
	: > "$BDIR/0/seq-000004"
	add "$O"
	steps "$DEV" <<-END
	report z1 = CLOSED +128k
	read z1 128k zero = ok
	report z3 = EMPTY
	END
}

# Two zones' files change names: the open device stays with the files that it has, or finds the others; either way no
# zone shows the data of another one as its own at the same write pointer.
t_exchanged() {
	begin ext4
	mv "$F" "$BDIR/0/t"
	mv "$BDIR/0/seq-000003" "$F"
	mv "$BDIR/0/t" "$BDIR/0/seq-000003"
	steps "$DEV" <<-END
	read z1 1m = ok | EIO
	read z3 64k = ok | EIO
	END
	remove
	add "$O"
	steps "$DEV" <<-END
	report z1 = CLOSED +64k
	report z3 = CLOSED +1m
	END
}

# While the file is of a size that it cannot have, the zone is in doubt; once it is put right, the next report says so,
# and does not leave the block layer with what it has of a read-only zone.
t_odd_size() {
	begin xfs
	remove
	add "$O"
	truncate -s 1000000 "$F"
	steps "$DEV" <<< "write z1+1m 64k seed=2 = EIO"
	truncate -s 1048576 "$F"
	steps "$DEV" <<-END
	report z1 = CLOSED +1m
	creport z1 = ACTIVE +1m
	write z1+1m 64k seed=2 = ok
	END
	remove
	add "$O"
	truncate -s 1000000 "$F"
	steps "$DEV" <<-END
	write z1+1088k 64k seed=3 = EIO
	report z1 = READONLY
	END
	usable z1
}

# No blocks can be had for a write to a zone whose file was cut off. That they cannot be had ahead of it, either, does not
# make the file as long as it was.
t_cut_without_space() {
	new_loop 320
	make_fs xfs "$LOOP"
	mount_backing "$LOOP" uquota
	add "$O,prealloc_kb=1024"
	F=$BDIR/0/seq-000001
	# The first request of a zone has nothing allocated ahead.
	steps "$DEV" <<< "write z1 64k = ok"
	must chown 1234 "$F"
	truncate -s 16k "$F"
	must xfs_quota -x -c "limit bhard=4k 1234" "$BDIR"
	steps "$DEV" <<-END
	write z1+64k 64k = EIO | ENOSPC | EDQUOT
	report z1 = IMP_OPEN +16k
	read z1 16k = ok
	END
	expect "size of the file" 16384 "$(stat -c %s "$F")"
	must xfs_quota -x -c "limit bhard=0 1234" "$BDIR"
	usable z1
}

# The directory is moved away, and another is in its place.
t_directory() {
	begin ext4
	mv "$BDIR/0" "$BDIR/moved"
	mkdir "$BDIR/0"
	steps "$DEV" <<-END
	write z1+1m 64k seed=2 = ok
	read z1 1m = ok
	write z5 64k = ok
	reset z2 = ok
	fsync = ok
	END
	remove
	expect "files in the other directory" "" "$(ls -A "$BDIR/0")"
	rmdir "$BDIR/0"
	mv "$BDIR/moved" "$BDIR/0"
	add "$O"
	steps "$DEV" <<-END
	read z1 1m = ok
	read z1+1m 64k seed=2 = ok
	read z5 64k = ok
	report z2 = EMPTY
	END
}

# The first to use a zone is told that its file was changed. A write that comes at the same time does not go to where the
# write pointer was.
t_found_by_another() {
	local i rounds
	scaled 8 2
	rounds=$REPLY
	delayed_disk xfs
	add "$O"
	for ((i = 0; i < rounds; i++)); do
		steps "$DEV" <<-END
		reset z1 = ok
		write z1 1m = ok
		fsync = ok
		END
		remove
		add "$O"
		truncate -s 512k "$BDIR/0/seq-000001"
		disk_slow $((1000 * ZLOOP_SLOWNESS))
		"$ZBDTOOL" script "$DEV" <<< "read z1 4k" &> /dev/null &
		undo pid $!
		step "$DEV" "write z1+1m 64k"
		wait $!
		disk_fast
		expect "write $i" EIO "$REPLY"
		steps "$DEV" <<< "report z1 = CLOSED +512k"
	done
}

# A second writer in the same file, all the time.
t_meddling() {
	local pid out others
	backing xfs
	add "capacity_mb=64,zone_size_mb=4,conv_zones=1,nr_queues=2${1:+,$1}"
	while :; do
		truncate -s $((RANDOM % 1024 * 4096)) "$BDIR/0/seq-00000$((1 + RANDOM % 4))" || break
	done 2> /dev/null &
	pid=$!
	undo pid "$pid"
	"$ZBDTOOL" hammer "$DEV" --threads 2 --first 5 --zones 4 --seconds 5 --manage &> "$ZL_T/others" &
	others=$!
	undo pid "$others"
	out=$("$ZBDTOOL" hammer "$DEV" --threads 2 --first 1 --zones 4 --seconds 5 --manage --reporters 1 --allow EIO --allow READONLY 2>&1)
	diag "$out"
	# Data is lost where it was cut off, and only there. A zone is in doubt while its state is taken from its file.
	wait "$others" || fail "zones that nobody has cut: $(< "$ZL_T/others")"
	kill "$pid"
	wait "$pid" 2> /dev/null
	[[ $out == *writes=[1-9]* ]] || fail "no load"
	[[ $out != *report:* ]] || fail "a report contradicts itself"
	steps "$DEV" <<-END
	consistent all = ok
	reset z1-4 = ok
	write z1 64k = ok
	read z1 64k = ok
	END
	remove
}

t_meddling_plain() { t_meddling ""; }
t_meddling_inline() { t_meddling submit_inline=1,prealloc_kb=1024,fua=1; }

tap_run t_truncated_ext4 "cut off, ext4"
tap_run t_truncated_xfs "cut off, XFS"
tap_run t_truncated_tmpfs "cut off, tmpfs"
tap_run t_cut_for_good_xfs "cut off and added again, XFS"
tap_run t_cut_for_good_ext4 "cut off and added again, ext4"
tap_run t_cut_for_good_discard "cut off and added again, discard_write_cache"
tap_run t_truncated_conventional_ext4 "the file of a conventional zone cut off, ext4"
tap_run t_truncated_conventional_xfs "the same on XFS, before it is used"
tap_run t_truncated_conventional_tmpfs "the same on tmpfs"
tap_run t_extended "made longer"
tap_run t_deleted "deleted"
tap_run t_chmod "without permissions"
tap_run t_immutable "immutable"
tap_run t_append_only "append-only"
tap_run t_replaced "replaced by a file, a link, a directory"
tap_run t_exchanged "two files exchanged"
tap_run t_odd_size "a size that the file of a zone cannot have"
tap_run t_found_by_another "cut off, found by a read and a write at once"
tap_run t_cut_without_space "cut off, and no blocks for the next write"
tap_run t_directory "the directory moved away"
tap_run t_meddling_plain "cut off all the time, under load"
tap_run t_meddling_inline "cut off all the time, under load, the short way"
tap_end
