// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Walking descriptor chains through the split descriptor table and indirect tables.
 *
 * Every walk is bounded by the length of the table that it walks through: a chain that takes more
 * steps has passed one descriptor twice, so it is a loop.
 */
#include "ring/descriptor_chain.h"

/* Whether each byte lies in some region. */
static bool all_inside(const struct guest_memory *memory, uint64_t address, uint64_t length)
{
	uint64_t run;

	if (address + length - 1 < address)
		return false;
	for (;;) {
		run = guest_memory_run(memory, address);
		if (!run || run >= length)
			return run;
		address += run;
		length -= run;
	}
}

void chain_walk_put_spanning(struct chain_walk *walk, uint64_t address, uint32_t length,
			     bool writable)
{
	struct ring_iovec piece = {NULL, 0};
	uint64_t rest = length, run;

	/* All of it or nothing: half a buffer is of no use to a device. */
	if (!rest || !all_inside(walk->memory, address, rest)) {
		walk->chain->unusable = true;
		if (writable)
			walk->chain->tail = piece;
		return;
	}
	while (rest) {
		run = guest_memory_run(walk->memory, address);
		piece.length = run < rest ? run : rest;
		piece.base = guest_memory_at(walk->memory, address, piece.length);
		chain_walk_put(walk, piece, writable);
		address += piece.length;
		rest -= piece.length;
	}
}

/*
 * The indirect table that @indirect names, its length in *@count, or NULL.
 *
 * The specification limits a table to the queue size. Drivers in use make longer ones (Linux limits
 * a table by the device's segment limit only), and Linux vhost and QEMU accept them, QEMU up to
 * 1024 pieces; so do we. The whole table must lie in one region: it is read where it is, and a
 * reader that crossed the end of a region would read the host's memory.
 */
static const void *indirect_table(const struct virtqueue_device *vq,
				  const struct descriptor *indirect, uint32_t *count)
{
	uint32_t bytes = indirect->length;

	if (!vq->indirect || indirect->flags & VRING_DESC_F_NEXT)
		return NULL;
	if (bytes % sizeof(struct vring_desc) ||
	    bytes > VIRTQUEUE_SIZE_MAX * sizeof(struct vring_desc))
		return NULL;
	*count = bytes / sizeof(struct vring_desc);
	/* The door refuses an empty table. */
	return guest_memory_at(vq->memory, indirect->address, bytes);
}

static enum virtqueue_fault walk_split_table(struct chain_walk *walk,
					     const struct virtqueue_device *vq,
					     const struct descriptor *indirect)
{
	enum virtqueue_fault fault;
	uint32_t count = 0, steps;
	const void *table = indirect_table(vq, indirect, &count);
	struct descriptor copy;
	uint32_t index = 0;

	/* Two words at a time are read as atomics: a table off its alignment cannot be. */
	if (!table || (uintptr_t)table % sizeof(uint64_t))
		return VIRTQUEUE_FAULT_INDIRECT;
	for (steps = 0; steps < count; steps++) {
		copy = descriptor_copy_split(table, index);
		if (copy.flags & VRING_DESC_F_INDIRECT)
			return VIRTQUEUE_FAULT_INDIRECT;
		fault = chain_walk_add(walk, &copy);
		if (fault)
			return fault;
		if (!(copy.flags & VRING_DESC_F_NEXT))
			return VIRTQUEUE_OK;
		index = copy.last;
		if (index >= count)
			return VIRTQUEUE_FAULT_HEAD_RANGE;
	}
	return VIRTQUEUE_FAULT_LOOP;
}

enum virtqueue_fault chain_walk_split(struct chain_walk *walk, const struct virtqueue_device *vq,
				      uint16_t head)
{
	enum virtqueue_fault fault;
	struct descriptor copy;
	uint32_t steps;

	for (steps = 0; steps < vq->areas.size; steps++) {
		if (head >= vq->areas.size)
			return VIRTQUEUE_FAULT_HEAD_RANGE;
		copy = descriptor_copy_split(vq->areas.descriptors, head);
		/* Direct descriptors may stand before an indirect one, nothing behind it. */
		if (copy.flags & VRING_DESC_F_INDIRECT)
			return walk_split_table(walk, vq, &copy);
		fault = chain_walk_add(walk, &copy);
		if (fault)
			return fault;
		if (!(copy.flags & VRING_DESC_F_NEXT))
			return VIRTQUEUE_OK;
		head = copy.last;
	}
	return VIRTQUEUE_FAULT_LOOP;
}

enum virtqueue_fault chain_walk_packed_table(struct chain_walk *walk,
					     const struct virtqueue_device *vq,
					     const struct descriptor *indirect)
{
	enum virtqueue_fault fault;
	uint32_t count = 0, i;
	const void *table = indirect_table(vq, indirect, &count);
	struct descriptor copy;

	if (!table || (uintptr_t)table % sizeof(uint64_t))
		return VIRTQUEUE_FAULT_INDIRECT;
	/* No links: a packed table is its length, and only WRITE means something in it. */
	for (i = 0; i < count; i++) {
		copy = descriptor_copy_packed(table, i);
		if (copy.flags & VRING_DESC_F_INDIRECT)
			return VIRTQUEUE_FAULT_INDIRECT;
		fault = chain_walk_add(walk, &copy);
		if (fault)
			return fault;
	}
	return VIRTQUEUE_OK;
}
