#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-netd under QEMU: a stock guest's traffic through a tap, one queue pair and two, split and packed rings. QEMU
# answers the control queue itself. Without MSI-X (vectors=0): under emulation QEMU 7.2 crashes when a guest masks a
# vector of a vhost-user netdev; tests/shim/60-qemu-kvm.t has it with MSI-X.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start

run_guest() { # NAME KERNEL TAP N PAIRS DEVICE-OPTIONS STEPS
	local name=$1 kernel=$2 tap=$3 n=$4 pairs=$5 options=$6
	add_tap "$tap" "$n" "$pairs"
	spawn "netd-$name" "$BUILD/pvkit-netd" --socket-path="$scratch/$name.sock" --link="tap:$tap" --queue-pairs="$pairs"
	ok "$name: the daemon starts" within 10 test -S "$scratch/$name.sock"
	ok "$name: iperf3 listens" start_iperf "$n"
	qemu "$name" "$kernel" 2 "guest.run=net guest.seconds=2 guest.streams=$pairs guest.address=10.99.$n.2 guest.gateway=10.99.$n.1" \
		-chardev "socket,id=net,path=$scratch/$name.sock" \
		-netdev "vhost-user,id=net,chardev=net,queues=$pairs" \
		-device "virtio-net-pci,netdev=net,mac=52:54:00:99:0$n:02,romfile=,$options"
	ok "$name: the guest ends" status_is 0 reap "$name" 240
	ok "$name: ping, and iperf3 both ways" step_passed "$name" net
	ok "$name: the guest saw $pairs queue pairs" says "$scratch/$name.log" "52:54:00:99:0$n:02, $pairs queue pairs"
	ok "$name: clean log" guest_log_clean "$name"
	ok "$name: the daemon ends at SIGTERM" status_is 0 stop "netd-$name"
	stop "iperf$n"
}

run_guest one-pair 6.1 tap1 1 1 mq=off,vectors=0
run_guest two-pairs 6.12 tap2 2 2 mq=on,vectors=0
run_guest packed 6.12 tap3 3 2 mq=on,vectors=0,packed=on

finished
