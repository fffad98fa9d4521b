#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-blkd and pvkit-netd under QEMU on KVM: kicks and interrupts through ioeventfds and irqfds, MSI-X, several
# queues, vectors that move.
set -u
. tests/lib.sh
command -v qemu-system-x86_64 >/dev/null || skip_all 'no QEMU'
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start

truncate -s 128M "$scratch/a.img"
add_tap tap0 0 2
ok 'iperf3 listens' start_iperf
spawn blkd "$BUILD/pvkit-blkd" --socket-path="$scratch/blk.sock" --blk-file="$scratch/a.img" --num-queues=2
spawn netd "$BUILD/pvkit-netd" --socket-path="$scratch/net.sock" --link=tap:tap0 --queue-pairs=2
ok 'the block daemon starts' within 10 test -S "$scratch/blk.sock"
ok 'the network daemon starts' within 10 test -S "$scratch/net.sock"
accelerator=kvm qemu guest 6.1 2 'pvkit.run=storage,net,affinity pvkit.mebibytes=16 pvkit.seconds=1' \
	-chardev "socket,id=blk,path=$scratch/blk.sock" \
	-device vhost-user-blk-pci,chardev=blk,num-queues=2 \
	-chardev "socket,id=net,path=$scratch/net.sock" \
	-netdev vhost-user,id=net,chardev=net,queues=2 \
	-device virtio-net-pci,netdev=net,mq=on,vectors=6,romfile=
ok 'the guest ends' status_is 0 reap guest 120
ok 'a file system with checksums' step_passed guest storage
ok 'ping, and iperf3 both ways' step_passed guest net
ok 'interrupts that move under I/O' step_passed guest affinity
ok 'clean log' guest_log_clean guest
ok 'the image holds, seen from outside' image_intact "$scratch/a.img"
ok 'the block daemon ends at SIGTERM' status_is 0 stop blkd
ok 'the network daemon ends at SIGTERM' status_is 0 stop netd

finished
