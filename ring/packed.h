/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The shared areas of a packed virtqueue, and the arithmetic of laps that both sides share.
 *
 * One ring of descriptors, written by both sides in turn. A wrap counter, one bit, names the lap: the
 * driver hands slot i over by AVAIL = lap, USED = !lap; the device gives it back by AVAIL = USED =
 * lap. Both sides begin in lap 1 with a ring of zeroes, so a slot never touched belongs to nobody.
 */
#ifndef PVKIT_RING_PACKED_H
#define PVKIT_RING_PACKED_H

#include "ring/format.h"
#include "ring/order.h"

#define PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)
#define PACKED_LAP   (PACKED_AVAIL | PACKED_USED)
#define PACKED_WRAP  (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* The lap bits of a descriptor that was made available, and of a used one. */
static inline uint16_t packed_avail_bits(bool wrap)
{
	return wrap ? PACKED_AVAIL : PACKED_USED;
}

static inline uint16_t packed_used_bits(bool wrap)
{
	return wrap ? PACKED_LAP : 0;
}

static inline struct vring_packed_desc *packed_slot(const struct virtqueue_areas *areas,
						    uint16_t slot)
{
	return (struct vring_packed_desc *)areas->descriptors + slot;
}

/* Moves a place in the ring on by @count slots, at most one lap. */
static inline void packed_advance(uint16_t *slot, bool *wrap, uint16_t count, uint16_t size)
{
	*slot += count;
	if (*slot >= size) {
		*slot -= size;
		*wrap = !*wrap;
	}
}

/* The inverse. */
static inline void packed_retreat(uint16_t *slot, bool *wrap, uint16_t count, uint16_t size)
{
	if (*slot < count) {
		*slot += size;
		*wrap = !*wrap;
	}
	*slot -= count;
}

ABI_ASSERT(sizeof(struct vring_packed_desc_event) == 4);
ABI_ASSERT(offsetof(struct vring_packed_desc_event, flags) == 2);

/*
 * Writes a wish for notification: at the slot given, when event indices are negotiated, else at all.
 * Place and flags go in one store, so no reader sees the flags of one wish with the place of another.
 */
static inline void packed_event_enable(void *area, bool event_idx, uint16_t slot, bool wrap)
{
	uint32_t word = VRING_PACKED_EVENT_FLAG_ENABLE;

	if (event_idx)
		word = (uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16 | (wrap ? PACKED_WRAP : 0) |
		       slot;
	order_store_relaxed((uint32_t *)area, word);
}

static inline void packed_event_disable(void *area)
{
	order_store_relaxed((uint32_t *)area, (uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16);
}

static inline bool packed_event_disabled(uint32_t event)
{
	return event >> 16 == VRING_PACKED_EVENT_FLAG_DISABLE;
}

static inline bool packed_event_at_slot(uint32_t event)
{
	return event >> 16 == VRING_PACKED_EVENT_FLAG_DESC;
}

/*
 * Whether the place that @event names was passed by the last @count slots up to @slot in lap @wrap
 * (not yet published themselves). A place in the other lap is one ring behind.
 */
static inline bool packed_event_reached(uint32_t event, uint16_t slot, bool wrap, uint32_t count,
					uint16_t size)
{
	uint16_t place = event & (PACKED_WRAP - 1);

	if (count >= size)
		return true;
	if (!(event & PACKED_WRAP) == wrap)
		place -= size;
	return vring_need_event(place, slot, (uint16_t)(slot - count));
}

#endif
