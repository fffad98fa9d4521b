// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * From a guest's transmit ring to the link, in all ring formats; and what a hostile guest gets.
 */
#include "backend/net/tx.h"
#include "fixture.h"

#define V1 (1ULL << VIRTIO_F_VERSION_1)

struct fixture {
	struct guest *guest;
	struct test_link *link;
	struct stats_queue stats;
	struct net_tx tx;
	uint8_t sent[1600], got[70000];
	struct frame_header header, got_header;
};

static uint64_t features;

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	fx->guest = guest_open(features, 1);
	fx->link = test_link_open(1);
	fx->tx.link = &fx->link->link;
	fx->tx.device = "test";
	fx->tx.stats = &fx->stats;
	net_tx_start(&fx->tx, &fx->guest->queue, TEST_OFFLOADS);
	fill(fx->sent, sizeof(fx->sent), 1);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->tx.queue)
		net_tx_stop(&fx->tx);
	test_link_close(fx->link);
	guest_close(fx->guest);
	free(fx);
	return 0;
}

/* A chain of header and frame, cut after each of @cuts bytes. */
static void lend_cut(struct fixture *fx, const size_t *cuts, unsigned int count, size_t length,
		     void *token)
{
	uint8_t whole[12 + 1600];
	struct virtqueue_buffer buffers[16];
	unsigned int i;
	size_t at = 0;

	memcpy(whole, &fx->header, 12);
	memcpy(whole + 12, fx->sent, length);
	for (i = 0; i < count; i++) {
		buffers[i] = guest_buffer(fx->guest, whole + at, cuts[i]);
		at += cuts[i];
	}
	if (at < 12 + length)
		buffers[i++] = guest_buffer(fx->guest, whole + at, 12 + length - at);
	guest_lend(fx->guest, buffers, i, 0, token);
}

static void lend(struct fixture *fx, size_t length, void *token)
{
	const size_t cuts[] = {12};

	lend_cut(fx, cuts, 1, length, token);
}

static void expect_frame(struct fixture *fx, size_t length)
{
	assert_int_equal(test_link_get(fx->link, &fx->got_header, fx->got, sizeof(fx->got)),
			 length);
	assert_memory_equal(fx->got, fx->sent, length);
}

static void expect_nothing(struct fixture *fx)
{
	assert_int_equal(test_link_get(fx->link, &fx->got_header, fx->got, sizeof(fx->got)), -1);
}

static void test_one_frame(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(net_tx_burst(&fx->tx), 0);
	fx->header = (struct frame_header){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					   .csum_start = 34,
					   .csum_offset = 16,
					   .num_buffers = 7};
	lend(fx, 100, fx);
	assert_int_equal(net_tx_burst(&fx->tx), 1);
	expect_frame(fx, 100);
	fx->header.num_buffers = 0;
	assert_memory_equal(&fx->got_header, &fx->header, 12);
	assert_true(guest_reap(fx->guest, fx, NULL));
	assert_int_equal(fx->stats.requests[STATS_NET_FRAME], 1);
	assert_int_equal(fx->stats.bytes_in, 100);
}

static void test_header_anywhere(void **state)
{
	static const size_t cuts[][5] = {
		{12, 100}, {112}, {5, 3, 4}, {1, 1, 10}, {11, 2, 50}, {3, 40, 60},
	};
	struct fixture *fx = *state;
	size_t i, n;

	for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		for (n = 0; n < 5 && cuts[i][n]; n++)
			;
		lend_cut(fx, cuts[i], n, 100, fx);
		assert_int_equal(net_tx_burst(&fx->tx), 1);
		expect_frame(fx, 100);
		assert_true(guest_reap(fx->guest, fx, NULL));
	}
	assert_int_equal(fx->stats.dropped, 0);
}

static void test_many_share_an_interrupt(void **state)
{
	struct fixture *fx = *state;
	unsigned int i;

	for (i = 0; i < 40; i++)
		lend(fx, 100 + i, fx->got + i);
	assert_int_equal(net_tx_burst(&fx->tx), 40);
	for (i = 0; i < 40; i++) {
		expect_frame(fx, 100 + i);
		assert_true(guest_reap(fx->guest, fx->got + i, NULL));
	}
	assert_int_equal(fx->stats.interrupts + fx->stats.interrupts_suppressed, 1);
	assert_int_equal(fx->stats.batch[5], 1);
}

/* Each bad chain is between two good ones, which are to arrive. */
static void expect_dropped(struct fixture *fx, const struct virtqueue_buffer *buffers,
			   unsigned int count, unsigned int writable)
{
	struct frame_header bad = fx->header;
	uint64_t dropped = fx->stats.dropped;

	fx->header = (struct frame_header){0};
	lend(fx, 64, fx);
	guest_lend(fx->guest, buffers, count, writable, &bad);
	lend(fx, 65, fx);
	assert_int_equal(net_tx_burst(&fx->tx), 3);
	expect_frame(fx, 64);
	expect_frame(fx, 65);
	expect_nothing(fx);
	assert_int_equal(fx->stats.dropped, dropped + 1);
	assert_true(guest_reap(fx->guest, fx, NULL));
	assert_true(guest_reap(fx->guest, &bad, NULL));
	assert_true(guest_reap(fx->guest, fx, NULL));
}

static void test_no_frame_behind_the_header(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffers[3];

	buffers[0] = guest_buffer(fx->guest, fx->sent, 12);
	memset(guest_at(fx->guest, buffers[0].address), 0, 12);
	expect_dropped(fx, buffers, 1, 0);
	buffers[0].length = 11;
	expect_dropped(fx, buffers, 1, 0);
	buffers[0].length = 4;
	buffers[1] = buffers[2] = buffers[0];
	expect_dropped(fx, buffers, 3, 0);
	buffers[0].length = 12;
	buffers[1] = guest_buffer(fx->guest, fx->sent, 13);
	expect_dropped(fx, buffers, 2, 0);
}

static void test_bad_buffers(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffers[3];

	buffers[0] = guest_buffer(fx->guest, fx->sent, 12);
	memset(guest_at(fx->guest, buffers[0].address), 0, 12);
	/* A fragment of no length is nothing, if it is anywhere. */
	buffers[1] = (struct virtqueue_buffer){buffers[0].address, 0};
	buffers[2] = guest_buffer(fx->guest, fx->sent, 64);
	guest_lend(fx->guest, buffers, 3, 0, fx);
	assert_int_equal(net_tx_burst(&fx->tx), 1);
	expect_frame(fx, 64);
	assert_true(guest_reap(fx->guest, fx, NULL));
	buffers[1].address = 0x10;
	expect_dropped(fx, buffers, 3, 0);
	/* Past the end of memory, and nowhere. */
	buffers[1] = (struct virtqueue_buffer){GUEST_BASE + GUEST_BYTES - 10, 11};
	expect_dropped(fx, buffers, 2, 0);
	buffers[1] = (struct virtqueue_buffer){0x1000, 64};
	expect_dropped(fx, buffers, 2, 0);
	/* Larger than any frame. */
	buffers[1] = (struct virtqueue_buffer){GUEST_BASE, FRAME_BYTES_MAX + 1};
	expect_dropped(fx, buffers, 2, 0);
	/* Writable. */
	buffers[1] = buffers[2];
	expect_dropped(fx, buffers, 2, 1);
	expect_dropped(fx, buffers, 2, 2);
}

static void test_bad_header(void **state)
{
	struct fixture *fx = *state;
	const struct frame_header bad[] = {
		{VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 64, .csum_offset = 0},
		{VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0, .csum_offset = 63},
		{0, VIRTIO_NET_HDR_GSO_TCPV4, 54, 10, 34, 16, 0},
		{VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 54, 0, 34, 16, 0},
		{VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP, 54, 10, 34, 6, 0},
		{VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 65, 10, 34, 16, 0},
	};
	struct virtqueue_buffer buffers[2];
	size_t i;

	buffers[1] = guest_buffer(fx->guest, fx->sent, 64);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buffers[0] = guest_buffer(fx->guest, &bad[i], 12);
		expect_dropped(fx, buffers, 2, 0);
	}
}

/* A driver may not claim that a checksum was seen to be right. */
static void test_data_valid_is_not_believed(void **state)
{
	struct fixture *fx = *state;

	fx->header.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	lend(fx, 64, fx);
	net_tx_burst(&fx->tx);
	expect_frame(fx, 64);
	assert_int_equal(fx->got_header.flags, 0);
}

static void test_busy_link_loses_nothing(void **state)
{
	struct fixture *fx = *state;
	unsigned int i;

	fx->link->busy = true;
	for (i = 0; i < 3; i++)
		lend(fx, 100 + i, fx->got + i);
	assert_int_equal(net_tx_burst(&fx->tx), 0);
	assert_int_equal(net_tx_burst(&fx->tx), 0);
	assert_false(net_tx_listens(&fx->tx));
	fx->link->busy = false;
	assert_int_equal(net_tx_burst(&fx->tx), 3);
	assert_true(net_tx_listens(&fx->tx));
	for (i = 0; i < 3; i++)
		expect_frame(fx, 100 + i);
	assert_int_equal(fx->stats.dropped, 0);
}

static void test_stop_gives_the_held_frame_back(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_position position;

	lend(fx, 99, fx);
	assert_int_equal(net_tx_burst(&fx->tx), 1);
	fx->link->busy = true;
	lend(fx, 100, fx);
	lend(fx, 101, fx);
	assert_int_equal(net_tx_burst(&fx->tx), 0);
	net_tx_stop(&fx->tx);
	position = virtqueue_device_position(&fx->guest->queue.ring);
	assert_int_equal(position.avail, position.used);

	/* The next owner of the ring sends what was not sent. */
	guest_attach(fx->guest, features, position);
	net_tx_start(&fx->tx, &fx->guest->queue, TEST_OFFLOADS);
	fx->link->busy = false;
	assert_int_equal(net_tx_burst(&fx->tx), 2);
	expect_frame(fx, 99);
	expect_frame(fx, 100);
	expect_frame(fx, 101);
}

static void test_broken_ring(void **state)
{
	struct fixture *fx = *state;
	const struct virtqueue_areas *areas = &fx->guest->areas;
	uint64_t count;

	/* An index too far; or a slot that says "used" in a lap in which the device has not been there. */
	if (features & VIRTQUEUE_F_PACKED)
		((struct vring_packed_desc *)areas->descriptors)->flags =
			1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;
	else
		((struct vring_avail *)areas->driver)->idx = RING_SIZE + 1;
	assert_int_equal(net_tx_burst(&fx->tx), 0);
	assert_int_equal(net_tx_burst(&fx->tx), 0);
	assert_true(fx->tx.broken);
	assert_false(net_tx_listens(&fx->tx));
	assert_int_equal(fx->stats.broken, 1);
	assert_int_equal(read(fx->guest->queue.error, &count, sizeof(count)), sizeof(count));
}

/* The header of drivers before virtio 1.0 lacks the number of buffers. */
static void test_short_header(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffers[2];

	net_tx_stop(&fx->tx);
	guest_attach(fx->guest, 0, (struct virtqueue_position){0, 0});
	net_tx_start(&fx->tx, &fx->guest->queue, TEST_OFFLOADS);
	buffers[0] = guest_buffer(fx->guest, &fx->header, 10);
	buffers[1] = guest_buffer(fx->guest, fx->sent, 77);
	guest_lend(fx->guest, buffers, 2, 0, fx);
	assert_int_equal(net_tx_burst(&fx->tx), 1);
	expect_frame(fx, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_frame),
		TEST(test_header_anywhere),
		TEST(test_many_share_an_interrupt),
		TEST(test_no_frame_behind_the_header),
		TEST(test_bad_buffers),
		TEST(test_bad_header),
		TEST(test_data_valid_is_not_believed),
		TEST(test_busy_link_loses_nothing),
		TEST(test_stop_gives_the_held_frame_back),
		TEST(test_broken_ring),
	};
	const struct CMUnitTest legacy[] = {TEST(test_short_header)};
	static const struct {
		const char *name;
		uint64_t features;
	} formats[] = {
		{"split", V1},
		{"split, event index", V1 | VIRTQUEUE_F_EVENT_IDX},
		{"split, in order", V1 | VIRTQUEUE_F_IN_ORDER},
		{"packed", V1 | VIRTQUEUE_F_PACKED},
		{"packed, event index, in order",
		 V1 | VIRTQUEUE_F_PACKED | VIRTQUEUE_F_EVENT_IDX | VIRTQUEUE_F_IN_ORDER},
	};
	int failed = 0;
	size_t i;

	log_open("tx", false);
	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		features = formats[i].features;
		failed += cmocka_run_group_tests_name(formats[i].name, tests, NULL, NULL);
	}
	features = 0;
	failed += cmocka_run_group_tests_name("before 1.0", legacy, NULL, NULL);
	return failed;
}
