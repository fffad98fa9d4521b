/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The platform as a PCI device: what platform*.c share and nobody else knows.
 *
 *   platform.c           its life: reset, interrupts, services, sleep
 *   platform_registers.c what it says of itself, and where it is mapped
 */
#ifndef PVKIT_GUEST_KERNEL_MODULE_PLATFORM_PCI_H
#define PVKIT_GUEST_KERNEL_MODULE_PLATFORM_PCI_H

#include <linux/io.h>
#include <linux/pci.h>

#include "guest-kernel-module/platform.h"

struct pci_platform {
	struct pvkit_platform platform;
	struct pci_dev *pci;
	void __iomem *registers;
	void *shared; /* all of BAR 4, write-back */
	resource_size_t shared_size;
};

static inline u32 platform_read32(struct pci_platform *pp, enum platform_register reg)
{
	return readl(pp->registers + reg);
}

static inline u64 platform_read64(struct pci_platform *pp, enum platform_register reg)
{
	return readl(pp->registers + reg) | (u64)readl(pp->registers + reg + 4) << 32;
}

static inline void platform_write64(struct pci_platform *pp, enum platform_register reg, u64 value)
{
	writel((u32)value, pp->registers + reg);
	writel((u32)(value >> 32), pp->registers + reg + 4);
}

/* By CPUID: this is pvkit-shim, of a version that we speak. 0 or -ENODEV after a line. */
int pvkit_platform_check(struct device *device);
/* 0 or -errno; what is mapped goes by the second also then. */
int pvkit_platform_map(struct pci_platform *pp);
void pvkit_platform_unmap(struct pci_platform *pp);
/* Fills in ->platform. 0, or -ENODEV after a line. */
int pvkit_platform_read(struct pci_platform *pp);

#endif
