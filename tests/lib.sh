# SPDX-License-Identifier: MIT OR GPL-2.0
# shellcheck shell=bash
#
# What the test scripts share: TAP, a scratch folder, processes that end with the script, and network
# namespaces. Bash only. Scripts run from the repository's root.

# Prints why KVM cannot be used here; prints nothing when it can. A /dev/kvm that opens is not enough: without vmx
# or svm the kernel may emulate instruction by instruction, and a stock guest gets nowhere.
kvm_unusable() {
	if ! grep -qwE 'vmx|svm' /proc/cpuinfo; then
		echo 'this CPU shows no vmx or svm'
	elif [ ! -e /dev/kvm ]; then
		echo 'there is no /dev/kvm'
	elif [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
		echo "no rights on /dev/kvm (is $(id -un) in the group kvm?)"
	fi
}

# Reads a kernel's log, prints what a healthy system does not say. Fails when there is any.
kernel_log_trouble() {
	local found
	found=$(grep -E 'WARNING:|BUG:|Oops|Kernel panic|Call Trace|soft lockup|hung_task|blocked for more than|I/O error|rcu_.*stall|unhandled|lost page write|Buffer I/O|EXT4-fs (error|warning)|segfault|general protection|NETDEV WATCHDOG|nobody cared' || true)
	[ -n "$found" ] || return 0
	echo "$found"
	return 1
}
