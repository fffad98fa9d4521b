// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The worker between a source and a store that a test plays both: when it may sleep, when it must
 * not, and that it works for sources of any kind.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/blk/worker.h"
#include "common/log.h"

#define WAIT_MS 10000
#define KICKS   8

/* ---- a source ---------------------------------------------------------------------------------- */

struct test_source {
	struct blk_source base;
	_Atomic unsigned int waiting; /* requests that fetch will find */
	_Atomic unsigned int when_armed; /* come while the worker arms, without a kick */
	_Atomic unsigned int answered, published, interrupts;
	_Atomic bool armed;
	_Atomic int full; /* an eventfd that blocks whoever writes to it */
	_Atomic bool breaks; /* the next fetch finds the ring broken */
	_Atomic bool flood; /* the kick stays readable, whatever is taken */
	int kick;
};

static struct test_source source;

static unsigned int test_fetch(struct blk_source *base, struct blk_request **requests,
			       unsigned int max)
{
	unsigned int count;

	base->broken = source.breaks;
	for (count = 0; count < max && source.waiting; count++, source.waiting--) {
		requests[count]->op = BLK_FLUSH;
		requests[count]->bytes = 0;
	}
	return count;
}

static void test_complete(struct blk_source *base, struct blk_request **requests,
			  unsigned int count)
{
	source.answered += count;
}

static void test_publish(struct blk_source *base)
{
	source.published = source.answered;
}

static bool test_interrupt(struct blk_source *base)
{
	const uint64_t one = 1;

	source.interrupts++;
	return !source.full || write(source.full, &one, sizeof(one)) == sizeof(one);
}

static bool test_has_work(struct blk_source *base)
{
	return source.waiting;
}

static bool test_arm(struct blk_source *base)
{
	source.armed = true;
	source.waiting += source.when_armed;
	source.when_armed = 0;
	return source.waiting;
}

static void test_disarm(struct blk_source *base)
{
	source.armed = false;
}

static bool test_take_kick(struct blk_source *base)
{
	uint64_t count;

	if (source.flood)
		return true;
	return read(source.kick, &count, sizeof(count)) > 0;
}

static void test_report_broken(struct blk_source *base)
{
}

static const struct blk_source_ops test_ops = {
	.fetch = test_fetch,
	.complete = test_complete,
	.publish = test_publish,
	.interrupt = test_interrupt,
	.has_work = test_has_work,
	.arm = test_arm,
	.disarm = test_disarm,
	.take_kick = test_take_kick,
	.report_broken = test_report_broken,
};

/* ---- set-up ------------------------------------------------------------------------------------ */

static struct stats_queue stats;
static struct blk_worker_device device;
static struct blk_worker *worker;
static char path[] = "/tmp/pvkit-blk-XXXXXX";

static void start(const struct store_engine *engine, int64_t poll_us, bool kicks)
{
	struct store_image_options image = {.null_size = 1 << 20};
	struct blk_worker_options options = {
		.device = &device,
		.source = &source.base,
		.depth = 64,
		.stats = &stats,
	};

	memset(&stats, 0, sizeof(stats));
	memset(&source, 0, sizeof(source));
	source.base.ops = &test_ops;
	source.kick = eventfd(0, EFD_NONBLOCK);
	if (engine != &store_engine_null)
		image.path = path;
	options.kick = kicks ? source.kick : -1;
	device = (struct blk_worker_device){
		.image = store_image_open(&image), .engine = engine, .id = "", .poll_us = poll_us};
	worker = blk_worker_start(&options);
	assert_non_null(worker);
}

static void stop(void)
{
	blk_worker_stop(worker);
	store_image_close(device.image);
	close(source.kick);
}

static void wait_published(unsigned int count)
{
	int i;

	for (i = 0; i < WAIT_MS && source.published != count; i++)
		usleep(1000);
	assert_int_equal(source.published, count);
}

static void wait_asleep(void)
{
	int i;

	for (i = 0; i < WAIT_MS && !source.armed; i++)
		usleep(1000);
	assert_true(source.armed);
	usleep(5000);
}

static void kick(void)
{
	uint64_t one = 1;

	assert_int_equal(write(source.kick, &one, sizeof(one)), sizeof(one));
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void check_kicks(const struct store_engine *engine)
{
	unsigned int i;

	start(engine, 0, true);
	for (i = 1; i <= KICKS; i++) {
		wait_asleep();
		source.waiting = 5;
		kick();
		wait_published(5 * i);
	}
	stop();
	assert_int_equal(stats_read(&stats.kicks), KICKS);
	assert_int_equal(stats_read(&stats.errors), 0);
	if (engine == &store_engine_null) /* whose answers are all there at once */
		assert_int_equal(stats_read(&stats.interrupts), KICKS);
}

static void test_kicks_wake(void **state)
{
	check_kicks(&store_engine_null);
	check_kicks(&store_engine_threads);
	if (!store_engine_io_uring.probe())
		check_kicks(&store_engine_io_uring);
	if (!store_engine_libaio.probe())
		check_kicks(&store_engine_libaio);
}

/* What came between the last look and the arming will not be kicked for. */
static void test_no_sleep_over_work(void **state)
{
	start(&store_engine_null, 0, true);
	wait_asleep();
	source.when_armed = 1; /* seen at the next arming */
	source.waiting = 1;
	kick();
	wait_published(2);
	stop();
}

static void test_sleeps_when_idle(void **state)
{
	uint64_t sleeps;

	start(&store_engine_null, BLK_POLL_AUTO, true);
	wait_asleep();
	sleeps = stats_read(&stats.sleeps);
	usleep(200000);
	assert_int_equal(stats_read(&stats.sleeps), sleeps);
	assert_int_equal(stats_read(&stats.polls_miss), 0);
	stop();
}

static void test_polls_for_its_budget(void **state)
{
	start(&store_engine_null, 500000, true);
	usleep(5000);
	assert_false(source.armed);
	source.waiting = 1; /* found without a kick */
	wait_published(1);
	source.waiting = 1;
	wait_published(2);
	assert_true(stats_read(&stats.cpu_ns) > 0); /* also before the first sleep */
	stop();
	assert_int_equal(stats_read(&stats.kicks), 0);
	assert_in_range(stats_read(&stats.polls_hit), 1, 2);
}

/* A front-end that never kicks is looked at all the same, and ever less often. */
static void test_without_kicks(void **state)
{
	unsigned int i;

	start(&store_engine_null, BLK_POLL_AUTO, false);
	for (i = 1; i <= 10; i++) {
		usleep(5000);
		source.waiting = 3;
		wait_published(3 * i);
	}
	stop();
	assert_true(stats_read(&stats.sleeps) < 2000);
}

/* Kicks without end and without work cost no CPU; requests and the order to stop are heeded. */
static void test_flood_of_kicks(void **state)
{
	uint64_t sleeps;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		start(&store_engine_null, 0, true);
		source.flood = true;
		source.breaks = i; /* a peer goes on kicking a ring that it broke */
		kick();
		usleep(100000);
		sleeps = stats_read(&stats.sleeps);
		usleep(200000);
		assert_in_range(stats_read(&stats.sleeps) - sleeps, 1, 200);
		if (!i) {
			source.waiting = 10;
			wait_published(10);
		}
		stop();
	}
}

/* A peer that fills its call and makes it block holds its own queue, not whoever stops that. */
static void test_stop_ends_a_blocked_interrupt(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	int full = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(write(full, &most, sizeof(most)), sizeof(most));
	start(&store_engine_null, 0, true);
	source.full = full;
	source.waiting = 1;
	kick();
	wait_published(1);
	alarm(20); /* in place of a wait for ever */
	stop();
	alarm(0);
	close(full);
}

static void test_more_than_a_batch(void **state)
{
	start(&store_engine_threads, 0, true);
	wait_asleep();
	source.waiting = 1000; /* in turns: only 64 at a time are in flight */
	kick();
	wait_published(1000);
	stop();
	assert_int_equal(stats_read(&stats.requests[STATS_BLK_FLUSH]), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kicks_wake),
		cmocka_unit_test(test_no_sleep_over_work),
		cmocka_unit_test(test_sleeps_when_idle),
		cmocka_unit_test(test_polls_for_its_budget),
		cmocka_unit_test(test_without_kicks),
		cmocka_unit_test(test_flood_of_kicks),
		cmocka_unit_test(test_stop_ends_a_blocked_interrupt),
		cmocka_unit_test(test_more_than_a_batch),
	};

	int fd = mkstemp(path), failed;

	if (fd < 0 || ftruncate(fd, 1 << 20))
		return 1;
	close(fd);
	log_open("worker", false);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
