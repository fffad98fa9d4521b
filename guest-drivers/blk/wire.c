// SPDX-License-Identifier: GPL-2.0
/*
 * blkif as the front-end speaks it.
 */
#include "guest-drivers/blk/wire.h"

int wire_open(struct wire *wire, const struct xen_ring_area *area, struct xen_shadow_entry *entries)
{
	if (xen_front_init(&wire->front, area))
		return -1;
	xen_shadow_init(&wire->shadow, entries, wire->front.ring.size);
	wire->building = 0;
	wire->bad_status = false;
	return 0;
}

void wire_build(struct wire_request *request, uint8_t operation, uint64_t sector)
{
	struct blkif_rw_req *rw = &request->slot.rw;

	rw->operation = operation;
	rw->segments = 0;
	rw->handle = 0;
	rw->padding = 0;
	rw->sector = sector;
	request->answer = operation;
	request->segments = 0;
	request->page[0] = NULL;
}

void wire_build_indirect(struct wire_request *request, unsigned int i, struct blkif_segment *page,
			 uint32_t grant)
{
	struct blkif_indirect_req *indirect = &request->slot.indirect;
	uint64_t sector = request->slot.rw.sector;

	if (!i) {
		__builtin_memset(indirect, 0, sizeof(*indirect));
		indirect->operation = BLKIF_INDIRECT;
		indirect->indirect_operation = request->answer;
		indirect->sector = sector;
	}
	indirect->page_grant[i] = grant;
	request->page[i] = page;
}

void wire_build_range(struct wire_request *request, uint8_t operation, uint8_t flags,
		      uint64_t sector, uint64_t sectors)
{
	struct blkif_discard_req *discard = &request->slot.discard;

	discard->operation = operation;
	discard->flags = flags;
	discard->handle = 0;
	discard->padding = 0;
	discard->sector = sector;
	discard->sectors = sectors;
	request->answer = operation;
	request->segments = 0;
	request->page[0] = NULL;
}

/* Writes the count of segments, and says how much of the slot there is to copy. */
static uint32_t finish(struct wire_request *request)
{
	if (request->page[0]) {
		request->slot.indirect.segments = (uint16_t)request->segments;
		return sizeof(struct blkif_indirect_req);
	}
	if (request->answer == BLKIF_DISCARD || request->answer == BLKIF_WRITE_ZEROES)
		return sizeof(struct blkif_discard_req);
	request->slot.rw.segments = (uint8_t)request->segments;
	return offsetof(struct blkif_rw_req, segment) +
	       request->segments * sizeof(struct blkif_segment);
}

int wire_put(struct wire *wire, struct wire_request *request, void *token)
{
	uint32_t bytes = finish(request);
	int64_t id;

	wire->building--;
	if (wire_broken(wire))
		return -1;
	id = xen_shadow_lend(&wire->shadow, token, request->answer);
	if (id < 0)
		return -1;
	/* In the same place of all kinds of requests. */
	request->slot.rw.id = (uint64_t)id;
	if (!xen_front_put(&wire->front, &request->slot, bytes))
		return 0;
	xen_shadow_settle(&wire->shadow, &wire->front.ring, (uint64_t)id, request->answer);
	return -1;
}

enum xen_ring_result wire_take(struct wire *wire, struct wire_answer *answer)
{
	struct blkif_rsp response;
	enum xen_ring_result found;

	if (wire->bad_status)
		return XEN_RING_BROKEN;
	found = xen_front_reap(&wire->front, &response, sizeof(response));
	if (found != XEN_RING_FOUND)
		return found;
	answer->token = xen_shadow_settle(&wire->shadow, &wire->front.ring, response.id,
					  response.operation);
	if (!answer->token)
		return XEN_RING_BROKEN;
	switch (response.status) {
	case BLKIF_OK:
	case BLKIF_ERROR:
	case BLKIF_NOT_SUPPORTED:
		answer->status = (enum blkif_status)response.status;
		break;
	default:
		/* The request was answered, so it ends here; nothing after it is believed. */
		answer->status = BLKIF_ERROR;
		wire->bad_status = true;
	}
	return XEN_RING_FOUND;
}

const char *wire_fault(const struct wire *wire)
{
	if (wire->bad_status)
		return "response with a status that does not exist";
	return xen_ring_fault_text(wire->front.ring.broken);
}

void *wire_recover(struct wire *wire)
{
	struct xen_shadow *shadow = &wire->shadow;
	uint32_t id;

	for (id = 0; id < shadow->size && shadow->free_count < shadow->size; id++) {
		if (shadow->entry[id].token)
			return xen_shadow_settle(shadow, &wire->front.ring, id,
						 shadow->entry[id].operation);
	}
	return NULL;
}
