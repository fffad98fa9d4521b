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

BENCHED := $(addprefix $(B)/,pvkit-blkd pvkit-netd pvkit-load bench/costs/costs)
# For the row of instructions.
COUNTED := $(addprefix $(B)/,pvkit-shim pvkit-blkd pvkit-netd instructions/plugin.so instructions/load)

bench:
	@packaging/deps build guest check
	@$(MAKE) --no-print-directory $(BENCHED) $(COUNTED)
	@bench/run $(ROWS)

# Instructions an I/O: an emulator's plugin, and a load for the guest's initrd, which is built upon the tests'.
$(B)/instructions/plugin.so: bench/instructions/plugin.c $(wildcard bench/instructions/*.h)
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(CC) $(PVKIT_CFLAGS) $(CFLAGS) -shared -fPIC -fvisibility=hidden -o $@ $<

$(B)/instructions/load: bench/instructions/load.c bench/instructions/marks.h
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(CC) $(PVKIT_CFLAGS) $(CFLAGS) -static -o $@ $<

bench-instructions:
	@packaging/deps build guest check
	@$(MAKE) --no-print-directory $(COUNTED)
	@bench/instructions/run

.PHONY: bench bench-instructions
