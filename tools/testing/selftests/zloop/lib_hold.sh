#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A process that keeps a device open. One at a time.

# hold DEVICE [OPTIONS]: REPLY is "held" or the errno name.
hold() {
	mkfifo "$ZL_T/hold_in" "$ZL_T/hold_out"
	"$ZBDTOOL" hold "$@" < "$ZL_T/hold_in" > "$ZL_T/hold_out" &
	HOLDER=$!
	undo pid "$HOLDER"
	exec 7> "$ZL_T/hold_in" 8< "$ZL_T/hold_out"
	rm "$ZL_T/hold_in" "$ZL_T/hold_out"
	read -r REPLY <&8
}

# The process closes the device and ends.
release() {
	exec 7>&- 8<&-
	wait "$HOLDER"
}
