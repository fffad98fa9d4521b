// SPDX-License-Identifier: GPL-2.0
/*
 * Several queues, and an event channel for each of their rings: what the front-end writes down for
 * the back-end, and that each queue carries what is its own.
 */
#include <linux/rtnetlink.h>

#include "tests/kunit/net_backend.h"

static u8 frame[1000];

/* ---- the store ------------------------------------------------------------------------------- */

static bool written(const char *key)
{
	char path[96];

	snprintf(path, sizeof(path), BACKEND_FRONT "/%s", key);
	return fake_store_get(path);
}

static void offer(const char *queues, bool split)
{
	backend_say(STORE_KEY_MAX_QUEUES, queues);
	backend_say(NETIF_KEY_SPLIT_EVENT_CHANNELS, split ? "1" : "0");
}

/* ---- traffic --------------------------------------------------------------------------------- */

static void send_by(struct kunit *test, unsigned int index)
{
	struct backend_queue *queue = &backend.queue[index];
	unsigned int size = 100 + index;
	struct sk_buff *skb = guest_make(test, size, 0);
	struct netif_tx_req request;

	skb_record_rx_queue(skb, index);
	guest_queue(skb);
	backend_tx_take(test, queue, &request);
	KUNIT_EXPECT_EQ(test, (unsigned int)request.size, size);
	backend_tx_answer(queue, request.id, NETIF_OK);
	backend_publish_tx(queue);
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);
}

static void receive_by(struct kunit *test, unsigned int index)
{
	struct backend_queue *queue = &backend.queue[index];
	unsigned int before = guest.frames;

	backend_rx_fill(test, queue, frame, 0, sizeof(frame), 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == before + 1);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, (unsigned int)sizeof(frame));
	KUNIT_EXPECT_TRUE(test, skb_rx_queue_recorded(guest.last));
	KUNIT_EXPECT_EQ(test, (unsigned int)skb_get_rx_queue(guest.last), index);
}

static u64 received(unsigned int index)
{
	return u64_stats_read(&guest_net()->queue[index]->rx.stats.packets);
}

static void use_both(struct kunit *test)
{
	struct rtnl_link_stats64 stats;
	unsigned int i, round;

	KUNIT_ASSERT_EQ(test, guest_net()->queues, 2U);
	KUNIT_EXPECT_EQ(test, guest_net()->dev->real_num_tx_queues, 2U);
	KUNIT_EXPECT_EQ(test, guest_net()->dev->real_num_rx_queues, 2U);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 2; i++) {
			send_by(test, i);
			receive_by(test, i);
		}
	}
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, received(i), 3ULL);
	dev_get_stats(guest_net()->dev, &stats);
	KUNIT_EXPECT_EQ(test, stats.rx_packets, 6ULL);
	KUNIT_EXPECT_EQ(test, stats.rx_bytes, 6ULL * sizeof(frame));
	KUNIT_EXPECT_GE(test, stats.tx_packets, 6ULL); /* and what the guest says by itself */
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void two_queues(struct kunit *test)
{
	offer("2", false);
	guest_plug(test);
	KUNIT_EXPECT_EQ(test, backend_ask("multi-queue-num-queues"), 2U);
	KUNIT_EXPECT_FALSE(test, written("tx-ring-ref"));
	KUNIT_EXPECT_FALSE(test, written("event-channel"));
	KUNIT_EXPECT_FALSE(test, written("queue-0/event-channel-tx"));
	KUNIT_EXPECT_NE(test, backend_ask("queue-0/tx-ring-ref"),
			backend_ask("queue-1/tx-ring-ref"));
	KUNIT_EXPECT_NE(test, backend_ask("queue-0/rx-ring-ref"),
			backend_ask("queue-1/rx-ring-ref"));
	KUNIT_EXPECT_NE(test, backend_ask("queue-0/event-channel"),
			backend_ask("queue-1/event-channel"));
	use_both(test);
}

/* The back-end has as many as it likes, the front-end as many as it was told to have. */
static void fewer_than_offered(struct kunit *test)
{
	offer("8", false);
	guest_plug(test);
	KUNIT_EXPECT_EQ(test, backend_ask("multi-queue-num-queues"), 2U);
	use_both(test);
}

static void only_one_offered(struct kunit *test)
{
	offer("1", false);
	guest_plug(test);
	KUNIT_EXPECT_FALSE(test, written("multi-queue-num-queues"));
	KUNIT_EXPECT_FALSE(test, written("queue-0/tx-ring-ref"));
	KUNIT_EXPECT_EQ(test, guest_net()->dev->real_num_tx_queues, 1U);
	send_by(test, 0);
	receive_by(test, 0);
}

/* A doorbell that is rung becomes 0. */
static void listen(const struct backend_queue *queue)
{
	fake.doorbell[queue->tx_port] = 1;
	fake.doorbell[queue->rx_port] = 1;
}

static bool rung(u32 port)
{
	return !READ_ONCE(fake.doorbell[port]);
}

/* One ring's news are told by its own channel, in both directions. */
static void channels_are_apart(struct kunit *test, struct backend_queue *queue)
{
	struct netif_tx_req request;
	struct sk_buff *skb;
	unsigned int i;

	KUNIT_ASSERT_NE(test, queue->tx_port, queue->rx_port);
	xen_back_events_enable(&queue->tx);
	listen(queue);
	skb = guest_make(test, 100, 0);
	skb_record_rx_queue(skb, queue - backend.queue);
	guest_queue(skb);
	KUNIT_EXPECT_TRUE(test, rung(queue->tx_port));
	KUNIT_EXPECT_FALSE(test, rung(queue->rx_port));
	backend_tx_take(test, queue, &request);
	backend_tx_answer(queue, request.id, NETIF_OK);
	backend_publish_tx(queue);
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);
	/* The last page is used up; the next one is news. */
	EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
	for (i = 0; i < PVNET_RING; i++)
		backend_rx_fill(test, queue, frame, 0, sizeof(frame), 0);
	KUNIT_EXPECT_FALSE(test, xen_back_events_enable(&queue->rx));
	listen(queue);
	backend_publish_rx(queue);
	EVENTUALLY(test, rung(queue->rx_port));
	KUNIT_EXPECT_FALSE(test, rung(queue->tx_port));
}

static void split_channels(struct kunit *test)
{
	offer("1", true);
	guest_plug(test);
	KUNIT_EXPECT_FALSE(test, written("event-channel"));
	KUNIT_EXPECT_EQ(test, backend_ask("event-channel-tx"),
			guest_net()->queue[0]->tx_event.port);
	KUNIT_EXPECT_EQ(test, backend_ask("event-channel-rx"),
			guest_net()->queue[0]->rx_event.port);
	channels_are_apart(test, &backend.queue[0]);
}

static void two_queues_split(struct kunit *test)
{
	unsigned int i;

	offer("2", true);
	guest_plug(test);
	for (i = 0; i < 2; i++)
		channels_are_apart(test, &backend.queue[i]);
	KUNIT_EXPECT_NE(test, backend.queue[0].tx_port, backend.queue[1].tx_port);
	KUNIT_EXPECT_NE(test, backend.queue[0].rx_port, backend.queue[1].rx_port);
}

/* A successor without split channels: nobody reads the keys that were for the first. */
static void no_longer_split(struct kunit *test)
{
	offer("2", true);
	guest_plug(test);
	rtnl_lock();
	pvnet_reopen(guest_net());
	rtnl_unlock();
	offer("2", false);
	backend_reopen(test);
	KUNIT_EXPECT_FALSE(test, written("queue-1/event-channel-tx"));
	KUNIT_EXPECT_FALSE(test, written("queue-1/event-channel-rx"));
	KUNIT_EXPECT_TRUE(test, written("queue-1/event-channel"));
	use_both(test);
}

/* One queue's back-end breaks the protocol: all of the device is off. */
static void one_is_hostile(struct kunit *test)
{
	struct sk_buff *skb;

	offer("2", false);
	guest_plug(test);
	skb = guest_make(test, 500, 0);
	skb_record_rx_queue(skb, 0);
	guest_queue(skb);
	backend_rx_raw(test, &backend.queue[1], (struct netif_rx_rsp){.id = 77, .status = 1},
		       false);
	backend_publish_rx(&backend.queue[1]);
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	KUNIT_EXPECT_TRUE(test, pvnet_retired(guest_net()));
	KUNIT_EXPECT_FALSE(test, netif_carrier_ok(guest_net()->dev));
	backend_let_go();
	backend_say("state", "6");
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);
}

/* ---- the suite ------------------------------------------------------------------------------- */

static int init(struct kunit *test)
{
	memset(frame, 0x52, sizeof(frame));
	pvnet_queues_parameter = 2;
	return backend_init(test);
}

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(two_queues),
	KUNIT_CASE(fewer_than_offered),
	KUNIT_CASE(only_one_offered),
	KUNIT_CASE(split_channels),
	KUNIT_CASE(two_queues_split),
	KUNIT_CASE(no_longer_split),
	KUNIT_CASE(one_is_hostile),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net_queues",
	.init = init,
	.exit = backend_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);
