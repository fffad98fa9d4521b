/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Blkif requests: from slots of a Xen ring to struct blk_request and back.
 */
#ifndef PVKIT_BACKEND_BLK_BLKIF_SOURCE_H
#define PVKIT_BACKEND_BLK_BLKIF_SOURCE_H

#include "abi/blkif.h"
#include "backend/blk/blkif_cache.h"
#include "backend/blk/source.h"
#include "backend/transport/xen.h"

/* Segments of a request that we take: what we offer for indirect ones. */
#define BLKIF_SOURCE_SEGMENTS 128
_Static_assert(BLKIF_SOURCE_SEGMENTS <= BLK_IOV_MAX, "each segment may be a piece of its own");
_Static_assert(BLKIF_SOURCE_SEGMENTS <= BLKIF_SEGMENTS_PER_PAGE, "one indirect page holds them");

/* A page under a request: from the cache, or pinned for it alone. */
struct blkif_page {
	uint32_t cached; /* BLKIF_CACHE_NONE: ->pin is its own */
	struct host_pin pin;
};

/* What is remembered of a request beside the worker's struct blk_request; by its io.slot. */
struct blkif_slot {
	uint64_t id;
	uint8_t operation; /* as the answer repeats it: the real one of an indirect request */
	bool step; /* of ->sequence */
	uint16_t page_count;
	struct blkif_page pages[BLKIF_SOURCE_SEGMENTS];
};

/*
 * A request that takes several steps, alone in the queue: all before it is over when it begins, and
 * nothing after it is taken before it ends. That is what a barrier asks for; the others (a flush that
 * carries a write, a range longer than one blk_request can say) are rare enough for the same.
 */
struct blkif_sequence {
	bool active;
	union blkif_req request; /* the one copy */
	uint8_t step, steps; /* the next, how many; a range has as many as it needs */
	uint64_t done; /* sectors of a range */
};

struct blkif_source_options {
	const struct xen_device *device;
	struct xen_queue *queue;
	const struct store_image *image;
	bool persistent, write_zeroes;
	uint32_t unit; /* bytes of a sector in requests: 512, or the disk's */
};

struct blkif_source {
	struct blk_source base;
	struct blkif_source_options options;
	struct xen_back back;
	struct blkif_cache cache;
	struct blkif_slot *slots;
	unsigned int in_flight; /* fetched, not answered */
	bool draining; /* what waits at the head of the ring must be alone */
	struct blkif_sequence sequence;
};

/* 0 or -errno: -EINVAL where the ring is impossible. */
int blkif_source_open(struct blkif_source *source, const struct blkif_source_options *options);
/* The worker is gone. Unpins all; leaves the queue's position where the next owner begins. */
void blkif_source_close(struct blkif_source *source);

/* Requests in flight at most. */
static inline uint32_t blkif_source_depth(const struct blkif_source *source)
{
	return source->back.ring.size;
}

#endif
