// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Back-end of a Xen ring.
 */
#include "ring/xen_setup.h"

int xen_back_init(struct xen_back *back, const struct xen_ring_area *area,
		  struct xen_ring_position position)
{
	if (xen_ring_setup(&back->ring, area) ||
	    position.req_cons - position.rsp_prod > back->ring.size)
		return -1;
	back->req_cons = position.req_cons;
	back->req_seen = position.req_cons;
	back->rsp_prod = position.rsp_prod;
	back->rsp_published = position.rsp_prod;
	back->rsp_decided = position.rsp_prod;
	back->req_event = position.req_cons + 1;
	order_store_relaxed(&back->ring.header->req_event, back->req_event);
	back->owed = true;
	return 0;
}

enum xen_ring_result xen_back_look(struct xen_back *back)
{
	/* Pairs with the front-end's release of req_prod: its requests are visible. */
	uint32_t prod = order_load_acquire(&back->ring.header->req_prod);
	/*
	 * A front-end may reuse the slots of responses that it could see, that is of published
	 * ones. So no more new requests can be there than slots that are not ours; a step backwards
	 * is a huge count of them.
	 */
	uint32_t most = back->ring.size - (back->req_cons - back->rsp_published);

	if (prod - back->req_cons > most) {
		back->ring.broken = XEN_RING_FAULT_REQUESTS;
		return XEN_RING_BROKEN;
	}
	back->req_seen = prod;
	return prod == back->req_cons ? XEN_RING_EMPTY : XEN_RING_FOUND;
}

uint32_t xen_back_waiting(struct xen_back *back, uint32_t enough)
{
	if (back->ring.broken)
		return 0;
	if (back->req_seen - back->req_cons < enough && xen_back_look(back) == XEN_RING_BROKEN)
		return 0;
	return back->req_seen - back->req_cons;
}

void xen_back_publish(struct xen_back *back)
{
	if (back->rsp_published == back->rsp_prod)
		return;
	back->rsp_published = back->rsp_prod;
	/* The responses, and the data behind them, before the index that announces them. */
	order_store_release(&back->ring.header->rsp_prod, back->rsp_prod);
}

bool xen_back_should_notify(struct xen_back *back)
{
	uint32_t old = back->rsp_decided, now = back->rsp_published;
	bool owed = back->owed;

	if (now == old)
		return false;
	back->rsp_decided = now;
	back->owed = false;
	/* rsp_prod before the front-end's wish; pairs with the barrier in its events_enable. */
	order_full_barrier();
	return xen_event_reached(order_load_relaxed(&back->ring.header->rsp_event), now, old) ||
	       owed;
}

void xen_back_events_disable(struct xen_back *back)
{
	/*
	 * An event that was passed asks for nothing. One that was not, because something else than
	 * a notification ended the sleep, is put behind, or the next request would notify.
	 */
	if (!xen_event_ahead(back->req_event, back->req_seen))
		return;
	back->req_event = back->req_cons;
	order_store_relaxed(&back->ring.header->req_event, back->req_event);
}

bool xen_back_events_enable(struct xen_back *back)
{
	back->req_event = back->req_cons + 1;
	order_store_relaxed(&back->ring.header->req_event, back->req_event);
	/*
	 * The wish before the look at req_prod; pairs with the barrier in the front's
	 * should_notify.
	 */
	order_full_barrier();
	return xen_back_has_work(back);
}

bool xen_back_has_work(const struct xen_back *back)
{
	/* An index that jumped is work too: take will say what is wrong with it. */
	return back->req_cons != back->req_seen ||
	       order_load_acquire(&back->ring.header->req_prod) != back->req_cons;
}
