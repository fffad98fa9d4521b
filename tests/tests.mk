# SPDX-License-Identifier: MIT OR GPL-2.0
#
# deps, demo, check: what installs packages, boots guests and runs tests. Packages come first and decide what
# the build finds, so the build is a make of its own.

KERNELS := 6.1 6.12

deps:
	@packaging/deps build guest check
	@for kernel in $(KERNELS); do tests/guest/fetch-kernel $$kernel; tests/guest/fetch-headers $$kernel; \
		tests/guest/fetch-kbuild $$kernel; done

demo:
	@packaging/deps build guest
	@$(MAKE) --no-print-directory all
	@demo/run

check:
	@packaging/deps build guest check
	@tests/guest/fetch-headers 6.1 || true
	@tests/run

check-all:
	@packaging/deps build guest check
	@for kernel in $(KERNELS); do tests/guest/fetch-headers $$kernel || true; done
	@tests/run --all

.PHONY: deps demo check check-all
