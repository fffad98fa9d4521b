#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# --mode xen: stock kernels whose in-tree xen-blkfront and xen-netfront are served by pvkit-blkd and pvkit-netd. Needs a
# host kernel with CONFIG_KVM_XEN; on any other the shim refuses, in one line.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start

if [ -n "$(xen_unusable)" ]; then
	ok 'a KVM without CONFIG_KVM_XEN is refused in one line' refuses 'mode xen: .*KVM_CAP_XEN_HVM is 0x0 .*use a host kernel' \
		"$BUILD/pvkit-shim" --mode xen --kernel build/guest/6.12/vmlinuz --console none
	finished
fi

if [ -x "$BUILD/tests/unit/shim/xen_calls" ]; then
	ok 'every hypercall, by guests of a few instructions' "$BUILD/tests/unit/shim/xen_calls"
else
	skip 'every hypercall' 'not built: make units'
fi

add_tap pvkit0 0 2
start_iperf 0

no_daemon() { ! pgrep -l '^pvkit-'; }

boots() { # KERNEL IMAGE CPUS STEPS [OPTION…]
	local kernel=$1 image=$2 cpus=$3 name=$1-$2-$3 steps=$4 step
	local title="Linux $1, $2, $3 CPUs"
	shift 4
	truncate -s 0 "$scratch/$name.img" && truncate -s 128M "$scratch/$name.img"
	# The kernel would time the interrupt of a timer that it does not use, and an emulated one comes late.
	image=$image shim "$name" "$kernel" "${append-} no_timer_check guest.run=xen,$steps guest.disk=xvda \
guest.pv_nics=1 guest.interrupts=xen-dyn guest.mebibytes=16 guest.seconds=1" \
		--mode xen --memory 512M --cpus "$cpus" --disk "path=$scratch/$name.img" --net link=tap:pvkit0 "$@"
	ok "$title: ends with status 0 at power-off" status_is 0 reap "$name" 120
	ok "$title: sees its CPUs" says "$scratch/$name.log" "^@@ up $kernel\\..* cpus $cpus "
	ok "$title: its clock is Xen's" says "$scratch/$name.log" '^@@ say Xen drivers loaded: .*clock xen'
	for step in xen ${steps//,/ }; do
		ok "$title: $step" step_passed "$name" "$step"
	done
	ok "$title: clean log" guest_log_clean "$name"
	ok "$title: the image holds, seen from outside" image_intact "$scratch/$name.img"
	rm -f "$scratch/$name.img"
}

boots 6.12 vmlinuz 2 rebootonce,storage,net,affinity
[ -n "${PVKIT_LONG-}" ] || finished # the rest takes ten minutes in a nested lab

# Version 2 of the grant table, before and after a reset, which goes back to version 1 in between.
append=grant_table.version=2 boots 6.12 vmlinuz 2 rebootonce,storage,net
ok 'version 2 of grants: they are in use' says "$scratch/6.12-vmlinuz-2.log" '^@@ say grants of version 2: [1-9][0-9]* in use'
boots 6.1 vmlinuz 2 storage,net
boots 6.12 pvh 2 storage,net
boots 6.1 pvh 1 storage,net
boots 6.1 vmlinuz 4 rebootonce,storage,net,affinity
boots 6.12 vmlinuz 1 storage,net

# A virtio disk beside it is not unplugged.
truncate -s 128M "$scratch/a.img" "$scratch/b.img"
shim both 6.12 'no_timer_check guest.run=xen,storage,storage@pv guest.pv_disk=xvda guest.mebibytes=16' --mode xen \
	--memory 512M --disk "path=$scratch/a.img" --disk "path=$scratch/b.img,bus=virtio"
ok 'virtio beside Xen: ends with status 0' status_is 0 reap both 120
ok 'virtio beside Xen: a file system on vda' step_passed both storage
ok 'virtio beside Xen: a file system on xvda' step_passed both storage@pv
ok 'virtio beside Xen: clean log' guest_log_clean both
ok 'virtio beside Xen: both images hold' eval 'image_intact "$scratch/a.img" && image_intact "$scratch/b.img"'

# ---- devices that come and go ------------------------------------------------------------------------------
# The host's part is done through the store, as Xen's toolstack does it.
export XENSTORED_PATH=$scratch/store.sock
guest=/local/domain/1

plug_disk_anew() { # ID
	local front=$guest/device/vbd/$1
	xenstore-rm "$front" || return 1
	# By its removal the guest's old device goes; the watch is one of many, and the guest is slow.
	within 60 grep -qE '^@@ (ready replug 2|end xenreload)' "$scratch/comes.log" || return 1
	xenstore-write "$front/backend" "/local/domain/0/backend/vbd/1/$1" "$front/backend-id" 0 \
		"$front/virtual-device" "$1" "$front/device-type" disk &&
		xenstore-chmod -r "$front" n1 r0 && xenstore-write "$front/state" 1 && xenstore-chmod "$front/state" n1 r0
}
unplug() { # CLASS/ID
	local class=${1%/*} id=${1#*/}
	xenstore-write "backend/$class/1/$id/online" 0 && within 60 eval "! xenstore-exists $guest/device/$1"
}
daemons() { pgrep -c '^pvkit-(blkd|netd)'; }

truncate -s 128M "$scratch/a.img" "$scratch/b.img"
steps=xen,unplug,xenreload,storage,net
if ! command -v xenstore-write >/dev/null; then
	skip 'devices that come and go' 'no xenstore-write here (package xenstore-utils)'
else
	shim comes 6.12 "no_timer_check guest.run=$steps guest.disk=xvda guest.pv_disks=2 guest.pv_nics=2 guest.mebibytes=16 \
guest.seconds=1" --mode xen --memory 512M --cpus 2 --store-socket "$XENSTORED_PATH" --disk "path=$scratch/a.img" \
		--disk "path=$scratch/b.img" --net link=tap:pvkit0 --net link=null
	ok 'unplug: the guest is ready' within 120 grep -q '^@@ ready unplug' "$scratch/comes.log"
	ok 'unplug: a disk' unplug vbd/51728
	ok 'unplug: a NIC' unplug vif/1
	ok 'unplug: their daemons end' within 20 eval '[ "$(daemons)" -eq 2 ]'
	ok 'drivers unloaded under I/O: loaded again' within 120 grep -qE '^@@ (ready replug 1|end xenreload)' "$scratch/comes.log"
	ok 'drivers unloaded under I/O: no daemon minds' same 'the number of daemons' "$(daemons)" 2
	ok 'drivers unloaded under I/O: the disk is plugged in anew' plug_disk_anew 51712
	ok 'devices that come and go: ends with status 0' status_is 0 reap comes 120
	for step in ${steps//,/ }; do
		ok "devices that come and go: $step" step_passed comes "$step"
	done
	ok 'devices that come and go: clean log' guest_log_clean comes
	ok 'devices that come and go: the image holds' image_intact "$scratch/a.img"
	ok 'devices that come and go: no daemon is left' no_daemon
fi

# ---- how it ends -------------------------------------------------------------------------------------------
# A daemon of somebody else's making: it outlives a reset, and ends with the machine.
serve() { # NAME DEVICE IMAGE
	within 20 test -S "$scratch/attach.sock"
	spawn "$1" "$BUILD/pvkit-blkd" --attach "$scratch/attach.sock" --device "$2" --blk-file "$3"
}
shim again 6.12 'no_timer_check guest.run=xen,rebootonce,storage guest.disk=xvda guest.mebibytes=16' --mode xen --memory 512M \
	--cpus 2 --disk bus=pv --net link=tap:pvkit0 --attach "$scratch/attach.sock"
serve blkd vbd/51712 "$scratch/a.img"
ok 'a reset: the second boot' within 120 grep -q '^@@ say this is boot 2' "$scratch/again.log"
ok 'a reset: the same daemon serves it' alive blkd
ok 'power-off: ends with status 0' status_is 0 reap again 120
ok 'power-off: a daemon that was attached ends with status 0' status_is 0 reap blkd 10
ok 'a reset: a file system behind it' step_passed again storage
ok 'a reset: clean log' guest_log_clean again
ok 'a reset: the image holds' image_intact "$scratch/a.img"

shim reboot 6.12 'no_timer_check guest.run=xen guest.end=reboot' --mode xen --memory 512M --on-reboot exit \
	--disk "path=$scratch/a.img" --net link=tap:pvkit0
ok 'a reboot that ends the machine: status 3' status_is 3 reap reboot 60
ok 'a reboot that ends the machine: no daemon is left' no_daemon

shim panic 6.12 'no_timer_check guest.run=xen guest.end=panic' --mode xen --memory 512M --disk "path=$scratch/a.img"
ok 'a panic is told by SCHEDOP_shutdown' status_is 4 reap panic 60
ok 'a panic: no daemon is left' no_daemon

finished
