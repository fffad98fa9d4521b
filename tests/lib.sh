# SPDX-License-Identifier: MIT OR GPL-2.0
# shellcheck shell=bash
#
# What the test scripts share: TAP, a scratch folder, processes that end with the script, guests and their
# consoles. Bash only. Scripts run from the repository's root.

# ---- where we are ------------------------------------------------------------------------------------------

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

# Prints why guests with Xen's drivers cannot run here, in the shim's words; prints nothing when they can.
xen_unusable() {
	# Where KVM can, this start fails too, but later.
	"$BUILD/pvkit-shim" --mode xen --kernel "build/guest/${kernel:-6.12}/vmlinuz" --console none \
		--disk engine=null,size=1M --attach "$scratch/none/socket" 2>&1 | sed -n '/KVM_CAP_XEN_HVM/s/^pvkit-shim: //p'
}

# own_namespaces "$0" "$@" runs the script again in network and process namespaces of its own: its taps and its
# processes go when its first process goes, whatever kills that. A user namespace gives the rights for it to
# those who are not root. Fails where the kernel forbids it.
own_namespaces() {
	local user=''
	[ "${PVKIT_NAMESPACES-}" != entered ] || {
		unset PVKIT_NAMESPACES
		ip link set lo up
		return 0
	}
	[ "$(id -u)" -eq 0 ] || user='--user --map-root-user'
	# shellcheck disable=SC2086
	unshare $user --net true 2>/dev/null || return 1
	# shellcheck disable=SC2086
	PVKIT_NAMESPACES=entered exec unshare $user --net --pid --fork --kill-child --mount-proc "$BASH" "$@"
}

# The build under test: BUILD=build/address,undefined tests the sanitized one.
BUILD=${BUILD:-build}

# ---- TAP ---------------------------------------------------------------------------------------------------

tap_count=0
tap_failed=0

# ok NAME COMMAND…: one test, which passes when the command does. What the command prints is shown when it fails.
ok() {
	local name=$1
	shift
	tap_count=$((tap_count + 1))
	# In this very shell: a command may reap what the script has spawned.
	if "$@" >"$scratch/said" 2>&1; then
		echo "ok $tap_count - $name"
	else
		echo "not ok $tap_count - $name"
		tap_failed=$((tap_failed + 1))
		sed 's/^/# /' "$scratch/said"
		return 1
	fi
}

pass() { ok "$1" true; }

fail() { # NAME REASON
	ok "$1" fails_with "$2" || true
}

fails_with() {
	echo "$*"
	return 1
}

skip() { # NAME REASON
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

finished() {
	echo "1..$tap_count"
	[ "$tap_failed" -ne 0 ] || exit 0
	! guest_lost || exit 122
	exit 1
}

# ---- scratch and processes ---------------------------------------------------------------------------------

# shellcheck disable=SC2034
declare -A pid_of=() # by the name given to spawn
scratch=''

# Makes $scratch and sees to it that nothing outlives the script.
start() {
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/pvkit.XXXXXX")
	export PVKIT_STATS_DIR=$scratch/stats
	mkdir "$PVKIT_STATS_DIR"
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

clean_up() {
	local status=$? name
	trap '' INT TERM
	for name in "${!pid_of[@]}"; do
		kill "${pid_of[$name]}" 2>/dev/null || true
	done
	for name in "${!pid_of[@]}"; do
		end_within 5 "${pid_of[$name]}" || kill -KILL "${pid_of[$name]}" 2>/dev/null || true
	done
	if [ -n "${PVKIT_KEEP-}" ]; then
		echo "# kept: $scratch"
	else
		rm -rf "$scratch"
	fi
	exit $status
}

# spawn NAME COMMAND…: in the background, output in $scratch/NAME.log, killed at the latest with the script.
spawn() {
	local name=$1
	shift
	setpriv --pdeathsig KILL "$@" >"$scratch/$name.log" 2>&1 </dev/null &
	pid_of[$name]=$!
}

alive() { kill -0 "${pid_of[$1]}" 2>/dev/null; }

# stop NAME [SIGNAL]: prints nothing, gives the exit status.
stop() {
	local pid=${pid_of[$1]} status=0
	kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
	reap "$1" 10 || status=$?
	return $status
}

# Limits of time are for a machine that does nothing else; a busy one gets this many times as long. They matter
# only to what hangs.
patience=${PVKIT_PATIENCE:-4}

# reap NAME SECONDS: the exit status of what ends by itself; 124 and a kill for what does not.
reap() {
	local pid=${pid_of[$1]} status=0
	unset "pid_of[$1]"
	end_within "$2" "$pid" || {
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		return 124
	}
	wait "$pid" 2>/dev/null || status=$?
	return $status
}

end_within() { # SECONDS PID; a zombie has ended
	local deadline=$((SECONDS + $1 * patience)) state
	while state=$(sed 's/.*) \(.\).*/\1/' "/proc/$2/stat" 2>/dev/null) && [ "$state" != Z ]; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# within SECONDS COMMAND…: tries until the command passes.
within() {
	local deadline=$((SECONDS + $1 * patience))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

same() { # WHAT IS-VALUE WANTED-VALUE
	[ "$2" = "$3" ] || {
		echo "$1 is $2, wanted $3"
		return 1
	}
}

status_is() { # WANTED COMMAND…
	local wanted=$1 status=0
	shift
	"$@" || status=$?
	same 'the exit status' "$status" "$wanted"
}

says() { # FILE PATTERN
	grep -qE -- "$2" "$1" || {
		echo "no line matches '$2' in:"
		tail -n 20 "$1"
		return 1
	}
}

# Prints what runs of pvkit's programs that this script started, whoever their parents are by now.
our_programs() {
	local found='' environment process
	while read -r environment; do
		process=${environment%/environ}
		! grep -s '^pvkit-' "$process/comm" || found=1
	done < <(grep -lsz "^PVKIT_STATS_DIR=$PVKIT_STATS_DIR\$" /proc/[0-9]*/environ)
	[ -n "$found" ]
}

# refuses PATTERN COMMAND…: a bad start costs one line on standard error, that names the thing, and a status other
# than 0; it leaves no process behind. With lines=2, two lines: a daemon's own, and the shim's, for which device. With
# exits=2, that status and no other.
refuses() {
	local pattern=$1 status=0
	shift
	timeout -k 5 $((20 * patience)) "$@" >"$scratch/refused.out" 2>"$scratch/refused.err" </dev/null || status=$?
	cat "$scratch/refused.out" "$scratch/refused.err"
	if [ "$status" -eq 0 ] || [ "$status" -ge 124 ]; then
		echo "the exit status is $status"
		return 1
	fi
	same 'the exit status' "$status" "${exits:-$status}" &&
		same 'the number of lines' "$(cat "$scratch/refused.out" "$scratch/refused.err" | wc -l)" "${lines:-1}" &&
		says "$scratch/refused.err" "$pattern" && ! our_programs
}

# Adds a tap with the host's address 10.99.N.1/24; N is 0 unless told.
add_tap() { # NAME [N [QUEUES]]
	local queues=multi_queue
	[ "${3:-2}" -gt 1 ] || queues=''
	# shellcheck disable=SC2086
	ip tuntap add "$1" mode tap vnet_hdr $queues
	sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1" 2>/dev/null || true
	ip addr add "10.99.${2:-0}.1/24" dev "$1"
	ip link set "$1" up
}

start_iperf() { # [N]
	spawn "iperf${1:-0}" iperf3 -s --forceflush -B "10.99.${1:-0}.1"
	within 10 grep -q listening "$scratch/iperf${1:-0}.log"
}

# ---- guests ------------------------------------------------------------------------------------------------
# A guest's console is $scratch/NAME.log, see tests/guest/init for its lines.

shim() { # NAME KERNEL APPEND OPTION…; image=vmlinux, or pvh: vmlinuz by PVH
	local name=$1 kernel=$2 append=$3 file=${image:-vmlinuz}
	shift 3
	[ "$file" != pvh ] || {
		file=vmlinuz
		set -- --boot pvh "$@"
	}
	# On an emulated CPU with neighbours a vCPU may wait for half a minute: that is no stall of the guest's making.
	[ -z "${PVKIT_LAB-}" ] || append="rcupdate.rcu_cpu_stall_timeout=300 watchdog_thresh=60 $append"
	# shellcheck disable=SC2086
	spawn "$name" ${run_as-} "$BUILD/pvkit-shim" --kernel "build/guest/$kernel/$file" \
		--initrd "build/guest/$kernel/initrd" --append "console=ttyS0 quiet panic=-1 $append" "$@"
}

# What emulated kernels are told: to leave out what costs time, and the rate of the counter that they see, which
# they measure wrongly on a busy machine.
emulated_kernel_options() {
	local source=tests/guest/tsc-khz.c program=build/guest/tsc-khz
	[ "$program" -nt "$source" ] || {
		mkdir -p build/guest
		"${CC:-gcc}" -O2 -o "$program.$$" "$source" && mv "$program.$$" "$program"
	}
	echo "mitigations=off no_timer_check tsc=reliable tsc_early_khz=$($program)"
}

# A guest of QEMU, emulated unless accelerator=kvm, whose memory back-ends can map.
qemu() { # NAME KERNEL CPUS APPEND OPTION…
	local name=$1 kernel=$2 cpus=$3 append=$4
	local machine=(-accel tcg,thread=multi -cpu max)
	shift 4
	if [ "${accelerator-}" = kvm ]; then
		machine=(-accel kvm -cpu host)
	else
		append="$(emulated_kernel_options) $append"
	fi
	spawn "$name" qemu-system-x86_64 "${machine[@]}" -machine q35,memory-backend=ram \
		-object memory-backend-memfd,id=ram,size=512M,share=on -smp "$cpus" -m 512 \
		-nodefaults -no-user-config -display none -vga none -no-reboot -serial stdio \
		-kernel "build/guest/$kernel/vmlinux" -initrd "build/guest/$kernel/initrd" \
		-append "console=ttyS0 quiet panic=-1 $append" "$@"
}

console() { tr -d '\r' <"$scratch/$1.log"; }

guest_figure() { # NAME FIGURE
	console "$1" | sed -n "s/^@@ figure $2 //p"
}

# step_passed NAME STEP: shows the step's own output otherwise.
step_passed() {
	console "$1" | grep -q "^@@ end $2 0\$" || {
		console "$1" | sed -n "/^@@ begin $2\$/,/^@@ end $2/p" | tail -n 20
		console "$1" | grep -q "^@@ begin $2\$" || console "$1" | tail -n 15
		return 1
	}
}

# Warnings and worse that the guest's kernel logged, without those that say nothing about its devices.
guest_log() { # NAME
	console "$1" | sed -n '/^@@ log$/,/^@@ log end$/p' | grep -v '^@@' |
		grep -vE 'mtrr: your CPUs|MMCONFIG|PCI: Using|Unstable clock|local clock|trace_clock|on the kernel command|TSC|tsc|APIC calibration|SELinux|loading out-of-tree module|mmapper_init|ubd device|epollctl|kernel memory protection|Spectre|MDS|retbleed|RETBleed|mitigation|Mitigation|microcode|Retpoline|x86/cpu|hypfs|hrtimer: interrupt took|hpet: Lost|clocksource: (Long readout|timekeeping watchdog)|cpu [0-9]+ spinlock event irq|Grant table initialized|block device autoloading is deprecated|amd_pstate|amd_pmu|PMU|perfctr|^<4>\[ *[0-9.]+\]  #[0-9]+\$'
}

guest_log_clean() { # NAME
	local found
	console "$1" | grep -q '^@@ log end$' || {
		echo 'the guest did not get as far as its log; its console ends so:'
		console "$1" | tail -n 15
		return 1
	}
	found=$(guest_log "$1")
	[ -z "$found" ] || {
		echo "$found"
		return 1
	}
}

# guest_disk NAME: makes an empty image of 128 MiB, and prints it as --disk takes it.
guest_disk() {
	truncate -s 128M "$scratch/$1.img"
	echo "path=$scratch/$1.img"
}

# guest_works TITLE NAME STEPS: a guest of shim ends well, each of its steps passed, and nobody complained.
guest_works() {
	local step
	ok "$1: the guest ends" status_is 0 reap "$2" 240
	for step in ${3//,/ }; do
		ok "$1: $step" step_passed "$2" "$step"
	done
	ok "$1: clean log" guest_log_clean "$2"
	ok "$1: the shim and the daemons have nothing to say" host_silent "$2"
}

host_silent() { # NAME
	! grep '^pvkit-' "$scratch/$1.log"
}

# Reads a kernel's log, prints what a healthy system does not say. Fails when there is any.
kernel_log_trouble() {
	local found
	found=$(grep -E 'WARNING:|BUG:|Oops|Kernel panic|Call Trace|soft lockup|hung_task|blocked for more than|I/O error|rcu_.*stall|lost page write|Buffer I/O|EXT4-fs (error|warning)|segfault|general protection|NETDEV WATCHDOG|nobody cared' || true)
	[ -n "$found" ] || return 0
	echo "$found"
	return 1
}

# A kernel patches its code, a static key say, behind a breakpoint that it sets for the moment. QEMU before 8.1 does not
# keep a page from changing while it translates code of it: another CPU's translation may hold the breakpoint for ever.
stale_breakpoint() { grep -qsE 'int3: 0000 \[' "$@"; }

# A guest in the nested lab can meet one as well as the lab's kernel: the lab is at fault (tests/lab/suite).
guest_lost() {
	[ -n "${PVKIT_LAB-}" ] && [ -n "$scratch" ] && stale_breakpoint "$scratch"/*.log
}

# The file system that the step storage wrote, seen from outside: structure, then every file against its sum.
image_intact() { # IMAGE
	local folder=$scratch/dumped
	e2fsck -fn "$1" >"$scratch/e2fsck.log" 2>&1 || {
		tail -n 5 "$scratch/e2fsck.log"
		return 1
	}
	rm -rf "$folder"
	mkdir "$folder"
	debugfs -R "rdump / $folder" "$1" 2>"$scratch/debugfs.log"
	(cd "$folder" && [ "$(wc -l <SUMS)" -ge 1 ] && sha256sum --quiet -c SUMS)
}
