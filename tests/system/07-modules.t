#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make modules, install-modules, install-dkms: what they refuse, where they put things, and that they take it back.
set -u
. tests/lib.sh
start

# A make of its own, not a part of the make that runs the tests.
mk() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory "$@"; }

# says_why PATTERN ARGUMENT…: make fails with one line of ours that matches, and none of bash's.
says_why() {
	local pattern=$1
	shift
	! mk "$@" >"$scratch/said" 2>&1 || return 1
	sed -i '/^make: /d' "$scratch/said"
	same 'the number of lines' "$(wc -l <"$scratch/said")" 1 && says "$scratch/said" "^modules: .*$pattern"
}
for target in modules install-modules uninstall-modules; do
	ok "$target: no release" says_why "'' is no kernel release: give KERNEL_RELEASE=" $target KERNEL_RELEASE=
	ok "$target: a path" says_why "'../x' is no kernel release" $target KERNEL_RELEASE=../x
	ok "$target: two words" says_why "'6.1 6.12' is no kernel release" $target KERNEL_RELEASE='6.1 6.12'
done
ok 'modules: a release that nobody has' says_why 'install linux-headers-9.9, or give KERNEL_BUILD' modules KERNEL_RELEASE=9.9
ok 'modules: a folder that is no kernel' says_why 'no built kernel tree' modules KERNEL_RELEASE=9.9 KERNEL_BUILD="$scratch"
ok 'install-modules: not built' says_why 'not built yet: make modules KERNEL_RELEASE=9.9' install-modules \
	KERNEL_RELEASE=9.9 DESTDIR="$scratch/none"
ok 'nothing was made' test ! -e "$scratch/none"

there() { (cd "$scratch/to" && find . -type f | sort | tr '\n' ' '); }
rules=./usr/lib/udev/rules.d/61-pvkit.rules

ok 'modules for stock 6.1' mk modules KERNEL_RELEASE=6.1
release=$(cat build/kbuild/6.1/release)
folder=lib/modules/$release
ok 'they are installed' mk install-modules KERNEL_RELEASE=6.1 DESTDIR="$scratch/to"
ok 'where modprobe looks' same files "$(there)" \
	"./$folder/updates/pvkit.ko ./$folder/updates/pvkit_blk.ko ./$folder/updates/pvkit_net.ko $rules "
ok 'and taken back' mk uninstall-modules KERNEL_RELEASE="$release" DESTDIR="$scratch/to"
ok 'without a rest' same files "$(there)" ''

# A kernel below DESTDIR: modprobe finds what depmod saw.
mkdir -p "$scratch/to/$folder"
touch "$scratch/to/$folder/modules.order" "$scratch/to/$folder/modules.builtin"
ok 'beside a kernel' mk install-modules KERNEL_RELEASE=6.1 DESTDIR="$scratch/to"
ok 'in its index' says "$scratch/to/$folder/modules.dep" '^updates/pvkit_blk.ko: updates/pvkit.ko'
ok 'by the alias' says "$scratch/to/$folder/modules.alias" 'pvkit:vbd pvkit_blk'
ok 'away again' mk uninstall-modules KERNEL_RELEASE=6.1 DESTDIR="$scratch/to"
ok 'and out of the index' same entries "$(grep -c pvkit "$scratch/to/$folder/modules.dep")" 0
rm -rf "$scratch/to"

ok 'for DKMS' mk install-dkms DESTDIR="$scratch/to"
ok 'with the rules' test -e "$scratch/to/$rules"
ok 'DKMS: taken back' mk uninstall-dkms DESTDIR="$scratch/to"
ok 'DKMS: without a rest' same files "$(there)" ''

finished
