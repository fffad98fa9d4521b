/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Latencies in logarithmic buckets, 64 an octave: no bucket is wider than 1.6 % of its values.
 */
#ifndef PVKIT_TOOLS_LOAD_HISTOGRAM_H
#define PVKIT_TOOLS_LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_STEPS     (1U << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_TOP       40 /* 2^40 ns, 18 minutes: the last bucket takes all above */
#define HISTOGRAM_BUCKETS   ((HISTOGRAM_TOP - HISTOGRAM_STEP_BITS + 2) * HISTOGRAM_STEPS)

struct histogram {
	uint64_t count, sum, maximum;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline unsigned int histogram_index(uint64_t ns)
{
	unsigned int exponent, shift;

	if (ns < HISTOGRAM_STEPS)
		return ns;
	exponent = 63 - __builtin_clzll(ns);
	if (exponent > HISTOGRAM_TOP)
		return HISTOGRAM_BUCKETS - 1;
	shift = exponent - HISTOGRAM_STEP_BITS;
	return (shift + 1) * HISTOGRAM_STEPS + ((ns >> shift) & (HISTOGRAM_STEPS - 1));
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->bucket[histogram_index(ns)]++;
	histogram->count++;
	histogram->sum += ns;
	if (ns > histogram->maximum)
		histogram->maximum = ns;
}

void histogram_merge(struct histogram *sum, const struct histogram *other);
/* The latency that a share of @share (0..1) stayed under, in ns; 0 when nothing was counted. */
double histogram_percentile(const struct histogram *histogram, double share);

#endif
