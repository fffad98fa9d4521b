/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Kernel images: found out what they are, checked, and put into guest memory.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_BOOT_H
#define PVKIT_HYPERVISOR_SHIM_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor-shim/vcpu.h"

/*
 * Opens @kernel and @initrd (NULL: none) and checks them as far as that can be done without a
 * machine. With @pvh a bzImage is unpacked, to be entered as PVH says. The strings live as long as
 * the machine. 0, or -errno after one line on standard error.
 */
int boot_open(const char *kernel, const char *initrd, const char *append, bool pvh);
void boot_close(void);
/* After boot_open(): an ELF file, which is entered as PVH says. */
bool boot_is_pvh(void);

/*
 * Puts kernel, initrd, command line and the memory map into RAM that reads zero, and tells how to
 * enter. ACPI tables are not its job, but it tells the kernel where they are. 0, or -errno after
 * a line.
 */
int boot_load(struct vcpu_entry *entry);

enum boot_range_type { /* the numbers of E820 and of hvm_start_info alike */
	BOOT_RAM = 1,
	BOOT_RESERVED = 2,
};

struct boot_range {
	uint64_t start, size;
	enum boot_range_type type;
};
#define BOOT_RANGES_MAX 16

/* The guest's memory map, of which boot_load() tells the kernel. The number of @ranges. */
unsigned int boot_memory_map(struct boot_range ranges[BOOT_RANGES_MAX]);

#endif
