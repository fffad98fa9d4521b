/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The shared areas of a split virtqueue, and the notification arithmetic that both sides share.
 *
 * Who writes what:  descriptors, avail (flags, idx, ring, used_event): the driver
 *                   used (flags, idx, ring, avail_event):              the device
 * Both indices run freely over 16 bits; only their differences, taken in 16 bits, mean something.
 */
#ifndef PVKIT_RING_SPLIT_H
#define PVKIT_RING_SPLIT_H

#include "ring/format.h"
#include "ring/order.h"

ABI_ASSERT(sizeof(struct vring_avail) == 4);
ABI_ASSERT(sizeof(struct vring_used) == 4);
ABI_ASSERT(sizeof(struct vring_used_elem) == 8);

static inline struct vring_avail *split_avail(const struct virtqueue_areas *areas)
{
	return (struct vring_avail *)areas->driver;
}

static inline struct vring_used *split_used(const struct virtqueue_areas *areas)
{
	return (struct vring_used *)areas->device;
}

/* Behind the last element of the avail ring: where the driver wants an interrupt. */
static inline __virtio16 *split_used_event(const struct virtqueue_areas *areas)
{
	return &split_avail(areas)->ring[areas->size];
}

/* Behind the last element of the used ring: where the device wants a kick. */
static inline __virtio16 *split_avail_event(const struct virtqueue_areas *areas)
{
	return (__virtio16 *)&split_used(areas)->ring[areas->size];
}

/* Whether the index passed @event when it moved on by @count to @now. */
static inline bool split_event_reached(uint16_t event, uint16_t now, uint32_t count)
{
	return count > 0xffff || vring_need_event(event, now, (uint16_t)(now - count));
}

#endif
