#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# PV mode with pvkit's own modules in stock kernels: a disk and a NIC on PV beside a pair on virtio in one guest,
# interrupts that move under I/O, modules that are unloaded under I/O; in the long form that 50 times, and a rate that
# limits. 61-pv-lives.t has the rest of what can happen to such devices.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
add_tap pvkit0 0 1
add_tap pvkit1 1 2
start_iperf 0
start_iperf 1

no_daemon() { ! pgrep -l '^pvkit-'; }
descriptors() { find "/proc/${pid_of[$1]}/fd" -mindepth 1 | wc -l; }

# The shim as well as the guest: what it opens for a device must close with it.
reload_leaves_nothing() { # NAME RELOADS
	local first reloads=$2
	within 120 grep -q '^@@ ready reloaded1' "$scratch/$1.log" || return 1
	sleep 0.5
	first=$(descriptors "$1")
	within $((60 + 10 * reloads)) grep -q "^@@ ready reloaded$reloads" "$scratch/$1.log" || return 1
	sleep 0.5
	same 'the number of descriptors of the shim' "$(descriptors "$1")" "$first"
}

both() { # KERNEL CPUS RELOADS
	local name=both-$1 title="Linux $1, $2 CPUs, both buses"
	local steps='pv,storage,storage@pv,net,net@pv,affinity@pv,reload@pv'
	shim "$name" "$1" "guest.run=$steps guest.pv_nics=1 guest.pv_nic=eth1 guest.pv_address=10.99.1.2 \
guest.pv_gateway=10.99.1.1 guest.mebibytes=16 guest.seconds=1 guest.move_seconds=4 guest.reloads=$3" --memory 512M \
		--cpus "$2" --disk "$(guest_disk "$name-virtio")" --disk "$(guest_disk "$name-pv"),bus=pv" \
		--net link=tap:pvkit0 --net "link=tap:pvkit1,bus=pv,queue-pairs=2"
	ok "$title: $3 reloads leave nothing in the shim" reload_leaves_nothing "$name" "$3"
	guest_works "$title" "$name" "$steps"
	ok "$title: no daemon is left" no_daemon
}
address_of() { console "$1" | sed -n 's/^@@ say eth1 \([0-9a-f:]*\),.*/\1/p'; }

reloads=${PVKIT_LONG:+50}
both 6.1 2 "${reloads:-5}"
both 6.12 4 "${reloads:-2}"
ok 'a PV interface has the same address at each start' same address "$(address_of both-6.1)" "$(address_of both-6.12)"

# What the guest sends is limited, and what it receives is not.
limited() { # KERNEL
	local title='rate=20Mb/s' sent received
	shim rate "$1" 'guest.run=pv,net guest.seconds=3 guest.pv_nics=1' --memory 512M --cpus 2 \
		--disk "$(guest_disk rate),bus=pv" --net link=tap:pvkit0,bus=pv,rate=20Mb/s
	guest_works "$title" rate pv,net
	sent=$(guest_figure rate iperf3_to_host) received=$(guest_figure rate iperf3_from_host)
	# 60 Mbit in 3 s, and the burst of 1 Mbit; a busy machine may reach less.
	ok "$title: $sent Mbit/s to the host" awk "BEGIN { exit !(${sent:-0} > 2 && ${sent:-0} < 22) }"
	ok "$title: $received Mbit/s from the host" awk "BEGIN { exit !(${received:-0} > 22) }"
}
[ -z "${PVKIT_LONG-}" ] || limited 6.12

finished
