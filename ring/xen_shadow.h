/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A front-end's shadow: which request each id stands for. The only thing that it believes of a
 * response.
 *
 * An id is a place in an array of the caller's. What a response says is looked up there: an id out
 * of range or not lent (never was, or answered already), or another operation than was asked for,
 * breaks the ring. Free ids form a list through ->next, last in first out, so that a quiet device
 * touches few of them.
 */
#ifndef PVKIT_RING_XEN_SHADOW_H
#define PVKIT_RING_XEN_SHADOW_H

#include "ring/xen_ring.h"

struct xen_shadow_entry {
	void *token; /* NULL: not lent */
	uint32_t next;
	uint32_t operation; /* whatever a response must repeat; 0 where there is nothing such */
};

struct xen_shadow {
	struct xen_shadow_entry *entry;
	uint32_t size;
	uint32_t free_head;
	uint32_t free_count;
};

/* @entry has room for @size: as many as the ring has slots, or as there may be requests. */
void xen_shadow_init(struct xen_shadow *shadow, struct xen_shadow_entry *entry, uint32_t size);

/* Lends an id for @token (not NULL). -1 if none is free; else 0..size - 1. */
static inline int64_t xen_shadow_lend(struct xen_shadow *shadow, void *token, uint32_t operation)
{
	struct xen_shadow_entry *entry = &shadow->entry[shadow->free_head];
	uint32_t id = shadow->free_head;

	if (!shadow->free_count)
		return -1;
	shadow->free_head = entry->next;
	shadow->free_count--;
	entry->token = token;
	entry->operation = operation;
	return id;
}

/*
 * The token that a response with this @id and @operation answers; the id is free again. NULL breaks
 * @ring: all that was lent stays in the shadow, for whoever recovers it.
 */
static inline void *xen_shadow_settle(struct xen_shadow *shadow, struct xen_ring *ring, uint64_t id,
				      uint32_t operation)
{
	struct xen_shadow_entry *entry;
	void *token;

	if (id >= shadow->size || !shadow->entry[id].token) {
		ring->broken = XEN_RING_FAULT_ID;
		return NULL;
	}
	entry = &shadow->entry[id];
	if (entry->operation != operation) {
		ring->broken = XEN_RING_FAULT_OPERATION;
		return NULL;
	}
	token = entry->token;
	entry->token = NULL;
	entry->next = shadow->free_head;
	shadow->free_head = (uint32_t)id;
	shadow->free_count++;
	return token;
}

#endif
