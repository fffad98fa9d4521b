/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest with a Xen network device: the front-end's keys and rings by hand, the device under test
 * behind a fake shim, and the other end of its link.
 */
#ifndef PVKIT_TESTS_UNIT_NET_NETIF_GUEST_H
#define PVKIT_TESTS_UNIT_NET_NETIF_GUEST_H

#include "tests/unit/host/fake_shim.h"
#include "test_link.h"

#include "abi/netif.h"
#include "backend/net/netif.h"
#include "common/log.h"
#include "common/stats.h"

#define FRONT "/local/domain/1/device/vif/0"
#define BACK  "/local/domain/0/backend/vif/1/0"

#define NIC_QUEUES 3
#define NIC_RING   256
#define WAIT_MS    10000
#define QUIET_MS   60

struct nic_queue {
	struct xen_front tx, rx;
	uint32_t tx_reference, rx_reference, tx_port, rx_port;
	uint16_t next_id;
	/* Posted pages, by the place of the request. */
	uint64_t page[NIC_RING];
	uint32_t grant[NIC_RING];
};

struct nic {
	struct fake_shim shim;
	struct test_link *link;
	struct stats_page *stats;
	struct netif *netif;
	unsigned int version, queues;
	bool split;
	uint32_t start; /* where the indices of its rings begin; before nic_queues() */
	struct nic *beside; /* another guest's, which the same daemon serves */
	struct nic_queue q[NIC_QUEUES];
};

#define front_set(n, key, ...)                                         \
	do {                                                           \
		char value_[64];                                       \
		snprintf(value_, sizeof(value_), __VA_ARGS__);         \
		store_set(&(n)->shim.store, value_, FRONT "/%s", key); \
	} while (0)

#define assert_back(n, key, value) assert_true(store_wait(&(n)->shim.store, BACK "/" key, value))

/* Directories as the shim makes them, and a device. The control loop is there, for it watches its link. */
static inline struct nic *nic_make(void)
{
	const struct netif_options options = {.speed = 10000, .poll_us = -1};
	struct nic *n = calloc(1, sizeof(*n));

	setenv("PVKIT_STATS_DIR", "/tmp", 0);
	fake_shim_init(&n->shim, 1);
	store_set(&n->shim.store, "1", FRONT "/state");
	store_set(&n->shim.store, BACK, FRONT "/backend");
	store_set(&n->shim.store, "1", BACK "/state");
	store_set(&n->shim.store, "1", BACK "/online");
	store_set(&n->shim.store, FRONT, BACK "/frontend");
	n->link = test_link_open(NIC_QUEUES);
	n->stats = stats_open("test-netif", STATS_DEVICE_NET, "test", 2 * NIC_QUEUES + 1);
	n->netif = netif_open(&n->link->link, &options, n->stats);
	assert_non_null(n->netif);
	return n;
}

/* And a daemon that serves it, as by daemon_start(). */
static inline void nic_start(struct nic *n)
{
	n->shim.device = &n->netif->device;
	n->shim.device_name = "vif/0";
	n->shim.daemon_fd = fake_shim_start(&n->shim);
	assert_int_equal(pthread_create(&n->shim.daemon, NULL, daemon_thread, &n->shim), 0);
	assert_back(n, "state", "2");
}

static inline struct nic *nic_open(void)
{
	struct nic *n;

	assert_int_equal(control_open(), 0);
	n = nic_make();
	nic_start(n);
	return n;
}

static inline struct nic *nic_open_beside(void)
{
	struct nic *n;

	assert_int_equal(control_open(), 0);
	n = nic_make();
	n->beside = nic_make();
	daemon_beside(&n->shim, &n->beside->shim, &n->beside->netif->device, "vif/0");
	nic_start(n);
	return n;
}

/* Its daemon has ended. */
static inline void nic_free(struct nic *n)
{
	netif_close(n->netif);
	stats_close(n->stats);
	test_link_close(n->link);
	fake_shim_close(&n->shim); /* no grant is in use any more */
	free(n);
}

static inline void nic_close(struct nic *n)
{
	fake_shim_stop(&n->shim);
	pthread_join(n->shim.daemon, NULL);
	assert_int_equal(n->shim.status, 0);
	if (n->beside)
		nic_free(n->beside);
	nic_free(n);
	control_close();
}

/* ---- the handshake --------------------------------------------------------------------------- */

static inline uint32_t ring_make(struct nic *n, struct xen_front *front, uint32_t slot_bytes)
{
	uint64_t page = guest_page(&n->shim);
	struct xen_ring_area area = {
		.pages = guest_at(&n->shim, page),
		.bytes = SHIM_PAGE,
		.slot_bytes = slot_bytes,
	};

	assert_int_equal(xen_front_init(front, &area), 0);
	guest_ring_begin(front, n->start);
	return guest_grant(&n->shim, page, false);
}

static inline void queue_publish(struct nic *n, unsigned int index)
{
	struct nic_queue *q = &n->q[index];
	char prefix[32] = "", key[64];

	if (n->queues > 1)
		snprintf(prefix, sizeof(prefix), "queue-%u/", index);
#define KEY(name) (snprintf(key, sizeof(key), "%s%s", prefix, name), key)
	front_set(n, KEY("tx-ring-ref"), "%u", q->tx_reference);
	front_set(n, KEY("rx-ring-ref"), "%u", q->rx_reference);
	if (n->split) {
		front_set(n, KEY("event-channel-tx"), "%u", q->tx_port);
		front_set(n, KEY("event-channel-rx"), "%u", q->rx_port);
	} else {
		front_set(n, KEY("event-channel"), "%u", q->rx_port);
	}
#undef KEY
}

static inline void nic_queues(struct nic *n, unsigned int queues, bool split)
{
	unsigned int i;

	n->queues = queues;
	n->split = split;
	for (i = 0; i < queues; i++) {
		struct nic_queue *q = &n->q[i];

		memset(q, 0, sizeof(*q));
		q->tx_reference = ring_make(n, &q->tx, NETIF_TX_SLOT_BYTES);
		q->rx_reference = ring_make(n, &q->rx, NETIF_RX_SLOT_BYTES);
		q->rx_port = guest_port(&n->shim);
		q->tx_port = split ? guest_port(&n->shim) : q->rx_port;
		queue_publish(n, i);
	}
	if (queues > 1)
		front_set(n, "multi-queue-num-queues", "%u", queues);
}

static inline void nic_connect(struct nic *n, unsigned int queues, bool split)
{
	nic_queues(n, queues, split);
	front_set(n, "state", "4");
	assert_back(n, "state", "4");
}

/* A front-end that takes all there is. */
static inline void nic_features(struct nic *n)
{
	front_set(n, "request-rx-copy", "1");
	front_set(n, "feature-rx-notify", "1");
	front_set(n, "feature-sg", "1");
	front_set(n, "feature-gso-tcpv4", "1");
	front_set(n, "feature-gso-tcpv6", "1");
	front_set(n, "feature-ipv6-csum-offload", "1");
}

static inline struct nic *nic_open_connected(void)
{
	struct nic *n = nic_open();

	nic_features(n);
	nic_connect(n, 1, false);
	return n;
}

/* ---- tx -------------------------------------------------------------------------------------- */

/* @data in a page of its own at @offset, granted for reading. */
static inline struct netif_tx_req tx_piece(struct nic *n, const void *data, unsigned int offset,
					   unsigned int size, uint16_t flags)
{
	uint64_t page = guest_page(&n->shim);

	memcpy((uint8_t *)guest_at(&n->shim, page) + offset, data, size);
	return (struct netif_tx_req){
		.grant = guest_grant(&n->shim, page, true),
		.offset = offset,
		.flags = flags,
		.size = size,
	};
}

static inline void tx_put(struct nic_queue *q, struct netif_tx_req request)
{
	request.id = q->next_id++ % NIC_RING;
	assert_int_equal(xen_front_put(&q->tx, &request, sizeof(request)), 0);
}

static inline void tx_extra(struct nic_queue *q, const struct netif_extra *extra)
{
	assert_int_equal(xen_front_put(&q->tx, extra, sizeof(*extra)), 0);
}

static inline void tx_push(struct nic *n, struct nic_queue *q)
{
	xen_front_publish(&q->tx);
	if (xen_front_should_notify(&q->tx))
		guest_kick(&n->shim, q->tx_port);
}

static inline bool front_reap(struct nic *n, struct xen_front *front, uint32_t port, void *response,
			      uint32_t bytes, unsigned int ms)
{
	unsigned int waited = 0;

	for (;;) {
		if (xen_front_reap(front, response, bytes) == XEN_RING_FOUND)
			return true;
		if (waited >= ms)
			return false;
		if (xen_front_events_enable(front))
			continue;
		guest_wait_interrupt(&n->shim, port, 10);
		waited += 10;
	}
}

/* The next answer; its status, or INT32_MIN: none came. */
static inline int tx_answer(struct nic *n, struct nic_queue *q, unsigned int ms)
{
	struct netif_tx_rsp response;

	if (!front_reap(n, &q->tx, q->tx_port, &response, sizeof(response), ms))
		return INT32_MIN;
	return response.status;
}

/* A plain frame in one slot. */
static inline void tx_frame(struct nic *n, struct nic_queue *q, const void *data, unsigned int size)
{
	tx_put(q, tx_piece(n, data, 100, size, 0));
	tx_push(n, q);
}

/* What came out of the link: its bytes, or -1. */
static inline ssize_t link_get(struct nic *n, struct frame_header *header, void *data, size_t room,
			       int ms)
{
	struct pollfd there = {.fd = n->link->outside, .events = POLLIN};

	if (poll(&there, 1, ms) <= 0)
		return -1;
	return test_link_get(n->link, header, data, room);
}

/* The queue works: a frame goes out and is answered. */
static inline void check_tx(struct nic *n, struct nic_queue *q)
{
	uint8_t frame[300], got[400];
	struct frame_header header;

	fill(frame, sizeof(frame), 9);
	frame[0] &= ~1;
	tx_frame(n, q, frame, sizeof(frame));
	assert_int_equal(link_get(n, &header, got, sizeof(got), WAIT_MS), sizeof(frame));
	assert_memory_equal(frame, got, sizeof(frame));
	assert_int_equal(tx_answer(n, q, WAIT_MS), NETIF_OK);
}

/* ---- rx -------------------------------------------------------------------------------------- */

static inline void rx_post_grant(struct nic_queue *q, uint32_t grant)
{
	unsigned int at = q->rx.req_prod % NIC_RING;
	struct netif_rx_req request = {.id = at, .grant = grant};

	q->grant[at] = grant;
	assert_int_equal(xen_front_put(&q->rx, &request, sizeof(request)), 0);
}

static inline void rx_push(struct nic *n, struct nic_queue *q)
{
	xen_front_publish(&q->rx);
	if (xen_front_should_notify(&q->rx))
		guest_kick(&n->shim, q->rx_port);
}

static inline void rx_post(struct nic *n, struct nic_queue *q, unsigned int count)
{
	while (count--) {
		uint64_t page = guest_page(&n->shim);

		q->page[q->rx.req_prod % NIC_RING] = page;
		rx_post_grant(q, guest_grant(&n->shim, page, false));
	}
	rx_push(n, q);
}

struct rx_got {
	unsigned int slots, flags;
	unsigned int offset_min; /* of its data in the pages */
	int length; /* < 0: an error */
	struct netif_extra gso, hash;
	uint8_t data[70000];
};

/* The extras behind a frame's first response. */
static inline void rx_get_extras(struct nic *n, struct nic_queue *q, struct rx_got *got)
{
	struct netif_extra extra;

	do {
		assert_true(front_reap(n, &q->rx, q->rx_port, &extra, sizeof(extra), 0));
		assert_true(extra.type == NETIF_EXTRA_GSO || extra.type == NETIF_EXTRA_HASH);
		if (extra.type == NETIF_EXTRA_GSO)
			got->gso = extra;
		else
			got->hash = extra;
		got->slots++;
	} while (extra.flags & NETIF_EXTRA_MORE);
}

/* A frame, put together as a front-end does it; its length, or INT32_MIN: none came. */
static inline int rx_get(struct nic *n, struct nic_queue *q, struct rx_got *got, unsigned int ms)
{
	struct netif_rx_rsp response;
	bool first = true;

	memset(got, 0, offsetof(struct rx_got, data));
	got->offset_min = SHIM_PAGE;
	do {
		unsigned int at = q->rx.rsp_cons % NIC_RING;

		if (!front_reap(n, &q->rx, q->rx_port, &response, sizeof(response), first ? ms : 0))
			return INT32_MIN;
		assert_int_equal(response.id, at);
		/* Before the answer it let go. */
		assert_int_equal(guest_use(&n->shim, q->grant[at]), 0);
		got->slots++;
		if (response.status < 0)
			return got->length = response.status;
		assert_true(response.offset + response.status <= SHIM_PAGE);
		if (response.offset < got->offset_min)
			got->offset_min = response.offset;
		memcpy(got->data + got->length,
		       (uint8_t *)guest_at(&n->shim, q->page[at]) + response.offset,
		       response.status);
		got->length += response.status;
		if (first)
			got->flags = response.flags;
		if (first && response.flags & NETIF_RX_EXTRA_INFO)
			rx_get_extras(n, q, got);
		first = false;
	} while (response.flags & NETIF_RX_MORE_DATA);
	return got->length;
}

/* ---- frames ---------------------------------------------------------------------------------- */

#define ETH_BYTES 14

/* TCP over IPv4 or IPv6, @length bytes with all headers; the pseudo header's sum in its place. */
static inline void make_tcp(uint8_t *frame, size_t length, bool ipv6)
{
	size_t transport = ETH_BYTES + (ipv6 ? 40 : 20), i;
	uint32_t sum = 6 + (length - transport);

	fill(frame, length, 3);
	memset(frame, 0x52, 12);
	memset(frame + 12, 0, transport - 12);
	frame[12] = ipv6 ? 0x86 : 0x08;
	frame[13] = ipv6 ? 0xdd : 0x00;
	if (ipv6) {
		frame[14] = 0x60;
		frame[18] = (length - transport) >> 8;
		frame[19] = length - transport;
		frame[20] = 6;
		memset(frame + 22, 0xfd, 32);
		for (i = 22; i < 54; i += 2)
			sum += frame[i] << 8 | frame[i + 1];
	} else {
		frame[14] = 0x45;
		frame[16] = (length - ETH_BYTES) >> 8;
		frame[17] = length - ETH_BYTES;
		frame[23] = 6;
		memset(frame + 26, 10, 8);
		for (i = 26; i < 34; i += 2)
			sum += frame[i] << 8 | frame[i + 1];
	}
	frame[transport + 12] = 0x50;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	frame[transport + 16] = sum >> 8;
	frame[transport + 17] = sum;
}

/* The header that a link gives a frame of make_tcp(). */
static inline struct frame_header tcp_header(bool ipv6, uint16_t gso_size)
{
	return (struct frame_header){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = ETH_BYTES + (ipv6 ? 40 : 20),
		.csum_offset = 16,
		.gso_type = !gso_size ? VIRTIO_NET_HDR_GSO_NONE
			    : ipv6    ? VIRTIO_NET_HDR_GSO_TCPV6
				      : VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = gso_size,
	};
}

static inline uint64_t nic_counter(struct nic *n, unsigned int queue, size_t offset)
{
	return stats_read(
		(const uint64_t *)((const uint8_t *)stats_queue(n->stats, queue) + offset));
}

#define rx_counter(n, q, field) nic_counter(n, 2 * (q), offsetof(struct stats_queue, field))
#define tx_counter(n, q, field) nic_counter(n, 2 * (q) + 1, offsetof(struct stats_queue, field))

#endif
