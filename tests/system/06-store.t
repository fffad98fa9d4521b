#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The store with Xen's own tools (libxenstore, over a Unix socket), and a guest on its ring page at the same time.
set -u
. tests/lib.sh
command -v xenstore-ls >/dev/null || skip_all 'no xenstore-ls here (package xenstore-utils)'
start
driver=$BUILD/tests/unit/shim/store_listen
[ -x "$driver" ] || make --no-print-directory "$driver" >"$scratch/make.log" 2>&1 || {
	cat "$scratch/make.log"
	exit 1
}
export XENSTORED_PATH=$scratch/store.sock
guest=/local/domain/1

# The driver's standard input and output are the guest.
mkfifo "$scratch/to-guest"
exec 7<>"$scratch/to-guest"
setpriv --pdeathsig KILL "$driver" "$XENSTORED_PATH" <"$scratch/to-guest" >"$scratch/from-guest" 2>"$scratch/store.log" 7>&- &
pid_of[store]=$!

guest_does() { # COMMAND WANTED
	local lines
	lines=$(wc -l <"$scratch/from-guest")
	echo "$1" >&7
	within 10 eval "[ \$(wc -l <'$scratch/from-guest') -gt $lines ]"
	same 'the guest'\''s answer' "$(tail -n 1 "$scratch/from-guest")" "$2"
}
prints() { # WANTED COMMAND…
	local wanted=$1
	shift
	same "what $1 prints" "$("$@" 2>&1)" "$wanted"
}
fails() { ! timeout 20 "$@"; }

ok 'the store listens' within 10 grep -q ready "$scratch/from-guest"
ok 'only its own user may connect' prints 600 stat -c %a "$XENSTORED_PATH"

ok 'write' xenstore-write "$guest/data/greeting" 'hello, world' "$guest/data/deep/er" 2
ok 'read' prints 'hello, world' xenstore-read "$guest/data/greeting"
ok 'read what is not there' fails xenstore-read "$guest/data/none"
ok 'exists' xenstore-exists "$guest/data/deep"
ok 'list' prints $'greeting\ndeep' xenstore-list "$guest/data"
ok 'relative to domain 0' xenstore-write backend/vbd/1/51712/mode w
ok 'ls' prints 'data = ""
 greeting = "hello, world"
 deep = ""
  er = "2"' xenstore-ls "$guest"
ok 'ls with permissions' says <(xenstore-ls -p /local) '^ +mode = "w" [ .]+\(n0\)$'
ok 'full paths' says <(xenstore-ls -f /local) "^$guest/data/deep/er = \"2\"\$"
ok 'chmod' xenstore-chmod "$guest/data/greeting" n1 r2
ok 'which ls shows' says <(xenstore-ls -p $guest) 'greeting = "hello, world" [ .]+\(n1,r2\)$'
ok 'chmod of all below' xenstore-chmod -r "$guest/data/deep" n1
ok 'which ls shows' says <(xenstore-ls -p $guest) 'er = "2" [ .]+\(n1\)$'

ok 'the guest writes' guest_does 'write device/vbd/51712/state 1' OK
ok 'the guest writes what it may not' guest_does 'write /tool/x 1' EACCES
ok 'a tool reads it' prints 1 xenstore-read "$guest/device/vbd/51712/state"

# Watches: the first event comes at once, then one a change; -n counts them.
spawn watch stdbuf -oL xenstore-watch -n 4 "$guest/device"
within 10 grep -q device "$scratch/watch.log"
ok 'the guest changes a watched key' guest_does 'write device/vbd/51712/state 4' OK
within 10 grep -q state "$scratch/watch.log"
ok 'a tool changes another' xenstore-write "$guest/device/vif/0/mac" 02:00:00:00:00:01
within 10 grep -q mac "$scratch/watch.log"
ok 'the guest removes all' guest_does 'rm device' OK
ok 'the watcher ends' status_is 0 reap watch 10
ok 'having seen it in order' prints "$guest/device
$guest/device/vbd/51712/state
$guest/device/vif/0/mac
$guest/device" cat "$scratch/watch.log"

# A list that needs more than one message; libxenstore asks for it part by part.
mapfile -t long < <(seq -f "$guest/long/a-name-of-some-length-%03g" 300 | sed 's/$/\n1/')
ok 'a long list, in one transaction' xenstore-write "${long[@]}"
ok 'comes whole' prints 300 eval "xenstore-list $guest/long | wc -l"
ok 'and in order' prints a-name-of-some-length-300 eval "xenstore-list $guest/long | tail -n 1"
ok 'rm' xenstore-rm "$guest/long"
ok 'rm with the parents that are empty then' xenstore-rm -t "$guest/data/deep/er"
ok 'they are gone' fails xenstore-exists "$guest/data/deep"

# Debian's xenstore-control is a wrapper of xen-utils-common, which chooses the program of the Xen that runs.
if command -v xenstore-control >/dev/null; then
	ok 'control: the accounts are right' says <(xenstore-control check 2>&1) OK
	ok 'control: what is no command' fails xenstore-control frobnicate
else
	skip 'control' 'no xenstore-control here (units ask the same)'
fi

# Many tools at once, each with transactions on the same keys.
counters() {
	local i pids=()
	for i in 1 2 3 4; do
		(for n in $(seq 25); do xenstore-write "$guest/count/$i" "$n" "$guest/count/last" "$i" || exit 1; done) &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || return 1; done
	for i in 1 2 3 4; do same "count $i" "$(xenstore-read "$guest/count/$i")" 25 || return 1; done
}
ok 'four writers at once, in transactions' counters

exec 7>&-
# The script's own end of the pipe was one that the driver waited for.
ok 'it ends with the guest' status_is 0 reap store 10
ok 'its socket is gone' fails test -e "$XENSTORED_PATH"
ok 'it said nothing' prints '' cat "$scratch/store.log"
finished
