#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-shim's virtio-pci devices in their lives: interrupts and CPUs that move under I/O, drivers that leave and come
# back, a guest without MSI, packed rings, a machine reset under I/O, a back-end that dies.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
add_tap pvkit0 0 2
start_iperf 0

# CPUs first: one that goes while an interrupt has been moved and did not come yet is worth a warning to the kernel.
shim moving 6.12 guest.run=hotcpu,affinity,rebind --memory 512M --cpus 4 --disk "$(guest_disk moving)" \
	--net link=tap:pvkit0,queue-pairs=2
guest_works '4 CPUs, 4 queues, 2 pairs' moving hotcpu,affinity,rebind

shim nomsi 6.1 'guest.run=storage,net,rebind guest.mebibytes=16 guest.seconds=1 guest.rebinds=1 pci=nomsi' \
	--memory 512M --cpus 2 --disk "$(guest_disk nomsi)" --net link=tap:pvkit0
guest_works 'INTx' nomsi storage,net,rebind

shim packed 6.12 'guest.run=storage,net,rebind guest.mebibytes=16 guest.seconds=1 guest.rebinds=1' --memory 512M \
	--cpus 2 --disk "$(guest_disk packed),packed" --net link=tap:pvkit0,queue-pairs=2,packed
guest_works 'packed rings' packed storage,net,rebind

shim reboot 6.1 'guest.run=rebootonce,storage,net guest.mebibytes=16 guest.seconds=1' --memory 512M --cpus 2 \
	--on-reboot=restart --disk "$(guest_disk reboot)" --net link=tap:pvkit0
guest_works 'a reset under I/O' reboot rebootonce,storage,net
ok 'a reset under I/O: two boots' same boots "$(grep -c '^@@ up' "$scratch/reboot.log")" 2

truncate -s 64M "$scratch/grow.img"
spawn grow "$BUILD/pvkit-blkd" --socket-path="$scratch/grow.sock" --blk-file="$scratch/grow.img"
within 10 test -S "$scratch/grow.sock"
shim growing 6.12 guest.run=resize --memory 256M --cpus 1 --disk "vhost-user=$scratch/grow.sock"
ok 'a disk that grows: the guest is ready' within 120 grep -q '^@@ ready resize' "$scratch/growing.log"
truncate -s 96M "$scratch/grow.img"
kill -HUP "${pid_of[grow]}"
guest_works 'a disk that grows' growing resize
ok 'a disk that grows: by the right amount' same sectors "$(guest_figure growing sectors_after)" $((96 * 2048))

truncate -s 128M "$scratch/lost.img"
spawn blkd "$BUILD/pvkit-blkd" --socket-path="$scratch/blkd.sock" --blk-file="$scratch/lost.img" --num-queues=2
within 10 test -S "$scratch/blkd.sock"
shim lost 6.12 guest.run=lostdisk,net --memory 512M --cpus 2 --disk "vhost-user=$scratch/blkd.sock" \
	--net link=tap:pvkit0
ok 'a lost back-end: the guest reads' within 120 grep -q '^@@ ready lostdisk' "$scratch/lost.log"
stop blkd KILL
ok 'a lost back-end: the guest ends' status_is 0 reap lost 120
ok 'a lost back-end: lostdisk' step_passed lost lostdisk
ok 'a lost back-end: the network goes on' step_passed lost net
ok 'a lost back-end: the shim names it' says "$scratch/lost.log" '^pvkit-shim: disk 1: the back-end is lost: '

finished
