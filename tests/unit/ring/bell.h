/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * How two threads at the ends of a ring wake each other.
 */
#ifndef PVKIT_TESTS_RING_BELL_H
#define PVKIT_TESTS_RING_BELL_H

#include <sched.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How a side waits that found nothing to do. */
enum waiting {
	SLEEP, /* asks to be woken, and reads its eventfd */
	NAP,   /* asks to be woken, and watches a word: so short that the races around it are met */
	SPIN,  /* asks for nothing, and looks again */
};

struct bell {
	enum waiting waiting;
	int fd;
	uint32_t rung;
};

static inline struct bell bell_new(enum waiting waiting)
{
	struct bell bell = {.waiting = waiting, .fd = eventfd(0, EFD_CLOEXEC)};

	assert_true(bell.fd >= 0);
	return bell;
}

static inline void bell_ring(struct bell *bell)
{
	uint64_t one = 1;

	/* Relaxed: what the ring publishes must not lean on the bell for its order. */
	if (bell->waiting == NAP)
		__atomic_store_n(&bell->rung, 1, __ATOMIC_RELAXED);
	else if (bell->waiting == SLEEP)
		assert_int_equal(write(bell->fd, &one, sizeof(one)), sizeof(one));
}

static inline void bell_wait(struct bell *bell)
{
	unsigned int patience = 0;
	uint64_t count;

	if (bell->waiting == SLEEP) {
		assert_int_equal(read(bell->fd, &count, sizeof(count)), sizeof(count));
		return;
	}
	/* The other side may wait for this CPU. */
	while (!__atomic_exchange_n(&bell->rung, 0, __ATOMIC_RELAXED))
		if (++patience % 1024 == 0)
			sched_yield();
}

#endif
