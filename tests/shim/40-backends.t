#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-shim in front of what others wrote: qemu-storage-daemon's vhost-user-blk export and DPDK's net_vhost port.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start

if command -v qemu-storage-daemon >/dev/null; then
	truncate -s 128M "$scratch/a.img"
	spawn qsd qemu-storage-daemon --blockdev "driver=file,node-name=f,filename=$scratch/a.img,cache.direct=off" \
		--export "type=vhost-user-blk,id=e,addr.type=unix,addr.path=$scratch/qsd.sock,node-name=f,writable=on,num-queues=2"
	ok 'qemu-storage-daemon starts' within 20 test -S "$scratch/qsd.sock"
	shim qsd-guest 6.1 'guest.run=storage guest.mebibytes=16' --memory 512M --cpus 2 \
		--disk "vhost-user=$scratch/qsd.sock"
	ok 'qemu-storage-daemon: the guest ends' status_is 0 reap qsd-guest 90
	ok 'qemu-storage-daemon: a file system with checksums' step_passed qsd-guest storage
	ok 'qemu-storage-daemon: clean log' guest_log_clean qsd-guest
	ok 'qemu-storage-daemon: the image holds, seen from outside' image_intact "$scratch/a.img"
	stop qsd
else
	skip 'qemu-storage-daemon' 'not installed'
fi

if command -v dpdk-testpmd >/dev/null; then
	# It polls for ever: at a priority that leaves the CPUs to the guest.
	spawn testpmd nice -n 19 dpdk-testpmd -l 0-1 --no-huge -m 256 --no-pci --no-telemetry \
		--vdev "net_vhost0,iface=$scratch/vhost.sock,queues=1" -- \
		--no-mlockall --forward-mode=icmpecho --auto-start --stats-period 60 --total-num-mbufs=4096
	ok 'testpmd starts' within 40 test -S "$scratch/vhost.sock"
	shim dpdk-guest 6.12 'guest.run=net guest.only_ping=1 guest.gateway=10.99.0.1' --memory 256M --cpus 1 \
		--net "vhost-user=$scratch/vhost.sock"
	ok 'testpmd: the guest ends' status_is 0 reap dpdk-guest 120
	ok 'testpmd: it answers pings' step_passed dpdk-guest net
	ok 'testpmd: clean log' guest_log_clean dpdk-guest
	stop testpmd INT
else
	skip 'testpmd' 'not installed'
fi

finished
