/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From descriptors to the pieces of a chain: what both ring formats do with a descriptor once they
 * have copied it out of shared memory.
 *
 * A descriptor is copied exactly once, then only the copy is judged and used; what the driver writes
 * there afterwards changes nothing.
 */
#ifndef PVKIT_RING_DESCRIPTOR_CHAIN_H
#define PVKIT_RING_DESCRIPTOR_CHAIN_H

#include "ring/guest_memory.h"
#include "ring/order.h"
#include "ring/virtqueue.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Descriptors are little-endian, and so must be the machine that takes them apart as here."
#endif

/* The private copy. @last is next of a split descriptor, id of a packed one. */
struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, last;
};

ABI_ASSERT(sizeof(struct vring_desc) == 16);
ABI_ASSERT(offsetof(struct vring_desc, len) == 8);
ABI_ASSERT(offsetof(struct vring_desc, flags) == 12);
ABI_ASSERT(offsetof(struct vring_desc, next) == 14);

/* Relaxed: the acquire of the index that announced the descriptor came before. */
static inline struct descriptor descriptor_copy_split(const void *table, uint32_t index)
{
	const uint64_t *word = (const uint64_t *)table + 2 * index;
	struct descriptor copy;
	uint64_t rest;

	copy.address = order_load_relaxed(&word[0]);
	rest = order_load_relaxed(&word[1]);
	copy.length = (uint32_t)rest;
	copy.flags = (uint16_t)(rest >> 32);
	copy.last = (uint16_t)(rest >> 48);
	return copy;
}

ABI_ASSERT(sizeof(struct vring_packed_desc) == 16);
ABI_ASSERT(offsetof(struct vring_packed_desc, len) == 8);
ABI_ASSERT(offsetof(struct vring_packed_desc, id) == 12);
ABI_ASSERT(offsetof(struct vring_packed_desc, flags) == 14);

/* Relaxed: the acquire of the flags of the chain's first descriptor came before. */
static inline struct descriptor descriptor_copy_packed(const void *ring, uint32_t index)
{
	const uint64_t *word = (const uint64_t *)ring + 2 * index;
	struct descriptor copy;
	uint64_t rest;

	copy.address = order_load_relaxed(&word[0]);
	rest = order_load_relaxed(&word[1]);
	copy.length = (uint32_t)rest;
	copy.last = (uint16_t)(rest >> 32);
	copy.flags = (uint16_t)(rest >> 48);
	return copy;
}

/* A chain under construction. */
struct chain_walk {
	struct virtqueue_chain *chain;
	const struct guest_memory *memory;
	uint16_t pieces;
	bool writing; /* a writable descriptor was seen: no readable one may follow */
};

static inline void chain_walk_begin(struct chain_walk *walk, struct virtqueue_chain *chain,
				    const struct guest_memory *memory)
{
	walk->chain = chain;
	walk->memory = memory;
	walk->pieces = 0;
	walk->writing = false;

	chain->readable = chain->writable = 0;
	chain->readable_bytes = chain->writable_bytes = 0;
	chain->unusable = false;
	chain->tail.base = NULL;
	chain->tail.length = 0;
}

/* Lists a piece that passed the door. */
static inline void chain_walk_put(struct chain_walk *walk, struct ring_iovec piece, bool writable)
{
	struct virtqueue_chain *chain = walk->chain;

	if (writable)
		chain->tail = piece;
	if (walk->pieces == chain->iov_max) {
		chain->unusable = true;
		return;
	}
	chain->iov[walk->pieces++] = piece;
	if (writable) {
		chain->writable++;
		chain->writable_bytes += piece.length;
	} else {
		chain->readable++;
		chain->readable_bytes += piece.length;
	}
}

/* A buffer that the door refused: it spans regions that adjoin, or the chain is unusable. */
void chain_walk_put_spanning(struct chain_walk *walk, uint64_t address, uint32_t length,
			     bool writable);

/*
 * Adds one buffer. Only a wrong order is the ring's fault; an address that the door refuses is the
 * request's. A zero length moves no data, so the piece is left out; but its address goes through
 * the door as if it were one byte, since a device that skips it unseen would hide a broken driver.
 */
static inline enum virtqueue_fault chain_walk_add(struct chain_walk *walk,
						  const struct descriptor *descriptor)
{
	bool writable = descriptor->flags & VRING_DESC_F_WRITE;
	struct ring_iovec piece;

	if (!writable && walk->writing)
		return VIRTQUEUE_FAULT_ORDER;
	walk->writing = writable;

	piece.length = descriptor->length;
	piece.base =
		guest_memory_at(walk->memory, descriptor->address, piece.length ? piece.length : 1);
	if (!piece.base)
		/* By value: the copy of the descriptor stays in registers. */
		chain_walk_put_spanning(walk, descriptor->address, descriptor->length, writable);
	else if (piece.length)
		chain_walk_put(walk, piece, writable);
	return VIRTQUEUE_OK;
}

/* Follows a split chain from @head, through the table that its last descriptor may name. */
enum virtqueue_fault chain_walk_split(struct chain_walk *walk, const struct virtqueue_device *vq,
				      uint16_t head);

/* Adds all of the table that packed descriptor @indirect names. */
enum virtqueue_fault chain_walk_packed_table(struct chain_walk *walk,
					     const struct virtqueue_device *vq,
					     const struct descriptor *indirect);

#endif
