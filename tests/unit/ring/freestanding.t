#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0
# ring/ needs no libc: built as a kernel would build it, it asks for nothing but what a compiler may
# ask of any environment. Run from the repository root.

CC=${CC:-gcc}
number=0 failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		[ -s "$work/log" ] && sed 's/^/# /' "$work/log"
		failed=1
	fi
}

build() {
	for source in ring/*.c; do
		"$CC" -std=gnu11 -ffreestanding -nostdlib -mgeneral-regs-only -mno-red-zone \
			-fno-strict-aliasing -Wall -Wextra -Wno-unused-parameter -Werror "$1" -I. \
			-c -o "$work/$(basename "$source" .c).o" "$source" || return 1
	done
	ld -r -o "$work/ring$1" "$work"/*.o && rm "$work"/*.o
}

needs_nothing() {
	nm -u "$work/ring$1" >"$work/undefined" || return 1
	! grep -Ev ' (memcpy|memset)$' "$work/undefined"
}

# Initialised or zeroed data would be state shared by all queues. Constants are .rodata.
no_state() {
	! nm "$work/ring$1" | grep -E ' [bBdDC] '
}

for level in -O0 -O2 -O3; do
	build $level >"$work/log" 2>&1
	result $? "ring/ compiles without a libc at $level"
	needs_nothing $level >"$work/log" 2>&1
	result $? "undefined at $level: memcpy and memset at most"
	no_state $level >"$work/log" 2>&1
	result $? "no variables at $level"
done
echo "1..$number"
exit $failed
