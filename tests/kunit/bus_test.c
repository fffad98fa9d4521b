// SPDX-License-Identifier: GPL-2.0
/*
 * The bus: from directories of the store to drivers. Catalogue: D43 (a key that is rewritten
 * endlessly), and names that make no device.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/sched.h>

#include "guest-kernel-module/bus.h"
#include "guest-kernel-module/pvkit.h"
#include "tests/kunit/fake.h"

#define FRONT "/local/domain/1/device/vbd/768"
#define BACK  "/local/domain/0/backend/vbd/1/768"

static struct {
	struct pvkit_device *device;
	unsigned int probes, removes, changes, events, suspends, resumes;
	enum store_state last;
	bool busy, overlap;
	bool reclaims; /* could wait for I/O when it wants memory */
	bool refuse;
	unsigned int slow; /* ms of a callback */
	struct pvkit_watch watch;
	bool close_in_callback;
} seen;

static void enter(void)
{
	if (seen.busy)
		seen.overlap = true;
	seen.busy = true;
	if (seen.slow)
		msleep(seen.slow);
}

static void watched(struct pvkit_watch *watch, const char *path)
{
	enter();
	seen.events++;
	if (seen.close_in_callback)
		pvkit_watch_close(watch);
	seen.busy = false;
}

static int probe(struct pvkit_device *device)
{
	int error = 0;

	enter();
	seen.probes++;
	seen.device = device;
	if (seen.refuse)
		error = -ENODEV;
	else
		error = pvkit_watch_open(device, &seen.watch, device->backend, "sectors", watched);
	seen.busy = false;
	return error;
}

static void remove(struct pvkit_device *device)
{
	enter();
	pvkit_watch_close(&seen.watch);
	seen.removes++;
	seen.device = NULL;
	seen.busy = false;
}

static void backend_changed(struct pvkit_device *device, enum store_state state)
{
	enter();
	seen.reclaims |= !(current->flags & PF_MEMALLOC_NOIO);
	seen.changes++;
	seen.last = state;
	if (state == STORE_STATE_INIT_WAIT)
		pvkit_device_switch(device, STORE_STATE_INITIALISED);
	if (state == STORE_STATE_CONNECTED)
		pvkit_device_switch(device, STORE_STATE_CONNECTED);
	seen.busy = false;
}

static int suspend(struct pvkit_device *device)
{
	seen.reclaims |= !(current->flags & PF_MEMALLOC_NOIO);
	seen.suspends++;
	return 0;
}

static int resume(struct pvkit_device *device)
{
	seen.reclaims |= !(current->flags & PF_MEMALLOC_NOIO);
	seen.resumes++;
	return 0;
}

static struct pvkit_driver driver = {
	.class = "vbd",
	.driver.name = "kunit_blk",
	.probe = probe,
	.remove = remove,
	.backend_changed = backend_changed,
	.suspend = suspend,
	.resume = resume,
};

/* Waits for a condition that a worker brings about. */
#define EVENTUALLY(test, condition)                                                                \
	do {                                                                                       \
		int tries;                                                                         \
		for (tries = 0; tries < 1500 && !(condition); tries++)                              \
			msleep(10);                                                                \
		KUNIT_EXPECT_TRUE(test, condition);                                                \
	} while (0)

static bool state_is(const char *directory, const char *wanted)
{
	char path[64];
	const char *value;

	snprintf(path, sizeof(path), "%s/state", directory);
	value = fake_store_get(path);
	return value && !strcmp(value, wanted);
}

static void plug(void)
{
	fake_store_set(BACK "/state", "1");
	fake_store_set(FRONT "/state", "1");
	fake_store_set(FRONT "/backend-id", "0");
	fake_store_set(FRONT "/backend", BACK);
}

static void handshake(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.probes == 1);
	KUNIT_ASSERT_NOT_NULL(test, seen.device);
	KUNIT_EXPECT_STREQ(test, seen.device->class, "vbd");
	KUNIT_EXPECT_EQ(test, seen.device->id, 768U);
	KUNIT_EXPECT_STREQ(test, seen.device->path, "device/vbd/768");
	KUNIT_EXPECT_STREQ(test, seen.device->backend, BACK);
	KUNIT_EXPECT_STREQ(test, dev_name(&seen.device->dev), "vbd-768");
	EVENTUALLY(test, seen.changes >= 1);
	KUNIT_EXPECT_EQ(test, seen.last, STORE_STATE_INITIALISING);
	fake_store_set(BACK "/state", "2");
	EVENTUALLY(test, state_is(FRONT, "3"));
	fake_store_set(BACK "/state", "4");
	EVENTUALLY(test, state_is(FRONT, "4"));
	/* The same again is news, too: a disk that grew. */
	EVENTUALLY(test, !seen.busy);
	seen.changes = 0;
	fake_store_set(BACK "/state", "4");
	EVENTUALLY(test, seen.changes == 1);
	/* Unplugged. */
	fake_store_set(FRONT, NULL);
	EVENTUALLY(test, seen.removes == 1);
	KUNIT_EXPECT_FALSE(test, seen.overlap);
	/* It is not made anew by our last words. */
	KUNIT_EXPECT_NULL(test, fake_store_get(FRONT "/state"));
}

static void drivers_come_and_go(struct kunit *test)
{
	unsigned int i;

	plug();
	EVENTUALLY(test, seen.probes == 1);
	for (i = 0; i < 10; i++) {
		pvkit_driver_unregister(&driver);
		KUNIT_EXPECT_EQ(test, seen.removes, i + 1);
		KUNIT_EXPECT_TRUE(test, state_is(FRONT, "6"));
		/* Only the scan's own watch. */
		KUNIT_EXPECT_EQ(test, fake_store_watches(), 1U);
		KUNIT_EXPECT_EQ(test, __pvkit_driver_register(&driver, NULL), 0);
		KUNIT_EXPECT_EQ(test, seen.probes, i + 2);
		KUNIT_EXPECT_TRUE(test, state_is(FRONT, "1"));
	}
	KUNIT_EXPECT_FALSE(test, seen.overlap);
}

static void names_that_are_no_devices(struct kunit *test)
{
	fake_store_set("/local/domain/1/device/vbd/-1/backend", BACK);
	fake_store_set("/local/domain/1/device/vbd/x/backend", BACK);
	fake_store_set("/local/domain/1/device/vbd/99999999999/backend", BACK);
	fake_store_set("/local/domain/1/device/VBD%s%n/1/backend", BACK);
	fake_store_set("/local/domain/1/device/averyverylongclassname/1/backend", BACK);
	fake_store_set("/local/domain/1/device/vbd/1/backend", "relative");
	fake_store_set("/local/domain/1/device/vbd/2/backend-id", "40000");
	fake_store_set("/local/domain/1/device/vbd/2/backend", BACK);
	plug();
	EVENTUALLY(test, seen.probes >= 1);
	msleep(100);
	KUNIT_EXPECT_EQ(test, seen.probes, 1U);
}

static void refused_probe(struct kunit *test)
{
	seen.refuse = true;
	plug();
	EVENTUALLY(test, seen.probes == 1);
	msleep(50);
	fake_store_set(BACK "/state", "2");
	msleep(50);
	KUNIT_EXPECT_EQ(test, seen.changes, 0U);
	KUNIT_EXPECT_EQ(test, fake_store_watches(), 1U);
}

static void events_are_merged(struct kunit *test)
{
	char text[12];
	int i;

	plug();
	EVENTUALLY(test, seen.events == 1 && seen.changes == 1);
	seen.slow = 50;
	for (i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "%d", i);
		fake_store_set(BACK "/sectors", text);
	}
	msleep(300);
	KUNIT_EXPECT_GE(test, seen.events, 2U);
	KUNIT_EXPECT_LT(test, seen.events, 30U);
	KUNIT_EXPECT_FALSE(test, seen.overlap);
	seen.slow = 0;
}

static void watch_closes_itself(struct kunit *test)
{
	seen.close_in_callback = true;
	plug();
	EVENTUALLY(test, seen.events == 1 && seen.changes == 1);
	fake_store_set(BACK "/sectors", "1");
	msleep(50);
	KUNIT_EXPECT_EQ(test, seen.events, 1U);
}

static void switch_meets_conflicts(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.changes == 1);
	fake_store_conflicts(3);
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CONNECTED), 0);
	KUNIT_EXPECT_TRUE(test, state_is(FRONT, "4"));
	fake_store_conflicts(1000);
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CLOSING), 0);
	fake_store_conflicts(0);
	EVENTUALLY(test, state_is(FRONT, "5"));
}

/* A state that could not be written is told when the store mends: the last one, and no other. */
static void store_fails_a_state(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.changes == 1);
	fake_store_refuse(FRONT "/state", STORE_EIO);
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CONNECTED), 0);
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CLOSING), 0);
	KUNIT_EXPECT_TRUE(test, state_is(FRONT, "1"));
	fake_store_refuse(NULL, NULL);
	EVENTUALLY(test, state_is(FRONT, "5"));
	/* It may have been written though the answer was lost: so it is not taken for the old one. */
	fake_store_refuse(FRONT "/state", STORE_EIO);
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CLOSED), 0);
	fake_store_set(FRONT "/state", "6");
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CLOSING), 0);
	fake_store_refuse(NULL, NULL);
	EVENTUALLY(test, state_is(FRONT, "5"));
	/* What is refused, is not tried again; nor is a device in the way that goes before. */
	fake_store_refuse(FRONT "/state", STORE_EACCES);
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CLOSED), -EACCES);
	fake_store_refuse(FRONT "/state", STORE_EIO);
	KUNIT_EXPECT_EQ(test, pvkit_device_switch(seen.device, STORE_STATE_CLOSING), 0);
}

static void fail_tells_the_administrator(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.changes == 1);
	pvkit_device_fail(seen.device, -EINVAL, "ring %u is %s", 3, "odd");
	KUNIT_EXPECT_STREQ(test, fake_store_get(FRONT "/error"), "-22 ring 3 is odd");
	KUNIT_EXPECT_TRUE(test, state_is(FRONT, "5"));
}

static void await(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.changes == 1);
	KUNIT_EXPECT_EQ(test, pvkit_device_await(seen.device, 1U << STORE_STATE_INITIALISING, 1000),
			0);
	KUNIT_EXPECT_EQ(test, pvkit_device_await(seen.device, 1U << STORE_STATE_CLOSED, 100),
			-ETIMEDOUT);
	fake_store_set(BACK, NULL);
	KUNIT_EXPECT_EQ(test, pvkit_device_await(seen.device, 1U << STORE_STATE_CLOSED, 1000),
			-ENOENT);
	EVENTUALLY(test, seen.last == STORE_STATE_UNKNOWN);
}

/* A store that fails says nothing of the back-end: it is asked again. */
static void store_fails_a_read(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.changes == 1);
	fake_store_fail(BACK "/state");
	fake_store_set(BACK "/state", "4");
	msleep(100);
	KUNIT_EXPECT_EQ(test, seen.changes, 1U);
	KUNIT_EXPECT_EQ(test, seen.device->backend_state, STORE_STATE_INITIALISING);
	fake_store_fail(NULL);
	EVENTUALLY(test, seen.changes == 2);
	KUNIT_EXPECT_EQ(test, seen.last, STORE_STATE_CONNECTED);
	/* Nor is a device in the way that goes before it is asked. */
	fake_store_fail(BACK "/state");
	fake_store_set(BACK "/state", "4");
	msleep(100);
}

/* What the bus does for a device, a page that is to be freed may wait for. */
static void callbacks_do_no_io(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.changes == 1);
	device_lock(&seen.device->dev);
	KUNIT_EXPECT_EQ(test, pvkit_bus_suspend(&seen.device->dev), 0);
	KUNIT_EXPECT_EQ(test, pvkit_bus_resume(&seen.device->dev), 0);
	device_unlock(&seen.device->dev);
	EVENTUALLY(test, seen.changes == 2);
	KUNIT_EXPECT_FALSE(test, seen.reclaims);
}

/* Who was not there when all went to sleep is not waked. */
static void driver_comes_while_asleep(struct kunit *test)
{
	struct device *dev;

	plug();
	EVENTUALLY(test, seen.changes == 1);
	dev = get_device(&seen.device->dev);
	pvkit_driver_unregister(&driver);
	device_lock(dev);
	KUNIT_EXPECT_EQ(test, pvkit_bus_suspend(dev), 0);
	device_unlock(dev);
	KUNIT_EXPECT_EQ(test, __pvkit_driver_register(&driver, NULL), 0);
	EVENTUALLY(test, seen.changes == 2);
	device_lock(dev);
	KUNIT_EXPECT_EQ(test, pvkit_bus_resume(dev), 0);
	device_unlock(dev);
	KUNIT_EXPECT_EQ(test, seen.resumes, 0U);
	/* The scan's, the driver's, the bus's. */
	KUNIT_EXPECT_EQ(test, fake_store_watches(), 3U);
	put_device(dev);
}

/* The host may have given the device to another domain. */
static void wakes_elsewhere(struct kunit *test)
{
	plug();
	EVENTUALLY(test, seen.changes == 1);
	device_lock(&seen.device->dev);
	KUNIT_EXPECT_EQ(test, pvkit_bus_suspend(&seen.device->dev), 0);
	fake_store_set(FRONT "/backend-id", "7");
	KUNIT_EXPECT_EQ(test, pvkit_bus_resume(&seen.device->dev), 0);
	KUNIT_EXPECT_EQ(test, seen.device->backend_domain, 7U);
	device_unlock(&seen.device->dev);
}

static void sleeps_and_wakes(struct kunit *test)
{
	const struct dev_pm_ops *pm = pvkit_bus.pm;

	if (!pm || !pm->suspend)
		kunit_skip(test, "this kernel cannot sleep");
	plug();
	EVENTUALLY(test, seen.changes == 1);
	device_lock(&seen.device->dev);
	KUNIT_EXPECT_EQ(test, pm->suspend(&seen.device->dev), 0);
	device_unlock(&seen.device->dev);
	KUNIT_EXPECT_TRUE(test, state_is(FRONT, "6"));
	fake_store_set(BACK "/state", "2");
	msleep(50);
	KUNIT_EXPECT_EQ(test, seen.changes, 1U);
	device_lock(&seen.device->dev);
	KUNIT_EXPECT_EQ(test, pm->resume(&seen.device->dev), 0);
	device_unlock(&seen.device->dev);
	EVENTUALLY(test, seen.changes == 2);
	KUNIT_EXPECT_EQ(test, seen.suspends, 1U);
	KUNIT_EXPECT_EQ(test, seen.resumes, 1U);
}

/* The store dies while a device is there: everything can still be taken down, and soon. */
static void store_dies(struct kunit *test)
{
	unsigned long since;

	plug();
	EVENTUALLY(test, seen.changes == 1);
	fake_store_mood(FAKE_STORE_STUCK);
	since = jiffies;
	pvkit_driver_unregister(&driver);
	KUNIT_EXPECT_EQ(test, seen.removes, 1U);
	KUNIT_EXPECT_LT(test, jiffies - since, 15UL * HZ);
	fake_store_mood(FAKE_STORE_GOOD);
	KUNIT_EXPECT_EQ(test, __pvkit_driver_register(&driver, NULL), 0);
}

static int init(struct kunit *test)
{
	int error = fake_start() ?: fake_store_start();

	memset(&seen, 0, sizeof(seen));
	if (!error)
		error = __pvkit_driver_register(&driver, NULL);
	if (!error)
		error = pvkit_scan_start(&fake.platform);
	return error;
}

static void leave(struct kunit *test)
{
	seen.slow = 0;
	pvkit_scan_stop();
	pvkit_driver_unregister(&driver);
	fake_store_stop();
	fake_stop();
}

static struct kunit_case cases[] = {
	KUNIT_CASE(handshake),
	KUNIT_CASE(drivers_come_and_go),
	KUNIT_CASE(names_that_are_no_devices),
	KUNIT_CASE(refused_probe),
	KUNIT_CASE(events_are_merged),
	KUNIT_CASE(watch_closes_itself),
	KUNIT_CASE(switch_meets_conflicts),
	KUNIT_CASE(store_fails_a_state),
	KUNIT_CASE(fail_tells_the_administrator),
	KUNIT_CASE(await),
	KUNIT_CASE(store_fails_a_read),
	KUNIT_CASE(callbacks_do_no_io),
	KUNIT_CASE(driver_comes_while_asleep),
	KUNIT_CASE(wakes_elsewhere),
	KUNIT_CASE(sleeps_and_wakes),
	KUNIT_CASE(store_dies),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_bus",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
