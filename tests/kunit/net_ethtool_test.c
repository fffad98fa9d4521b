// SPDX-License-Identifier: GPL-2.0
/*
 * ethtool on the network front-end: what it shows, what it changes while frames flow, and what it
 * refuses. Bounds that the core of ethtool looks at before are not asked of the driver.
 */
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>

#include "tests/kunit/net_backend.h"

static u8 frame[1000];

static const struct ethtool_ops *ops(void)
{
	return guest_net()->dev->ethtool_ops;
}

static void receive_many(struct kunit *test, struct backend_queue *queue, unsigned int count)
{
	while (count--) {
		const unsigned int before = guest.frames;

		backend_rx_fill(test, queue, frame, 0, sizeof(frame), 0);
		backend_publish_rx(queue);
		EVENTUALLY(test, guest.frames == before + 1);
	}
}

static void send_one(struct kunit *test, struct backend_queue *queue, unsigned int bytes)
{
	struct sk_buff *skb = guest_make(test, bytes, 0);
	struct netif_tx_req request;

	skb_record_rx_queue(skb, queue - backend.queue);
	guest_queue(skb);
	backend_tx_take(test, queue, &request);
	backend_tx_answer(queue, request.id, NETIF_OK);
	backend_publish_tx(queue);
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);
}

/* ---- what it shows --------------------------------------------------------------------------- */

struct counters {
	u8 (*name)[ETH_GSTRING_LEN];
	u64 *value;
	int count;
};

static struct counters read_counters(struct kunit *test)
{
	struct net_device *dev = guest_net()->dev;
	struct counters all = {};

	rtnl_lock();
	all.count = ops()->get_sset_count(dev, ETH_SS_STATS);
	if (all.count > 0) {
		all.name = kunit_kzalloc(test, (all.count + 1) * ETH_GSTRING_LEN, GFP_KERNEL);
		all.value = kunit_kcalloc(test, all.count + 1, sizeof(u64), GFP_KERNEL);
		ops()->get_strings(dev, ETH_SS_STATS, (u8 *)all.name);
		ops()->get_ethtool_stats(dev, NULL, all.value);
	}
	rtnl_unlock();
	KUNIT_ASSERT_GT(test, all.count, 0);
	/* No more than was promised. */
	KUNIT_EXPECT_EQ(test, (int)all.name[all.count][0], 0);
	KUNIT_EXPECT_EQ(test, all.value[all.count], 0ULL);
	return all;
}

static u64 counter(struct kunit *test, const struct counters *all, const char *name)
{
	int i, found = -1;

	for (i = 0; i < all->count; i++) {
		if (strcmp(all->name[i], name))
			continue;
		KUNIT_EXPECT_EQ(test, found, -1);
		found = i;
	}
	KUNIT_EXPECT_GE(test, found, 0);
	return found < 0 ? 0 : all->value[found];
}

static void counts_each_queue(struct kunit *test)
{
	struct backend_queue *second = &backend.queue[1];
	struct counters all;
	int i;

	pvnet_queues_parameter = 2;
	backend_say(STORE_KEY_MAX_QUEUES, "2");
	guest_plug(test);
	receive_many(test, second, 3);
	for (i = 0; i < 4; i++)
		send_one(test, second, 200);
	backend_rx_fill(test, second, frame, 0, 100, 0);
	backend_rx_raw(test, second, (struct netif_rx_rsp){.status = NETIF_ERROR}, true);
	backend_publish_rx(second);
	EVENTUALLY(test, guest.frames == 4);
	EVENTUALLY(test, backend_rx_lent(second) == PVNET_RING);

	all = read_counters(test);
	KUNIT_EXPECT_EQ(test, all.count % 2, 0);
	for (i = 0; i < all.count; i++)
		KUNIT_EXPECT_EQ(test,
				strncmp(all.name[i], i < all.count / 2 ? "queue0_" : "queue1_", 7),
				0);
	KUNIT_EXPECT_EQ(test, counter(test, &all, "queue0_rx_packets"), 0ULL);
	KUNIT_EXPECT_EQ(test, counter(test, &all, "queue1_rx_packets"), 4ULL);
	KUNIT_EXPECT_EQ(test, counter(test, &all, "queue1_rx_bytes"), 3ULL * sizeof(frame) + 100);
	KUNIT_EXPECT_EQ(test, counter(test, &all, "queue1_rx_errors"), 1ULL);
	KUNIT_EXPECT_EQ(test, counter(test, &all, "queue1_rx_copied"), 1ULL);
	KUNIT_EXPECT_EQ(test, counter(test, &all, "queue1_rx_dropped"), 0ULL);
	KUNIT_EXPECT_EQ(test, counter(test, &all, "queue1_rx_xdp_packets"), 0ULL);
	KUNIT_EXPECT_GE(test, counter(test, &all, "queue1_tx_packets"), 4ULL);
	KUNIT_EXPECT_GE(test, counter(test, &all, "queue1_tx_bytes"), 800ULL);
	KUNIT_EXPECT_GE(test, counter(test, &all, "queue1_interrupts"), 8ULL);
	KUNIT_EXPECT_GE(test, counter(test, &all, "queue1_rx_polls"), 8ULL);
	KUNIT_EXPECT_EQ(test, ops()->get_sset_count(guest_net()->dev, ETH_SS_PRIV_FLAGS),
			-EOPNOTSUPP);
}

static void names_itself(struct kunit *test)
{
	struct ethtool_drvinfo info = {};

	guest_plug(test);
	ops()->get_drvinfo(guest_net()->dev, &info);
	KUNIT_EXPECT_STREQ(test, info.driver, "pvkit_net");
	KUNIT_EXPECT_STREQ(test, info.bus_info, "vif-0");
	KUNIT_EXPECT_STREQ(test, info.version, PVKIT_VERSION);
}

static u32 speed(struct kunit *test)
{
	struct ethtool_link_ksettings settings = {};

	KUNIT_EXPECT_EQ(test, ops()->get_link_ksettings(guest_net()->dev, &settings), 0);
	KUNIT_EXPECT_EQ(test, (int)settings.base.duplex, DUPLEX_FULL);
	KUNIT_EXPECT_EQ(test, (int)settings.base.port, PORT_OTHER);
	KUNIT_EXPECT_EQ(test, (int)settings.base.autoneg, AUTONEG_DISABLE);
	return settings.base.speed;
}

/* The back-end's word, heard with its carrier. */
static void link_has_its_speed(struct kunit *test)
{
	struct net_device *dev;

	guest_plug(test);
	dev = guest_net()->dev;
	KUNIT_EXPECT_EQ(test, speed(test), (u32)SPEED_UNKNOWN);
	KUNIT_EXPECT_EQ(test, ops()->get_link(dev), 1U);
	backend_say(NETIF_KEY_SPEED, "25000");
	backend_say(NETIF_KEY_CARRIER, "0");
	EVENTUALLY(test, !ops()->get_link(dev));
	KUNIT_EXPECT_EQ(test, speed(test), 25000U);
	backend_say(NETIF_KEY_SPEED, "fast");
	backend_say(NETIF_KEY_CARRIER, "1");
	EVENTUALLY(test, ops()->get_link(dev));
	KUNIT_EXPECT_EQ(test, speed(test), (u32)SPEED_UNKNOWN);
}

/* ---- coalescing ------------------------------------------------------------------------------ */

static int set_coalesce(u32 microseconds)
{
	struct ethtool_coalesce coalesce = {.rx_coalesce_usecs = microseconds};
	int error;

	rtnl_lock();
	error = ops()->set_coalesce(guest_net()->dev, &coalesce, NULL, NULL);
	rtnl_unlock();
	return error;
}

static u32 coalesce_now(struct kunit *test)
{
	struct ethtool_coalesce coalesce = {};

	KUNIT_EXPECT_EQ(test, ops()->get_coalesce(guest_net()->dev, &coalesce, NULL, NULL), 0);
	return coalesce.rx_coalesce_usecs;
}

/* Frames one by one, each told of only if the guest asked for it. How often it did. */
static unsigned int stream(struct kunit *test, unsigned int count)
{
	struct backend_queue *queue = &backend.queue[0];
	unsigned int asked = 0;

	while (count--) {
		const unsigned int before = guest.frames;

		backend_rx_fill(test, queue, frame, 0, sizeof(frame), 0);
		xen_back_publish(&queue->rx);
		if (xen_back_should_notify(&queue->rx)) {
			asked++;
			fake_notify(queue->rx_port);
		}
		EVENTUALLY(test, guest.frames == before + 1);
	}
	return asked;
}

static void coalesces(struct kunit *test)
{
	guest_plug(test);
	KUNIT_EXPECT_EQ(test, ops()->supported_coalesce_params, (u32)ETHTOOL_COALESCE_RX_USECS);
	KUNIT_EXPECT_EQ(test, coalesce_now(test), 0U);
	KUNIT_EXPECT_EQ(test, stream(test, 20), 20U);
	KUNIT_EXPECT_EQ(test, set_coalesce(10000), 0);
	KUNIT_EXPECT_EQ(test, coalesce_now(test), 10000U);
	KUNIT_EXPECT_LT(test, stream(test, 20), 15U);
	KUNIT_EXPECT_EQ(test, set_coalesce(10001), -EINVAL);
	KUNIT_EXPECT_EQ(test, coalesce_now(test), 10000U);
	KUNIT_EXPECT_EQ(test, set_coalesce(0), 0);
	/* The last that was not asked for has come. */
	EVENTUALLY(test, !hrtimer_active(&guest_net()->queue[0]->coalesce));
	msleep(20);
	KUNIT_EXPECT_EQ(test, stream(test, 20), 20U);
}

/* ---- rings ----------------------------------------------------------------------------------- */

static int set_rings(struct ethtool_ringparam ring)
{
	int error;

	rtnl_lock();
	error = ops()->set_ringparam(guest_net()->dev, &ring, NULL, NULL);
	rtnl_unlock();
	return error;
}

static struct ethtool_ringparam rings_now(void)
{
	struct ethtool_ringparam ring = {};

	ops()->get_ringparam(guest_net()->dev, &ring, NULL, NULL);
	return ring;
}

static void lends_as_told(struct kunit *test)
{
	struct backend_queue *queue = &backend.queue[0];
	struct ethtool_ringparam ring;

	guest_plug(test);
	ring = rings_now();
	KUNIT_EXPECT_EQ(test, ring.rx_max_pending, (u32)PVNET_RING);
	KUNIT_EXPECT_EQ(test, ring.tx_max_pending, (u32)PVNET_RING);
	KUNIT_EXPECT_EQ(test, ring.rx_pending, (u32)PVNET_RING);
	KUNIT_EXPECT_EQ(test, ring.tx_pending, (u32)PVNET_RING);
	ring.rx_pending = 100;
	KUNIT_EXPECT_EQ(test, set_rings(ring), 0);
	KUNIT_EXPECT_EQ(test, rings_now().rx_pending, 100U);
	/* What is lent above that is used up. */
	receive_many(test, queue, 50);
	KUNIT_EXPECT_EQ(test, backend_rx_lent(queue), PVNET_RING - 50U);
	receive_many(test, queue, 150);
	EVENTUALLY(test, backend_rx_lent(queue) == 100);
	ring.rx_pending = PVNET_RING;
	KUNIT_EXPECT_EQ(test, set_rings(ring), 0);
	receive_many(test, queue, 1);
	EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
}

static void refuses_rings(struct kunit *test)
{
	struct ethtool_ringparam good, bad;

	guest_plug(test);
	good = bad = rings_now();
	bad.rx_pending = PVNET_RX_TARGET_MIN - 1;
	KUNIT_EXPECT_EQ(test, set_rings(bad), -EINVAL);
	bad = good;
	bad.tx_pending = PVNET_RING / 2;
	KUNIT_EXPECT_EQ(test, set_rings(bad), -EINVAL);
	bad = good;
	bad.rx_mini_pending = 1;
	KUNIT_EXPECT_EQ(test, set_rings(bad), -EINVAL);
	bad = good;
	bad.rx_jumbo_pending = 1;
	KUNIT_EXPECT_EQ(test, set_rings(bad), -EINVAL);
	KUNIT_EXPECT_EQ(test, rings_now().rx_pending, good.rx_pending);
	good.rx_pending = PVNET_RX_TARGET_MIN;
	KUNIT_EXPECT_EQ(test, set_rings(good), 0);
}

/* ---- channels -------------------------------------------------------------------------------- */

static int set_channels(struct ethtool_channels channels)
{
	int error;

	rtnl_lock();
	error = ops()->set_channels(guest_net()->dev, &channels);
	rtnl_unlock();
	return error;
}

static struct ethtool_channels channels_now(void)
{
	struct ethtool_channels channels = {};

	ops()->get_channels(guest_net()->dev, &channels);
	return channels;
}

/* The interface stays, with all its counts; the link is down for a moment. */
static void other_channels(struct kunit *test)
{
	struct rtnl_link_stats64 stats;
	struct net_device *dev;
	unsigned int i;

	pvnet_queues_parameter = 2;
	backend_say(STORE_KEY_MAX_QUEUES, "4");
	guest_plug(test);
	dev = guest_net()->dev;
	KUNIT_EXPECT_EQ(test, channels_now().max_combined, 2U);
	KUNIT_EXPECT_EQ(test, channels_now().combined_count, 2U);
	receive_many(test, &backend.queue[1], 5);

	KUNIT_ASSERT_EQ(test, set_channels((struct ethtool_channels){.combined_count = 1}), 0);
	KUNIT_EXPECT_FALSE(test, netif_carrier_ok(dev));
	backend_reopen(test);
	KUNIT_EXPECT_EQ(test, backend.queues, 1U);
	KUNIT_EXPECT_EQ(test, channels_now().combined_count, 1U);
	KUNIT_EXPECT_EQ(test, channels_now().max_combined, 2U);
	KUNIT_EXPECT_EQ(test, dev->real_num_rx_queues, 1U);
	EVENTUALLY(test, backend_rx_lent(&backend.queue[0]) == PVNET_RING);
	receive_many(test, &backend.queue[0], 5);
	send_one(test, &backend.queue[0], 100);

	KUNIT_ASSERT_EQ(test, set_channels((struct ethtool_channels){.combined_count = 2}), 0);
	backend_reopen(test);
	KUNIT_EXPECT_EQ(test, backend.queues, 2U);
	for (i = 0; i < 2; i++) {
		EVENTUALLY(test, backend_rx_lent(&backend.queue[i]) == PVNET_RING);
		receive_many(test, &backend.queue[i], 5);
		send_one(test, &backend.queue[i], 100);
	}
	KUNIT_EXPECT_PTR_EQ(test, guest_net()->dev, dev);
	KUNIT_EXPECT_EQ(test, dev_get_stats(dev, &stats)->rx_packets, 20ULL);
}

static void refuses_channels(struct kunit *test)
{
	static const struct ethtool_channels bad[] = {
		{.combined_count = 0},
		{.combined_count = 1, .rx_count = 1},
		{.combined_count = 1, .tx_count = 1},
		{.combined_count = 1, .other_count = 1},
	};
	unsigned int i;

	pvnet_queues_parameter = 2;
	backend_say(STORE_KEY_MAX_QUEUES, "2");
	guest_plug(test);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ(test, set_channels(bad[i]), -EINVAL);
	/* As many as there are: no handshake for that. */
	KUNIT_EXPECT_EQ(test, set_channels((struct ethtool_channels){.combined_count = 2}), 0);
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CONNECTED);
	KUNIT_EXPECT_TRUE(test, netif_carrier_ok(guest_net()->dev));
	receive_many(test, &backend.queue[1], 1);
}

/* ---- the suite ------------------------------------------------------------------------------- */

static int init(struct kunit *test)
{
	memset(frame, 0x52, sizeof(frame));
	return backend_init(test);
}

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(counts_each_queue),
	KUNIT_CASE(names_itself),
	KUNIT_CASE(link_has_its_speed),
	KUNIT_CASE(coalesces),
	KUNIT_CASE(lends_as_told),
	KUNIT_CASE(refuses_rings),
	KUNIT_CASE(other_channels),
	KUNIT_CASE(refuses_channels),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net_ethtool",
	.init = init,
	.exit = backend_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);
