#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What docs/tuning.md says can be turned on PV devices, turned in a stock guest: polled reads, discard and zeroing, a disk
# that grows, queues and ring and MTU of an interface, XDP programs, both Internet protocols.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
add_tap pvkit0 0 2
ip link set pvkit0 mtu 9000
sysctl -qw net.ipv6.conf.pvkit0.disable_ipv6=0
ip addr add fd00:99::1/64 dev pvkit0 nodad
spawn iperf iperf3 -s --forceflush
within 10 grep -q listening "$scratch/iperf.log"

daemon_of() { pgrep -P "${pid_of[$1]}" -x "$2"; }

knobs() { # KERNEL
	local name=knobs-$1 title="Linux $1" path steps='pv,discard@pv,resize@pv,polled@pv,ethtool@pv,xdp@pv'
	path=$scratch/$name.img
	shim "$name" "$1" "pvkit_blk.poll_queues=1 guest.run=$steps guest.pv_nics=1 guest.mtu=9000" --memory 512M --cpus 2 \
		--disk "$(guest_disk "$name"),bus=pv,num-queues=3" --net "link=tap:pvkit0,bus=pv,queue-pairs=2,mtu=9000"
	ok "$title: the guest waits for its disk to grow" within 120 grep -q '^@@ ready resize' "$scratch/$name.log"
	ok "$title: what was discarded takes no room" eval 'du -k "$path" && [ "$(du -k "$path" | cut -f 1)" -le $((13 << 10)) ]'
	truncate -s 192M "$path"
	kill -HUP "$(daemon_of "$name" pvkit-blkd)"
	guest_works "$title" "$name" "$steps"
	ok "$title: the disk grew by the right amount" same sectors "$(guest_figure "$name" pv_sectors_after)" $((192 * 2048))
}

knobs 6.12
[ -z "${PVKIT_LONG-}" ] || knobs 6.1
finished
