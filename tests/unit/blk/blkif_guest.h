/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest with a Xen disk: the front-end's keys and rings by hand, and the device under test behind a
 * fake shim.
 */
#ifndef PVKIT_TESTS_UNIT_BLK_BLKIF_GUEST_H
#define PVKIT_TESTS_UNIT_BLK_BLKIF_GUEST_H

#include "tests/unit/host/fake_shim.h"

#include <fcntl.h>

#include "abi/blkif.h"
#include "backend/blk/blkif.h"
#include "backend/blk/blkif_cache.h"
#include "common/log.h"
#include "ring/xen_ring.h"

#define FRONT "/local/domain/1/device/vbd/51712"
#define BACK  "/local/domain/0/backend/vbd/1/51712"

#define QUEUES_MAX 4
#define DISK_BYTES (16ULL << 20)
#define WAIT_MS    10000

struct disk_queue {
	struct xen_front front;
	uint8_t *area;
	unsigned int pages;
	uint32_t reference[16];
	uint32_t port;
	uint64_t next_id;
};

struct disk {
	struct fake_shim shim;
	struct store_image *image;
	struct stats_page *stats;
	struct blkif *blkif;
	char path[64];
	unsigned int queues;
	struct disk_queue q[QUEUES_MAX];
	/* Before disk_open(). */
	struct store_image_options image_options;
	uint64_t null_size;
	bool can_erase; /* the image is one of a device that can erase securely */
	const struct store_engine *engine;
	unsigned int version;
	struct disk *beside; /* another guest's, which the same daemon serves */
	bool ended; /* the daemon left by itself */
};

static inline void on_hangup(void *context)
{
	blkif_resize(context);
}

static inline struct disk *disk_new(void)
{
	struct disk *d = calloc(1, sizeof(*d));
	int fd;

	d->version = 1;
	d->engine = &store_engine_threads;
	snprintf(d->path, sizeof(d->path), "/tmp/pvkit-blkif-XXXXXX");
	fd = mkstemp(d->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	d->image_options.path = d->path;
	return d;
}

/* Directories as the shim makes them, and a device. */
static inline void disk_make(struct disk *d)
{
	struct blk_options options = {.engine = d->engine, .queues = QUEUES_MAX, .poll_us = -1};

	setenv("PVKIT_STATS_DIR", "/tmp", 0);
	fake_shim_init(&d->shim, d->version);
	store_set(&d->shim.store, "1", FRONT "/state");
	store_set(&d->shim.store, BACK, FRONT "/backend");
	store_set(&d->shim.store, "1", BACK "/state");
	store_set(&d->shim.store, "1", BACK "/online");
	store_set(&d->shim.store, FRONT, BACK "/frontend");
	if (d->null_size)
		d->image_options = (struct store_image_options){.null_size = d->null_size};
	d->image = store_image_open(&d->image_options);
	assert_non_null(d->image);
	d->image->can_erase |= d->can_erase;
	options.image = d->image;
	d->stats = options.stats = stats_open("test-blkif", STATS_DEVICE_BLK, "test", QUEUES_MAX);
	d->blkif = blkif_open(&options);
	assert_non_null(d->blkif);
}

/* And a daemon that serves it. */
static inline void disk_open(struct disk *d)
{
	disk_make(d);
	if (d->beside) {
		disk_make(d->beside);
		daemon_beside(&d->shim, &d->beside->shim, blkif_device(d->beside->blkif),
			      "vbd/51712");
	}
	daemon_start(&d->shim, blkif_device(d->blkif), "vbd/51712");
	control_on_hangup(on_hangup, d->blkif);
	assert_true(store_wait(&d->shim.store, BACK "/state", "2"));
}

static inline void disk_free_areas(struct disk *d)
{
	unsigned int i;

	for (i = 0; i < d->queues; i++)
		munmap(d->q[i].area, d->q[i].pages * SHIM_PAGE);
	d->queues = 0;
}

/* Its daemon has ended. */
static inline void disk_free(struct disk *d)
{
	blkif_close(d->blkif);
	stats_close(d->stats);
	store_image_close(d->image);
	disk_free_areas(d);
	fake_shim_close(&d->shim);
	unlink(d->path);
	free(d);
}

static inline void disk_close(struct disk *d)
{
	if (d->ended)
		daemon_join(&d->shim);
	else
		assert_int_equal(daemon_stop(&d->shim), 0);
	if (d->beside)
		disk_free(d->beside);
	disk_free(d);
}

/* ---- the handshake --------------------------------------------------------------------------- */

#define front_set(d, key, ...)                                         \
	do {                                                           \
		char value_[64];                                       \
		snprintf(value_, sizeof(value_), __VA_ARGS__);         \
		store_set(&(d)->shim.store, value_, FRONT "/%s", key); \
	} while (0)

static inline uint64_t back_number(struct disk *d, const char *key)
{
	char path[128], value[FAKE_TEXT];

	snprintf(path, sizeof(path), BACK "/%s", key);
	store_get(&d->shim.store, path, value);
	return value[0] ? strtoull(value, NULL, 10) : UINT64_MAX;
}

/* The guest's pages lie anywhere, its ring is one piece. */
static inline void queue_make(struct disk *d, struct disk_queue *q, unsigned int pages,
			      uint32_t start)
{
	struct xen_ring_area area = {.bytes = pages * SHIM_PAGE, .slot_bytes = BLKIF_SLOT_BYTES};
	uint64_t page;
	unsigned int i;

	memset(q, 0, sizeof(*q));
	q->pages = pages;
	q->area = mmap(NULL, pages * SHIM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < pages; i++) {
		page = guest_page(&d->shim);
		q->reference[i] = guest_grant(&d->shim, page, false);
		assert_true(mmap(q->area + i * SHIM_PAGE, SHIM_PAGE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, d->shim.memory_fd,
				 (uint8_t *)guest_at(&d->shim, page) - d->shim.memory) !=
			    MAP_FAILED);
	}
	area.pages = q->area;
	assert_int_equal(xen_front_init(&q->front, &area), 0);
	guest_ring_begin(&q->front, start);
	q->port = guest_port(&d->shim);
}

static inline void queue_publish(struct disk *d, unsigned int index, bool directories)
{
	struct disk_queue *q = &d->q[index];
	char prefix[32] = "", key[64];
	unsigned int i;

	if (directories)
		snprintf(prefix, sizeof(prefix), "queue-%u/", index);
	for (i = 0; i < q->pages; i++) {
		if (q->pages == 1)
			snprintf(key, sizeof(key), "%sring-ref", prefix);
		else
			snprintf(key, sizeof(key), "%sring-ref%u", prefix, i);
		front_set(d, key, "%u", q->reference[i]);
	}
	snprintf(key, sizeof(key), "%sevent-channel", prefix);
	front_set(d, key, "%u", q->port);
}

static inline void disk_publish(struct disk *d, unsigned int queues, unsigned int order,
				uint32_t start)
{
	unsigned int i;

	disk_free_areas(d);
	if (queues > 1)
		front_set(d, "multi-queue-num-queues", "%u", queues);
	if (order)
		front_set(d, "ring-page-order", "%u", order);
	for (i = 0; i < queues; i++) {
		queue_make(d, &d->q[i], 1U << order, start);
		queue_publish(d, i, queues > 1);
	}
	d->queues = queues;
}

static inline void front_state(struct disk *d, unsigned int state)
{
	front_set(d, "state", "%u", state);
}

#define assert_back_state(d, state) assert_true(store_wait(&(d)->shim.store, BACK "/state", state))

static inline void disk_connect(struct disk *d, unsigned int queues, unsigned int order)
{
	disk_publish(d, queues, order, 0);
	front_state(d, 3);
	assert_back_state(d, "4");
	front_state(d, 4);
}

/* ---- requests -------------------------------------------------------------------------------- */

static inline void put(struct disk *d, struct disk_queue *q, const void *request, size_t bytes)
{
	union blkif_req slot = {0};

	memcpy(&slot, request, bytes);
	assert_int_equal(xen_front_put(&q->front, &slot, sizeof(slot)), 0);
}

static inline void push(struct disk *d, struct disk_queue *q)
{
	xen_front_publish(&q->front);
	if (xen_front_should_notify(&q->front))
		guest_kick(&d->shim, q->port);
}

static inline bool reap(struct disk *d, struct disk_queue *q, struct blkif_rsp *response,
			unsigned int ms)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000L;
	for (;;) {
		if (xen_front_reap(&q->front, response, sizeof(*response)) == XEN_RING_FOUND)
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec ||
		    (now.tv_sec == end.tv_sec && now.tv_nsec > end.tv_nsec))
			return false;
		if (!xen_front_events_enable(&q->front))
			guest_wait_interrupt(&d->shim, q->port, 10);
	}
}

/* One request, alone: its status. */
static inline int ask(struct disk *d, struct disk_queue *q, void *request, size_t bytes)
{
	struct blkif_rw_req *head = request;
	const union blkif_req *slot = request;
	struct blkif_rsp response;

	/* ->id is in the same place in all. */
	head->id = ++q->next_id + 0x1234567800000000ULL;
	put(d, q, request, bytes);
	push(d, q);
	assert_true(reap(d, q, &response, WAIT_MS));
	assert_int_equal(response.id, head->id);
	assert_int_equal(response.operation, head->operation == BLKIF_INDIRECT
						     ? slot->indirect.indirect_operation
						     : head->operation);
	return response.status;
}

/* Of all grants only the rings' are in use. */
static inline void check_only_rings(struct disk *d)
{
	unsigned int i, j, rings = 0, pinned = 0;

	for (i = 0; i < SHIM_GRANTS; i++)
		pinned += __atomic_load_n(&d->shim.use[i].word, __ATOMIC_RELAXED) != 0;
	for (i = 0; i < d->queues; i++)
		for (j = 0; j < d->q[i].pages; j++, rings++)
			assert_true(guest_use(&d->shim, d->q[i].reference[j]) & GRANT_WRITING);
	assert_int_equal(pinned, rings);
}

/* @count whole pages, granted, at @pages. */
static inline struct blkif_rw_req rw(struct disk *d, uint8_t operation, uint64_t sector,
				     const uint64_t *pages, unsigned int count)
{
	struct blkif_rw_req request = {.operation = operation, .segments = count, .sector = sector};
	unsigned int i;

	for (i = 0; i < count; i++)
		request.segment[i] = (struct blkif_segment){
			.grant = guest_grant(&d->shim, pages[i], operation != BLKIF_READ),
			.last_sector = 7,
		};
	return request;
}

static inline void new_pages(struct disk *d, uint64_t *pages, unsigned int count)
{
	while (count--)
		*pages++ = guest_page(&d->shim);
}

static inline void read_file(struct disk *d, void *data, size_t bytes, uint64_t offset)
{
	int fd = open(d->path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, data, bytes, offset), (ssize_t)bytes);
	close(fd);
}

#endif
