// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Front-end of a Xen ring.
 */
#include "ring/xen_setup.h"

int xen_front_init(struct xen_front *front, const struct xen_ring_area *area)
{
	struct xen_ring_header *header = (struct xen_ring_header *)area->pages;
	size_t i;

	if (xen_ring_setup(&front->ring, area))
		return -1;
	front->req_prod = XEN_RING_FIRST_INDEX;
	front->req_published = XEN_RING_FIRST_INDEX;
	front->req_decided = XEN_RING_FIRST_INDEX;
	front->rsp_cons = XEN_RING_FIRST_INDEX;
	front->rsp_seen = XEN_RING_FIRST_INDEX;
	front->rsp_event = XEN_RING_FIRST_EVENT;

	/* Nobody else looks yet; whoever tells the back-end of the ring releases it. */
	order_store_relaxed(&header->req_prod, XEN_RING_FIRST_INDEX);
	order_store_relaxed(&header->req_event, XEN_RING_FIRST_EVENT);
	order_store_relaxed(&header->rsp_prod, XEN_RING_FIRST_INDEX);
	order_store_relaxed(&header->rsp_event, XEN_RING_FIRST_EVENT);
	for (i = 0; i < sizeof(header->reserved); i++)
		order_store_relaxed(&header->reserved[i], 0);
	return 0;
}

void xen_front_publish(struct xen_front *front)
{
	if (front->req_published == front->req_prod)
		return;
	front->req_published = front->req_prod;
	/* Requests, and the data behind them, before the index that announces them. */
	order_store_release(&front->ring.header->req_prod, front->req_prod);
}

bool xen_front_should_notify(struct xen_front *front)
{
	uint32_t old = front->req_decided, now = front->req_published;

	if (now == old)
		return false;
	front->req_decided = now;
	/* req_prod before the back-end's wish; pairs with the barrier in its events_enable. */
	order_full_barrier();
	return xen_event_reached(order_load_relaxed(&front->ring.header->req_event), now, old);
}

enum xen_ring_result xen_front_look(struct xen_front *front)
{
	/* Pairs with the back-end's release of rsp_prod: its responses and the data are visible. */
	uint32_t prod = order_load_acquire(&front->ring.header->rsp_prod);

	/* No more responses than requests that it could see; a step backwards is a huge count. */
	if (prod - front->rsp_cons > front->req_published - front->rsp_cons) {
		front->ring.broken = XEN_RING_FAULT_RESPONSES;
		return XEN_RING_BROKEN;
	}
	front->rsp_seen = prod;
	return prod == front->rsp_cons ? XEN_RING_EMPTY : XEN_RING_FOUND;
}

void xen_front_events_disable(struct xen_front *front)
{
	/* As the back-end's: only an event that was not passed needs to be put behind. */
	if (!xen_event_ahead(front->rsp_event, front->rsp_seen))
		return;
	front->rsp_event = front->rsp_cons;
	order_store_relaxed(&front->ring.header->rsp_event, front->rsp_event);
}

bool xen_front_events_enable(struct xen_front *front)
{
	front->rsp_event = front->rsp_cons + 1;
	order_store_relaxed(&front->ring.header->rsp_event, front->rsp_event);
	/*
	 * The wish before the look at rsp_prod; pairs with the barrier in the back's should_notify.
	 */
	order_full_barrier();
	return xen_front_has_work(front);
}

bool xen_front_has_work(const struct xen_front *front)
{
	return front->rsp_cons != front->rsp_seen ||
	       order_load_acquire(&front->ring.header->rsp_prod) != front->rsp_cons;
}
