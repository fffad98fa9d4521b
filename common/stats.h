/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The writer's side of the statistics page (abi/stats.h): one page a daemon, one entry a queue.
 */
#ifndef PVKIT_COMMON_STATS_H
#define PVKIT_COMMON_STATS_H

#include "abi/stats.h"

struct stats_page;

/*
 * Makes the page. Never fails the daemon: where no file can be made, counters go to private memory
 * and one line on standard error says so.
 */
struct stats_page *stats_open(const char *program, enum stats_device device, const char *object,
			      unsigned int queues_max);
struct stats_queue *stats_queue(struct stats_page *page, unsigned int index);
void stats_close(struct stats_page *page); /* removes the file */

/* Where the pages of this host lie, as the readers look for them: see abi/stats.h. */
const char *stats_directory(void);

/* Only the entry's own thread adds: a relaxed load and store, no locked instruction. */
static inline void stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline uint64_t stats_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline unsigned int stats_latency_bucket(uint64_t ns)
{
	unsigned int exponent;

	if (ns < 256)
		return 0;
	exponent = 63 - __builtin_clzll(ns);
	if (exponent >= 40)
		return STATS_LATENCY_BUCKETS - 1;
	return (exponent - 8) * 4 + ((ns >> (exponent - 2)) & 3);
}

static inline unsigned int stats_batch_bucket(uint64_t n)
{
	unsigned int k = n ? 63 - __builtin_clzll(n) : 0;

	return k < STATS_BATCH_BUCKETS ? k : STATS_BATCH_BUCKETS - 1;
}

/* The lower bound of a latency bucket, in ns. */
static inline uint64_t stats_latency_floor(unsigned int bucket)
{
	unsigned int exponent = bucket / 4 + 8;

	return (1ULL << exponent) + (uint64_t)(bucket % 4) * (1ULL << (exponent - 2));
}

#endif
