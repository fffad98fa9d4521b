/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Which device answers at which I/O port. Memory that is no RAM belongs to PCI, all of it.
 *
 * What nobody answers reads all ones and takes writes silently, as on a real bus: so a guest's
 * probe of an absent legacy device ends at once.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_BUS_H
#define PVKIT_HYPERVISOR_SHIM_BUS_H

#include <stdint.h>

struct port_range {
	const char *name;
	uint16_t first, count;
	/*
	 * size is 1, 2 or 4; an access that begins in a range is its device's, whole. NULL:
	 * nobody.
	 */
	void (*read)(uint16_t port, void *data, unsigned int size);
	void (*write)(uint16_t port, const void *data, unsigned int size);
};

/*
 * Before a vCPU runs. 0, -EBUSY if a port is taken, -ENOSPC. @range lives as long as the machine.
 */
int bus_add_ports(const struct port_range *range);
void bus_close(void);

/* From any vCPU thread; the devices lock for themselves. */
void bus_port_read(uint16_t port, void *data, unsigned int size);
void bus_port_write(uint16_t port, const void *data, unsigned int size);
void bus_memory_read(uint64_t address, void *data, unsigned int size);
void bus_memory_write(uint64_t address, const void *data, unsigned int size);

#endif
