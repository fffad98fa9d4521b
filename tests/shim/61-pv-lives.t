#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The lives of PV devices in stock guests with pvkit's own modules: suspended and resumed, unplugged and plugged in under
# I/O, back-ends that are killed, a guest that resets itself or crashes. The long form has all of it on both kernels.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
add_tap pvkit0 0 1
add_tap pvkit1 1 2
start_iperf 0
start_iperf 1

suspends=1 long=0
[ -z "${PVKIT_LONG-}" ] || suspends=5 long=1
export XENSTORED_PATH=$scratch/store.sock TMPDIR=$scratch/tmp
mkdir "$TMPDIR"
pv_guest="guest.pv_nics=1 guest.pv_address=10.99.1.2 guest.pv_gateway=10.99.1.1 guest.mebibytes=16 guest.seconds=1"

no_socket() { [ ! -e "$XENSTORED_PATH" ] && [ ! -e "$scratch/attach.sock" ]; }
no_daemon() { ! pgrep -l '^pvkit-'; }

# ---- resets ------------------------------------------------------------------------------------------------

resets() { # KERNEL WAYS
	local name=resets-$1 title="Linux $1, resets under I/O" steps='pv,rebootonce@pv,storage@pv,net@pv'
	shim "$name" "$1" "guest.run=$steps $pv_guest guest.reset_by=$2" --memory 512M --cpus 2 --on-reboot=restart \
		--disk "$(guest_disk "$name"),bus=pv" --net "link=tap:pvkit1,bus=pv,queue-pairs=2"
	guest_works "$title" "$name" "$steps"
	ok "$title: as many boots" same boots "$(grep -c '^@@ up' "$scratch/$name.log")" $((1 + $(tr + ' ' <<<"$2" | wc -w)))
	ok "$title: the image holds, seen from outside" image_intact "$scratch/$name.img"
}

if [ $long -eq 1 ]; then
	resets 6.1 reboot+sysrq+reboot+sysrq
	resets 6.12 sysrq+reboot+sysrq
fi

# ---- unplugging, plugging, killing -------------------------------------------------------------------------

ready() { # NAME WORD
	within 120 grep -q "^@@ ready $2" "$scratch/$1.log"
}

# What a toolstack writes: the back-end's directory, then the front-end's, whose "backend" makes it a device.
plug() { # CLASS/ID [KEY VALUE]…: the guest's keys
	local back=/local/domain/0/backend/${1%/*}/1/${1#*/} front=/local/domain/1/device/$1
	shift
	xenstore-write "$back/frontend" "$front" "$back/frontend-id" 1 "$back/online" 1 "$back/state" 1
	xenstore-chmod -r "$back" n0 r1
	xenstore-write "$front/backend-id" 0 "$front/state" 1
	while [ $# -gt 1 ]; do
		xenstore-write "$front/$1" "$2"
		shift 2
	done
	xenstore-chmod -r "$front" n1 r0
	xenstore-write "$front/backend" "$back"
}
unplug() { xenstore-write "/local/domain/0/backend/${1%/*}/1/${1#*/}/online" 0; }
unplugged() { # CLASS/ID: both directories
	! xenstore-exists "/local/domain/0/backend/${1%/*}/1/${1#*/}" && ! xenstore-exists "/local/domain/1/device/$1"
}
serve() { # NAME PROGRAM DEVICE OPTION…: a daemon that we start ourselves
	spawn "$1" "$BUILD/$2" --attach "$scratch/attach.sock" --device "$3" "${@:4}"
}

plugging() { # KERNEL
	local name=plug-$1 title="Linux $1, unplugged under I/O" steps='pv,replug@pv,suspend@pv,successor@pv' disk
	disk=$scratch/$name.img
	shim "$name" "$1" "guest.run=$steps $pv_guest guest.suspends=$suspends guest.host_suspends=1" \
		--memory 512M --cpus 2 --attach "$scratch/attach.sock" --store-socket "$XENSTORED_PATH" \
		--disk "$(guest_disk "$name"),bus=pv" --net "link=tap:pvkit1,bus=pv,queue-pairs=2"
	ok "$title: the guest is ready" ready "$name" replug
	unplug vbd/51712
	unplug vif/0
	ok "$title: the devices went" ready "$name" plug
	ok "$title: their directories too" within 10 eval 'unplugged vbd/51712 && unplugged vif/0'
	ok "$title: their daemons too" within 10 eval "! pgrep -P ${pid_of[$name]}"
	plug vbd/51712
	plug vif/0 mac 52:54:00:12:34:56 handle 0
	serve "$name-blkd" pvkit-blkd vbd/51712 --blk-file "$disk"
	serve "$name-netd" pvkit-netd vif/0 --link tap:pvkit1 --queue-pairs 2
	ok "$title: plugged in, it works" ready "$name" suspend1
	xenstore-write /local/domain/1/control/shutdown suspend
	ok "$title: works before the daemons are killed" ready "$name" successor
	kill -KILL "${pid_of[$name-blkd]}" "${pid_of[$name-netd]}"
	reap "$name-blkd" 5
	reap "$name-netd" 5
	serve "$name-blkd" pvkit-blkd vbd/51712 --blk-file "$disk"
	serve "$name-netd" pvkit-netd vif/0 --link tap:pvkit1 --queue-pairs 2
	ok "$title: the guest ends" status_is 0 reap "$name" 240
	for step in ${steps//,/ }; do
		ok "$title: $step" step_passed "$name" "$step"
	done
	ok "$title: clean log" guest_log_clean "$name"
	ok "$title: the shim tells of the killed daemons" same lines "$(grep -c '^pvkit-shim: .*: its back-end died; ' "$scratch/$name.log")" 2
	ok "$title: and of nothing else" same lines "$(grep -c '^pvkit-' "$scratch/$name.log")" 2
	ok "$title: the new daemons end with the guest" eval "status_is 0 reap $name-blkd 10 && status_is 0 reap $name-netd 10"
	ok "$title: nothing else is left" eval 'no_daemon && no_socket'
}

no_trouble() { # NAME
	local found
	console "$1" | grep -q '^@@ log end$' || return 1
	! found=$(guest_log "$1" | kernel_log_trouble | grep -vE 'I/O error|lost page write|EXT4-fs') || fails_with "$found"
}

killing() { # KERNEL
	local name=lost-$1 title="Linux $1, killed back-ends"
	shim "$name" "$1" "guest.run=pv,lostpv@pv,net $pv_guest guest.pv_nic=eth1" --memory 512M --cpus 2 \
		--disk "$(guest_disk "$name"),bus=pv" --net link=tap:pvkit0 --net "link=tap:pvkit1,bus=pv,queue-pairs=2"
	ok "$title: the guest is ready" ready "$name" lostpv
	# Of the two pvkit-netd the one that was started last.
	kill -KILL "$(pgrep -P "${pid_of[$name]}" -x pvkit-blkd)" "$(pgrep -n -P "${pid_of[$name]}" -x pvkit-netd)"
	ok "$title: the guest ends" status_is 0 reap "$name" 120
	ok "$title: the devices are lost, in order" step_passed "$name" lostpv@pv
	ok "$title: the guest lives" step_passed "$name" net
	ok "$title: nothing worse than failed I/O in its log" no_trouble "$name"
	ok "$title: the shim names them" eval "says '$scratch/$name.log' '^pvkit-shim: vbd/51712: its back-end is gone' &&
		says '$scratch/$name.log' '^pvkit-shim: vif/0: its back-end is gone'"
	ok "$title: no daemon is left" no_daemon
}

# A killed daemon leaves its statistics until the next one comes. What neighbours make in folders for all is theirs.
files() {
	find "$PVKIT_STATS_DIR" "$TMPDIR" -maxdepth 1
	find /dev/shm -maxdepth 1 -name 'pvkit*' -user "$(id -u)"
}

crashing() { # KERNEL
	local name=crash-$1 title="Linux $1, reset and crashed under I/O" before
	before=$(files | sort)
	shim "$name" "$1" "guest.run=pv,rebootonce@pv,busy@pv guest.reset_by=sysrq guest.end=panic $pv_guest" --memory 512M \
		--cpus 2 --on-reboot=restart \
		--attach "$scratch/attach.sock" --store-socket "$XENSTORED_PATH" \
		--disk "$(guest_disk "$name"),bus=pv" --net "link=tap:pvkit1,bus=pv,queue-pairs=2,mtu=1400"
	ok "$title: the shim tells" status_is 4 reap "$name" 120
	ok "$title: two boots" same boots "$(grep -c '^@@ up' "$scratch/$name.log")" 2
	ok "$title: PV devices worked" step_passed "$name" busy@pv
	ok "$title: the tap had the guest's MTU" says <(ip link show pvkit1) ' mtu 1400 '
	ip link set pvkit1 mtu 1500
	ok "$title: no process is left" no_daemon
	ok "$title: no socket is left" no_socket
	ok "$title: no file is left" same files "$(comm -13 <(echo "$before") <(files | sort))" ''
}

if command -v xenstore-write >/dev/null; then
	plugging 6.1
	[ $long -eq 0 ] || plugging 6.12
else
	skip 'unplugging and plugging in' 'no xenstore-write here (package xenstore-utils)'
fi
crashing 6.12
if [ $long -eq 1 ]; then
	killing 6.12
	killing 6.1
	crashing 6.1
fi

finished
