#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# All of tests/shim on KVM of Linux 6.12, in one nested lab where this machine has no usable KVM; of the boots the
# half that does not run on 6.1.
set -u
export PVKIT_HALF=2
exec tests/lab/run --kernel 6.12 --timeout 3600 tests/lab/suite tests/shim/*.t
