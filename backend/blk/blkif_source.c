// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Blkif requests.
 *
 * A slot is copied once by xen_back_take(), and the segments of an indirect request once out of their
 * page; all that follows looks at these copies. Each segment's page is pinned and becomes a piece of
 * the request's data where it lies: nothing is copied or mapped. Pages that are neighbours on this
 * host become one piece.
 *
 * A request with anything wrong in it is answered with an error, all that was pinned for it being
 * unpinned; only indices that make no sense end the queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/blk/blkif_source.h"
#include "ring/order.h"

/* Sectors that one blk_request can discard or zero. */
#define RANGES_SECTORS_MAX ((uint64_t)BLK_RANGES_MAX * BLK_RANGE_SECTORS_MAX)

static struct blkif_source *to_blkif(struct blk_source *base)
{
	return (struct blkif_source *)base;
}

static struct blkif_slot *slot_of(struct blkif_source *source, const struct blk_request *request)
{
	return &source->slots[request->io.slot];
}

/* ---- pages ----------------------------------------------------------------------------------- */

static int page_get(struct blkif_source *source, struct blkif_page *page, uint32_t reference,
		    bool write)
{
	page->pin = (struct host_pin){.reference = reference, .write = write};
	page->cached = blkif_cache_get(&source->cache, reference, &page->pin.page);
	if (page->cached != BLKIF_CACHE_NONE)
		return 0;
	return host_pin(source->options.device->host, &page->pin);
}

static void page_put(struct blkif_source *source, struct blkif_page *page)
{
	if (page->cached != BLKIF_CACHE_NONE)
		blkif_cache_put(&source->cache, page->cached);
	else
		host_unpin(source->options.device->host, &page->pin);
}

static void pages_put(struct blkif_source *source, struct blkif_slot *slot)
{
	while (slot->page_count)
		page_put(source, &slot->pages[--slot->page_count]);
}

/* ---- data ------------------------------------------------------------------------------------ */

static void malformed(struct blkif_source *source, struct blk_request *request)
{
	pages_put(source, slot_of(source, request));
	request->op = BLK_MALFORMED;
	request->bytes = 0;
	request->iov_count = 0;
}

/* Behind the pieces that are there, or as a part of the last. */
static void add_piece(struct blk_request *request, uint8_t *base, uint32_t length)
{
	struct ring_iovec *last = &request->iov[request->iov_count - 1];

	if (request->iov_count && (uint8_t *)last->base + last->length == base)
		last->length += length;
	else
		request->iov[request->iov_count++] = (struct ring_iovec){base, length};
	request->bytes += length;
}

static bool add_segment(struct blkif_source *source, struct blk_request *request,
			const struct blkif_segment *segment)
{
	struct blkif_slot *slot = slot_of(source, request);
	struct blkif_page *page = &slot->pages[slot->page_count];
	uint32_t unit = source->options.unit;

	if (segment->first_sector > segment->last_sector ||
	    (segment->last_sector + 1U) * unit > HOST_PAGE_BYTES)
		return false;
	/* What the guest reads, we write. */
	if (page_get(source, page, segment->grant, request->op == BLK_READ))
		return false;
	slot->page_count++;
	add_piece(request, (uint8_t *)page->pin.page + segment->first_sector * unit,
		  (segment->last_sector - segment->first_sector + 1U) * unit);
	return true;
}

/* Sectors of the request in BLK_SECTORs; false: no disk is that large. */
static bool scale(const struct blkif_source *source, uint64_t sectors, uint64_t *scaled)
{
	return !__builtin_mul_overflow(sectors, source->options.unit / BLK_SECTOR, scaled);
}

static void set_data(struct blkif_source *source, struct blk_request *request, uint8_t operation,
		     uint64_t sector, const struct blkif_segment *segments, unsigned int count)
{
	unsigned int i;

	request->op = operation == BLKIF_READ ? BLK_READ : BLK_WRITE;
	if (!count || !scale(source, sector, &request->sector)) {
		malformed(source, request);
		return;
	}
	for (i = 0; i < count; i++) {
		if (!add_segment(source, request, &segments[i])) {
			malformed(source, request);
			return;
		}
	}
}

/* Single loads: what is in the copy was there once, and is not looked at again. */
static void copy_segments(struct blkif_segment *to, const void *page, unsigned int count)
{
	const uint64_t *from = page;
	unsigned int i;

	for (i = 0; i < count; i++) {
		uint64_t word = order_load_relaxed(&from[i]);

		memcpy(&to[i], &word, sizeof(word));
	}
}

/* The segments of @from, wherever they are: in *segments, which is @from's or @room. */
static bool find_segments(struct blkif_source *source, const union blkif_req *from,
			  struct blkif_segment *room, const struct blkif_segment **segments,
			  unsigned int *count)
{
	struct blkif_page page;

	if (from->operation != BLKIF_INDIRECT) {
		*segments = from->rw.segment;
		*count = from->rw.segments;
		return *count <= BLKIF_SEGMENTS_MAX;
	}
	*segments = room;
	*count = from->indirect.segments;
	if (*count > BLKIF_SOURCE_SEGMENTS)
		return false;
	if (!*count)
		return true;
	if (page_get(source, &page, from->indirect.page_grant[0], false))
		return false;
	copy_segments(room, page.pin.page, *count);
	page_put(source, &page);
	return true;
}

static void take_data(struct blkif_source *source, struct blk_request *request,
		      const union blkif_req *from, uint8_t operation)
{
	struct blkif_segment room[BLKIF_SOURCE_SEGMENTS];
	const struct blkif_segment *segments;
	unsigned int count;

	/* ->sector is in the same place in both. */
	_Static_assert(offsetof(struct blkif_rw_req, sector) ==
			       offsetof(struct blkif_indirect_req, sector),
		       "layout");
	if (!find_segments(source, from, room, &segments, &count))
		malformed(source, request);
	else
		set_data(source, request, operation, from->rw.sector, segments, count);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static uint8_t range_flags(uint8_t operation)
{
	/* Nothing of ours makes data unrecoverable, so we do not offer it and refuse it. */
	return operation == BLKIF_WRITE_ZEROES ? BLKIF_ZEROES_FLAG_UNMAP : 0;
}

static void set_ranges(struct blk_request *request, const struct blkif_discard_req *from,
		       uint64_t sector, uint64_t sectors)
{
	bool zeroes = from->operation == BLKIF_WRITE_ZEROES;
	uint64_t part;

	request->op = zeroes ? BLK_WRITE_ZEROES : BLK_DISCARD;
	request->range_count = 0;
	do {
		part = sectors < BLK_RANGE_SECTORS_MAX ? sectors : BLK_RANGE_SECTORS_MAX;
		request->ranges[request->range_count++] = (struct blk_range){
			.sector = sector,
			.sectors = part,
			.unmap = zeroes && from->flags & BLKIF_ZEROES_FLAG_UNMAP,
			.reserved = from->flags & ~range_flags(from->operation),
		};
		request->bytes += part * BLK_SECTOR;
		sector += part;
		sectors -= part;
	} while (sectors && request->range_count < BLK_RANGES_MAX);
}

/* Within the disk, so that no part of it is done before the part that fails is found. */
static bool range_of(const struct blkif_source *source, const struct blkif_discard_req *from,
		     uint64_t *sector, uint64_t *sectors)
{
	uint64_t end;

	return scale(source, from->sector, sector) && scale(source, from->sectors, sectors) &&
	       !__builtin_add_overflow(*sector, *sectors, &end) &&
	       end <= source->options.image->size / BLK_SECTOR;
}

static void take_range(struct blkif_source *source, struct blk_request *request,
		       const struct blkif_discard_req *from)
{
	uint64_t sector, sectors;

	if (from->operation == BLKIF_WRITE_ZEROES && !source->options.write_zeroes)
		request->op = BLK_UNKNOWN;
	else if (range_of(source, from, &sector, &sectors))
		set_ranges(request, from, sector, sectors);
	else
		malformed(source, request);
}

/* ---- requests -------------------------------------------------------------------------------- */

static uint8_t operation_of(const union blkif_req *from)
{
	return from->operation == BLKIF_INDIRECT ? from->indirect.indirect_operation
						 : from->operation;
}

static unsigned int segments_of(const union blkif_req *from)
{
	return from->operation == BLKIF_INDIRECT ? from->indirect.segments : from->rw.segments;
}

static void begin_request(struct blkif_source *source, struct blk_request *request,
			  const union blkif_req *from)
{
	struct blkif_slot *slot = slot_of(source, request);

	/* ->id is in the same place in all. */
	slot->id = from->rw.id;
	slot->operation = operation_of(from);
	slot->step = false;
	slot->page_count = 0;
	request->iov = request->pieces;
	request->iov_count = 0;
	request->bytes = 0;
	request->status_at = NULL;
	request->written = 0;
	source->in_flight++;
}

static void take_request(struct blkif_source *source, struct blk_request *request,
			 const union blkif_req *from)
{
	uint8_t operation = operation_of(from);

	begin_request(source, request, from);
	switch (operation) {
	case BLKIF_READ:
	case BLKIF_WRITE:
		take_data(source, request, from, operation);
		break;
	case BLKIF_FLUSH:
		request->op = BLK_FLUSH;
		break;
	case BLKIF_DISCARD:
	case BLKIF_WRITE_ZEROES:
		/* They have no segments, so no indirect form. */
		if (from->operation == BLKIF_INDIRECT)
			malformed(source, request);
		else
			take_range(source, request, &from->discard);
		break;
	default:
		request->op = BLK_UNKNOWN;
		break;
	}
}

/* ---- sequences ------------------------------------------------------------------------------- */

enum step {
	STEP_FLUSH,
	STEP_DATA
};

/* flush, write, flush; an empty barrier and a flush that carries a write are parts of that. */
static const uint8_t barrier_steps[] = {STEP_FLUSH, STEP_DATA, STEP_FLUSH};

static bool is_range(const union blkif_req *from)
{
	return from->operation == BLKIF_DISCARD || from->operation == BLKIF_WRITE_ZEROES;
}

static bool must_be_alone(const struct blkif_source *source, const union blkif_req *from)
{
	uint64_t sector, sectors;

	if (is_range(from))
		return range_of(source, &from->discard, &sector, &sectors) &&
		       sectors > RANGES_SECTORS_MAX;
	switch (operation_of(from)) {
	case BLKIF_BARRIER:
		return true;
	case BLKIF_FLUSH:
		return segments_of(from) > 0;
	default:
		return false;
	}
}

static void sequence_begin(struct blkif_source *source, const union blkif_req *from)
{
	struct blkif_sequence *sequence = &source->sequence;

	*sequence = (struct blkif_sequence){.active = true, .request = *from};
	if (is_range(from))
		return;
	if (!segments_of(from))
		sequence->steps = 1;
	else
		sequence->steps = operation_of(from) == BLKIF_BARRIER ? 3 : 2;
}

static void sequence_range(struct blkif_source *source, struct blk_request *request)
{
	struct blkif_sequence *sequence = &source->sequence;
	const struct blkif_discard_req *from = &sequence->request.discard;
	uint64_t sector, sectors;

	if (from->operation == BLKIF_WRITE_ZEROES && !source->options.write_zeroes)
		request->op = BLK_UNKNOWN;
	else if (range_of(source, from, &sector, &sectors))
		set_ranges(request, from, sector + sequence->done, sectors - sequence->done);
	else
		malformed(source, request);
}

static void sequence_step(struct blkif_source *source, struct blk_request *request)
{
	struct blkif_sequence *sequence = &source->sequence;

	begin_request(source, request, &sequence->request);
	slot_of(source, request)->step = true;
	if (is_range(&sequence->request))
		sequence_range(source, request);
	else if (barrier_steps[sequence->step] == STEP_FLUSH)
		request->op = BLK_FLUSH;
	else
		take_data(source, request, &sequence->request, BLKIF_WRITE);
}

/* A step is over: true when that was the last. */
static bool sequence_over(struct blkif_source *source, const struct blk_request *request)
{
	struct blkif_sequence *sequence = &source->sequence;
	uint64_t sector, sectors;

	if (request->status != BLK_OK)
		return true;
	if (!is_range(&sequence->request))
		return ++sequence->step == sequence->steps;
	sequence->done += request->bytes / BLK_SECTOR;
	return !range_of(source, &sequence->request.discard, &sector, &sectors) ||
	       sequence->done >= sectors;
}

/* ---- the source ------------------------------------------------------------------------------ */

/* The head of the ring, or the next step, may have to wait for what is in flight. */
static bool held_up(const struct blkif_source *source)
{
	return (source->sequence.active || source->draining) && source->in_flight;
}

static unsigned int blkif_fetch(struct blk_source *base, struct blk_request **requests,
				unsigned int max)
{
	struct blkif_source *source = to_blkif(base);
	enum xen_ring_result result;
	union blkif_req from;
	unsigned int count = 0;

	if (!max || held_up(source))
		return 0;
	source->draining = false;
	if (source->sequence.active) {
		sequence_step(source, requests[0]);
		return 1;
	}
	while (count < max) {
		result = xen_back_take(&source->back, &from, sizeof(from));
		if (result != XEN_RING_FOUND) {
			base->broken = result == XEN_RING_BROKEN;
			break;
		}
		if (!must_be_alone(source, &from)) {
			take_request(source, requests[count++], &from);
			continue;
		}
		if (source->in_flight) {
			xen_back_untake(&source->back, 1);
			source->draining = true;
			break;
		}
		sequence_begin(source, &from);
		sequence_step(source, requests[count++]);
		break;
	}
	return count;
}

static const int16_t statuses[] = {
	[BLK_OK] = BLKIF_OK,
	[BLK_ERROR] = BLKIF_ERROR,
	[BLK_UNSUPPORTED] = BLKIF_NOT_SUPPORTED,
};

static void blkif_complete(struct blk_source *base, struct blk_request **requests,
			   unsigned int count)
{
	struct blkif_source *source = to_blkif(base);
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct blkif_slot *slot = slot_of(source, requests[i]);
		struct blkif_rsp answer = {
			.id = slot->id,
			.operation = slot->operation,
			.status = statuses[requests[i]->status],
		};

		pages_put(source, slot);
		source->in_flight--;
		if (slot->step) {
			if (!sequence_over(source, requests[i]))
				continue;
			source->sequence.active = false;
		}
		xen_back_answer(&source->back, &answer, sizeof(answer));
	}
}

static void blkif_publish(struct blk_source *base)
{
	xen_back_publish(&to_blkif(base)->back);
}

static bool blkif_interrupt(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	if (!xen_back_should_notify(&source->back))
		return false;
	host_notify(source->options.device->host, source->options.queue->ring[0].channel);
	return true;
}

static bool blkif_has_work(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	if (source->sequence.active || source->draining)
		return !source->in_flight;
	return xen_back_has_work(&source->back);
}

/* What waits for a completion needs no kick: the completion wakes the worker. */
static bool blkif_arm(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	if (source->sequence.active || source->draining)
		return !source->in_flight;
	return xen_back_events_enable(&source->back);
}

static void blkif_disarm(struct blk_source *base)
{
	xen_back_events_disable(&to_blkif(base)->back);
}

static bool blkif_take_kick(struct blk_source *base)
{
	return host_take_event(to_blkif(base)->options.queue->ring[0].channel);
}

static void blkif_report_broken(struct blk_source *base)
{
	struct blkif_source *source = to_blkif(base);

	xen_queue_broken(source->options.device, source->options.queue, &source->back.ring,
			 "the front-end closes the device");
}

static const struct blk_source_ops blkif_source_ops = {
	.fetch = blkif_fetch,
	.complete = blkif_complete,
	.publish = blkif_publish,
	.interrupt = blkif_interrupt,
	.has_work = blkif_has_work,
	.arm = blkif_arm,
	.disarm = blkif_disarm,
	.take_kick = blkif_take_kick,
	.report_broken = blkif_report_broken,
};

int blkif_source_open(struct blkif_source *source, const struct blkif_source_options *options)
{
	struct xen_queue_ring *ring = &options->queue->ring[0];
	int err;

	memset(source, 0, sizeof(*source));
	source->base.ops = &blkif_source_ops;
	source->options = *options;
	if (xen_back_init(&source->back, &ring->area, ring->position))
		return -EINVAL;
	source->slots = calloc(blkif_source_depth(source), sizeof(*source->slots));
	if (!source->slots)
		return -ENOMEM;
	err = blkif_cache_open(&source->cache, options->device->host,
			       options->persistent ? BLKIF_CACHE_MAX : 0);
	if (err)
		free(source->slots);
	return err;
}

void blkif_source_close(struct blkif_source *source)
{
	/* The only request that is taken and not answered; its slot holds it still. */
	if (source->sequence.active && !source->base.broken)
		xen_back_untake(&source->back, 1);
	source->options.queue->ring[0].position = xen_back_position(&source->back);
	blkif_cache_close(&source->cache);
	free(source->slots);
	source->slots = NULL;
}
