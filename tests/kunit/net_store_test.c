// SPDX-License-Identifier: GPL-2.0
/*
 * The network front-end with a store that fails, conflicts, is full or says nothing: what may pass costs
 * time, not the device, and nobody who wants the rtnl lock waits for it.
 */
#include <linux/jiffies.h>
#include <linux/rtnetlink.h>

#include "guest-kernel-module/store.h"
#include "tests/kunit/net_backend.h"

/* Sees the front-end through to Connected, and serves it. */
static void expect_connection(struct kunit *test)
{
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CONNECTED);
	backend_serve(test);
	EVENTUALLY(test, netif_carrier_ok(guest_net()->dev));
	EVENTUALLY(test, backend_rx_lent(&backend.queue[0]) == PVNET_RING);
}

/* A device in use whose back-end went in order. */
static void plug_and_close(struct kunit *test)
{
	guest_plug(test);
	backend_let_go();
	backend_say("state", "6");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSED);
}

/* The next back-end comes while the store fails, for a while. */
static void comes_then_heals(struct kunit *test)
{
	backend_say("state", "2");
	msleep(200);
	KUNIT_EXPECT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CLOSED);
	fake_store_fail(NULL);
	fake_store_refuse(NULL, NULL);
	fake_store_conflicts(0);
	expect_connection(test);
}

static void store_fails_rx_copy(struct kunit *test)
{
	plug_and_close(test);
	fake_store_fail(BACKEND_BACK "/" NETIF_KEY_RX_COPY);
	comes_then_heals(test);
}

/* Nor does a feature get lost that way. */
static void store_fails_a_feature(struct kunit *test)
{
	plug_and_close(test);
	fake_store_fail(BACKEND_BACK "/" NETIF_KEY_SG);
	comes_then_heals(test);
	KUNIT_EXPECT_TRUE(test, guest_net()->back.sg);
	KUNIT_EXPECT_TRUE(test, guest_net()->dev->features & NETIF_F_SG);
}

static void store_fails_the_rings(struct kunit *test)
{
	plug_and_close(test);
	fake_store_refuse(BACKEND_FRONT "/" NETIF_KEY_RX_RING_REF, STORE_EIO);
	comes_then_heals(test);
}

static void store_is_contended(struct kunit *test)
{
	plug_and_close(test);
	fake_store_conflicts(1000);
	comes_then_heals(test);
}

/* The rings are told, the state is not. */
static void store_fails_the_state(struct kunit *test)
{
	plug_and_close(test);
	fake_store_refuse(BACKEND_FRONT "/" STORE_KEY_STATE, STORE_EIO);
	comes_then_heals(test);
}

/* Other parameters are wished for: Closing, and Initialising afterwards, meet the failure. */
static void store_fails_a_reopening(struct kunit *test)
{
	guest_plug(test);
	fake_store_refuse(BACKEND_FRONT "/" STORE_KEY_STATE, STORE_EIO);
	rtnl_lock();
	pvnet_reopen(guest_net());
	rtnl_unlock();
	msleep(200);
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CONNECTED);
	fake_store_refuse(NULL, NULL);
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	backend_let_go();
	fake_store_refuse(BACKEND_FRONT "/" STORE_KEY_STATE, STORE_EIO);
	backend_say("state", "6");
	msleep(200);
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CLOSING);
	fake_store_refuse(NULL, NULL);
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_INITIALISING);
	backend_say("state", "2");
	expect_connection(test);
}

/* What cannot be read is as it was. */
static void store_fails_the_carrier(struct kunit *test)
{
	guest_plug(test);
	fake_store_fail(BACKEND_BACK "/" NETIF_KEY_CARRIER);
	backend_say(NETIF_KEY_CARRIER, "0");
	msleep(200);
	KUNIT_EXPECT_TRUE(test, netif_carrier_ok(guest_net()->dev));
	fake_store_fail(NULL);
	EVENTUALLY(test, !netif_carrier_ok(guest_net()->dev));
	fake_store_fail(BACKEND_BACK "/" NETIF_KEY_CARRIER);
	backend_say(NETIF_KEY_CARRIER, "1");
	msleep(200);
	KUNIT_EXPECT_FALSE(test, netif_carrier_ok(guest_net()->dev));
	fake_store_fail(NULL);
	EVENTUALLY(test, netif_carrier_ok(guest_net()->dev));
}

/* A quota will not go away: the device closes in order, and says why. */
static void store_is_full(struct kunit *test)
{
	plug_and_close(test);
	fake_store_refuse(BACKEND_FRONT "/" NETIF_KEY_RX_RING_REF, STORE_ENOSPC);
	backend_say("state", "2");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	KUNIT_EXPECT_EQ(test, guest_net()->queues, 0U);
	backend_say("state", "6");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSED);
	KUNIT_ASSERT_NOT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(fake_store_get(BACKEND_FRONT "/error"), "queues="));
	fake_store_refuse(NULL, NULL);
}

static void plug_with_filter(struct kunit *test)
{
	backend_say(NETIF_KEY_MULTICAST, "1");
	backend_say(NETIF_KEY_DYNAMIC_MULTICAST, "1");
	guest_plug(test);
	EVENTUALLY(test, backend_ask(NETIF_KEY_REQUEST_MULTICAST) == 1);
}

static void want_all_groups(void)
{
	rtnl_lock();
	dev_set_allmulti(guest_net()->dev, 1);
	rtnl_unlock();
}

/* Frames would be missed until somebody wants other groups. */
static void store_fails_the_filter(struct kunit *test)
{
	plug_with_filter(test);
	fake_store_refuse(BACKEND_FRONT "/" NETIF_KEY_REQUEST_MULTICAST, STORE_EIO);
	want_all_groups();
	msleep(200);
	KUNIT_EXPECT_EQ(test, backend_ask(NETIF_KEY_REQUEST_MULTICAST), 1U);
	/* By itself, not only when the stack wants another group again. */
	KUNIT_EXPECT_TRUE(test, delayed_work_pending(&guest_net()->multicast));
	fake_store_refuse(NULL, NULL);
	EVENTUALLY(test, backend_ask(NETIF_KEY_REQUEST_MULTICAST) == 0);
}

/* How long the rtnl lock is wanted in vain, in ms, a little after the store fell silent. */
static unsigned int wait_for_rtnl(void)
{
	unsigned long since;

	msleep(50);
	since = jiffies;
	rtnl_lock();
	rtnl_unlock();
	since = jiffies - since;
	fake_store_mood(FAKE_STORE_GOOD);
	return jiffies_to_msecs(since);
}

static void silent_store_and_carrier(struct kunit *test)
{
	guest_plug(test);
	fake_store_mood(FAKE_STORE_SILENT);
	backend_say(NETIF_KEY_CARRIER, "0");
	KUNIT_EXPECT_LT(test, wait_for_rtnl(), 700U);
	EVENTUALLY(test, !netif_carrier_ok(guest_net()->dev));
}

static void silent_store_and_filter(struct kunit *test)
{
	plug_with_filter(test);
	fake_store_mood(FAKE_STORE_SILENT);
	want_all_groups();
	KUNIT_EXPECT_LT(test, wait_for_rtnl(), 700U);
	EVENTUALLY(test, backend_ask(NETIF_KEY_REQUEST_MULTICAST) == 0);
}

/* Whoever wishes for other parameters has that lock. */
static void silent_store_and_reopening(struct kunit *test)
{
	unsigned long since;

	guest_plug(test);
	fake_store_mood(FAKE_STORE_SILENT);
	since = jiffies;
	rtnl_lock();
	pvnet_reopen(guest_net());
	rtnl_unlock();
	KUNIT_EXPECT_LT(test, jiffies_to_msecs(jiffies - since), 700U);
	fake_store_mood(FAKE_STORE_GOOD);
	backend_reopen(test);
}

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(store_fails_rx_copy),
	KUNIT_CASE(store_fails_a_feature),
	KUNIT_CASE(store_fails_the_rings),
	KUNIT_CASE(store_is_contended),
	KUNIT_CASE(store_fails_the_state),
	KUNIT_CASE(store_fails_a_reopening),
	KUNIT_CASE(store_fails_the_carrier),
	KUNIT_CASE(store_is_full),
	KUNIT_CASE(silent_store_and_carrier),
	KUNIT_CASE(store_fails_the_filter),
	KUNIT_CASE(silent_store_and_filter),
	KUNIT_CASE(silent_store_and_reopening),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net_store",
	.init = backend_init,
	.exit = backend_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);
