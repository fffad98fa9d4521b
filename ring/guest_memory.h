/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Guest memory, and the one checked door from a guest address to a pointer.
 *
 * A guest address is an integer everywhere in this project, so the compiler refuses to follow one.
 * guest_memory_at() is the only function that turns one into a pointer, and so the only one to
 * audit. It answers NULL unless the whole range lies inside a single region: a buffer that spans two
 * regions may be contiguous for the guest and is not for the host. Who must serve such a buffer (a
 * guest with plugged memory merges across modules) takes it apart by guest_memory_run().
 *
 * The table is immutable while any queue that uses it runs: its owner stops the queues, changes it,
 * and starts them again.
 */
#ifndef PVKIT_RING_GUEST_MEMORY_H
#define PVKIT_RING_GUEST_MEMORY_H

#include "abi/types.h"

/* What QEMU can plug into a vhost-user device (its KVM slot limit); also our CONFIGURE_MEM_SLOTS. */
#define GUEST_MEMORY_REGIONS_MAX 509

struct guest_region {
	uint64_t address; /* guest-physical, bytes */
	uint64_t size;	  /* bytes, never 0; address + size does not wrap */
	uint8_t *host;	  /* where address is mapped in this process */
};

struct guest_memory {
	uint32_t count;
	struct guest_region region[GUEST_MEMORY_REGIONS_MAX]; /* by address, disjoint */
};

/* One contiguous piece of host memory; the layout of struct iovec. */
struct ring_iovec {
	void *base;
	size_t length;
};

/* Adds a region in its place. -1 if it is empty, wraps, overlaps another or the table is full. */
int guest_memory_add(struct guest_memory *memory, uint64_t address, uint64_t size, void *host);
/* Removes the region that is exactly [address, address + size); -1 if there is none. */
int guest_memory_remove(struct guest_memory *memory, uint64_t address, uint64_t size);

/*
 * The door: a pointer to @length bytes at guest address @address, or NULL. A zero length is refused:
 * no caller has a use for a pointer to nothing, and a bad address must not pass with one.
 */
void *guest_memory_at(const struct guest_memory *memory, uint64_t address, uint64_t length);

/* Bytes from @address to the end of the region that it lies in; 0 if it lies in none. */
uint64_t guest_memory_run(const struct guest_memory *memory, uint64_t address);

#endif
