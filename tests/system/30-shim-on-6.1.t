#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# All of tests/shim on KVM of Linux 6.1, in one nested lab where this machine has no usable KVM.
set -u
exec tests/lab/run --kernel 6.1 --timeout 1100 tests/lab/suite tests/shim/*.t
