// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A store that fails in every way a store can, and the device in front of it: short transfers are
 * continued, errors reach the guest and pass when they are cured, no request is called done that
 * was not, and a queue that is stopped waits for what is in flight.
 */
#include "tests/unit/blk/harness.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#define IMAGE_BYTES (1ULL << 20)

/* ---- the store -------------------------------------------------------------------------------- */

enum fault {
	FAULT_NONE,
	FAULT_ERROR,
	FAULT_SHORT,
	FAULT_HOLD
};

/* Set while the worker has nothing to do; read by its thread. */
static _Atomic int fault, fault_op, fault_error, fault_count;
static _Atomic unsigned int starts, durable_writes, flushes, held_count;
static _Atomic bool release;

static const struct store_engine faulty_engine;

struct faulty_queue {
	struct store_queue base;
	struct store_queue_options options;
	struct store_io *held;
};

static int faulty_probe(void)
{
	return 0;
}

static struct store_queue *faulty_open(struct store_image *image,
				       const struct store_queue_options *options)
{
	struct faulty_queue *queue = calloc(1, sizeof(*queue));

	queue->base.engine = &faulty_engine;
	queue->base.image = image;
	queue->options = *options;
	return &queue->base;
}

static void faulty_close(struct store_queue *base)
{
	assert_int_equal(base->in_flight, 0);
	free(base);
}

/* Half of the first piece. */
static int64_t short_transfer(struct store_image *image, struct store_io *io)
{
	struct iovec half = {io->iov->iov_base, io->iov->iov_len / 2};
	struct store_io part = *io;

	if (!half.iov_len)
		half.iov_len = 1;
	part.iov = &half;
	part.iov_count = 1;
	part.bytes = half.iov_len;
	return store_sync(image, &part);
}

static bool faulty_start(struct store_queue *base, struct store_io *io)
{
	struct faulty_queue *queue = (struct faulty_queue *)base;

	starts++;
	durable_writes += io->op == STORE_WRITE && (io->flags & STORE_IO_DURABLE);
	flushes += io->op == STORE_FLUSH;
	if (fault == FAULT_NONE || io->op != fault_op || !fault_count) {
		io->result = store_sync(base->image, io);
		return true;
	}
	fault_count--;
	switch ((int)fault) {
	case FAULT_ERROR:
		io->result = -fault_error;
		return true;
	case FAULT_SHORT:
		io->result = short_transfer(base->image, io);
		return true;
	default:
		io->next = queue->held;
		queue->held = io;
		base->in_flight++;
		held_count++;
		return false;
	}
}

static void faulty_submit(struct store_queue *base)
{
}

static unsigned int faulty_reap(struct store_queue *base, struct store_io **done, unsigned int max)
{
	struct faulty_queue *queue = (struct faulty_queue *)base;
	unsigned int count = 0;

	while (release && queue->held && count < max) {
		done[count] = queue->held;
		queue->held = queue->held->next;
		done[count]->result = store_sync(base->image, done[count]);
		base->in_flight--;
		held_count--;
		count++;
	}
	return count;
}

static void faulty_wait(struct store_queue *base, int64_t timeout_us)
{
	struct faulty_queue *queue = (struct faulty_queue *)base;
	struct pollfd fds[STORE_WATCH_MAX];
	unsigned int i;

	for (i = 0; i < queue->options.watch_count; i++)
		fds[i] = (struct pollfd){.fd = queue->options.watch[i], .events = POLLIN};
	poll(fds, i, base->in_flight ? 1 : -1);
}

static const struct store_engine faulty_engine = {
	.name = "faulty",
	.probe = faulty_probe,
	.open = faulty_open,
	.close = faulty_close,
	.start = faulty_start,
	.submit = faulty_submit,
	.reap = faulty_reap,
	.wait = faulty_wait,
};

static void set_fault(enum fault kind, enum store_op op, int error, int count)
{
	fault_op = op;
	fault_error = error;
	fault_count = count;
	fault = kind;
}

/* ---- the device ------------------------------------------------------------------------------- */

static struct harness h;

static void open_with(uint64_t features)
{
	memset(&h, 0, sizeof(h));
	starts = durable_writes = flushes = held_count = 0;
	release = false;
	set_fault(FAULT_NONE, 0, 0, 0);
	make_file(h.path, sizeof(h.path), IMAGE_BYTES);
	harness_open(&h, open_file(h.path, false, STORE_CACHE_WRITEBACK, 0), &faulty_engine,
		     features, 64);
}

static int set_up(void **state)
{
	open_with(F_BLK);
	return 0;
}

static int tear_down(void **state)
{
	harness_close(&h);
	unlink(h.path);
	return 0;
}

static uint64_t pattern(uint64_t bytes, uint8_t seed)
{
	uint64_t address = take(&h, bytes, 0), i;

	for (i = 0; i < bytes; i++)
		((uint8_t *)at(&h, address))[i] = seed + i / 64;
	return address;
}

static void test_short_transfers_go_on(void **state)
{
	uint64_t from = pattern(8192, 1), to = take(&h, 8192, 0);

	set_fault(FAULT_SHORT, STORE_WRITE, 0, 5);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 3, from, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(fault_count, 0);
	set_fault(FAULT_SHORT, STORE_READ, 0, 5);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, 3, to, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(fault_count, 0);
	assert_memory_equal(at(&h, from), at(&h, to), 8192);
}

/* Short at places that are no piece's end. */
static void test_short_transfers_of_pieces(void **state)
{
	uint64_t from = pattern(4096, 3), to = take(&h, 8192, 0);
	struct chain c = {0};
	unsigned int i;

	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, from, 4096), VIRTIO_BLK_S_OK);
	add_header(&h, &c, VIRTIO_BLK_T_IN, 0);
	for (i = 0; i < 4; i++)
		add_writable(&c, to + i * 2000, 1024);
	add_status(&h, &c);
	set_fault(FAULT_SHORT, STORE_READ, 0, 9);
	send_chain(&h, &c);
	wait_chain(&h, &c);
	assert_int_equal(chain_status(&h, &c), VIRTIO_BLK_S_OK);
	for (i = 0; i < 4; i++)
		assert_memory_equal(at(&h, to + i * 2000), at(&h, from + i * 1024), 1024);
}

static void test_errors_pass(void **state)
{
	static const int errors[] = {EIO, ENOSPC, ENOMEM, EINVAL, EFAULT};
	uint64_t data = pattern(4096, 1), before;
	unsigned int i;

	before = stats_read(&stats_queue(h.stats, 0)->errors);
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		set_fault(FAULT_ERROR, STORE_WRITE, errors[i], 1);
		assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_OK);
	}
	set_fault(FAULT_ERROR, STORE_FLUSH, EIO, 1);
	assert_int_equal(request(&h, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	set_fault(FAULT_ERROR, STORE_DISCARD, EIO, 1);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	stop_queue(&h);
	assert_int_equal(stats_read(&stats_queue(h.stats, 0)->errors), before + i + 2);
}

/* Nothing moved, and no error either: a file that was cut off under us. */
static void test_nothing_moved_is_an_error(void **state)
{
	uint64_t data = pattern(4096, 1);

	set_fault(FAULT_ERROR, STORE_READ, 0, 1);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, 0, data, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(truncate(h.path, 2048), 0);
	set_fault(FAULT_NONE, 0, 0, 0);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, 0, data, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&h, VIRTIO_BLK_T_IN, 0, data, 2048), VIRTIO_BLK_S_OK);
}

static void test_retries_end(void **state)
{
	uint64_t data = pattern(4096, 1);

	set_fault(FAULT_ERROR, STORE_WRITE, EAGAIN, 3);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_OK);
	set_fault(FAULT_ERROR, STORE_WRITE, EINTR, 3);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_OK);
	set_fault(FAULT_ERROR, STORE_WRITE, EAGAIN, 1000);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 4096), VIRTIO_BLK_S_IOERR);
}

/* No zero range, no hole: zeros are written, more than one step of them. */
static void test_zeroing_falls_back(void **state)
{
	uint64_t data = pattern(512, 7);
	uint8_t outside[512];
	int fd = open(h.path, O_RDWR);
	uint64_t sector;

	for (sector = 0; sector < IMAGE_BYTES / 512; sector++)
		assert_int_equal(pwrite(fd, at(&h, data), 512, sector * 512), 512);
	set_fault(FAULT_ERROR, STORE_ZERO, EOPNOTSUPP, 1000);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_WRITE_ZEROES, 1, IMAGE_BYTES / 512 - 2, 0),
			 VIRTIO_BLK_S_OK);
	for (sector = 0; sector < IMAGE_BYTES / 512; sector++) {
		bool kept = sector == 0 || sector == IMAGE_BYTES / 512 - 1;

		assert_int_equal(pread(fd, outside, 512, sector * 512), 512);
		assert_int_equal(outside[511], kept ? 7 + 511 / 64 : 0);
	}
	set_fault(FAULT_ERROR, STORE_ZERO_UNMAP, EOPNOTSUPP, 1000);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8,
				       VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 VIRTIO_BLK_S_OK);
	set_fault(FAULT_ERROR, STORE_DISCARD, EOPNOTSUPP, 1000);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_OK);
	close(fd);
}

/* It was done, it failed, or it cannot be; then nothing else is done in its place. */
static void test_secure_erase(void **state)
{
	unsigned int before;

	assert_int_equal(range_request(&h, VIRTIO_BLK_T_SECURE_ERASE, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	h.image->can_erase = true;
	before = starts;
	set_fault(FAULT_ERROR, STORE_ERASE, 0, 1);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_SECURE_ERASE, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(fault_count, 0);
	set_fault(FAULT_ERROR, STORE_ERASE, EIO, 1);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_SECURE_ERASE, 8, 16, 0),
			 VIRTIO_BLK_S_IOERR);
	set_fault(FAULT_ERROR, STORE_ERASE, EOPNOTSUPP, 1);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_SECURE_ERASE, 8, 16, 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(starts, before + 3);
	set_fault(FAULT_NONE, 0, 0, 0);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_DISCARD, 8, 16, 0), VIRTIO_BLK_S_OK);
}

/* ---- the write cache -------------------------------------------------------------------------- */

static void test_no_flush_means_write_through(void **state)
{
	uint64_t data;

	tear_down(state);
	open_with(F_BASE | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES);
	data = pattern(512, 1);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(durable_writes, 1);
	assert_int_equal(range_request(&h, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(flushes, 1);
}

/* A driver that agrees to nothing cannot flush, whatever the driver before it had agreed to. */
static void test_reset_means_write_through(void **state)
{
	uint64_t data = pattern(512, 1);

	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(durable_writes, 0);
	stop_queue(&h);
	h.device->ops->reset(h.device);
	queue_init(&h, 64, virtqueue_device_position(&h.queue.ring));
	start_queue(&h);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(durable_writes, 1);
}

static int set_wce(uint8_t value)
{
	return h.device->ops->config_write(h.device, offsetof(struct virtio_blk_config, wce),
					   &value, 1);
}

static void test_cache_toggle(void **state)
{
	struct virtio_blk_config config;
	uint64_t data;

	assert_int_equal(set_wce(0), -EINVAL); /* not negotiated */
	tear_down(state);
	open_with(F_BLK | 1ULL << VIRTIO_BLK_F_CONFIG_WCE);
	data = pattern(512, 1);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(durable_writes, 0);
	assert_int_equal(set_wce(0), 0);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(durable_writes, 1);
	assert_int_equal(set_wce(2), -EINVAL);
	assert_int_equal(set_wce(1), 0);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(durable_writes, 1);
	assert_int_equal(h.device->ops->config_read(h.device, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.wce, 1);
}

static void test_failed_flush_keeps_the_cache(void **state)
{
	struct virtio_blk_config config;
	uint64_t data;
	int fd;

	tear_down(state);
	open_with(F_BLK | 1ULL << VIRTIO_BLK_F_CONFIG_WCE);
	data = pattern(512, 1);
	fd = h.image->fd;
	h.image->fd = INT_MAX;
	assert_int_equal(set_wce(0), -EBADF);
	h.image->fd = fd;
	assert_int_equal(h.device->ops->config_read(h.device, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.wce, 1);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(durable_writes, 0);
}

/* ---- stopping --------------------------------------------------------------------------------- */

#define IN_FLIGHT 40

static _Atomic bool stopped;

static void *stopper(void *context)
{
	stop_queue(&h);
	stopped = true;
	return NULL;
}

static void wait_held(unsigned int count)
{
	int i;

	for (i = 0; i < WAIT_MS && held_count != count; i++)
		usleep(1000);
	assert_int_equal(held_count, count);
}

/* Row 25: a reset waits for what the store still has, and every chain comes back. */
static void test_stop_waits(void **state)
{
	static struct chain chains[IN_FLIGHT];
	struct virtqueue_position position;
	uint64_t data = pattern(512, 1);
	unsigned int i, count;
	pthread_t thread;

	memset(chains, 0, sizeof(chains));
	set_fault(FAULT_HOLD, STORE_WRITE, 0, 1000);
	for (i = 0; i < IN_FLIGHT / 2; i++) {
		add_header(&h, &chains[i], VIRTIO_BLK_T_OUT, i);
		add_readable(&chains[i], data, 512);
		add_status(&h, &chains[i]);
		send_chain(&h, &chains[i]);
	}
	/* 20 chains of 3 descriptors fill the ring of 64: the rest must wait. */
	count = i;
	wait_held(count);
	stopped = false;
	assert_int_equal(pthread_create(&thread, NULL, stopper, NULL), 0);
	usleep(50000);
	assert_false(stopped);
	assert_int_equal(chain_status(&h, &chains[0]), NO_STATUS);
	release = true;
	pthread_join(thread, NULL);
	assert_true(stopped);
	assert_int_equal(held_count, 0);
	for (i = 0; i < count; i++)
		assert_int_equal(chain_status(&h, &chains[i]), VIRTIO_BLK_S_OK);
	position = virtqueue_device_position(&h.queue.ring);
	assert_int_equal(position.avail, count);
	assert_int_equal(position.used, count);

	/* The next owner of the ring begins there. */
	set_fault(FAULT_NONE, 0, 0, 0);
	queue_init(&h, 64, position);
	start_queue(&h);
	for (i = 0; i < count; i++)
		wait_chain(&h, &chains[i]);
	assert_int_equal(request(&h, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_OK);
}

/* Row 22: a broken ring is reported when what is in flight is over, not before. */
static void test_broken_with_requests_in_flight(void **state)
{
	struct pollfd error = {.fd = h.queue.error, .events = POLLIN};
	uint64_t data = pattern(512, 1);
	struct chain c = {0}, bad = {0};

	set_fault(FAULT_HOLD, STORE_WRITE, 0, 1000);
	add_header(&h, &c, VIRTIO_BLK_T_OUT, 0);
	add_readable(&c, data, 512);
	add_status(&h, &c);
	send_chain(&h, &c);
	wait_held(1);
	add_header(&h, &bad, VIRTIO_BLK_T_OUT, 0);
	send_chain(&h, &bad);
	assert_int_equal(poll(&error, 1, 50), 0);
	release = true;
	wait_chain(&h, &c);
	assert_int_equal(chain_status(&h, &c), VIRTIO_BLK_S_OK);
	assert_true(wait_broken(&h));
}

static void test_start_and_stop_at_once(void **state)
{
	struct virtqueue_position position;
	int i;

	for (i = 0; i < 100; i++) {
		stop_queue(&h);
		position = virtqueue_device_position(&h.queue.ring);
		queue_init(&h, 64, position);
		start_queue(&h);
		if (i % 2)
			assert_int_equal(request(&h, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_short_transfers_go_on),
		CASE(test_short_transfers_of_pieces),
		CASE(test_errors_pass),
		CASE(test_nothing_moved_is_an_error),
		CASE(test_retries_end),
		CASE(test_zeroing_falls_back),
		CASE(test_secure_erase),
		CASE(test_no_flush_means_write_through),
		CASE(test_reset_means_write_through),
		CASE(test_cache_toggle),
		CASE(test_failed_flush_keeps_the_cache),
		CASE(test_stop_waits),
		CASE(test_broken_with_requests_in_flight),
		CASE(test_start_and_stop_at_once),
	};

	log_open("faults", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
