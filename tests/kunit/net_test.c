// SPDX-License-Identifier: GPL-2.0
/*
 * The network front-end against a back-end whose hands are the test's: the network core above it is
 * the real one, and lockdep and KASAN look on. Catalogue: F50 (responses that cannot be), F51 (more
 * bytes than a page or a packet has), F52 (a page that is still in use when its owner wants it back;
 * what a page held before it is shown), F53 (answers and notifications around a suspend), G55 (a
 * back-end that is gone, or another one, and a suspend, under traffic).
 * Whatever happens, no reference and no page is left afterwards.
 */
#include <linux/bpf.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <net/xdp.h>

#include "guest-kernel-module/grant_table.h"
#include "ring/order.h"
#include "tests/kunit/net_backend.h"

static struct backend_queue *const queue = &backend.queue[0];

/* The device is off, by one breach of the protocol. */
static void expect_retired(struct kunit *test)
{
	EVENTUALLY(test, pvnet_retired(guest_net()));
	EVENTUALLY(test, !netif_carrier_ok(guest_net()->dev));
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	/* It stays off, whatever the back-end says. */
	backend_let_go();
	backend_say("state", "6");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSED);
	backend_say("state", "2");
	msleep(20);
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CLOSED);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void sends(struct kunit *test)
{
	struct netif_tx_req request;
	struct sk_buff *small, *large;
	unsigned int i;
	u16 id[4];

	guest_plug(test);
	small = guest_send(test, 100, 0);
	id[0] = backend_tx_take(test, queue, &request);
	KUNIT_EXPECT_EQ(test, request.size, 100);
	KUNIT_EXPECT_EQ(test, request.flags, 0);
	KUNIT_EXPECT_EQ(test, backend_granted(request.grant)[request.offset + 99], 0x5a);
	KUNIT_EXPECT_FALSE(test, guest_is_over(small));
	backend_tx_answer(queue, id[0], NETIF_OK);
	backend_publish_tx(queue);
	EVENTUALLY(test, guest_is_over(small));
	kfree_skb(small);

	/* Three slots, answered in another order: it is over with the last. */
	large = guest_send(test, 60, 2);
	for (i = 0; i < 3; i++) {
		id[i] = backend_tx_take(test, queue, &request);
		KUNIT_EXPECT_EQ(test, (int)request.size, i ? (int)PAGE_SIZE : 60 + 8192);
		KUNIT_EXPECT_EQ(test, !!(request.flags & NETIF_TX_MORE_DATA), i < 2);
		KUNIT_EXPECT_TRUE(test, backend_grant(request.grant)->flags & GRANT_READONLY);
	}
	backend_tx_answer(queue, id[2], NETIF_OK);
	backend_tx_answer(queue, id[0], NETIF_OK);
	backend_publish_tx(queue);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, guest_is_over(large));
	backend_tx_answer(queue, id[1], NETIF_OK);
	backend_publish_tx(queue);
	EVENTUALLY(test, guest_is_over(large));
	kfree_skb(large);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

/* Sends a frame of 500 bytes as another device would: in a page that begins with its xdp_frame. */
static void redirect(struct kunit *test, struct page *page)
{
	struct net_device *dev = guest_net()->dev;
	struct xdp_frame *xdp = page_address(page);
	int sent;

	memset(xdp, 0xa5, PAGE_SIZE);
	*xdp = (struct xdp_frame){.data = page_address(page) + XDP_PACKET_HEADROOM,
				  .len = 500,
				  .headroom = XDP_PACKET_HEADROOM - sizeof(*xdp),
				  .frame_sz = PAGE_SIZE,
				  .mem.type = MEM_TYPE_PAGE_ORDER0};
	memset(xdp->data, 0x5a, xdp->len);
	local_bh_disable();
	sent = dev->netdev_ops->ndo_xdp_xmit(dev, 1, &xdp, XDP_XMIT_FLUSH);
	local_bh_enable();
	KUNIT_ASSERT_EQ(test, sent, 1);
}

static void send_redirected(struct kunit *test, bool trusted)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct netif_tx_req request;
	const u8 *shown;

	KUNIT_ASSERT_NOT_NULL(test, page);
	fake_store_set(BACKEND_FRONT "/trusted", trusted ? "1" : "0");
	guest_plug(test);
	get_page(page); /* to see when the driver has let go */
	redirect(test, page);
	backend_tx_take(test, queue, &request);
	shown = backend_granted(request.grant);
	KUNIT_EXPECT_EQ(test, request.size, 500);
	KUNIT_EXPECT_NULL(test, memchr_inv(shown + request.offset, 0x5a, 500));
	KUNIT_EXPECT_EQ(test, shown == page_address(page), trusted);
	if (!trusted)
		KUNIT_EXPECT_NULL(test, memchr_inv(shown + 500, 0, PAGE_SIZE - 500));
	backend_tx_answer(queue, request.id, NETIF_OK);
	backend_publish_tx(queue);
	EVENTUALLY(test, page_count(page) == 1);
	put_page(page);
}

static void sends_redirected(struct kunit *test)
{
	send_redirected(test, true);
}

/* Nothing but the frame's own bytes is shown. */
static void sends_redirected_untrusted(struct kunit *test)
{
	send_redirected(test, false);
}

/* What has no answer when the device goes is given back. */
static void gone_while_sending(struct kunit *test)
{
	struct netif_tx_req request;
	struct sk_buff *skb[3];
	unsigned int i;

	guest_plug(test);
	skb[0] = guest_send(test, 60, 3);
	skb[1] = guest_send(test, 1000, 0);
	skb[2] = guest_send(test, 100, 0);
	/* One of its pages is in use and stays so for a while. */
	backend_tx_take(test, queue, &request);
	backend_tx_take(test, queue, &request);
	backend_grant(request.grant)->flags |= GRANT_READING;
	backend_let_go();
	backend_say("online", "0");
	backend_say("state", "6");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSED);
	for (i = 0; i < 3; i++) {
		EVENTUALLY(test, guest_is_over(skb[i]));
		kfree_skb(skb[i]);
	}
	backend_grant(request.grant)->flags &= ~GRANT_READING;
}

static void send_bad(struct kunit *test, int id_plus, s16 status, unsigned int times)
{
	struct netif_tx_req request;
	struct sk_buff *skb;
	u16 id;

	guest_plug(test);
	skb = guest_send(test, 60, 1);
	id = backend_tx_take(test, queue, &request);
	backend_tx_take(test, queue, &request);
	while (times--)
		backend_tx_answer(queue, id + id_plus, status);
	backend_publish_tx(queue);
	expect_retired(test);
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);
}

static void tx_bad_id(struct kunit *test)
{
	send_bad(test, PVNET_RING, NETIF_OK, 1);
}

static void tx_free_id(struct kunit *test)
{
	send_bad(test, 100, NETIF_OK, 1);
}

static void tx_twice(struct kunit *test)
{
	send_bad(test, 0, NETIF_OK, 2);
}

static void tx_surplus_extra(struct kunit *test)
{
	send_bad(test, 0, NETIF_NULL, 1);
}

static void tx_too_many(struct kunit *test)
{
	guest_plug(test);
	order_store_release(&queue->tx.ring.header->rsp_prod, 300);
	fake_notify(queue->rx_port);
	expect_retired(test);
}

static void tx_keeps_page(struct kunit *test)
{
	struct netif_tx_req request;
	struct sk_buff *skb;

	guest_plug(test);
	skb = guest_send(test, 60, 1);
	backend_tx_answer(queue, backend_tx_take(test, queue, &request), NETIF_OK);
	backend_tx_take(test, queue, &request);
	backend_grant(request.grant)->flags |= GRANT_READING;
	backend_tx_answer(queue, request.id, NETIF_OK);
	backend_publish_tx(queue);
	expect_retired(test);
	EVENTUALLY(test, guest_is_over(skb));
	kfree_skb(skb);
	backend_grant(request.grant)->flags &= ~GRANT_READING;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static u8 frame[3 * PAGE_SIZE];

static void receives(struct kunit *test)
{
	struct netif_extra gso = {.type = NETIF_EXTRA_GSO,
				  .u.gso = {.size = 1000, .type = NETIF_GSO_TCPV4}};
	struct netif_rx_rsp extra;
	unsigned int i;

	guest_plug(test);
	for (i = 0; i < 100; i++) {
		unsigned int size = 60 + i * 30;

		backend_rx_fill(test, queue, frame, i % 128, size, 0);
		backend_publish_rx(queue);
		EVENTUALLY(test, guest.frames == i + 1);
		KUNIT_ASSERT_EQ(test, guest.last->len + ETH_HLEN, size);
		EVENTUALLY(test, backend_rx_lent(queue));
	}
	/* In three pages. */
	backend_rx_fill(test, queue, frame, 0, PAGE_SIZE, NETIF_RX_MORE_DATA);
	backend_rx_fill(test, queue, frame, 0, PAGE_SIZE, NETIF_RX_MORE_DATA);
	backend_rx_fill(test, queue, frame, 0, 7, 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == 101);
	KUNIT_EXPECT_EQ(test, guest.last->len + ETH_HLEN, (unsigned int)(2 * PAGE_SIZE + 7));
	/* Headers that are none: GSO is refused, and nothing else. */
	backend_rx_fill(test, queue, frame, 0, 3000, NETIF_RX_EXTRA_INFO | NETIF_RX_CSUM_BLANK);
	memcpy(&extra, &gso, sizeof(extra));
	backend_rx_raw(test, queue, extra, false);
	/* The back-end's own word that it failed; a frame that is too short. */
	backend_rx_raw(test, queue, (struct netif_rx_rsp){.status = NETIF_ERROR}, true);
	backend_rx_fill(test, queue, frame, 0, 13, 0);
	backend_rx_fill(test, queue, frame, 0, 100, 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == 102);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

static void rx_bad_id(struct kunit *test)
{
	guest_plug(test);
	backend_rx_raw(test, queue, (struct netif_rx_rsp){.id = 77, .status = 100}, false);
	backend_publish_rx(queue);
	expect_retired(test);
}

static void rx_past_page(struct kunit *test)
{
	guest_plug(test);
	backend_rx_raw(test, queue, (struct netif_rx_rsp){.offset = 4000, .status = 97}, true);
	backend_publish_rx(queue);
	expect_retired(test);
}

static void rx_without_end(struct kunit *test)
{
	guest_plug(test);
	backend_rx_fill(test, queue, frame, 0, 100, NETIF_RX_MORE_DATA);
	backend_publish_rx(queue);
	expect_retired(test);
}

static void rx_without_extra(struct kunit *test)
{
	guest_plug(test);
	backend_rx_fill(test, queue, frame, 0, 100, NETIF_RX_EXTRA_INFO);
	backend_publish_rx(queue);
	expect_retired(test);
}

static void rx_bad_extra(struct kunit *test)
{
	guest_plug(test);
	backend_rx_fill(test, queue, frame, 0, 100, NETIF_RX_EXTRA_INFO);
	backend_rx_raw(test, queue, (struct netif_rx_rsp){.id = NETIF_EXTRA_TYPES}, false);
	backend_publish_rx(queue);
	expect_retired(test);
}

static void rx_too_many(struct kunit *test)
{
	guest_plug(test);
	order_store_release(&queue->rx.ring.header->rsp_prod, PVNET_RING + 1);
	fake_notify(queue->rx_port);
	expect_retired(test);
}

/* More pages than a frame can have: that frame is lost. */
static void rx_many_parts(struct kunit *test)
{
	unsigned int i;

	guest_plug(test);
	for (i = 0; i < 40; i++)
		backend_rx_fill(test, queue, frame, 0, 50, i < 39 ? NETIF_RX_MORE_DATA : 0);
	backend_rx_fill(test, queue, frame, 0, 100, 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == 1);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

static u64 rx_errors(void)
{
	struct rtnl_link_stats64 stats;

	return dev_get_stats(guest_net()->dev, &stats)->rx_errors;
}

/* A frame in 17 pages, the last of which has @last bytes. */
static void rx_long(struct kunit *test, unsigned int last)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		backend_rx_fill(test, queue, frame, 0, PAGE_SIZE, NETIF_RX_MORE_DATA);
	backend_rx_fill(test, queue, frame, 0, last, 0);
	backend_publish_rx(queue);
}

/* More bytes than any packet has: that frame is lost. */
static void rx_too_long(struct kunit *test)
{
	const unsigned int most = U16_MAX + VLAN_ETH_HLEN - 16 * PAGE_SIZE;

	guest_plug(test);
	rx_long(test, most);
	EVENTUALLY(test, guest.frames == 1);
	rx_long(test, most + 1);
	EVENTUALLY(test, rx_errors() == 1 || guest.frames == 2);
	KUNIT_EXPECT_EQ(test, guest.frames, 1U);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

static void rx_keeps_page(struct kunit *test)
{
	u32 reference;

	guest_plug(test);
	reference = backend_rx_fill(test, queue, frame, 0, 1000, 0);
	backend_grant(reference)->flags |= GRANT_READING | GRANT_WRITING;
	backend_publish_rx(queue);
	expect_retired(test);
	KUNIT_EXPECT_EQ(test, guest.frames, 0U);
	backend_grant(reference)->flags &= ~(GRANT_READING | GRANT_WRITING);
}

/* Headers that the stack believes in front of @size bytes. */
static void make_tcp(unsigned int size)
{
	struct iphdr *ip = (struct iphdr *)(frame + ETH_HLEN);
	struct tcphdr *tcp = (struct tcphdr *)(ip + 1);

	((struct ethhdr *)frame)->h_proto = htons(ETH_P_IP);
	*ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	ip->tot_len = htons(size - ETH_HLEN);
	*tcp = (struct tcphdr){.doff = 5};
}

static void rx_segments(struct kunit *test, unsigned int bytes, u16 size)
{
	const struct netif_extra gso = {.type = NETIF_EXTRA_GSO,
					.u.gso = {.size = size, .type = NETIF_GSO_TCPV4}};
	struct netif_rx_rsp extra;

	memcpy(&extra, &gso, sizeof(extra));
	backend_rx_fill(test, queue, frame, 0, bytes, NETIF_RX_EXTRA_INFO | NETIF_RX_CSUM_BLANK);
	backend_rx_raw(test, queue, extra, false);
	backend_publish_rx(queue);
}

/* The next lent page, that had better be empty; it comes back as a frame full of bytes. */
static bool fill_empty_page(struct kunit *test)
{
	struct netif_rx_req request;
	struct netif_rx_rsp response;
	bool empty;

	KUNIT_ASSERT_EQ(test, (int)xen_back_take(&queue->rx, &request, sizeof(request)),
			(int)XEN_RING_FOUND);
	empty = !memchr_inv(backend_granted(request.grant), 0, PAGE_SIZE);
	memcpy(backend_granted(request.grant), frame, PAGE_SIZE);
	response = (struct netif_rx_rsp){request.id, 0, 0, PAGE_SIZE};
	xen_back_answer(&queue->rx, &response, sizeof(response));
	return empty;
}

/* Free memory is full of what others left there. */
static void leave_secrets(struct kunit *test)
{
	LIST_HEAD(pages);
	struct page *page, *next;
	unsigned int i;

	for (i = 0; i < 4 * PVNET_RING; i++) {
		page = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, page);
		memset(page_address(page), 0xa5, PAGE_SIZE);
		list_add(&page->lru, &pages);
	}
	list_for_each_entry_safe(page, next, &pages, lru) __free_page(page);
}

static void rx_lends_empty_pages(struct kunit *test)
{
	unsigned int i, full = 0;

	leave_secrets(test);
	guest_plug(test);
	for (i = 0; i < PVNET_RING; i++)
		full += !fill_empty_page(test);
	KUNIT_EXPECT_EQ(test, full, 0U);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == PVNET_RING);
}

/* So many that the pool is at its recycled pages. */
static void rx_lends_cleared_pages(struct kunit *test)
{
	const unsigned int batch = PVNET_RING / 2, frames = 6 * batch;
	unsigned int i, full = 0;

	fake_store_set(BACKEND_FRONT "/trusted", "0");
	guest_plug(test);
	for (i = 0; i < frames; i++) {
		full += !fill_empty_page(test);
		if ((i + 1) % batch)
			continue;
		backend_publish_rx(queue);
		EVENTUALLY(test, guest.frames == i + 1);
		EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
	}
	KUNIT_EXPECT_EQ(test, full, 0U);
}

/* The size that is no size, but the word for segments in a list: that frame is lost. */
static void rx_gso_by_frags(struct kunit *test)
{
	guest_plug(test);
	make_tcp(3000);
	rx_segments(test, 3000, 1000);
	EVENTUALLY(test, guest.frames == 1);
	KUNIT_EXPECT_EQ(test, (unsigned int)skb_shinfo(guest.last)->gso_size, 1000U);
	rx_segments(test, 3000, GSO_BY_FRAGS);
	EVENTUALLY(test, rx_errors() == 1 || guest.frames == 2);
	KUNIT_EXPECT_EQ(test, guest.frames, 1U);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

/* ---- comings and goings ---------------------------------------------------------------------- */

static void comes_back(struct kunit *test)
{
	int round;

	guest_plug(test);
	for (round = 0; round < 5; round++) {
		kfree_skb(guest_send(test, 100, 1));
		backend_let_go();
		backend_say("state", "6");
		EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSED);
		backend_say("state", "2");
		EVENTUALLY(test, backend_ask("state") == STORE_STATE_CONNECTED);
		backend_serve(test);
		EVENTUALLY(test, netif_carrier_ok(guest_net()->dev));
		EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
		backend_say("carrier", "0");
		EVENTUALLY(test, !netif_carrier_ok(guest_net()->dev));
		backend_say("carrier", "1");
		EVENTUALLY(test, netif_carrier_ok(guest_net()->dev));
		backend_rx_fill(test, queue, frame, 0, 100, 0);
		backend_publish_rx(queue);
		EVENTUALLY(test, guest.frames == round + 1U);
	}
}

/* The kernel takes no net_device twice: who could not register his is off until he is bound again. */
static void cannot_register(struct kunit *test)
{
	backend_announce(test);
	EVENTUALLY(test, guest_net());
	strscpy(guest_net()->dev->name, "lo", IFNAMSIZ); /* there is one already */
	backend_serve(test);
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	KUNIT_EXPECT_FALSE(test, test_bit(PVNET_ONLINE, &guest_net()->flags));
	expect_retired(test);
}

/* A back-end took over from one that died: it sees us close and begin anew. */
static void serve_successor(struct kunit *test)
{
	backend_let_go();
	backend_say("state", "2");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	backend_say("state", "5");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSED);
	backend_say("state", "6");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_INITIALISING);
	backend_say("state", "2");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CONNECTED);
	backend_serve(test);
	EVENTUALLY(test, test_bit(PVNET_REGISTERED, &guest_net()->flags));
	EVENTUALLY(test, netif_carrier_ok(guest_net()->dev));
}

static void successor(struct kunit *test)
{
	guest_plug(test);
	kfree_skb(guest_send(test, 100, 1));
	serve_successor(test);
	EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
}

/* The first one died before it was Connected. */
static void early_successor(struct kunit *test)
{
	backend_announce(test);
	EVENTUALLY(test, guest_net());
	serve_successor(test);
}

/* Other queues are wished for before the back-end is Connected, which then crosses our Closing. */
static void reopened_early(struct kunit *test)
{
	backend_announce(test);
	EVENTUALLY(test, guest_net());
	rtnl_lock();
	pvnet_reopen(guest_net());
	rtnl_unlock();
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CLOSING);
	backend_serve(test);
	msleep(20);
	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CLOSING);
	backend_reopen(test);
}

/* ---- asleep ---------------------------------------------------------------------------------- */

/* The back-end answers one frame, when it is late for that, and lets go. */
static void close_backend(struct work_struct *work)
{
	struct netif_tx_req request;
	int tries;

	for (tries = 0; tries < 300 && backend_ask("state") < STORE_STATE_CLOSING; tries++)
		msleep(10);
	if (backend.queues &&
	    xen_back_take(&queue->tx, &request, sizeof(request)) == XEN_RING_FOUND) {
		backend_tx_answer(queue, request.id, NETIF_OK);
		backend_publish_tx(queue);
	}
	backend_let_go();
	backend_say("state", "6");
}

static DECLARE_WORK(closer, close_backend);

/* The device's lock is held: no assertion ends the test here. */
static void expect_asleep(struct kunit *test)
{
	const struct pvnet *net = dev_get_drvdata(&guest.device->dev);
	struct pvkit_grants_count count;

	KUNIT_EXPECT_EQ(test, backend_ask("state"), (u32)STORE_STATE_CLOSED);
	KUNIT_EXPECT_EQ(test, net->queues, 0U);
	KUNIT_EXPECT_FALSE(test, netif_device_present(net->dev));
	KUNIT_EXPECT_FALSE(test, netif_carrier_ok(net->dev));
	pvkit_grants_count(&count);
	KUNIT_EXPECT_EQ(test, count.given, 0U);
	KUNIT_EXPECT_EQ(test, count.reserved, 0U);
}

static void sleep_and_wake(struct kunit *test)
{
	const struct dev_pm_ops *pm = pvnet_driver.driver.bus->pm;
	struct device *dev = &guest_net()->device->dev;
	const u32 port = queue->rx_port;

	schedule_work(&closer);
	device_lock(dev);
	KUNIT_EXPECT_EQ(test, pm->suspend(dev), 0);
	flush_work(&closer);
	expect_asleep(test);
	/* Nobody hears it, and nobody is sent. */
	fake_notify(port);
	kfree_skb(guest_send(test, 100, 0));
	KUNIT_EXPECT_EQ(test, pm->resume(dev), 0);
	device_unlock(dev);
	KUNIT_ASSERT_EQ(test, backend_ask("state"), (u32)STORE_STATE_INITIALISING);
	/* It looks at our state when it wakes; InitWait seen twice is two back-ends. */
	msleep(20);
	backend_say("state", "2");
	EVENTUALLY(test, backend_ask("state") == STORE_STATE_CONNECTED);
	backend_serve(test);
	EVENTUALLY(test, netif_carrier_ok(guest_net()->dev));
	EVENTUALLY(test, backend_rx_lent(queue) == PVNET_RING);
}

static void receive_one(struct kunit *test)
{
	const unsigned int before = guest.frames;

	backend_rx_fill(test, queue, frame, 0, 1000, 0);
	backend_publish_rx(queue);
	EVENTUALLY(test, guest.frames == before + 1);
}

static bool can_sleep(void)
{
	const struct dev_pm_ops *pm = pvnet_driver.driver.bus->pm;

	return pm && pm->suspend;
}

/* What was on its way is lost, as on any wire; the interface and its counts are not. */
static void sleeps_and_wakes(struct kunit *test)
{
	struct rtnl_link_stats64 stats;
	struct sk_buff *skb[3];
	unsigned int i;

	if (!can_sleep())
		kunit_skip(test, "this kernel cannot sleep");
	guest_plug(test);
	receive_one(test);
	for (i = 0; i < 3; i++)
		skb[i] = guest_send(test, 300, i);
	/* This one nobody is told of. */
	backend_rx_fill(test, queue, frame, 0, 1000, 0);
	xen_back_publish(&queue->rx);
	sleep_and_wake(test);
	for (i = 0; i < 3; i++) {
		EVENTUALLY(test, guest_is_over(skb[i]));
		kfree_skb(skb[i]);
	}
	receive_one(test);
	KUNIT_EXPECT_EQ(test, dev_get_stats(guest_net()->dev, &stats)->rx_packets, 2ULL);
	sleep_and_wake(test);
	receive_one(test);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

/* Who broke the protocol is another one after a suspend. */
static void sleep_forgives(struct kunit *test)
{
	if (!can_sleep())
		kunit_skip(test, "this kernel cannot sleep");
	guest_plug(test);
	backend_rx_raw(test, queue, (struct netif_rx_rsp){.id = 77, .status = 100}, false);
	backend_publish_rx(queue);
	expect_retired(test);
	sleep_and_wake(test);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
	receive_one(test);
}

/* ---- the suite ------------------------------------------------------------------------------- */

static int init(struct kunit *test)
{
	memset(frame, 0x52, sizeof(frame));
	return backend_init(test);
}

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(sends),
	KUNIT_CASE(sends_redirected),
	KUNIT_CASE(sends_redirected_untrusted),
	KUNIT_CASE(gone_while_sending),
	KUNIT_CASE(tx_bad_id),
	KUNIT_CASE(tx_free_id),
	KUNIT_CASE(tx_twice),
	KUNIT_CASE(tx_surplus_extra),
	KUNIT_CASE(tx_too_many),
	KUNIT_CASE(tx_keeps_page),
	KUNIT_CASE(receives),
	KUNIT_CASE(rx_bad_id),
	KUNIT_CASE(rx_past_page),
	KUNIT_CASE(rx_without_end),
	KUNIT_CASE(rx_without_extra),
	KUNIT_CASE(rx_bad_extra),
	KUNIT_CASE(rx_too_many),
	KUNIT_CASE(rx_many_parts),
	KUNIT_CASE(rx_too_long),
	KUNIT_CASE(rx_keeps_page),
	KUNIT_CASE(rx_gso_by_frags),
	KUNIT_CASE(rx_lends_empty_pages),
	KUNIT_CASE(rx_lends_cleared_pages),
	KUNIT_CASE(comes_back),
	KUNIT_CASE(cannot_register),
	KUNIT_CASE(successor),
	KUNIT_CASE(early_successor),
	KUNIT_CASE(reopened_early),
	KUNIT_CASE(sleeps_and_wakes),
	KUNIT_CASE(sleep_forgives),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net",
	.init = init,
	.exit = backend_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);
