// SPDX-License-Identifier: GPL-2.0
/*
 * The MTU: who says it first, and how large it may be, by what the back-end takes. With a program it
 * is another: net_xdp_test.c.
 */
#include <linux/rtnetlink.h>

#include "tests/kunit/net_backend.h"

#define MOST (NETIF_TX_SIZE_MAX - ETH_HLEN)

static int set_mtu(int mtu)
{
	int error;

	rtnl_lock();
	error = dev_set_mtu(guest_net()->dev, mtu);
	rtnl_unlock();
	return error;
}

static void expect_mtu(struct kunit *test, const char *key, unsigned int mtu, unsigned int most)
{
	if (key)
		fake_store_set(BACKEND_FRONT "/" NETIF_KEY_MTU, key);
	guest_plug(test);
	KUNIT_EXPECT_EQ(test, guest_net()->dev->mtu, mtu);
	KUNIT_EXPECT_EQ(test, guest_net()->dev->max_mtu, most);
}

static void usual(struct kunit *test)
{
	expect_mtu(test, NULL, PVNET_MTU_DEFAULT, MOST);
}

static void by_key(struct kunit *test)
{
	expect_mtu(test, "9000", 9000, MOST);
}

static void largest_by_key(struct kunit *test)
{
	expect_mtu(test, "65535", MOST, MOST);
}

static void smallest_by_key(struct kunit *test)
{
	expect_mtu(test, "1", ETH_MIN_MTU, MOST);
}

static void key_makes_no_sense(struct kunit *test)
{
	expect_mtu(test, "65536", PVNET_MTU_DEFAULT, MOST);
}

/* A back-end that takes one slot a frame. */
static void by_key_without_sg(struct kunit *test)
{
	backend_say(NETIF_KEY_SG, "0");
	expect_mtu(test, "9000", ETH_DATA_LEN, ETH_DATA_LEN);
	KUNIT_EXPECT_EQ(test, set_mtu(ETH_DATA_LEN + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_mtu(1000), 0);
}

/* The largest frame there is, in pages: on the ring it is, and no byte more is accepted. */
static void is_changed(struct kunit *test)
{
	struct backend_queue *queue = &backend.queue[0];
	struct netif_tx_req request;
	unsigned int slots = 1, bytes;
	struct sk_buff *skb;

	guest_plug(test);
	KUNIT_EXPECT_EQ(test, set_mtu(MOST + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, set_mtu(ETH_MIN_MTU - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, guest_net()->dev->mtu, (unsigned int)PVNET_MTU_DEFAULT);
	KUNIT_ASSERT_EQ(test, set_mtu(MOST), 0);
	KUNIT_EXPECT_TRUE(test, netif_carrier_ok(guest_net()->dev));

	skb = guest_send(test, NETIF_TX_SIZE_MAX - 15 * PAGE_SIZE, 15);
	backend_tx_take(test, queue, &request);
	bytes = request.size;
	KUNIT_EXPECT_EQ(test, bytes, (unsigned int)NETIF_TX_SIZE_MAX);
	backend_tx_answer(queue, request.id, NETIF_OK);
	for (; request.flags & NETIF_TX_MORE_DATA; slots++) {
		backend_tx_take(test, queue, &request);
		backend_tx_answer(queue, request.id, NETIF_OK);
	}
	KUNIT_EXPECT_LE(test, slots, (unsigned int)NETIF_SLOTS_MIN);
	backend_publish_tx(queue);
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);

	skb = guest_send(test, NETIF_TX_SIZE_MAX + 1 - 15 * PAGE_SIZE, 15);
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, u64_stats_read(&guest_net()->queue[0]->tx.stats.dropped), 1ULL);
}

/* A successor that takes less: the interface, which is up, follows. */
static void successor_takes_less(struct kunit *test)
{
	expect_mtu(test, "9000", 9000, MOST);
	rtnl_lock();
	pvnet_reopen(guest_net());
	rtnl_unlock();
	backend_say(NETIF_KEY_SG, "0");
	backend_reopen(test);
	KUNIT_EXPECT_EQ(test, guest_net()->dev->mtu, (unsigned int)ETH_DATA_LEN);
	KUNIT_EXPECT_EQ(test, guest_net()->dev->features & (NETIF_F_SG | NETIF_F_TSO), 0ULL);
	KUNIT_EXPECT_EQ(test, set_mtu(ETH_DATA_LEN + 1), -EINVAL);
}

/* ---- the suite ------------------------------------------------------------------------------- */

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(usual),
	KUNIT_CASE(by_key),
	KUNIT_CASE(largest_by_key),
	KUNIT_CASE(smallest_by_key),
	KUNIT_CASE(key_makes_no_sense),
	KUNIT_CASE(by_key_without_sg),
	KUNIT_CASE(is_changed),
	KUNIT_CASE(successor_takes_less),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net_mtu",
	.init = backend_init,
	.exit = backend_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);
