#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The same on the lab's KVM, which has Xen's entrance from 6.12 on.
exec tests/system/07-costs.t
