/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * How long a queue looks for work before it sleeps.
 *
 * A sleep costs both sides: the peer a kick, which is a system call that wakes a thread, us the time
 * until that thread runs, some tens of microseconds. So a queue whose work comes at short
 * intervals does better to look for it; one whose work comes seldom would burn a CPU for nothing.
 * The budget follows a mean of the last intervals without work: within its limit it is twice the
 * mean, beyond it is nothing. Long intervals are clamped, so that one pause ends the polling and a
 * few short intervals bring it back.
 */
#ifndef PVKIT_BACKEND_POLL_H
#define PVKIT_BACKEND_POLL_H

#include <stdint.h>

#define POLL_LIMIT_NS 100000
#define POLL_CLAMP_NS (8 * POLL_LIMIT_NS)

struct poll_budget {
	int64_t fixed_ns; /* < 0: adaptive */
	uint64_t mean_ns; /* of the last intervals without work */
};

static inline void poll_init(struct poll_budget *poll, int64_t poll_us)
{
	poll->fixed_ns = poll_us < 0 ? -1 : poll_us * 1000;
	poll->mean_ns = POLL_CLAMP_NS;
}

static inline uint64_t poll_budget_ns(const struct poll_budget *poll)
{
	if (poll->fixed_ns >= 0)
		return poll->fixed_ns;
	if (poll->mean_ns >= POLL_LIMIT_NS)
		return 0;
	return 2 * poll->mean_ns < POLL_LIMIT_NS / 10 ? POLL_LIMIT_NS / 10
	       : 2 * poll->mean_ns < POLL_LIMIT_NS    ? 2 * poll->mean_ns
						      : POLL_LIMIT_NS;
}

/* Work came after @idle_ns without any. */
static inline void poll_learn(struct poll_budget *poll, uint64_t idle_ns)
{
	if (idle_ns > POLL_CLAMP_NS)
		idle_ns = POLL_CLAMP_NS;
	poll->mean_ns = (poll->mean_ns * 7 + idle_ns) / 8;
}

/*
 * Kicks that bring nothing. Now and then one is late, its request being found already; but a peer that
 * kicks for ever, or whose descriptor is readable for ever, would keep a CPU of ours busy. Beyond what
 * chance explains, each one more makes us rest for longer, without a look at its kicks; the first
 * request that is found ends that.
 */
#define POLL_IDLE_SLEEPS_MAX 64
#define POLL_REST_STEP_US    100
#define POLL_REST_MAX_US     10000

/* @idle_sleeps: how many in a row ended without work. */
static inline unsigned int poll_rest_us(unsigned int idle_sleeps)
{
	if (idle_sleeps <= POLL_IDLE_SLEEPS_MAX)
		return 0;
	idle_sleeps -= POLL_IDLE_SLEEPS_MAX;
	return idle_sleeps < POLL_REST_MAX_US / POLL_REST_STEP_US ? idle_sleeps * POLL_REST_STEP_US
								  : POLL_REST_MAX_US;
}

#endif
