#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-netd with DPDK's virtio_user as its front-end: a driver in user space, which polls, knows no control queue
# of ours, and answers pings (testpmd's icmpecho).
set -u
. tests/lib.sh
command -v dpdk-testpmd >/dev/null || skip_all 'no dpdk-testpmd: install dpdk-dev'
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start

try() { # NAME N DEVICE-OPTIONS TESTPMD-OPTIONS
	local name=$1 n=$2
	add_tap "tap$n" "$n" 2
	spawn "netd$n" "$BUILD/pvkit-netd" --socket-path="$scratch/$n.sock" --link="tap:tap$n" --queue-pairs=2
	ok "$name: the daemon starts" within 10 test -S "$scratch/$n.sock"
	# shellcheck disable=SC2086
	spawn "testpmd$n" dpdk-testpmd -l 0-1 --no-huge -m 256 --no-pci --no-telemetry --file-prefix="pvkit$$-$n" \
		--vdev="net_virtio_user0,path=$scratch/$n.sock,mac=52:54:00:99:0$n:02,$3" -- \
		--no-mlockall --forward-mode=icmpecho --auto-start --stats-period 60 --total-num-mbufs=4096 $4
	ok "$name: testpmd starts" within 30 grep -q 'Press enter to exit\|Port statistics' "$scratch/testpmd$n.log"
	ok "$name: 200 pings are answered" ping -q -c 200 -i 0.01 -W 5 "10.99.$n.2"
	ok "$name: large ones too" ping -q -c 20 -i 0.05 -W 5 -s 1400 "10.99.$n.2"
	ok "$name: testpmd ends" status_is 0 stop "testpmd$n" INT
	ok "$name: the daemon is still there" alive "netd$n"
	ok "$name: the daemon ends at SIGTERM" status_is 0 stop "netd$n"
}

try 'split ring' 1 queues=1 ''
try 'packed ring' 2 queues=1,packed_vq=1 ''
try 'two pairs' 3 queues=2 '--rxq=2 --txq=2'

finished
