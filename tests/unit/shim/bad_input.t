#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What pvkit-shim refuses before any guest runs: the exit status, the name of the thing in the message, how many lines
# it takes, and that nothing is left running.
set -u
cd "$(dirname "$0")/../../.." || exit 1
make --no-print-directory -s build/pvkit-shim build/pvkit-blkd build/pvkit-netd >/dev/null 2>&1 || {
	echo 'Bail out! the build fails'
	exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
count=0

# A small PVH kernel that is good, so that all else is looked at: one segment at 2 MiB with one HLT.
printf '%b' '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\x38\0\x02\0\0\0\0\0\0\0' \
	'\x01\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x20\0\0\0\0\0\xc5\0\0\0\0\0\0\0\xc5\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0' \
	'\x04\0\0\0\x04\0\0\0\xb0\0\0\0\0\0\0\0\xb0\0\0\0\0\0\0\0\xb0\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0' \
	'\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\xc4\0\x20\0\xf4' >"$scratch/kernel"
echo 'no kernel' >"$scratch/text"
: >"$scratch/empty"
head -c 1000 /dev/zero >"$scratch/odd"
truncate -s 1M "$scratch/disk"

# refused TITLE STATUS LINES TEXT OPTION…
refused() {
	local title=$1 status=$2 lines=$3 text=$4 got
	shift 4
	timeout 20 build/pvkit-shim "$@" </dev/null >"$scratch/out" 2>"$scratch/err"
	got=$?
	sed -i '/this CPU shows neither/d' "$scratch/err"
	count=$((count + 1))
	if [ "$got" -eq "$status" ] && grep -qF -- "$text" "$scratch/err" &&
		[ "$(wc -l <"$scratch/err")" -eq "$lines" ] && [ ! -s "$scratch/out" ] &&
		! pgrep -f -- "--blk-file=$scratch" >/dev/null; then
		echo "ok $count - $title"
	else
		echo "not ok $count - $title"
		echo "# status $got, expected $status, and a line with '$text'; it said:"
		sed 's/^/# /' "$scratch/err"
	fi
}

k="--kernel=$scratch/kernel"
refused 'no kernel at all' 2 1 -- '--kernel'
refused 'unknown option' 2 1 --nonsense $k --nonsense
refused 'kernel is missing' 1 1 "$scratch/none" --kernel "$scratch/none"
refused 'kernel is text' 1 1 "$scratch/text is no kernel" --kernel "$scratch/text"
refused 'kernel is empty' 1 1 "$scratch/empty is empty" --kernel "$scratch/empty"
refused 'kernel is a folder' 1 1 'no regular file' --kernel "$scratch"
refused 'kernel is a program' 1 1 'no PVH entry' --kernel /bin/sh
refused 'initrd is missing' 1 1 "$scratch/none" $k --initrd "$scratch/none"
refused 'a way to boot that is none' 2 1 "'uefi'" $k --boot uefi
refused 'text to be unpacked' 1 1 "$scratch/text is no kernel" --boot pvh --kernel "$scratch/text"
refused 'too little memory' 2 1 "'1M'" $k --memory 1M
refused 'too much memory' 2 1 "'1T'" $k --memory 1T
refused 'memory that is no size' 2 1 "'lots'" $k --memory lots
refused 'memory of odd size' 2 1 "--memory: '17408000' bytes are no multiple of 1M; see pvkit-shim --help" $k --memory 17000K
refused 'no CPU' 2 1 "'0'" $k --cpus 0
refused 'too many CPUs' 2 1 "'17'" $k --cpus 17
refused 'PV disk of a vhost-user back-end' 2 1 'number 1' $k --disk "vhost-user=/x,bus=pv"
refused 'PV disk with virtio rings' 2 1 'number 1' $k --mode pv --disk "path=$scratch/disk,packed"
refused 'nothing to attach to' 2 1 '--attach: the guest has no paravirtual device; add bus=pv' $k --attach "$scratch/attach"
refused 'nothing in the store' 2 1 '--store-socket: the guest has no' $k --disk "$scratch/disk" --store-socket "$scratch/store"
refused 'disk is missing' 1 1 "$scratch/none" $k --disk "$scratch/none"
if [ -w /dev/kvm ]; then # daemons come after KVM
	refused 'disk is no multiple of a block' 1 2 "$scratch/odd" $k --disk "$scratch/odd"
	refused 'which disk that was' 1 2 'disk 2: pvkit-blkd' $k --disk "$scratch/disk" --disk "$scratch/odd"
	refused 'the same disk twice' 1 2 'disk 2: pvkit-blkd' $k --disk "$scratch/disk" --disk "$scratch/disk"
	refused 'more memory than the host has' 1 1 'available' $k --cpus 16 --memory 256G --prealloc
fi
refused 'disk without an image' 2 1 'number 1' $k --disk readonly
refused 'disk with too much' 2 1 'number 1' $k --disk "path=$scratch/disk,vhost-user=/x"
refused 'bad key of a disk' 2 1 "'colour'" $k --disk "path=$scratch/disk,colour=red"
refused 'a null disk of odd size' 2 1 "number 1): size: '1000' is no multiple" $k --disk engine=null,size=1000
refused 'a null disk larger than any' 2 1 "size: '99999999T' is out of range, expected 512..1048576T" $k --disk engine=null,size=99999999T
refused 'a serial number with a blank' 2 1 "--disk: serial: 'a b' is no serial number" $k --disk "path=$scratch/disk,serial=a b"
refused 'queue size that is no power of two' 2 1 "number 1): queue-size: '100' is no power of two; see pvkit-shim --help" $k --disk "path=$scratch/disk,queue-size=100"
refused 'socket is missing' 1 1 "$scratch/none" $k --disk "vhost-user=$scratch/none"
refused 'socket is a file' 1 1 "$scratch/text" $k --net "vhost-user=$scratch/text"
refused 'network without a link' 2 1 'number 1' $k --net mac=52:54:00:00:00:01
refused 'bad MAC address' 2 1 "'52:54'" $k --net link=null,mac=52:54
refused "nobody's MAC address" 2 1 nobody $k --net link=null,mac=00:00:00:00:00:00
refused 'a comma in a value' 2 1 'written twice' $k --net link=user,hostfwd=tcp::2222-:22
refused 'PV disk of nothing' 2 1 '--attach=PATH' $k --disk bus=pv
refused 'PV network of nothing' 2 1 '--attach=PATH' $k --net bus=pv
refused 'a link that is none' 2 1 "--net: link: 'string:1' is none of" $k --net link=string:1
refused 'a tap without a name' 2 1 "--net: link: 'tap:' names no interface" $k --net link=tap:
refused 'a forward that is none' 2 1 "--net: link: 'x' is not of the form" $k --net link=user,,hostfwd=x
refused 'two pairs of queues on one stack' 2 1 "number 1): queue-pairs: '2'" $k --net user,queue-pairs=2
refused 'an MTU that the user network has not' 2 1 "number 1): mtu: '65521'" $k --net user,mtu=65521
refused 'a rate of nothing' 2 1 "rate: '0b/s' is out of range, expected" $k --net null,bus=pv,rate=0b/s
refused 'multicast MAC address' 2 1 'group address' $k --net link=null,mac=53:54:00:00:00:01
refused 'console nowhere' 1 1 "$scratch/none/log" $k --console "file:$scratch/none/log"
refused 'console of no kind' 2 1 "--console: 'telnet' is none of" $k --console telnet
refused 'console without a file' 2 1 "--console: 'file:' is none of" $k --console file:
refused 'console in a folder' 1 1 "$scratch; see --console" $k --console "file:$scratch"
if [ "$(id -u)" -eq 0 ] && [ -e /dev/kvm ] && setpriv --reuid 65534 --regid 65534 --clear-groups test -x build/pvkit-shim &&
	! setpriv --reuid 65534 --regid 65534 --clear-groups test -w /dev/kvm; then
	chmod 755 "$scratch"
	count=$((count + 1))
	setpriv --reuid 65534 --regid 65534 --clear-groups build/pvkit-shim $k 2>"$scratch/err" </dev/null
	if [ $? -eq 1 ] && grep -q '/dev/kvm; join the group' "$scratch/err"; then
		echo "ok $count - no rights on /dev/kvm"
	else
		echo "not ok $count - no rights on /dev/kvm"
		sed 's/^/# /' "$scratch/err"
	fi
fi

# A guest that does nothing, with a disk that it has a back-end for and one that it has none for.
second_back_end() {
	local shim status
	truncate -s 1M "$scratch/other"
	timeout 60 build/pvkit-shim $k --console none --mode pv --disk "$scratch/disk" --disk bus=pv \
		--attach "$scratch/attach" 2>/dev/null &
	shim=$!
	for ((i = 0; i < 1000; i++)); do
		timeout 10 build/pvkit-blkd --attach "$scratch/attach" --device vbd/51712 --blk-file "$scratch/other" \
			2>"$scratch/err"
		status=$?
		grep -q 'cannot attach' "$scratch/err" || break # not there yet
		sleep 0.01
	done
	kill $shim
	wait $shim 2>/dev/null
	[ $status -eq 1 ] && grep -q "'vbd/51712' is served by another" "$scratch/err"
}
if [ -w /dev/kvm ]; then
	count=$((count + 1))
	if second_back_end; then
		echo "ok $count - a second back-end of a device"
	else
		echo "not ok $count - a second back-end of a device"
		sed 's/^/# /' "$scratch/err"
	fi
fi
echo "1..$count"
