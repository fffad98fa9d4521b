#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# PV mode with pvkit's own modules in stock kernels: a disk and a NIC on PV beside a pair on virtio in one guest,
# interrupts that move under I/O, modules that are unloaded under I/O, a reboot with devices connected.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
add_tap pvkit0 0 1
add_tap pvkit1 1 2
start_iperf 0
start_iperf 1

both() { # KERNEL CPUS
	local name=both-$1 title="Linux $1, $2 CPUs, both buses"
	local steps='pv,storage,storage@pv,net,net@pv,affinity@pv,reload@pv'
	shim "$name" "$1" "guest.run=$steps guest.mebibytes=16 guest.seconds=1 guest.pv_nics=1 guest.pv_nic=eth1 \
guest.pv_address=10.99.1.2 guest.pv_gateway=10.99.1.1 guest.move_seconds=4" --memory 512M --cpus "$2" \
		--disk "$(guest_disk "$name-virtio")" --disk "$(guest_disk "$name-pv"),bus=pv" \
		--net link=tap:pvkit0 --net "link=tap:pvkit1,bus=pv,queue-pairs=2"
	guest_works "$title" "$name" "$steps"
	ok "$title: no daemon is left" no_daemon
}

no_daemon() { ! pgrep -l '^pvkit-'; }

both 6.1 2
both 6.12 4

finished
