// SPDX-License-Identifier: GPL-2.0
/*
 * The network front-end against a back-end whose hands are the test's: the network core above it is
 * the real one, and lockdep and KASAN look on. Catalogue: F50 (responses that cannot be), F51 (a
 * back-end that is gone), F52 (a page that is still in use when its owner wants it back; what a page
 * held before it is shown). Whatever happens, no reference and no page is left afterwards.
 */
#include <kunit/test.h>
#include <linux/bpf.h>
#include <linux/delay.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <net/xdp.h>

#include "guest-drivers/net/net.h"
#include "guest-kernel-module/grant_table.h"
#include "ring/order.h"
#include "tests/kunit/fake.h"

#define FRONT "/local/domain/1/device/vif/0"
#define BACK  "/local/domain/0/backend/vif/1/0"
#define USED  (GRANT_READING | GRANT_WRITING)

static struct {
	struct pvkit_device *device;
	struct xen_back tx, rx;
	u32 tx_reference, rx_reference, port;
	bool registered, mapped;
	struct packet_type tap;
	unsigned int frames; /* that the guest received */
	struct sk_buff *last;
} self;

/* Waits for a condition that others bring about. */
#define EVENTUALLY(test, condition)                           \
	do {                                                  \
		int tries;                                    \
		for (tries = 0; tries < 1500 && !(condition);) \
			msleep(++tries > 5 ? 10 : 1);         \
		KUNIT_ASSERT_TRUE(test, condition);           \
	} while (0)

/* ---- the back-end's hands -------------------------------------------------------------------- */

static void say(const char *key, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), BACK "/%s", key);
	fake_store_set(path, value);
}

static u32 ask(const char *key)
{
	const char *value;
	char path[96];
	u32 number;

	snprintf(path, sizeof(path), FRONT "/%s", key);
	value = fake_store_get(path);
	return value && !kstrtouint(value, 10, &number) ? number : 0;
}

static struct grant_v1 *grant(u32 reference)
{
	return fake.platform.entries + reference;
}

static u8 *granted(u32 reference)
{
	return page_address(pfn_to_page(grant(reference)->frame));
}

static void map_ring(struct kunit *test, struct xen_back *ring, u32 reference, u32 slot_bytes)
{
	const struct xen_ring_position start = {};
	struct xen_ring_area area = {.bytes = PAGE_SIZE, .slot_bytes = slot_bytes};

	KUNIT_ASSERT_TRUE(test, grant(reference)->flags & GRANT_PERMIT_ACCESS);
	grant(reference)->flags |= USED;
	area.pages = granted(reference);
	KUNIT_ASSERT_EQ(test, xen_back_init(ring, &area, start), 0);
}

static void serve(struct kunit *test)
{
	self.tx_reference = ask("tx-ring-ref");
	self.rx_reference = ask("rx-ring-ref");
	self.port = ask("event-channel");
	map_ring(test, &self.tx, self.tx_reference, NETIF_TX_SLOT_BYTES);
	map_ring(test, &self.rx, self.rx_reference, NETIF_RX_SLOT_BYTES);
	self.mapped = true;
	say("state", "4");
}

static void let_go(void)
{
	if (!self.mapped)
		return;
	grant(self.tx_reference)->flags &= ~USED;
	grant(self.rx_reference)->flags &= ~USED;
	self.mapped = false;
}

static void publish(struct xen_back *ring)
{
	xen_back_publish(ring);
	xen_back_should_notify(ring);
	fake_notify(self.port);
}

static void tx_answer(u16 id, s16 status)
{
	const struct netif_tx_rsp response = {id, status};

	xen_back_answer(&self.tx, &response, sizeof(response));
}

/* Bytes at @offset of the next page that was lent, to be announced. */
static u32 rx_fill(struct kunit *test, const void *data, unsigned int offset, unsigned int size,
		   u16 flags)
{
	struct netif_rx_req request;
	struct netif_rx_rsp response;

	KUNIT_ASSERT_EQ(test, (int)xen_back_take(&self.rx, &request, sizeof(request)),
			(int)XEN_RING_FOUND);
	memcpy(granted(request.grant) + offset, data, size);
	response = (struct netif_rx_rsp){request.id, offset, flags, size};
	xen_back_answer(&self.rx, &response, sizeof(response));
	return request.grant;
}

/* Anything, in the place of the next response. */
static void rx_raw(struct kunit *test, struct netif_rx_rsp response, bool right_id)
{
	struct netif_rx_req request;

	KUNIT_ASSERT_EQ(test, (int)xen_back_take(&self.rx, &request, sizeof(request)),
			(int)XEN_RING_FOUND);
	if (right_id)
		response.id = request.id;
	xen_back_answer(&self.rx, &response, sizeof(response));
}

/* ---- the guest ------------------------------------------------------------------------------- */

static struct pvnet *net_of(void)
{
	struct device *dev = bus_find_device_by_name(pvnet_driver.driver.bus, NULL, "vif-0");

	if (!dev)
		return NULL;
	put_device(dev);
	self.device = to_pvkit_device(dev);
	return dev_get_drvdata(dev);
}

static int receive(struct sk_buff *skb, struct net_device *dev, struct packet_type *type,
		   struct net_device *orig)
{
	if (skb->pkt_type == PACKET_OUTGOING) {
		kfree_skb(skb);
		return 0;
	}
	self.frames++;
	kfree_skb(self.last);
	self.last = skb;
	return 0;
}

static void announce(struct kunit *test)
{
	const char *const ones[] = {"feature-rx-copy", "feature-sg", "feature-gso-tcpv4",
				    "feature-ipv6-csum-offload", "online"};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ones); i++)
		say(ones[i], "1");
	say("state", "2");
	fake_store_set(FRONT "/state", "1");
	fake_store_set(FRONT "/mac", "52:54:00:12:34:56");
	fake_store_set(FRONT "/backend-id", "0");
	fake_store_set(FRONT "/backend", BACK);
	EVENTUALLY(test, ask("state") == STORE_STATE_CONNECTED);
}

static void plug(struct kunit *test)
{
	int error;

	announce(test);
	serve(test);
	EVENTUALLY(test, net_of() && test_bit(PVNET_REGISTERED, &net_of()->flags));
	EVENTUALLY(test, netif_carrier_ok(net_of()->dev));
	rtnl_lock();
	error = dev_open(net_of()->dev, NULL);
	rtnl_unlock();
	KUNIT_ASSERT_EQ(test, error, 0);
	self.tap.type = htons(ETH_P_ALL);
	self.tap.dev = net_of()->dev;
	self.tap.func = receive;
	dev_add_pack(&self.tap);
	/* All pages are lent. */
	EVENTUALLY(test, xen_back_waiting(&self.rx, PVNET_RING) == PVNET_RING);
}

/* A frame with @head bytes in its linear part and @pages behind. */
static struct sk_buff *send(struct kunit *test, unsigned int head, unsigned int pages)
{
	struct sk_buff *skb = alloc_skb(head + 64, GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, 64);
	memset(skb_put(skb, head), 0x5a, head);
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	for (i = 0; i < pages; i++)
		skb_add_rx_frag(skb, i, alloc_page(GFP_KERNEL | __GFP_ZERO), 0, PAGE_SIZE,
				PAGE_SIZE);
	skb->dev = net_of()->dev;
	skb->protocol = htons(ETH_P_802_2);
	skb_get(skb); /* to see when the driver has let go */
	dev_queue_xmit(skb);
	return skb;
}

static bool over(struct sk_buff *skb)
{
	return refcount_read(&skb->users) == 1;
}

/* The device is off, by one breach of the protocol. */
static void expect_retired(struct kunit *test)
{
	EVENTUALLY(test, pvnet_retired(net_of()));
	EVENTUALLY(test, !netif_carrier_ok(net_of()->dev));
	EVENTUALLY(test, ask("state") == STORE_STATE_CLOSING);
	/* It stays off, whatever the back-end says. */
	let_go();
	say("state", "6");
	EVENTUALLY(test, ask("state") == STORE_STATE_CLOSED);
	say("state", "2");
	msleep(20);
	KUNIT_EXPECT_EQ(test, ask("state"), (u32)STORE_STATE_CLOSED);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The next slot of our frames; what the guest says by itself, IPv6, is answered at once. */
static u16 take_request(struct kunit *test, struct netif_tx_req *request)
{
	const u8 *data;

	do {
		EVENTUALLY(test, xen_back_has_work(&self.tx));
		KUNIT_ASSERT_EQ(test, (int)xen_back_take(&self.tx, request, sizeof(*request)),
				(int)XEN_RING_FOUND);
		data = granted(request->grant) + request->offset;
		if (data[12] == 0x86)
			tx_answer(request->id, NETIF_OK);
	} while (data[12] == 0x86);
	return request->id;
}

static void sends(struct kunit *test)
{
	struct netif_tx_req request;
	struct sk_buff *small, *large;
	unsigned int i;
	u16 id[4];

	plug(test);
	small = send(test, 100, 0);
	id[0] = take_request(test, &request);
	KUNIT_EXPECT_EQ(test, request.size, 100);
	KUNIT_EXPECT_EQ(test, request.flags, 0);
	KUNIT_EXPECT_EQ(test, granted(request.grant)[request.offset + 99], 0x5a);
	KUNIT_EXPECT_FALSE(test, over(small));
	tx_answer(id[0], NETIF_OK);
	publish(&self.tx);
	EVENTUALLY(test, over(small));
	kfree_skb(small);

	/* Three slots, answered in another order: it is over with the last. */
	large = send(test, 60, 2);
	for (i = 0; i < 3; i++) {
		id[i] = take_request(test, &request);
		KUNIT_EXPECT_EQ(test, (int)request.size, i ? (int)PAGE_SIZE : 60 + 8192);
		KUNIT_EXPECT_EQ(test, !!(request.flags & NETIF_TX_MORE_DATA), i < 2);
		KUNIT_EXPECT_TRUE(test, grant(request.grant)->flags & GRANT_READONLY);
	}
	tx_answer(id[2], NETIF_OK);
	tx_answer(id[0], NETIF_OK);
	publish(&self.tx);
	msleep(20);
	KUNIT_EXPECT_FALSE(test, over(large));
	tx_answer(id[1], NETIF_OK);
	publish(&self.tx);
	EVENTUALLY(test, over(large));
	kfree_skb(large);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(net_of()));
}

/* Sends a frame of 500 bytes as another device would: in a page that begins with its xdp_frame. */
static void redirect(struct kunit *test, struct page *page)
{
	struct net_device *dev = net_of()->dev;
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
	fake_store_set(FRONT "/trusted", trusted ? "1" : "0");
	plug(test);
	get_page(page); /* to see when the driver has let go */
	redirect(test, page);
	take_request(test, &request);
	shown = granted(request.grant);
	KUNIT_EXPECT_EQ(test, request.size, 500);
	KUNIT_EXPECT_NULL(test, memchr_inv(shown + request.offset, 0x5a, 500));
	KUNIT_EXPECT_EQ(test, shown == page_address(page), trusted);
	if (!trusted)
		KUNIT_EXPECT_NULL(test, memchr_inv(shown + 500, 0, PAGE_SIZE - 500));
	tx_answer(request.id, NETIF_OK);
	publish(&self.tx);
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

	plug(test);
	skb[0] = send(test, 60, 3);
	skb[1] = send(test, 1000, 0);
	skb[2] = send(test, 100, 0);
	/* One of its pages is in use and stays so for a while. */
	take_request(test, &request);
	take_request(test, &request);
	grant(request.grant)->flags |= GRANT_READING;
	let_go();
	say("online", "0");
	say("state", "6");
	EVENTUALLY(test, ask("state") == STORE_STATE_CLOSED);
	for (i = 0; i < 3; i++) {
		EVENTUALLY(test, over(skb[i]));
		kfree_skb(skb[i]);
	}
	grant(request.grant)->flags &= ~GRANT_READING;
}

static void send_bad(struct kunit *test, int id_plus, s16 status, unsigned int times)
{
	struct netif_tx_req request;
	struct sk_buff *skb;
	u16 id;

	plug(test);
	skb = send(test, 60, 1);
	id = take_request(test, &request);
	take_request(test, &request);
	while (times--)
		tx_answer(id + id_plus, status);
	publish(&self.tx);
	expect_retired(test);
	EVENTUALLY(test, over(skb));
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
	plug(test);
	order_store_release(&self.tx.ring.header->rsp_prod, 300);
	fake_notify(self.port);
	expect_retired(test);
}

static void tx_keeps_page(struct kunit *test)
{
	struct netif_tx_req request;
	struct sk_buff *skb;

	plug(test);
	skb = send(test, 60, 1);
	tx_answer(take_request(test, &request), NETIF_OK);
	take_request(test, &request);
	grant(request.grant)->flags |= GRANT_READING;
	tx_answer(request.id, NETIF_OK);
	publish(&self.tx);
	expect_retired(test);
	EVENTUALLY(test, over(skb));
	kfree_skb(skb);
	grant(request.grant)->flags &= ~GRANT_READING;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static u8 frame[3 * PAGE_SIZE];

static void receives(struct kunit *test)
{
	struct netif_extra gso = {.type = NETIF_EXTRA_GSO,
				  .u.gso = {.size = 1000, .type = NETIF_GSO_TCPV4}};
	struct netif_rx_rsp extra;
	unsigned int i;

	plug(test);
	for (i = 0; i < 100; i++) {
		unsigned int size = 60 + i * 30;

		rx_fill(test, frame, i % 128, size, 0);
		publish(&self.rx);
		EVENTUALLY(test, self.frames == i + 1);
		KUNIT_ASSERT_EQ(test, self.last->len + ETH_HLEN, size);
		EVENTUALLY(test, xen_back_waiting(&self.rx, PVNET_RING));
	}
	/* In three pages. */
	rx_fill(test, frame, 0, PAGE_SIZE, NETIF_RX_MORE_DATA);
	rx_fill(test, frame, 0, PAGE_SIZE, NETIF_RX_MORE_DATA);
	rx_fill(test, frame, 0, 7, 0);
	publish(&self.rx);
	EVENTUALLY(test, self.frames == 101);
	KUNIT_EXPECT_EQ(test, self.last->len + ETH_HLEN, (unsigned int)(2 * PAGE_SIZE + 7));
	/* Headers that are none: GSO is refused, and nothing else. */
	rx_fill(test, frame, 0, 3000, NETIF_RX_EXTRA_INFO | NETIF_RX_CSUM_BLANK);
	memcpy(&extra, &gso, sizeof(extra));
	rx_raw(test, extra, false);
	/* The back-end's own word that it failed; a frame that is too short. */
	rx_raw(test, (struct netif_rx_rsp){.status = NETIF_ERROR}, true);
	rx_fill(test, frame, 0, 13, 0);
	rx_fill(test, frame, 0, 100, 0);
	publish(&self.rx);
	EVENTUALLY(test, self.frames == 102);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(net_of()));
}

static void rx_bad_id(struct kunit *test)
{
	plug(test);
	rx_raw(test, (struct netif_rx_rsp){.id = 77, .status = 100}, false);
	publish(&self.rx);
	expect_retired(test);
}

static void rx_past_page(struct kunit *test)
{
	plug(test);
	rx_raw(test, (struct netif_rx_rsp){.offset = 4000, .status = 97}, true);
	publish(&self.rx);
	expect_retired(test);
}

static void rx_without_end(struct kunit *test)
{
	plug(test);
	rx_fill(test, frame, 0, 100, NETIF_RX_MORE_DATA);
	publish(&self.rx);
	expect_retired(test);
}

static void rx_without_extra(struct kunit *test)
{
	plug(test);
	rx_fill(test, frame, 0, 100, NETIF_RX_EXTRA_INFO);
	publish(&self.rx);
	expect_retired(test);
}

static void rx_bad_extra(struct kunit *test)
{
	plug(test);
	rx_fill(test, frame, 0, 100, NETIF_RX_EXTRA_INFO);
	rx_raw(test, (struct netif_rx_rsp){.id = NETIF_EXTRA_TYPES}, false);
	publish(&self.rx);
	expect_retired(test);
}

static void rx_too_many(struct kunit *test)
{
	plug(test);
	order_store_release(&self.rx.ring.header->rsp_prod, PVNET_RING + 1);
	fake_notify(self.port);
	expect_retired(test);
}

/* More pages than a frame can have: that frame is lost. */
static void rx_many_parts(struct kunit *test)
{
	unsigned int i;

	plug(test);
	for (i = 0; i < 40; i++)
		rx_fill(test, frame, 0, 50, i < 39 ? NETIF_RX_MORE_DATA : 0);
	rx_fill(test, frame, 0, 100, 0);
	publish(&self.rx);
	EVENTUALLY(test, self.frames == 1);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(net_of()));
}

static u64 rx_errors(void)
{
	struct rtnl_link_stats64 stats;

	return dev_get_stats(net_of()->dev, &stats)->rx_errors;
}

/* A frame in 17 pages, the last of which has @last bytes. */
static void rx_long(struct kunit *test, unsigned int last)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		rx_fill(test, frame, 0, PAGE_SIZE, NETIF_RX_MORE_DATA);
	rx_fill(test, frame, 0, last, 0);
	publish(&self.rx);
}

/* More bytes than any packet has: that frame is lost. */
static void rx_too_long(struct kunit *test)
{
	const unsigned int most = U16_MAX + VLAN_ETH_HLEN - 16 * PAGE_SIZE;

	plug(test);
	rx_long(test, most);
	EVENTUALLY(test, self.frames == 1);
	rx_long(test, most + 1);
	EVENTUALLY(test, rx_errors() == 1 || self.frames == 2);
	KUNIT_EXPECT_EQ(test, self.frames, 1U);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(net_of()));
}

static void rx_keeps_page(struct kunit *test)
{
	u32 reference;

	plug(test);
	reference = rx_fill(test, frame, 0, 1000, 0);
	grant(reference)->flags |= USED;
	publish(&self.rx);
	expect_retired(test);
	KUNIT_EXPECT_EQ(test, self.frames, 0U);
	grant(reference)->flags &= ~USED;
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
	rx_fill(test, frame, 0, bytes, NETIF_RX_EXTRA_INFO | NETIF_RX_CSUM_BLANK);
	rx_raw(test, extra, false);
	publish(&self.rx);
}

/* The next lent page, that had better be empty; it comes back as a frame full of bytes. */
static bool fill_empty_page(struct kunit *test)
{
	struct netif_rx_req request;
	struct netif_rx_rsp response;
	bool empty;

	KUNIT_ASSERT_EQ(test, (int)xen_back_take(&self.rx, &request, sizeof(request)),
			(int)XEN_RING_FOUND);
	empty = !memchr_inv(granted(request.grant), 0, PAGE_SIZE);
	memcpy(granted(request.grant), frame, PAGE_SIZE);
	response = (struct netif_rx_rsp){request.id, 0, 0, PAGE_SIZE};
	xen_back_answer(&self.rx, &response, sizeof(response));
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
	list_for_each_entry_safe(page, next, &pages, lru)
		__free_page(page);
}

static void rx_lends_empty_pages(struct kunit *test)
{
	unsigned int i, full = 0;

	leave_secrets(test);
	plug(test);
	for (i = 0; i < PVNET_RING; i++)
		full += !fill_empty_page(test);
	KUNIT_EXPECT_EQ(test, full, 0U);
	publish(&self.rx);
	EVENTUALLY(test, self.frames == PVNET_RING);
}

/* So many that the pool is at its recycled pages. */
static void rx_lends_cleared_pages(struct kunit *test)
{
	const unsigned int batch = PVNET_RING / 2, frames = 6 * batch;
	unsigned int i, full = 0;

	fake_store_set(FRONT "/trusted", "0");
	plug(test);
	for (i = 0; i < frames; i++) {
		full += !fill_empty_page(test);
		if ((i + 1) % batch)
			continue;
		publish(&self.rx);
		EVENTUALLY(test, self.frames == i + 1);
		EVENTUALLY(test, xen_back_waiting(&self.rx, PVNET_RING) == PVNET_RING);
	}
	KUNIT_EXPECT_EQ(test, full, 0U);
}

/* The size that is no size, but the word for segments in a list: that frame is lost. */
static void rx_gso_by_frags(struct kunit *test)
{
	plug(test);
	make_tcp(3000);
	rx_segments(test, 3000, 1000);
	EVENTUALLY(test, self.frames == 1);
	KUNIT_EXPECT_EQ(test, (unsigned int)skb_shinfo(self.last)->gso_size, 1000U);
	rx_segments(test, 3000, GSO_BY_FRAGS);
	EVENTUALLY(test, rx_errors() == 1 || self.frames == 2);
	KUNIT_EXPECT_EQ(test, self.frames, 1U);
	KUNIT_EXPECT_FALSE(test, pvnet_retired(net_of()));
}

/* ---- comings and goings ---------------------------------------------------------------------- */

static void comes_back(struct kunit *test)
{
	int round;

	plug(test);
	for (round = 0; round < 5; round++) {
		kfree_skb(send(test, 100, 1));
		let_go();
		say("state", "6");
		EVENTUALLY(test, ask("state") == STORE_STATE_CLOSED);
		say("state", "2");
		EVENTUALLY(test, ask("state") == STORE_STATE_CONNECTED);
		serve(test);
		EVENTUALLY(test, netif_carrier_ok(net_of()->dev));
		EVENTUALLY(test, xen_back_waiting(&self.rx, PVNET_RING) == PVNET_RING);
		say("carrier", "0");
		EVENTUALLY(test, !netif_carrier_ok(net_of()->dev));
		say("carrier", "1");
		EVENTUALLY(test, netif_carrier_ok(net_of()->dev));
		rx_fill(test, frame, 0, 100, 0);
		publish(&self.rx);
		EVENTUALLY(test, self.frames == round + 1U);
	}
}

/* A back-end took over from one that died: it sees us close and begin anew. */
static void serve_successor(struct kunit *test)
{
	let_go();
	say("state", "2");
	EVENTUALLY(test, ask("state") == STORE_STATE_CLOSING);
	say("state", "5");
	EVENTUALLY(test, ask("state") == STORE_STATE_CLOSED);
	say("state", "6");
	EVENTUALLY(test, ask("state") == STORE_STATE_INITIALISING);
	say("state", "2");
	EVENTUALLY(test, ask("state") == STORE_STATE_CONNECTED);
	serve(test);
	EVENTUALLY(test, test_bit(PVNET_REGISTERED, &net_of()->flags));
	EVENTUALLY(test, netif_carrier_ok(net_of()->dev));
}

static void successor(struct kunit *test)
{
	plug(test);
	kfree_skb(send(test, 100, 1));
	serve_successor(test);
	EVENTUALLY(test, xen_back_waiting(&self.rx, PVNET_RING) == PVNET_RING);
}

/* The first one died before it was Connected. */
static void early_successor(struct kunit *test)
{
	announce(test);
	EVENTUALLY(test, net_of());
	serve_successor(test);
}

/* Other queues are wished for before the back-end is Connected, which then crosses our Closing. */
static void reopened_early(struct kunit *test)
{
	announce(test);
	EVENTUALLY(test, net_of());
	rtnl_lock();
	pvnet_reopen(net_of());
	rtnl_unlock();
	KUNIT_EXPECT_EQ(test, ask("state"), (u32)STORE_STATE_CLOSING);
	serve(test);
	msleep(20);
	KUNIT_EXPECT_EQ(test, ask("state"), (u32)STORE_STATE_CLOSING);
	let_go();
	say("state", "6");
	EVENTUALLY(test, ask("state") == STORE_STATE_INITIALISING);
	say("state", "2");
	EVENTUALLY(test, ask("state") == STORE_STATE_CONNECTED);
	serve(test);
	EVENTUALLY(test, test_bit(PVNET_REGISTERED, &net_of()->flags));
	EVENTUALLY(test, netif_carrier_ok(net_of()->dev));
}

static void leave(struct kunit *test)
{
	struct pvkit_grants_count count;
	unsigned int i;

	if (self.tap.dev)
		dev_remove_pack(&self.tap);
	kfree_skb(self.last);
	say("state", "6");
	let_go();
	fake_bus_stop();
	if (self.registered)
		pvkit_driver_unregister(&pvnet_driver);
	/* What the back-end let go of comes back within a second. */
	for (i = 0; i < 200; i++) {
		pvkit_grants_count(&count);
		if (!count.waiting)
			break;
		msleep(10);
	}
	KUNIT_EXPECT_EQ(test, count.reserved, 0U);
	KUNIT_EXPECT_EQ(test, count.given, 0U);
	fake_store_stop();
	fake_stop();
}

static int init(struct kunit *test)
{
	int error = fake_start() ?: fake_store_start();

	memset(&self, 0, sizeof(self));
	memset(frame, 0x52, sizeof(frame));
	if (!error)
		error = __pvkit_driver_register(&pvnet_driver, NULL);
	self.registered = !error;
	return error ?: fake_bus_start();
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
	KUNIT_CASE(successor),
	KUNIT_CASE(early_successor),
	KUNIT_CASE(reopened_early),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
