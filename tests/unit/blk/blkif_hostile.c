// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A front-end that means harm: requests, rings, grants and keys. A second queue or a second attempt
 * is served as ever, and no grant stays in use. Numbers are those of the catalogue.
 *
 *	1	a producer index out of reach			its queue stops, with one line and a count
 *	2	requests and segments rewritten meanwhile	the copies count
 *	3	segments that make no sense			an error
 *	4	ranges past the end, sums that wrap		an error
 *	5	one bad grant of eleven				an error, the good ones unpinned
 *	6	a page that cannot be had			an error
 *	12	events without work				rests, others are served
 *	13	closing under events and requests		all is given back
 *		keys and states that make no sense		refused, and it may begin anew
 *		all of that beside another guest's disk		which is not disturbed
 */
#include "blkif_guest.h"
#include "tests/unit/capture.h"

static struct disk *open_disk(unsigned int queues)
{
	struct disk *d = disk_new();

	disk_open(d);
	disk_connect(d, queues, 0);
	return d;
}

static void check_served(struct disk *d, struct disk_queue *q)
{
	uint64_t page = guest_page(&d->shim);
	struct blkif_rw_req request = rw(d, BLKIF_WRITE, 8, &page, 1);

	assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_OK);
}

/* ---- requests: an error each, and the ring goes on ------------------------------------------- */

static void test_segments(void **state)
{
	struct disk *d = open_disk(1);
	struct disk_queue *q = &d->q[0];
	uint64_t pages[11], disk = DISK_BYTES / 512;
	struct blkif_rw_req good, request;
	static const struct {
		uint8_t operation, segments, first, last;
		uint64_t sector;
	} bad[] = {
		{BLKIF_READ, 12, 0, 7, 0},
		{BLKIF_READ, 255, 0, 7, 0},
		{BLKIF_READ, 0, 0, 7, 0},
		{BLKIF_WRITE, 0, 0, 7, 0},
		{BLKIF_READ, 1, 7, 6, 0},
		{BLKIF_READ, 1, 0, 8, 0},
		{BLKIF_READ, 1, 255, 255, 0},
		{BLKIF_WRITE, 1, 8, 8, 0},
		{BLKIF_READ, 1, 0, 7, UINT64_MAX},
		{BLKIF_READ, 1, 0, 7, UINT64_MAX - 7},
		{BLKIF_READ, 11, 0, 7, UINT64_MAX / 512},
		{BLKIF_WRITE, 1, 0, 7, 1ULL << 55},
		{BLKIF_BARRIER, 12, 0, 7, 0},
		{BLKIF_FLUSH, 200, 0, 7, 0},
	};
	unsigned int i;

	new_pages(d, pages, 11);
	good = rw(d, BLKIF_READ, 0, pages, 11);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		request = good;
		request.operation = bad[i].operation;
		request.segments = bad[i].segments;
		request.sector = bad[i].sector;
		request.segment[0].first_sector = bad[i].first;
		request.segment[0].last_sector = bad[i].last;
		assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_ERROR);
		check_only_rings(d);
	}
	request = good;
	request.sector = disk - 87;
	assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_ERROR);
	request.sector = disk - 88;
	assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_OK);
	for (i = 0; i < 256; i++) {
		if (i <= BLKIF_INDIRECT && i != BLKIF_VENDOR)
			continue;
		request = good;
		request.operation = i;
		assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_NOT_SUPPORTED);
	}
	check_served(d, q);
	disk_close(d);
}

static void test_ranges(void **state)
{
	struct disk *d = disk_new();
	static const struct {
		uint64_t sector, sectors;
	} bad[] = {
		{0, 0},
		{DISK_BYTES / 512, 1},
		{0, DISK_BYTES / 512 + 1},
		{UINT64_MAX, 1},
		{1, UINT64_MAX},
		{UINT64_MAX, UINT64_MAX},
		{UINT64_MAX - 7, 16},
		{8, 1ULL << 32},
		{UINT64_MAX / 2, UINT64_MAX / 2},
	};
	struct blkif_discard_req range;
	unsigned int i;

	disk_open(d);
	front_set(d, "feature-pvkit-write-zeroes", "1");
	disk_connect(d, 1, 0);
	for (i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
		range = (struct blkif_discard_req){
			.operation = i & 1 ? BLKIF_DISCARD : BLKIF_WRITE_ZEROES,
			.sector = bad[i / 2].sector,
			.sectors = bad[i / 2].sectors,
		};
		assert_int_equal(ask(d, &d->q[0], &range, sizeof(range)), BLKIF_ERROR);
	}
	check_served(d, &d->q[0]);
	disk_close(d);
}

/* One bad grant of eleven: the good ones are the guest's again. */
static void test_one_bad_grant(void **state)
{
	struct disk *d = disk_new();
	struct blkif_rw_req good, request;
	uint64_t pages[11];
	unsigned int i, persistent;
	static const uint32_t bad[] = {0, 7, SHIM_GRANTS - 1, SHIM_GRANTS, UINT32_MAX};

	disk_open(d);
	for (persistent = 0; persistent < 2; persistent++) {
		front_set(d, "feature-persistent", "%u", persistent);
		disk_connect(d, 1, 0);
		new_pages(d, pages, 11);
		good = rw(d, BLKIF_READ, 0, pages, 11);
		for (i = 0; i < 11; i++) {
			request = good;
			request.segment[i].grant = bad[i % 5];
			assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
			if (!persistent)
				check_only_rings(d);
		}
		check_served(d, &d->q[0]);
		front_state(d, 5);
		assert_back_state(d, "6");
		shim_check_unpinned(&d->shim);
		front_state(d, 1);
		assert_back_state(d, "2");
	}
	disk_close(d);
}

/* Row 6: the count of pins is full, or somebody keeps its lock. */
static void test_no_page(void **state)
{
	static const uint64_t words[] = {ATTACH_USE_READERS_MASK, ATTACH_USE_WRITERS_MASK,
					 (SHIM_OWNER + 1ULL) << ATTACH_USE_LOCK_SHIFT};
	struct disk *d = disk_new();
	struct blkif_rw_req request;
	uint64_t pages[11], *use;
	unsigned int i, persistent;

	disk_open(d);
	for (persistent = 0; persistent < 2; persistent++) {
		front_set(d, "feature-persistent", "%u", persistent);
		disk_connect(d, 1, 0);
		new_pages(d, pages, 11);
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			request = rw(d, BLKIF_READ, 0, pages, 11);
			use = &d->shim.use[request.segment[7].grant].word;
			__atomic_store_n(use, words[i], __ATOMIC_SEQ_CST);
			assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
			assert_true(__atomic_load_n(use, __ATOMIC_SEQ_CST) == words[i]);
			__atomic_store_n(use, 0, __ATOMIC_SEQ_CST);
			if (!persistent)
				check_only_rings(d);
			assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
		}
		front_state(d, 5);
		assert_back_state(d, "6");
		shim_check_unpinned(&d->shim);
		front_state(d, 1);
		assert_back_state(d, "2");
	}
	disk_close(d);
}

static void test_indirect(void **state)
{
	struct disk *d = open_disk(1);
	struct blkif_indirect_req good, request;
	uint64_t table = guest_page(&d->shim), page = guest_page(&d->shim);
	struct blkif_segment *segment = guest_at(&d->shim, table);
	uint32_t grant = guest_grant(&d->shim, page, false);
	unsigned int i;

	for (i = 0; i < 512; i++)
		segment[i] = (struct blkif_segment){.grant = grant, .last_sector = 7};
	good = (struct blkif_indirect_req){
		.operation = BLKIF_INDIRECT,
		.indirect_operation = BLKIF_READ,
		.segments = 128,
		.page_grant = {guest_grant(&d->shim, table, true)},
	};
	/* The same page 128 times is the guest's own affair. */
	request = good;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_OK);
	request.segments = 129;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	request.segments = UINT16_MAX;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	request.segments = 0;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	request = good;
	request.page_grant[0] = UINT32_MAX;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	request = good;
	request.indirect_operation = BLKIF_INDIRECT;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_NOT_SUPPORTED);
	request.indirect_operation = BLKIF_DISCARD;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	segment[127].grant = SHIM_GRANTS;
	request = good;
	assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	check_only_rings(d);
	check_served(d, &d->q[0]);
	disk_close(d);
}

/* ---- a page that another vCPU rewrites all the time ------------------------------------------ */

struct writer {
	pthread_t thread;
	uint32_t *at;
	unsigned int words;
	_Atomic bool stop;
};

static void *rewrite(void *context)
{
	struct writer *writer = context;
	uint32_t seed = 1;
	unsigned int i;

	while (!writer->stop) {
		for (i = 0; i < writer->words; i++) {
			seed = seed * 1664525 + 1013904223;
			__atomic_store_n(&writer->at[i], seed >> 8, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void start_writer(struct writer *writer, void *at, size_t bytes)
{
	writer->at = at;
	writer->words = bytes / 4;
	writer->stop = false;
	assert_int_equal(pthread_create(&writer->thread, NULL, rewrite, writer), 0);
}

static void stop_writer(struct writer *writer)
{
	writer->stop = true;
	pthread_join(writer->thread, NULL);
}

/* The segments of an indirect request, and the slots themselves, change between check and use. */
static void test_rewritten(void **state)
{
	struct disk *d = open_disk(2);
	struct disk_queue *q = &d->q[0];
	uint64_t table = guest_page(&d->shim);
	struct blkif_indirect_req request = {
		.operation = BLKIF_INDIRECT,
		.indirect_operation = BLKIF_WRITE,
		.segments = 128,
		.page_grant = {guest_grant(&d->shim, table, true)},
	};
	struct blkif_rw_req flush = {.operation = BLKIF_FLUSH};
	struct blkif_rsp response;
	struct writer writer;
	unsigned int i;

	start_writer(&writer, guest_at(&d->shim, table), SHIM_PAGE);
	for (i = 0; i < 300; i++)
		assert_int_equal(ask(d, q, &request, sizeof(request)), BLKIF_ERROR);
	stop_writer(&writer);
	check_only_rings(d);

	start_writer(&writer, q->area + sizeof(struct xen_ring_header),
		     SHIM_PAGE - sizeof(struct xen_ring_header));
	for (i = 0; i < 300; i++) {
		put(d, q, &flush, sizeof(flush));
		push(d, q);
		assert_true(reap(d, q, &response, WAIT_MS));
	}
	stop_writer(&writer);
	check_served(d, &d->q[1]);
	disk_close(d);
}

/* ---- rings ----------------------------------------------------------------------------------- */

/*
 * Waits until the first queue was found broken @times times, and for @line_ms until that was said; what
 * was said.
 */
static const char *break_queue(struct disk *d, uint32_t req_prod, unsigned int times,
			       unsigned int line_ms)
{
	const uint64_t *broken = &stats_queue(d->stats, 0)->broken;
	unsigned int ms;

	capture();
	order_store_release(&d->q[0].front.ring.header->req_prod, req_prod);
	guest_kick(&d->shim, d->q[0].port);
	for (ms = 0; ms < WAIT_MS && stats_read(broken) < times; ms++)
		fake_sleep_ms(1);
	capture_wait(line_ms);
	return captured();
}

/* Row 1. One line names the device, the queue, the index and its value. */
static void test_index(void **state)
{
	static const uint32_t jumps[] = {33, 1000, 0x80000000, UINT32_MAX};
	unsigned int i;

	for (i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		struct disk *d = open_disk(2);
		struct blkif_rsp response;
		char wanted[256];

		snprintf(wanted, sizeof(wanted),
			 "pvkit: %s: queue 0: the front-end broke the ring of its ring-ref: "
			 "request index ran backwards or over requests that were not answered "
			 "(its req_prod is %u); the queue stays stopped",
			 d->path, jumps[i]);
		assert_ptr_equal(strstr(break_queue(d, jumps[i], 1, WAIT_MS), wanted),
				 capture_state.text);
		assert_ptr_equal(strchr(capture_state.text, '\n') + 1,
				 capture_state.text + strlen(capture_state.text));
		assert_false(reap(d, &d->q[0], &response, 20));
		assert_int_equal(stats_read(&stats_queue(d->stats, 0)->broken), 1);
		assert_int_equal(stats_read(&stats_queue(d->stats, 1)->broken), 0);
		check_served(d, &d->q[1]);
		/* A front-end that begins anew is served again. */
		front_state(d, 5);
		assert_back_state(d, "6");
		front_state(d, 1);
		assert_back_state(d, "2");
		disk_connect(d, 2, 0);
		check_served(d, &d->q[0]);
		disk_close(d);
	}
}

/* Breaks a ring as often as it can: the log is not its to fill. */
static void test_index_often(void **state)
{
	struct disk *d = open_disk(1);
	struct timespec start, end;
	unsigned int round, lines = 0;
	const char *at;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (round = 1; round <= 30; round++) {
		for (at = break_queue(d, 1000, round, 2); (at = strstr(at, "broke the ring")); at++)
			lines++;
		assert_int_equal(stats_read(&stats_queue(d->stats, 0)->broken), round);
		front_state(d, 5);
		assert_back_state(d, "6");
		front_state(d, 1);
		assert_back_state(d, "2");
		disk_connect(d, 1, 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	/* A burst of 5, then one a second. */
	assert_true(lines <= 5 + 1 + end.tv_sec - start.tv_sec);
	check_served(d, &d->q[0]);
	disk_close(d);
}

struct kicker {
	pthread_t thread;
	struct fake_shim *shim;
	uint32_t port;
	_Atomic bool stop;
};

static void *kick(void *context)
{
	struct kicker *kicker = context;

	while (!kicker->stop)
		guest_kick(kicker->shim, kicker->port);
	return NULL;
}

/* Row 12: from a guest that does nothing else. It rests for longer and longer, and others do not. */
static void test_flood(void **state)
{
	struct disk *d = open_disk(2);
	struct kicker kicker = {.shim = &d->shim, .port = d->q[0].port};
	const uint64_t *sleeps = &stats_queue(d->stats, 0)->sleeps;
	uint64_t before;
	unsigned int i;

	assert_int_equal(pthread_create(&kicker.thread, NULL, kick, &kicker), 0);
	for (i = 0; i < 20; i++) {
		check_served(d, &d->q[1]);
		check_served(d, &d->q[0]);
	}
	fake_sleep_ms(150);
	before = stats_read(sleeps);
	for (i = 0; i < 20; i++) {
		fake_sleep_ms(5);
		check_served(d, &d->q[1]);
	}
	assert_true(stats_read(sleeps) - before < 150);
	kicker.stop = true;
	pthread_join(kicker.thread, NULL);
	check_served(d, &d->q[0]);
	disk_close(d);
}

/* Closes, under events and requests that nobody waits for. */
static void test_close_busy(void **state)
{
	struct disk *d = disk_new();
	struct blkif_rw_req request;
	uint64_t pages[11];
	unsigned int round, i;

	disk_open(d);
	for (round = 0; round < 20; round++) {
		disk_connect(d, 2, 0);
		if (!round)
			new_pages(d, pages, 11);
		request = rw(d, BLKIF_WRITE, 0, pages, 11);
		for (i = 0; i < 32; i++)
			put(d, &d->q[i & 1], &request, sizeof(request));
		push(d, &d->q[0]);
		push(d, &d->q[1]);
		front_state(d, round % 3 == 0 ? 5 : round % 3 == 1 ? 6 : 1);
		guest_kick(&d->shim, d->q[0].port);
		if (round % 3 == 2) {
			assert_back_state(d, "2");
		} else {
			assert_back_state(d, "6");
			front_state(d, 1);
			assert_back_state(d, "2");
		}
		shim_check_unpinned(&d->shim);
	}
	disk_close(d);
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* The keys as they are are refused: Closing, all given back; mended, the device is served. */
static void check_refused(struct disk *d)
{
	unsigned int i;
	char error[FAKE_TEXT];

	front_state(d, 3);
	assert_back_state(d, "5");
	store_get(&d->shim.store, BACK "/error", error);
	assert_string_not_equal(error, "");
	for (i = 1; i < SHIM_PORTS; i++)
		assert_false(d->shim.port[i].bound);
	shim_check_unpinned(&d->shim);
	front_state(d, 6);
	assert_back_state(d, "6");
	store_drop(&d->shim.store, FRONT);
	front_state(d, 1);
	assert_back_state(d, "2");
}

#define refused_with(key, value)                \
	do {                                    \
		disk_publish(d, 2, 1, 0);       \
		front_set(d, key, "%s", value); \
		check_refused(d);               \
	} while (0)

static void test_keys(void **state)
{
	struct disk *d = disk_new();
	char text[32];

	disk_open(d);
	refused_with("multi-queue-num-queues", "0");
	refused_with("multi-queue-num-queues", "5");
	refused_with("multi-queue-num-queues", "-1");
	refused_with("multi-queue-num-queues", "4294967297");
	refused_with("multi-queue-num-queues", "2 ");
	refused_with("multi-queue-num-queues", "0x2");
	refused_with("multi-queue-num-queues", "");
	refused_with("multi-queue-num-queues", "3"); /* and no keys of a third */
	refused_with("ring-page-order", "5");
	refused_with("ring-page-order", "63");
	refused_with("ring-page-order", "99999999999999999999999999");
	refused_with("ring-page-order", "2"); /* and no grants of that many */
	refused_with("queue-1/ring-ref1", "banana");
	refused_with("queue-1/ring-ref1", "4294967296");
	refused_with("queue-1/ring-ref1", "4095");
	refused_with("queue-1/event-channel", "0");
	refused_with("queue-1/event-channel", "255");
	refused_with("queue-1/event-channel", "4294967295");
	refused_with("feature-persistent", "2");
	refused_with("feature-persistent", "yes\033[31m");
	refused_with("protocol", "x86_32-abi");

	/* The same grant twice, the same channel twice. */
	disk_publish(d, 2, 1, 0);
	snprintf(text, sizeof(text), "%u", d->q[0].reference[0]);
	front_set(d, "queue-1/ring-ref1", "%s", text);
	check_refused(d);
	disk_publish(d, 2, 1, 0);
	front_set(d, "queue-1/event-channel", "%u", d->q[0].port);
	check_refused(d);
	/* A ring that may only be read. */
	disk_publish(d, 1, 0, 0);
	front_set(d, "ring-ref", "%u", guest_grant(&d->shim, guest_page(&d->shim), true));
	check_refused(d);
	/* Nothing at all. */
	disk_publish(d, 0, 0, 0);
	check_refused(d);

	disk_connect(d, 2, 1);
	check_served(d, &d->q[1]);
	store_get(&d->shim.store, BACK "/error", text);
	assert_string_equal(text, "");
	disk_close(d);
}

/* States that make no sense, in no order; at the end an honest one. */
static void test_states(void **state)
{
	static const char *const states[] = {"0", "9",      "-1", "",  "44", "2", "7",
					     "8", "banana", "4",  "5", "3",  "6"};
	struct disk *d = disk_new();
	unsigned int i;

	disk_open(d);
	for (i = 0; i < 300; i++)
		front_set(d, "state", "%s", states[i * 7 % 13]);
	front_state(d, 6);
	assert_back_state(d, "6");
	front_state(d, 1);
	assert_back_state(d, "2");
	disk_connect(d, 1, 0);
	check_served(d, &d->q[0]);
	disk_close(d);
}

/* A front-end that is in a hurry: Initialised, or Connected, before anybody waits for it. */
static void test_skip(void **state)
{
	struct disk *d = disk_new();

	disk_open(d);
	front_state(d, 6);
	assert_back_state(d, "6");
	disk_publish(d, 2, 0, 0);
	front_state(d, 4);
	assert_back_state(d, "4");
	check_served(d, &d->q[1]);
	disk_close(d);
}

/* Keys that are rewritten for ever: the control loop answers others meanwhile. */
static void test_rewritten_keys(void **state)
{
	struct disk *d = open_disk(1);
	unsigned int i;

	for (i = 0; i < 20000; i++)
		front_set(d, "state", "4");
	check_served(d, &d->q[0]);
	front_state(d, 5);
	assert_back_state(d, "6");
	disk_close(d);
}

/* The directory goes under our feet, and comes back. */
static void test_directory_gone(void **state)
{
	struct disk *d = open_disk(1);

	store_drop(&d->shim.store, FRONT);
	assert_back_state(d, "6");
	shim_check_unpinned(&d->shim);
	front_state(d, 1);
	assert_back_state(d, "2");
	disk_connect(d, 1, 0);
	check_served(d, &d->q[0]);
	disk_close(d);
}

/* The guest's channel was closed and its number given again before we knew. */
static void test_reused_port(void **state)
{
	struct disk *d = disk_new();

	disk_open(d);
	d->shim.closed_before_bind = true;
	disk_connect(d, 2, 0);
	fake_sleep_ms(20);
	check_served(d, &d->q[0]);
	check_served(d, &d->q[1]);
	disk_close(d);
}

/* A shim that answers no BIND costs its device, not a daemon that hangs. */
static void test_silent_shim(void **state)
{
	struct disk *d = disk_new();

	disk_open(d);
	d->shim.bind_silent = true;
	disk_publish(d, 1, 0, 0);
	front_state(d, 3);
	assert_int_equal(daemon_join(&d->shim), 1);
	disk_free(d);
}

static void wait_acks(struct disk *d, unsigned int count)
{
	for (int ms = 0; ms < WAIT_MS && d->shim.acks[ATTACH_GRANT_TABLE] < count; ms++)
		fake_sleep_ms(1);
	assert_int_equal(d->shim.acks[ATTACH_GRANT_TABLE], count);
}

/* The table without references that stands between two versions. */
static void send_closed_table(struct disk *d)
{
	struct attach_grant_table table = shim_table(&d->shim);
	int fds[] = {d->shim.shared_fd, d->shim.use_fd, d->shim.ledger_fd};

	table.grants = 0;
	shim_notice(&d->shim, ATTACH_GRANT_TABLE, &table, sizeof(table), fds, 3);
}

/*
 * The version flips under rings that are mapped, which a shim does only where they lie in reserved
 * entries: nothing is pinned by the layout that ends, and the same rings go on by the other.
 */
static void test_version(void **state)
{
	struct disk *d = open_disk(2);
	unsigned int acks = d->shim.acks[ATTACH_GRANT_TABLE];
	struct grant_v1 before[SHIM_GRANTS];

	for (unsigned int i = 0; i < 3; i++) {
		check_served(d, &d->q[0]);
		send_closed_table(d);
		wait_acks(d, acks + 1 + 2 * i);
		shim_check_unpinned(&d->shim);
		memcpy(before, d->shim.shared + SHIM_ENTRIES, sizeof(before));
		memset(d->shim.shared + SHIM_ENTRIES, 0, SHIM_GRANTS * sizeof(union grant_v2));
		if (i == 1) { /* back again: every other one of 16 bytes is what it was */
			union grant_v2 *two = (union grant_v2 *)before;

			d->shim.version = 1;
			for (uint32_t r = 0; r < SHIM_GRANTS / 2; r++)
				guest_set_grant(&d->shim, r, two[r].full_page.frame,
						two[r].header.flags, 0);
		} else {
			d->shim.version = 2;
			for (uint32_t r = 0; r < SHIM_GRANTS; r++)
				guest_set_grant(&d->shim, r, before[r].frame, before[r].flags, 0);
		}
		shim_send_table(&d->shim);
		wait_acks(d, acks + 2 + 2 * i);
		check_served(d, &d->q[0]);
		check_served(d, &d->q[1]);
	}
	disk_close(d);
}

/* ---- another guest's disk ----------------------------------------------------------------------- */

/* It writes and reads as fast as it can, all the time. */
struct neighbour {
	pthread_t thread;
	struct disk *disk;
	_Atomic bool stop;
	_Atomic unsigned int good, bad;
};

static void *neighbour_runs(void *context)
{
	struct neighbour *neighbour = context;
	struct disk *d = neighbour->disk;
	uint64_t pages[2] = {guest_page(&d->shim), guest_page(&d->shim)};
	struct blkif_rw_req out = rw(d, BLKIF_WRITE, 64, &pages[0], 1),
			    in = rw(d, BLKIF_READ, 64, &pages[1], 1);
	uint8_t *from = guest_at(&d->shim, pages[0]), *to = guest_at(&d->shim, pages[1]);
	unsigned int i = 0;

	while (!neighbour->stop) {
		memset(from, ++i, SHIM_PAGE);
		if (ask(d, &d->q[0], &out, sizeof(out)) == BLKIF_OK &&
		    ask(d, &d->q[0], &in, sizeof(in)) == BLKIF_OK && !memcmp(from, to, SHIM_PAGE))
			neighbour->good++;
		else
			neighbour->bad++;
	}
	return NULL;
}

/* It gets on, with us in the same daemon. */
static void check_undisturbed(struct neighbour *neighbour)
{
	const unsigned int before = neighbour->good;
	unsigned int ms;

	for (ms = 0; ms < WAIT_MS && neighbour->good < before + 5; ms++)
		fake_sleep_ms(1);
	assert_true(ms < WAIT_MS);
	assert_int_equal(neighbour->bad, 0);
}

static void misbehave(struct disk *d, struct neighbour *neighbour)
{
	struct blkif_rw_req request;
	uint64_t page = guest_page(&d->shim);
	unsigned int i;

	request = rw(d, BLKIF_READ, UINT64_MAX, &page, 1);
	for (i = 0; i < 50; i++) {
		request.segment[0].grant += i;
		assert_int_equal(ask(d, &d->q[0], &request, sizeof(request)), BLKIF_ERROR);
	}
	check_undisturbed(neighbour);
	for (i = 0; i < 20000; i++)
		guest_kick(&d->shim, d->q[i & 1].port);
	check_undisturbed(neighbour);
	break_queue(d, 1000, 1, 0);
	check_undisturbed(neighbour);
	for (i = 0; i < 1000; i++)
		front_set(d, "state", "%u", i % 9);
	check_undisturbed(neighbour);
	front_state(d, 6);
	assert_back_state(d, "6");
	front_state(d, 1);
	assert_back_state(d, "2");
	disk_publish(d, 2, 0, 0);
	front_set(d, "ring-page-order", "banana");
	front_state(d, 3);
	assert_back_state(d, "5");
	check_undisturbed(neighbour);
	store_drop(&d->shim.store, FRONT);
	assert_back_state(d, "6");
	check_undisturbed(neighbour);
}

static void test_neighbour(void **state)
{
	struct disk *d = disk_new();
	struct neighbour neighbour = {.disk = d->beside = disk_new()};
	unsigned int i;

	disk_open(d);
	disk_connect(d, 2, 0);
	disk_connect(d->beside, 1, 0);
	assert_int_equal(pthread_create(&neighbour.thread, NULL, neighbour_runs, &neighbour), 0);
	misbehave(d, &neighbour);
	neighbour.stop = true;
	pthread_join(neighbour.thread, NULL);
	assert_int_equal(neighbour.bad, 0);
	for (i = 0; i < QUEUES_MAX; i++) {
		assert_int_equal(stats_read(&stats_queue(d->beside->stats, i)->broken), 0);
		assert_int_equal(stats_read(&stats_queue(d->beside->stats, i)->errors), 0);
	}
	assert_back_state(d->beside, "4");
	disk_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),       cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_one_bad_grant),  cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_rewritten),      cmocka_unit_test(test_index),
		cmocka_unit_test(test_flood),          cmocka_unit_test(test_close_busy),
		cmocka_unit_test(test_keys),           cmocka_unit_test(test_states),
		cmocka_unit_test(test_skip),           cmocka_unit_test(test_rewritten_keys),
		cmocka_unit_test(test_directory_gone), cmocka_unit_test(test_reused_port),
		cmocka_unit_test(test_silent_shim),    cmocka_unit_test(test_version),
		cmocka_unit_test(test_no_page),        cmocka_unit_test(test_index_often),
		cmocka_unit_test(test_neighbour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
