# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the fs suite does to a mounted file system, and how it sees later that
# nothing of it was lost. Sourced.

# shellcheck source=tools/testing/suites/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# The tree that gets copied, and where its checksums are.
tree=$(mktemp -d /tmp/fs-tree.XXXXXX)

# prepare_tree DIRECTORY
prepare_tree() {
	cp -r "$1/." "$tree" || bail "cannot copy $1"
	manifest "$tree" >"$tree.sums"
	[[ -s $tree.sums ]] || bail "there is no file in $1"
}

# manifest DIRECTORY: size and checksum of every file, in a fixed order.
manifest() {
	(
		cd "$1" || exit
		find . -type f -not -path './lost+found/*' -printf '%s %p\n' | sort -k2
		find . -type f -not -path './lost+found/*' -print0 | sort -z | xargs -0r sha256sum
	)
}

# From here on, reads come from the device.
drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# load_tree DIRECTORY: copy the tree, read it back from the device, and leave a
# changed copy of it behind, so that deleted and overwritten files are there too.
load_tree() {
	cp -r "$tree" "$1/tree" && cp -r "$tree" "$1/half" || return
	find "$1/half" -type f -name '[a-m]*' -delete
	find "$1/half" -type f -name '[n-z]*' -exec sh -c 'for f; do echo tail >>"$f"; done' sh {} + || return
	drop_caches
	manifest "$1/tree" | diff "$tree.sums" -
}

# load_fio DIRECTORY SIZE ARGUMENT...: fio writes and verifies what it wrote.
load_fio() {
	mkdir -p "$1" || return
	fio --name=verified --directory="$1" --size="$2" --ioengine=libaio --iodepth=8 \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=4711 --group_reporting \
		--output-format=terse "${@:3}"
}

# edit_script SEED COUNT DIRECT: a random sequence of operations on one file,
# in the language of xfs_io, as fsx does them: writes, mapped writes, cuts,
# holes (but with no_holes), syncs. It is the same for the same seed.
edit_script() {
	local i size=0 off len max=$((2 << 20)) grain=1
	RANDOM=$1
	[[ $3 == direct ]] && grain=4096
	for ((i = 0; i < $2; i++)); do
		off=$(((RANDOM << 15 | RANDOM) % max / grain * grain))
		len=$(((RANDOM << 3 | RANDOM) % (128 << 10) / grain * grain + grain))
		case $((RANDOM % 10)) in
		[0-4])
			echo "pwrite -q -S $((RANDOM % 255 + 1)) $off $len"
			((size >= off + len)) || size=$((off + len))
			;;
		5)
			echo "truncate $off"
			size=$off
			;;
		6)
			((off + len <= size && !${no_holes:-0})) || continue
			echo "fpunch $off $len"
			;;
		7)
			((off + len <= size && grain == 1)) || continue
			echo "mmap $((off / 4096 * 4096)) $((len + off % 4096))"
			echo "mwrite -S $((RANDOM % 255 + 1)) $off $len"
			echo munmap
			;;
		8) echo fdatasync ;;
		9)
			((off < size)) || continue
			echo "pread -q $off $len"
			;;
		esac
	done
	echo fsync
	echo quit
}

# load_edit DIRECTORY SEED COUNT buffered|direct: the same operations on a file
# of the file system and on one of the scratch file system must have the same
# result.
load_edit() {
	local name=edit.$4.$2 flags=(-f) target
	[[ $4 != direct ]] || flags+=(-d)
	edit_script "$2" "$3" "$4" >"/tmp/$name.script"
	for target in "$1" "$scratch"; do
		rm -f "$target/$name"
		xfs_io "${flags[@]}" "$target/$name" <"/tmp/$name.script" >"/tmp/$name.out" 2>&1 || {
			cat "/tmp/$name.out"
			return 1
		}
		# An operation that one of the two does not know would be a difference
		# that says nothing of the device.
		if grep -v '^xfs_io> *$' "/tmp/$name.out" | grep .; then return 1; fi
	done
	drop_caches
	cmp "$1/$name" "$scratch/$name" || return
	[[ -s $1/$name ]] || {
		echo "$name is empty"
		return 1
	}
	rm "$scratch/$name"
}

# load_churn DIRECTORY MEBIBYTES: write that much in files of which only four
# are kept, so that the file system has to reset zones and use them again.
load_churn() {
	local i sum
	for ((i = 0; i < $2 / 8; i++)); do
		head -c 8M /dev/urandom >"$1/churn.new" && sync "$1/churn.new" || return
		sum=$(sha256sum <"$1/churn.new")
		mv "$1/churn.new" "$1/churn.$((i % 4))" || return
		echo "$sum" >"$1/churn.$((i % 4)).sum"
	done
	drop_caches
	for ((i = 0; i < 4; i++)); do
		[[ $(sha256sum <"$1/churn.$i") == "$(<"$1/churn.$i.sum")" ]] || return
	done
}

