// SPDX-License-Identifier: GPL-2.0
/*
 * Event channels, behind vector 0 and with a vector each. Catalogue: F53 (storms: many bits at
 * once, interrupts without end; and events while masked or closed).
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/interrupt.h>

#include "guest-kernel-module/event_channel.h"
#include "guest-kernel-module/event_meter.h"
#include "guest-kernel-module/pvkit.h"
#include "tests/kunit/fake.h"

struct counter {
	struct pvkit_event event;
	unsigned int calls;
	u32 again; /* port to notify from the handler, once */
	unsigned int idle; /* calls without work, until there is some; 0: there never is */
};

static struct pvkit_device device;

static irqreturn_t count(int irq, void *context)
{
	struct counter *counter = context;
	u32 again = counter->again;

	counter->calls++;
	counter->again = 0;
	if (counter->idle && counter->calls % (counter->idle + 1) == 0)
		pvkit_event_worked(&counter->event);
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

/* ---- storms ---------------------------------------------------------------------------------- */

#define BUDGET 64

/* Until the vector is masked, which it has to be; then on and on. More calls than were allowed? */
static bool held_back(struct kunit *test, const struct counter *counter, u32 port)
{
	unsigned int storms = pvkit_meter_storms(), masks = fake.masks, before = counter->calls, i;
	unsigned long since = jiffies;

	for (i = 0; i < 1000000 && fake.masks == masks; i++)
		fake_notify(port);
	for (i = 0; i < 20000; i++)
		fake_notify(port);
	KUNIT_EXPECT_GT(test, pvkit_meter_storms(), storms);
	/* At most two budgets a tick, where the clock goes on in the middle of one. */
	return counter->calls - before <= 2 * (BUDGET + 1) * (jiffies - since + 2);
}

static void storm(struct kunit *test)
{
	struct counter a, b;

	fake.platform.vectors = FAKE_VECTORS;
	open_counter(test, &a);
	open_counter(test, &b);
	KUNIT_ASSERT_LT(test, b.event.port, fake.platform.vectors);
	KUNIT_EXPECT_TRUE(test, held_back(test, &a, a.event.port));
	/* Nobody else is. */
	fake_notify(b.event.port);
	KUNIT_EXPECT_EQ(test, b.calls, 1U);
	/* When it is over an event is an event. */
	msleep(100);
	a.calls = 0;
	fake_notify(a.event.port);
	KUNIT_EXPECT_EQ(test, a.calls, 1U);
	pvkit_event_close(&a.event);
	pvkit_event_close(&b.event);
}

/* The last event of a storm comes when the vector is heard again. */
static void storm_loses_nothing(struct kunit *test)
{
	unsigned int masks = fake.masks, calls, i;
	struct counter a;

	fake.platform.vectors = FAKE_VECTORS;
	open_counter(test, &a);
	for (i = 0; i < 1000000 && fake.masks == masks; i++)
		fake_notify(a.event.port);
	calls = a.calls;
	for (i = 0; i < 200 && a.calls == calls; i++)
		msleep(10);
	KUNIT_EXPECT_GT(test, a.calls, calls);
	pvkit_event_close(&a.event);
}

static void closed_in_a_storm(struct kunit *test)
{
	unsigned int masks = fake.masks, i;
	struct counter a, b;
	u32 port;

	fake.platform.vectors = FAKE_VECTORS;
	open_counter(test, &a);
	port = a.event.port;
	for (i = 0; i < 1000000 && fake.masks == masks; i++)
		fake_notify(port);
	pvkit_event_close(&a.event);
	open_counter(test, &b);
	KUNIT_EXPECT_EQ(test, b.event.port, port);
	/* What was latched may come yet. */
	msleep(50);
	b.calls = 0;
	fake_notify(port);
	KUNIT_EXPECT_EQ(test, b.calls, 1U);
	pvkit_event_close(&b.event);
}

/* With a bit, and without: the vector is what storms. Others behind it have to wait, no more. */
static void storm_on_vector_zero(struct kunit *test)
{
	struct counter a, b;
	unsigned int i;

	open_counter(test, &a);
	open_counter(test, &b);
	KUNIT_EXPECT_TRUE(test, held_back(test, &a, a.event.port));
	for (i = 0; i < 20000; i++)
		fake_interrupt();
	fake_notify(b.event.port);
	KUNIT_EXPECT_TRUE(test, called(&b, 1));
	pvkit_event_close(&a.event);
	pvkit_event_close(&b.event);
}

/* The kernel disables an interrupt for good that comes 100,000 times for nobody. */
static void vector_zero_stays(struct kunit *test)
{
	struct counter a;
	unsigned int i;

	pvkit_spurious_events = 0;
	open_counter(test, &a);
	for (i = 0; i < 110000; i++)
		fake_interrupt();
	fake_notify(a.event.port);
	KUNIT_EXPECT_EQ(test, a.calls, 1U);
	pvkit_event_close(&a.event);
}

/* Work pays for what comes for nothing beside it, however fast. */
static void busy_is_no_storm(struct kunit *test)
{
	unsigned int storms = pvkit_meter_storms(), i;
	struct counter a, b;

	fake.platform.vectors = 3;
	open_counter(test, &a);
	open_counter(test, &b);
	KUNIT_EXPECT_LT(test, a.event.port, fake.platform.vectors);
	KUNIT_EXPECT_GE(test, b.event.port, fake.platform.vectors);
	a.idle = 3;
	b.idle = 3;
	for (i = 0; i < 10000; i++) {
		fake_notify(a.event.port);
		fake_notify(b.event.port);
	}
	KUNIT_EXPECT_EQ(test, a.calls, 10000U);
	KUNIT_EXPECT_EQ(test, b.calls, 10000U);
	KUNIT_EXPECT_EQ(test, pvkit_meter_storms(), storms);
	pvkit_event_close(&a.event);
	pvkit_event_close(&b.event);
}

static unsigned int budget; /* as it was before */

static int init(struct kunit *test)
{
	budget = pvkit_spurious_events;
	pvkit_spurious_events = BUDGET;
	return fake_start();
}

static void leave(struct kunit *test)
{
	fake_stop();
	pvkit_spurious_events = budget;
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
	KUNIT_CASE(storm),
	KUNIT_CASE(storm_loses_nothing),
	KUNIT_CASE(closed_in_a_storm),
	KUNIT_CASE(storm_on_vector_zero),
	KUNIT_CASE(vector_zero_stays),
	KUNIT_CASE(busy_is_no_storm),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_events",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
