#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user documentation: its examples run as printed and print what is printed there, commands fail with the errno and
# the message that it names, and every option is in it. The last section of the document explains the marks.

. "$(dirname "$0")/lib.sh"

DOC=$ZL_DIR/../../../../Documentation/admin-guide/blockdev/zoned_loop.rst
BLOCKS=$(mktemp -d) || tap_bail "mktemp failed"
trap 'rm -rf "$BLOCKS"' EXIT

# Splits the document: the N-th block of section S goes to $BLOCKS/S/NNN.KIND, the title of S to $BLOCKS/S/title. Code
# without a mark goes to KIND "unmarked".
extract() {
	awk -v dir="$BLOCKS" '
		function close_block() { if (out) close(out); out = ""; pending = "" }
		function new_section(title) {
			section = tolower(title)
			gsub(/[^a-z0-9]+/, "_", section)
			known = 0
			name = title
		}
		function new_block(kind, lang) {
			if (kind == "" && lang ~ /^(none|text)$/)
				return
			if (!known++) {
				system("mkdir -p " dir "/" section)
				print name > (dir "/" section "/title")
				close(dir "/" section "/title")
				print section > (dir "/order")
			}
			out = sprintf("%s/%s/%03d.%s", dir, section, ++n, kind == "" ? "unmarked" : kind)
			printf "" > out
		}
		/^(===+|---+)$/ && last != "" && length(last) <= length($0) && last !~ /^[ =-]/ { new_section(last) }
		/^\.\. zloop-test: / { close_block(); pending = $3; last = $0; next }
		/^\.\. code-block:: / { kind = pending; close_block(); new_block(kind, $3); started = 0; last = $0; next }
		out && /^   / { started = 1; print substr($0, 4) > out; last = $0; next }
		out && /^$/ { if (started) print "" > out; last = $0; next }
		out { close_block() }
		{ last = $0 }
	' "$DOC"
}

# The output of the section so far must have the lines of file $1, in this order.
check_output() {
	local want line words i=0

	mapfile -t lines < "$OUTPUT"
	while read -r -a words; do
		want=${words[*]}
		[ -n "$want" ] || continue
		want=${want//\\/\\\\}
		want=${want//\*/\\*}
		want=${want//\?/\\?}
		want=${want//\[/\\[}
		want=${want//.../*}
		for (( ; i < ${#lines[@]}; i++)); do
			read -r -a line <<< "${lines[i]}"
			# shellcheck disable=SC2053 # the right side is a pattern on purpose
			[[ ${line[*]} == $want ]] && break
		done
		[ "$i" -lt "${#lines[@]}" ] || fail "no such line in the output: ${words[*]}; output: $(< "$OUTPUT")"
		i=$((i + 1))
	done < "$1"
	: > "$OUTPUT"
}

# The pairs "command" and "errno message" of file $1; a message goes on in lines that are indented further.
check_errors() {
	local line command='' errno='' message=''

	while IFS= read -r line || [ -n "$command" ]; do
		case $line in
		'            '*) message+=" ${line#"${line%%[! ]*}"}" ;;
		'   '*) read -r errno message <<< "$line" ;;
		*)
			if [ -n "$command" ]; then
				klog_mark
				ctl_expect "$errno" "$command"
				[ -z "$message" ] || klog_has "$message"
			fi
			command=$line
			errno=
			message=
			;;
		esac
	done < "$1"
}

check_unit() {
	local line

	while read -r line; do
		case $line in
		Environment=*)
			# shellcheck disable=SC2163 # an assignment
			export "${line#*=}"
			;;
		ExecStart=*)
			run "${line#*=}"
			;;
		ExecStop=*)
			[ -b /dev/zloop0 ] || fail "the unit was started, but there is no /dev/zloop0"
			run "${line#*=}"
			;;
		esac
	done < "$1"
}

# Runs a script and adds what it prints to the output of the section.
run() {
	local status
	bash -e -c "$1" >> "$OUTPUT" 2>&1 < /dev/null
	status=$?
	[ "$status" -eq 0 ] || fail "status $status of: $1; output: $(< "$OUTPUT")"
}

run_section() {
	local block tool

	for tool in fio mkfs.btrfs mkzonefs mkfs.ext4 getfattr; do
		if grep -qsw -e "$tool" "$BLOCKS/$1"/*.run && ! command -v "$tool" > /dev/null; then
			skip "no $tool"
		fi
	done
	if grep -qs 'mkfs.xfs.*zoned' "$BLOCKS/$1"/*.run && ! mkfs.xfs 2>&1 | grep -q zoned; then
		skip "mkfs.xfs does not know zoned XFS"
	fi
	backing_tmpfs ""
	mkdir -p /var/local/zloop
	must mount --bind "$BDIR" /var/local/zloop
	undo mount /var/local/zloop
	for block in 0 1 2 3; do
		undo dev "$block"
	done
	for block in zloop ramfs backing; do
		undo mount "/mnt/$block"
	done
	OUTPUT=$ZL_T/output
	: > "$OUTPUT"
	for block in "$BLOCKS/$1"/*.*; do
		case $block in
		*.run) run "$(< "$block")" ;;
		*.fails)
			! bash -c "$(< "$block")" >> "$OUTPUT" 2>&1 < /dev/null || fail "it succeeds: $(< "$block")"
			;;
		*.output) check_output "$block" ;;
		*.errors) check_errors "$block" ;;
		*.unit) check_unit "$block" ;;
		*.not-run) ;;
		*) fail "a block of code that is not marked: $(< "$block")" ;;
		esac
	done
	block=$(cd /sys/block && echo zloop*)
	[ "$block" = 'zloop*' ] || fail "the examples leave devices: $block"
}

t_options() {
	local options section option

	IFS=',' read -r -a options <<< "$(sed -n 's/^add //p' "$ZL_CTL")"
	[ "${#options[@]}" -ge 13 ] || fail "the control device lists ${#options[@]} options"
	section=$(sed -n '/^Options of add$/,/^Errors of commands$/p' "$DOC")
	for option in "${options[@]%%=*}"; do
		grep -Eq "^\`\`$option(=[^\`]*)?\`\`\$" <<< "$section" || fail "the option $option is not documented"
	done
	# And nothing else.
	# shellcheck disable=SC2016 # no commands
	expect "number of options" "${#options[@]}" "$(grep -Ec '^``[a-z_]+(=[^`]*)?``$' <<< "$section")"
}

[ -r "$DOC" ] || tap_bail "no $DOC"
extract
[ -s "$BLOCKS/order" ] || tap_bail "no examples in $DOC"

tap_run t_options "every option is documented"
mapfile -t sections < "$BLOCKS/order"
for section in "${sections[@]}"; do
	eval "t_$section() { run_section $section; }"
	tap_run "t_$section" "section '$(< "$BLOCKS/$section/title")'"
done
tap_end
