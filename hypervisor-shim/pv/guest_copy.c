// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/guest_copy.h"

#include "abi/hypercall.h"

static __thread guest_space *space;

void guest_copy_set_space(guest_space *new_space)
{
	space = new_space;
}

/* From @address to the end of its page. */
static size_t rest_of_page(uint64_t address)
{
	return XEN_FRAME_BYTES - (address & (XEN_FRAME_BYTES - 1));
}

/* The next piece of a copy: at most *size bytes, to which it is cut, in one page. NULL: no RAM there. */
static void *piece(uint64_t address, size_t *size)
{
	uint64_t physical = address;

	if (space) {
		if (*size > rest_of_page(address))
			*size = rest_of_page(address);
		if (!space(address, &physical))
			return NULL;
	}
	return guest_memory_at(vm_memory(), physical, *size);
}

int copy_from_guest(void *to, uint64_t address, size_t size)
{
	while (size) {
		size_t part = size;
		const void *from = piece(address, &part);

		if (!from)
			return -EFAULT;
		memcpy(to, from, part);
		to = (uint8_t *)to + part;
		address += part;
		size -= part;
	}
	return 0;
}

int copy_to_guest(uint64_t address, const void *from, size_t size)
{
	while (size) {
		size_t part = size;
		void *to = piece(address, &part);

		if (!to)
			return -EFAULT;
		memcpy(to, from, part);
		from = (const uint8_t *)from + part;
		address += part;
		size -= part;
	}
	return 0;
}

int guest_copy_locate(uint64_t address, size_t size, uint64_t *physical)
{
	uint64_t at;

	*physical = address;
	if (space && !space(address, physical))
		return -EFAULT;
	for (size_t done = rest_of_page(address); space && done < size; done += XEN_FRAME_BYTES) {
		if (!space(address + done, &at) || at != *physical + done)
			return -EFAULT;
	}
	return guest_memory_at(vm_memory(), *physical, size) ? 0 : -EFAULT;
}
