// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * From the link into a guest's receive ring, in all ring formats, merged and not.
 */
#include "backend/net/rx.h"
#include "fixture.h"

#define V1    (1ULL << VIRTIO_F_VERSION_1)
#define MERGE (1ULL << VIRTIO_NET_F_MRG_RXBUF)

/* What a frame may take, its header among it: three buffers of 512. */
#define FRAME_MAX 1500

struct fixture {
	struct guest *guest;
	struct test_link *link;
	struct stats_queue stats;
	struct net_rx rx;
	uint8_t data[70000], got[70000];
	uint64_t buffer[RING_SIZE]; /* addresses, in the order in which they were lent */
	uint32_t length[RING_SIZE];
	unsigned int lent, reaped;
};

static uint64_t features;

static void start(struct fixture *fx)
{
	net_rx_start(&fx->rx, &fx->guest->queue, TEST_OFFLOADS, FRAME_MAX);
	fx->rx.active = true;
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	fx->guest = guest_open(features, 0);
	fx->link = test_link_open(1);
	fx->rx.link = &fx->link->link;
	fx->rx.device = "test";
	fx->rx.stats = &fx->stats;
	start(fx);
	fill(fx->data, sizeof(fx->data), 3);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->rx.queue)
		net_rx_stop(&fx->rx);
	test_link_close(fx->link);
	guest_close(fx->guest);
	free(fx);
	return 0;
}

/* Lends @count chains of one buffer of @length bytes. */
static void lend(struct fixture *fx, unsigned int count, uint32_t length)
{
	struct virtqueue_buffer buffer;

	while (count--) {
		buffer = guest_buffer(fx->guest, NULL, length);
		fx->buffer[fx->lent] = buffer.address;
		fx->length[fx->lent] = length;
		guest_lend(fx->guest, &buffer, 1, 1, &fx->buffer[fx->lent]);
		fx->lent++;
	}
}

static void put(struct fixture *fx, size_t length)
{
	const struct frame_header header = {0};

	test_link_put(fx->link, &header, fx->data, length);
}

/* The next frame as the guest's driver puts it together. Answers how many buffers it was in. */
static unsigned int expect_frame(struct fixture *fx, size_t length, struct frame_header *header)
{
	unsigned int i, buffers = 1;
	size_t at = 0, skip = sizeof(*header);
	uint32_t written;

	for (i = 0; i < buffers; i++) {
		const unsigned int place = fx->reaped++ % RING_SIZE;
		const uint8_t *from = guest_at(fx->guest, fx->buffer[place]);

		assert_true(guest_reap(fx->guest, &fx->buffer[place], &written));
		assert_true(written <= fx->length[place]);
		if (!i) {
			memcpy(header, from, sizeof(*header));
			assert_in_range(header->num_buffers, 1, RING_SIZE);
			buffers = header->num_buffers;
		}
		memcpy(fx->got + at, from + skip, written - skip);
		at += written - skip;
		skip = 0;
	}
	assert_int_equal(at, length);
	assert_memory_equal(fx->got, fx->data, length);
	return buffers;
}

static void expect_nothing(struct fixture *fx)
{
	void *token;
	uint32_t written;

	assert_int_equal(virtqueue_reap(&fx->guest->driver, &token, &written), VIRTQUEUE_EMPTY);
}

static void test_one_frame(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .csum_start = 34,
				      .csum_offset = 16,
				      .num_buffers = 99};
	struct frame_header got;

	lend(fx, 4, 1600);
	assert_int_equal(net_rx_burst(&fx->rx), 0);
	expect_nothing(fx);
	test_link_put(fx->link, &header, fx->data, 1000);
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_int_equal(expect_frame(fx, 1000, &got), 1);
	header.num_buffers = 1;
	assert_memory_equal(&got, &header, sizeof(got));
	expect_nothing(fx);
	assert_int_equal(fx->stats.requests[STATS_NET_FRAME], 1);
	assert_int_equal(fx->stats.bytes_out, 1000);
}

static void test_frames_share_an_interrupt(void **state)
{
	struct fixture *fx = *state;
	struct frame_header got;
	unsigned int i;

	lend(fx, 64, 1600);
	for (i = 0; i < 30; i++)
		put(fx, 60 + i);
	while (net_rx_burst(&fx->rx))
		;
	for (i = 0; i < 30; i++)
		assert_int_equal(expect_frame(fx, 60 + i, &got), 1);
	/* The socket pair may hold fewer at once than were sent. */
	assert_in_range(fx->stats.interrupts + fx->stats.interrupts_suppressed, 1, 3);
}

static void test_header_of_its_own(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffers[4];
	uint64_t place = guest_alloc(fx->guest, 2000);
	uint32_t written;

	/* Over three descriptors, the third with the frame's first bytes. */
	buffers[0] = (struct virtqueue_buffer){place, 5};
	buffers[1] = (struct virtqueue_buffer){place + 5, 6};
	buffers[2] = (struct virtqueue_buffer){place + 11, 100};
	buffers[3] = (struct virtqueue_buffer){place + 111, 1600};
	guest_lend(fx->guest, buffers, 4, 4, fx);
	put(fx, 700);
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_true(guest_reap(fx->guest, fx, &written));
	assert_int_equal(written, 712);
	assert_int_equal(((struct frame_header *)guest_at(fx->guest, place))->num_buffers, 1);
	assert_memory_equal(guest_at(fx->guest, place + 12), fx->data, 700);
}

static void test_buffers_are_merged(void **state)
{
	struct fixture *fx = *state;
	struct frame_header got;

	lend(fx, 8, 512);
	put(fx, 500); /* one, to the last byte */
	put(fx, 501); /* two */
	put(fx, 1400); /* three */
	while (net_rx_burst(&fx->rx))
		;
	assert_int_equal(expect_frame(fx, 500, &got), 1);
	assert_int_equal(expect_frame(fx, 501, &got), 2);
	assert_int_equal(expect_frame(fx, 1400, &got), 3);
}

/* Buffers of all sizes go round and round, with always more staged than a frame takes. */
static void test_long_run(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffer;
	struct frame_header got;
	unsigned int i, at, buffers, round;

	for (i = 0; i < RING_SIZE; i++)
		lend(fx, 1, 200 + i * 5);
	for (round = 0; round < 5000; round++) {
		put(fx, 14 + round * 37 % 1400);
		assert_int_not_equal(net_rx_burst(&fx->rx), 0);
		buffers = expect_frame(fx, 14 + round * 37 % 1400, &got);
		for (i = fx->reaped - buffers; i != fx->reaped; i++) {
			at = i % RING_SIZE;
			buffer = (struct virtqueue_buffer){fx->buffer[at], fx->length[at]};
			memset(guest_at(fx->guest, buffer.address), 0xee, buffer.length);
			guest_lend(fx->guest, &buffer, 1, 1, &fx->buffer[at]);
		}
	}
	assert_int_equal(fx->stats.dropped, 0);
}

static void test_no_buffers_no_receiving(void **state)
{
	struct fixture *fx = *state;
	struct frame_header got;

	put(fx, 100);
	assert_int_equal(net_rx_burst(&fx->rx), 0);
	assert_false(net_rx_ready(&fx->rx));
	assert_true(net_rx_starving(&fx->rx));
	assert_int_equal(fx->stats.dropped, 0);
	lend(fx, 3, 1600);
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_int_equal(expect_frame(fx, 100, &got), 1);
	assert_true(net_rx_ready(&fx->rx));
	assert_false(net_rx_starving(&fx->rx));
}

/* Too little for the largest frame: waited for, then it must do. */
static void test_few_buffers_must_do(void **state)
{
	struct fixture *fx = *state;
	struct frame_header got;

	lend(fx, 1, 512);
	put(fx, 400);
	assert_int_equal(net_rx_burst(&fx->rx), 0);
	assert_true(net_rx_starving(&fx->rx));
	fx->rx.make_do = true;
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_int_equal(expect_frame(fx, 400, &got), 1);

	/* One that does not fit is lost, its buffer is not. */
	lend(fx, 1, 512);
	put(fx, 501);
	put(fx, 300);
	fx->rx.make_do = true;
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_int_equal(fx->stats.dropped, 1);
	assert_int_equal(expect_frame(fx, 300, &got), 1);

	/* Enough again: large frames are waited for again. */
	lend(fx, 3, 512);
	assert_int_equal(net_rx_burst(&fx->rx), 0);
	assert_true(net_rx_ready(&fx->rx));
	assert_false(fx->rx.make_do);
}

static void test_too_small_a_chain(void **state)
{
	struct fixture *fx = *state;
	struct frame_header got;

	lend(fx, 1, 512);
	put(fx, 501);
	put(fx, 500);
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_int_equal(fx->stats.dropped, 1);
	assert_int_equal(expect_frame(fx, 500, &got), 1);
}

/* Chains that cannot take a frame come back empty, in their turn. */
static void test_useless_chains(void **state)
{
	struct fixture *fx = *state;
	struct frame_header got;
	struct virtqueue_buffer bad;
	uint32_t written;
	char token[3];

	bad = guest_buffer(fx->guest, NULL, 12); /* a header's room and no more */
	guest_lend(fx->guest, &bad, 1, 1, &token[0]);
	lend(fx, 1, 1600);
	bad = guest_buffer(fx->guest, NULL, 1600);
	guest_lend(fx->guest, &bad, 1, 0, &token[1]); /* not writable */
	bad.address = 0x1000;
	guest_lend(fx->guest, &bad, 1, 1, &token[2]); /* nowhere */
	lend(fx, 2, 1600);
	put(fx, 100);
	put(fx, 101);
	while (net_rx_burst(&fx->rx))
		;
	assert_true(guest_reap(fx->guest, &token[0], &written));
	assert_int_equal(written, 0);
	assert_int_equal(expect_frame(fx, 100, &got), 1);
	assert_true(guest_reap(fx->guest, &token[1], &written));
	assert_int_equal(written, 0);
	assert_true(guest_reap(fx->guest, &token[2], &written));
	assert_int_equal(written, 0);
	assert_int_equal(expect_frame(fx, 101, &got), 1);
	assert_int_equal(fx->stats.errors, 3);
	assert_int_equal(fx->stats.dropped, 0);
}

/* What a link brings is not believed either. */
static void test_bad_header_from_the_link(void **state)
{
	struct fixture *fx = *state;
	struct frame_header got;
	const struct frame_header bad = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 99, .csum_offset = 16};

	lend(fx, 3, 1600);
	test_link_put(fx->link, &bad, fx->data, 100);
	put(fx, 100);
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_int_equal(fx->stats.dropped, 1);
	assert_int_equal(expect_frame(fx, 100, &got), 1);
	/* Nor what it may bring and this guest does not take. */
	net_rx_set_offloads(&fx->rx, 0);
	test_link_put(fx->link, &bad, fx->data, 1000);
	assert_int_equal(net_rx_burst(&fx->rx), 0);
	assert_int_equal(fx->stats.dropped, 2);
}

static void test_inactive_pair_receives_nothing(void **state)
{
	struct fixture *fx = *state;

	fx->rx.active = false;
	lend(fx, 3, 1600);
	put(fx, 100);
	assert_int_equal(net_rx_burst(&fx->rx), 0);
	assert_false(net_rx_ready(&fx->rx));
	assert_false(net_rx_starving(&fx->rx));
	fx->rx.active = true;
	assert_int_equal(net_rx_burst(&fx->rx), 1);
}

static void test_stop_gives_staged_buffers_back(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_position position;
	struct frame_header got;

	lend(fx, 8, 512);
	put(fx, 200);
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_int_equal(net_rx_burst(&fx->rx), 0);
	net_rx_stop(&fx->rx);
	position = virtqueue_device_position(&fx->guest->queue.ring);
	assert_int_equal(position.avail, position.used);

	guest_attach(fx->guest, features, position);
	start(fx);
	put(fx, 201);
	put(fx, 202);
	while (net_rx_burst(&fx->rx))
		;
	expect_frame(fx, 200, &got);
	expect_frame(fx, 201, &got);
	expect_frame(fx, 202, &got);
}

/* A chain of more pieces than a system call takes. */
static void test_very_many_pieces(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_buffer buffers[RING_SIZE];
	uint64_t place = guest_alloc(fx->guest, RING_SIZE * 16);
	uint32_t written;
	unsigned int i;

	for (i = 0; i < RING_SIZE; i++)
		buffers[i] = (struct virtqueue_buffer){place + 6 * i, 6};
	guest_lend(fx->guest, buffers, RING_SIZE, RING_SIZE, fx);
	put(fx, 1400);
	assert_int_equal(net_rx_burst(&fx->rx), 1);
	assert_true(guest_reap(fx->guest, fx, &written));
	assert_int_equal(written, 1412);
	assert_memory_equal(guest_at(fx->guest, place + 12), fx->data, 1400);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest merged[] = {
		TEST(test_one_frame),
		TEST(test_frames_share_an_interrupt),
		TEST(test_header_of_its_own),
		TEST(test_buffers_are_merged),
		TEST(test_long_run),
		TEST(test_no_buffers_no_receiving),
		TEST(test_few_buffers_must_do),
		TEST(test_useless_chains),
		TEST(test_bad_header_from_the_link),
		TEST(test_inactive_pair_receives_nothing),
		TEST(test_stop_gives_staged_buffers_back),
		TEST(test_very_many_pieces),
	};
	const struct CMUnitTest single[] = {
		TEST(test_one_frame),
		TEST(test_frames_share_an_interrupt),
		TEST(test_header_of_its_own),
		TEST(test_no_buffers_no_receiving),
		TEST(test_too_small_a_chain),
		TEST(test_useless_chains),
		TEST(test_bad_header_from_the_link),
		TEST(test_inactive_pair_receives_nothing),
		TEST(test_stop_gives_staged_buffers_back),
		TEST(test_very_many_pieces),
	};
	static const struct {
		const char *name;
		uint64_t features;
	} formats[] = {
		{"split", V1},
		{"split, event index, in order", V1 | VIRTQUEUE_F_EVENT_IDX | VIRTQUEUE_F_IN_ORDER},
		{"packed", V1 | VIRTQUEUE_F_PACKED},
		{"packed, event index, in order",
		 V1 | VIRTQUEUE_F_PACKED | VIRTQUEUE_F_EVENT_IDX | VIRTQUEUE_F_IN_ORDER},
	};
	int failed = 0;
	size_t i;

	log_open("rx", false);
	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		features = formats[i].features | MERGE;
		failed += cmocka_run_group_tests_name(formats[i].name, merged, NULL, NULL);
		features = formats[i].features;
		failed += cmocka_run_group_tests_name(formats[i].name, single, NULL, NULL);
	}
	return failed;
}
