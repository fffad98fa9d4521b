#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-load against pvkit-blkd and pvkit-netd: whatever is written is read back, whatever is sent arrives as it
# was, in every form of ring; and what goes wrong is seen.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || true
start

blkd() { # NAME OPTION…
	local name=$1
	shift
	spawn "$name" "$BUILD/pvkit-blkd" --socket-path="$scratch/$name.sock" "$@"
	within 10 test -S "$scratch/$name.sock"
}

load() { # NAME OPTION…
	local name=$1
	shift
	timeout 60 "$BUILD/pvkit-load" --socket="$scratch/$name.sock" --timeout=20 "$@"
}

# figure NAME EXPRESSION OPTION…: of Perl on $j, the decoded result.
figure() {
	local name=$1 expression=$2
	shift 2
	load "$name" --json "$@" | perl -MJSON::PP -0777 -e 'my $j = decode_json(<STDIN>); print '"$expression"
}

# One line on standard error that matches, and the status.
refused() { # STATUS PATTERN COMMAND…
	local status=$1 pattern=$2
	shift 2
	status_is "$status" "$@" 2>"$scratch/refusal" || return 1
	same 'the number of lines' "$(wc -l <"$scratch/refusal")" 1 && says "$scratch/refusal" "$pattern"
}

truncate -s 16M "$scratch/a.img"
ok 'the daemon starts' blkd a --blk-file="$scratch/a.img" --num-queues=2
verify='--verify --reads=50 --count=20000'
for ring in split packed; do
	for indirect in on off; do
		for event_idx in on off; do
			# shellcheck disable=SC2086
			ok "verified: $ring, indirect $indirect, event index $event_idx" load a $verify \
				--ring=$ring --indirect=$indirect --event-idx=$event_idx
		done
	done
	# shellcheck disable=SC2086
	ok "verified: $ring, 2 queues, asleep" load a $verify --ring=$ring --queues=2 --wait=sleep
	ok "verified: $ring, large, in segments, sequential" load a --verify --reads=30 --count=4000 \
		--ring=$ring --block-size=64K --segments=16 --depth=8 --pattern=sequential
done
ok 'exactly as many requests as asked for' same requests \
	"$(figure a '$j->{requests}' --count=12345 --queues=2)" 12345
ok 'by time, with figures that fit each other' same 'the relation' "$(figure a \
	'abs($j->{iops} * $j->{seconds} - $j->{requests}) < 1 && $j->{latency_us}{p50} > 0 &&
	 $j->{latency_us}{p50} <= $j->{latency_us}{p99} && $j->{latency_us}{p99} <= $j->{latency_us}{max} &&
	 $j->{backend_cpu_seconds} > 0 ? "fits" : "does not"' \
	--runtime=0.5 --ramp=0.1 --backend-pid="${pid_of[a]}")" fits

# Somebody else writes into the image: a verifier that sees nothing would be none.
(sleep 0.5 && dd if=/dev/zero of="$scratch/a.img" bs=1M count=16 conv=notrunc status=none) &
ok 'wrong data is found' status_is 1 load a --verify --reads=50 --runtime=2
wait $!

ok 'more queues than there are' refused 1 'has only 2; ask for no more' load a --queues=3
ok 'a ring without room' refused 1 'use a larger --queue-size' load a --indirect=off --depth=256
ok 'a disk that is too small' refused 1 'too few for this load' load a --size=8K --verify
ok 'nobody at the socket' refused 1 'nobody.sock: no back-end answers: No such file.*; start one first: pvkit-blkd' load nobody
ok 'no place to listen at' refused 1 'cannot listen at /nowhere/s: No such file.*; name a path' \
	"$BUILD/pvkit-load" --attach=/nowhere/s
ok 'a CPU that nobody has' refused 1 'cannot run on CPU 4000; name CPUs' load a --cpus=4000
ok 'a process that nobody has' refused 1 'process 4194304 cannot be read; name one that runs' load a \
	--backend-pid=4194304
ok 'a process that nobody can have' refused 2 "'2147483647' is out of range, expected 1..4194304" load a \
	--backend-pid=2147483647
ok 'frames for a disk' refused 1 'serves a disk, not a network device; use --device=blk' load a --device=net-tx
ok 'a NIC' eval 'spawn nic "$BUILD/pvkit-netd" --socket-path="$scratch/nic.sock" --link=null &&
	within 10 test -S "$scratch/nic.sock"'
ok 'requests for a NIC' refused 1 'serves a network device, not a disk; use --device=net-tx' load nic
stop nic
ok 'a bad block size' refused 2 "'1000' is no multiple of 512; see pvkit-load --help" load a --block-size=1000
ok 'a bad list of CPUs' refused 2 'no list of CPUs' load a --cpus=1-
ok 'a list of CPUs that goes on' refused 2 'no list of CPUs' load a --cpus=0,
ok 'a time and a number' refused 2 '--runtime and --count exclude each other' load a --runtime=1 --count=5
ok 'a ramp and a number' refused 2 '--ramp and --count exclude each other' load a --ramp=1 --count=5
ok 'no time at all' refused 2 "--runtime: '0' is out of range" load a --runtime=0
ok 'no number at all' refused 2 "--count: '0' is out of range, expected 1 or more" load a --count=0
ok 'a part of a network device' refused 2 '--size and --pattern are of disks' load a --device=net-tx --size=1M
ok 'the daemon ends' status_is 0 stop a

ok 'a read-only disk' blkd ro --blk-file="$scratch/a.img" --read-only
ok 'is read' load ro --count=1000
ok 'is not written' refused 1 'read-only; use --reads=100' load ro --reads=50
stop ro

# The back-end dies under load: said at once, not waited for.
ok 'a daemon to be killed' blkd victim --engine=null --null-size=1G
spawn runner "$BUILD/pvkit-load" --socket="$scratch/victim.sock" --runtime=60
sleep 0.5
{ stop victim KILL; } 2>/dev/null
ok 'a back-end that dies ends the run' status_is 1 reap runner 10
ok 'with a line that says so' says "$scratch/runner.log" 'the back-end closed the connection'

# ---- Xen's rings: the daemon attaches to the load -----------------------------------------------------------

# attach NAME LOAD-OPTION… -- DAEMON OPTION…: both in the background, as NAME and NAME-daemon.
attach() {
	local name=$1 daemon options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	daemon=$2
	shift 2
	spawn "$name" "$BUILD/pvkit-load" --attach="$scratch/$name.xen" "${options[@]}"
	within 10 test -S "$scratch/$name.xen" || return
	spawn "$name-daemon" "$BUILD/$daemon" --attach="$scratch/$name.xen" "$@"
}

# ended NAME STATUS: the load, with that; what it said is shown where it is another. Its back-end goes with it.
ended() {
	local load=0 daemon=0
	reap "$1" 30 || load=$?
	reap "$1-daemon" 10 || daemon=$?
	cat "$scratch/$1.log" "$scratch/$1-daemon.log"
	same "the load's status" "$load" "$2" || return
	[ "$2" -ne 0 ] || same "the daemon's status" "$daemon" 0
}

served() { # LOAD-OPTION… -- DAEMON OPTION…
	attach xen "$@" && ended xen 0
}

disk="pvkit-blkd --device=vbd/51712 --blk-file=$scratch/a.img"
for persistent in on off; do
	for indirect in on auto; do
		# shellcheck disable=SC2086
		ok "verified: xen, persistent $persistent, indirect $indirect" served $verify \
			--persistent=$persistent --indirect=$indirect -- $disk
	done
	# shellcheck disable=SC2086
	ok "verified: xen, persistent $persistent, 2 queues, asleep, rings of a page" served $verify \
		--persistent=$persistent --queues=2 --wait=sleep --queue-size=32 -- $disk --num-queues=2
	# shellcheck disable=SC2086
	ok "verified: xen, persistent $persistent, large, sequential" served --verify --reads=30 --count=4000 \
		--persistent=$persistent --block-size=512K --depth=4 --pattern=sequential -- $disk
done
# shellcheck disable=SC2086
ok 'verified: xen, the largest ring, full' served $verify --queue-size=512 --depth=512 -- $disk

ok 'xen by time, as JSON' served --runtime=0.5 --ramp=0.1 --json -- pvkit-blkd --device=vbd/51712 \
	--engine=null --null-size=1G
ok 'with figures that fit each other' same 'the relation' "$(perl -MJSON::PP -ne 'next unless /^\{/;
	my $j = decode_json($_); print $j->{ring} eq "xen" && $j->{persistent} && $j->{backend_cpu_seconds} > 0 &&
	abs($j->{iops} * $j->{seconds} - $j->{requests}) < 1 ? "fits" : "does not"' "$scratch/xen.log")" fits

(sleep 0.5 && dd if=/dev/zero of="$scratch/a.img" bs=1M count=16 conv=notrunc status=none) &
writer=$!
# shellcheck disable=SC2086
attach liar --verify --reads=50 --runtime=2 -- $disk
ok 'wrong data is found on Xen rings too' ended liar 1
wait $writer

# fails NAME PATTERN LOAD-OPTION… -- DAEMON OPTION…: the load ends with a line that says why.
fails() {
	local name=$1 pattern=$2
	shift 2
	attach "$name" "$@" && ended "$name" 1 && says "$scratch/$name.log" "$pattern"
}
# shellcheck disable=SC2086
{
	ok 'a network load for a disk' fails f1 'serves vbd/51712; for that use --device=blk' \
		--device=net-tx -- $disk
	ok 'a disk load for a network' fails f2 'serves vif/0; for that use --device=net-tx' \
		-- pvkit-netd --device=vif/0 --link=null
	ok 'more queues than there are for xen' fails f3 'has only 1' --queues=2 -- $disk --num-queues=1
	ok 'larger requests than there are' fails f4 'takes requests of 524288 bytes' --block-size=1M --depth=2 -- $disk
	ok 'a read-only disk for xen' fails f5 'read-only; use --reads=100' --reads=0 -- $disk --read-only
	ok 'a device that nobody has' fails f6 'attached, and does not serve vbd/51712' --timeout=1 -- \
		pvkit-blkd --device=vbd/99 --engine=null --null-size=1G
	ok 'whose back-end says what it waits for' says "$scratch/f6-daemon.log" \
		"at $scratch/f6.xen has no device 'vbd/99' yet; waiting"
	ok 'in one line' same lines "$(wc -l <"$scratch/f6-daemon.log")" 1
}
leaves_no_socket() {
	spawn left "$BUILD/pvkit-load" --attach="$scratch/left.xen"
	within 5 test -S "$scratch/left.xen" && stop left
	[ ! -e "$scratch/left.xen" ]
}
ok 'ended while nobody attached: no socket is left' leaves_no_socket
ok 'nobody who attaches' refused 1 'no back-end attached within 1 s' \
	"$BUILD/pvkit-load" --attach="$scratch/none.xen" --timeout=1
ok 'and no socket is left' test ! -e "$scratch/none.xen"
ok 'a Xen ring by vhost-user' refused 2 'use --attach' load nobody --ring=xen
ok 'both kinds of connection' refused 2 'exclude each other' load nobody --attach="$scratch/none.xen"

attach victim --runtime=60 -- pvkit-blkd --device=vbd/51712 --engine=null --null-size=1G
sleep 0.7
{ stop victim-daemon KILL; } 2>/dev/null
ok 'a back-end that dies ends the run on Xen rings' status_is 1 reap victim 10
ok 'with a line that says so too' says "$scratch/victim.log" 'the back-end closed the connection'

# ---- frames ------------------------------------------------------------------------------------------------

null='pvkit-netd --device=vif/0 --link=null'
# shellcheck disable=SC2086
{
	ok 'frames are sent' served --device=net-tx --count=20000 -- $null
	ok 'in several pages' served --device=net-tx --block-size=65000 --depth=8 --count=5000 -- $null
	ok 'in two pairs, asleep' served --device=net-tx --queues=2 --wait=sleep --count=20000 -- $null --queue-pairs=2
}

# From one load to another, through two daemons that a socket joins; each side on either kind of ring.
virtio_net() { # NAME LOAD-OPTION…: as attach has it
	local name=$1
	shift
	spawn "$name-daemon" "$BUILD/pvkit-netd" --socket-path="$scratch/$name.sock" --link="socket:$scratch/wire"
	within 10 test -S "$scratch/$name.sock" || return
	spawn "$name" "$BUILD/pvkit-load" --socket="$scratch/$name.sock" --timeout=20 "$@"
}

xen_net() {
	local name=$1
	shift
	attach "$name" "$@" -- pvkit-netd --device=vif/0 --link="socket:$scratch/wire"
}

# The receiver first; it ends when it has what the sender sent, whose first frames nobody may have heard.
across() { # SENDER RECEIVER BYTES [STATUS WORDS SENDER-OPTION…]
	local size=$3 status=0 name wanted=${4-0} words=${5-' 0 failed requests, 0 wrong frames'}
	local sender=${6---verify}
	rm -f "$scratch/wire"
	"$2_net" to --device=net-rx --verify --count=5000 --block-size="$size" || return
	# Two that come at the same moment may both listen.
	within 10 test -S "$scratch/wire" || return
	"$1_net" from --device=net-tx "$sender" --runtime=60 --block-size="$size" || return
	reap to 30 || status=$?
	for name in from from-daemon to-daemon; do
		[ -z "${pid_of[$name]-}" ] || stop "$name" || true
	done
	cat "$scratch/to.log"
	same "the receiver's status" "$status" "$wanted" && says "$scratch/to.log" "$words"
}
ok 'verified frames: xen to xen' across xen xen 1500
ok 'verified frames: xen to xen, in several pages' across xen xen 9000
ok 'verified frames: xen to virtio' across xen virtio 1500
ok 'verified frames: virtio to xen' across virtio xen 64
ok 'frames that nobody stamped are not called right' across xen xen 64 1 'wrong frames|are not as they' --wait=poll
finished
