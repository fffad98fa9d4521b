/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One blkif request: from the private copy of a slot to a struct blk_request.
 */
#ifndef PVKIT_BACKEND_BLK_BLKIF_REQUEST_H
#define PVKIT_BACKEND_BLK_BLKIF_REQUEST_H

#include "backend/blk/blkif_source.h"

/* Sectors that one blk_request can discard or zero. */
#define BLKIF_RANGES_SECTORS_MAX ((uint64_t)BLK_RANGES_MAX * BLK_RANGE_SECTORS_MAX)

static inline struct blkif_slot *blkif_slot_of(struct blkif_source *source,
					       const struct blk_request *request)
{
	return &source->slots[request->io.slot];
}

/* The real one of an indirect request. */
static inline uint8_t blkif_operation(const union blkif_req *from)
{
	return from->operation == BLKIF_INDIRECT ? from->indirect.indirect_operation
						 : from->operation;
}

static inline unsigned int blkif_segments(const union blkif_req *from)
{
	return from->operation == BLKIF_INDIRECT ? from->indirect.segments : from->rw.segments;
}

/* What each request begins with; it is in flight from now on. */
void blkif_begin(struct blkif_source *source, struct blk_request *request,
		 const union blkif_req *from);
/* All of it: @request is complete, or says what is wrong with @from. */
void blkif_take(struct blkif_source *source, struct blk_request *request,
		const union blkif_req *from);
/* The data alone, as if @from were a read or a write. */
void blkif_take_data(struct blkif_source *source, struct blk_request *request,
		     const union blkif_req *from, uint8_t operation);
/* In BLK_SECTORs; false: it does not lie within the disk. */
bool blkif_range_of(const struct blkif_source *source, const struct blkif_discard_req *from,
		    uint64_t *sector, uint64_t *sectors);
/* As much of that as one request can say. */
void blkif_set_ranges(struct blk_request *request, const struct blkif_discard_req *from,
		      uint64_t sector, uint64_t sectors);
/* Unpins all and makes it a request that fails. */
void blkif_malformed(struct blkif_source *source, struct blk_request *request);
void blkif_pages_put(struct blkif_source *source, struct blkif_slot *slot);

#endif
