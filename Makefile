# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make            build everything into build/
# make deps       install the Debian packages that are missing, named first
# make demo       the main job: a stock guest on pvkit, end to end
# make check      all tests; make check-all: their long forms too
# make bench      measurements (QUICK=1: two minutes)
# make bench-instructions    what a guest executes for an I/O, counted in the nested lab
# make modules    guest modules: KERNEL_RELEASE=6.1, 6.12 or an installed kernel; KERNEL_BUILD=FOLDER
# make install-modules       those to /lib/modules/RELEASE/updates, in a guest; make uninstall-modules
# make install-dkms          the guest modules to /usr/src and DKMS, in a guest; make uninstall-dkms
# make install    PREFIX=/usr/local DESTDIR= ; make uninstall
#
# SANITIZE=address,undefined or SANITIZE=thread builds the same into build/address,undefined and so on.
# V=1 shows the commands.

SANITIZE ?=
B := build$(if $(SANITIZE),/$(SANITIZE))
PREFIX ?= /usr/local
VERSION := 0.1.0

V ?= 0
quiet = $(if $(filter 0,$(V)),@printf '  %-4s %s\n' $(1) $(2);)

CFLAGS ?= -O2 -g
PVKIT_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter -fno-strict-aliasing -pthread -I. -D_GNU_SOURCE \
	-DPVKIT_VERSION='"$(VERSION)"'
ifneq ($(SANITIZE),)
PVKIT_CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
LDLIBS_blk := -luring -laio
LDLIBS_net := -lslirp
# pvkit-load has the shim's room too, but loads no kernel.
LDLIBS_shim := -Wl,--as-needed -llzma -lzstd -lz -Wl,--no-as-needed
LDLIBS := -pthread

# A room is a static library of all its sources; a main file is a program of its own.
MAINS := backend/blkd.c backend/netd.c hypervisor-shim/main.c tools/load/main.c tools/top/main.c
sources = $(filter-out $(MAINS),$(wildcard $(addsuffix /*.c,$(1))))
objects = $(patsubst %.c,$(B)/%.o,$(1))

ROOMS := common ring backend blk net shim load top guest_blk guest_net kernel
common_SRC := $(call sources,common)
ring_SRC := $(call sources,ring)
backend_SRC := $(call sources,backend backend/transport backend/host)
blk_SRC := $(call sources,backend/blk backend/store)
net_SRC := $(call sources,backend/net backend/link)
shim_SRC := $(call sources,hypervisor-shim hypervisor-shim/hvm hypervisor-shim/pv)
load_SRC := $(call sources,tools/load)
top_SRC := $(call sources,tools/top)
# What of the guest's drivers knows no kernel, or no more of it than tests/unit/kernel has.
guest_blk_SRC := $(addprefix guest-drivers/blk/,wire.c terms.c complete.c driver.c handshake.c life.c queue.c request.c)
guest_net_SRC := $(addprefix guest-drivers/net/,frame.c handshake.c main.c multicast.c queue.c rx.c tx.c xdp.c)
kernel_SRC := $(call sources,tests/unit/kernel/fake)

PROGRAMS := $(addprefix $(B)/,pvkit-blkd pvkit-netd pvkit-shim pvkit-load pvkit-top)
pvkit-blkd_OBJ := $(B)/backend/blkd.o
pvkit-blkd_ROOMS := blk backend ring common
pvkit-netd_OBJ := $(B)/backend/netd.o
pvkit-netd_ROOMS := net backend ring common
pvkit-shim_OBJ := $(B)/hypervisor-shim/main.o
pvkit-shim_ROOMS := shim ring common
pvkit-load_OBJ := $(B)/tools/load/main.o
pvkit-load_ROOMS := load shim ring common
pvkit-top_OBJ := $(B)/tools/top/main.o
pvkit-top_ROOMS := top common

MAN := $(addprefix $(B)/man/,pvkit-blkd.1 pvkit-netd.1 pvkit-shim.1 pvkit-load.1 pvkit-top.1)

all: $(PROGRAMS) $(MAN)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(PVKIT_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define room_rule
$(B)/lib$(1).a: $(call objects,$($(1)_SRC))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call quiet,AR,$$@)$$(AR) rcs $$@ $$^
endef
$(foreach room,$(ROOMS),$(eval $(call room_rule,$(room))))

# Rooms look to the left only, so this order links.
define program_rule
$(B)/$(1): $($(1)_OBJ) $(patsubst %,$(B)/lib%.a,$($(1)_ROOMS))
	$$(call quiet,LD,$$@)$$(CC) $$(PVKIT_CFLAGS) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $(foreach r,$($(1)_ROOMS),$(LDLIBS_$(r))) $$(LDLIBS)
endef
$(foreach program,$(notdir $(PROGRAMS)),$(eval $(call program_rule,$(program))))

$(B)/man/%.1: $(B)/%
	@mkdir -p $(@D)
	$(call quiet,MAN,$@)$< --print-man >$@.tmp && mv $@.tmp $@

# Unit tests: tests/unit/ROOM/NAME.c is one cmocka program on the rooms that ROOM may look at.
unit_ROOMS_abi :=
unit_ROOMS_common := common
unit_ROOMS_ring := ring
unit_ROOMS_transport := backend shim ring common
unit_ROOMS_host := backend shim ring common
unit_ROOMS_blk := blk backend ring common
unit_ROOMS_net := net backend ring common
unit_ROOMS_shim := shim ring common
unit_ROOMS_load := load shim ring common
unit_ROOMS_guest_blk := guest_blk kernel ring
unit_ROOMS_guest_net := guest_net kernel ring
UNITS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/*/*.c))

define unit_rule
$(1): $(1).o $(patsubst %,$(B)/lib%.a,$(unit_ROOMS_$(2)))
	$$(call quiet,LD,$$@)$$(CC) $$(PVKIT_CFLAGS) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ \
		$(foreach r,$(unit_ROOMS_$(2)),$(LDLIBS_$(r))) -lcmocka $$(LDLIBS)
endef
$(foreach unit,$(UNITS),$(eval $(call unit_rule,$(unit),$(notdir $(patsubst %/,%,$(dir $(unit)))))))

# Kernel code finds <linux/...> in tests/unit/kernel.
IN_KERNEL := $(call objects,$(guest_blk_SRC) $(guest_net_SRC) $(kernel_SRC) \
	tests/unit/guest_blk/queues.c tests/unit/guest_net/queues.c)
$(IN_KERNEL): PVKIT_CFLAGS += -Itests/unit/kernel -Wno-sign-compare

# The kernel's copy of Xen's headers, the newest that was fetched; behind all others, for they replace none.
KERNEL_HEADERS := $(lastword $(sort $(wildcard build/headers/6.*/release)))
$(B)/tests/unit/abi/xen_kernel.o: $(KERNEL_HEADERS)
$(B)/tests/unit/abi/xen_kernel.o: PVKIT_CFLAGS += $(if $(KERNEL_HEADERS),$(addprefix \
	-idirafter $(dir $(KERNEL_HEADERS)),include arch/x86/include))

units: $(UNITS)

DESCRIPTIONS := $(wildcard packaging/vhost-user/*.json)
BINDIR := $(DESTDIR)$(PREFIX)/bin
MANDIR := $(DESTDIR)$(PREFIX)/share/man/man1
# Where libvirt and others look for back-end programs: docs/interop/vhost-user.json of QEMU.
DESCRIPTIONDIR := $(DESTDIR)$(PREFIX)/share/qemu/vhost-user

install: all
	install -d $(BINDIR) $(MANDIR) $(DESCRIPTIONDIR)
	install $(PROGRAMS) $(BINDIR)
	install -m 644 $(MAN) $(MANDIR)
	for f in $(DESCRIPTIONS); do sed 's|/usr/local/bin|$(PREFIX)/bin|' $$f \
		>$(DESCRIPTIONDIR)/$${f##*/} && chmod 644 $(DESCRIPTIONDIR)/$${f##*/} || exit 1; done

uninstall:
	rm -f $(addprefix $(BINDIR)/,$(notdir $(PROGRAMS))) $(addprefix $(MANDIR)/,$(notdir $(MAN))) \
		$(addprefix $(DESCRIPTIONDIR)/,$(notdir $(DESCRIPTIONS)))

clean:
	rm -rf build

# The head of this file.
help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile

include guest-kernel-module/modules.mk
include tests/tests.mk
include bench/bench.mk

.PHONY: all units install uninstall clean help
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
