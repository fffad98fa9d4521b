#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# A network without rights: link=user. DHCP, a ping to the gateway, a file fetched from the host. In the lab the shim
# is nobody's, with no rights but on /dev/kvm.
set -u
. tests/lib.sh
own_namespaces "$0" "$@" || true
start

mkdir "$scratch/www"
head -c 3000000 /dev/urandom >"$scratch/www/file"
sum=$(sha256sum <"$scratch/www/file" | cut -d' ' -f1)
spawn httpd busybox httpd -f -p 127.0.0.1:8099 -h "$scratch/www"
if [ -n "${PVKIT_LAB-}" ]; then
	chmod 755 "$scratch"
	chmod 777 "$PVKIT_STATS_DIR"
	run_as='setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all'
fi
shim user 6.12 "guest.run=usernet guest.url=http://10.0.2.2:8099/file" --memory 256M --cpus 1 --net link=user
ok 'the guest ends' status_is 0 reap user 90
ok 'DHCP, ping and HTTP' step_passed user usernet
ok 'what was fetched is what lies there' same checksum "$(guest_figure user fetched_sha256)" "$sum"
ok 'clean log' guest_log_clean user

finished
