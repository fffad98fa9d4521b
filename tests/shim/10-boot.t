#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# pvkit-shim boots stock kernels, 6.1 and 6.12, as bzImage, and by PVH as ELF and from the bzImage, with 1, 2 and 4
# CPUs; in each a file system with checksums and traffic through a tap. The shim starts the daemons.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
add_tap pvkit0 0 2
start_iperf 0

boots() { # KERNEL IMAGE CPUS MEMORY STEPS
	local kernel=$1 cpus=$3 name=$1-$2-$3 step
	local title="Linux $1, $2, $3 CPUs, $4"
	truncate -s 0 "$scratch/$name.img" && truncate -s 128M "$scratch/$name.img"
	image=$2 shim "$name" "$kernel" "guest.run=$5 guest.mebibytes=16 guest.seconds=1" \
		--memory "$4" --cpus "$cpus" --disk "path=$scratch/$name.img" --net "link=tap:pvkit0,queue-pairs=$((cpus > 1 ? 2 : 1))"
	ok "$title: ends with status 0 at power-off" status_is 0 reap "$name" 120
	ok "$title: sees its CPUs" says "$scratch/$name.log" "^@@ up $kernel\\..* cpus $cpus "
	for step in ${5//,/ }; do
		ok "$title: $step" step_passed "$name" "$step"
	done
	ok "$title: clean log" guest_log_clean "$name"
	ok "$title: the image holds, seen from outside" image_intact "$scratch/$name.img"
	rm -f "$scratch/$name.img"
}

# In the short form each half runs on one of the two hosts' kernels.
if [ -n "${PVKIT_LONG-}" ] || [ "${PVKIT_HALF-1}" -eq 1 ]; then
	boots 6.1 vmlinuz 2 512M storage,net,affinity
	boots 6.12 vmlinuz 4 512M storage,net
	boots 6.12 pvh 1 256M storage,net
fi
if [ -n "${PVKIT_LONG-}" ] || [ "${PVKIT_HALF-2}" -eq 2 ]; then
	boots 6.1 vmlinuz 4 512M storage,net
	boots 6.12 vmlinuz 1 512M storage,net
	boots 6.12 vmlinuz 2 512M storage,net,affinity
fi
if [ -n "${PVKIT_LONG-}" ]; then
	boots 6.1 vmlinuz 1 256M storage,net
	boots 6.1 vmlinux 2 512M storage,net
	boots 6.1 pvh 1 512M storage,net
	boots 6.1 vmlinux 4 512M storage,net,affinity
	boots 6.12 vmlinux 2 512M storage,net
	boots 6.12 vmlinux 4 512M storage,net,affinity
	boots 6.12 vmlinux 16 1G storage,net
fi

finished
