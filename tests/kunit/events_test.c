// SPDX-License-Identifier: GPL-2.0
/*
 * Event channels behind vector 0. Catalogue: F53 (storms, and events while masked or closed).
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/interrupt.h>

#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/pvkit.h"
#include "tests/kunit/fake.h"

struct counter {
	struct pvkit_event event;
	unsigned int calls;
	u32 again; /* port to notify from the handler, once */
};

static struct pvkit_device device;

static irqreturn_t count(int irq, void *context)
{
	struct counter *counter = context;
	u32 again = counter->again;

	counter->calls++;
	counter->again = 0;
	if (again)
		fake_notify(again);
	return IRQ_HANDLED;
}

static void open_counter(struct kunit *test, struct counter *counter)
{
	*counter = (struct counter){};
	KUNIT_ASSERT_EQ(test, pvkit_event_open(&device, &counter->event, count, "test", counter, -1),
			0);
}

static void once_for_each(struct kunit *test)
{
	struct counter a, b;

	open_counter(test, &a);
	open_counter(test, &b);
	KUNIT_EXPECT_NE(test, a.event.port, b.event.port);
	KUNIT_EXPECT_NE(test, a.event.irq, b.event.irq);
	fake_notify(a.event.port);
	KUNIT_EXPECT_EQ(test, a.calls, 1U);
	KUNIT_EXPECT_EQ(test, b.calls, 0U);
	fake_set_pending(a.event.port);
	fake_set_pending(a.event.port);
	fake_notify(b.event.port);
	KUNIT_EXPECT_EQ(test, a.calls, 2U);
	KUNIT_EXPECT_EQ(test, b.calls, 1U);
	fake_interrupt();
	KUNIT_EXPECT_EQ(test, a.calls, 2U);
	pvkit_event_close(&a.event);
	pvkit_event_close(&b.event);
}

static void notify_rings_the_doorbell(struct kunit *test)
{
	struct counter a;

	open_counter(test, &a);
	fake.doorbell[a.event.port] = 1;
	pvkit_event_notify(&a.event);
	KUNIT_EXPECT_EQ(test, fake.doorbell[a.event.port], 0U);
	pvkit_event_close(&a.event);
}

static bool called(struct counter *counter, unsigned int times)
{
	unsigned int i;

	for (i = 0; i < 200 && counter->calls < times; i++)
		msleep(10);
	return counter->calls == times;
}

static void disabled_is_not_lost(struct kunit *test)
{
	struct counter a;

	open_counter(test, &a);
	disable_irq(a.event.irq);
	fake_notify(a.event.port);
	fake_notify(a.event.port);
	KUNIT_EXPECT_EQ(test, a.calls, 0U);
	enable_irq(a.event.irq);
	KUNIT_EXPECT_TRUE(test, called(&a, 1));
	/* Nothing came while it was disabled: nothing comes. */
	disable_irq(a.event.irq);
	enable_irq(a.event.irq);
	msleep(50);
	KUNIT_EXPECT_EQ(test, a.calls, 1U);
	fake_notify(a.event.port);
	KUNIT_EXPECT_EQ(test, a.calls, 2U);
	pvkit_event_close(&a.event);
}

static void disabled_then_closed(struct kunit *test)
{
	struct counter a, b;
	u32 port;

	open_counter(test, &a);
	port = a.event.port;
	disable_irq(a.event.irq);
	fake_notify(port);
	enable_irq(a.event.irq);
	pvkit_event_close(&a.event);
	open_counter(test, &b);
	KUNIT_EXPECT_EQ(test, b.event.port, port);
	msleep(50);
	KUNIT_EXPECT_EQ(test, b.calls, 0U);
	pvkit_event_close(&b.event);
}

/* The platform forgot all ports, and gave one away again before its event was closed. */
static void old_event_of_a_new_port(struct kunit *test)
{
	struct counter a, b;

	open_counter(test, &a);
	pvkit_events_forgotten();
	clear_bit(a.event.port, fake.bound);
	open_counter(test, &b);
	KUNIT_EXPECT_EQ(test, b.event.port, a.event.port);
	pvkit_event_close(&a.event);
	fake_notify(b.event.port);
	KUNIT_EXPECT_EQ(test, b.calls, 1U);
	pvkit_event_close(&b.event);
}

static void event_during_the_handler(struct kunit *test)
{
	struct counter a;

	open_counter(test, &a);
	a.again = a.event.port;
	fake_notify(a.event.port);
	KUNIT_EXPECT_EQ(test, a.calls, 2U);
	pvkit_event_close(&a.event);
}

static void closed_hears_nothing(struct kunit *test)
{
	struct counter a;
	u32 port;

	open_counter(test, &a);
	port = a.event.port;
	pvkit_event_close(&a.event);
	KUNIT_EXPECT_EQ(test, fake.closes, 1U);
	KUNIT_EXPECT_FALSE(test, test_bit(port, fake.bound));
	fake_notify(port);
	KUNIT_EXPECT_EQ(test, a.calls, 0U);
	pvkit_event_close(&a.event);
	KUNIT_EXPECT_EQ(test, fake.closes, 1U);
}

/* The sender is hostile: every bit of the page, ports that nobody has, and beyond the last. */
static void all_bits(struct kunit *test)
{
	struct counter *counters = kunit_kcalloc(test, 8, sizeof(*counters), GFP_KERNEL);
	int i, round;

	for (i = 0; i < 8; i++)
		open_counter(test, &counters[i]);
	for (round = 1; round <= 3; round++) {
		memset(fake.platform.pending->word, 0xff,
		       PAGE_SIZE - sizeof(struct platform_pending));
		fake_interrupt();
		for (i = 0; i < 8; i++)
			KUNIT_EXPECT_EQ(test, counters[i].calls, (unsigned int)round);
	}
	for (i = 0; i < 8; i++)
		pvkit_event_close(&counters[i].event);
}

static void ports_run_out(struct kunit *test)
{
	struct counter *counters = kunit_kcalloc(test, FAKE_PORTS, sizeof(*counters), GFP_KERNEL);
	unsigned int i, opened = 0;
	int error = 0;

	while (opened < FAKE_PORTS) {
		error = pvkit_event_open(&device, &counters[opened].event, count, "test",
					 &counters[opened], -1);
		if (error)
			break;
		opened++;
	}
	KUNIT_EXPECT_LT(test, error, 0);
	KUNIT_EXPECT_GT(test, opened, 8U);
	for (i = 0; i < opened; i++)
		pvkit_event_close(&counters[i].event);
	/* Only the two that were there before. */
	KUNIT_EXPECT_EQ(test, bitmap_weight(fake.bound, FAKE_PORTS), 2);
}

/* After a suspend the port is somebody else's, or nobody's. */
static void forgotten(struct kunit *test)
{
	struct counter a;

	open_counter(test, &a);
	pvkit_events_forgotten();
	pvkit_event_close(&a.event);
	KUNIT_EXPECT_EQ(test, fake.closes, 0U);
}

static int init(struct kunit *test)
{
	return fake_start();
}

static void leave(struct kunit *test)
{
	fake_stop();
}

static struct kunit_case cases[] = {
	KUNIT_CASE(once_for_each),
	KUNIT_CASE(notify_rings_the_doorbell),
	KUNIT_CASE(disabled_is_not_lost),
	KUNIT_CASE(disabled_then_closed),
	KUNIT_CASE(old_event_of_a_new_port),
	KUNIT_CASE(event_during_the_handler),
	KUNIT_CASE(closed_hears_nothing),
	KUNIT_CASE(all_bits),
	KUNIT_CASE(ports_run_out),
	KUNIT_CASE(forgotten),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_events",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
