// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Blkif requests.
 *
 * All that is looked at is a private copy: of the slot, and of an indirect request's segments, taken
 * once out of their page. Each segment's page is pinned and becomes a piece of the request's data
 * where it lies: nothing is copied or mapped. Pages that are neighbours on this host become one
 * piece.
 *
 * A request with anything wrong in it is answered with an error, all that was pinned for it being
 * unpinned.
 */
#include <string.h>

#include "backend/blk/blkif_request.h"
#include "ring/order.h"

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

void blkif_pages_put(struct blkif_source *source, struct blkif_slot *slot)
{
	while (slot->page_count)
		page_put(source, &slot->pages[--slot->page_count]);
}

/* ---- data ------------------------------------------------------------------------------------ */

void blkif_malformed(struct blkif_source *source, struct blk_request *request)
{
	blkif_pages_put(source, blkif_slot_of(source, request));
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
	struct blkif_slot *slot = blkif_slot_of(source, request);
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
		blkif_malformed(source, request);
		return;
	}
	for (i = 0; i < count; i++) {
		if (!add_segment(source, request, &segments[i])) {
			blkif_malformed(source, request);
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

void blkif_take_data(struct blkif_source *source, struct blk_request *request,
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
		blkif_malformed(source, request);
	else
		set_data(source, request, operation, from->rw.sector, segments, count);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static uint8_t range_flags(uint8_t operation)
{
	return operation == BLKIF_WRITE_ZEROES ? BLKIF_ZEROES_FLAG_UNMAP
					       : BLKIF_DISCARD_FLAG_SECURE;
}

static enum blk_op range_op(const struct blkif_discard_req *from)
{
	if (from->operation == BLKIF_WRITE_ZEROES)
		return BLK_WRITE_ZEROES;
	return from->flags & BLKIF_DISCARD_FLAG_SECURE ? BLK_SECURE_ERASE : BLK_DISCARD;
}

void blkif_set_ranges(struct blk_request *request, const struct blkif_discard_req *from,
		      uint64_t sector, uint64_t sectors)
{
	bool zeroes = from->operation == BLKIF_WRITE_ZEROES;
	uint64_t part;

	request->op = range_op(from);
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
bool blkif_range_of(const struct blkif_source *source, const struct blkif_discard_req *from,
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
	else if (blkif_range_of(source, from, &sector, &sectors))
		blkif_set_ranges(request, from, sector, sectors);
	else
		blkif_malformed(source, request);
}

/* ---- requests -------------------------------------------------------------------------------- */

void blkif_begin(struct blkif_source *source, struct blk_request *request,
		 const union blkif_req *from)
{
	struct blkif_slot *slot = blkif_slot_of(source, request);

	/* ->id is in the same place in all. */
	slot->id = from->rw.id;
	slot->operation = blkif_operation(from);
	slot->step = false;
	slot->page_count = 0;
	request->iov = request->pieces;
	request->iov_count = 0;
	request->bytes = 0;
	request->status_at = NULL;
	request->written = 0;
	source->in_flight++;
}

void blkif_take(struct blkif_source *source, struct blk_request *request,
		const union blkif_req *from)
{
	uint8_t operation = blkif_operation(from);

	blkif_begin(source, request, from);
	switch (operation) {
	case BLKIF_READ:
	case BLKIF_WRITE:
		blkif_take_data(source, request, from, operation);
		break;
	case BLKIF_FLUSH:
		request->op = BLK_FLUSH;
		break;
	case BLKIF_DISCARD:
	case BLKIF_WRITE_ZEROES:
		/* They have no segments, so no indirect form. */
		if (from->operation == BLKIF_INDIRECT)
			blkif_malformed(source, request);
		else
			take_range(source, request, &from->discard);
		break;
	default:
		request->op = BLK_UNKNOWN;
		break;
	}
}
