#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-blkd and pvkit-netd under user-mode Linux (virtio_uml): a kernel of its own that is neither KVM nor QEMU, and
# that passes the control queue on to the back-end.
set -u
. tests/lib.sh
command -v linux.uml >/dev/null || skip_all 'no linux.uml: install user-mode-linux'
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start

uml() { # NAME APPEND
	# shellcheck disable=SC2086
	spawn "$1" linux.uml mem=256M umid="$1" uml_dir="$scratch/" initrd=build/guest/uml/initrd con0=fd:0,fd:1 \
		con=null ssl=null quiet $2
}

for engine in io_uring threads; do
	truncate -s 0 "$scratch/a.img" && truncate -s 256M "$scratch/a.img"
	spawn blkd "$BUILD/pvkit-blkd" --socket-path="$scratch/blk.sock" --blk-file="$scratch/a.img" --engine=$engine
	ok "$engine: the block daemon starts" within 10 test -S "$scratch/blk.sock"
	uml guest-$engine "virtio_uml.device=$scratch/blk.sock:2 guest.run=storage,fio guest.seconds=1"
	ok "$engine: the guest ends" status_is 0 reap guest-$engine 120
	ok "$engine: a file system with checksums" step_passed guest-$engine storage
	ok "$engine: random I/O with verify" step_passed guest-$engine fio
	ok "$engine: clean log" guest_log_clean guest-$engine
	ok "$engine: the image holds, seen from outside" image_intact "$scratch/a.img"
	ok "$engine: the daemon ends at SIGTERM" status_is 0 stop blkd
done

add_tap tap0 0 1
start_iperf 0
spawn netd "$BUILD/pvkit-netd" --socket-path="$scratch/net.sock" --link=tap:tap0
ok 'the network daemon starts' within 10 test -S "$scratch/net.sock"
uml net "virtio_uml.device=$scratch/net.sock:1 guest.run=net guest.seconds=1"
ok 'the guest ends' status_is 0 reap net 120
ok 'ping, and iperf3 both ways' step_passed net net
ok 'clean log' guest_log_clean net
ok 'the daemon ends at SIGTERM' status_is 0 stop netd

# User-mode networking, into the guest too.
mkdir "$scratch/www"
head -c 3000000 /dev/urandom >"$scratch/www/file"
sum=$(sha256sum <"$scratch/www/file" | cut -d' ' -f1)
spawn httpd busybox httpd -f -p 127.0.0.1:8099 -h "$scratch/www"
spawn netd "$BUILD/pvkit-netd" --socket-path="$scratch/user.sock" --link=user,hostfwd=tcp:127.0.0.1:8098-:8000
ok 'user: the network daemon starts' within 10 test -S "$scratch/user.sock"
uml user "virtio_uml.device=$scratch/user.sock:1 guest.run=usernet guest.url=http://10.0.2.2:8099/file guest.serve=8000"
ok 'user: the guest waits at its port' within 60 grep -q '^@@ ready serve' "$scratch/user.log"
fetch_from_guest() {
	timeout 60 socat -u TCP:127.0.0.1:8098 "CREATE:$scratch/got" && cmp "$scratch/got" "$scratch/www/file"
}
ok 'user: a port of the host leads there' within 10 fetch_from_guest
ok 'user: the guest ends' status_is 0 reap user 120
ok 'user: DHCP, ping and HTTP' step_passed user usernet
ok 'user: what was fetched is what lies there' same checksum "$(guest_figure user fetched_sha256)" "$sum"
ok 'user: the daemon ends at SIGTERM' status_is 0 stop netd

finished
