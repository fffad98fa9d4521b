#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What of tests/shim meets the host's kernel most, on KVM of Linux 6.1, in nested labs where this machine has no
# usable KVM. The rest runs on 6.12, and in the long form here too.
set -u
tests='tests/shim/10-boot.t tests/shim/30-exits.t'
if [ -n "${PVKIT_LONG-}" ]; then
	tests=$(echo tests/shim/*.t)
else
	export PVKIT_HALF=1
fi
# shellcheck disable=SC2086
exec tests/lab/suite 6.1 $tests
