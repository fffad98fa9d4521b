#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What a person can get wrong with the daemons: each mistake costs one line that names the thing, a status other
# than 0, and leaves nothing behind.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
blkd=$BUILD/pvkit-blkd
netd=$BUILD/pvkit-netd
socket=$scratch/s.sock
truncate -s 1M "$scratch/good.img"
truncate -s 1000 "$scratch/odd.img"
add_tap tap0 0 1

ok 'blkd: no option at all' refuses 'socket-path' "$blkd"
ok 'blkd: an unknown option' refuses 'frobnicate' "$blkd" --frobnicate
ok 'blkd: a word that is no option' refuses 'word' "$blkd" word
ok 'blkd: an engine that is none' refuses 'engine.*warp' "$blkd" --socket-path="$socket" --blk-file="$scratch/good.img" --engine=warp
ok 'blkd: a number that is none' refuses 'num-queues.*many' "$blkd" --socket-path="$socket" --blk-file="$scratch/good.img" --num-queues=many
ok 'blkd: a number out of range' refuses 'num-queues.*0' "$blkd" --socket-path="$socket" --blk-file="$scratch/good.img" --num-queues=0
ok 'blkd: no such image' refuses 'missing.img' "$blkd" --socket-path="$socket" --blk-file="$scratch/missing.img"
ok 'blkd: a folder for an image' refuses 'stats' "$blkd" --socket-path="$socket" --blk-file="$PVKIT_STATS_DIR"
ok 'blkd: an image that is no multiple of the block size' refuses 'odd.img.*(512|block|multiple)' "$blkd" --socket-path="$socket" --blk-file="$scratch/odd.img"
ok 'blkd: a folder for the socket that is not there' refuses 'nowhere' "$blkd" --socket-path="$scratch/nowhere/s" --blk-file="$scratch/good.img"
ok 'blkd: a descriptor that is no socket' refuses '(--fd|descriptor)' "$blkd" --fd=0 --blk-file="$scratch/good.img"
for size in 1000 4097K 99999999T 99999999999999999999 -5; do
	exits=2 ok "blkd: --null-size=$size" refuses "--null-size: '.*' is (no multiple|out of range, expected 512..1048576T|no size)" \
		"$blkd" --socket-path="$socket" --engine=null --null-size="$size" --logical-block-size=4096
done
for serial in 'a b' a/b 123456789012345678901; do
	ok "blkd: --serial=$serial" refuses "--serial: '$serial' is no serial number, expected 1 to 20 printable" "$blkd" --socket-path="$socket" --blk-file="$scratch/good.img" --serial="$serial"
done
for device in vbd vbd/ vbd/xx vbd/-1 vbd/99999999999 vif/0; do
	ok "blkd: --device=$device" refuses "--device.*$device.*vbd/NUMBER" "$blkd" --attach="$socket" --device="$device" --blk-file="$scratch/good.img"
done
if [ "$(id -u)" -ne 0 ] || setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
	chmod 755 "$scratch"
	chmod 600 "$scratch/good.img"
	cp "$blkd" "$scratch/blkd-copy"
	ok 'blkd: no right to read the image' refuses 'good.img.*denied' \
		setpriv --reuid 65534 --clear-groups "$scratch/blkd-copy" --socket-path=/tmp/pvkit-nobody.sock --blk-file="$scratch/good.img"
else
	skip 'blkd: no right to read the image' 'cannot become another user'
fi

ok 'netd: no option at all' refuses 'socket-path' "$netd"
ok 'netd: a link that is none' refuses 'carrier-pigeon.*none of' "$netd" --socket-path="$socket" --link=carrier-pigeon
for link in tap: tap:a-name-that-is-too-long 'tap:%d' socket: "socket:$(printf '%0108d' 0)" user,port=1; do
	exits=2 ok "netd: --link=$link" refuses "--link: '(.*)'.*see pvkit-netd --help" "$netd" --socket-path="$socket" --link="$link"
done
exits=2 ok 'netd: two pairs of queues on one stack' refuses "--queue-pairs: '2' are for tap:NAME" "$netd" --socket-path="$socket" --link=user --queue-pairs=2
exits=2 ok 'netd: an MTU that the user network has not' refuses "--mtu: '65535' is out of range" "$netd" --socket-path="$socket" --link=user --mtu=65535
ok 'netd: a socket link to nowhere' refuses 'nowhere' "$netd" --socket-path="$socket" --link="socket:$scratch/nowhere/x"
ok "netd: another program's device" refuses '--device.*vbd/51712.*vif/NUMBER' "$netd" --attach="$socket" --device=vbd/51712 --link=null
ok 'netd: two ways to be found' refuses 'exclude' "$netd" --socket-path="$socket" --fd=5 --link=null
ok "netd: nobody's address" refuses 'mac.*nobody' "$netd" --socket-path="$socket" --link=null --mac=00:00:00:00:00:00
ok 'load: two ways to a back-end' refuses 'exclude' "$BUILD/pvkit-load" --socket="$socket" --attach="$socket"
ok 'top: a folder that is none' refuses 'Not a directory' env PVKIT_STATS_DIR=/dev/null "$BUILD/pvkit-top" --once
ok 'top: an output that takes nothing' refuses 'output' sh -c "$BUILD/pvkit-top --json --once >/dev/full"

# Who listens and is no shim: hangs up at once, or says what makes no sense.
listener() { # NAME closes|babbles
	spawn "$1" perl -MSocket -e 'my ($s, $c, $hello); socket($s, AF_UNIX, SOCK_SEQPACKET, 0) && bind($s, sockaddr_un($ARGV[0])) &&
		listen($s, 1) && accept($c, $s) && recv($c, $hello, 100, 0);
		exit(0) if $ARGV[1] eq "closes"; send($c, "x" x 64, 0); sleep(600)' "$scratch/$1.sock" "$2"
	within 10 test -S "$scratch/$1.sock"
}
exits=1 ok 'netd: no shim at all' refuses "at $scratch/none.sock: No such file.*; start pvkit-shim first, with --attach=" "$netd" --attach="$scratch/none.sock" --device=vif/0 --link=null
listener mute closes
exits=1 ok 'netd: a shim that hangs up' refuses "at $scratch/mute.sock: the connection was closed; start pvkit-shim" "$netd" --attach="$scratch/mute.sock" --device=vif/0 --link=null
listener babbler babbles
exits=1 ok 'netd: a shim that is none' refuses "the shim at $scratch/babbler.sock: it sent a message that is none" "$netd" --attach="$scratch/babbler.sock" --device=vif/0 --link=null
stop babbler
rm -f "$scratch"/*.sock

# What another process holds.
spawn first "$blkd" --socket-path="$scratch/first.sock" --blk-file="$scratch/good.img"
within 10 test -S "$scratch/first.sock"
refused_beside() { # like refuses, with the first daemon alive
	local status=0
	"$@" >"$scratch/refused" 2>&1 </dev/null || status=$?
	cat "$scratch/refused"
	[ "$status" -ne 0 ] && same 'the number of lines' "$(wc -l <"$scratch/refused")" 1
}
ok 'blkd: a second process on the same image' refused_beside timeout 20 "$blkd" --socket-path="$socket" --blk-file="$scratch/good.img"
ok 'blkd: which is named' says "$scratch/refused" 'good.img'
cp "$scratch/good.img" "$scratch/other.img"
ok 'blkd: a socket in use' refused_beside timeout 20 "$blkd" --socket-path="$scratch/first.sock" --blk-file="$scratch/other.img"
ok 'blkd: which is named' says "$scratch/refused" 'first.sock'
ok 'netd: a socket in use' refused_beside timeout 20 "$netd" --socket-path="$scratch/first.sock" --link=null
ok 'the first daemon lives on' alive first
ok 'its socket is there still' test -S "$scratch/first.sock"
ok 'and it ends at SIGTERM' status_is 0 stop first
ok 'no statistics page is left' same pages "$(ls "$PVKIT_STATS_DIR")" ''
ok 'no socket is left' same sockets "$(find "$scratch" -type s)" ''
# Counters are no reason to let a guest wait: a line, and the daemon serves.
spawn uncounted "$blkd" --socket-path="$socket" --blk-file="$scratch/good.img" --stats="$scratch/odd.img"
ok 'a daemon without a place for its counters serves' within 10 test -S "$socket"
ok 'and ends well' status_is 0 stop uncounted
ok 'its line says where, why and what to do' says "$scratch/uncounted.log" \
	"odd.img/pvkit-blkd.[0-9]+: the page of counters .*: Not a directory; serving without.*; give --stats"
ok 'and is the only one' same lines "$(wc -l <"$scratch/uncounted.log")" 1
# A socket whose owner is gone is no obstacle.
spawn gone "$blkd" --socket-path="$scratch/stale.sock" --blk-file="$scratch/good.img"
within 10 test -S "$scratch/stale.sock"
stop gone KILL
spawn next "$blkd" --socket-path="$scratch/stale.sock" --blk-file="$scratch/good.img"
sleep 0.5
ok 'a socket left by a killed daemon is taken over' alive next
stop next

finished
