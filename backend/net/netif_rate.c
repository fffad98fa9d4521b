// SPDX-License-Identifier: MIT OR GPL-2.0
#include "backend/net/netif_rate.h"

#include <time.h>

#define COST_SHIFT 16

/* Digits up to @end, which may be the text's own. */
static const char *parse_number(const char *text, char end, uint64_t max, uint64_t *value)
{
	*value = 0;
	if (*text == end)
		return NULL;
	for (; *text != end; text++) {
		if (*text < '0' || *text > '9')
			return NULL;
		*value = *value * 10 + (*text - '0'); /* max is far from where it would wrap */
		if (*value > max)
			return NULL;
	}
	return text;
}

bool netif_rate_parse(const char *text, uint64_t *bytes, uint64_t *us)
{
	text = parse_number(text, ',', NETIF_RATE_BYTES_MAX, bytes);
	return text && parse_number(text + 1, '\0', NETIF_RATE_US_MAX, us) && (*bytes || !*us);
}

/*
 * A worker may see some of the new values and some of the old ones for a moment: a frame goes earlier
 * or later once. Nothing worse comes of it, for ->cost alone decides whether there is a limit, and what
 * was spent at the old one's cost is a burst of the new one at most. It stays spent: a guest that connects
 * again has this set again, and would have a burst each time.
 */
void netif_rate_set(struct netif_rate *rate, uint64_t bytes, uint64_t us)
{
	uint64_t cost = us ? (uint64_t)(((unsigned __int128)us * 1000 << COST_SHIFT) / bytes) : 0;
	uint64_t burst = bytes > NETIF_RATE_BURST_MIN ? bytes : NETIF_RATE_BURST_MIN;

	atomic_store(&rate->burst_ns, (uint64_t)((unsigned __int128)burst * cost >> COST_SHIFT));
	atomic_store(&rate->cost, cost);
}

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

uint64_t netif_rate_take(struct netif_rate *rate, uint32_t bytes)
{
	uint64_t cost = atomic_load_explicit(&rate->cost, memory_order_relaxed);
	uint64_t needed, burst, now, whole_at, next;

	if (!cost)
		return 0;
	burst = atomic_load_explicit(&rate->burst_ns, memory_order_relaxed);
	needed = (uint64_t)((unsigned __int128)bytes * cost >> COST_SHIFT);
	if (needed > burst)
		needed = burst; /* it is being set */
	now = now_ns();
	/* Relaxed: the word says nothing of any other memory. */
	whole_at = atomic_load_explicit(&rate->whole_at, memory_order_relaxed);
	do {
		next = whole_at > now ? whole_at : now;
		if (next > now + burst)
			next = now + burst; /* spent under another limit */
		next += needed;
		if (next > now + burst)
			return next - now - burst;
	} while (!atomic_compare_exchange_weak_explicit(
		&rate->whole_at, &whole_at, next, memory_order_relaxed, memory_order_relaxed));
	return 0;
}
