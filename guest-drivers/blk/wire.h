/* SPDX-License-Identifier: GPL-2.0 */
/*
 * blkif as the front-end speaks it: requests onto the ring, responses off it. Freestanding, so that
 * the same code runs in tests/unit/guest_blk with a hostile back-end and under the sanitizers.
 *
 * Nothing here locks: a wire belongs to whoever holds its queue's lock, but for the building of a
 * request, which happens in the sender's own memory and in descriptor pages that it took for this
 * request.
 *
 * Of a response only the copy is looked at: its id and operation by the shadow, its status here.
 * What is none of the three that blkif knows is an error to the request and the end of the wire.
 */
#ifndef PVKIT_GUEST_DRIVERS_BLK_WIRE_H
#define PVKIT_GUEST_DRIVERS_BLK_WIRE_H

#include "abi/blkif.h"
#include "ring/xen_ring.h"
#include "ring/xen_shadow.h"

struct wire {
	struct xen_front front;
	struct xen_shadow shadow;
	uint32_t building; /* requests that were promised a slot and are not on the ring yet */
	bool bad_status;
};

/* A request under construction. */
struct wire_request {
	union blkif_req slot;
	uint8_t answer; /* operation that the response must repeat */
	uint32_t bytes; /* of the slot, that mean anything */
	uint32_t segments; /* so far */
	/* Descriptor pages of an indirect request, else NULL. */
	struct blkif_segment *page[BLKIF_INDIRECT_PAGES_MAX];
};

struct wire_answer {
	void *token;
	enum blkif_status status;
};

/* @entries: as many as xen_ring_slots() says. -1 if the area is impossible. */
int wire_open(struct wire *wire, const struct xen_ring_area *area,
	      struct xen_shadow_entry *entries);

/* READ, WRITE, BARRIER, FLUSH in the request's own slot: up to BLKIF_SEGMENTS_MAX. */
void wire_build(struct wire_request *request, uint8_t operation, uint64_t sector);
/* Makes it an indirect one. Page @i is described to the back-end by @grant. */
void wire_build_indirect(struct wire_request *request, unsigned int i, struct blkif_segment *page,
			 uint32_t grant);
/* DISCARD, WRITE_ZEROES. */
void wire_build_range(struct wire_request *request, uint8_t operation, uint8_t flags,
		      uint64_t sector, uint64_t sectors);

static inline struct blkif_segment *wire_segment(struct wire_request *request, uint32_t i)
{
	if (request->page[0])
		return &request->page[i / BLKIF_SEGMENTS_PER_PAGE][i % BLKIF_SEGMENTS_PER_PAGE];
	return &request->slot.rw.segment[i];
}

/* A part of a page, in whole sectors of BLKIF_SECTOR_BYTES: the caller has checked that. */
static inline void wire_add(struct wire_request *request, uint32_t grant, uint32_t offset,
			    uint32_t length)
{
	struct blkif_segment *segment = wire_segment(request, request->segments++);

	segment->grant = grant;
	segment->first_sector = (uint8_t)(offset / BLKIF_SECTOR_BYTES);
	segment->last_sector = (uint8_t)((offset + length) / BLKIF_SECTOR_BYTES - 1);
	segment->padding = 0;
}

/* The segment that was added last goes on for @length bytes in the same page. */
static inline void wire_extend(struct wire_request *request, uint32_t length)
{
	wire_segment(request, request->segments - 1)->last_sector +=
		(uint8_t)(length / BLKIF_SECTOR_BYTES);
}

/* Promises a slot and an id to a request that will be built now. False: none is free. */
static inline bool wire_reserve(struct wire *wire)
{
	if (wire->building >= xen_front_room(&wire->front) ||
	    wire->building >= wire->shadow.free_count)
		return false;
	wire->building++;
	return true;
}

/* Gives the promise back. */
static inline void wire_cancel(struct wire *wire)
{
	wire->building--;
}

/*
 * Stages a request that was promised a slot. -1: the wire is broken, the promise is gone.
 * Afterwards @token may come out of wire_take() at any time that the lock is free.
 */
int wire_put(struct wire *wire, struct wire_request *request, void *token);

/* Shows what was staged to the back-end. True: it wants to be notified, once for all of it. */
static inline bool wire_announce(struct wire *wire)
{
	xen_front_publish(&wire->front);
	return xen_front_should_notify(&wire->front);
}

/*
 * The next request that is answered. XEN_RING_BROKEN: the back-end broke the protocol, wire_fault()
 * says how; what is out stays out until wire_recover().
 */
enum xen_ring_result wire_take(struct wire *wire, struct wire_answer *answer);

static inline bool wire_broken(const struct wire *wire)
{
	return wire->front.ring.broken || wire->bad_status;
}

const char *wire_fault(const struct wire *wire);

/*
 * Takes back a request that was not answered, NULL: there is none any more. The wire is of no other
 * use afterwards.
 */
void *wire_recover(struct wire *wire);

#endif
