/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What xen_ring.c offers to the two sides.
 */
#ifndef PVKIT_RING_XEN_SETUP_H
#define PVKIT_RING_XEN_SETUP_H

#include "ring/xen_ring.h"

/* Fills in @ring from @area. -1 if the area is impossible. */
int xen_ring_setup(struct xen_ring *ring, const struct xen_ring_area *area);

/* Whether the index passed @event when it moved from @old to @now. */
static inline bool xen_event_reached(uint32_t event, uint32_t now, uint32_t old)
{
	return now - event < now - old;
}

/* Whether @event is still to be passed by a producer that was last seen at @seen. */
static inline bool xen_event_ahead(uint32_t event, uint32_t seen)
{
	return (int32_t)(event - seen) > 0;
}

#endif
