// SPDX-License-Identifier: MIT OR GPL-2.0
/* The Xen network device as an honest guest sees it, from the handshake to the last frame. */
#include "netif_guest.h"

static void test_features(void **state)
{
	struct nic *n = nic_open();

	assert_back(n, "feature-rx-copy", "1");
	assert_back(n, "feature-sg", "1");
	assert_back(n, "feature-gso-tcpv4", "1");
	assert_back(n, "feature-gso-tcpv6", "1");
	assert_back(n, "feature-no-csum-offload", "0");
	assert_back(n, "feature-ipv6-csum-offload", "1");
	assert_back(n, "feature-split-event-channels", "1");
	assert_back(n, "feature-dynamic-multicast-control", "1");
	assert_back(n, "multi-queue-max-queues", "3");
	assert_back(n, "pvkit-speed", "10000");
	assert_back(n, "carrier", "1");
	nic_close(n);
}

static void test_tx_plain(void **state)
{
	struct nic *n = nic_open_connected();
	const struct frame_header none = {0};
	struct frame_header header;
	uint8_t frame[1514], got[2000];

	fill(frame, sizeof(frame), 1);
	tx_frame(n, &n->q[0], frame, sizeof(frame));
	assert_int_equal(link_get(n, &header, got, sizeof(got), WAIT_MS), sizeof(frame));
	assert_memory_equal(frame, got, sizeof(frame));
	assert_memory_equal(&header, &none, sizeof(none));
	assert_int_equal(tx_answer(n, &n->q[0], WAIT_MS), NETIF_OK);
	assert_int_equal(tx_counter(n, 0, bytes_in), sizeof(frame));
	nic_close(n);
}

/* Headers in one slot, the rest in others: with GSO, its extra behind the first. */
static void send_tcp(struct nic *n, bool ipv6, size_t length, uint16_t gso_size)
{
	static uint8_t frame[65000], got[65000];
	const struct frame_header wanted = tcp_header(ipv6, gso_size);
	struct nic_queue *q = &n->q[0];
	struct netif_extra extra = {
		.type = NETIF_EXTRA_GSO,
		.u.gso.size = gso_size,
		.u.gso.type = ipv6 ? NETIF_GSO_TCPV6 : NETIF_GSO_TCPV4,
	};
	struct netif_tx_req request;
	struct frame_header header;
	size_t done = 80, part;
	unsigned int slots = 1;

	make_tcp(frame, length, ipv6);
	request = tx_piece(n, frame, 4000, done,
			   NETIF_TX_CSUM_BLANK | NETIF_TX_DATA_VALIDATED | NETIF_TX_MORE_DATA |
				   (gso_size ? NETIF_TX_EXTRA_INFO : 0));
	request.size = length;
	tx_put(q, request);
	if (gso_size)
		tx_extra(q, &extra);
	for (; done < length; done += part, slots++) {
		part = length - done < SHIM_PAGE ? length - done : SHIM_PAGE;
		tx_put(q, tx_piece(n, frame + done, 0, part,
				   done + part < length ? NETIF_TX_MORE_DATA : 0));
	}
	tx_push(n, q);
	assert_int_equal(link_get(n, &header, got, sizeof(got), WAIT_MS), length);
	assert_memory_equal(frame, got, length);
	assert_int_equal(header.flags, wanted.flags);
	assert_int_equal(header.csum_start, wanted.csum_start);
	assert_int_equal(header.csum_offset, wanted.csum_offset);
	assert_int_equal(header.gso_type, wanted.gso_type);
	assert_int_equal(header.gso_size, wanted.gso_size);
	assert_int_equal(tx_answer(n, q, WAIT_MS), NETIF_OK);
	if (gso_size)
		assert_int_equal(tx_answer(n, q, WAIT_MS), NETIF_NULL);
	while (--slots)
		assert_int_equal(tx_answer(n, q, WAIT_MS), NETIF_OK);
}

static void test_tx_offloads(void **state)
{
	struct nic *n = nic_open_connected();

	send_tcp(n, false, 1000, 0);
	send_tcp(n, true, 1000, 0);
	send_tcp(n, false, 64000, 1448);
	send_tcp(n, true, 64000, 1428);
	assert_int_equal(tx_counter(n, 0, requests[STATS_NET_GSO]), 2);
	nic_close(n);
}

static void test_rx_plain(void **state)
{
	struct nic *n = nic_open_connected();
	const struct frame_header none = {0};
	static struct rx_got got;
	uint8_t frame[1514];
	unsigned int i;

	rx_post(n, &n->q[0], 64);
	for (i = 0; i < 50; i++) {
		fill(frame, sizeof(frame), i);
		frame[0] &= ~1;
		test_link_put(n->link, &none, frame, sizeof(frame));
		assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), sizeof(frame));
		assert_memory_equal(got.data, frame, sizeof(frame));
		assert_int_equal(got.flags, 0);
		assert_int_equal(got.slots, 1);
	}
	nic_close(n);
}

static void receive_tcp(struct nic *n, bool ipv6, size_t length, uint16_t gso_size)
{
	const struct frame_header header = tcp_header(ipv6, gso_size);
	static uint8_t frame[65000];
	static struct rx_got got;

	make_tcp(frame, length, ipv6);
	rx_post(n, &n->q[0], 24);
	test_link_put(n->link, &header, frame, length);
	assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), length);
	assert_memory_equal(got.data, frame, length);
	assert_int_equal(got.flags & (NETIF_RX_CSUM_BLANK | NETIF_RX_DATA_VALIDATED),
			 NETIF_RX_CSUM_BLANK | NETIF_RX_DATA_VALIDATED);
	assert_int_equal(!!(got.flags & NETIF_RX_EXTRA_INFO), gso_size != 0);
	assert_int_equal(got.gso.u.gso.size, gso_size);
	if (gso_size)
		assert_int_equal(got.gso.u.gso.type, ipv6 ? NETIF_GSO_TCPV6 : NETIF_GSO_TCPV4);
}

static void test_rx_offloads(void **state)
{
	struct nic *n = nic_open_connected();

	receive_tcp(n, false, 1000, 0);
	receive_tcp(n, false, 64000, 1448);
	receive_tcp(n, true, 64000, 1428);
	receive_tcp(n, true, 300, 100);
	/* Of a large MTU: several pages, no extra. */
	receive_tcp(n, false, 9014, 0);
	receive_tcp(n, true, 4097, 0);
	nic_close(n);
}

/* The ones' complement sum of the segment with its pseudo header is all ones. */
static void check_complete(const uint8_t *frame, size_t length, bool ipv6)
{
	size_t at = ETH_BYTES + (ipv6 ? 40 : 20), i;
	uint32_t sum = 6 + (length - at);

	for (i = ipv6 ? 22 : 26; i < at; i += 2)
		sum += frame[i] << 8 | frame[i + 1];
	for (i = at; i < length; i++)
		sum += (i - at) & 1 ? frame[i] : frame[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
}

/* What a front-end does not take is done for it, or does not come. */
static void test_rx_modest(void **state)
{
	const struct frame_header header = tcp_header(false, 0), six = tcp_header(true, 0);
	struct nic *n = nic_open();
	static struct rx_got got;
	uint8_t frame[6000];

	nic_features(n);
	front_set(n, "feature-sg", "0");
	front_set(n, "feature-ipv6-csum-offload", "0");
	front_set(n, "xdp-headroom", "256");
	nic_connect(n, 1, true);
	assert_int_equal(n->link->accepted, FRAME_CSUM);
	rx_post(n, &n->q[0], 64);
	make_tcp(frame, 1001, true);
	test_link_put(n->link, &six, frame, 1001);
	assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), 1001);
	assert_int_equal(got.flags, NETIF_RX_DATA_VALIDATED);
	check_complete(got.data, 1001, true);
	make_tcp(frame, 1000, false);
	test_link_put(n->link, &header, frame, 1000);
	assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), 1000);
	assert_true(got.flags & NETIF_RX_CSUM_BLANK);
	/* Too large for a page with that headroom. */
	make_tcp(frame, 3900, false);
	test_link_put(n->link, &header, frame, 3900);
	assert_int_equal(rx_get(n, &n->q[0], &got, QUIET_MS), INT32_MIN);
	make_tcp(frame, 3840, false);
	test_link_put(n->link, &header, frame, 3840);
	assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), 3840);
	assert_int_equal(got.offset_min, 256);
	nic_close(n);
}

/* Room in front of the data of each page for a program of the guest's, in frames of all kinds. */
static void test_headroom(void **state)
{
	static const unsigned int rooms[] = {0, 256, NETIF_HEADROOM_MAX};
	static const struct {
		size_t length;
		uint16_t gso_size;
	} frames[] = {{100, 0}, {9014, 0}, {64000, 1448}};
	static uint8_t frame[64000];
	static struct rx_got got;
	unsigned int i, j;

	for (i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		struct nic *n = nic_open();

		nic_features(n);
		front_set(n, "xdp-headroom", "%u", rooms[i]);
		nic_connect(n, 1, false);
		for (j = 0; j < sizeof(frames) / sizeof(frames[0]); j++) {
			const struct frame_header header = tcp_header(false, frames[j].gso_size);

			make_tcp(frame, frames[j].length, false);
			rx_post(n, &n->q[0], 48);
			test_link_put(n->link, &header, frame, frames[j].length);
			assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), frames[j].length);
			assert_memory_equal(got.data, frame, frames[j].length);
			assert_int_equal(got.offset_min, rooms[i]);
		}
		nic_close(n);
	}
}

static int change_group(struct nic *n, uint8_t type, const uint8_t *address)
{
	struct netif_extra extra = {.type = type};
	int status;

	memcpy(extra.u.multicast.address, address, 6);
	tx_put(&n->q[0], (struct netif_tx_req){.flags = NETIF_TX_EXTRA_INFO});
	tx_extra(&n->q[0], &extra);
	tx_push(n, &n->q[0]);
	status = tx_answer(n, &n->q[0], WAIT_MS);
	assert_int_equal(tx_answer(n, &n->q[0], WAIT_MS), NETIF_NULL);
	return status;
}

static bool arrives(struct nic *n, const uint8_t *address, unsigned int ms)
{
	const struct frame_header none = {0};
	static struct rx_got got;
	uint8_t frame[100] = {0};

	memcpy(frame, address, 6);
	rx_post(n, &n->q[0], 1);
	test_link_put(n->link, &none, frame, sizeof(frame));
	return rx_get(n, &n->q[0], &got, ms) == sizeof(frame);
}

static void test_multicast(void **state)
{
	const uint8_t one[6] = {1, 0, 0x5e, 0, 0, 1}, two[6] = {1, 0, 0x5e, 0, 0, 2};
	const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, unicast[6] = {0x52};
	struct nic *n = nic_open();
	uint8_t many[6] = {1, 2};
	unsigned int i;

	nic_features(n);
	nic_connect(n, 1, false);
	rx_post(n, &n->q[0], 30);
	assert_true(arrives(n, one, WAIT_MS));
	front_set(n, "request-multicast-control", "1");
	while (!atomic_load(&n->netif->groups.filtering))
		fake_sleep_ms(1);
	assert_false(arrives(n, one, QUIET_MS));
	assert_int_equal(change_group(n, NETIF_EXTRA_MULTICAST_ADD, one), NETIF_OK);
	assert_true(arrives(n, one, WAIT_MS));
	assert_false(arrives(n, two, QUIET_MS));
	assert_true(arrives(n, all, WAIT_MS));
	assert_true(arrives(n, unicast, WAIT_MS));
	assert_int_equal(change_group(n, NETIF_EXTRA_MULTICAST_DEL, one), NETIF_OK);
	assert_int_equal(change_group(n, NETIF_EXTRA_MULTICAST_DEL, one), NETIF_ERROR);
	assert_int_equal(change_group(n, NETIF_EXTRA_MULTICAST_ADD, unicast), NETIF_ERROR);
	assert_false(arrives(n, one, QUIET_MS));
	for (i = 0; i < NETIF_GROUPS_MAX; i++) {
		many[5] = i;
		assert_int_equal(change_group(n, NETIF_EXTRA_MULTICAST_ADD, many), NETIF_OK);
	}
	assert_int_equal(change_group(n, NETIF_EXTRA_MULTICAST_ADD, many), NETIF_OK);
	assert_int_equal(change_group(n, NETIF_EXTRA_MULTICAST_ADD, one), NETIF_ERROR);
	front_set(n, "request-multicast-control", "0");
	while (atomic_load(&n->netif->groups.filtering))
		fake_sleep_ms(1);
	assert_true(arrives(n, two, WAIT_MS));
	nic_close(n);
}

static void test_queues(void **state)
{
	struct nic *n = nic_open();
	unsigned int i;

	nic_features(n);
	nic_connect(n, 2, true);
	assert_int_equal(n->link->active, 3);
	for (i = 0; i < 200; i++)
		check_tx(n, &n->q[i % 2]);
	assert_int_equal(tx_counter(n, 0, requests[STATS_NET_FRAME]), 100);
	assert_int_equal(tx_counter(n, 1, requests[STATS_NET_FRAME]), 100);
	nic_close(n);
}

/* Closing and coming back, with pages posted and a frame held by a busy link. */
static void test_reconnect(void **state)
{
	struct nic *n = nic_open_connected();
	struct frame_header header;
	uint8_t frame[200], got[300];
	int round;

	for (round = 0; round < 3; round++) {
		rx_post(n, &n->q[0], 100);
		check_tx(n, &n->q[0]);
		__atomic_store_n(&n->link->busy, true, __ATOMIC_RELAXED);
		fill(frame, sizeof(frame), round);
		tx_frame(n, &n->q[0], frame, sizeof(frame));
		assert_int_equal(tx_answer(n, &n->q[0], QUIET_MS), INT32_MIN);
		front_set(n, "state", "5");
		assert_back(n, "state", "6");
		assert_int_equal(n->link->active, 0);
		shim_check_unpinned(&n->shim);
		__atomic_store_n(&n->link->busy, false, __ATOMIC_RELAXED);
		front_set(n, "state", "1");
		assert_back(n, "state", "2");
		nic_connect(n, 1, round & 1);
	}
	assert_int_equal(link_get(n, &header, got, sizeof(got), 0), -1);
	nic_close(n);
}

/* Indices run freely and wrap at 2^32, here in the middle of frames of many slots. */
static void test_wrap(void **state)
{
	unsigned int before, i;

	for (before = 1; before <= 40; before += 13) {
		struct nic *n = nic_open();

		nic_features(n);
		n->start = -before;
		nic_connect(n, 2, true);
		for (i = 0; i < 4; i++) {
			send_tcp(n, false, 64000, 1448);
			receive_tcp(n, false, 64000, 1448);
		}
		assert_true(n->q[0].tx.ring.header->rsp_prod < NIC_RING);
		assert_true(n->q[0].rx.ring.header->rsp_prod < NIC_RING);
		check_tx(n, &n->q[1]);
		nic_close(n);
	}
}

static void test_busy_link(void **state)
{
	struct nic *n = nic_open_connected();
	struct frame_header header;
	uint8_t frame[200], got[300];
	int i;

	__atomic_store_n(&n->link->busy, true, __ATOMIC_RELAXED);
	for (i = 0; i < 10; i++) {
		fill(frame, sizeof(frame), i);
		tx_frame(n, &n->q[0], frame, sizeof(frame));
	}
	assert_int_equal(tx_answer(n, &n->q[0], QUIET_MS), INT32_MIN);
	__atomic_store_n(&n->link->busy, false, __ATOMIC_RELAXED);
	for (i = 0; i < 10; i++) {
		fill(frame, sizeof(frame), i);
		assert_int_equal(link_get(n, &header, got, sizeof(got), WAIT_MS), sizeof(frame));
		assert_memory_equal(frame, got, sizeof(frame));
		assert_int_equal(tx_answer(n, &n->q[0], WAIT_MS), NETIF_OK);
	}
	nic_close(n);
}

static void test_carrier(void **state)
{
	struct nic *n = nic_open_connected();
	const uint64_t one = 1;

	assert_int_equal(write(n->link->link.changed, &one, sizeof(one)), sizeof(one));
	assert_back(n, "carrier", "0");
	assert_int_equal(write(n->link->link.changed, &one, sizeof(one)), sizeof(one));
	assert_back(n, "carrier", "1");
	nic_close(n);
}

/* Idle costs nothing: no notification comes for what did not happen. */
/* A vCPU that is away for a while posts few pages; a large frame waits in the link, it is not lost. */
static void test_slow_guest(void **state)
{
	const struct frame_header header = tcp_header(false, 1448);
	struct nic *n = nic_open_connected();
	static uint8_t frame[64000];
	static struct rx_got got;
	unsigned int i;

	make_tcp(frame, sizeof(frame), false);
	for (i = 0; i < 4; i++) {
		rx_post(n, &n->q[0], 4);
		test_link_put(n->link, &header, frame, sizeof(frame));
		fake_sleep_ms(20);
		rx_post(n, &n->q[0], 14);
		assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), sizeof(frame));
	}
	assert_int_equal(rx_counter(n, 0, dropped), 0);
	nic_close(n);
}

/* One that never posts more gets what fits, also while it keeps the worker from sleeping long. */
static void test_small_guest(void **state)
{
	const struct frame_header none = {0};
	struct nic *n = nic_open_connected();
	static struct rx_got got;
	uint8_t frame[1514];
	unsigned int ms;

	fill(frame, sizeof(frame), 3);
	frame[0] &= ~1;
	rx_post(n, &n->q[0], 4);
	test_link_put(n->link, &none, frame, sizeof(frame));
	for (ms = 0; rx_get(n, &n->q[0], &got, 1) != sizeof(frame); ms++) {
		assert_true(ms < WAIT_MS);
		check_tx(n, &n->q[0]);
	}
	assert_memory_equal(got.data, frame, sizeof(frame));
	nic_close(n);
}

static void test_quiet(void **state)
{
	struct nic *n = nic_open_connected();
	uint64_t sleeps;

	rx_post(n, &n->q[0], 200);
	check_tx(n, &n->q[0]);
	fake_sleep_ms(QUIET_MS);
	sleeps = rx_counter(n, 0, sleeps);
	fake_sleep_ms(QUIET_MS);
	assert_true(rx_counter(n, 0, sleeps) - sleeps <= 1);
	nic_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),    cmocka_unit_test(test_tx_plain),
		cmocka_unit_test(test_tx_offloads), cmocka_unit_test(test_rx_plain),
		cmocka_unit_test(test_rx_offloads), cmocka_unit_test(test_rx_modest),
		cmocka_unit_test(test_multicast),   cmocka_unit_test(test_queues),
		cmocka_unit_test(test_reconnect),   cmocka_unit_test(test_busy_link),
		cmocka_unit_test(test_carrier),     cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_slow_guest),  cmocka_unit_test(test_small_guest),
		cmocka_unit_test(test_headroom),    cmocka_unit_test(test_wrap),
	};

	log_open("test", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
