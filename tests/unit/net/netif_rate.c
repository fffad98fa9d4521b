// SPDX-License-Identifier: MIT OR GPL-2.0
/* The limit on what a guest sends: the key's text, the credit, and a device that has one. */
#include "netif_guest.h"

#include <time.h>

#include "backend/net/netif_rate.h"

#define FRAME_BYTES 1500

static void test_text(void **state)
{
	static const char *const bad[] = {"",
					  ",",
					  "1",
					  "1,",
					  ",1",
					  "1,1,1",
					  " 1,1",
					  "1, 1",
					  "1,1 ",
					  "-1,1",
					  "+1,1",
					  "0x10,1",
					  "a,b",
					  "0,1",
					  "1;1",
					  "1.5,1",
					  "1,1e3",
					  "1,1000000001",
					  "1099511627777,1",
					  "99999999999999999999999999,1",
					  "1,99999999999999999999999999"};
	uint64_t bytes, us;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(netif_rate_parse(bad[i], &bytes, &us));
	assert_true(netif_rate_parse("1099511627776,1000000000", &bytes, &us));
	assert_true(bytes == NETIF_RATE_BYTES_MAX && us == NETIF_RATE_US_MAX);
	assert_true(netif_rate_parse("125000,10000", &bytes, &us));
	assert_true(bytes == 125000 && us == 10000);
	assert_true(netif_rate_parse("0,0", &bytes, &us) && !us);
}

static void test_credit(void **state)
{
	struct netif_rate rate = {0};
	uint64_t wait;

	for (int i = 0; i < 1000; i++)
		assert_int_equal(netif_rate_take(&rate, 65535), 0);
	/* 1 MB/s: a burst of 128 KiB, and then a frame of 60000 bytes after 60 ms. */
	netif_rate_set(&rate, 1000, 1000);
	assert_int_equal(netif_rate_take(&rate, 65535), 0);
	assert_int_equal(netif_rate_take(&rate, 65535), 0);
	wait = netif_rate_take(&rate, 60000);
	assert_in_range(wait, 50000000, 60000000);
	assert_in_range(netif_rate_take(&rate, 60000), 50000000, wait); /* nothing was taken */
	/* The same again brings no credit. */
	netif_rate_set(&rate, 1000, 1000);
	assert_in_range(netif_rate_take(&rate, 60000), 40000000, wait);
	/* The slowest there is: it goes on some day, and nothing wraps. */
	netif_rate_set(&rate, 1, NETIF_RATE_US_MAX);
	assert_int_equal(netif_rate_take(&rate, 65535), 0);
	assert_int_equal(netif_rate_take(&rate, 65535), 0);
	wait = netif_rate_take(&rate, 65535);
	assert_true(wait > 60000ULL * 1000000000000 && wait < 65535ULL * 1000000000001);
	/* What was spent at that rate is one burst at the next, however long it would have taken. */
	netif_rate_set(&rate, 1000, 1000);
	assert_in_range(netif_rate_take(&rate, 60000), 50000000, 60000000);
	/* The fastest. */
	netif_rate_set(&rate, NETIF_RATE_BYTES_MAX, 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(netif_rate_take(&rate, 65535), 0);
}

static uint64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void send_frames(struct nic *n, struct nic_queue *q, unsigned int count)
{
	uint8_t frame[FRAME_BYTES];

	fill(frame, sizeof(frame), 9);
	frame[0] &= ~1;
	for (unsigned int i = 0; i < count; i++)
		tx_put(q, tx_piece(n, frame, 0, sizeof(frame), 0));
	tx_push(n, q);
}

/* How many of @count frames come out in @ms each at most. */
static unsigned int get_frames(struct nic *n, unsigned int count, int ms)
{
	uint8_t data[FRAME_BYTES];
	struct frame_header header;
	unsigned int i;

	for (i = 0; i < count; i++)
		if (link_get(n, &header, data, sizeof(data), ms) != FRAME_BYTES)
			break;
	return i;
}

#define BURST_FRAMES (NETIF_RATE_BURST_MIN / FRAME_BYTES)

static void test_limit(void **state)
{
	struct nic *n = nic_open();
	uint64_t start;

	nic_features(n);
	store_set(&n->shim.store, "10000,10000", BACK "/rate"); /* 1 MB/s */
	nic_connect(n, 2, true);
	start = now_ms();
	/* Both queues have one limit between them. */
	send_frames(n, &n->q[0], 100);
	send_frames(n, &n->q[1], 100);
	assert_int_equal(get_frames(n, 200, WAIT_MS), 200);
	/* 300000 bytes, less the burst, are 168 ms. */
	assert_true(now_ms() - start >= 150);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(tx_answer(n, &n->q[0], WAIT_MS), NETIF_OK);
		assert_int_equal(tx_answer(n, &n->q[1], WAIT_MS), NETIF_OK);
	}
	nic_close(n);
}

/* From next to nothing to no limit, while a frame is held. */
static void test_change(void **state)
{
	struct nic *n = nic_open();

	nic_features(n);
	store_set(&n->shim.store, "1,1000000", BACK "/rate");
	nic_connect(n, 1, false);
	send_frames(n, &n->q[0], 150);
	assert_int_equal(get_frames(n, 150, 300), BURST_FRAMES);
	store_set(&n->shim.store, "nonsense", BACK "/rate");
	assert_int_equal(get_frames(n, 150 - BURST_FRAMES, WAIT_MS), 150 - BURST_FRAMES);
	check_tx(n, &n->q[0]);
	nic_close(n);
}

/* A front-end that goes, or a daemon that ends, waits for no credit; the frame is not lost either. */
static void test_close_held(void **state)
{
	struct nic *n = nic_open();

	nic_features(n);
	store_set(&n->shim.store, "1,1000000", BACK "/rate");
	nic_connect(n, 1, true);
	send_frames(n, &n->q[0], 100);
	assert_int_equal(get_frames(n, 100, 300), BURST_FRAMES);
	front_set(n, "state", "5");
	assert_back(n, "state", "6");
	shim_check_unpinned(&n->shim);
	front_set(n, "state", "1");
	assert_back(n, "state", "2");
	store_set(&n->shim.store, "0,0", BACK "/rate");
	nic_connect(n, 1, true);
	check_tx(n, &n->q[0]);
	nic_close(n);
}

/* Coming back is no way to more. */
static void test_reconnect(void **state)
{
	struct nic *n = nic_open();

	nic_features(n);
	store_set(&n->shim.store, "1,1000000", BACK "/rate");
	nic_connect(n, 1, true);
	send_frames(n, &n->q[0], BURST_FRAMES);
	assert_int_equal(get_frames(n, BURST_FRAMES, WAIT_MS), BURST_FRAMES);
	front_set(n, "state", "5");
	assert_back(n, "state", "6");
	front_set(n, "state", "1");
	assert_back(n, "state", "2");
	nic_connect(n, 1, true);
	send_frames(n, &n->q[0], 10);
	assert_int_equal(get_frames(n, 1, 300), 0);
	nic_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),       cmocka_unit_test(test_credit),
		cmocka_unit_test(test_limit),      cmocka_unit_test(test_change),
		cmocka_unit_test(test_close_held), cmocka_unit_test(test_reconnect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
