// SPDX-License-Identifier: MIT OR GPL-2.0
#include "tools/top/rates.h"

#include "common/stats.h"

static uint64_t rise(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

double rates_percentile(const uint64_t *counts, double share)
{
	double total = 0, below = 0, wanted;
	unsigned int i;

	for (i = 0; i < STATS_LATENCY_BUCKETS; i++)
		total += counts[i];
	wanted = total * share;
	for (i = 0; i < STATS_LATENCY_BUCKETS && total > 0; i++) {
		double floor = i ? stats_latency_floor(i) : 0, ceiling = stats_latency_floor(i + 1);

		if (counts[i] && below + counts[i] >= wanted)
			return floor + (ceiling - floor) * (wanted - below) / counts[i];
		below += counts[i];
	}
	return 0;
}

/* Requests that passed in one publication, by the mean. */
static double mean_batch(const uint64_t *before, const uint64_t *now, double requests)
{
	double batches = 0;
	unsigned int i;

	for (i = 0; i < STATS_BATCH_BUCKETS; i++)
		batches += rise(before[i], now[i]);
	return batches > 0 ? requests / batches : 0;
}

/* Kinds that count a request once; a GSO frame is a frame already. */
static double requests_between(const struct stats_queue *before, const struct stats_queue *now,
			       uint32_t device)
{
	double sum = 0;
	unsigned int i;

	for (i = 0; i < STATS_KINDS; i++)
		if (device != STATS_DEVICE_NET || i != STATS_NET_GSO)
			sum += rise(before->requests[i], now->requests[i]);
	return sum;
}

struct rates rates_of(const struct stats_queue *before, const struct stats_queue *now,
		      uint32_t device, double seconds)
{
	static const struct stats_queue zero;
	uint64_t latency[STATS_LATENCY_BUCKETS];
	struct rates rates = {.seconds = seconds > 0 ? seconds : 1};
	double hit, miss;
	unsigned int i;

	if (!before)
		before = &zero;
#define RATE(field) ((double)rise(before->field, now->field) / rates.seconds)
	rates.requests = requests_between(before, now, device) / rates.seconds;
	rates.bytes = RATE(bytes_in) + RATE(bytes_out);
	rates.errors = RATE(errors);
	rates.dropped = RATE(dropped);
	rates.broken = RATE(broken);
	rates.kicks = RATE(kicks);
	rates.interrupts = RATE(interrupts);
	rates.suppressed = RATE(interrupts_suppressed);
	rates.cpu = RATE(cpu_ns) / 1e9;
	hit = RATE(polls_hit);
	miss = RATE(polls_miss);
#undef RATE
	rates.polls_hit = hit + miss > 0 ? hit / (hit + miss) : 0;
	rates.batch = mean_batch(before->batch, now->batch, rates.requests * rates.seconds);
	for (i = 0; i < STATS_LATENCY_BUCKETS; i++)
		latency[i] = rise(before->latency[i], now->latency[i]);
	rates.p50_us = rates_percentile(latency, 0.50) / 1000;
	rates.p99_us = rates_percentile(latency, 0.99) / 1000;
	return rates;
}
