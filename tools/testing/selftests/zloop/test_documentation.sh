#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user documentation: its examples run as printed and print what is printed there, commands fail with the errno and
# the message that it names, and every option is in it. The last section of the document explains the marks.

. "$(dirname "$0")/lib.sh"
with_udev

DOC=$ZL_DIR/../../../../Documentation/admin-guide/blockdev/zoned_loop.rst
BLOCKS=$(mktemp -d) || tap_bail "mktemp failed"
trap 'rm -rf "$BLOCKS"' EXIT

# Splits the document: the N-th block of section S goes to $BLOCKS/S@N.KIND. $BLOCKS/sections has a line "S TITLE" for
# each section that has something to run. Code without a mark goes to KIND "unmarked".
extract() {
	awk -v dir="$BLOCKS" '
		function new_section(line) {
			title = line
			section = tolower(line)
			gsub(/[^a-z0-9]+/, "_", section)
			known = 0
		}
		function new_block(kind, lang) {
			if (kind == "" && lang ~ /^(none|text)$/)
				return
			if (kind == "")
				kind = "unmarked"
			if (kind != "not-run" && !known++)
				print section, title > (dir "/sections")
			out = sprintf("%s/%s@%03d.%s", dir, section, ++n, kind)
			printf "" > out
		}
		function end_block() { if (out) close(out); out = ""; mark = "" }
		/^(===+|---+)$/ && last != "" && length(last) <= length($0) && last !~ /^[ =-]/ { new_section(last) }
		/^\.\. zloop-test: / { end_block(); mark = $3; next }
		/^\.\. code-block:: / { kind = mark; end_block(); new_block(kind, $3); started = 0; next }
		out && /^   / { started = 1; print substr($0, 4) > out; next }
		out && /^$/ { if (started) print "" > out; next }
		out { end_block() }
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

# The pairs "command" and "errno message" of file $1; a message goes on in lines that are indented further. The log is
# read once for all of them.
check_errors() {
	local line command='' errno='' message='' messages=() log

	klog_mark
	while IFS= read -r line || [ -n "$command" ]; do
		case $line in
		'            '*) message+=" ${line#"${line%%[! ]*}"}" ;;
		'   '*) read -r errno message <<< "$line" ;;
		*)
			if [ -n "$command" ]; then
				ctl_expect "$errno" "$command"
				messages+=("$message")
			fi
			command=$line
			errno=
			message=
			;;
		esac
	done < "$1"
	log=$(klog_since "$ZL_MARK")
	line=$log
	for message in "${messages[@]}"; do
		[[ $line == *"zloop: $message"$'\n'* || $line == *"zloop: $message" ]] || fail "no message '$message' in: $log"
		line=${line#*"zloop: $message"}
	done
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

# What the blocks of section $1 need and not every system has.
needs() {
	local block text tool

	for block in "$BLOCKS/$1"@*.run; do
		[ -e "$block" ] || return
		text=$(< "$block")
		for tool in fio mkfs.btrfs mkzonefs mkfs.ext4 mkfs.xfs getfattr; do
			[[ $text == *"$tool"* ]] || continue
			command -v "$tool" > /dev/null || skip "no $tool"
			[ "$tool" != mkfs.xfs ] || [[ $(mkfs.xfs 2>&1) == *zoned* ]] || skip "mkfs.xfs does not know zoned XFS"
		done
	done
}

run_section() {
	local block

	needs "$1"
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
	for block in "$BLOCKS/$1"@*; do
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

# The definition list in "Options of add" has the options that the control device lists, and no others.
t_options() {
	local line last='' inside=0 documented=' ' options option

	while IFS= read -r line; do
		case $line in
		===*) if [ "$last" = "Options of add" ]; then inside=1; else inside=0; fi ;;
		esac
		if [ "$inside" -eq 1 ] && [[ $line =~ ^\`\`([a-z_]+)(=[^\`]*)?\`\`$ ]]; then
			documented+="${BASH_REMATCH[1]} "
		fi
		last=$line
	done < "$DOC"
	read -r line < "$ZL_CTL"
	IFS=',' read -r -a options <<< "${line#add }"
	for option in "${options[@]%%=*}"; do
		[[ $documented == *" $option "* ]] || fail "the option $option is not documented"
		documented=${documented/" $option "/" "}
	done
	expect "documented, but no options" ' ' "$documented"
}

[ -r "$DOC" ] || tap_bail "no $DOC"
extract
[ -s "$BLOCKS/sections" ] || tap_bail "no examples in $DOC"

tap_run t_options "every option is documented"
while read -r section title <&3; do
	eval "t_$section() { run_section $section; }"
	tap_run "t_$section" "section '$title'"
done 3< "$BLOCKS/sections"
tap_end
