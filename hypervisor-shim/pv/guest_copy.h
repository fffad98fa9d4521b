/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Arguments in guest memory: copied in once, checked, used; and the answer copied out. What an address
 * names is contiguous for the guest, and lies in RAM whole, or the call is -EFAULT.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_GUEST_COPY_H
#define PVKIT_HYPERVISOR_SHIM_PV_GUEST_COPY_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "hypervisor-shim/vm.h"

static inline int copy_from_guest(void *to, uint64_t address, size_t size)
{
	const void *from = guest_memory_at(vm_memory(), address, size);

	if (!from)
		return -EFAULT;
	memcpy(to, from, size);
	return 0;
}

static inline int copy_to_guest(uint64_t address, const void *from, size_t size)
{
	void *to = guest_memory_at(vm_memory(), address, size);

	if (!to)
		return -EFAULT;
	memcpy(to, from, size);
	return 0;
}

#endif
