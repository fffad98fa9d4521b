// SPDX-License-Identifier: GPL-2.0
/*
 * What is left to the back-end of a frame that is sent, a checksum or the cut into segments, and how
 * it is told: flags of the first slot, and an extra slot. What it did not offer is done before.
 */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/ip6_checksum.h>

#include "tests/kunit/net_backend.h"

#define SEGMENT 1000U

static struct backend_queue *const queue = &backend.queue[0];

/* ---- frames of TCP --------------------------------------------------------------------------- */

static const struct in6_addr here = {.s6_addr = {0xfd, 1}}, there = {.s6_addr = {0xfd, 2}};

static void put_ipv4(struct sk_buff *skb, unsigned int bytes)
{
	struct iphdr *ip = skb_put_zero(skb, sizeof(*ip));

	*ip = (struct iphdr){.version = 4,
			     .ihl = 5,
			     .ttl = 64,
			     .protocol = IPPROTO_TCP,
			     .tot_len = htons(sizeof(*ip) + bytes),
			     .saddr = htonl(0x0a000001),
			     .daddr = htonl(0x0a000002)};
	ip->check = ip_fast_csum(ip, ip->ihl);
}

static void put_ipv6(struct sk_buff *skb, unsigned int bytes)
{
	struct ipv6hdr *ip = skb_put_zero(skb, sizeof(*ip));

	*ip = (struct ipv6hdr){.version = 6,
			       .payload_len = htons(bytes),
			       .nexthdr = IPPROTO_TCP,
			       .hop_limit = 64,
			       .saddr = here,
			       .daddr = there};
}

/* The sum over addresses, protocol and length: what stands where the checksum is left blank. */
static __sum16 pseudo_sum(bool v6, unsigned int bytes, __wsum data)
{
	return v6 ? csum_ipv6_magic(&here, &there, bytes, IPPROTO_TCP, data)
		  : csum_tcpudp_magic(htonl(0x0a000001), htonl(0x0a000002), bytes, IPPROTO_TCP,
				      data);
}

/* @payload bytes in @pages, behind headers that leave the checksum blank. */
static struct sk_buff *make_tcp(struct kunit *test, bool v6, unsigned int payload)
{
	struct sk_buff *skb = alloc_skb(256, GFP_KERNEL);
	unsigned int bytes = sizeof(struct tcphdr) + payload;
	struct ethhdr *eth;
	struct tcphdr *tcp;

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, 64);
	skb_reset_mac_header(skb);
	eth = skb_put_zero(skb, sizeof(*eth));
	eth->h_dest[0] = 0x52;
	eth->h_proto = skb->protocol = htons(v6 ? ETH_P_IPV6 : ETH_P_IP);
	skb_set_network_header(skb, skb->len);
	if (v6)
		put_ipv6(skb, bytes);
	else
		put_ipv4(skb, bytes);
	skb_set_transport_header(skb, skb->len);
	tcp = skb_put_zero(skb, sizeof(*tcp));
	*tcp = (struct tcphdr){.doff = 5, .ack = 1, .check = ~pseudo_sum(v6, bytes, 0)};
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = (u8 *)tcp - skb->head;
	skb->csum_offset = offsetof(struct tcphdr, check);
	while (payload) {
		unsigned int part = min_t(unsigned int, payload, PAGE_SIZE);

		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, alloc_page(GFP_KERNEL | __GFP_ZERO),
				0, part, PAGE_SIZE);
		payload -= part;
	}
	skb->dev = guest_net()->dev;
	return skb;
}

static struct sk_buff *make_segments(struct kunit *test, bool v6, unsigned int payload)
{
	struct sk_buff *skb = make_tcp(test, v6, payload);

	skb_shinfo(skb)->gso_size = SEGMENT;
	skb_shinfo(skb)->gso_type = v6 ? SKB_GSO_TCPV6 : SKB_GSO_TCPV4;
	skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(payload, SEGMENT);
	return skb;
}

/* ---- the ring -------------------------------------------------------------------------------- */

/* A whole frame off the ring: its first slot, its extra slot, its bytes. Answered. */
struct sent {
	struct netif_tx_req first;
	struct netif_extra extra;
	unsigned int slots;
	u8 bytes[8 * PAGE_SIZE];
};

static struct sent sent;

static void take_extra(struct kunit *test)
{
	u8 slot[NETIF_TX_SLOT_BYTES];

	KUNIT_ASSERT_EQ(test, (int)xen_back_take(&queue->tx, slot, sizeof(slot)),
			(int)XEN_RING_FOUND);
	memcpy(&sent.extra, slot, sizeof(sent.extra));
	backend_tx_answer(queue, 0, NETIF_NULL);
}

static void take_piece(struct kunit *test, const struct netif_tx_req *request, unsigned int at,
		       unsigned int size)
{
	KUNIT_ASSERT_LE(test, at + size, (unsigned int)sizeof(sent.bytes));
	KUNIT_ASSERT_LE(test, request->offset + size, (unsigned int)PAGE_SIZE);
	memcpy(sent.bytes + at, backend_granted(request->grant) + request->offset, size);
	backend_tx_answer(queue, request->id, NETIF_OK);
	sent.slots++;
}

static void take_frame(struct kunit *test)
{
	struct netif_tx_req rest[NETIF_SLOTS_MIN], request;
	unsigned int count = 0, behind = 0, at, i;

	sent.slots = 0;
	sent.extra = (struct netif_extra){};
	backend_tx_take(test, queue, &sent.first);
	if (sent.first.flags & NETIF_TX_EXTRA_INFO)
		take_extra(test);
	request = sent.first;
	while (request.flags & NETIF_TX_MORE_DATA) {
		KUNIT_ASSERT_LT(test, count, (unsigned int)NETIF_SLOTS_MIN);
		KUNIT_ASSERT_EQ(test, (int)xen_back_take(&queue->tx, &request, sizeof(request)),
				(int)XEN_RING_FOUND);
		behind += request.size;
		rest[count++] = request;
	}
	/* The first one's size is that of all. */
	KUNIT_ASSERT_LT(test, behind, (unsigned int)sent.first.size);
	at = sent.first.size - behind;
	take_piece(test, &sent.first, 0, at);
	for (i = 0; i < count; at += rest[i++].size)
		take_piece(test, &rest[i], at, rest[i].size);
	backend_publish_tx(queue);
}

static const struct tcphdr *tcp_of(bool v6)
{
	return (const void *)(sent.bytes + ETH_HLEN +
			      (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)));
}

static unsigned int tcp_bytes(bool v6)
{
	return sent.first.size - ((const u8 *)tcp_of(v6) - sent.bytes);
}

static bool sum_is_good(bool v6)
{
	unsigned int bytes = tcp_bytes(v6);

	return !pseudo_sum(v6, bytes, csum_partial(tcp_of(v6), bytes, 0));
}

static void finish(struct kunit *test)
{
	const struct pvnet_tx *tx = &guest_net()->queue[0]->tx;

	EVENTUALLY(test, (backend_tx_rest(queue), !tx->in_flight && !tx->extras));
	KUNIT_EXPECT_FALSE(test, pvnet_retired(guest_net()));
}

/* ---- checksums ------------------------------------------------------------------------------- */

static void expect_blank(struct kunit *test, bool v6)
{
	guest_plug(test);
	dev_queue_xmit(make_tcp(test, v6, 1200));
	take_frame(test);
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.first.flags & ~NETIF_TX_MORE_DATA,
			NETIF_TX_CSUM_BLANK | NETIF_TX_DATA_VALIDATED);
	KUNIT_EXPECT_EQ(test, (unsigned int)tcp_of(v6)->check,
			(unsigned int)(__sum16)~pseudo_sum(v6, tcp_bytes(v6), 0));
	finish(test);
}

static void expect_filled_in(struct kunit *test, bool v6)
{
	guest_plug(test);
	dev_queue_xmit(make_tcp(test, v6, 1200));
	take_frame(test);
	KUNIT_EXPECT_EQ(test, sent.first.flags & (NETIF_TX_CSUM_BLANK | NETIF_TX_EXTRA_INFO), 0U);
	KUNIT_EXPECT_TRUE(test, sum_is_good(v6));
	finish(test);
}

static void checksum_v4_is_blank(struct kunit *test)
{
	expect_blank(test, false);
}

static void checksum_v6_is_blank(struct kunit *test)
{
	expect_blank(test, true);
}

static void checksum_v4_not_wanted(struct kunit *test)
{
	backend_say(NETIF_KEY_NO_CSUM_V4, "1");
	expect_filled_in(test, false);
}

static void checksum_v6_not_offered(struct kunit *test)
{
	backend_say(NETIF_KEY_CSUM_V6, "0");
	expect_filled_in(test, true);
}

static void checksum_was_seen(struct kunit *test)
{
	struct sk_buff *skb;

	guest_plug(test);
	skb = make_tcp(test, false, 100);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	dev_queue_xmit(skb);
	take_frame(test);
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.first.flags & ~NETIF_TX_MORE_DATA,
			NETIF_TX_DATA_VALIDATED);
	finish(test);
}

/* ---- segments -------------------------------------------------------------------------------- */

static void expect_segments(struct kunit *test, bool v6, u8 type)
{
	const unsigned int payload = 5 * PAGE_SIZE + 77;

	backend_say(NETIF_KEY_GSO_TCPV6, "1");
	guest_plug(test);
	dev_queue_xmit(make_segments(test, v6, payload));
	take_frame(test);
	KUNIT_EXPECT_EQ(test, tcp_bytes(v6), payload + (unsigned int)sizeof(struct tcphdr));
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.first.flags,
			NETIF_TX_CSUM_BLANK | NETIF_TX_DATA_VALIDATED | NETIF_TX_EXTRA_INFO |
				NETIF_TX_MORE_DATA);
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.extra.type, (unsigned int)NETIF_EXTRA_GSO);
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.extra.flags, 0U);
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.extra.u.gso.size, SEGMENT);
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.extra.u.gso.type, (unsigned int)type);
	KUNIT_EXPECT_EQ(test, (unsigned int)sent.extra.u.gso.features, 0U);
	KUNIT_EXPECT_EQ(test, sent.slots, 7U); /* headers, 6 pages */
	finish(test);
	KUNIT_EXPECT_EQ(test, u64_stats_read(&guest_net()->queue[0]->tx.stats.gso), 1ULL);
}

static void segments_v4(struct kunit *test)
{
	expect_segments(test, false, NETIF_GSO_TCPV4);
}

static void segments_v6(struct kunit *test)
{
	expect_segments(test, true, NETIF_GSO_TCPV6);
}

/* The stack cuts it: frames of one segment, complete. */
static void expect_cut(struct kunit *test, bool v6)
{
	unsigned int i;

	guest_plug(test);
	dev_queue_xmit(make_segments(test, v6, 3 * SEGMENT));
	for (i = 0; i < 3; i++) {
		take_frame(test);
		KUNIT_EXPECT_EQ(test, sent.first.flags & NETIF_TX_EXTRA_INFO, 0U);
		KUNIT_EXPECT_EQ(test, tcp_bytes(v6), SEGMENT + (unsigned int)sizeof(struct tcphdr));
		KUNIT_EXPECT_EQ(test, ntohl(tcp_of(v6)->seq), i * SEGMENT);
	}
	finish(test);
	KUNIT_EXPECT_EQ(test, u64_stats_read(&guest_net()->queue[0]->tx.stats.gso), 0ULL);
}

static void segments_v4_not_offered(struct kunit *test)
{
	backend_say(NETIF_KEY_GSO_TCPV4, "0");
	expect_cut(test, false);
}

static void segments_v6_not_offered(struct kunit *test)
{
	expect_cut(test, true);
}

/* Segments need a checksum that is left blank. */
static void segments_without_checksum(struct kunit *test)
{
	backend_say(NETIF_KEY_NO_CSUM_V4, "1");
	expect_cut(test, false);
	KUNIT_EXPECT_TRUE(test, sum_is_good(false));
}

/* A back-end that takes one slot a frame gets no more. */
static void one_slot_a_frame(struct kunit *test)
{
	backend_say(NETIF_KEY_SG, "0");
	guest_plug(test);
	dev_queue_xmit(make_tcp(test, false, 1400));
	take_frame(test);
	KUNIT_EXPECT_EQ(test, sent.slots, 1U);
	KUNIT_EXPECT_EQ(test, tcp_bytes(false), 1400 + (unsigned int)sizeof(struct tcphdr));
	KUNIT_EXPECT_TRUE(test, sum_is_good(false) || sent.first.flags & NETIF_TX_CSUM_BLANK);
	finish(test);
}

/* ---- the suite ------------------------------------------------------------------------------- */

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(checksum_v4_is_blank),
	KUNIT_CASE(checksum_v6_is_blank),
	KUNIT_CASE(checksum_v4_not_wanted),
	KUNIT_CASE(checksum_v6_not_offered),
	KUNIT_CASE(checksum_was_seen),
	KUNIT_CASE(segments_v4),
	KUNIT_CASE(segments_v6),
	KUNIT_CASE(segments_v4_not_offered),
	KUNIT_CASE(segments_v6_not_offered),
	KUNIT_CASE(segments_without_checksum),
	KUNIT_CASE(one_slot_a_frame),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_net_offload",
	.init = backend_init,
	.exit = backend_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);
