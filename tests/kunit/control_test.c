// SPDX-License-Identifier: GPL-2.0
/*
 * What the host asks of the guest by control/shutdown: heard, and done once, by the platform that
 * the tests are.
 */
#include <kunit/test.h>
#include <linux/delay.h>

#include "guest-kernel-module/control.h"
#include "tests/kunit/fake.h"

#define KEY "/local/domain/1/control/shutdown"

static bool heard(void)
{
	const char *value = fake_store_get(KEY);
	int tries;

	for (tries = 0; tries < 200 && value && *value; tries++) {
		msleep(10);
		value = fake_store_get(KEY);
	}
	/* Heard first, done then. */
	msleep(50);
	return value && !*value;
}

/* All that was asked of the platform so far. */
static void expect_done(struct kunit *test, unsigned int sleeps, unsigned int poweroffs,
			unsigned int reboots)
{
	KUNIT_EXPECT_EQ(test, fake.sleeps, sleeps);
	KUNIT_EXPECT_EQ(test, fake.poweroffs, poweroffs);
	KUNIT_EXPECT_EQ(test, fake.reboots, reboots);
}

static void ask(struct kunit *test, const char *wish)
{
	fake_store_set(KEY, wish);
	KUNIT_EXPECT_TRUE(test, heard());
}

static void suspend(struct kunit *test)
{
	ask(test, "suspend");
	expect_done(test, 1, 0, 0);
	/* Back again, it listens on. */
	ask(test, "suspend");
	expect_done(test, 2, 0, 0);
}

static void poweroff(struct kunit *test)
{
	ask(test, "poweroff");
	expect_done(test, 0, 1, 0);
}

static void halt(struct kunit *test)
{
	ask(test, "halt");
	expect_done(test, 0, 1, 0);
}

static void reboot(struct kunit *test)
{
	ask(test, "reboot");
	expect_done(test, 0, 0, 1);
}

static void nobody_knows(struct kunit *test)
{
	ask(test, "dance");
	ask(test, "poweroff now");
	ask(test, "");
	expect_done(test, 0, 0, 0);
}

/* What is asked while nobody listens, is done when somebody does. */
static void asked_of_nobody(struct kunit *test)
{
	pvkit_control_stop();
	fake_store_set(KEY, "reboot");
	msleep(50);
	expect_done(test, 0, 0, 0);
	KUNIT_ASSERT_EQ(test, pvkit_control_start(), 0);
	KUNIT_EXPECT_TRUE(test, heard());
	expect_done(test, 0, 0, 1);
}

static int init(struct kunit *test)
{
	return fake_start() ?: fake_store_start() ?: pvkit_control_start();
}

static void leave(struct kunit *test)
{
	pvkit_control_stop();
	fake_store_stop();
	fake_stop();
}

static struct kunit_case cases[] = {
	KUNIT_CASE(suspend),
	KUNIT_CASE(poweroff),
	KUNIT_CASE(halt),
	KUNIT_CASE(reboot),
	KUNIT_CASE(nobody_knows),
	KUNIT_CASE(asked_of_nobody),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_control",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
