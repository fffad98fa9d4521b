// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What both sides of a Xen ring have in common.
 */
#include "ring/xen_setup.h"

#define PAGES_MAX (1U << XEN_RING_PAGE_ORDER_MAX)

uint32_t xen_ring_slots(const struct xen_ring_area *area)
{
	uint32_t pages = area->bytes / XEN_RING_PAGE_BYTES, fit, size = 1;

	if (!area->pages || (uintptr_t)area->pages % 8 || area->bytes % XEN_RING_PAGE_BYTES ||
	    !pages || pages > PAGES_MAX || !area->slot_bytes || area->slot_bytes % 4)
		return 0;
	fit = (area->bytes - sizeof(struct xen_ring_header)) / area->slot_bytes;
	if (!fit)
		return 0;
	while (size * 2 <= fit)
		size *= 2;
	return size;
}

int xen_ring_setup(struct xen_ring *ring, const struct xen_ring_area *area)
{
	uint32_t size = xen_ring_slots(area);

	if (!size)
		return -1;
	ring->header = (struct xen_ring_header *)area->pages;
	ring->slots = (uint8_t *)area->pages + sizeof(struct xen_ring_header);
	ring->slot_bytes = area->slot_bytes;
	ring->size = size;
	ring->broken = XEN_RING_OK;
	return 0;
}

const char *xen_ring_fault_text(enum xen_ring_fault fault)
{
	switch (fault) {
	case XEN_RING_OK:
		return "not broken";
	case XEN_RING_FAULT_REQUESTS:
		return "request index ran backwards or over requests that were not answered";
	case XEN_RING_FAULT_RESPONSES:
		return "response index ran backwards or past the requests";
	case XEN_RING_FAULT_SURPLUS:
		return "more responses than requests";
	case XEN_RING_FAULT_ID:
		return "response with an id that was not lent";
	case XEN_RING_FAULT_OPERATION:
		return "response to another operation than the request's";
	}
	return "unknown fault";
}
