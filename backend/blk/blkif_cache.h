/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Persistent grants: pins of one queue that outlive their request.
 *
 * A front-end that agreed to it uses the same pages again and again, so what was pinned once stays so
 * and a request costs a look-up in place of two locked instructions in memory that others share.
 * There is a limit; beyond it the page that was not used for longest goes, by the second-chance clock,
 * and where that finds none the caller pins for its request alone. One thread.
 */
#ifndef PVKIT_BACKEND_BLK_BLKIF_CACHE_H
#define PVKIT_BACKEND_BLK_BLKIF_CACHE_H

#include "backend/host/host.h"

/* Pages of one queue: a ring of 128 requests of 128 KiB each. */
#define BLKIF_CACHE_MAX  4096
#define BLKIF_CACHE_NONE UINT32_MAX

struct blkif_cache_entry {
	struct host_pin pin; /* for writing, so that it serves both directions */
	uint32_t users;
	uint32_t next; /* in its bucket */
	bool recent;
};

struct blkif_cache {
	struct host *host;
	uint32_t size; /* 0: no persistent grants */
	uint32_t count;
	uint32_t hand;
	struct blkif_cache_entry *entries;
	uint32_t *buckets;
};

/* @size: entries at most. 0 or -ENOMEM. */
int blkif_cache_open(struct blkif_cache *cache, struct host *host, uint32_t size);
/* Unpins all; nobody uses any. */
void blkif_cache_close(struct blkif_cache *cache);

/*
 * The entry that holds @reference, its page in *page, until blkif_cache_put(). BLKIF_CACHE_NONE: it is
 * not to be had for writing, or there is no room.
 */
uint32_t blkif_cache_get(struct blkif_cache *cache, uint32_t reference, void **page);
void blkif_cache_put(struct blkif_cache *cache, uint32_t entry);

#endif
