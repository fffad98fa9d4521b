// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A queue's thread before a back-end that does nothing: it gives up when there is no hope left.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tools/load/virtio.h"
#include "tools/load/worker.h"

#define RING_SIZE 16
#define BYTES     (1 << 20)

struct fixture {
	struct load_config config;
	struct load_front front;
	struct virtio_queue rx, tx;
	struct window window;
	struct worker worker;
};

static void open_queue(struct fixture *fx, struct virtio_queue *queue)
{
	struct load_memory *memory = &fx->front.memory;
	uint64_t address;

	queue->base.config = &fx->config;
	queue->base.kick = eventfd(0, EFD_NONBLOCK);
	queue->base.call = eventfd(0, EFD_NONBLOCK);
	queue->areas.size = RING_SIZE;
	queue->areas.descriptors =
		load_memory_take(memory, virtqueue_descriptors_bytes(RING_SIZE, 0), 64, &address);
	queue->areas.driver =
		load_memory_take(memory, virtqueue_driver_bytes(RING_SIZE, 0), 64, &address);
	queue->areas.device =
		load_memory_take(memory, virtqueue_device_bytes(RING_SIZE, 0), 64, &address);
	assert_int_equal(virtqueue_driver_init(&queue->ring, &queue->areas, 0), 0);
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	struct vhost_user_region *region = &fx->front.memory.region;

	fx->config.queues = 1;
	fx->config.depth = 4;
	fx->config.queue_size = RING_SIZE;
	fx->config.block_size = 64;
	fx->config.segments = 1;
	fx->config.wait = LOAD_SLEEP;
	fx->config.timeout = 1;
	fx->front.config = &fx->config;
	region->host = aligned_alloc(4096, BYTES);
	memset(region->host, 0, BYTES);
	region->guest_address = 1ULL << 32;
	region->size = BYTES;
	open_queue(fx, &fx->rx);
	open_queue(fx, &fx->tx);
	fx->front.queues[0] = &fx->rx.base;
	fx->front.queues[1] = &fx->tx.base;
	*state = fx;
	return 0;
}

static void close_queue(struct virtio_queue *queue)
{
	close(queue->base.kick);
	close(queue->base.call);
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	close_queue(&fx->rx);
	close_queue(&fx->tx);
	free(fx->front.memory.region.host);
	free(fx);
	return 0;
}

static void run(struct fixture *fx, unsigned int device, uint64_t count, uint64_t runtime_ns)
{
	fx->config.device = device;
	fx->rx.base.wire = fx->tx.base.wire = load_wire_of(&fx->config);
	fx->config.count = count;
	fx->window.start_ns = load_now_ns();
	fx->window.end_ns = count ? UINT64_MAX : fx->window.start_ns + runtime_ns;
	worker_open(&fx->worker, &fx->front, &fx->window, 0);
	alarm(30); /* in place of a wait for ever */
	worker_run(&fx->worker);
	alarm(0);
	worker_close(&fx->worker);
	assert_int_equal(fx->worker.result.completed_in_all, 0);
}

static void test_frames_that_are_not_sent(void **state)
{
	struct fixture *fx = *state;

	run(fx, LOAD_NET_TX, 10, 0);
	assert_int_equal(fx->worker.result.stuck, fx->config.depth);
}

static void test_frames_that_do_not_come(void **state)
{
	struct fixture *fx = *state;

	run(fx, LOAD_NET_RX, 10, 0);
	assert_int_equal(fx->worker.result.stuck, fx->config.depth);
}

/* A quiet network is none that fails. */
static void test_frames_that_need_not_come(void **state)
{
	struct fixture *fx = *state;

	run(fx, LOAD_NET_RX, 0, 50000000);
	assert_int_equal(fx->worker.result.stuck, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_frames_that_are_not_sent),
		TEST(test_frames_that_do_not_come),
		TEST(test_frames_that_need_not_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
