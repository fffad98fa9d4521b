// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The device as a transport sees it: features, configuration, queues that start and stop under
 * traffic, the control queue, with the worker threads running.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>

#include "backend/control.h"
#include "backend/net/virtio_net.h"
#include "backend/transport/memory_guard.h"
#include "fixture.h"

#define BIT(n)  (1ULL << (n))
#define PAIRS   2
#define CALM_MS 50

struct fixture {
	struct test_link *link;
	struct stats_page *stats;
	struct net_device *net;
	struct guest *rx, *tx, *rx2, *control;
	uint8_t data[2000], got[2000];
	struct frame_header header;
	unsigned int changes;
};

static struct fixture *current;

static void on_config_changed(struct backend_device *device)
{
	current->changes++;
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	const struct net_options options = {
		.mac = {2, 1, 2, 3, 4, 5},
		.mtu = 1500,
		.speed = 2500,
		.poll_us = -1,
	};

	assert_int_equal(control_open(), 0);
	fx->link = test_link_open(PAIRS);
	fx->stats = stats_open("device-test", STATS_DEVICE_NET, "test", 2 * PAIRS + 1);
	fx->net = net_open(&fx->link->link, &options, fx->stats);
	assert_non_null(fx->net);
	fx->net->device.config_changed = on_config_changed;
	fill(fx->data, sizeof(fx->data), 4);
	current = fx;
	*state = fx;
	return 0;
}

static const struct backend_device_ops *ops(struct fixture *fx)
{
	return fx->net->device.ops;
}

static void stop(struct fixture *fx, struct guest **guest)
{
	if (!*guest)
		return;
	ops(fx)->queue_stop(&fx->net->device, &(*guest)->queue);
	guest_close(*guest);
	*guest = NULL;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	stop(fx, &fx->control);
	stop(fx, &fx->rx);
	stop(fx, &fx->rx2);
	stop(fx, &fx->tx);
	net_close(fx->net);
	stats_close(fx->stats);
	test_link_close(fx->link);
	control_close();
	free(fx);
	return 0;
}

static void set_features(struct fixture *fx, uint64_t features)
{
	features |= BIT(VIRTIO_F_VERSION_1);
	assert_int_equal(features & ~fx->net->device.features, 0);
	assert_int_equal(ops(fx)->set_features(&fx->net->device, features), 0);
}

static struct guest *start(struct fixture *fx, unsigned int index)
{
	struct guest *guest = guest_open(fx->net->features, index);

	assert_int_equal(ops(fx)->queue_start(&fx->net->device, &guest->queue), 0);
	return guest;
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd fds = {.fd = fd, .events = POLLIN};

	return poll(&fds, 1, timeout_ms) == 1;
}

static void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

/* ---- what the guest is told --------------------------------------------------------------------- */

static void test_features_are_the_links(void **state)
{
	struct fixture *fx = *state;
	uint64_t features = fx->net->device.features;

	assert_true(features & BIT(VIRTIO_NET_F_HOST_TSO4));
	assert_true(features & BIT(VIRTIO_NET_F_GUEST_ECN));
	assert_true(features & BIT(VIRTIO_NET_F_MQ));
	assert_true(features & BIT(VIRTIO_NET_F_MTU));
	assert_true(features & BIT(VIRTIO_NET_F_CTRL_VQ));
	assert_false(features & BIT(VIRTIO_NET_F_GUEST_UFO));
	assert_false(features & BIT(NET_F_HOST_USO));
	assert_int_equal(fx->net->device.queues_max, 2 * PAIRS + 1);
	assert_int_equal(fx->net->device.queues_told, PAIRS);

	/* Nothing without checksums. */
	assert_int_equal(net_offloads_accepted(BIT(VIRTIO_NET_F_GUEST_TSO4)), 0);
	assert_int_equal(net_offloads_asked(BIT(VIRTIO_NET_F_CSUM) | BIT(NET_F_HOST_USO)),
			 FRAME_CSUM | FRAME_USO4 | FRAME_USO6);
	set_features(fx, BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6));
	assert_int_equal(fx->link->accepted, FRAME_CSUM | FRAME_TSO6);
	ops(fx)->reset(&fx->net->device);
	assert_int_equal(fx->link->accepted, 0);
}

static void test_configuration(void **state)
{
	struct fixture *fx = *state;
	struct backend_device *device = &fx->net->device;
	struct virtio_net_config config;
	uint8_t bytes[256];

	memset(&config, 0xee, sizeof(config));
	assert_int_equal(ops(fx)->config_read(device, 0, &config, sizeof(config)), 0);
	assert_memory_equal(config.mac, ((uint8_t[]){2, 1, 2, 3, 4, 5}), 6);
	assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config.max_virtqueue_pairs, PAIRS);
	assert_int_equal(config.mtu, 1500);
	assert_int_equal(config.speed, 2500);
	assert_int_equal(config.duplex, 1);
	assert_int_equal(ops(fx)->config_read(device, 6, bytes, 2), 0);
	assert_int_equal(bytes[0], VIRTIO_NET_S_LINK_UP);
	assert_int_equal(ops(fx)->config_read(device, sizeof(config), bytes, 0), 0);
	assert_int_equal(ops(fx)->config_read(device, sizeof(config), bytes, 1), -EINVAL);
	assert_int_equal(ops(fx)->config_read(device, 0, bytes, sizeof(config) + 1), -EINVAL);
	assert_int_equal(ops(fx)->config_read(device, UINT32_MAX, bytes, 8), -EINVAL);
	assert_int_equal(ops(fx)->config_write(device, 0, bytes, 6), -EINVAL);
}

static void quit_loop(void *context, uint32_t events)
{
	control_quit(0);
}

static void test_link_state_reaches_the_guest(void **state)
{
	const uint64_t one = 1;
	struct fixture *fx = *state;
	int later = eventfd(0, EFD_NONBLOCK);

	assert_int_equal(write(fx->link->link.changed, &one, sizeof(one)), sizeof(one));
	/* Watched later, so taken later. */
	assert_int_equal(control_watch(later, EPOLLIN, quit_loop, NULL), 0);
	assert_int_equal(write(later, &one, sizeof(one)), sizeof(one));
	control_run();
	control_unwatch(later);
	close(later);
	assert_int_equal(fx->changes, 1);
	assert_int_equal(fx->net->config.status, 0);
}

/* ---- traffic ------------------------------------------------------------------------------------ */

static void lend_frame(struct fixture *fx, size_t length, void *token)
{
	struct virtqueue_buffer buffers[2] = {guest_buffer(fx->tx, &fx->header, 12),
					      guest_buffer(fx->tx, fx->data, length)};

	guest_lend(fx->tx, buffers, 2, 0, token);
}

static void lend_room(struct fixture *fx, unsigned int count)
{
	struct virtqueue_buffer buffer;

	while (count--) {
		buffer = guest_buffer(fx->rx, NULL, 1600);
		guest_lend(fx->rx, &buffer, 1, 1, fx);
	}
}

static void test_both_ways(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header;
	uint64_t count;
	int i;

	set_features(fx, VIRTQUEUE_F_EVENT_IDX);
	fx->rx = start(fx, 0);
	fx->tx = start(fx, 1);
	lend_room(fx, 100);
	for (i = 0; i < 50; i++) {
		lend_frame(fx, 100 + i, fx);
		assert_true(readable(fx->link->outside, 2000));
		assert_int_equal(test_link_get(fx->link, &header, fx->got, sizeof(fx->got)),
				 100 + i);
		test_link_put(fx->link, &header, fx->data, 200 + i);
		assert_true(readable(fx->rx->queue.call, 2000));
		assert_int_equal(read(fx->rx->queue.call, &count, sizeof(count)), sizeof(count));
		assert_true(guest_reap(fx->rx, fx, NULL));
		virtqueue_interrupts_enable(&fx->rx->driver);
		/* At all paces: the worker polls, or sleeps. */
		if (i % 10 == 9)
			sleep_ms(2);
	}
}

static uint64_t sleeps(struct fixture *fx)
{
	return stats_read(&stats_queue(fx->stats, 0)->sleeps);
}

static void expect_calm(struct fixture *fx)
{
	uint64_t before;

	sleep_ms(5);
	before = sleeps(fx);
	sleep_ms(CALM_MS);
	assert_in_range(sleeps(fx) - before, 0, 2);
}

/* Frames wait in the link, and nobody runs for nothing; when there is room they come, all. */
static void test_starving_guest(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header = {0};
	int i;

	set_features(fx, 0);
	fx->rx = start(fx, 0);
	fx->tx = start(fx, 1);
	expect_calm(fx);
	for (i = 0; i < 8; i++)
		test_link_put(fx->link, &header, fx->data, 100);
	expect_calm(fx);
	/* The other direction goes on meanwhile. */
	lend_frame(fx, 99, fx);
	assert_true(readable(fx->link->outside, 2000));
	expect_calm(fx);
	for (i = 0; i < 8; i++) {
		lend_room(fx, 1);
		assert_true(readable(fx->rx->queue.call, 2000));
		while (!guest_reap(fx->rx, fx, NULL))
			sleep_ms(1);
		assert_int_equal(read(fx->rx->queue.call, fx->got, 8), 8);
	}
	assert_int_equal(stats_read(&stats_queue(fx->stats, 0)->dropped), 0);
}

/* A worker that never sleeps is the one whose CPU time matters. */
static void test_cpu_time_without_sleep(void **state)
{
	const struct net_options options = {.poll_us = 600 * 1000000LL};
	struct test_link *link = test_link_open(1);
	struct stats_page *stats = stats_open("device-busy", STATS_DEVICE_NET, "busy", 3);
	struct net_device *net = net_open(&link->link, &options, stats);
	uint64_t before = 0, now;
	int i, rises = 0;

	assert_non_null(net);
	for (i = 0; i < 10000 && rises < 2; i++) {
		now = stats_read(&stats_queue(stats, 0)->cpu_ns);
		rises += now > before;
		before = now;
		sleep_ms(1);
	}
	assert_int_equal(stats_read(&stats_queue(stats, 0)->sleeps), 0);
	net_close(net);
	stats_close(stats);
	test_link_close(link);
	assert_int_equal(rises, 2);
}

/* Less room than the largest frame takes, for good. */
static void test_guest_with_little_room(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header = {0};

	set_features(fx, BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
				 BIT(VIRTIO_NET_F_GUEST_TSO4));
	fx->rx = start(fx, 0);
	lend_room(fx, 3);
	test_link_put(fx->link, &header, fx->data, 1500);
	assert_true(readable(fx->rx->queue.call, 2000));
	expect_calm(fx);
	test_link_put(fx->link, &header, fx->data, 1500);
	sleep_ms(20);
	assert_true(guest_reap(fx->rx, fx, NULL));
	assert_true(guest_reap(fx->rx, fx, NULL));
	expect_calm(fx);
}

static void test_busy_link(void **state)
{
	struct fixture *fx = *state;

	set_features(fx, 0);
	fx->tx = start(fx, 1);
	__atomic_store_n(&fx->link->busy, true, __ATOMIC_RELAXED);
	lend_frame(fx, 100, fx);
	lend_frame(fx, 101, fx);
	sleep_ms(20);
	assert_false(readable(fx->link->outside, 0));
	__atomic_store_n(&fx->link->busy, false, __ATOMIC_RELAXED);
	assert_true(readable(fx->link->outside, 2000));
	sleep_ms(20);
	assert_int_equal(stats_read(&stats_queue(fx->stats, 1)->dropped), 0);
	assert_int_equal(stats_read(&stats_queue(fx->stats, 1)->requests[STATS_NET_FRAME]), 2);
}

static _Atomic bool flooding;

static void *flood(void *argument)
{
	struct fixture *fx = argument;
	struct frame_header header = {0};
	struct iovec pieces[2] = {{&header, sizeof(header)}, {fx->data, 100}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

	while (atomic_load(&flooding))
		if (sendmsg(fx->link->outside, &message, MSG_DONTWAIT) < 0)
			sched_yield();
	return NULL;
}

/* A ring changes hands many times under load: each frame's buffer comes back once, in order. */
static void test_stop_and_start_under_traffic(void **state)
{
	struct fixture *fx = *state;
	struct virtqueue_position position;
	unsigned int round, came = 0;
	pthread_t thread;

	set_features(fx, VIRTQUEUE_F_PACKED);
	fx->rx = start(fx, 0);
	atomic_store(&flooding, true);
	assert_int_equal(pthread_create(&thread, NULL, flood, fx), 0);
	for (round = 0; round < 200; round++) {
		lend_room(fx, 5);
		ops(fx)->queue_stop(&fx->net->device, &fx->rx->queue);
		position = virtqueue_device_position(&fx->rx->queue.ring);
		assert_int_equal(position.avail, position.used);
		while (guest_reap(fx->rx, fx, NULL))
			came++;
		guest_attach(fx->rx, fx->net->features, position);
		assert_int_equal(ops(fx)->queue_start(&fx->net->device, &fx->rx->queue), 0);
		if (round % 50 == 49) {
			sleep_ms(5);
			while (guest_reap(fx->rx, fx, NULL))
				came++;
			fx->rx->next = GUEST_BASE + (1 << 20);
		}
	}
	atomic_store(&flooding, false);
	pthread_join(thread, NULL);
	assert_int_equal(came, 1000);
}

static void *kick_forever(void *argument)
{
	const uint64_t one = 1;
	struct fixture *fx = argument;

	while (atomic_load(&flooding)) {
		if (write(fx->rx->queue.kick, &one, sizeof(one)) < 0 ||
		    write(fx->tx->queue.kick, &one, sizeof(one)) < 0)
			sched_yield();
	}
	return NULL;
}

/* In some fifth of a second the worker sleeps, but not often. A busy machine takes its time to get there. */
static bool comes_to_rest(struct fixture *fx)
{
	uint64_t before, count;
	int i;

	for (i = 0; i < 50; i++) {
		before = sleeps(fx);
		sleep_ms(200);
		count = sleeps(fx) - before;
		if (count >= 1 && count <= 100)
			return true;
	}
	return false;
}

/* Kicks without work cost little, and hold nothing up for long. */
static void test_flood_of_kicks(void **state)
{
	struct fixture *fx = *state;
	struct frame_header header = {0};
	bool rested, sent, received;
	pthread_t thread;

	set_features(fx, 0);
	fx->rx = start(fx, 0);
	fx->tx = start(fx, 1);
	atomic_store(&flooding, true);
	assert_int_equal(pthread_create(&thread, NULL, kick_forever, fx), 0);
	rested = comes_to_rest(fx);
	lend_frame(fx, 77, fx);
	sent = readable(fx->link->outside, 10000);
	lend_room(fx, 1);
	test_link_put(fx->link, &header, fx->data, 100);
	received = readable(fx->rx->queue.call, 10000);
	/* The thread uses the fixture: it ends before anything can fail. */
	atomic_store(&flooding, false);
	pthread_join(thread, NULL);
	assert_true(rested);
	assert_true(sent);
	assert_true(received);
	expect_calm(fx);
}

/* A front-end that fills its call and makes it block holds its own pair, not whoever stops that. */
static void test_stop_ends_a_blocked_interrupt(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	struct fixture *fx = *state;
	struct frame_header header;
	int i;

	set_features(fx, 0);
	fx->tx = start(fx, 1);
	assert_int_equal(write(fx->tx->queue.call, &most, sizeof(most)), sizeof(most));
	assert_int_equal(fcntl(fx->tx->queue.call, F_SETFL, 0), 0);
	for (i = 0; i < 10; i++) {
		lend_frame(fx, 100, fx);
		sleep_ms(1);
	}
	alarm(20); /* in place of a wait for ever */
	stop(fx, &fx->tx);
	alarm(0);
	/* The pair is as good as before for whoever comes next. */
	while (test_link_get(fx->link, &header, fx->got, sizeof(fx->got)) >= 0)
		;
	fx->tx = start(fx, 1);
	lend_frame(fx, 60, fx);
	assert_true(readable(fx->link->outside, 2000));
}

/* The front-end shrinks the guest's memory under the worker, that of a frame or that of the ring too. */
static void test_memory_shrinks(void **state)
{
	struct fixture *fx = *state;
	int gone = eventfd(0, EFD_NONBLOCK), round;
	void *ram;

	set_features(fx, 0);
	for (round = 0; round < 2; round++) {
		const off_t rest = round ? 0 : 1 << 20;
		int fd = memfd_create("guest", MFD_CLOEXEC);

		fx->tx = guest_open(fx->net->features, 1);
		assert_int_equal(ftruncate(fd, GUEST_BYTES), 0);
		ram = mmap(fx->tx->ram, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   fd, 0);
		assert_ptr_equal(ram, fx->tx->ram);
		assert_int_equal(memory_guard_add(ram, GUEST_BYTES, 4096, gone), 0);
		fx->tx->next = GUEST_BASE + (2 << 20);
		lend_frame(fx, 100, fx);
		assert_int_equal(ftruncate(fd, rest), 0);
		assert_int_equal(ops(fx)->queue_start(&fx->net->device, &fx->tx->queue), 0);
		assert_true(readable(gone, 10000));
		ops(fx)->queue_stop(&fx->net->device, &fx->tx->queue);
		memory_guard_remove(ram);
		/* For free(): memory of its own again. */
		ram = mmap(ram, GUEST_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		assert_ptr_equal(ram, fx->tx->ram);
		guest_close(fx->tx);
		fx->tx = NULL;
		close(fd);
		assert_int_equal(read(gone, fx->got, 8), 8);
	}
	close(gone);
}

/* ---- pairs -------------------------------------------------------------------------------------- */

static void test_started_pairs_are_in_use(void **state)
{
	struct fixture *fx = *state;

	set_features(fx, BIT(VIRTIO_NET_F_MQ));
	assert_int_equal(fx->link->active, 0);
	fx->rx = start(fx, 0);
	fx->rx2 = start(fx, 2);
	assert_int_equal(fx->link->active, 3);
	stop(fx, &fx->rx2);
	assert_int_equal(fx->link->active, 1);
}

static void test_no_more_queues_than_there_are(void **state)
{
	struct fixture *fx = *state;
	struct guest *guest;

	/* Without the control queue its place is nobody's. */
	set_features(fx, BIT(VIRTIO_NET_F_MQ));
	guest = guest_open(fx->net->features, 2 * PAIRS);
	assert_int_equal(ops(fx)->queue_start(&fx->net->device, &guest->queue), -EINVAL);
	guest_close(guest);
}

static uint8_t command(struct fixture *fx, uint8_t class, uint8_t command, const void *data,
		       size_t size)
{
	uint8_t bytes[512] = {class, command};

	memcpy(bytes + 2, data, size);
	return net_control_command(&fx->net->control, bytes, 2 + size);
}

static uint8_t set_pairs(struct fixture *fx, uint16_t pairs)
{
	return command(fx, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2);
}

static void test_control_queue_says_the_pairs(void **state)
{
	struct fixture *fx = *state;

	set_features(fx, BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ));
	fx->rx = start(fx, 0);
	fx->rx2 = start(fx, 2);
	/* Not before it is known that the control queue is ours to serve. */
	assert_int_equal(fx->link->active, 3);
	fx->control = start(fx, 2 * PAIRS);
	assert_int_equal(fx->link->active, 1);
	assert_int_equal(set_pairs(fx, 2), VIRTIO_NET_OK);
	assert_int_equal(fx->link->active, 3);
	assert_int_equal(set_pairs(fx, 0), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(fx, 3), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(fx, 0x8000), VIRTIO_NET_ERR);
	assert_int_equal(fx->link->active, 3);
	/* A pause for a change of memory forgets nothing. */
	stop(fx, &fx->control);
	fx->control = start(fx, 2 * PAIRS);
	assert_int_equal(fx->link->active, 3);
	assert_int_equal(set_pairs(fx, 1), VIRTIO_NET_OK);
	assert_int_equal(fx->link->active, 1);
}

/* One pair only: the control queue is the third. */
static void test_control_queue_without_multi_queue(void **state)
{
	struct fixture *fx = *state;

	set_features(fx, BIT(VIRTIO_NET_F_CTRL_VQ));
	fx->rx = start(fx, 0);
	fx->control = start(fx, 2);
	assert_ptr_equal(fx->net->control.queue, &fx->control->queue);
	assert_int_equal(fx->link->active, 1);
	assert_int_equal(set_pairs(fx, 1), VIRTIO_NET_ERR);
}

/* ---- control commands --------------------------------------------------------------------------- */

#define CONTROL_ALL                                                                                \
	(BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | \
	 BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |                 \
	 BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4))

static void test_commands(void **state)
{
	static const uint8_t on[] = {1}, mac[] = {2, 9, 9, 9, 9, 9};
	struct fixture *fx = *state;
	struct net_control *control = &fx->net->control;
	uint64_t bits = BIT(VIRTIO_NET_F_GUEST_CSUM);

	set_features(fx, CONTROL_ALL);
	assert_int_equal(fx->link->accepted, FRAME_CSUM | FRAME_TSO4);
	assert_true(control->promiscuous);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "", 1), 0);
	assert_false(control->promiscuous);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, on, 1), 0);
	assert_true(control->no_broadcast);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6), 0);
	assert_memory_equal(fx->net->config.mac, mac, 6);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &bits, 8),
			 0);
	assert_int_equal(fx->link->accepted, FRAME_CSUM);
	bits = BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &bits, 8),
			 VIRTIO_NET_ERR);
	bits = BIT(VIRTIO_F_VERSION_1);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &bits, 8),
			 VIRTIO_NET_ERR);
	assert_int_equal(fx->link->accepted, FRAME_CSUM);
	/* A reset makes all as it was. */
	ops(fx)->reset(&fx->net->device);
	assert_int_equal(fx->net->config.mac[1], 1);
	assert_true(control->promiscuous);
}

static void test_mac_table(void **state)
{
	struct fixture *fx = *state;
	struct net_control *control = &fx->net->control;
	uint8_t table[1000] = {0};
	uint32_t count;

	set_features(fx, CONTROL_ALL);
	count = 2;
	memcpy(table, &count, 4);
	table[4] = 2, table[10] = 4;
	count = 1;
	memcpy(table + 16, &count, 4);
	table[20] = 1;
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, 26),
			 0);
	assert_int_equal(control->unicast_count, 2);
	assert_int_equal(control->unicast[1][0], 4);
	assert_int_equal(control->multicast_count, 1);
	assert_int_equal(control->multicast[0][0], 1);
	/* Cut anywhere, or with more behind it, it changes nothing. */
	for (count = 0; count < 40; count++) {
		if (count != 26)
			assert_int_equal(command(fx, VIRTIO_NET_CTRL_MAC,
						 VIRTIO_NET_CTRL_MAC_TABLE_SET, table, count),
					 VIRTIO_NET_ERR);
	}
	memset(table, 0xff, 4);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, 26),
			 VIRTIO_NET_ERR);
	assert_int_equal(control->unicast_count, 2);
	/* More than are kept: all of the kind are let through. */
	count = CONTROL_ADDRESSES_MAX + 1;
	memcpy(table, &count, 4);
	memset(table + 4, 0, sizeof(table) - 4);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
				 8 + 6 * count),
			 0);
	assert_int_equal(control->unicast_count, 0);
	assert_true(control->unicast_overflow);
}

static void test_malformed_commands(void **state)
{
	static const struct {
		uint8_t class, command;
		size_t size;
	} rows[] = {
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0},
		{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 2},
		{VIRTIO_NET_CTRL_RX, 6, 1},
		{VIRTIO_NET_CTRL_RX, 255, 1},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 5},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 7},
		{VIRTIO_NET_CTRL_MAC, 2, 6},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 2},
		{VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, 0},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1},
		{VIRTIO_NET_CTRL_MQ, 1, 2},
		{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 7},
		{VIRTIO_NET_CTRL_GUEST_OFFLOADS, 1, 8},
		{255, 255, 100},
	};
	struct fixture *fx = *state;
	uint8_t data[100] = {1};
	size_t i;

	set_features(fx, CONTROL_ALL | BIT(VIRTIO_NET_F_MQ));
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(command(fx, rows[i].class, rows[i].command, data, rows[i].size),
				 VIRTIO_NET_ERR);
	assert_int_equal(net_control_command(&fx->net->control, data, 1), VIRTIO_NET_ERR);
	assert_int_equal(net_control_command(&fx->net->control, data, 0), VIRTIO_NET_ERR);
	/* Nothing that was not negotiated. */
	set_features(fx, BIT(VIRTIO_NET_F_CTRL_VQ));
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, data, 1),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(fx, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, data, 6),
			 VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(fx, 1), VIRTIO_NET_ERR);
}

/* By the control loop; it cannot be run a second time. */
static void run_until_called(struct guest *guest)
{
	assert_int_equal(control_watch(guest->queue.call, EPOLLIN, quit_loop, NULL), 0);
	control_run();
	control_unwatch(guest->queue.call);
}

/* What the loop does at a kick. */
static void serve_until_called(struct fixture *fx)
{
	int i;

	for (i = 0; i < 100 && !readable(fx->control->queue.call, 0); i++)
		if (backend_queue_take_kick(&fx->control->queue))
			net_control_serve(&fx->net->control);
	assert_true(i < 100);
}

static void test_control_ring(void **state)
{
	struct fixture *fx = *state;
	const uint8_t promiscuous_off[] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0};
	struct virtqueue_buffer buffers[4];
	uint32_t written;
	uint64_t count;

	set_features(fx, CONTROL_ALL | VIRTQUEUE_F_EVENT_IDX);
	fx->control = start(fx, 2);
	/* As Linux sends it: header, data, answer. */
	buffers[0] = guest_buffer(fx->control, promiscuous_off, 2);
	buffers[1] = guest_buffer(fx->control, promiscuous_off + 2, 1);
	buffers[2] = guest_buffer(fx->control, "\xee", 1);
	guest_lend(fx->control, buffers, 3, 1, fx);
	run_until_called(fx->control);
	assert_true(guest_reap(fx->control, fx, &written));
	assert_int_equal(written, 1);
	assert_int_equal(*(uint8_t *)guest_at(fx->control, buffers[2].address), VIRTIO_NET_OK);
	assert_false(fx->net->control.promiscuous);
	assert_int_equal(read(fx->control->queue.call, &count, sizeof(count)), sizeof(count));
	virtqueue_interrupts_enable(&fx->control->driver);

	/* The answer is the first byte of what is writable, whatever that is cut into. */
	buffers[3] = guest_buffer(fx->control, "\xee\xee", 2);
	*(uint8_t *)guest_at(fx->control, buffers[2].address) = 0xee;
	guest_lend(fx->control, buffers, 4, 2, fx);
	serve_until_called(fx);
	assert_true(guest_reap(fx->control, fx, &written));
	assert_int_equal(written, 1);
	assert_int_equal(*(uint8_t *)guest_at(fx->control, buffers[2].address), VIRTIO_NET_OK);
	assert_int_equal(*(uint8_t *)guest_at(fx->control, buffers[3].address), 0xee);
	assert_int_equal(read(fx->control->queue.call, &count, sizeof(count)), sizeof(count));
	virtqueue_interrupts_enable(&fx->control->driver);

	/* Longer than any command, and a piece that is nowhere. */
	buffers[0] = guest_buffer(fx->control, NULL, 100000);
	buffers[1] = buffers[2];
	guest_lend(fx->control, buffers, 2, 1, fx);
	serve_until_called(fx);
	assert_true(guest_reap(fx->control, fx, &written));
	assert_int_equal(*(uint8_t *)guest_at(fx->control, buffers[2].address), VIRTIO_NET_ERR);
	*(uint8_t *)guest_at(fx->control, buffers[2].address) = 0xee;
	assert_int_equal(read(fx->control->queue.call, &count, sizeof(count)), sizeof(count));
	virtqueue_interrupts_enable(&fx->control->driver);
	buffers[0] = (struct virtqueue_buffer){0x1000, 3};
	guest_lend(fx->control, buffers, 2, 1, fx);
	serve_until_called(fx);
	assert_true(guest_reap(fx->control, fx, &written));
	assert_int_equal(*(uint8_t *)guest_at(fx->control, buffers[2].address), VIRTIO_NET_ERR);

	/* Nowhere to answer to: the queue is broken, the device is not. */
	buffers[0] = guest_buffer(fx->control, promiscuous_off, 3);
	guest_lend(fx->control, buffers, 1, 0, fx);
	net_control_serve(&fx->net->control);
	assert_true(readable(fx->control->queue.error, 0));
	assert_true(fx->control->queue.ring.broken);
	net_control_serve(&fx->net->control);
	fx->rx = start(fx, 0);
	fx->tx = start(fx, 1);
	lend_frame(fx, 60, fx);
	assert_true(readable(fx->link->outside, 2000));
}

/* More commands than are served at once are served all the same. */
static void test_many_commands(void **state)
{
	struct fixture *fx = *state;
	const uint8_t bad[] = {99, 99};
	struct virtqueue_buffer buffers[2];
	int i;

	set_features(fx, CONTROL_ALL);
	fx->control = start(fx, 2);
	buffers[0] = guest_buffer(fx->control, bad, 2);
	buffers[1] = guest_buffer(fx->control, NULL, 1);
	for (i = 0; i < 100; i++)
		guest_lend(fx->control, buffers, 2, 1, fx);
	serve_until_called(fx);
	for (i = 0; guest_reap(fx->control, fx, NULL); i++)
		;
	assert_int_equal(i, 64);
	assert_true(readable(fx->net->control.timer, 1000));
	assert_int_equal(read(fx->control->queue.call, fx->got, 8), 8);
	virtqueue_interrupts_enable(&fx->control->driver);
	run_until_called(fx->control);
	for (; guest_reap(fx->control, fx, NULL); i++)
		;
	assert_int_equal(i, 100);
	assert_false(readable(fx->net->control.timer, 0));
	assert_int_equal(
		stats_read(&stats_queue(fx->stats, 2 * PAIRS)->requests[STATS_NET_CONTROL]), 100);
}

struct later {
	struct fixture *fx;
	int timer;
	unsigned int idle_kicks;
};

static void lend_command(void *context, uint32_t events)
{
	struct later *later = context;
	struct guest *guest = later->fx->control;
	struct virtqueue_buffer buffers[2] = {guest_buffer(guest, "\x63\x63", 2),
					      guest_buffer(guest, NULL, 1)};

	control_unwatch(later->timer);
	later->idle_kicks = later->fx->net->control.idle_kicks;
	guest_lend(guest, buffers, 2, 1, later->fx);
}

/* A descriptor that is readable for ever costs little, and holds no command up for long. */
static void test_flood_of_kicks_for_commands(void **state)
{
	const struct itimerspec soon = {.it_value.tv_nsec = 300000000};
	struct fixture *fx = *state;
	struct later later = {fx, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 0};

	set_features(fx, CONTROL_ALL);
	fx->control = guest_open(fx->net->features, 2);
	close(fx->control->queue.kick);
	fx->control->queue.kick = eventfd(INT32_MAX, EFD_SEMAPHORE | EFD_NONBLOCK);
	assert_int_equal(ops(fx)->queue_start(&fx->net->device, &fx->control->queue), 0);
	assert_int_equal(timerfd_settime(later.timer, 0, &soon, NULL), 0);
	assert_int_equal(control_watch(later.timer, EPOLLIN, lend_command, &later), 0);
	run_until_called(fx->control);
	close(later.timer);
	assert_in_range(later.idle_kicks, POLL_IDLE_SLEEPS_MAX, 1000);
	assert_true(guest_reap(fx->control, fx, NULL));
}

/* As of a pair; here the control thread itself is at stake. */
static void test_commands_whose_interrupt_blocks(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	struct fixture *fx = *state;
	struct virtqueue_buffer buffers[2];
	int i;

	set_features(fx, CONTROL_ALL);
	fx->control = start(fx, 2);
	assert_int_equal(write(fx->control->queue.call, &most, sizeof(most)), sizeof(most));
	assert_int_equal(write(fx->control->queue.error, &most, sizeof(most)), sizeof(most));
	assert_int_equal(fcntl(fx->control->queue.call, F_SETFL, 0), 0);
	assert_int_equal(fcntl(fx->control->queue.error, F_SETFL, 0), 0);
	buffers[0] = guest_buffer(fx->control, "\x63\x63", 2);
	buffers[1] = guest_buffer(fx->control, NULL, 1);
	alarm(20); /* in place of a wait for ever */
	for (i = 0; i < 2; i++) {
		guest_lend(fx->control, buffers, 2 - i, 1 - i, fx); /* then without an answer */
		net_control_serve(&fx->net->control);
		assert_int_equal(guest_reap(fx->control, fx, NULL), !i);
	}
	alarm(0);
	assert_true(fx->control->queue.ring.broken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_features_are_the_links),
		TEST(test_configuration),
		TEST(test_link_state_reaches_the_guest),
		TEST(test_both_ways),
		TEST(test_starving_guest),
		TEST(test_cpu_time_without_sleep),
		TEST(test_guest_with_little_room),
		TEST(test_busy_link),
		TEST(test_stop_and_start_under_traffic),
		TEST(test_flood_of_kicks),
		TEST(test_stop_ends_a_blocked_interrupt),
		TEST(test_memory_shrinks),
		TEST(test_started_pairs_are_in_use),
		TEST(test_no_more_queues_than_there_are),
		TEST(test_control_queue_says_the_pairs),
		TEST(test_control_queue_without_multi_queue),
		TEST(test_commands),
		TEST(test_mac_table),
		TEST(test_malformed_commands),
		TEST(test_control_ring),
		TEST(test_many_commands),
		TEST(test_flood_of_kicks_for_commands),
		TEST(test_commands_whose_interrupt_blocks),
	};

	log_open("device", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
