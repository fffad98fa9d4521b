// SPDX-License-Identifier: MIT OR GPL-2.0
/* The Xen block device as an honest guest sees it, from the handshake to the last request. */
#include "blkif_guest.h"

static void fill(struct disk *d, const uint64_t *pages, unsigned int count, unsigned int seed)
{
	unsigned int i, j;

	for (i = 0; i < count; i++) {
		uint32_t *page = guest_at(&d->shim, pages[i]);

		for (j = 0; j < SHIM_PAGE / 4; j++)
			page[j] = seed * 1000003 + i * 4096 + j;
	}
}

static void check_file(struct disk *d, const uint64_t *pages, unsigned int count, uint64_t offset)
{
	uint8_t block[SHIM_PAGE];
	unsigned int i;

	for (i = 0; i < count; i++) {
		read_file(d, block, SHIM_PAGE, offset + i * SHIM_PAGE);
		assert_memory_equal(block, guest_at(&d->shim, pages[i]), SHIM_PAGE);
	}
}

static void test_features(void **state)
{
	struct disk *d = disk_new();

	disk_open(d);
	assert_int_equal(back_number(d, "feature-flush-cache"), 1);
	assert_int_equal(back_number(d, "feature-barrier"), 1);
	assert_int_equal(back_number(d, "feature-discard"), 1);
	assert_int_equal(back_number(d, "feature-persistent"), 1);
	assert_int_equal(back_number(d, "feature-max-indirect-segments"), 128);
	assert_int_equal(back_number(d, "max-ring-page-order"), 4);
	assert_int_equal(back_number(d, "max-ring-pages"), 16);
	assert_int_equal(back_number(d, "feature-pvkit-write-zeroes"), 1);
	assert_int_equal(back_number(d, "multi-queue-max-queues"), QUEUES_MAX);
	disk_connect(d, 1, 0);
	assert_int_equal(back_number(d, "sectors"), DISK_BYTES / 512);
	assert_int_equal(back_number(d, "sector-size"), 512);
	assert_int_equal(back_number(d, "info"), 0);
	disk_close(d);
}

static void transfer(struct disk *d, struct disk_queue *q, unsigned int seed)
{
	uint64_t from[11], to[11];
	struct blkif_rw_req request;
	unsigned int i;

	new_pages(d, from, 11);
	new_pages(d, to, 11);
	fill(d, from, 11, seed);
	request = rw(d, BLKIF_WRITE, seed * 256, from, 11);
	assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_OK);
	check_file(d, from, 11, seed * 256 * 512ULL);
	request = rw(d, BLKIF_READ, seed * 256, to, 11);
	assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_OK);
	for (i = 0; i < 11; i++)
		assert_memory_equal(guest_at(&d->shim, from[i]), guest_at(&d->shim, to[i]),
				    SHIM_PAGE);
}

static void test_transfer(void **state)
{
	unsigned int order, version;

	for (version = 1; version <= 2; version++) {
		for (order = 0; order <= 4; order += 2) {
			struct disk *d = disk_new();

			d->version = version;
			disk_open(d);
			disk_connect(d, 1, order);
			transfer(d, &d->q[0], 3);
			disk_close(d);
		}
	}
}

static void test_queues(void **state)
{
	struct disk *d = disk_new();
	unsigned int i;

	disk_open(d);
	disk_connect(d, QUEUES_MAX, 1);
	for (i = 0; i < QUEUES_MAX; i++)
		transfer(d, &d->q[i], i + 1);
	disk_close(d);
}

static void test_engines(void **state)
{
	struct disk *d = disk_new();

	d->engine = store_engine_choose(STORE_IO_URING, STORE_CACHE_WRITEBACK);
	disk_open(d);
	disk_connect(d, 2, 0);
	transfer(d, &d->q[0], 1);
	transfer(d, &d->q[1], 2);
	disk_close(d);
}

/* Parts of pages, in an order that is nobody's. */
static void test_sectors(void **state)
{
	struct disk *d = disk_new();
	uint64_t pages[3];
	struct blkif_rw_req request;
	uint8_t block[8 * 512];

	disk_open(d);
	disk_connect(d, 1, 0);
	new_pages(d, pages, 3);
	fill(d, pages, 3, 9);
	request = rw(d, BLKIF_WRITE, 77, pages, 3);
	request.segment[0].first_sector = request.segment[0].last_sector = 5;
	request.segment[1].first_sector = 2;
	request.segment[1].last_sector = 3;
	request.segment[2].last_sector = 0;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	read_file(d, block, sizeof(block), 77 * 512);
	assert_memory_equal(block, (uint8_t *)guest_at(&d->shim, pages[0]) + 5 * 512, 512);
	assert_memory_equal(block + 512, (uint8_t *)guest_at(&d->shim, pages[1]) + 2 * 512, 1024);
	assert_memory_equal(block + 3 * 512, guest_at(&d->shim, pages[2]), 512);
	disk_close(d);
}

static struct blkif_indirect_req indirect(struct disk *d, uint8_t operation, uint64_t sector,
					  const uint64_t *pages, unsigned int count)
{
	uint64_t table = guest_page(&d->shim);
	struct blkif_segment *segment = guest_at(&d->shim, table);
	struct blkif_indirect_req request = {
		.operation = BLKIF_INDIRECT,
		.indirect_operation = operation,
		.segments = count,
		.sector = sector,
		.page_grant = {guest_grant(&d->shim, table, true)},
	};
	unsigned int i;

	for (i = 0; i < count; i++)
		segment[i] = (struct blkif_segment){
			.grant = guest_grant(&d->shim, pages[i], operation != BLKIF_READ),
			.last_sector = 7,
		};
	return request;
}

static void test_indirect(void **state)
{
	struct disk *d = disk_new();
	uint64_t from[128], to[128];
	struct blkif_indirect_req request;
	unsigned int i;

	disk_open(d);
	disk_connect(d, 1, 0);
	new_pages(d, from, 128);
	new_pages(d, to, 128);
	fill(d, from, 128, 4);
	request = indirect(d, BLKIF_WRITE, 800, from, 128);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	check_file(d, from, 128, 800 * 512);
	request = indirect(d, BLKIF_READ, 800, to, 128);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	for (i = 0; i < 128; i++)
		assert_memory_equal(guest_at(&d->shim, from[i]), guest_at(&d->shim, to[i]),
				    SHIM_PAGE);

	request = indirect(d, BLKIF_BARRIER, 1600, from, 20);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	check_file(d, from, 20, 1600 * 512);
	disk_close(d);
}

/* All of a ring at once: answers come in any order, each once. */
static void test_depth(void **state)
{
	struct disk *d = disk_new();
	uint64_t pages[128];
	struct blkif_rw_req request;
	struct blkif_rsp response;
	bool seen[128] = {false};
	unsigned int i;

	disk_open(d);
	disk_connect(d, 1, 2);
	new_pages(d, pages, 128);
	fill(d, pages, 128, 5);
	for (i = 0; i < 128; i++) {
		request = rw(d, BLKIF_WRITE, i * 8, &pages[i], 1);
		request.id = i;
		put(d, &d->q[0], &request, sizeof(request));
	}
	push(d, &d->q[0]);
	for (i = 0; i < 128; i++) {
		assert_true(reap(d, &d->q[0], &response, WAIT_MS));
		assert_int_equal(response.status, BLKIF_OK);
		assert_true(response.id < 128 && !seen[response.id]);
		seen[response.id] = true;
	}
	check_file(d, pages, 128, 0);
	disk_close(d);
}

static void test_flush(void **state)
{
	struct disk *d = disk_new();
	struct blkif_rw_req request = {.operation = BLKIF_FLUSH};
	uint64_t page;

	disk_open(d);
	disk_connect(d, 1, 0);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	request.operation = BLKIF_BARRIER;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	new_pages(d, &page, 1);
	fill(d, &page, 1, 7);
	request = rw(d, BLKIF_FLUSH, 16, &page, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	check_file(d, &page, 1, 16 * 512);
	/* A barrier whose write fails fails. */
	request = rw(d, BLKIF_BARRIER, DISK_BYTES / 512, &page, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	disk_close(d);
}

/* What comes before a barrier is answered before it, what comes after it after it. */
static void test_barrier_order(void **state)
{
	struct disk *d = disk_new();
	uint64_t page;
	struct blkif_rw_req request;
	struct blkif_rsp response;
	unsigned int i, round;

	disk_open(d);
	disk_connect(d, 1, 0);
	new_pages(d, &page, 1);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 31; i++) {
			request = rw(d, i == 15 ? BLKIF_BARRIER : BLKIF_WRITE, i * 8, &page, 1);
			request.id = i;
			put(d, &d->q[0], &request, sizeof(request));
		}
		push(d, &d->q[0]);
		for (i = 0; i < 31; i++) {
			assert_true(reap(d, &d->q[0], &response, WAIT_MS));
			assert_int_equal(response.status, BLKIF_OK);
			assert_true(i < 15    ? response.id < 15
				    : i == 15 ? response.id == 15
					      : response.id > 15);
		}
	}
	disk_close(d);
}

static void test_ranges(void **state)
{
	struct disk *d = disk_new();
	struct blkif_discard_req range = {.operation = BLKIF_DISCARD, .sector = 64, .sectors = 64};
	uint64_t pages[8];
	struct blkif_rw_req request;
	uint8_t block[SHIM_PAGE], zero[SHIM_PAGE] = {0};

	disk_open(d);
	front_set(d, "feature-pvkit-write-zeroes", "1");
	disk_connect(d, 1, 0);
	new_pages(d, pages, 8);
	fill(d, pages, 8, 11);
	request = rw(d, BLKIF_WRITE, 64, pages, 8);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	range.operation = BLKIF_WRITE_ZEROES;
	range.sectors = 8;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_OK);
	range.sector = 80;
	range.flags = BLKIF_ZEROES_FLAG_UNMAP;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_OK);
	read_file(d, block, SHIM_PAGE, 64 * 512);
	assert_memory_equal(block, zero, SHIM_PAGE);
	read_file(d, block, SHIM_PAGE, 80 * 512);
	assert_memory_equal(block, zero, SHIM_PAGE);
	check_file(d, pages + 1, 1, 72 * 512);
	range.flags = 2;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_NOT_SUPPORTED);

	range = (struct blkif_discard_req){.operation = BLKIF_DISCARD, .sector = 64, .sectors = 64};
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_OK);
	/* A file's data cannot be made unreadable for good. */
	assert_int_equal(back_number(d, "discard-secure"), 0);
	range.flags = BLKIF_DISCARD_FLAG_SECURE;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_NOT_SUPPORTED);
	disk_close(d);
}

/* The threads engine, on a device that erases securely. */
static struct store_engine erasing;
static _Atomic uint64_t erased; /* bytes */
static _Atomic int erase_error;

static struct store_queue *erasing_open(struct store_image *image,
					const struct store_queue_options *options)
{
	struct store_queue *queue = store_engine_threads.open(image, options);

	queue->engine = &erasing;
	return queue;
}

static bool erasing_start(struct store_queue *queue, struct store_io *io)
{
	if (io->op != STORE_ERASE)
		return store_engine_threads.start(queue, io);
	erased += io->bytes;
	io->result = -erase_error;
	return true;
}

static void test_secure_discard(void **state)
{
	struct blkif_discard_req range = {.operation = BLKIF_DISCARD, .sector = 64, .sectors = 64};
	struct disk *d = disk_new();
	uint64_t page;
	struct blkif_rw_req request;

	erasing = store_engine_threads;
	erasing.open = erasing_open;
	erasing.start = erasing_start;
	d->engine = &erasing;
	d->can_erase = true;
	disk_open(d);
	assert_int_equal(back_number(d, "feature-discard"), 1);
	assert_int_equal(back_number(d, "discard-secure"), 1);
	disk_connect(d, 1, 0);
	/* A plain one is a hint, and none of these. */
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_OK);
	assert_int_equal(erased, 0);
	range.flags = BLKIF_DISCARD_FLAG_SECURE;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_OK);
	assert_int_equal(erased, 64 * 512);
	range.flags |= 2;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_NOT_SUPPORTED);
	range.flags = BLKIF_DISCARD_FLAG_SECURE;
	range.sector = DISK_BYTES / 512 - 63;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_ERROR);
	assert_int_equal(erased, 64 * 512);
	range.sector = 0;
	erase_error = EIO;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_ERROR);
	erase_error = EOPNOTSUPP;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_NOT_SUPPORTED);
	new_pages(d, &page, 1);
	request = rw(d, BLKIF_READ, 64, &page, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	disk_close(d);
}

static void test_zeroes_not_agreed(void **state)
{
	struct disk *d = disk_new();
	struct blkif_discard_req range = {.operation = BLKIF_WRITE_ZEROES, .sectors = 8};

	disk_open(d);
	disk_connect(d, 1, 0);
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_NOT_SUPPORTED);
	disk_close(d);
}

/* A range that no single blk_request can say: in steps, and then other requests as ever. */
static void test_large_range(void **state)
{
	struct disk *d = disk_new();
	struct blkif_discard_req range = {.operation = BLKIF_WRITE_ZEROES};
	uint64_t page;
	struct blkif_rw_req request;

	d->null_size = 1ULL << 40;
	d->engine = &store_engine_null;
	disk_open(d);
	front_set(d, "feature-pvkit-write-zeroes", "1");
	disk_connect(d, 1, 0);
	range.sectors = (1ULL << 40) / 512;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_OK);
	range.sector = 1;
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_ERROR);
	new_pages(d, &page, 1);
	request = rw(d, BLKIF_READ, 8, &page, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	disk_close(d);
}

static void test_persistent(void **state)
{
	struct disk *d = disk_new();
	uint64_t pages[11];
	struct blkif_rw_req request;
	unsigned int i, round;

	disk_open(d);
	front_set(d, "feature-persistent", "1");
	disk_connect(d, 1, 0);
	new_pages(d, pages, 11);
	request = rw(d, BLKIF_READ, 0, pages, 11);
	for (round = 0; round < 5; round++) {
		request.operation = round & 1 ? BLKIF_WRITE : BLKIF_READ;
		assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
		for (i = 0; i < 11; i++) {
			assert_int_equal(guest_use(&d->shim, request.segment[i].grant),
					 GRANT_READING | GRANT_WRITING);
			assert_int_equal(d->shim.ledger[request.segment[i].grant].readers, 1);
		}
	}
	/* One that may only be read cannot stay, and is served all the same. */
	request = rw(d, BLKIF_WRITE, 0, pages, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	assert_int_equal(guest_use(&d->shim, request.segment[0].grant), 0);

	/* At Closing all pages are the guest's again. */
	front_state(d, 5);
	assert_back_state(d, "6");
	shim_check_unpinned(&d->shim);
	disk_close(d);
}

static void test_not_persistent(void **state)
{
	struct disk *d = disk_new();
	uint64_t pages[11];
	struct blkif_rw_req request;
	unsigned int i;

	disk_open(d);
	disk_connect(d, 1, 0);
	new_pages(d, pages, 11);
	request = rw(d, BLKIF_READ, 0, pages, 11);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	for (i = 0; i < 11; i++)
		assert_int_equal(guest_use(&d->shim, request.segment[i].grant), 0);
	disk_close(d);
}

static void test_cache(void **state)
{
	struct host_options options = {.name = "cache"};
	struct fake_shim *shim = calloc(1, sizeof(*shim));
	struct blkif_cache cache;
	uint32_t reference[20], entry[20];
	struct host *host;
	unsigned int i, held = 0;
	void *page;

	fake_shim_init(shim, 1);
	assert_int_equal(control_open(), 0);
	options.fd = fake_shim_start(shim);
	host = host_open(&options);
	assert_non_null(host);
	assert_int_equal(blkif_cache_open(&cache, host, 8), 0);
	for (i = 0; i < 20; i++)
		reference[i] = guest_grant(shim, guest_page(shim), false);
	/* All in use: no more than the limit. */
	for (i = 0; i < 20; i++)
		entry[i] = blkif_cache_get(&cache, reference[i], &page);
	for (i = 0; i < 20; i++)
		assert_int_equal(entry[i] != BLKIF_CACHE_NONE, i < 8);
	for (i = 0; i < 8; i++)
		blkif_cache_put(&cache, entry[i]);
	/* Others take their places; what is used again and again stays. */
	for (i = 8; i < 20; i++) {
		entry[i] = blkif_cache_get(&cache, reference[i], &page);
		assert_true(entry[i] != BLKIF_CACHE_NONE);
		blkif_cache_put(&cache, entry[i]);
		entry[8] = blkif_cache_get(&cache, reference[8], &page);
		blkif_cache_put(&cache, entry[8]);
	}
	for (i = 0; i < 20; i++)
		held += guest_use(shim, reference[i]) != 0;
	assert_int_equal(held, 8);
	assert_true(guest_use(shim, reference[8]));
	blkif_cache_close(&cache);
	shim_check_unpinned(shim);
	host_close(host);
	control_close();
	fake_shim_close(shim);
	free(shim);
}

static void test_large_sectors(void **state)
{
	bool large;

	for (large = false;; large = true) {
		struct disk *d = disk_new();
		uint64_t page;
		struct blkif_rw_req request;

		d->image_options.block_size = 4096;
		disk_open(d);
		if (large)
			front_set(d, "feature-large-sector-size", "1");
		disk_connect(d, 1, 0);
		assert_int_equal(back_number(d, "sector-size"), 4096);
		assert_int_equal(back_number(d, "sectors"), DISK_BYTES / (large ? 4096 : 512));
		new_pages(d, &page, 1);
		fill(d, &page, 1, 1);
		request = rw(d, BLKIF_WRITE, large ? 3 : 24, &page, 1);
		request.segment[0].last_sector = large ? 0 : 7;
		assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
		check_file(d, &page, 1, 3 * 4096);
		/* Half a sector of the disk. */
		request.segment[0].last_sector = large ? 1 : 3;
		assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
		request.segment[0].last_sector = 0;
		request.sector = UINT64_MAX / 4;
		assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
		disk_close(d);
		if (large)
			break;
	}
}

static void test_resize(void **state)
{
	struct disk *d = disk_new();
	uint64_t page;
	struct blkif_rw_req request;

	disk_open(d);
	disk_connect(d, 1, 0);
	new_pages(d, &page, 1);
	request = rw(d, BLKIF_WRITE, DISK_BYTES / 512, &page, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	assert_int_equal(truncate(d->path, 2 * DISK_BYTES), 0);
	kill(getpid(), SIGHUP);
	assert_true(store_wait(&d->shim.store, BACK "/sectors", "65536"));
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	disk_close(d);
}

static void read_only_disk(const char *key, const char *value, unsigned int info)
{
	struct disk *d = disk_new();
	uint64_t page;
	struct blkif_rw_req request;
	struct blkif_discard_req range = {.operation = BLKIF_DISCARD, .sectors = 8};

	d->image_options.read_only = !key;
	disk_open(d);
	if (key) {
		store_set(&d->shim.store, value, "%s", key);
		front_state(d, 6);
		assert_back_state(d, "6");
		front_state(d, 1);
		assert_back_state(d, "2");
	}
	assert_int_equal(back_number(d, "feature-discard"), 0);
	disk_connect(d, 1, 0);
	assert_int_equal(back_number(d, "info"), info);
	new_pages(d, &page, 1);
	request = rw(d, BLKIF_READ, 0, &page, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	request = rw(d, BLKIF_WRITE, 0, &page, 1);
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_ERROR);
	disk_close(d);
}

static void test_read_only(void **state)
{
	read_only_disk(NULL, NULL, BLKIF_INFO_READONLY);
	read_only_disk(BACK "/mode", "r", BLKIF_INFO_READONLY);
	read_only_disk(FRONT "/device-type", "cdrom", BLKIF_INFO_READONLY | BLKIF_INFO_CDROM);
}

/* ---- the guest changes ----------------------------------------------------------------------- */

static bool wait_ack(struct disk *d, enum attach_type type, unsigned int count)
{
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && d->shim.acks[type & 63] < count; ms++)
		fake_sleep_ms(1);
	return d->shim.acks[type & 63] == count;
}

/* Memory comes and goes, the table is told anew, all under load. */
static void test_memory_changes(void **state)
{
	struct disk *d = disk_new();
	struct attach_memory region = {.guest_address = 0x900000000ULL, .size = SHIM_REGION};
	unsigned int round, i, answered = 0, asked = 0;
	struct blkif_rw_req request[20];
	struct blkif_rsp response;
	uint64_t pages[20];

	disk_open(d);
	front_set(d, "feature-persistent", "1");
	disk_connect(d, 1, 2);
	new_pages(d, pages, 20);
	for (i = 0; i < 20; i++)
		request[i] = rw(d, BLKIF_READ, 0, &pages[i], 1);
	request[10].operation = BLKIF_BARRIER;
	for (round = 1; round <= 20; round++) {
		for (i = 0; i < 20; i++, asked++) {
			request[i].id = asked;
			put(d, &d->q[0], &request[i], sizeof(request[i]));
		}
		push(d, &d->q[0]);
		shim_notice(&d->shim, ATTACH_MEMORY_ADD, &region, sizeof(region),
			    &d->shim.memory_fd, 1);
		shim_notice(&d->shim, ATTACH_MEMORY_REMOVE, &region, sizeof(region), NULL, 0);
		shim_send_table(&d->shim);
		assert_true(wait_ack(d, ATTACH_MEMORY_REMOVE, round));
		while (answered < asked && reap(d, &d->q[0], &response, WAIT_MS)) {
			assert_int_equal(response.status, BLKIF_OK);
			answered++;
		}
		assert_int_equal(answered, asked);
	}
	disk_close(d);
}

/* The guest's memory goes away under its rings: the device closes, the daemon lives. */
static void test_memory_lost(void **state)
{
	struct disk *d = disk_new();
	struct attach_memory region = shim_region(1);

	disk_open(d);
	disk_connect(d, 1, 1); /* a page in either region */
	shim_notice(&d->shim, ATTACH_MEMORY_REMOVE, &region, sizeof(region), NULL, 0);
	assert_back_state(d, "5");
	assert_true(wait_ack(d, ATTACH_MEMORY_REMOVE, 1));
	shim_check_unpinned(&d->shim);
	disk_close(d);
}

static void test_reset(void **state)
{
	struct disk *d = disk_new();
	unsigned int round;

	disk_open(d);
	for (round = 1; round <= 5; round++) {
		disk_connect(d, 2, 0);
		transfer(d, &d->q[1], round);
		shim_notice(&d->shim, ATTACH_GUEST_RESET, NULL, 0, NULL, 0);
		assert_true(wait_ack(d, ATTACH_GUEST_RESET, round));
		assert_back_state(d, "6");
		shim_check_unpinned(&d->shim);
		assert_false(d->shim.port[d->q[0].port].bound);
		assert_false(d->shim.port[d->q[1].port].bound);
		/* The old front-end's Connected means nothing now. */
		front_state(d, 4);
		fake_sleep_ms(20);
		assert_back_state(d, "6");
		front_state(d, 1);
		assert_back_state(d, "2");
	}
	disk_close(d);
}

/* Suspend and resume: the channel closes without a word, then new rings in place. */
static void test_suspend(void **state)
{
	struct disk *d = disk_new();
	unsigned int round;

	disk_open(d);
	disk_connect(d, 1, 0);
	for (round = 1; round <= 5; round++) {
		struct attach_bind closed = {.guest_port = d->q[0].port};

		transfer(d, &d->q[0], round);
		shim_notice(&d->shim, ATTACH_CHANNEL_CLOSED, &closed, sizeof(closed), NULL, 0);
		while (d->shim.port[closed.guest_port].bound)
			fake_sleep_ms(1);
		disk_publish(d, 1, 0, 0);
		front_state(d, 3);
		while (!d->shim.port[d->q[0].port].bound)
			fake_sleep_ms(1);
		assert_back_state(d, "4");
		front_state(d, 4);
	}
	/* And without the channel's closing: Initialised after Connected is enough. */
	fake_sleep_ms(20);
	disk_publish(d, 1, 0, 0);
	front_state(d, 3);
	while (!d->shim.port[d->q[0].port].bound)
		fake_sleep_ms(1);
	transfer(d, &d->q[0], 9);
	disk_close(d);
}

static void test_reopen(void **state)
{
	struct disk *d = disk_new();
	unsigned int round;

	disk_open(d);
	for (round = 0; round < 5; round++) {
		disk_connect(d, 1 + round % 2, 0);
		transfer(d, &d->q[0], round);
		front_state(d, 5);
		assert_back_state(d, "6");
		shim_check_unpinned(&d->shim);
		store_drop(&d->shim.store, FRONT "/multi-queue-num-queues");
		front_state(d, 6);
		front_state(d, 1);
		assert_back_state(d, "2");
	}
	disk_close(d);
}

static void test_unplug(void **state)
{
	struct disk *d = disk_new();
	char value[FAKE_TEXT];

	disk_open(d);
	disk_connect(d, 2, 0);
	transfer(d, &d->q[0], 1);
	store_set(&d->shim.store, "0", BACK "/online");
	assert_back_state(d, "5");
	transfer(d, &d->q[0], 2); /* until the front-end closes, it is served */
	front_state(d, 5);
	assert_back_state(d, "6");
	front_state(d, 6);
	assert_back_state(d, "");
	d->ended = true;
	store_get(&d->shim.store, BACK "/online", value);
	assert_string_equal(value, "");
	assert_true(store_wait(&d->shim.store, FRONT "/state", ""));
	disk_close(d);
}

/* A daemon ends and another one goes on, also with what was asked in between. */
static void test_successor(void **state)
{
	struct disk *d = disk_new();
	uint64_t page;
	struct blkif_rw_req request;
	struct blkif_rsp response;
	unsigned int round;

	disk_open(d);
	disk_connect(d, 2, 1);
	new_pages(d, &page, 1);
	for (round = 0; round < 5; round++) {
		transfer(d, &d->q[1], round);
		kill(getpid(), SIGTERM);
		assert_int_equal(daemon_join(&d->shim), 0);
		fake_shim_stop(&d->shim);
		fake_store_disconnect(&d->shim.store);
		shim_check_unpinned(&d->shim);
		assert_back_state(d, "4");

		request = rw(d, BLKIF_READ, 8, &page, 1);
		request.id = 77;
		put(d, &d->q[0], &request, sizeof(request));
		push(d, &d->q[0]);
		d->shim.store_fd = fake_store_connect(&d->shim.store);
		daemon_start(&d->shim, blkif_device(d->blkif), "vbd/51712");
		assert_true(reap(d, &d->q[0], &response, WAIT_MS));
		assert_int_equal(response.id, 77);
		assert_int_equal(response.status, BLKIF_OK);
	}

	/* One that did not end in order: the front-end is asked for new rings. */
	kill(getpid(), SIGTERM);
	assert_int_equal(daemon_join(&d->shim), 0);
	fake_shim_stop(&d->shim);
	fake_store_disconnect(&d->shim.store);
	store_drop(&d->shim.store, BACK "/pvkit-paused");
	d->shim.store_fd = fake_store_connect(&d->shim.store);
	daemon_start(&d->shim, blkif_device(d->blkif), "vbd/51712");
	assert_back_state(d, "2");
	disk_connect(d, 2, 1);
	transfer(d, &d->q[0], 7);
	disk_close(d);
}

/* The shim reuses indices as they are; a ring may begin shortly before they wrap. */
static void test_wrap(void **state)
{
	struct disk *d = disk_new();
	unsigned int i;

	disk_open(d);
	disk_publish(d, 1, 0, UINT32_MAX - 5);
	front_state(d, 3);
	assert_back_state(d, "4");
	for (i = 0; i < 10; i++)
		transfer(d, &d->q[0], i);
	disk_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),       cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_queues),         cmocka_unit_test(test_engines),
		cmocka_unit_test(test_sectors),        cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_depth),          cmocka_unit_test(test_flush),
		cmocka_unit_test(test_barrier_order),  cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_secure_discard), cmocka_unit_test(test_zeroes_not_agreed),
		cmocka_unit_test(test_large_range),    cmocka_unit_test(test_persistent),
		cmocka_unit_test(test_not_persistent), cmocka_unit_test(test_cache),
		cmocka_unit_test(test_large_sectors),  cmocka_unit_test(test_resize),
		cmocka_unit_test(test_read_only),      cmocka_unit_test(test_memory_changes),
		cmocka_unit_test(test_memory_lost),    cmocka_unit_test(test_reset),
		cmocka_unit_test(test_suspend),        cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_unplug),         cmocka_unit_test(test_successor),
		cmocka_unit_test(test_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
