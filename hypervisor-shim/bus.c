// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <string.h>

#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/pci.h"

#define RANGES_MAX 16

/* Filled before vCPU threads start and constant then: needs no lock. */
static const struct port_range *ranges[RANGES_MAX];
static unsigned int ranges_count;

static const struct port_range *find(uint16_t port)
{
	for (unsigned int i = 0; i < ranges_count; i++) {
		if (port >= ranges[i]->first && port - ranges[i]->first < ranges[i]->count)
			return ranges[i];
	}
	return NULL;
}

int bus_add_ports(const struct port_range *range)
{
	for (unsigned int i = 0; i < ranges_count; i++) {
		if (range->first < ranges[i]->first + ranges[i]->count &&
		    ranges[i]->first < range->first + range->count)
			return -EBUSY;
	}
	if (ranges_count == RANGES_MAX)
		return -ENOSPC;
	ranges[ranges_count++] = range;
	return 0;
}

void bus_close(void)
{
	ranges_count = 0;
}

void bus_port_read(uint16_t port, void *data, unsigned int size)
{
	const struct port_range *range = find(port);

	if (range && range->read)
		range->read(port, data, size);
	else
		memset(data, 0xff, size);
}

void bus_port_write(uint16_t port, const void *data, unsigned int size)
{
	const struct port_range *range = find(port);

	if (range && range->write)
		range->write(port, data, size);
}

void bus_memory_read(uint64_t address, void *data, unsigned int size)
{
	if (!pci_memory_read(address, data, size))
		memset(data, 0xff, size);
}

void bus_memory_write(uint64_t address, const void *data, unsigned int size)
{
	pci_memory_write(address, data, size);
}
