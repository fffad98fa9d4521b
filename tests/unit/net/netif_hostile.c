// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What a hostile front-end gets of the Xen network device. Numbers are those of the catalogue.
 *
 *	1	a producer index out of reach			its queue stops, with one line and a count
 *	2	requests and headers rewritten meanwhile	the copies count
 *	6	a page that cannot be had			an error
 *	7	too many slots; a chain behind the producer	its queue stops
 *	8	data across the end of a page			its queue stops
 *	9	headers split over slots			the frame, intact
 *	10	slots of no bytes, sizes that do not add up	dropped
 *	11	no rx pages under a flood; too few for a frame	bounded, then goes on
 *	12	events without work				rests
 *	13	closing under events and frames			all is given back
 *		grants that are none, or not for that		dropped
 *		extras of no type; GSO that does not fit	its queue stops; dropped
 *		keys that make no sense				refused, and it may begin anew
 *		all of that beside another guest's device	which is not disturbed
 * Each time: the other queue works, and no grant is left in use (fake_shim_close()). 14, indices that
 * wrap, is in netif.c: an honest guest has that too.
 */
#include "netif_guest.h"
#include "tests/unit/capture.h"

static struct nic *open_two(void)
{
	struct nic *n = nic_open();

	nic_features(n);
	nic_connect(n, 2, true);
	return n;
}

static bool wait_broken(struct nic *n, bool tx)
{
	unsigned int waited;

	for (waited = 0; waited < WAIT_MS; waited++) {
		if ((tx ? tx_counter(n, 0, broken) : rx_counter(n, 0, broken)) == 1)
			return true;
		fake_sleep_ms(1);
	}
	return false;
}

/* The first queue is dead, and only it. */
static void check_broken(struct nic *n, bool tx)
{
	assert_true(wait_broken(n, tx));
	assert_int_equal(tx_counter(n, 1, broken) + rx_counter(n, 1, broken), 0);
	assert_int_equal(tx_answer(n, &n->q[0], 0), INT32_MIN);
	check_tx(n, &n->q[1]);
	nic_close(n);
}

/* The frame was dropped, in @answers answers, and both queues go on. */
static void check_dropped(struct nic *n, unsigned int requests, unsigned int extras)
{
	uint8_t got[100];
	struct frame_header header;
	unsigned int i, none = 0;

	for (i = 0; i < requests + extras; i++) {
		int status = tx_answer(n, &n->q[0], WAIT_MS);

		none += status == NETIF_NULL;
		assert_true(status == NETIF_NULL || status < 0);
	}
	assert_int_equal(none, extras);
	assert_int_equal(tx_counter(n, 0, dropped), 1);
	assert_int_equal(link_get(n, &header, got, sizeof(got), 0), -1);
	check_tx(n, &n->q[0]);
	check_tx(n, &n->q[1]);
	nic_close(n);
}

static uint8_t some[SHIM_PAGE];

/* The queue breaks by what was put on the ring: the one line about it is @wanted. */
static void check_broken_line(struct nic *n, bool tx, const char *wanted)
{
	bool broken;

	capture();
	guest_kick(&n->shim, tx ? n->q[0].tx_port : n->q[0].rx_port);
	broken = wait_broken(n, tx);
	capture_wait(WAIT_MS);
	captured();
	assert_true(broken);
	assert_ptr_equal(strstr(capture_state.text, wanted), capture_state.text);
	assert_ptr_equal(strchr(capture_state.text, '\n') + 1,
			 capture_state.text + strlen(capture_state.text));
	check_broken(n, tx);
}

#define JUMPED \
	"request index ran backwards or over requests that were not answered (its req_prod is "

static void test_index_jumps(void **state)
{
	struct nic *n = open_two();

	order_store_release(&n->q[0].tx.ring.header->req_prod, NIC_RING + 1);
	check_broken_line(
		n, true,
		"test: test: queue 0: the front-end broke the ring of its tx-ring-ref: " JUMPED
		"257); the queue stays stopped");

	n = open_two();
	order_store_release(&n->q[0].rx.ring.header->req_prod, 0x80000000);
	check_broken_line(
		n, false,
		"test: test: queue 0: the front-end broke the ring of its rx-ring-ref: " JUMPED
		"2147483648); the queue stays stopped");
}

static void test_chain_behind_producer(void **state)
{
	struct nic *n = open_two();

	tx_put(&n->q[0], tx_piece(n, some, 0, 600, NETIF_TX_MORE_DATA));
	xen_front_publish(&n->q[0].tx);
	check_broken_line(
		n, true,
		"test: test: queue 0: tx slot 0: the frame goes on behind the last request "
		"(1); the queue stays stopped");

	n = open_two();
	tx_put(&n->q[0], tx_piece(n, some, 0, 600, NETIF_TX_EXTRA_INFO));
	tx_push(n, &n->q[0]);
	check_broken(n, true);
}

/* All answered as the first asks: @count slots of 100 bytes. */
static void send_slots(struct nic *n, unsigned int count)
{
	struct netif_tx_req request;
	unsigned int i;

	for (i = 0; i < count; i++) {
		request = tx_piece(n, some, 0, 100, i + 1 < count ? NETIF_TX_MORE_DATA : 0);
		if (!i)
			request.size = count * 100;
		tx_put(&n->q[0], request);
	}
	tx_push(n, &n->q[0]);
}

static void test_slots(void **state)
{
	struct nic *n = open_two();
	struct frame_header header;
	static uint8_t got[4000];
	unsigned int i;

	send_slots(n, NETIF_TX_REQUESTS_MAX);
	assert_int_equal(link_get(n, &header, got, sizeof(got), WAIT_MS), 2000);
	for (i = 0; i < NETIF_TX_REQUESTS_MAX; i++)
		assert_int_equal(tx_answer(n, &n->q[0], WAIT_MS), NETIF_OK);
	send_slots(n, NETIF_TX_REQUESTS_MAX + 1);
	check_broken(n, true);
}

static void test_page_end(void **state)
{
	struct nic *n = open_two();
	struct netif_tx_req request = tx_piece(n, some, 0, 100, 0);

	request.offset = SHIM_PAGE - 99;
	tx_put(&n->q[0], request);
	tx_push(n, &n->q[0]);
	check_broken(n, true);

	n = open_two();
	request = tx_piece(n, some, 0, 100, NETIF_TX_MORE_DATA);
	request.size = 400;
	tx_put(&n->q[0], request);
	request = tx_piece(n, some, 0, 300, 0);
	request.offset = 65535;
	tx_put(&n->q[0], request);
	tx_push(n, &n->q[0]);
	check_broken(n, true);
}

/* The sizes of two slots: the first's is that of all. */
static void send_sizes(struct nic *n, uint16_t all, uint16_t second)
{
	struct netif_tx_req request = tx_piece(n, some, 0, 100, NETIF_TX_MORE_DATA);

	request.size = all;
	tx_put(&n->q[0], request);
	request = tx_piece(n, some, 0, 100, 0);
	request.size = second;
	tx_put(&n->q[0], request);
	tx_push(n, &n->q[0]);
	check_dropped(n, 2, 0);
}

static void test_sizes(void **state)
{
	struct nic *n = open_two();

	send_sizes(n, 100, 0);
	send_sizes(open_two(), 100, 100);
	send_sizes(open_two(), 0, 50);
	send_sizes(open_two(), 13, 5);
	n = open_two();
	tx_frame(n, &n->q[0], some, 13);
	check_dropped(n, 1, 0);
	n = open_two();
	tx_put(&n->q[0], (struct netif_tx_req){0});
	tx_push(n, &n->q[0]);
	check_dropped(n, 1, 0);
}

static void test_tx_grants(void **state)
{
	const uint32_t bad[] = {0, 7, SHIM_GRANTS - 1, SHIM_GRANTS, UINT32_MAX};
	struct netif_tx_req request;
	struct nic *n;
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* The first is good: it must not stay pinned. */
		n = open_two();
		request = tx_piece(n, some, 0, 100, NETIF_TX_MORE_DATA);
		request.size = 200;
		tx_put(&n->q[0], request);
		request = tx_piece(n, some, 0, 100, 0);
		request.grant = bad[i];
		tx_put(&n->q[0], request);
		tx_push(n, &n->q[0]);
		check_dropped(n, 2, 0);
	}
	/* For another domain; of a frame that is no memory. */
	n = open_two();
	request = tx_piece(n, some, 0, 100, 0);
	guest_set_grant(&n->shim, request.grant, 1, GRANT_PERMIT_ACCESS, 3);
	tx_put(&n->q[0], request);
	tx_push(n, &n->q[0]);
	check_dropped(n, 1, 0);
	n = open_two();
	request = tx_piece(n, some, 0, 100, 0);
	guest_set_grant(&n->shim, request.grant, 0xfffffff, GRANT_PERMIT_ACCESS, 0);
	tx_put(&n->q[0], request);
	tx_push(n, &n->q[0]);
	check_dropped(n, 1, 0);
}

/* A frame gets through to the guest by the first queue. */
static void check_rx(struct nic *n)
{
	const struct frame_header none = {0};
	static struct rx_got got;

	test_link_put(n->link, &none, some, 1000);
	assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), 1000);
	assert_memory_equal(got.data, some, 1000);
}

/* Row 6: the count of pins is full, or somebody keeps its lock. */
static void test_no_page(void **state)
{
	static const uint64_t words[] = {ATTACH_USE_READERS_MASK, ATTACH_USE_WRITERS_MASK,
					 (SHIM_OWNER + 1ULL) << ATTACH_USE_LOCK_SHIFT};
	struct netif_tx_req request;
	static struct rx_got got;
	struct nic *n;
	unsigned int i;
	uint32_t page;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		n = nic_open_connected();
		request = tx_piece(n, some, 0, 100, NETIF_TX_MORE_DATA);
		request.size = 200;
		tx_put(&n->q[0], request);
		request = tx_piece(n, some, 0, 100, 0);
		tx_put(&n->q[0], request);
		page = guest_grant(&n->shim, guest_page(&n->shim), false);
		__atomic_store_n(&n->shim.use[request.grant].word, words[i], __ATOMIC_SEQ_CST);
		__atomic_store_n(&n->shim.use[page].word, words[i], __ATOMIC_SEQ_CST);
		tx_push(n, &n->q[0]);
		assert_int_equal(tx_answer(n, &n->q[0], WAIT_MS), NETIF_ERROR);
		assert_int_equal(tx_answer(n, &n->q[0], WAIT_MS), NETIF_ERROR);
		rx_post_grant(&n->q[0], page);
		n->q[0].grant[0] = SHIM_GRANTS - 1; /* what rx_get() looks at: none */
		rx_push(n, &n->q[0]);
		rx_get(n, &n->q[0], &got, WAIT_MS);
		assert_int_equal(got.length, NETIF_ERROR);
		assert_int_equal(rx_counter(n, 0, errors), 1);
		assert_int_equal(tx_counter(n, 0, dropped), 1);
		__atomic_store_n(&n->shim.use[request.grant].word, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&n->shim.use[page].word, 0, __ATOMIC_SEQ_CST);
		rx_post(n, &n->q[0], 30);
		check_rx(n);
		check_tx(n, &n->q[0]);
		nic_close(n);
	}
}

static void send_extra(struct nic *n, uint16_t flags, struct netif_extra extra)
{
	uint8_t frame[600];

	make_tcp(frame, sizeof(frame), false);
	tx_put(&n->q[0], tx_piece(n, frame, 0, sizeof(frame), flags | NETIF_TX_EXTRA_INFO));
	tx_extra(&n->q[0], &extra);
	tx_push(n, &n->q[0]);
}

static void test_extra_types(void **state)
{
	struct nic *n = open_two();
	unsigned int i;

	send_extra(n, 0, (struct netif_extra){.type = NETIF_EXTRA_NONE});
	check_broken(n, true);
	n = open_two();
	send_extra(n, 0, (struct netif_extra){.type = NETIF_EXTRA_TYPES});
	check_broken(n, true);
	/* Extras without end. */
	n = open_two();
	tx_put(&n->q[0], tx_piece(n, some, 0, 100, NETIF_TX_EXTRA_INFO));
	for (i = 0; i < 50; i++)
		tx_extra(&n->q[0], &(struct netif_extra){.type = NETIF_EXTRA_HASH,
							 .flags = NETIF_EXTRA_MORE});
	tx_push(n, &n->q[0]);
	check_broken(n, true);
	/* A command that has data. */
	n = open_two();
	tx_put(&n->q[0], tx_piece(n, some, 0, 200, NETIF_TX_EXTRA_INFO | NETIF_TX_MORE_DATA));
	tx_extra(&n->q[0], &(struct netif_extra){.type = NETIF_EXTRA_MULTICAST_ADD});
	tx_put(&n->q[0], tx_piece(n, some, 0, 100, 0));
	tx_push(n, &n->q[0]);
	check_broken(n, true);
}

static struct netif_extra gso(uint8_t type, uint16_t size)
{
	return (struct netif_extra){
		.type = NETIF_EXTRA_GSO, .u.gso.size = size, .u.gso.type = type};
}

static void test_gso(void **state)
{
	const struct {
		uint16_t flags;
		uint8_t type;
		uint16_t size;
	} bad[] = {
		{0, NETIF_GSO_TCPV4, 100}, /* with its checksum */
		{NETIF_TX_CSUM_BLANK, NETIF_GSO_TCPV6, 100},
		{NETIF_TX_CSUM_BLANK, NETIF_GSO_NONE, 100},
		{NETIF_TX_CSUM_BLANK, NETIF_GSO_UDPV4, 100},
		{NETIF_TX_CSUM_BLANK, NETIF_GSO_TCPV4, 0},
	};
	struct nic *n;
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		n = open_two();
		send_extra(n, bad[i].flags, gso(bad[i].type, bad[i].size));
		check_dropped(n, 1, 1);
	}
}

/* A missing checksum that has no place. */
static void test_checksum(void **state)
{
	static const struct {
		unsigned int at;
		uint8_t value;
	} spoil[] = {
		{12, 0x81}, /* not IP */ {14, 0x65},  {14, 0x44},
		{14, 0x4f}, /* options, past all */
		{20, 0x20}, /* a fragment */ {23, 1}, /* ICMP */ {46, 0x10}, /* TCP's own length */
	};
	uint8_t frame[60];
	struct nic *n;
	unsigned int i;

	for (i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
		n = open_two();
		make_tcp(frame, sizeof(frame), false);
		frame[spoil[i].at] = spoil[i].value;
		tx_put(&n->q[0], tx_piece(n, frame, 0, sizeof(frame), NETIF_TX_CSUM_BLANK));
		tx_push(n, &n->q[0]);
		check_dropped(n, 1, 0);
	}
}

static void test_headers_split(void **state)
{
	struct nic *n = open_two();
	uint8_t frame[60], got[100];
	struct frame_header header;
	struct netif_tx_req request;
	unsigned int i;

	make_tcp(frame, sizeof(frame), false);
	for (i = 0; i < 20; i++) {
		request = tx_piece(n, frame + 3 * i, SHIM_PAGE - 3, 3,
				   i < 19 ? NETIF_TX_MORE_DATA : 0);
		if (!i) {
			request.flags |= NETIF_TX_CSUM_BLANK;
			request.size = sizeof(frame);
		}
		tx_put(&n->q[0], request);
	}
	tx_push(n, &n->q[0]);
	assert_int_equal(link_get(n, &header, got, sizeof(got), WAIT_MS), sizeof(frame));
	assert_memory_equal(frame, got, sizeof(frame));
	assert_int_equal(header.csum_start, 34);
	nic_close(n);
}

/* A thread rewrites the ring and the headers while frames go. */
struct rewriter {
	struct nic *n;
	uint8_t *headers;
	_Atomic bool stop;
};

static void *rewrite(void *context)
{
	struct rewriter *r = context;
	uint32_t *slots = (uint32_t *)r->n->q[0].tx.ring.slots;
	unsigned int i = 0;

	while (!r->stop) {
		__atomic_store_n(&slots[(i * 3 + 1) % (NIC_RING * 3)], i * 0x9e3779b9u,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&r->headers[12 + i % 50], i, __ATOMIC_RELAXED);
		i++;
	}
	return NULL;
}

static void test_rewriting(void **state)
{
	struct nic *n = open_two();
	struct netif_tx_req request = tx_piece(n, some, 0, 600, NETIF_TX_CSUM_BLANK);
	uint64_t page = guest_page(&n->shim);
	struct rewriter r = {.n = n, .headers = guest_at(&n->shim, page)};
	struct frame_header header;
	static uint8_t got[70000];
	pthread_t thread;
	unsigned int i;

	make_tcp(r.headers, 600, false);
	request.grant = guest_grant(&n->shim, page, true);
	assert_int_equal(pthread_create(&thread, NULL, rewrite, &r), 0);
	for (i = 0; i < 3000 && !tx_counter(n, 0, broken); i++) {
		tx_put(&n->q[0], request);
		tx_push(n, &n->q[0]);
		if (tx_answer(n, &n->q[0], QUIET_MS) == INT32_MIN)
			break;
		while (link_get(n, &header, got, sizeof(got), 0) >= 0)
			assert_true(header.csum_start + header.csum_offset + 2 <= 65535);
	}
	r.stop = true;
	pthread_join(thread, NULL);
	while (link_get(n, &header, got, sizeof(got), 0) >= 0)
		;
	check_tx(n, &n->q[1]);
	nic_close(n);
}

static void flood(struct nic *n, unsigned int count)
{
	const struct frame_header none = {0};
	uint8_t frame[100] = {0x52};

	/* Its socket is bounded: what does not fit is the sender's loss. */
	while (count--) {
		struct iovec pieces[2] = {{(void *)&none, sizeof(none)}, {frame, sizeof(frame)}};
		struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

		if (sendmsg(n->link->outside, &message, MSG_DONTWAIT) < 0)
			return;
	}
}

static void test_no_pages(void **state)
{
	struct nic *n = open_two();
	static struct rx_got got;
	unsigned int i;
	uint64_t before;

	flood(n, 100000);
	fake_sleep_ms(QUIET_MS);
	before = rx_counter(n, 0, cpu_ns) + rx_counter(n, 1, cpu_ns);
	fake_sleep_ms(QUIET_MS);
	assert_true(rx_counter(n, 0, cpu_ns) + rx_counter(n, 1, cpu_ns) - before < 20000000);
	check_tx(n, &n->q[0]);
	/* One page, and again: small frames get through. */
	for (i = 0; i < 3; i++) {
		rx_post(n, &n->q[0], 1);
		assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), 100);
	}
	nic_close(n);
}

#define MAKE_DO_MS 400 /* the worker has waited for more pages, and made do, by then */

static void test_few_pages(void **state)
{
	const struct frame_header header = tcp_header(false, 1448), small = tcp_header(false, 0);
	static uint8_t frame[64000];
	struct nic *n = nic_open_connected();
	static struct rx_got got;

	make_tcp(frame, sizeof(frame), false);
	rx_post(n, &n->q[0], 5);
	test_link_put(n->link, &header, frame, sizeof(frame));
	assert_int_equal(rx_get(n, &n->q[0], &got, MAKE_DO_MS), INT32_MIN);
	assert_int_equal(rx_counter(n, 0, dropped), 1);
	/* With one page there is no place for an extra. */
	nic_close(n);
	n = nic_open_connected();
	rx_post(n, &n->q[0], 1);
	test_link_put(n->link, &header, frame, 2000);
	assert_int_equal(rx_get(n, &n->q[0], &got, MAKE_DO_MS), INT32_MIN);
	make_tcp(frame, 200, false);
	test_link_put(n->link, &small, frame, 200);
	assert_int_equal(rx_get(n, &n->q[0], &got, WAIT_MS), 200);
	nic_close(n);
}

/* Bad ones between good ones: each is answered in its place. */
static void test_rx_grants(void **state)
{
	const struct frame_header none = {0};
	struct nic *n = nic_open_connected();
	uint8_t frame[1000];
	static struct rx_got got;
	unsigned int i, good = 0, bad = 0;
	uint64_t page;

	fill(frame, sizeof(frame), 4);
	frame[0] &= ~1;
	for (i = 0; i < 10; i++) {
		page = guest_page(&n->shim);
		rx_post(n, &n->q[0], 1);
		rx_post_grant(&n->q[0], i % 2 ? 0xffffff : guest_grant(&n->shim, page, true));
		n->q[0].grant[(n->q[0].rx.req_prod - 1) % NIC_RING] = SHIM_GRANTS - 1; /* none */
	}
	rx_push(n, &n->q[0]);
	for (i = 0; i < 10; i++)
		test_link_put(n->link, &none, frame, sizeof(frame));
	for (i = 0; i < 20; i++) {
		if (rx_get(n, &n->q[0], &got, WAIT_MS) == sizeof(frame))
			good++;
		else if (got.length < 0)
			bad++;
	}
	assert_int_equal(good, 10);
	assert_int_equal(bad, 10);
	nic_close(n);
}

static void test_events(void **state)
{
	struct nic *n = open_two();
	uint64_t before;
	unsigned int i;

	/* Rests are learnt; then a flood costs little. */
	for (i = 0; i < 2000; i++) {
		guest_kick(&n->shim, n->q[0].tx_port);
		fake_sleep_ms(0);
	}
	before = rx_counter(n, 0, sleeps);
	for (i = 0; i < 100; i++) {
		guest_kick(&n->shim, n->q[0].tx_port);
		fake_sleep_ms(1);
	}
	assert_true(rx_counter(n, 0, sleeps) - before < 300);
	check_tx(n, &n->q[0]);
	check_tx(n, &n->q[1]);
	nic_close(n);
}

/* Rings the bells of both queues all the time. */
struct ringer {
	pthread_t thread;
	int bell[4];
	_Atomic bool stop;
};

static void *ring_bells(void *context)
{
	struct ringer *ringer = context;
	const uint64_t one = 1;
	unsigned int i;

	for (i = 0; !ringer->stop; i++)
		if (write(ringer->bell[i % 4], &one, sizeof(one)) < 0)
			continue;
	return NULL;
}

static void start_ringer(struct ringer *ringer, struct nic *n)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ringer->bell[2 * i] = n->shim.port[n->q[i].tx_port].from;
		ringer->bell[2 * i + 1] = n->shim.port[n->q[i].rx_port].from;
	}
	ringer->stop = false;
	assert_int_equal(pthread_create(&ringer->thread, NULL, ring_bells, ringer), 0);
}

static void stop_ringer(struct ringer *ringer)
{
	ringer->stop = true;
	pthread_join(ringer->thread, NULL);
}

/* Row 13: closes in every way, under events, with frames on their way in both directions, and held. */
static void test_close_busy(void **state)
{
	struct nic *n = nic_open();
	struct ringer ringer;
	unsigned int round, i;

	nic_features(n);
	for (round = 0; round < 12; round++) {
		__atomic_store_n(&n->link->busy, round & 1, __ATOMIC_RELAXED);
		nic_connect(n, 2, true);
		start_ringer(&ringer, n);
		rx_post(n, &n->q[0], 20);
		rx_post(n, &n->q[1], 20);
		flood(n, 10);
		for (i = 0; i < 10; i++)
			tx_frame(n, &n->q[i & 1], some, 600);
		front_set(n, "state", "%u", round % 3 == 0 ? 5 : round % 3 == 1 ? 6 : 1);
		if (round % 3 != 2) {
			assert_back(n, "state", "6");
			front_set(n, "state", "1");
		}
		assert_back(n, "state", "2");
		shim_check_unpinned(&n->shim);
		assert_int_equal(n->link->active, 0);
		/* They go on for a while; nobody listens. */
		stop_ringer(&ringer);
	}
	test_link_drain(n->link);
	__atomic_store_n(&n->link->busy, false, __ATOMIC_RELAXED);
	nic_connect(n, 2, true);
	check_tx(n, &n->q[0]);
	check_tx(n, &n->q[1]);
	nic_close(n);
}

static void test_keys(void **state)
{
	static const struct {
		const char *key, *value;
	} bad[] = {
		{"request-rx-copy", "0"},
		{"feature-sg", "2"},
		{"feature-gso-tcpv4", "yes"},
		{"xdp-headroom", "2049"},
		{"xdp-headroom", "-1"},
		{"tx-ring-ref", "4294967296"},
		{"rx-ring-ref", "3"},
		{"event-channel", "200"},
		{"multi-queue-num-queues", "3"},
		{"multi-queue-num-queues", "0"},
	};
	struct nic *n = nic_open();
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nic_features(n);
		store_set(&n->shim.store, "0", FRONT "/xdp-headroom");
		store_set(&n->shim.store, "1", FRONT "/multi-queue-num-queues");
		nic_queues(n, 1, false);
		store_set(&n->shim.store, bad[i].value, FRONT "/%s", bad[i].key);
		front_set(n, "state", "4");
		assert_back(n, "state", "5");
		shim_check_unpinned(&n->shim);
		front_set(n, "state", "6");
		assert_back(n, "state", "6");
		front_set(n, "state", "1");
		assert_back(n, "state", "2");
	}
	nic_features(n);
	store_set(&n->shim.store, "0", FRONT "/xdp-headroom");
	store_set(&n->shim.store, "1", FRONT "/multi-queue-num-queues");
	nic_connect(n, 1, false);
	check_tx(n, &n->q[0]);
	nic_close(n);
}

/* ---- another guest's device ---------------------------------------------------------------------- */

/* It sends and receives as fast as it can, all the time. */
struct neighbour {
	pthread_t thread;
	struct nic *nic;
	_Atomic bool stop;
	_Atomic unsigned int good, bad;
};

static void *neighbour_runs(void *context)
{
	static const struct frame_header none;
	struct neighbour *neighbour = context;
	struct nic *n = neighbour->nic;
	struct nic_queue *q = &n->q[0];
	struct netif_tx_req request = tx_piece(n, some, 100, 300, 0);
	uint32_t page = guest_grant(&n->shim, guest_page(&n->shim), false);
	struct frame_header header;
	struct netif_rx_rsp response;
	uint8_t got[400];

	while (!neighbour->stop) {
		bool good;

		tx_put(q, request);
		tx_push(n, q);
		good = link_get(n, &header, got, sizeof(got), WAIT_MS) == 300 &&
		       !memcmp(got, some, 300) && tx_answer(n, q, WAIT_MS) == NETIF_OK;
		rx_post_grant(q, page);
		rx_push(n, q);
		test_link_put(n->link, &none, some, 200);
		good = front_reap(n, &q->rx, q->rx_port, &response, sizeof(response), WAIT_MS) &&
		       response.status == 200 && good;
		neighbour->good += good;
		neighbour->bad += !good;
	}
	return NULL;
}

/* It gets on, with us in the same daemon. */
static void check_undisturbed(struct neighbour *neighbour)
{
	const unsigned int before = neighbour->good;
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && neighbour->good < before + 3; ms++)
		fake_sleep_ms(1);
	assert_true(ms < WAIT_MS);
	assert_int_equal(neighbour->bad, 0);
}

static void misbehave(struct nic *n, struct neighbour *neighbour)
{
	struct ringer ringer;
	struct netif_tx_req request;
	unsigned int i;

	for (i = 0; i < 50; i++) {
		request = tx_piece(n, some, 0, 100, 0);
		request.grant += 1 + i;
		tx_put(&n->q[0], request);
	}
	tx_push(n, &n->q[0]);
	check_undisturbed(neighbour);
	flood(n, 100000);
	start_ringer(&ringer, n);
	check_undisturbed(neighbour);
	stop_ringer(&ringer);
	order_store_release(&n->q[1].tx.ring.header->req_prod, n->q[1].tx.req_prod + NIC_RING + 1);
	guest_kick(&n->shim, n->q[1].tx_port);
	check_undisturbed(neighbour);
	for (i = 0; i < 1000; i++)
		front_set(n, "state", "%u", i % 9);
	check_undisturbed(neighbour);
	front_set(n, "state", "6");
	assert_back(n, "state", "6");
	front_set(n, "state", "1");
	assert_back(n, "state", "2");
	front_set(n, "feature-sg", "banana");
	front_set(n, "state", "4");
	assert_back(n, "state", "5");
	check_undisturbed(neighbour);
	store_drop(&n->shim.store, FRONT);
	assert_back(n, "state", "6");
	check_undisturbed(neighbour);
}

static void test_neighbour(void **state)
{
	struct nic *n = nic_open_beside();
	struct neighbour neighbour = {.nic = n->beside};

	nic_features(n);
	nic_connect(n, 2, true);
	assert_back(n->beside, "state", "2");
	nic_features(n->beside);
	front_set(n->beside, "feature-sg", "0"); /* a page is enough for it */
	nic_connect(n->beside, 1, true);
	assert_int_equal(pthread_create(&neighbour.thread, NULL, neighbour_runs, &neighbour), 0);
	misbehave(n, &neighbour);
	neighbour.stop = true;
	pthread_join(neighbour.thread, NULL);
	assert_int_equal(neighbour.bad, 0);
	assert_int_equal(tx_counter(n->beside, 0, broken) + rx_counter(n->beside, 0, broken), 0);
	assert_int_equal(tx_counter(n->beside, 0, dropped) + rx_counter(n->beside, 0, dropped), 0);
	assert_back(n->beside, "state", "4");
	nic_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_jumps), cmocka_unit_test(test_chain_behind_producer),
		cmocka_unit_test(test_slots),       cmocka_unit_test(test_page_end),
		cmocka_unit_test(test_sizes),       cmocka_unit_test(test_tx_grants),
		cmocka_unit_test(test_extra_types), cmocka_unit_test(test_gso),
		cmocka_unit_test(test_checksum),    cmocka_unit_test(test_headers_split),
		cmocka_unit_test(test_rewriting),   cmocka_unit_test(test_no_pages),
		cmocka_unit_test(test_few_pages),   cmocka_unit_test(test_rx_grants),
		cmocka_unit_test(test_events),      cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_page),     cmocka_unit_test(test_close_busy),
		cmocka_unit_test(test_neighbour),
	};

	log_open("test", false);
	fill(some, sizeof(some), 5);
	some[0] &= ~1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
