// SPDX-License-Identifier: GPL-2.0
/*
 * Which multicast groups the front-end asks for: commands on the tx ring of the first queue, and the
 * switch in the store for when there are too many, or all are wanted.
 */
#include <linux/rtnetlink.h>

#include "tests/kunit/net_backend.h"

#define GROUPS 128

static struct backend_queue *const queue = &backend.queue[0];

/* What the back-end was told, and how it answers. */
static struct {
	u8 group[GROUPS][ETH_ALEN];
	unsigned int count;
	unsigned int frames, commands;
	unsigned int odd; /* commands that are none, or of a group that is not there */
	s16 status;
} filter;

/* ---- the back-end ---------------------------------------------------------------------------- */

static int find(const u8 *address)
{
	unsigned int i;

	for (i = 0; i < filter.count; i++)
		if (!memcmp(filter.group[i], address, ETH_ALEN))
			return i;
	return -1;
}

static void obey(const struct netif_tx_req *request, const struct netif_extra *extra)
{
	int at = find(extra->u.multicast.address);

	filter.commands++;
	if (request->size || request->grant || request->flags != NETIF_TX_EXTRA_INFO ||
	    extra->flags)
		filter.odd++;
	else if (extra->type == NETIF_EXTRA_MULTICAST_ADD && at < 0 && filter.count < GROUPS)
		memcpy(filter.group[filter.count++], extra->u.multicast.address, ETH_ALEN);
	else if (extra->type == NETIF_EXTRA_MULTICAST_DEL && at >= 0)
		memcpy(filter.group[at], filter.group[--filter.count], ETH_ALEN);
	else
		filter.odd++;
}

/* Takes what there is: commands, and frames that the guest sends by itself. */
static void serve(void)
{
	u8 slot[NETIF_TX_SLOT_BYTES];
	struct netif_tx_req request;
	struct netif_extra extra;

	if (!xen_back_has_work(&queue->tx))
		return;
	while (xen_back_take(&queue->tx, &request, sizeof(request)) == XEN_RING_FOUND) {
		bool command = request.flags & NETIF_TX_EXTRA_INFO;

		backend_tx_answer(queue, request.id, command ? filter.status : NETIF_OK);
		filter.frames += !command;
		if (!command)
			continue;
		xen_back_take(&queue->tx, slot, sizeof(slot));
		memcpy(&extra, slot, sizeof(extra));
		obey(&request, &extra);
		backend_tx_answer(queue, 0, NETIF_NULL);
	}
	backend_publish_tx(queue);
}

static bool told(unsigned int count)
{
	serve();
	return filter.count == count;
}

/* ---- the guest ------------------------------------------------------------------------------- */

static void group_address(u8 *address, unsigned int i)
{
	const u8 some[ETH_ALEN] = {0x01, 0x00, 0x5e, 0x7f, i >> 8, i};

	ether_addr_copy(address, some);
}

static void join(struct kunit *test, unsigned int from, unsigned int to)
{
	u8 address[ETH_ALEN];

	for (; from < to; from++) {
		group_address(address, from);
		KUNIT_ASSERT_EQ(test, dev_mc_add(guest_net()->dev, address), 0);
	}
}

static void part(struct kunit *test, unsigned int from, unsigned int to)
{
	u8 address[ETH_ALEN];

	for (; from < to; from++) {
		group_address(address, from);
		KUNIT_ASSERT_EQ(test, dev_mc_del(guest_net()->dev, address), 0);
	}
}

static unsigned int wanted(void)
{
	return netdev_mc_count(guest_net()->dev);
}

static void expect_same(struct kunit *test)
{
	struct net_device *dev = guest_net()->dev;
	struct netdev_hw_addr *address;

	EVENTUALLY(test, told(wanted()));
	netif_addr_lock_bh(dev);
	netdev_for_each_mc_addr(address, dev) KUNIT_EXPECT_GE(test, find(address->addr), 0);
	netif_addr_unlock_bh(dev);
	KUNIT_EXPECT_EQ(test, filter.odd, 0U);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

static bool filters(void)
{
	serve();
	return backend_ask(NETIF_KEY_REQUEST_MULTICAST);
}

static void plug(struct kunit *test)
{
	backend_say(NETIF_KEY_MULTICAST, "1");
	backend_say(NETIF_KEY_DYNAMIC_MULTICAST, "1");
	guest_plug(test);
	KUNIT_EXPECT_TRUE(test, filters());
	/* The guest is in some by itself. */
	KUNIT_EXPECT_GT(test, wanted(), 0U);
	expect_same(test);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void groups_come_and_go(struct kunit *test)
{
	unsigned int own;

	plug(test);
	own = wanted();
	join(test, 0, 3);
	expect_same(test);
	KUNIT_EXPECT_EQ(test, filter.count, own + 3);
	part(test, 1, 2);
	join(test, 3, 5);
	expect_same(test);
	part(test, 0, 1);
	part(test, 2, 5);
	expect_same(test);
	KUNIT_EXPECT_EQ(test, filter.count, own);
	KUNIT_EXPECT_TRUE(test, filters());
}

static void set_all(int by)
{
	rtnl_lock();
	dev_set_allmulti(guest_net()->dev, by);
	rtnl_unlock();
}

/* Groups that come meanwhile are told before the filter is on again. */
static void all_are_wanted(struct kunit *test)
{
	plug(test);
	set_all(1);
	EVENTUALLY(test, !filters());
	join(test, 0, 2);
	set_all(-1);
	EVENTUALLY(test, filters());
	expect_same(test);
}

static void more_than_backends_keep(struct kunit *test)
{
	unsigned int own;

	plug(test);
	own = wanted();
	join(test, 0, PVNET_MULTICAST_MAX - own);
	expect_same(test);
	KUNIT_EXPECT_EQ(test, filter.count, (unsigned int)PVNET_MULTICAST_MAX);
	KUNIT_EXPECT_TRUE(test, filters());
	join(test, 200, 201);
	EVENTUALLY(test, !filters());
	part(test, 0, 2);
	EVENTUALLY(test, filters());
	expect_same(test);
}

/* A group that the back-end refuses must not be missed: no filter until the next handshake. */
static void refused(struct kunit *test)
{
	plug(test);
	filter.status = NETIF_ERROR;
	join(test, 0, 1);
	EVENTUALLY(test, !filters());
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
	filter.status = NETIF_OK;
	join(test, 1, 2);
	part(test, 0, 1);
	msleep(30);
	KUNIT_EXPECT_FALSE(test, filters());

	rtnl_lock();
	pvnet_reopen(guest_net());
	rtnl_unlock();
	filter.count = filter.commands = 0;
	backend_reopen(test);
	KUNIT_EXPECT_TRUE(test, filters());
	expect_same(test);
	KUNIT_EXPECT_EQ(test, filter.commands, wanted());
}

/* Commands wait for room, and come then. */
static void ring_is_full(struct kunit *test)
{
	struct net_device *dev;
	struct netdev_queue *txq;
	struct sk_buff *skb;
	unsigned int before;

	plug(test);
	dev = guest_net()->dev;
	txq = netdev_get_tx_queue(dev, 0);
	while (!netif_tx_queue_stopped(txq)) {
		skb = guest_make(test, 60, 0);
		__netif_tx_lock_bh(txq);
		KUNIT_EXPECT_EQ(test, (int)dev->netdev_ops->ndo_start_xmit(skb, dev),
				(int)NETDEV_TX_OK);
		__netif_tx_unlock_bh(txq);
	}
	before = guest_net()->queue[0]->tx.extras;
	join(test, 0, 4);
	msleep(60);
	KUNIT_EXPECT_EQ(test, guest_net()->queue[0]->tx.extras, before);
	expect_same(test);
	KUNIT_EXPECT_FALSE(test, netif_tx_queue_stopped(txq));
}

/* Nobody to turn the filter off again: so it is never on. */
static void not_dynamic(struct kunit *test)
{
	backend_say(NETIF_KEY_MULTICAST, "1");
	guest_plug(test);
	KUNIT_EXPECT_FALSE(test, filters());
	join(test, 0, 3);
	msleep(30);
	serve();
	KUNIT_EXPECT_EQ(test, filter.commands, 0U);
}

/* Answers to commands are no frames. */
static void commands_are_no_frames(struct kunit *test)
{
	const struct pvnet_tx *tx;
	u64 others; /* packets that were counted, and are no frames */

	plug(test);
	tx = &guest_net()->queue[0]->tx;
	EVENTUALLY(test, (serve(), !tx->in_flight && !tx->extras));
	others = u64_stats_read(&tx->stats.packets) - filter.frames;
	join(test, 0, 9);
	expect_same(test);
	/* The guest sends frames by itself meanwhile. */
	EVENTUALLY(test, (serve(), !tx->in_flight && !tx->extras));
	KUNIT_EXPECT_EQ(test, u64_stats_read(&tx->stats.packets) - filter.frames, others);
	KUNIT_EXPECT_EQ(test, u64_stats_read(&tx->stats.errors), 0ULL);
}

/* ---- the suite ------------------------------------------------------------------------------- */

static int init(struct kunit *test)
{
	memset(&filter, 0, sizeof(filter));
	return backend_init(test);
}

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(groups_come_and_go),
	KUNIT_CASE(all_are_wanted),
	KUNIT_CASE(more_than_backends_keep),
	KUNIT_CASE(refused),
	KUNIT_CASE(ring_is_full),
	KUNIT_CASE(not_dynamic),
	KUNIT_CASE(commands_are_no_frames),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net_multicast",
	.init = init,
	.exit = backend_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);
