// SPDX-License-Identifier: MIT OR GPL-2.0
#include "tools/load/histogram.h"

void histogram_merge(struct histogram *sum, const struct histogram *other)
{
	unsigned int i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->bucket[i] += other->bucket[i];
	sum->count += other->count;
	sum->sum += other->sum;
	if (other->maximum > sum->maximum)
		sum->maximum = other->maximum;
}

static double histogram_floor(unsigned int index)
{
	unsigned int octave = index / HISTOGRAM_STEPS, step = index % HISTOGRAM_STEPS;

	if (!octave)
		return step;
	return (double)((uint64_t)(HISTOGRAM_STEPS + step) << (octave - 1));
}

double histogram_percentile(const struct histogram *histogram, double share)
{
	double wanted = share * (double)histogram->count, below = 0;
	unsigned int i;

	for (i = 0; i < HISTOGRAM_BUCKETS && histogram->count; i++) {
		double here = (double)histogram->bucket[i], value;

		if (here && below + here >= wanted) {
			value = histogram_floor(i) + (histogram_floor(i + 1) - histogram_floor(i)) *
							     (wanted - below) / here;
			return value < (double)histogram->maximum ? value
								  : (double)histogram->maximum;
		}
		below += here;
	}
	return 0;
}
