// SPDX-License-Identifier: GPL-2.0
/*
 * Ends of a disk, and of its back-ends. Catalogue: F51 (a back-end that is gone), F53 (responses
 * while the guest suspends).
 */
#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/kthread.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/blk_disk.h"
#include "tests/kunit/fake.h"

/* ---- ends ------------------------------------------------------------------------------------ */

static void unplugged(struct kunit *test)
{
	plug(test, &everything, false);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_WRITE, 0, 0, 4096), 0);
	backend_unplug();
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
	KUNIT_EXPECT_NULL(test, pvd_of()->disk);
	KUNIT_EXPECT_NULL(test, pvd_of()->queue);
	/* And plugged anew. */
	fake_store_set(BACKEND_BACK "/online", "1");
	backend_replace();
	EVENTUALLY(test, shown());
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 4096), 0);
}

/* In order, under I/O: what is out is finished first. */
static void unplugged_under_io(struct kunit *test)
{
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	backend_unplug();
	msleep(100);
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CONNECTED));
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

static void vanished_under_io(struct kunit *test)
{
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	backend_vanish();
	expect_all(test, io, 10, -EIO);
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

/* The driver goes while the back-end is silent: it has its time, no more. */
static void removed_from_the_silent(struct kunit *test)
{
	static struct io io[10];
	unsigned long since;

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	pvd_close_timeout = 1;
	since = jiffies;
	unregister();
	pvd_close_timeout = 30;
	KUNIT_EXPECT_LT(test, jiffies - since, 12UL * HZ);
	expect_all(test, io, 10, -EIO);
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CLOSED));
}

static int io_thread(void *context)
{
	struct kunit *test = context;
	static struct io io;

	while (!kthread_should_stop()) {
		io_start(&io, REQ_OP_READ, 8, 0, 4096);
		if (io_wait(&io)) {
			KUNIT_EXPECT_EQ(test, io.error, -EIO);
			break;
		}
	}
	while (!kthread_should_stop())
		msleep(10);
	return 0;
}

static void reloads(struct kunit *test)
{
	struct task_struct *thread;
	int i;

	plug(test, &everything, false);
	for (i = 0; i < 20; i++) {
		struct gendisk *held = disk();

		get_device(disk_to_dev(held));
		thread = kthread_run(io_thread, test, "io");
		msleep(i);
		kthread_stop(thread);
		unregister();
		KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CLOSED));
		put_device(disk_to_dev(held));
		KUNIT_ASSERT_EQ(test, __pvkit_driver_register(&pvd_driver, NULL), 0);
		ours.registered = true;
		EVENTUALLY(test, shown());
	}
	KUNIT_EXPECT_EQ(test, backend.connections, 21U);
	KUNIT_EXPECT_EQ(test, backend.faults, 0U);
}

/* ---- the disk stays, the back-end does not --------------------------------------------------- */

static void replaced(struct kunit *test)
{
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	/* Other queues, other rings; no pool before, one now. */
	backend.offer.ring_page_order = 0;
	backend.offer.persistent = true;
	pvd_parameters.persistent = true;
	backend_replace();
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	KUNIT_EXPECT_FALSE(test, pvd_of()->quiesced);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.persistent);
	write_and_read_back(test);
}

/*
 * The old back-end had begun, and still holds pages: they are sent anew under other references.
 */
static void replaced_after_death(struct kunit *test)
{
	struct pvkit_grants_count count;
	static struct io io[10];

	plug(test, &everything, false);
	backend.reads = 0;
	backend.mood = BACKEND_DIES;
	start_some(io, 10);
	EVENTUALLY(test, backend.reads + backend.writes == 10);
	backend_replace();
	EVENTUALLY(test, backend.connections == 2);
	/* Its successor had the mood to take them, too. */
	backend_replace();
	EVENTUALLY(test, backend.connections == 3);
	pvkit_grants_count(&count);
	KUNIT_EXPECT_GT(test, count.waiting, 0U);
	backend.mood = BACKEND_SILENT;
	backend_replace();
	EVENTUALLY(test, backend.connections == 4);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	KUNIT_EXPECT_FALSE(test, test_bit(PVD_RETIRED, &pvd_of()->flags));
	write_and_read_back(test);
	backend_forgive();
	EVENTUALLY(test, (pvkit_grants_count(&count), !count.waiting));
}

/* A store that fails says nothing of the back-end; the disk goes on. */
static void store_fails(struct kunit *test)
{
	plug(test, &everything, false);
	fake_store_fail(BACKEND_BACK "/state");
	fake_store_set(BACKEND_BACK "/state", "4");
	msleep(100);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 4096), 0);
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CONNECTED));
	/* Nor does it end badly what ends in order. */
	unregister();
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CLOSED));
	fake_store_fail(NULL);
}

static void store_fails_an_offer(struct kunit *test, const char *key)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	fake_store_fail(key);
	backend_replace();
	msleep(200);
	KUNIT_EXPECT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	fake_store_fail(NULL);
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 4, 0);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.flush && pvd_of()->terms.barrier);
}

static void store_fails_the_terms(struct kunit *test)
{
	store_fails_an_offer(test, BACKEND_BACK "/feature-barrier");
}

static void store_fails_the_disk(struct kunit *test)
{
	store_fails_an_offer(test, BACKEND_BACK "/sectors");
}

/* A write that fails in a takeover costs time, not the disk. */
static void store_fails_a_write(struct kunit *test, const char *key)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	fake_store_refuse(key, STORE_EIO);
	backend_replace();
	msleep(200);
	KUNIT_EXPECT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	fake_store_refuse(NULL, NULL);
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 4, 0);
}

static void store_fails_the_rings(struct kunit *test)
{
	store_fails_a_write(test, BACKEND_FRONT "/" STORE_KEY_PROTOCOL);
}

static void store_fails_the_state(struct kunit *test)
{
	store_fails_a_write(test, BACKEND_FRONT "/" STORE_KEY_STATE);
}

/* Nor do others who write all the time. */
static void store_is_contended(struct kunit *test)
{
	plug(test, &everything, false);
	fake_store_conflicts(1000);
	backend_replace();
	msleep(200);
	KUNIT_EXPECT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	fake_store_conflicts(0);
	EVENTUALLY(test, backend.connections == 2);
	write_and_read_back(test);
}

/* A quota will not go away: the device closes in order, and says why. */
static void store_is_full(struct kunit *test)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	fake_store_refuse(BACKEND_FRONT "/" STORE_KEY_PROTOCOL, STORE_ENOSPC);
	backend_replace();
	EVENTUALLY(test, front_is(STORE_STATE_CLOSING));
	fake_store_set(BACKEND_BACK "/state", "6");
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
	KUNIT_ASSERT_NOT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(fake_store_get(BACKEND_FRONT "/error"), "queues="));
	expect_all(test, io, 4, -EIO);
	KUNIT_EXPECT_NULL(test, pvd_of()->queue);
	fake_store_refuse(NULL, NULL);
}

static void replaced_by_less(struct kunit *test)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	backend.offer.indirect = 0;
	backend_replace();
	EVENTUALLY(test, fake_store_get(BACKEND_FRONT "/error"));
	/* Nobody will serve these; an administrator ends it. */
	backend_vanish();
	expect_all(test, io, 4, -EIO);
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

/* As the bus does it; the caller has the device's lock. */
static void go_to_sleep(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, pvkit_bus_suspend(&ours.device->dev), 0);
	/* By the resume its port may be another device's. */
	KUNIT_EXPECT_EQ(test, pvd_of()->queue[0].event.port, 0U);
}

static void awake(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, pvkit_bus_resume(&ours.device->dev), 0);
}

static void sleeps_and_wakes(struct kunit *test)
{
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	device_lock(&ours.device->dev);
	go_to_sleep(test);
	awake(test);
	device_unlock(&ours.device->dev);
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	write_and_read_back(test);
}

/*
 * All that was out is answered while nobody listens, to rings and a port that are given up: it
 * ends once, by its second answer.
 */
static void answers_while_asleep(struct kunit *test)
{
	unsigned int done = 0, i;
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	EVENTUALLY(test, backend_waiting() == 10);
	backend.reads = 0;
	backend.writes = 0;
	device_lock(&ours.device->dev);
	KUNIT_EXPECT_EQ(test, pvd_suspend(ours.device), 0);
	backend.mood = BACKEND_GOOD;
	EVENTUALLY(test, backend.reads + backend.writes == 10);
	msleep(20);
	for (i = 0; i < 10; i++)
		done += completion_done(&io[i].done);
	KUNIT_EXPECT_EQ(test, done, 0U);
	go_to_sleep(test);
	awake(test);
	device_unlock(&ours.device->dev);
	EVENTUALLY(test, backend.connections == 2);
	expect_all(test, io, 10, 0);
	KUNIT_EXPECT_EQ(test, backend.reads + backend.writes, 20U);
	KUNIT_EXPECT_EQ(test, pvd_of()->queue[0].out, 0U);
	write_and_read_back(test);
}

/* Whenever it is put to sleep, some are out, some are being answered, some have just ended. */
static void sleeps_under_io(struct kunit *test)
{
	struct task_struct *thread;
	unsigned int i;

	plug(test, &everything, false);
	thread = kthread_run(io_thread, test, "io");
	for (i = 0; i < 20; i++) {
		device_lock(&ours.device->dev);
		go_to_sleep(test);
		/* The host has it let go before the guest wakes. */
		EVENTUALLY(test, !READ_ONCE(backend.queues));
		awake(test);
		device_unlock(&ours.device->dev);
		EVENTUALLY(test, backend.connections == i + 2);
		backend.reads = 0;
		EVENTUALLY(test, backend.reads > i % 4);
	}
	kthread_stop(thread);
	KUNIT_EXPECT_EQ(test, backend.faults, 0U);
	write_and_read_back(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(unplugged),
	KUNIT_CASE(unplugged_under_io),
	KUNIT_CASE(vanished_under_io),
	KUNIT_CASE(removed_from_the_silent),
	KUNIT_CASE(reloads),
	KUNIT_CASE(replaced),
	KUNIT_CASE(replaced_after_death),
	KUNIT_CASE(store_fails),
	KUNIT_CASE(store_fails_the_terms),
	KUNIT_CASE(store_fails_the_disk),
	KUNIT_CASE(store_fails_the_rings),
	KUNIT_CASE(store_fails_the_state),
	KUNIT_CASE(store_is_contended),
	KUNIT_CASE(store_is_full),
	KUNIT_CASE(replaced_by_less),
	KUNIT_CASE(sleeps_and_wakes),
	KUNIT_CASE(answers_while_asleep),
	KUNIT_CASE(sleeps_under_io),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_blk_life",
	.init = blk_init,
	.exit = blk_leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
