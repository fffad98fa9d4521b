#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-load against pvkit-blkd: whatever is written is read back, in every form of ring; and what goes wrong
# is seen.
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

ok 'more queues than there are' refused 1 'has only 2' load a --queues=3
ok 'a ring without room' refused 1 'use a larger --queue-size' load a --indirect=off --depth=256
ok 'a disk that is too small' refused 1 'too few for this load' load a --size=8K --verify
ok 'nobody at the socket' refused 1 'no back-end answers' load nobody
ok 'frames for a disk' refused 1 'serves a disk, not a network device; use --device=blk' load a --device=net-tx
ok 'a NIC' eval 'spawn nic "$BUILD/pvkit-netd" --socket-path="$scratch/nic.sock" --link=null &&
	within 10 test -S "$scratch/nic.sock"'
ok 'requests for a NIC' refused 1 'serves a network device, not a disk; use --device=net-tx' load nic
stop nic
ok 'a bad block size' refused 2 "'1000' is no multiple of 512; see pvkit-load --help" load a --block-size=1000
ok 'a bad list of CPUs' refused 2 'no list of CPUs' load a --cpus=1-
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
finished
