#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The guest modules' logic in a kernel: KUnit suites on user-mode Linux with lockdep and KASAN; the modules built for
# the stock kernels without a warning, and clean to sparse and checkpatch.
set -u
. tests/lib.sh
command -v flex >/dev/null && command -v bison >/dev/null || skip_all 'no flex or bison: install them'
start

tests/kunit/build-kernel >&2 || {
	fail 'the kernel is built' "see build/kunit/log"
	finished
}
tests/kunit/run >"$scratch/kunit.log" 2>&1 || true

why() { grep -B 12 -F "$1" <<<"$report"; }

report=$(cat "$scratch/kunit.log")
# One line a case: "SUITE: CASE".
suite=''
while read -r line; do
	case $line in
	'# Subtest: '*) suite=${line#'# Subtest: '} ;;
	*'# SKIP '*) skip "$suite: $(echo "$line" | cut -d' ' -f3)" "${line#*# SKIP }" ;;
	'ok '*' '"$suite") pass "$suite ends" ;;
	'ok '*) pass "$suite: $(echo "$line" | cut -d' ' -f3)" ;;
	'not ok '*' '"$suite") fail "$suite ends" "$(grep -A 3 ' FAILED at ' <<<"$report" | head -n 40)" ;;
	'not ok '*) fail "$suite: $(echo "$line" | cut -d' ' -f4)" "$(why "$line")" ;;
	esac
done <<<"$report"

suites_ran() {
	local source name
	for source in tests/kunit/*_test.c; do
		name=$(sed -n 's/.*\.name = "\(pvkit_[a-z_]*\)".*/\1/p' "$source")
		grep -q "^ok .* $name\$" "$scratch/kunit.log" || {
			echo "no result of $name"
			tail -n 30 "$scratch/kunit.log"
			return 1
		}
	done
}
ok 'all suites ran to their end' suites_ran
ok 'the module goes' says "$scratch/kunit.log" '^@@ unloaded'

log_clean() {
	says "$scratch/kunit.log" '^@@ log end' || return 1
	# What came before is the kernel's own.
	! sed -n '/loading out-of-tree module/,/^@@ log end/p' "$scratch/kunit.log" |
		grep -E -A 30 'WARNING|BUG|KASAN|lockdep|possible|Call Trace|kobject|sysfs:'
}
ok 'lockdep and KASAN have nothing to say' log_clean

for version in 6.1 6.12; do
	ok "modules for stock $version build without a warning, sparse has none" \
		env MODULES_DIR="$scratch/modules" guest-kernel-module/build-modules $version '' C=2 CHECK=sparse
done

# In folders of the test's own, from the installed sources to what modprobe would find.
dkms_installs() {
	local version release folder=$scratch/dkms
	local kernel_headers=$PWD/build/kbuild/6.1/build
	version=$(sed -n 's/^VERSION := //p' Makefile) release=$(cat build/guest/6.1/release)
	local with=(-m pvkit -v "$version" --sourcetree "$scratch/usr/src" --dkmstree "$folder/tree"
		--installtree "$folder/modules")
	make --no-print-directory DESTDIR="$scratch" install-dkms && mkdir -p "$folder"/{tree,modules/"$release"} || return 1
	dkms add "${with[@]}" && dkms build "${with[@]}" -k "$release" --kernelsourcedir "$kernel_headers" &&
		dkms install "${with[@]}" -k "$release" --kernelsourcedir "$kernel_headers" --no-depmod || {
		cat "$folder/tree/pvkit/$version/build/make.log"
		return 1
	}
	same 'what is installed' "$(cd "$folder/modules/$release" && echo updates/dkms/*)" \
		'updates/dkms/pvkit.ko updates/dkms/pvkit_blk.ko updates/dkms/pvkit_net.ko' &&
		same 'the version of pvkit.ko' "$(modinfo -F version "$folder/modules/$release/updates/dkms/pvkit.ko")" "$version" &&
		dkms remove "${with[@]}" --all && [ ! -e "$folder/modules/$release/updates/dkms/pvkit.ko" ]
}
ok 'DKMS builds the installed sources, installs the modules, and removes them' dkms_installs

# A line "NAME:what it does (type)" for each parameter, and a sentence for the module.
modules_are_described() {
	local module parameter
	for module in "$scratch"/modules/*/*.ko; do
		[ -n "$(modinfo -F description "$module")" ] || fails_with "$module: no description" || return 1
		while read -r parameter; do
			[[ $parameter =~ ^[a-z_]+:[A-Z].{10,}\(.*\)$ ]] || fails_with "$module: $parameter" || return 1
		done < <(modinfo -F parm "$module")
	done
	[ -n "$parameter$module" ]
}
ok 'modinfo tells what modules and parameters are for' modules_are_described

checkpatch() {
	local source
	for source in guest-kernel-module/*.[ch] guest-drivers/*/*.[ch]; do
		[ -e "$source" ] || continue
		# What compares versions is in compat.h; exports.c exports what others define; the store has an ENOSYS.
		perl build/kunit/source/scripts/checkpatch.pl --no-tree -q --max-line-length=100 \
			--ignore SPDX_LICENSE_TAG,FILE_PATH_CHANGES,LINUX_VERSION_CODE,CONSTANT_COMPARISON,EXPORT_SYMBOL,ENOSYS \
			-f "$source" || return 1
	done
}
ok 'checkpatch has nothing to say' checkpatch

finished
