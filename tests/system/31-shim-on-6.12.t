#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# tests/shim on KVM of Linux 6.12, in nested labs where this machine has no usable KVM: what other people's
# back-ends, user-mode networking, bad input, PV mode and in-tree Xen drivers need, and the half of the boots that does
# not run on 6.1; in the long form all of it.
set -u
tests='tests/shim/10-boot.t tests/shim/20-usernet.t tests/shim/40-backends.t tests/shim/50-bad-input.t tests/shim/60-pv.t
	 tests/shim/61-pv-lives.t tests/shim/62-pv-knobs.t tests/shim/70-xen.t'
if [ -n "${PVKIT_LONG-}" ]; then
	tests=$(echo tests/shim/*.t)
else
	export PVKIT_HALF=2
fi
# shellcheck disable=SC2086
exec tests/lab/suite 6.12 $tests
