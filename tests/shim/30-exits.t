#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# How a guest ended is the shim's exit status, and however the shim ends, nothing of it is left: no process, no
# socket, no statistics page, no tap that it made.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
export TMPDIR=$scratch/tmp
mkdir "$TMPDIR"
truncate -s 64M "$scratch/disk.img"
add_tap pvkit0 0 2

boot() { # NAME END OPTION…
	local name=$1 end=$2
	shift 2
	shim "$name" 6.1 "guest.end=$end" --memory 256M --cpus 2 --disk "path=$scratch/disk.img" \
		--net link=tap:pvkit0 "$@"
}

nothing_left() {
	local left
	left=$(pgrep -l '^pvkit-' || true)
	left=$left$(find "$PVKIT_STATS_DIR" "$TMPDIR" -mindepth 1 2>/dev/null)
	left=$left$(ip -o link show up | grep -vE ': (lo|pvkit0)' || true)
	[ -z "$left" ] || {
		echo "left behind: $left"
		return 1
	}
}

boot off poweroff
ok 'power-off: status 0' status_is 0 reap off 90
ok 'power-off: nothing is left' within 5 nothing_left
boot again reboot_once
ok 'reset: the guest boots again, then powers off' status_is 0 reap again 150
ok 'reset: it was up twice' same 'number of boots' "$(grep -c '^@@ up' "$scratch/again.log")" 2
boot reboot reboot --on-reboot exit
ok 'reset with --on-reboot exit: status 3' status_is 3 reap reboot 90
ok 'reset: nothing is left' within 5 nothing_left
boot panic panic
ok 'panic: status 4' status_is 4 reap panic 90
ok 'panic: nothing is left' within 5 nothing_left

for signal in INT TERM KILL; do
	boot "on-$signal" halt
	ok "SIG$signal: the guest is up" within 90 grep -q '^@@ log end' "$scratch/on-$signal.log"
	ok "SIG$signal: its daemons are there" same 'number of daemons' "$(pgrep -c '^pvkit-(blkd|netd)')" 2
	stop "on-$signal" "$signal"
	status=$?
	ok "SIG$signal: a status other than 0" [ "$status" -ne 0 ]
	[ "$signal" != KILL ] || rm -f "$PVKIT_STATS_DIR"/pvkit-shim.*
	ok "SIG$signal: nothing is left" within 5 nothing_left
done
ok 'the tap that was there before is there still' ip link show pvkit0

finished
