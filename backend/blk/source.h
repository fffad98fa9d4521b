/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Where a worker's requests come from: a ring of some family, in front of one worker.
 *
 * Everything here is called by the worker's thread only.
 */
#ifndef PVKIT_BACKEND_BLK_SOURCE_H
#define PVKIT_BACKEND_BLK_SOURCE_H

#include "backend/blk/request.h"

struct blk_source {
	const struct blk_source_ops *ops;
	bool broken; /* the peer broke the ring: fetch finds nothing any more */
};

struct blk_source_ops {
	/* Takes up to @max requests off the ring into requests[0 .. result), in their order. */
	unsigned int (*fetch)(struct blk_source *source, struct blk_request **requests,
			      unsigned int max);
	/* Writes the answers of requests that are over, not yet visible to the peer. */
	void (*complete)(struct blk_source *source, struct blk_request **requests,
			 unsigned int count);
	/* Makes the answers visible. */
	void (*publish)(struct blk_source *source);
	/* Interrupts the peer if it asked for that; true: it did. */
	bool (*interrupt)(struct blk_source *source);
	/* Whether requests wait, looking at the ring only. */
	bool (*has_work)(struct blk_source *source);
	/* Asks the peer for a kick at the next request. True: one is there already. */
	bool (*arm)(struct blk_source *source);
	void (*disarm)(struct blk_source *source);
	/* Clears a kick; true: there was one. */
	bool (*take_kick)(struct blk_source *source);
	/* Says that the ring is broken, to the user and to the peer. */
	void (*report_broken)(struct blk_source *source);
};

#endif
