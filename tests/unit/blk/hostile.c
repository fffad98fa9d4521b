// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Malformed and hostile requests: each costs the request, or the queue, and nothing else. After each
 * a second device still serves, and every descriptor is closed again.
 */
#include "tests/unit/blk/harness.h"

#include <dirent.h>

#define IMAGE_BYTES (1ULL << 20)
#define END         (MEMORY_BASE + MEMORY_BYTES)

struct world {
	struct harness victim, bystander;
	unsigned int descriptors;
};

static unsigned int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static int set_up(void **state)
{
	static struct world world;
	struct store_image_options null = {.null_size = IMAGE_BYTES};

	memset(&world, 0, sizeof(world));
	world.descriptors = open_descriptors();
	make_file(world.victim.path, sizeof(world.victim.path), IMAGE_BYTES);
	harness_open(&world.victim, open_file(world.victim.path, false, STORE_CACHE_WRITEBACK, 0),
		     store_engine_choose(STORE_IO_URING, STORE_CACHE_WRITEBACK), F_BLK, 256);
	harness_open(&world.bystander, store_image_open(&null), &store_engine_null, F_BLK, 64);
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	uint64_t data = take(&world->bystander, 512, 0);

	assert_int_equal(request(&world->bystander, VIRTIO_BLK_T_IN, 0, data, 512),
			 VIRTIO_BLK_S_OK);
	harness_close(&world->victim);
	harness_close(&world->bystander);
	unlink(world->victim.path);
	assert_int_equal(open_descriptors(), world->descriptors);
	return 0;
}

static void assert_serves(struct harness *h)
{
	uint64_t data = take(h, 512, 0);

	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, 5, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(stats_read(&stats_queue(h->stats, 0)->broken), 0);
}

static void assert_broken(struct harness *h)
{
	assert_true(wait_broken(h));
	stop_queue(h);
	assert_int_equal(stats_read(&stats_queue(h->stats, 0)->broken), 1);
}

/* Sends @c, and expects its status. */
static void expect(struct harness *h, struct chain *c, int status)
{
	send_chain(h, c);
	wait_chain(h, c);
	assert_int_equal(chain_status(h, c), status);
	assert_serves(h);
}

/* ---- addresses (row 18) ----------------------------------------------------------------------- */

static void expect_bad_data(struct harness *h, uint64_t address, uint32_t length)
{
	struct chain c = {0};

	add_header(h, &c, VIRTIO_BLK_T_OUT, 0);
	add_readable(&c, address, length);
	add_status(h, &c);
	expect(h, &c, VIRTIO_BLK_S_IOERR);
}

static void test_data_out_of_memory(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;

	expect_bad_data(h, END - 511, 512);
	expect_bad_data(h, END, 512);
	expect_bad_data(h, 0, 512);
	expect_bad_data(h, UINT64_MAX - 100, 512);
	expect_bad_data(h, UINT64_MAX, 0);
	assert_int_equal(stats_read(&stats_queue(h->stats, 0)->errors), 5);
}

/* Contiguous for the guest, two regions for us: header, data and status each lie across the seam. */
static void test_across_two_regions(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	uint64_t seam = MEMORY_BASE + MEMORY_REGION, back = take(h, 512, 0);
	struct chain c = {0};

	*(struct virtio_blk_outhdr *)at(h, seam - 8) =
		(struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_OUT, .sector = 9};
	add_readable(&c, seam - 8, 16 + 512);
	memset(at(h, seam + 8), 0x77, 512);
	add_status(h, &c);
	expect(h, &c, VIRTIO_BLK_S_OK);
	memset(&c, 0, sizeof(c));
	add_header(h, &c, VIRTIO_BLK_T_IN, 9);
	c.status = seam + 256;
	add_writable(&c, seam - 256, 513);
	expect(h, &c, VIRTIO_BLK_S_OK);
	memcpy(at(h, back), at(h, seam - 256), 512);
	assert_int_equal(*(uint8_t *)at(h, back), 0x77);
	assert_int_equal(*(uint8_t *)at(h, back + 511), 0x77);
	assert_int_equal(c.written, 513);
}

static void test_header_out_of_memory(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	struct chain c = {0};

	add_readable(&c, END - 8, 16);
	add_status(h, &c);
	expect(h, &c, VIRTIO_BLK_S_IOERR);
}

/* There is nowhere to tell, but the chain comes back, and nothing was written anywhere. */
static void test_status_out_of_memory(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	struct chain c = {0};

	add_header(h, &c, VIRTIO_BLK_T_FLUSH, 0);
	add_writable(&c, END, 1);
	send_chain(h, &c);
	wait_chain(h, &c);
	assert_int_equal(c.written, 0);
	assert_serves(h);
}

/* ---- shapes ----------------------------------------------------------------------------------- */

static void test_header_in_pieces(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	uint64_t header = take(h, 16, 0), data = take(h, 512 + 1, 0);
	struct chain c = {0};
	unsigned int i;

	*(struct virtio_blk_outhdr *)at(h, header) =
		(struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN, .sector = 1};
	for (i = 0; i < 16; i++)
		add_readable(&c, header + i, 1);
	c.status = data + 512; /* the last byte of the data's piece */
	*(uint8_t *)at(h, c.status) = NO_STATUS;
	add_writable(&c, data, 513);
	expect(h, &c, VIRTIO_BLK_S_OK);
	assert_int_equal(c.written, 513);
}

static void test_header_with_data(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	uint64_t all = take(h, 16 + 1024, 0), back = take(h, 1024, 0);
	struct chain c = {0};

	*(struct virtio_blk_outhdr *)at(h, all) =
		(struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_OUT, .sector = 64};
	memset(at(h, all + 16), 0x5a, 1024);
	add_readable(&c, all, 16 + 300);
	add_readable(&c, all + 316, 724);
	add_status(h, &c);
	expect(h, &c, VIRTIO_BLK_S_OK);
	assert_int_equal(request(h, VIRTIO_BLK_T_IN, 64, back, 1024), VIRTIO_BLK_S_OK);
	assert_memory_equal(at(h, back), at(h, all + 16), 1024);
}

static void test_short_header(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	struct chain c = {0};

	add_readable(&c, take(h, 15, 0), 15);
	add_status(h, &c);
	expect(h, &c, VIRTIO_BLK_S_IOERR);
}

static void test_no_header(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	struct chain c = {0};

	add_status(h, &c);
	expect(h, &c, VIRTIO_BLK_S_IOERR);
}

static void test_no_data(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;

	assert_int_equal(request(h, VIRTIO_BLK_T_IN, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(h, VIRTIO_BLK_T_DISCARD, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_serves(h);
}

/* More pieces than a request can have, through an indirect table. */
static void test_too_many_pieces(void **state)
{
	enum {
		PIECES = 400
	};
	struct harness *h = &((struct world *)*state)->victim;
	struct virtqueue_buffer buffers[PIECES];
	uint64_t table = take(h, PIECES * 16, 0), data = take(h, PIECES * 512, 0);
	struct chain c = {0};
	unsigned int i;

	add_header(h, &c, VIRTIO_BLK_T_IN, 0);
	add_status(h, &c);
	buffers[0] = c.buffers[0];
	for (i = 1; i < PIECES - 1; i++)
		buffers[i] = (struct virtqueue_buffer){data + i * 512, 512};
	buffers[PIECES - 1] = c.buffers[1];
	assert_int_equal(virtqueue_add(&h->driver, buffers, 1, PIECES - 1, &c, at(h, table), table),
			 0);
	kick(h);
	wait_chain(h, &c);
	assert_int_equal(chain_status(h, &c), VIRTIO_BLK_S_IOERR);
	assert_serves(h);
}

static void test_unknown_types(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;

	assert_int_equal(request(h, 2, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(h, VIRTIO_BLK_T_SECURE_ERASE, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(h, UINT32_MAX, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
	assert_serves(h);
}

/* ---- ranges (row 23), and sectors (row 4) ----------------------------------------------------- */

static void test_ranges(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	uint64_t sectors = IMAGE_BYTES / 512;

	assert_int_equal(range_request(h, VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(h, VIRTIO_BLK_T_WRITE_ZEROES, UINT64_MAX - 1, UINT32_MAX, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(h, VIRTIO_BLK_T_DISCARD, sectors - 1, 2, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		range_request(h, VIRTIO_BLK_T_DISCARD, 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
		VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(range_request(h, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	assert_serves(h);
}

static void test_sectors(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	uint64_t data = take(h, 1024, 0);

	assert_int_equal(request(h, VIRTIO_BLK_T_IN, IMAGE_BYTES / 512 - 1, data, 1024),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, UINT64_MAX, data, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, 1ULL << 55, data, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(h, VIRTIO_BLK_T_OUT, 0, data, 100), VIRTIO_BLK_S_IOERR);
	assert_serves(h);
}

/* ---- broken rings ----------------------------------------------------------------------------- */

/* Row 23: neither success nor failure could be told. */
static void test_nothing_writable(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	struct chain c = {0};

	add_header(h, &c, VIRTIO_BLK_T_FLUSH, 0);
	send_chain(h, &c);
	assert_broken(h);
}

/* Row 15. What was fetched before is answered all the same. */
static void test_index_jumps(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	struct vring_avail *avail = h->areas.driver;
	uint64_t one = 1;

	assert_serves(h);
	__atomic_store_n(&avail->idx, avail->idx + 257, __ATOMIC_RELEASE);
	assert_int_equal(write(h->queue.kick, &one, sizeof(one)), sizeof(one));
	assert_broken(h);
}

/* A broken queue parks: kicks do not wake it into work, stop ends it, and a new start serves. */
static void test_restart_after_broken(void **state)
{
	struct harness *h = &((struct world *)*state)->victim;
	struct virtqueue_position position = {0, 0};
	struct chain c = {0};

	add_header(h, &c, VIRTIO_BLK_T_FLUSH, 0);
	send_chain(h, &c);
	assert_true(wait_broken(h));
	kick(h);
	stop_queue(h);
	memset(h->host, 0, RING_BYTES);
	queue_init(h, 256, position);
	assert_int_equal(virtqueue_driver_init(&h->driver, &h->areas, h->features), 0);
	start_queue(h);
	assert_int_equal(request(h, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_data_out_of_memory),
		CASE(test_across_two_regions),
		CASE(test_header_out_of_memory),
		CASE(test_status_out_of_memory),
		CASE(test_header_in_pieces),
		CASE(test_header_with_data),
		CASE(test_short_header),
		CASE(test_no_header),
		CASE(test_no_data),
		CASE(test_too_many_pieces),
		CASE(test_unknown_types),
		CASE(test_ranges),
		CASE(test_sectors),
		CASE(test_nothing_writable),
		CASE(test_index_jumps),
		CASE(test_restart_after_broken),
	};

	log_open("hostile", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
