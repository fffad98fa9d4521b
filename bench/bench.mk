# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make bench: needs qemu-storage-daemon and DPDK's testpmd to compare with, and root for the tap rows.
# ROWS="null tmpfs-qd32": only those; see bench/run --list.

ROWS ?=

bench:
	@packaging/deps build check
	@$(MAKE) --no-print-directory $(addprefix $(B)/,pvkit-blkd pvkit-netd pvkit-load)
	@bench/run $(ROWS)

.PHONY: bench
