// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The control ring: what a front-end may ask for and what not, hashes beside frames, and frames that come
 * to the queue that their hash says.
 */
#include "netif_guest.h"

#include "backend/net/netif_hash.h"

struct ctrl {
	struct xen_front front;
	uint32_t reference, port;
	uint16_t next_id;
};

/* The key, addresses and results of Microsoft's "Verifying the RSS Hash Calculation". */
static const uint8_t key[NETIF_HASH_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};
#define V4_PLAIN 0x323e8fc2U
#define V4_TCP   0x51ccc178U
#define V6_PLAIN 0x2cc18cd5U
#define V6_TCP   0x40207d3dU

static void make_hashed(uint8_t *frame, size_t length, bool ipv6)
{
	static const uint8_t v4[] = {66, 9, 149, 187, 161, 142, 100, 80};
	static const uint8_t v6[] = {
		0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07,
		0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01};
	static const uint8_t ports[] = {2794 >> 8, 2794 & 0xff, 1766 >> 8, 1766 & 0xff};

	make_tcp(frame, length, ipv6);
	if (ipv6)
		memcpy(frame + 22, v6, sizeof(v6));
	else
		memcpy(frame + 26, v4, sizeof(v4));
	memcpy(frame + ETH_BYTES + (ipv6 ? 40 : 20), ports, sizeof(ports));
}

static void expect_hash(const struct netif_hash *hash, bool ipv6, uint8_t type, uint32_t value)
{
	uint8_t frame[200], got_type;
	uint32_t got;

	make_hashed(frame, sizeof(frame), ipv6);
	assert_true(netif_hash_frame(hash, frame, sizeof(frame), &got_type, &got));
	assert_int_equal(got_type, type);
	assert_int_equal(got, value);
}

static void test_vectors(void **state)
{
	struct netif_hash hash = {.algorithm = NETIF_HASH_ALGORITHM_TOEPLITZ};
	uint8_t frame[200], type;
	uint32_t value;

	memcpy(hash.key, key, sizeof(key));
	hash.flags = NETIF_HASH_IPV4 | NETIF_HASH_IPV6;
	expect_hash(&hash, false, 0, V4_PLAIN);
	expect_hash(&hash, true, 2, V6_PLAIN);
	hash.flags = NETIF_HASH_FLAGS;
	expect_hash(&hash, false, 1, V4_TCP);
	expect_hash(&hash, true, 3, V6_TCP);
	/* No ports in a fragment, and none in UDP. */
	make_hashed(frame, sizeof(frame), false);
	frame[20] = 0x20;
	assert_true(netif_hash_frame(&hash, frame, sizeof(frame), &type, &value));
	assert_true(type == 0 && value == V4_PLAIN);
	hash.flags = NETIF_HASH_IPV4_TCP;
	assert_false(netif_hash_frame(&hash, frame, sizeof(frame), &type, &value));
	hash.flags = NETIF_HASH_FLAGS;
	make_hashed(frame, sizeof(frame), false);
	frame[23] = 17;
	assert_true(netif_hash_frame(&hash, frame, sizeof(frame), &type, &value) && type == 0);
	/* However short. */
	for (size_t length = 0; length < sizeof(frame); length++) {
		uint8_t *exact = malloc(length);

		make_hashed(frame, sizeof(frame), length & 1);
		memcpy(exact, frame, length);
		netif_hash_frame(&hash, exact, length, &type, &value);
		free(exact);
	}
	memset(frame, 0, sizeof(frame));
	assert_false(netif_hash_frame(&hash, frame, sizeof(frame), &type, &value));
}

/* ---- a front-end with a control ring --------------------------------------------------------- */

static void ctrl_publish(struct nic *n, struct ctrl *c)
{
	assert_back(n, "feature-ctrl-ring", "1");
	memset(c, 0, sizeof(*c));
	c->reference = ring_make(n, &c->front, NETIF_CTRL_SLOT_BYTES);
	c->port = guest_port(&n->shim);
	front_set(n, "ctrl-ring-ref", "%u", c->reference);
	front_set(n, "event-channel-ctrl", "%u", c->port);
}

static struct nic *open_with_ctrl(struct ctrl *c, unsigned int queues)
{
	struct nic *n = nic_open();

	ctrl_publish(n, c);
	nic_features(n);
	nic_connect(n, queues, true);
	return n;
}

static void ctrl_put(struct nic *n, struct ctrl *c, uint16_t type, uint32_t a, uint32_t b,
		     uint32_t d)
{
	struct netif_ctrl_req request = {c->next_id++, type, {a, b, d}};

	assert_int_equal(xen_front_put(&c->front, &request, sizeof(request)), 0);
	xen_front_publish(&c->front);
	if (xen_front_should_notify(&c->front))
		guest_kick(&n->shim, c->port);
}

static uint32_t ask(struct nic *n, struct ctrl *c, uint16_t type, uint32_t a, uint32_t b,
		    uint32_t d, uint32_t *data)
{
	struct netif_ctrl_rsp response;

	ctrl_put(n, c, type, a, b, d);
	assert_true(front_reap(n, &c->front, c->port, &response, sizeof(response), WAIT_MS));
	assert_int_equal(response.id, (uint16_t)(c->next_id - 1));
	assert_int_equal(response.type, type);
	if (data)
		*data = response.data;
	return response.status;
}

static uint32_t set(struct nic *n, struct ctrl *c, uint16_t type, uint32_t a, uint32_t b,
		    uint32_t d)
{
	return ask(n, c, type, a, b, d, NULL);
}

static uint32_t grant_of(struct nic *n, const void *data, size_t bytes)
{
	uint64_t page = guest_page(&n->shim);

	memcpy(guest_at(&n->shim, page), data, bytes);
	return guest_grant(&n->shim, page, true);
}

static void hash_all(struct nic *n, struct ctrl *c)
{
	uint32_t grant = grant_of(n, key, sizeof(key));

	assert_int_equal(set(n, c, NETIF_CTRL_SET_HASH_ALGORITHM, 1, 0, 0), NETIF_CTRL_SUCCESS);
	assert_int_equal(set(n, c, NETIF_CTRL_SET_HASH_KEY, grant, sizeof(key), 0),
			 NETIF_CTRL_SUCCESS);
	assert_int_equal(set(n, c, NETIF_CTRL_SET_HASH_FLAGS, NETIF_HASH_FLAGS, 0, 0),
			 NETIF_CTRL_SUCCESS);
	assert_int_equal(guest_use(&n->shim, grant), 0);
}

/* All frames to one queue, by a table of three. */
static void steer_to(struct nic *n, struct ctrl *c, uint32_t queue)
{
	const uint32_t mapping[3] = {queue, queue, queue};

	assert_int_equal(set(n, c, NETIF_CTRL_SET_HASH_MAPPING_SIZE, 3, 0, 0), NETIF_CTRL_SUCCESS);
	assert_int_equal(
		set(n, c, NETIF_CTRL_SET_HASH_MAPPING, grant_of(n, mapping, sizeof(mapping)), 3, 0),
		NETIF_CTRL_SUCCESS);
}

static void test_requests(void **state)
{
	static const uint32_t bad_queue[] = {0, 1, 2};
	struct ctrl c;
	struct nic *n = open_with_ctrl(&c, 2);
	uint32_t data, grant = grant_of(n, key, sizeof(key));
	static const uint16_t unknown[] = {0, 8, 9, 10, 11, 255, 65535};

	assert_int_equal(set(n, &c, NETIF_CTRL_GET_HASH_FLAGS, 0, 0, 0), NETIF_CTRL_NOT_SUPPORTED);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_FLAGS, 1, 0, 0),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_ALGORITHM, 2, 0, 0),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_ALGORITHM, 1, 0, 0), NETIF_CTRL_SUCCESS);
	assert_int_equal(ask(n, &c, NETIF_CTRL_GET_HASH_FLAGS, 0, 0, 0, &data), NETIF_CTRL_SUCCESS);
	assert_int_equal(data, NETIF_HASH_FLAGS);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_FLAGS, 16, 0, 0),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_FLAGS, UINT32_MAX, 0, 0),
			 NETIF_CTRL_INVALID_PARAMETER);

	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_KEY, grant, 41, 0),
			 NETIF_CTRL_BUFFER_OVERFLOW);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_KEY, grant, UINT32_MAX, 0),
			 NETIF_CTRL_BUFFER_OVERFLOW);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_KEY, SHIM_GRANTS, 40, 0),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_KEY, SHIM_GRANTS - 1, 40, 0),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_KEY, grant, 40, 0), NETIF_CTRL_SUCCESS);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_KEY, UINT32_MAX, 0, 0), NETIF_CTRL_SUCCESS);

	assert_int_equal(ask(n, &c, NETIF_CTRL_GET_HASH_MAPPING_SIZE, 0, 0, 0, &data),
			 NETIF_CTRL_SUCCESS);
	assert_int_equal(data, NETIF_HASH_MAPPING_MAX);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING, grant, 1, 0),
			 NETIF_CTRL_INVALID_PARAMETER); /* there is no table */
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING_SIZE, data + 1, 0, 0),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING_SIZE, data, 0, 0),
			 NETIF_CTRL_SUCCESS);
	grant = grant_of(n, bad_queue, sizeof(bad_queue));
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING, grant, 2, 0), NETIF_CTRL_SUCCESS);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING, grant, 3, 0),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING, grant, 2, data - 2),
			 NETIF_CTRL_SUCCESS);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING, grant, 2, data - 1),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING, grant, 2, UINT32_MAX),
			 NETIF_CTRL_INVALID_PARAMETER);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING, grant, UINT32_MAX, 2),
			 NETIF_CTRL_INVALID_PARAMETER);
	for (unsigned int i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_int_equal(set(n, &c, unknown[i], 1, 2, 3), NETIF_CTRL_NOT_SUPPORTED);
	check_tx(n, &n->q[1]);
	nic_close(n);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static uint32_t hash_of(const struct rx_got *got)
{
	const uint8_t *value = got->hash.u.hash.value;

	assert_int_equal(got->hash.u.hash.algorithm, NETIF_HASH_ALGORITHM_TOEPLITZ);
	return value[0] | value[1] << 8 | value[2] << 16 | (uint32_t)value[3] << 24;
}

static void receive(struct nic *n, struct nic_queue *q, size_t length, bool ipv6, uint16_t gso_size)
{
	const struct frame_header header = tcp_header(ipv6, gso_size);
	static uint8_t frame[65000];
	static struct rx_got got;

	make_hashed(frame, length, ipv6);
	test_link_put(n->link, &header, frame, length);
	assert_int_equal(rx_get(n, q, &got, WAIT_MS), length);
	assert_memory_equal(got.data, frame, length);
	assert_int_equal(got.hash.type, NETIF_EXTRA_HASH);
	assert_int_equal(got.hash.flags, 0);
	assert_int_equal(got.hash.u.hash.type, ipv6 ? 3 : 1);
	assert_int_equal(hash_of(&got), ipv6 ? V6_TCP : V4_TCP);
	assert_int_equal(got.gso.u.gso.size, gso_size);
	assert_int_equal(got.gso.flags, gso_size ? NETIF_EXTRA_MORE : 0);
}

static void receive_plain(struct nic *n, struct nic_queue *q, size_t length)
{
	const struct frame_header none = {0};
	static uint8_t frame[65000];
	static struct rx_got got;

	fill(frame, length, 7);
	frame[0] &= ~1;
	frame[12] = 0x88; /* no IP */
	test_link_put(n->link, &none, frame, length);
	assert_int_equal(rx_get(n, q, &got, WAIT_MS), length);
	assert_memory_equal(got.data, frame, length);
	assert_int_equal(got.flags & NETIF_RX_EXTRA_INFO, 0);
}

static void test_hashes(void **state)
{
	struct ctrl c;
	struct nic *n = open_with_ctrl(&c, 1);
	struct nic_queue *q = &n->q[0];

	rx_post(n, q, 200);
	receive_plain(n, q, 9000);
	hash_all(n, &c);
	for (int i = 0; i < 2; i++) {
		receive(n, q, 200, i, 0);
		receive(n, q, 9000, i, 0);
		receive(n, q, 30000, i, 1400);
		receive_plain(n, q, 200);
		receive_plain(n, q, 12000);
	}
	/* Off again, by either word. */
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_FLAGS, 0, 0, 0), NETIF_CTRL_SUCCESS);
	receive_plain(n, q, 9000);
	nic_close(n);
}

/* The test's link gives a frame to whichever queue looks first: it comes where its hash says. */
static void test_steering(void **state)
{
	struct ctrl c;
	struct nic *n = open_with_ctrl(&c, 2);
	unsigned int rounds, i;

	rx_post(n, &n->q[0], 200);
	rx_post(n, &n->q[1], 200);
	hash_all(n, &c);
	receive(n, &n->q[V4_TCP % 2], 300, false, 0); /* without a table */
	receive(n, &n->q[V6_TCP % 2], 300, true, 0);
	for (rounds = 0; rounds < 4; rounds++) {
		struct nic_queue *q = &n->q[rounds & 1];

		steer_to(n, &c, rounds & 1);
		for (i = 0; i < 6; i++)
			receive(n, q, 100 + 300 * i, i & 1, 0);
		receive(n, q, 20000, false, 1448);
	}
	nic_close(n);
}

/* The daemon's memory changes, and the same rings go on: hash and table are as they were. */
static void test_pause(void **state)
{
	struct ctrl c;
	struct nic *n = open_with_ctrl(&c, 2);
	unsigned int acks = n->shim.acks[ATTACH_GRANT_TABLE];

	rx_post(n, &n->q[1], 50);
	rx_post(n, &n->q[0], 50);
	hash_all(n, &c);
	steer_to(n, &c, 1);
	receive(n, &n->q[1], 300, false, 0);
	shim_send_table(&n->shim);
	for (int ms = 0; ms < WAIT_MS && n->shim.acks[ATTACH_GRANT_TABLE] == acks; ms++)
		fake_sleep_ms(1);
	receive(n, &n->q[1], 300, true, 0);
	assert_int_equal(set(n, &c, NETIF_CTRL_SET_HASH_MAPPING_SIZE, 0, 0, 0), NETIF_CTRL_SUCCESS);
	receive(n, &n->q[V4_TCP % 2], 300, false, 0);
	nic_close(n);
}

/* A flood of requests in one go, and indices that make no sense: the queues go on. */
static void test_hostile_ring(void **state)
{
	struct ctrl c;
	struct nic *n = open_with_ctrl(&c, 2);
	struct netif_ctrl_rsp response;
	unsigned int i, size = SHIM_PAGE / NETIF_CTRL_SLOT_BYTES / 2;

	for (i = 0; i < size; i++) {
		struct netif_ctrl_req request = {i, NETIF_CTRL_SET_HASH_ALGORITHM, {i & 1, 0, 0}};

		assert_int_equal(xen_front_put(&c.front, &request, sizeof(request)), 0);
	}
	xen_front_publish(&c.front);
	guest_kick(&n->shim, c.port);
	for (i = 0; i < size; i++) {
		assert_true(front_reap(n, &c.front, c.port, &response, sizeof(response), WAIT_MS));
		assert_int_equal(response.id, i);
		assert_int_equal(response.status, NETIF_CTRL_SUCCESS);
	}
	rx_post(n, &n->q[0], 20);
	rx_post(n, &n->q[1], 20);
	hash_all(n, &c);
	steer_to(n, &c, 1);
	order_store_release(&c.front.ring.header->req_prod, c.front.req_prod + 5000);
	guest_kick(&n->shim, c.port);
	check_tx(n, &n->q[0]);
	receive(n, &n->q[1], 300, false, 0);
	/* It begins anew without one: no hash, no steering is left. */
	front_set(n, "state", "5");
	assert_back(n, "state", "6");
	shim_check_unpinned(&n->shim);
	front_set(n, "state", "1");
	assert_back(n, "state", "2");
	store_drop(&n->shim.store, FRONT "/ctrl-ring-ref");
	store_drop(&n->shim.store, FRONT "/multi-queue-num-queues");
	nic_connect(n, 1, true);
	rx_post(n, &n->q[0], 20);
	receive_plain(n, &n->q[0], 300);
	nic_close(n);
}

/* With control ring and queues, of which one does not start; then one with more queues and without. */
static void test_failed_connect(void **state)
{
	struct nic *n = nic_open();
	struct ctrl c;

	n->link->dead = 1u << 1;
	ctrl_publish(n, &c);
	nic_features(n);
	nic_queues(n, 2, true);
	front_set(n, "state", "4");
	assert_back(n, "state", "5");
	n->link->dead = 0;
	front_set(n, "state", "6");
	assert_back(n, "state", "6");
	front_set(n, "state", "1");
	assert_back(n, "state", "2");
	store_drop(&n->shim.store, FRONT "/ctrl-ring-ref");
	nic_connect(n, NIC_QUEUES, true);
	for (unsigned int i = 0; i < NIC_QUEUES; i++)
		check_tx(n, &n->q[i]);
	rx_post(n, &n->q[NIC_QUEUES - 1], 20);
	receive_plain(n, &n->q[NIC_QUEUES - 1], 300);
	nic_close(n);
}

/* ---- a burst, step by step, in the worker -------------------------------------------------------- */

struct step {
	struct nic *n;
	unsigned int moved;
	bool put, armed;
};

/* A frame from another queue, told by its bytes; one that is not good is dropped. */
static bool put_inbox(struct nic *n, unsigned int queue, uint8_t tell, bool good)
{
	const struct frame_header header = {.gso_type = good ? VIRTIO_NET_HDR_GSO_NONE : 0x7f};
	uint8_t frame[100];
	const struct iovec piece = {frame, sizeof(frame)};

	memset(frame, tell, sizeof(frame));
	return netif_inbox_put(n->netif->steering.inbox[queue], &header, &piece, 1, sizeof(frame));
}

/* All of the burst's frames are dropped, and one comes before it has found that no more are there. */
static void call_left_over(struct net_worker *worker, void *argument)
{
	struct step *step = argument;

	step->put = true;
	for (unsigned int i = 0; i < NETIF_INBOX_SLOTS; i++)
		step->put &= put_inbox(step->n, 1, 2, false);
	step->moved = worker->ops->burst(worker);
	step->put &= put_inbox(step->n, 1, 4, true);
	step->armed = worker->ops->arm(worker);
	worker->ops->disarm(worker);
}

static void test_left_over(void **state)
{
	struct ctrl c;
	struct nic *n = open_with_ctrl(&c, 2);
	struct step step = {.n = n};
	static struct rx_got got;

	rx_post(n, &n->q[1], 100);
	fake_sleep_ms(QUIET_MS); /* they are staged, and it sleeps */
	net_worker_do(n->netif->worker[1], call_left_over, &step);
	assert_true(step.put);
	assert_int_equal(step.moved, NETIF_INBOX_SLOTS);
	assert_false(step.armed);
	assert_int_equal(rx_get(n, &n->q[1], &got, WAIT_MS), 100);
	assert_int_equal(got.data[0], 4);
	nic_close(n);
}

/* As many as fit in one burst from another queue, and a frame of its own link. */
static void call_crowd(struct net_worker *worker, void *argument)
{
	struct step *step = argument;
	const struct {
		struct frame_header header;
		uint8_t data[50];
	} own = {.data = {6}};

	step->put = send(step->n->link->outside, &own, sizeof(own), 0) == sizeof(own);
	for (unsigned int i = 0; i < NETIF_INBOX_SLOTS; i++)
		step->put &= put_inbox(step->n, 1, 2, true);
	step->moved = worker->ops->burst(worker);
}

static void test_crowd(void **state)
{
	struct ctrl c;
	struct nic *n = open_with_ctrl(&c, 2);
	struct step step = {.n = n};
	static struct rx_got got;
	unsigned int i, own = 0;

	rx_post(n, &n->q[1], 200); /* the other queue has none and leaves the link's frame there */
	fake_sleep_ms(QUIET_MS);
	net_worker_do(n->netif->worker[1], call_crowd, &step);
	assert_true(step.put);
	assert_true(step.moved >= NETIF_INBOX_SLOTS);
	for (i = 0; i < NETIF_INBOX_SLOTS + 1; i++) {
		assert_true(rx_get(n, &n->q[1], &got, WAIT_MS) > 0);
		if (got.data[0] == 6)
			own = i + 1;
	}
	assert_in_range(own, 1, 2);
	nic_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors), cmocka_unit_test(test_requests),
		cmocka_unit_test(test_hashes),  cmocka_unit_test(test_steering),
		cmocka_unit_test(test_pause),   cmocka_unit_test(test_hostile_ring),
		cmocka_unit_test(test_failed_connect), cmocka_unit_test(test_left_over),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
