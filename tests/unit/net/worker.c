// SPDX-License-Identifier: MIT OR GPL-2.0
/* A worker whose guest sends without end, and gives it no buffers to receive into. */
#include "test_link.h"

#include <time.h>

#include "backend/net/worker.h"
#include "common/stats.h"

#define WAIT_MS 10000

static _Atomic unsigned int made_do;

static unsigned int burst_busy(struct net_worker *worker)
{
	return 1;
}

static bool arm_never(struct net_worker *worker)
{
	return false;
}

static void disarm(struct net_worker *worker)
{
}

static void wait_starving(struct net_worker *worker, struct net_wait *wait)
{
	wait->starving = wait->staged = !made_do;
}

static void take_kick(struct net_worker *worker, enum net_side side)
{
}

static void make_do(struct net_worker *worker)
{
	made_do++;
}

static const struct net_pair_ops busy_ops = {
	.burst = burst_busy,
	.arm = arm_never,
	.disarm = disarm,
	.wait = wait_starving,
	.take_kick = take_kick,
	.make_do = make_do,
};

static void test_busy_starving(void **state)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	struct test_link *link = test_link_open(1);
	struct net_worker worker = {.wake = -1};
	struct stats_page *stats;

	setenv("PVKIT_STATS_DIR", "/tmp", 0);
	stats = stats_open("test-worker", STATS_DEVICE_NET, "test", 2);
	net_worker_init(&worker, &busy_ops, &link->link, 0, stats);
	assert_int_equal(net_worker_open(&worker, -1), 0);
	for (int waited = 0; waited < WAIT_MS && !made_do; waited++)
		nanosleep(&ms, NULL);
	net_worker_close(&worker);
	assert_int_equal(made_do, 1);
	stats_close(stats);
	test_link_close(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_busy_starving)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
