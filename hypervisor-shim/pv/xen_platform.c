// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/xen_platform.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "abi/hypercall.h"
#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/pv/grant_table.h"

#define CLASS_OTHER_SYSTEM 0xff8000
#define REVISION           1
#define BAR_PORTS          0
#define BAR_MEMORY         1
#define BAR_PORTS_BYTES    0x1000
#define BAR_MEMORY_BYTES   (2ULL * GRANT_TABLE_FRAMES * XEN_FRAME_BYTES) /* a power of 2 */

/*
 * The unplug protocol: port + 0 read, 16 bits: magic; written: what to unplug. + 2 read, 8 bits: version
 * of the protocol; written, 16 bits: the driver's product. + 0 written, 32 bits: the driver's version.
 */
#define UNPLUG_VERSION 1
#define PORT_VERSION   (XEN_UNPLUG_PORT + 2)
#define PORTS          4

static void read_port(uint16_t port, void *data, unsigned int size)
{
	static const uint16_t magic = XEN_UNPLUG_MAGIC;

	memset(data, 0xff, size);
	if (port == XEN_UNPLUG_PORT && size == sizeof(magic))
		memcpy(data, &magic, sizeof(magic));
	else if (port == PORT_VERSION && size == 1)
		*(uint8_t *)data = UNPLUG_VERSION;
}

static const struct port_range unplug = {
	"Xen's unplug port", XEN_UNPLUG_PORT, PORTS, read_port, NULL,
};

/* Where no frame is placed. */
static void read_bar(struct pci_device *pci, int bar, uint64_t offset, void *data,
		     unsigned int size)
{
	memset(data, 0, size);
}

static void write_bar(struct pci_device *pci, int bar, uint64_t offset, const void *data,
		      unsigned int size)
{
}

static const struct pci_device_ops ops = {
	.bar_read = read_bar,
	.bar_write = write_bar,
};

int xen_platform_open(void)
{
	static struct pci_device pci;
	int result = bus_add_ports(&unplug);

	if (result < 0)
		return result;
	memset(&pci, 0, sizeof(pci));
	pci_init(&pci, XEN_PLATFORM_VENDOR, XEN_PLATFORM_DEVICE, CLASS_OTHER_SYSTEM, REVISION,
		 XEN_PLATFORM_VENDOR, XEN_PLATFORM_DEVICE);
	pci.ops = &ops;
	pci.name = "Xen platform device";
	pci_declare_bar(&pci, BAR_PORTS, BAR_PORTS_BYTES, false, false);
	pci_declare_bar(&pci, BAR_MEMORY, BAR_MEMORY_BYTES, false, true);
	return pci_add(&pci);
}
