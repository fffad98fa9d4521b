/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Every combination of ring features, each begun shortly before its indices wrap.
 */
#ifndef PVKIT_TESTS_UNIT_RING_VARIANTS_H
#define PVKIT_TESTS_UNIT_RING_VARIANTS_H

#include <stdio.h>

#include "fixture.h"

#define VARIANTS 16

struct variant {
	uint64_t features;
	uint16_t size, position;
};

/* @turn varies where a packed ring begins: any slot, either lap. */
static inline struct variant variant(unsigned int number, unsigned int turn)
{
	struct variant v = {0};

	v.features |= number & 1 ? VIRTQUEUE_F_EVENT_IDX : 0;
	v.features |= number & 2 ? VIRTQUEUE_F_INDIRECT : 0;
	v.features |= number & 4 ? VIRTQUEUE_F_IN_ORDER : 0;
	v.features |= number & 8 ? VIRTQUEUE_F_PACKED : 0;
	/* A packed ring may have any size. */
	v.size = number & 8 ? 13 : 16;
	v.position = number & 8 ? turn % v.size | (turn / v.size % 2 ? 0 : 0x8000) : 65530 - turn;
	return v;
}

static inline void variant_print(const struct variant *v, const char *what)
{
	print_message("  %s: %s%s%s%s from %u\n", what,
		      v->features & VIRTQUEUE_F_PACKED ? "packed" : "split",
		      v->features & VIRTQUEUE_F_EVENT_IDX ? " event_idx" : "",
		      v->features & VIRTQUEUE_F_INDIRECT ? " indirect" : "",
		      v->features & VIRTQUEUE_F_IN_ORDER ? " in_order" : "", v->position);
}

/* Of its own, so that two threads draw without sharing and each run is the same. */
static inline uint32_t draw(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

#endif
