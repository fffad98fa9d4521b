// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The device as a transport sees it: features, configuration space, identity, resizing; and the
 * budget for polling.
 */
#include "tests/unit/blk/harness.h"

#include "backend/poll.h"

#define IMAGE_BYTES (1ULL << 20)

static struct harness h;

static int set_up(void **state)
{
	memset(&h, 0, sizeof(h));
	make_file(h.path, sizeof(h.path), IMAGE_BYTES);
	return 0;
}

static int tear_down(void **state)
{
	return unlink(h.path);
}

static void open_device(bool read_only, uint32_t block_size)
{
	harness_open(&h, open_file(h.path, read_only, STORE_CACHE_WRITEBACK, block_size),
		     &store_engine_threads, F_BASE | 1ULL << VIRTIO_BLK_F_FLUSH, 64);
}

static struct virtio_blk_config config(void)
{
	struct virtio_blk_config config;

	assert_int_equal(h.device->ops->config_read(h.device, 0, &config, sizeof(config)), 0);
	return config;
}

static bool offers(unsigned int bit)
{
	return h.device->features & 1ULL << bit;
}

static void test_features(void **state)
{
	open_device(false, 0);
	assert_true(offers(VIRTIO_F_VERSION_1));
	assert_true(offers(VIRTIO_BLK_F_MQ));
	assert_true(offers(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_false(offers(VIRTIO_BLK_F_RO));
	assert_false(offers(VIRTIO_BLK_F_SECURE_ERASE));
	assert_false(offers(35)); /* IN_ORDER: answers come as they are ready */
	assert_int_equal(h.device->ops->set_features(h.device, 1ULL << 63), -EINVAL);
	assert_int_equal(h.device->ops->set_features(h.device, h.device->features), 0);
	harness_close(&h);
}

static void test_secure_erase(void **state)
{
	struct store_image *image = open_file(h.path, false, STORE_CACHE_WRITEBACK, 0);
	struct virtio_blk_config c;

	image->can_erase = true;
	harness_open(&h, image, &store_engine_threads, F_BASE | 1ULL << VIRTIO_BLK_F_FLUSH, 64);
	assert_true(offers(VIRTIO_BLK_F_SECURE_ERASE));
	c = config();
	assert_true(c.max_secure_erase_sectors > 0 && c.max_secure_erase_seg > 0);
	assert_true(c.secure_erase_sector_alignment > 0);
	harness_close(&h);
}

static void test_config(void **state)
{
	struct virtio_blk_config c;
	uint8_t byte = 0;

	open_device(false, 4096);
	c = config();
	assert_int_equal(c.capacity, IMAGE_BYTES / 512);
	assert_int_equal(c.blk_size, 4096);
	assert_int_equal(c.num_queues, 2);
	assert_int_equal(c.seg_max, 126);
	assert_true(c.size_max >= 4096);
	assert_int_equal(c.wce, 1);
	assert_true(c.max_discard_sectors > 0 && c.max_discard_seg > 0);
	assert_true(c.max_write_zeroes_sectors > 0 && c.max_write_zeroes_seg > 0);
	assert_int_equal(h.device->ops->config_read(h.device, 256, &byte, 1), -EINVAL);
	assert_int_equal(h.device->ops->config_read(h.device, UINT32_MAX, &byte, 2), -EINVAL);
	assert_int_equal(h.device->ops->config_read(h.device, 255, &byte, 1), 0);
	assert_int_equal(h.device->ops->config_write(h.device, 0, &byte, 1), -EINVAL);
	harness_close(&h);
}

static void test_ring_too_large(void **state)
{
	struct blk_options options = {.engine = &store_engine_null, .queues = 1, .queue_size = 64};
	struct store_image_options null = {.null_size = IMAGE_BYTES};
	struct virtio_blk *blk;

	open_device(false, 0);
	stop_queue(&h);
	options.image = store_image_open(&null);
	options.stats = h.stats;
	blk = virtio_blk_open(&options);
	h.queue.ring.areas.size = 128;
	assert_int_equal(virtio_blk_device(blk)->ops->queue_start(virtio_blk_device(blk), &h.queue),
			 -EINVAL);
	h.queue.ring.areas.size = 64;
	virtio_blk_close(blk);
	store_image_close(options.image);
	harness_close(&h);
}

static void test_read_only(void **state)
{
	uint64_t data;

	open_device(true, 0);
	data = take(&h, 512, 0);
	assert_true(offers(VIRTIO_BLK_F_RO));
	assert_false(offers(VIRTIO_BLK_F_DISCARD));
	assert_false(offers(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&h, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	harness_close(&h);
}

static void test_get_id(void **state)
{
	uint64_t data;

	open_device(false, 0);
	data = take(&h, 64, 0);
	memset(at(&h, data), 0xff, 64);
	assert_int_equal(request(&h, VIRTIO_BLK_T_GET_ID, 0, data, 64), VIRTIO_BLK_S_OK);
	assert_memory_equal(at(&h, data), h.image->id, 20);
	assert_int_equal(*(uint8_t *)at(&h, data + 20), 0xff);
	memset(at(&h, data), 0xff, 64);
	assert_int_equal(request(&h, VIRTIO_BLK_T_GET_ID, 0, data, 5), VIRTIO_BLK_S_OK);
	assert_memory_equal(at(&h, data), h.image->id, 5);
	assert_int_equal(*(uint8_t *)at(&h, data + 5), 0xff);
	harness_close(&h);
}

static unsigned int changes;

static void count_change(struct backend_device *device)
{
	changes++;
}

static void test_resize(void **state)
{
	uint64_t data;

	open_device(false, 0);
	data = take(&h, 512, 0);
	changes = 0;
	h.device->config_changed = count_change;
	virtio_blk_resize(h.blk);
	assert_int_equal(changes, 0);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, IMAGE_BYTES / 512, data, 512),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(truncate(h.path, 2 * IMAGE_BYTES), 0);
	virtio_blk_resize(h.blk);
	assert_int_equal(changes, 1);
	assert_int_equal(config().capacity, 2 * IMAGE_BYTES / 512);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, IMAGE_BYTES / 512, data, 512),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(truncate(h.path, IMAGE_BYTES), 0);
	virtio_blk_resize(h.blk);
	assert_int_equal(changes, 1);
	assert_int_equal(config().capacity, 2 * IMAGE_BYTES / 512);
	harness_close(&h);
}

static void test_counters(void **state)
{
	struct stats_queue *stats;
	uint64_t data, latency = 0;
	unsigned int i;

	open_device(false, 0);
	data = take(&h, 4096, 0);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, 0, data, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, UINT64_MAX, data, 512), VIRTIO_BLK_S_IOERR);
	stats = stats_queue(h.stats, 0);
	assert_int_equal(stats_read(&stats->active), 1);
	/* The requests may have come so fast that its thread has not slept yet: now it will. */
	for (i = 0; i < 10000 && !stats_read(&stats->sleeps); i++)
		usleep(1000);
	stop_queue(&h);
	assert_int_equal(stats_read(&stats->active), 0);
	assert_int_equal(stats_read(&stats->requests[STATS_BLK_WRITE]), 1);
	assert_int_equal(stats_read(&stats->requests[STATS_BLK_READ]), 2);
	assert_int_equal(stats_read(&stats->bytes_in), 4096);
	assert_int_equal(stats_read(&stats->bytes_out), 1024);
	assert_int_equal(stats_read(&stats->errors), 1);
	assert_true(stats_read(&stats->interrupts) >= 1);
	assert_true(stats_read(&stats->sleeps) >= 1);
	for (i = 0; i < STATS_LATENCY_BUCKETS; i++)
		latency += stats_read(&stats->latency[i]);
	assert_int_equal(latency, 3);
	harness_close(&h);
}

/* ---- polling ---------------------------------------------------------------------------------- */

static void learn(struct poll_budget *poll, uint64_t idle_ns, unsigned int times)
{
	while (times--)
		poll_learn(poll, idle_ns);
}

static void test_poll_budget(void **state)
{
	struct poll_budget poll;

	poll_init(&poll, 50);
	assert_int_equal(poll_budget_ns(&poll), 50000);
	learn(&poll, 1000000000, 10);
	assert_int_equal(poll_budget_ns(&poll), 50000);
	poll_init(&poll, 0);
	assert_int_equal(poll_budget_ns(&poll), 0);

	poll_init(&poll, -1);
	assert_int_equal(poll_budget_ns(&poll), 0); /* until work is seen to come often */
	learn(&poll, 20000, 40);
	assert_true(poll_budget_ns(&poll) >= 40000 && poll_budget_ns(&poll) <= 60000);
	learn(&poll, 1000000000, 1); /* one long pause ends it */
	assert_int_equal(poll_budget_ns(&poll), 0);
	learn(&poll, 20000, 8);
	assert_true(poll_budget_ns(&poll) > 0);
	learn(&poll, 150000, 40); /* too long to be worth it */
	assert_int_equal(poll_budget_ns(&poll), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_features),       CASE(test_config),
		CASE(test_ring_too_large), CASE(test_read_only),
		CASE(test_get_id),         CASE(test_resize),
		CASE(test_counters),       cmocka_unit_test(test_poll_budget),
		CASE(test_secure_erase),
	};

	log_open("device", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
