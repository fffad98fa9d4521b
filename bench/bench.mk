# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make bench: needs qemu-storage-daemon and DPDK's testpmd to compare with, and root for the tap rows.
# ROWS="null tmpfs-qd32": only those; see bench/run --list.

ROWS ?=

# A test runs it, so it is built with all else.
all: $(B)/bench/costs/costs

COSTS_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard bench/costs/*.c))

$(B)/bench/costs/costs: $(COSTS_OBJ) $(patsubst %,$(B)/lib%.a,shim ring common)
	$(call quiet,LD,$@)$(CC) $(PVKIT_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS_shim) $(LDLIBS)

bench:
	@packaging/deps build guest check
	@$(MAKE) --no-print-directory $(addprefix $(B)/,pvkit-blkd pvkit-netd pvkit-load bench/costs/costs)
	@bench/run $(ROWS)

.PHONY: bench
