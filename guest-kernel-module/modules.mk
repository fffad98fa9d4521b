# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make modules [KERNEL_RELEASE=$(uname -r)] [KERNEL_BUILD=FOLDER]: the guest's modules, into
# build/modules/RELEASE. KERNEL_RELEASE=6.1 or 6.12: for Debian's stock kernel, whose headers are fetched
# below build/ and not installed.

KERNEL_RELEASE ?= $(shell uname -r)
KERNEL_BUILD ?=

modules:
	+@guest-kernel-module/build-modules $(KERNEL_RELEASE) "$(KERNEL_BUILD)"

.PHONY: modules
