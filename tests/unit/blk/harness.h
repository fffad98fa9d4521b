/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest in this process: memory, one virtqueue seen from the driver's side, and the device under
 * test on the other. Requests go through everything but the transport.
 */
#ifndef PVKIT_TESTS_UNIT_BLK_HARNESS_H
#define PVKIT_TESTS_UNIT_BLK_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/blk/virtio_blk.h"
#include "backend/queue.h"
#include "common/log.h"
#include "ring/virtqueue.h"

#define MEMORY_BASE   0x100000ULL
#define MEMORY_BYTES  (8ULL << 20) /* in two regions that adjoin */
#define MEMORY_REGION (MEMORY_BYTES / 2)
#define RING_BYTES    0x20000 /* in front of the first region, for the ring's areas */
#define WAIT_MS       10000

#define NO_STATUS 0xee /* what the status byte holds before the device writes it */

struct harness {
	struct guest_memory memory;
	uint8_t *host;
	uint64_t next; /* unused guest memory from here on */
	struct virtqueue_driver driver;
	struct backend_queue queue;
	struct virtqueue_areas areas;
	uint64_t features;
	struct store_image *image;
	struct stats_page *stats;
	struct virtio_blk *blk;
	struct backend_device *device;
	bool running;
	bool register_memory; /* set before harness_open() */
	char path[64];
};

/* ---- guest memory ----------------------------------------------------------------------------- */

static inline void *at(struct harness *h, uint64_t address)
{
	return h->host + (address - MEMORY_BASE);
}

/* @bytes of guest memory, @offset bytes off a page's beginning. */
static inline uint64_t take(struct harness *h, uint64_t bytes, uint64_t offset)
{
	uint64_t address = (h->next + 4095) / 4096 * 4096 + offset;

	assert_true(address + bytes <= MEMORY_BASE + MEMORY_BYTES);
	h->next = address + bytes;
	return address;
}

/* ---- set-up ----------------------------------------------------------------------------------- */

static inline void make_file(char *path, size_t size, uint64_t bytes)
{
	int fd;

	snprintf(path, size, "/tmp/pvkit-blk-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static inline struct store_image *open_file(const char *path, bool read_only,
					    enum store_cache cache, uint32_t block_size)
{
	struct store_image_options options = {
		.path = path, .read_only = read_only, .cache = cache, .block_size = block_size};

	return store_image_open(&options);
}

static inline void queue_init(struct harness *h, uint16_t size, struct virtqueue_position position)
{
	h->areas = (struct virtqueue_areas){
		.descriptors = h->host,
		.driver = h->host + 0x8000,
		.device = h->host + 0x10000,
		.size = size,
	};
	h->queue.features = h->features;
	assert_int_equal(
		virtqueue_device_init(&h->queue.ring, &h->areas, h->features, &h->memory, position),
		0);
}

static inline void start_queue(struct harness *h)
{
	assert_int_equal(h->device->ops->queue_start(h->device, &h->queue), 0);
	h->running = true;
}

static inline void stop_queue(struct harness *h)
{
	if (h->running)
		h->device->ops->queue_stop(h->device, &h->queue);
	h->running = false;
}

/* Takes over @image; the device offers all, the guest accepts @features of it. */
static inline void harness_open(struct harness *h, struct store_image *image,
				const struct store_engine *engine, uint64_t features, uint16_t size)
{
	struct blk_options options = {
		.image = image,
		.engine = engine,
		.queues = 2,
		.queue_size = VIRTQUEUE_SIZE_MAX,
		.poll_us = -1,
		.register_memory = h->register_memory,
	};
	struct virtqueue_position position = {0, 0};

	assert_non_null(image);
	setenv("PVKIT_STATS_DIR", "/tmp", 0);
	h->image = image;
	h->stats = options.stats = stats_open("test-blk", STATS_DEVICE_BLK, "test", 2);
	h->blk = virtio_blk_open(&options);
	assert_non_null(h->blk);
	h->device = virtio_blk_device(h->blk);
	h->features = features;
	assert_int_equal(h->device->ops->set_features(h->device, features), 0);

	h->host =
		mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(h->host != MAP_FAILED);
	memset(&h->memory, 0, sizeof(h->memory));
	assert_int_equal(guest_memory_add(&h->memory, MEMORY_BASE, MEMORY_REGION, h->host), 0);
	assert_int_equal(guest_memory_add(&h->memory, MEMORY_BASE + MEMORY_REGION, MEMORY_REGION,
					  h->host + MEMORY_REGION),
			 0);
	h->next = MEMORY_BASE + RING_BYTES;

	h->queue = (struct backend_queue){
		.kick = eventfd(0, EFD_NONBLOCK),
		.call = eventfd(0, EFD_NONBLOCK),
		.error = eventfd(0, EFD_NONBLOCK),
	};
	if (features & VIRTQUEUE_F_PACKED)
		position = (struct virtqueue_position){0x8000, 0x8000};
	queue_init(h, size, position);
	assert_int_equal(virtqueue_driver_init(&h->driver, &h->areas, features), 0);
	start_queue(h);
}

static inline void harness_close(struct harness *h)
{
	stop_queue(h);
	virtio_blk_close(h->blk);
	stats_close(h->stats);
	store_image_close(h->image);
	munmap(h->host, MEMORY_BYTES);
	close(h->queue.kick);
	close(h->queue.call);
	close(h->queue.error);
}

/* ---- requests --------------------------------------------------------------------------------- */

#define BUFFERS_MAX 32

/* A chain that a test builds; its token is itself. */
struct chain {
	struct virtqueue_buffer buffers[BUFFERS_MAX];
	uint16_t readable, writable;
	uint64_t status; /* guest address */
	uint32_t written;
	bool done;
};

static inline void add_readable(struct chain *c, uint64_t address, uint32_t length)
{
	assert_int_equal(c->writable, 0);
	c->buffers[c->readable++] = (struct virtqueue_buffer){address, length};
}

static inline void add_writable(struct chain *c, uint64_t address, uint32_t length)
{
	c->buffers[c->readable + c->writable++] = (struct virtqueue_buffer){address, length};
}

static inline void add_header(struct harness *h, struct chain *c, uint32_t type, uint64_t sector)
{
	uint64_t address = take(h, sizeof(struct virtio_blk_outhdr), 0);

	*(struct virtio_blk_outhdr *)at(h, address) =
		(struct virtio_blk_outhdr){.type = type, .sector = sector};
	add_readable(c, address, sizeof(struct virtio_blk_outhdr));
}

static inline void add_status(struct harness *h, struct chain *c)
{
	c->status = take(h, 1, 0);
	*(uint8_t *)at(h, c->status) = NO_STATUS;
	add_writable(c, c->status, 1);
}

static inline void kick(struct harness *h)
{
	uint64_t one = 1;

	virtqueue_driver_publish(&h->driver);
	if (virtqueue_should_kick(&h->driver))
		assert_int_equal(write(h->queue.kick, &one, sizeof(one)), sizeof(one));
}

static inline void send_chain(struct harness *h, struct chain *c)
{
	assert_int_equal(
		virtqueue_add(&h->driver, c->buffers, c->readable, c->writable, c, NULL, 0), 0);
	kick(h);
}

/* Marks one finished chain as done. False: none came in time. */
static inline bool reap_one(struct harness *h, int timeout_ms)
{
	struct pollfd poll_call = {.fd = h->queue.call, .events = POLLIN};
	enum virtqueue_result result;
	uint32_t written;
	uint64_t count;
	void *token;

	for (;;) {
		result = virtqueue_reap(&h->driver, &token, &written);
		assert_int_not_equal(result, VIRTQUEUE_BROKEN);
		if (result == VIRTQUEUE_FOUND) {
			((struct chain *)token)->written = written;
			((struct chain *)token)->done = true;
			return true;
		}
		if (virtqueue_interrupts_enable(&h->driver))
			continue;
		if (poll(&poll_call, 1, timeout_ms) <= 0)
			return false;
		(void)!read(h->queue.call, &count, sizeof(count));
	}
}

static inline void wait_chain(struct harness *h, struct chain *c)
{
	while (!c->done)
		if (!reap_one(h, WAIT_MS))
			fail_msg("no answer");
}

static inline uint8_t chain_status(struct harness *h, const struct chain *c)
{
	return *(uint8_t *)at(h, c->status);
}

/* One whole request over data at @address (0: none): its status. */
static inline int request(struct harness *h, uint32_t type, uint64_t sector, uint64_t address,
			  uint32_t length)
{
	uint64_t mark = h->next;
	struct chain c = {0};
	int status;

	add_header(h, &c, type, sector);
	if (length && (type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID))
		add_writable(&c, address, length);
	else if (length)
		add_readable(&c, address, length);
	add_status(h, &c);
	send_chain(h, &c);
	wait_chain(h, &c);
	status = chain_status(h, &c);
	h->next = mark;
	return status;
}

/* A discard or write-zeroes of one range. */
static inline int range_request(struct harness *h, uint32_t type, uint64_t sector, uint32_t sectors,
				uint32_t flags)
{
	uint64_t mark = h->next, address = take(h, 16, 0);
	int status;

	*(struct virtio_blk_discard_write_zeroes *)at(h, address) =
		(struct virtio_blk_discard_write_zeroes){sector, sectors, flags};
	status = request(h, type, 0, address, 16);
	h->next = mark;
	return status;
}

/* True when the device's queue broke within the time. */
static inline bool wait_broken(struct harness *h)
{
	struct pollfd error = {.fd = h->queue.error, .events = POLLIN};

	return poll(&error, 1, WAIT_MS) == 1;
}

#define F_BASE (1ULL << VIRTIO_F_VERSION_1 | VIRTQUEUE_F_EVENT_IDX | VIRTQUEUE_F_INDIRECT)
#define F_BLK                                                                 \
	(F_BASE | 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_DISCARD | \
	 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)

#endif
