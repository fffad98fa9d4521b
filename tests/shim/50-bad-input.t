#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What a person can get wrong with pvkit-shim: one line that names the thing, a status other than 0, before any
# guest runs, and nothing left behind.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || skip_all 'no right to make a network namespace'
start
shim=$BUILD/pvkit-shim
kernel=build/guest/6.1/vmlinuz
truncate -s 1M "$scratch/good.img"
truncate -s 1000 "$scratch/odd.img"
head -c 100000 /dev/urandom >"$scratch/no-kernel"
head -c 20000 "$kernel" >"$scratch/short-kernel"
cp /bin/true "$scratch/program"

bad() { # WHAT PATTERN OPTION…
	local what=$1 pattern=$2
	shift 2
	ok "$what" refuses "$pattern" "$shim" "$@"
}

bad 'no option at all' 'kernel'
bad 'an unknown option' 'frobnicate' --kernel "$kernel" --frobnicate
bad 'no such kernel' 'missing' --kernel "$scratch/missing"
bad 'a kernel that is none' 'no-kernel' --kernel "$scratch/no-kernel"
bad 'a kernel that is cut short' 'short-kernel' --kernel "$scratch/short-kernel"
bad 'a program for a kernel' 'program' --kernel "$scratch/program"
bad 'no such initrd' 'missing' --kernel "$kernel" --initrd "$scratch/missing"
bad 'no CPU' 'cpus.*0' --kernel "$kernel" --cpus 0
bad 'too many CPUs' 'cpus.*17' --kernel "$kernel" --cpus 17
bad 'too little memory' 'memory' --kernel "$kernel" --memory 1M
bad 'more memory than there can be' 'memory' --kernel "$kernel" --memory 900T
bad 'a size that is none' 'memory.*lots' --kernel "$kernel" --memory lots
bad 'an initrd larger than memory' '(initrd|memory)' --kernel "$kernel" --initrd build/guest/6.1/vmlinux --memory 64M
bad 'no such disk' 'missing.img' --kernel "$kernel" --disk "path=$scratch/missing.img"
lines=2 bad 'a disk of no whole blocks' 'odd.img' --kernel "$kernel" --disk "path=$scratch/odd.img"
bad 'a disk with two sources' 'disk' --kernel "$kernel" --disk "path=$scratch/good.img,vhost-user=$scratch/x.sock"
bad 'a disk option that is none' 'colour' --kernel "$kernel" --disk "path=$scratch/good.img,colour=blue"
lines=2 bad 'the same image twice' 'good.img' --kernel "$kernel" --disk "path=$scratch/good.img" --disk "path=$scratch/good.img"
bad 'no back-end behind a socket' 'x.sock' --kernel "$kernel" --disk "vhost-user=$scratch/x.sock"
exits=2 bad 'a link that is none' "link: 'pigeon' is none of" --kernel "$kernel" --net link=pigeon
bad 'an address that is none' 'mac' --kernel "$kernel" --net link=null,mac=bad
bad 'a rate that is none' 'no rate like 100Mb/s' --kernel "$kernel" --net link=null,bus=pv,rate=fast
bad 'a rate of a virtio device' 'bus=pv' --kernel "$kernel" --net link=null,rate=1Mb/s
bad 'a console that cannot be written' 'nowhere' --kernel "$kernel" --console "file:$scratch/nowhere/log"
exits=2 bad 'a console that is none' 'console.*teletype' --kernel "$kernel" --console teletype

if setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
	chmod 755 "$scratch"
	mode=$(stat -c %a /dev/kvm)
	if [ -n "${PVKIT_LAB-}" ]; then # not on a machine that is not ours
		chmod 600 /dev/kvm
		ok 'no rights on /dev/kvm' refuses '/dev/kvm.*(kvm|group|denied)' \
			setpriv --reuid 65534 --clear-groups "$shim" --kernel "$kernel"
		chmod 666 /dev/kvm
		add_tap tap0 0 1
		lines=2 ok 'no rights on the tap' refuses 'tap0' \
			setpriv --reuid 65534 --clear-groups --inh-caps -all --bounding-set -all \
			env PVKIT_STATS_DIR=/tmp "$shim" --kernel "$kernel" --net link=tap:tap0
		chmod "$mode" /dev/kvm
	else
		skip 'rights' 'only in the lab, where /dev/kvm is ours'
	fi
else
	skip 'rights' 'cannot become another user'
fi
ok 'no statistics page is left' same pages "$(ls "$PVKIT_STATS_DIR")" ''

finished
