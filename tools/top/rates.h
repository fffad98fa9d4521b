/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What happened on a queue between two readings of its counters.
 */
#ifndef PVKIT_TOOLS_TOP_RATES_H
#define PVKIT_TOOLS_TOP_RATES_H

#include <stdint.h>

#include "tools/top/page.h"

struct rates {
	double seconds;
	double requests, bytes, errors; /* a second */
	double kicks, interrupts, suppressed;
	double batch;	 /* mean size */
	double polls_hit; /* share of the polling rounds, 0..1 */
	double cpu;	 /* share of one CPU, 0..1 */
	double p50_us, p99_us;
	double dropped, broken;
};

/*
 * @before may be NULL: then it is the mean since the daemon started. A counter that fell (a page that
 * lies) counts as unchanged.
 */
struct rates rates_of(const struct stats_queue *before, const struct stats_queue *now,
		      uint32_t device, double seconds);

/* The latency in ns under which a share of @share of the @counts lies; 0 when there are none. */
double rates_percentile(const uint64_t *counts, double share);

#endif
