#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-blkd under QEMU: a stock guest's file system with checksums on several queues, split and packed rings,
# each engine, and a disk that grows under a running guest.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || true
start

blkd() { # NAME IMAGE OPTION…
	local name=$1 image=$2
	shift 2
	spawn "$name" "$BUILD/pvkit-blkd" --socket-path="$scratch/$name.sock" --blk-file="$image" "$@"
	within 10 test -S "$scratch/$name.sock"
}

guest() { # NAME KERNEL STEPS BLKD DEVICE-OPTIONS
	qemu "$1" "$2" 2 "guest.run=$3 guest.seconds=1" \
		-chardev "socket,id=blk,path=$scratch/$4.sock" \
		-device "vhost-user-blk-pci,chardev=blk,$5"
}

works() { # TITLE NAME STEPS IMAGE
	local title=$1 name=$2 steps=$3 step
	ok "$title: the guest ends" status_is 0 reap "$name" 240
	for step in ${steps//,/ }; do
		ok "$title: $step in the guest" step_passed "$name" "$step"
	done
	ok "$title: clean log" guest_log_clean "$name"
	ok "$title: the image holds, seen from outside" image_intact "$4"
}

truncate -s 256M "$scratch/a.img"
ok 'the daemon starts' blkd a "$scratch/a.img" --num-queues=2
guest guest 6.1 storage,fio a num-queues=2
works 'io_uring, 2 queues, Linux 6.1' guest storage,fio "$scratch/a.img"
ok 'the guest saw 2 queues' says "$scratch/guest.log" 'mkfs.ext4 on /dev/vda, 524288 sectors, 2 queues'
ok 'the daemon is there for the next front-end' alive a

# The same daemon serves a second guest, on packed rings.
guest packed 6.12 storage,fio a num-queues=2,packed=on
works 'packed rings, Linux 6.12' packed storage,fio "$scratch/a.img"
ok 'the daemon ends at SIGTERM' status_is 0 stop a

for engine in libaio threads; do
	truncate -s 0 "$scratch/e.img" && truncate -s 128M "$scratch/e.img"
	ok "$engine: the daemon starts" blkd $engine "$scratch/e.img" --engine=$engine --num-queues=2
	guest guest-$engine 6.12 storage $engine num-queues=2
	works $engine guest-$engine storage "$scratch/e.img"
	ok "$engine: the daemon ends at SIGTERM" status_is 0 stop $engine
done

truncate -s 64M "$scratch/grow.img"
ok 'the daemon starts' blkd grow "$scratch/grow.img"
guest growing 6.12 resize grow num-queues=1
ok 'the guest is ready for a larger disk' within 90 grep -q '^@@ ready resize' "$scratch/growing.log"
truncate -s 96M "$scratch/grow.img"
kill -HUP "${pid_of[grow]}"
ok 'the guest ends' status_is 0 reap growing 120
ok 'the guest sees the disk grow' step_passed growing resize
ok 'by the right amount' same sectors "$(guest_figure growing sectors_after)" $((96 * 2048))
ok 'clean log' guest_log_clean growing
ok 'the daemon ends at SIGTERM' status_is 0 stop grow

finished
