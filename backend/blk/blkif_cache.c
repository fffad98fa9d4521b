// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "backend/blk/blkif_cache.h"

#define BUCKETS 4096 /* a power of two */

/* What one miss may cost when all are in use. */
#define CLOCK_STEPS 32

static uint32_t *bucket_of(struct blkif_cache *cache, uint32_t reference)
{
	return &cache->buckets[reference * 2654435761U >> 20 & (BUCKETS - 1)];
}

int blkif_cache_open(struct blkif_cache *cache, struct host *host, uint32_t size)
{
	unsigned int i;

	*cache = (struct blkif_cache){.host = host, .size = size};
	if (!size)
		return 0;
	cache->entries = calloc(size, sizeof(*cache->entries));
	cache->buckets = malloc(BUCKETS * sizeof(*cache->buckets));
	if (!cache->entries || !cache->buckets) {
		cache->size = 0;
		blkif_cache_close(cache);
		return -ENOMEM;
	}
	for (i = 0; i < BUCKETS; i++)
		cache->buckets[i] = BLKIF_CACHE_NONE;
	return 0;
}

void blkif_cache_close(struct blkif_cache *cache)
{
	uint32_t i;

	for (i = 0; i < cache->count; i++)
		host_unpin(cache->host, &cache->entries[i].pin);
	free(cache->entries);
	free(cache->buckets);
	*cache = (struct blkif_cache){.host = cache->host};
}

static void unlink_entry(struct blkif_cache *cache, uint32_t entry)
{
	uint32_t *link = bucket_of(cache, cache->entries[entry].pin.reference);

	while (*link != entry)
		link = &cache->entries[*link].next;
	*link = cache->entries[entry].next;
}

/* An entry that is pinned no more and in no bucket. */
static uint32_t make_room(struct blkif_cache *cache)
{
	struct blkif_cache_entry *entry;
	unsigned int step;
	uint32_t at;

	if (cache->count < cache->size)
		return cache->count++;
	for (step = 0; step < CLOCK_STEPS; step++) {
		at = cache->hand;
		cache->hand = at + 1 < cache->size ? at + 1 : 0;
		entry = &cache->entries[at];
		if (entry->users)
			continue;
		if (entry->recent) {
			entry->recent = false;
			continue;
		}
		unlink_entry(cache, at);
		host_unpin(cache->host, &entry->pin);
		return at;
	}
	return BLKIF_CACHE_NONE;
}

static uint32_t add(struct blkif_cache *cache, uint32_t reference)
{
	struct host_pin pin = {.reference = reference, .write = true};
	struct blkif_cache_entry *entry;
	uint32_t at, *bucket;

	if (host_pin(cache->host, &pin))
		return BLKIF_CACHE_NONE;
	at = make_room(cache);
	if (at == BLKIF_CACHE_NONE) {
		host_unpin(cache->host, &pin);
		return at;
	}
	bucket = bucket_of(cache, reference);
	entry = &cache->entries[at];
	*entry = (struct blkif_cache_entry){.pin = pin, .next = *bucket};
	*bucket = at;
	return at;
}

uint32_t blkif_cache_get(struct blkif_cache *cache, uint32_t reference, void **page)
{
	struct blkif_cache_entry *entry;
	uint32_t at;

	if (!cache->size)
		return BLKIF_CACHE_NONE;
	for (at = *bucket_of(cache, reference); at != BLKIF_CACHE_NONE;
	     at = cache->entries[at].next)
		if (cache->entries[at].pin.reference == reference)
			break;
	if (at == BLKIF_CACHE_NONE)
		at = add(cache, reference);
	if (at == BLKIF_CACHE_NONE)
		return at;
	entry = &cache->entries[at];
	entry->users++;
	entry->recent = true;
	*page = entry->pin.page;
	return at;
}

void blkif_cache_put(struct blkif_cache *cache, uint32_t entry)
{
	cache->entries[entry].users--;
}
