/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The thread of one queue, between a source of requests and a queue on the store.
 */
#ifndef PVKIT_BACKEND_BLK_WORKER_H
#define PVKIT_BACKEND_BLK_WORKER_H

#include "backend/blk/source.h"
#include "common/stats.h"

#define BLK_POLL_AUTO (-1)

struct blk_worker;

/* What all workers of a device have in common; lives longer than they. */
struct blk_worker_device {
	struct store_image *image;
	const struct store_engine *engine;
	const char *id; /* 20 bytes, for GET_ID */
	int64_t poll_us; /* BLK_POLL_AUTO, or how long to look before each sleep */
	bool register_memory;
	_Atomic bool write_through; /* may change while workers run */
};

struct blk_worker_options {
	struct blk_worker_device *device;
	struct blk_source *source;
	unsigned int index;
	unsigned int depth; /* most requests in flight */
	int kick; /* readable when the peer kicked; -1: it never does */
	const struct guest_memory *memory;
	struct stats_queue *stats;
};

/* NULL with errno set. From now on the source belongs to the worker's thread. */
struct blk_worker *blk_worker_start(const struct blk_worker_options *options);

/* Returns when all that was fetched is answered and published, and the thread is gone. */
void blk_worker_stop(struct blk_worker *worker);

#endif
