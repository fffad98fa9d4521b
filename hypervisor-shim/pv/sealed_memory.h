/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Memory that other processes map too, by its descriptor. Its size is sealed: nobody can shrink it
 * under somebody else's feet.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_SEALED_MEMORY_H
#define PVKIT_HYPERVISOR_SHIM_PV_SEALED_MEMORY_H

#include <stddef.h>

struct sealed_memory {
	int fd;
	void *base; /* NULL: not open */
	size_t size;
};

/* Zeroed, and taken page by page as it is touched. 0 or -errno after a line. */
int sealed_memory_open(struct sealed_memory *memory, const char *name, size_t size);
/* Harmless on one that is all zeroes. */
void sealed_memory_close(struct sealed_memory *memory);
/* Reads zero again, for everybody who maps it. */
void sealed_memory_clear(struct sealed_memory *memory);

#endif
