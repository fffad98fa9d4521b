// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What both formats have in common, and the one branch between them. A queue keeps its format for
 * life, so the branch is always predicted.
 */
#include "ring/format.h"

#ifdef __KERNEL__
#include <linux/string.h>
#else
/* Freestanding: the compiler wants these two anyway, and we want no libc header. */
#define memset __builtin_memset
#endif

size_t virtqueue_descriptors_bytes(uint16_t size, uint64_t features)
{
	/* Both formats have descriptors of 16 bytes. */
	return (size_t)size * sizeof(struct vring_desc);
}

size_t virtqueue_driver_bytes(uint16_t size, uint64_t features)
{
	if (features & VIRTQUEUE_F_PACKED)
		return sizeof(struct vring_packed_desc_event);
	/* flags, idx, the ring, used_event: there also when not negotiated. */
	return sizeof(__virtio16) * (3 + (size_t)size);
}

size_t virtqueue_device_bytes(uint16_t size, uint64_t features)
{
	if (features & VIRTQUEUE_F_PACKED)
		return sizeof(struct vring_packed_desc_event);
	return sizeof(__virtio16) * 3 + sizeof(struct vring_used_elem) * (size_t)size;
}

const char *virtqueue_fault_text(enum virtqueue_fault fault)
{
	switch (fault) {
	case VIRTQUEUE_OK:
		return "not broken";
	case VIRTQUEUE_FAULT_INDEX_JUMP:
		return "index moved by more than the queue size";
	case VIRTQUEUE_FAULT_HEAD_RANGE:
		return "descriptor index or buffer id outside the ring";
	case VIRTQUEUE_FAULT_LOOP:
		return "descriptor chain longer than the ring";
	case VIRTQUEUE_FAULT_INDIRECT:
		return "bad indirect table (nested, odd length, too long or not in one region)";
	case VIRTQUEUE_FAULT_ORDER:
		return "readable descriptor behind a writable one";
	case VIRTQUEUE_FAULT_IN_FLIGHT:
		return "descriptor chain made available while the device still holds it";
	case VIRTQUEUE_FAULT_NOT_IN_FLIGHT:
		return "used entry for a chain that was not lent, or longer than its buffers";
	case VIRTQUEUE_FAULT_WRAP:
		return "descriptor flags that fit neither lap of the ring";
	case VIRTQUEUE_FAULT_NO_ANSWER:
		return "descriptor chain without a writable piece for the answer";
	}
	return "unknown fault";
}

static bool aligned(const void *area, uintptr_t alignment)
{
	return area && (uintptr_t)area % alignment == 0;
}

/* The alignments are the specification's; a misaligned field could not be accessed atomically. */
static bool areas_valid(const struct virtqueue_areas *areas, bool packed)
{
	uint16_t size = areas->size;

	if (!size || size > VIRTQUEUE_SIZE_MAX || (!packed && size & (size - 1)))
		return false;
	return aligned(areas->descriptors, 16) && aligned(areas->driver, packed ? 4 : 2) &&
	       aligned(areas->device, 4);
}

/* ---- device side ---------------------------------------------------------------------------- */

int virtqueue_device_init(struct virtqueue_device *vq, const struct virtqueue_areas *areas,
			  uint64_t features, const struct guest_memory *memory,
			  struct virtqueue_position position)
{
	bool packed = features & VIRTQUEUE_F_PACKED;

	if (!areas_valid(areas, packed))
		return -1;
	memset(vq, 0, sizeof(*vq));
	vq->areas = *areas;
	vq->memory = memory;
	vq->packed = packed;
	vq->event_idx = features & VIRTQUEUE_F_EVENT_IDX;
	vq->indirect = features & VIRTQUEUE_F_INDIRECT;
	vq->in_order = features & VIRTQUEUE_F_IN_ORDER;
	/* What the ring says is the last owner's word: unknown, so the first call is to write. */
	vq->kicks_wanted = true;
	vq->interrupt_owed = true;
	return packed ? packed_device_init(vq, position) : split_device_init(vq, position);
}

struct virtqueue_position virtqueue_device_position(const struct virtqueue_device *vq)
{
	return vq->packed ? packed_device_position(vq) : split_device_position(vq);
}

enum virtqueue_result virtqueue_pop(struct virtqueue_device *vq, struct virtqueue_chain *chain)
{
	if (vq->broken)
		return VIRTQUEUE_BROKEN;
	return vq->packed ? packed_device_pop(vq, chain) : split_device_pop(vq, chain);
}

void virtqueue_unpop(struct virtqueue_device *vq, const struct virtqueue_chain *chain)
{
	if (vq->packed)
		packed_device_unpop(vq, chain);
	else
		split_device_unpop(vq, chain);
}

void virtqueue_push(struct virtqueue_device *vq, uint16_t id, uint16_t slots, uint32_t written)
{
	if (vq->packed)
		packed_device_push(vq, id, slots, written);
	else
		split_device_push(vq, id, written);
}

void virtqueue_publish(struct virtqueue_device *vq)
{
	/* Nothing staged: leave the driver's copy of the cache line alone. */
	if (!vq->batch)
		return;
	if (vq->packed)
		packed_device_publish(vq);
	else
		split_device_publish(vq);
	vq->undecided += vq->batch;
	vq->batch = 0;
}

bool virtqueue_should_interrupt(struct virtqueue_device *vq)
{
	if (!vq->undecided)
		return false;
	return vq->packed ? packed_device_should_interrupt(vq) : split_device_should_interrupt(vq);
}

void virtqueue_kicks_disable(struct virtqueue_device *vq)
{
	if (!vq->kicks_wanted)
		return;
	vq->kicks_wanted = false;
	if (vq->packed)
		packed_device_kicks_disable(vq);
	else
		split_device_kicks_disable(vq);
}

bool virtqueue_kicks_enable(struct virtqueue_device *vq)
{
	vq->kicks_wanted = true;
	return vq->packed ? packed_device_kicks_enable(vq) : split_device_kicks_enable(vq);
}

bool virtqueue_has_work(struct virtqueue_device *vq)
{
	return vq->packed ? packed_device_has_work(vq) : split_device_has_work(vq);
}

/* ---- driver side ---------------------------------------------------------------------------- */

int virtqueue_driver_init(struct virtqueue_driver *vq, const struct virtqueue_areas *areas,
			  uint64_t features)
{
	bool packed = features & VIRTQUEUE_F_PACKED;

	if (!areas_valid(areas, packed))
		return -1;
	memset(vq, 0, sizeof(*vq));
	vq->areas = *areas;
	vq->packed = packed;
	vq->event_idx = features & VIRTQUEUE_F_EVENT_IDX;
	vq->indirect = features & VIRTQUEUE_F_INDIRECT;
	vq->in_order = features & VIRTQUEUE_F_IN_ORDER;
	vq->interrupts_wanted = true; /* which is what zeroes ask for */
	if (packed)
		packed_driver_init(vq);
	else
		split_driver_init(vq);
	return 0;
}

int virtqueue_add(struct virtqueue_driver *vq, const struct virtqueue_buffer *buffers,
		  uint16_t readable, uint16_t writable, void *token, void *indirect,
		  uint64_t indirect_address)
{
	struct virtqueue_request request = {
		.buffers = buffers,
		.readable = readable,
		.total = readable + writable,
		.token = token,
		.indirect = vq->indirect ? indirect : NULL,
		.indirect_address = indirect_address,
	};

	if (vq->broken || !request.total || readable + writable > VIRTQUEUE_SIZE_MAX)
		return -1;
	return vq->packed ? packed_driver_add(vq, &request) : split_driver_add(vq, &request);
}

void virtqueue_driver_publish(struct virtqueue_driver *vq)
{
	if (!vq->batch)
		return;
	if (vq->packed)
		packed_driver_publish(vq);
	else
		split_driver_publish(vq);
	vq->undecided += vq->batch;
	vq->batch = 0;
}

bool virtqueue_should_kick(struct virtqueue_driver *vq)
{
	if (!vq->undecided)
		return false;
	return vq->packed ? packed_driver_should_kick(vq) : split_driver_should_kick(vq);
}

enum virtqueue_result virtqueue_reap(struct virtqueue_driver *vq, void **token, uint32_t *written)
{
	if (vq->broken)
		return VIRTQUEUE_BROKEN;
	return vq->packed ? packed_driver_reap(vq, token, written)
			  : split_driver_reap(vq, token, written);
}

void virtqueue_interrupts_disable(struct virtqueue_driver *vq)
{
	if (!vq->interrupts_wanted)
		return;
	vq->interrupts_wanted = false;
	if (vq->packed)
		packed_driver_interrupts_disable(vq);
	else
		split_driver_interrupts_disable(vq);
}

bool virtqueue_interrupts_enable(struct virtqueue_driver *vq)
{
	vq->interrupts_wanted = true;
	return vq->packed ? packed_driver_interrupts_enable(vq)
			  : split_driver_interrupts_enable(vq);
}
