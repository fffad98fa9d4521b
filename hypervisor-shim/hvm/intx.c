/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "hypervisor-shim/hvm/intx.h"

#include <pthread.h>
#include <stdint.h>

#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/vm.h"

#define GSI_COUNT 24 /* pins of the I/O APIC */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t holders[GSI_COUNT]; /* a bit a slot */

_Static_assert(PCI_DEVICES_MAX <= 32, "a slot has its bit in holders[]");

void intx_set(const struct pci_device *device, bool up)
{
	uint32_t bit = 1U << device->slot, before;

	if (device->gsi >= GSI_COUNT)
		return;
	/* The lock spans the call, so that KVM sees the levels in the order of the holders. */
	pthread_mutex_lock(&lock);
	before = holders[device->gsi];
	holders[device->gsi] = up ? before | bit : before & ~bit;
	if (!before != !holders[device->gsi])
		vm_irq_line(device->gsi, holders[device->gsi] != 0);
	pthread_mutex_unlock(&lock);
}
