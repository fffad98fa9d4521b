// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The shim's front-end against our back-end: what honest front-ends do, in all orders that occur.
 */
#include <sys/resource.h>
#include <sys/un.h>

#include "tests/unit/transport/fixture.h"

/* A back-end, and a front-end that is connected to it, with one queue that has not begun. */
struct pair {
	struct back back;
	struct guest guest;
	struct vhost_user_front front;
	struct guest_queue q;
};

static void pair_open(struct pair *pair, uint32_t queue, uint64_t features)
{
	back_open(&pair->back, 1, -1);
	guest_open(&pair->guest);
	front_connect(&pair->front, pair->back.path[0]);
	front_setup(&pair->front, &pair->guest, features);
	queue_open(&pair->q, &pair->guest, queue, features);
}

static void pair_close(struct pair *pair)
{
	vhost_user_front_close(&pair->front);
	queue_close(&pair->q);
	guest_close(&pair->guest);
	back_close(&pair->back);
}

static void echo_all_queues(uint64_t features)
{
	struct guest_queue q[QUEUES];
	struct vhost_user_front front;
	struct back back;
	struct guest guest;
	unsigned int i;

	back_open(&back, 1, -1);
	guest_open(&guest);
	front_connect(&front, back.path[0]);
	assert_int_equal(front.features, back.echo[0].device.features);
	assert_int_equal(front.queues_max, QUEUES);
	assert_int_equal(front.memory_slots, GUEST_MEMORY_REGIONS_MAX);
	front_setup(&front, &guest, features);
	for (i = 0; i < QUEUES; i++) {
		queue_open(&q[i], &guest, i, features);
		front_start(&front, &q[i], queue_begin(&q[i]));
	}
	for (i = 0; i < 4 * QUEUES; i++)
		queue_echo(&q[i % QUEUES], 20 + i);
	vhost_user_front_close(&front);
	for (i = 0; i < QUEUES; i++)
		queue_close(&q[i]);
	guest_close(&guest);
	assert_int_equal(back_close(&back), 0);
}

static void test_echo_split(void **state)
{
	echo_all_queues(format_split);
}

static void test_echo_packed(void **state)
{
	echo_all_queues(format_packed);
}

/* GET_VRING_BASE hands the ring over, SET_VRING_BASE gives it back; nothing is lost or done twice. */
static void stop_and_start(uint64_t features)
{
	struct pair pair;
	struct virtqueue_position position;
	unsigned int round;

	pair_open(&pair, 2, features);
	position = queue_begin(&pair.q);
	for (round = 0; round < 30; round++) {
		front_start(&pair.front, &pair.q, position);
		queue_echo(&pair.q, 7);
		assert_int_equal(vhost_user_front_stop_ring(&pair.front, 2, &position), 0);
		/* Lent to nobody: the next start must find it without a kick. */
		queue_lend(&pair.q);
		virtqueue_driver_publish(&pair.q.driver);
		front_start(&pair.front, &pair.q, position);
		queue_expect(&pair.q);
		assert_int_equal(vhost_user_front_stop_ring(&pair.front, 2, &position), 0);
		assert_int_equal(position.avail, position.used);
	}
	assert_int_equal(atomic_load(&pair.back.echo[0].served), 30 * 8);
	/* A ring that never ran says where it was told to begin. */
	assert_int_equal(vhost_user_front_stop_ring(&pair.front, 1, &position), 0);
	pair_close(&pair);
}

static void test_stop_and_start_split(void **state)
{
	stop_and_start(format_split);
}

static void test_stop_and_start_packed(void **state)
{
	stop_and_start(format_packed);
}

/* The front-end goes without a word in the middle, another comes and goes on with the same rings. */
static void reconnect(uint64_t features)
{
	struct vhost_user_front front;
	struct virtqueue_position position;
	struct footprint before;
	struct guest_queue q;
	struct back back;
	struct guest guest;
	unsigned int round;

	back_open(&back, 1, -1);
	guest_open(&guest);
	queue_open(&q, &guest, 0, features);
	before = footprint_now();
	for (round = 0; round < 5; round++) {
		front_connect(&front, back.path[0]);
		front_setup(&front, &guest, features);
		/* All that was lent came back, so the driver's own place is the ring's. */
		position = queue_begin(&q);
		if (features & VIRTQUEUE_F_PACKED)
			position.avail = q.driver.next_avail | q.driver.avail_wrap << 15;
		else
			position.avail = q.driver.next_avail;
		position.used = position.avail;
		front_start(&front, &q, position);
		queue_echo(&q, 33);
		vhost_user_front_close(&front);
		footprint_returns(before);
	}
	assert_true(atomic_load(&back.echo[0].resets) >= 5);
	queue_close(&q);
	guest_close(&guest);
	back_close(&back);
}

static void test_reconnect_split(void **state)
{
	reconnect(format_split);
}

static void test_reconnect_packed(void **state)
{
	reconnect(format_packed);
}

struct load {
	struct guest_queue *q;
	atomic_bool end;
	unsigned int rounds;
};

static void *load_thread(void *argument)
{
	struct load *load = argument;

	while (!atomic_load(&load->end)) {
		queue_echo(load->q, 5);
		load->rounds++;
	}
	return NULL;
}

static void load_begin(struct load *load, pthread_t *thread, struct guest_queue *q)
{
	load->q = q;
	load->rounds = 0;
	atomic_init(&load->end, false);
	assert_int_equal(pthread_create(thread, NULL, load_thread, load), 0);
}

static void load_end(struct load *load, pthread_t thread)
{
	atomic_store(&load->end, true);
	pthread_join(thread, NULL);
	assert_true(load->rounds > 0);
}

/* Regions come and go under I/O: whole tables, then more than eight, one by one. */
static void test_memory_changes_under_load(void **state)
{
	struct pair pair;
	struct vhost_user_region regions[24];
	struct footprint before;
	struct load load = {0};
	pthread_t thread;
	unsigned int i;

	pair_open(&pair, 0, format_split);
	front_start(&pair.front, &pair.q, queue_begin(&pair.q));
	guest_regions(&pair.guest, regions);
	for (i = 2; i < 24; i++) {
		regions[i] = regions[1];
		regions[i].guest_address += i * 2 * REGION_BYTES;
		regions[i].host = (uint8_t *)regions[1].host + i * 2 * REGION_BYTES;
		regions[i].fd_offset = i % 2 ? 100 : 0; /* no multiple of a page */
		regions[i].size = 0x3000 + i;
	}
	before = footprint_now();
	load_begin(&load, &thread, &pair.q);
	for (i = 0; i < 20; i++) {
		assert_int_equal(vhost_user_front_set_memory(&pair.front, regions, 2 + i % 7), 0);
		usleep(1000);
		assert_int_equal(vhost_user_front_set_memory(&pair.front, regions, 9 + i % 15), 0);
	}
	assert_int_equal(vhost_user_front_set_memory(&pair.front, regions, 2), 0);
	load_end(&load, thread);
	footprint_returns(before);
	assert_true(atomic_load(&pair.back.echo[0].memory_changes) >= 40);
	pair_close(&pair);
}

/* A completion that was signalled to the descriptor of before is signalled to the next one too. */
static void test_call_replaced_after_completion(void **state)
{
	struct pair pair;
	int masked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd wait = {masked, POLLIN, 0};
	eventfd_t value;

	pair_open(&pair, 0, format_split);
	front_start(&pair.front, &pair.q, queue_begin(&pair.q));
	queue_echo(&pair.q, 3);
	assert_int_equal(vhost_user_front_set_call(&pair.front, 0, masked), 0);
	eventfd_read(masked, &value);
	eventfd_read(pair.q.call, &value);
	virtqueue_interrupts_enable(&pair.q.driver);
	queue_lend(&pair.q);
	virtqueue_driver_publish(&pair.q.driver);
	queue_kick(&pair.q);
	assert_int_equal(poll(&wait, 1, 5000), 1);
	assert_int_equal(vhost_user_front_set_call(&pair.front, 0, pair.q.call), 0);
	wait.fd = pair.q.call;
	assert_int_equal(poll(&wait, 1, 0), 1);
	queue_expect(&pair.q);
	close(masked);
	pair_close(&pair);
}

/* What QEMU does when the guest masks a vector: two call descriptors change places under load. */
static void test_call_replaced_under_load(void **state)
{
	struct pair pair;
	struct load load = {0};
	pthread_t thread;
	int masked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int call, i;

	pair_open(&pair, 0, format_split);
	call = pair.q.call;
	front_start(&pair.front, &pair.q, queue_begin(&pair.q));
	load_begin(&load, &thread, &pair.q);
	for (i = 0; i < 300; i++) {
		assert_int_equal(vhost_user_front_set_call(&pair.front, 0, masked), 0);
		assert_int_equal(vhost_user_front_set_call(&pair.front, 0, call), 0);
	}
	assert_int_equal(atomic_load(&pair.back.echo[0].starts), 1); /* exchanged on the fly */
	for (i = 0; i < 100; i++) {
		assert_int_equal(vhost_user_front_set_call(&pair.front, 0, -1), 0);
		assert_int_equal(vhost_user_front_set_call(&pair.front, 0, call), 0);
	}
	load_end(&load, thread);
	close(masked);
	pair_close(&pair);
}

/* Disabled and enabled under load: a paused ring keeps its place, and misses no kick. */
static void test_enable_under_load(void **state)
{
	struct pair pair;
	struct load load = {0};
	pthread_t thread;
	unsigned int i;

	pair_open(&pair, 3, format_packed);
	front_start(&pair.front, &pair.q, queue_begin(&pair.q));
	load_begin(&load, &thread, &pair.q);
	for (i = 0; i < 100; i++) {
		assert_int_equal(vhost_user_front_enable_ring(&pair.front, 3, false), 0);
		assert_int_equal(vhost_user_front_enable_ring(&pair.front, 3, true), 0);
	}
	load_end(&load, thread);
	assert_int_equal(atomic_load(&pair.back.echo[0].starts), 101);
	pair_close(&pair);
}

static void test_config(void **state)
{
	struct vhost_user_front front;
	struct pollfd wait;
	struct back back;
	uint8_t bytes[256];

	back_open(&back, 1, -1);
	front_connect(&front, back.path[0]);
	assert_int_equal(vhost_user_front_get_config(&front, 0, bytes, 60), 0);
	assert_memory_equal(bytes, back.echo[0].config, 60);
	assert_int_equal(vhost_user_front_get_config(&front, 59, bytes, 1), 0);
	assert_int_equal(bytes[0], 59);
	/* Beyond the device's: an empty answer, and the connection stays. */
	assert_int_equal(vhost_user_front_get_config(&front, 0, bytes, 256), -EINVAL);
	assert_int_equal(vhost_user_front_get_config(&front, 200, bytes, 57), -EINVAL);
	bytes[0] = 0xa5;
	assert_int_equal(vhost_user_front_set_config(&front, 32, bytes, 1), 0);
	assert_int_equal(vhost_user_front_get_config(&front, 32, bytes + 1, 1), 0);
	assert_int_equal(bytes[1], 0xa5);
	assert_int_equal(vhost_user_front_set_config(&front, 0, bytes, 4), -EREMOTEIO);

	assert_int_equal(vhost_user_front_take_event(&front), VHOST_USER_EVENT_NONE);
	eventfd_write(back.command, 1000);
	wait = (struct pollfd){front.backchannel, POLLIN, 0};
	assert_int_equal(poll(&wait, 1, 5000), 1);
	assert_int_equal(vhost_user_front_take_event(&front), VHOST_USER_EVENT_CONFIG_CHANGED);
	assert_int_equal(vhost_user_front_take_event(&front), VHOST_USER_EVENT_NONE);
	back_close(&back);
	assert_int_equal(vhost_user_front_take_event(&front), VHOST_USER_EVENT_CLOSED);
	assert_true(vhost_user_front_get_config(&front, 0, bytes, 1) < 0);
	assert_true(front.broken);
	assert_int_equal(vhost_user_front_get_config(&front, 0, bytes, 1), -ENOTCONN);
	vhost_user_front_close(&front);
}

/* A device changes its ways between requests, never under one. */
static void test_config_written_under_load(void **state)
{
	struct pair pair;
	uint8_t byte = 1;

	pair_open(&pair, 0, format_split);
	front_start(&pair.front, &pair.q, queue_begin(&pair.q));
	queue_echo(&pair.q, 3);
	pair.back.echo[0].running_at_write = ~0u;
	assert_int_equal(vhost_user_front_set_config(&pair.front, 32, &byte, 1), 0);
	assert_int_equal(pair.back.echo[0].running_at_write, 0);
	queue_echo(&pair.q, 30);
	pair_close(&pair);
}

/* A change that nobody listens for: no back-channel was agreed, or its other end is gone. */
static void test_config_changed_unheard(void **state)
{
	struct vhost_user_front front;
	struct back back;
	uint8_t byte;

	back_open(&back, 1, -1);
	eventfd_write(back.command, 1000);
	assert_int_equal(vhost_user_front_open(&front, socket_connect(back.path[0], SOCK_STREAM),
					       1ULL << VHOST_USER_PROTOCOL_F_CONFIG),
			 0);
	assert_int_equal(front.backchannel, -1);
	eventfd_write(back.command, 1000);
	assert_int_equal(vhost_user_front_get_config(&front, 0, &byte, 1), 0);
	vhost_user_front_close(&front);

	assert_int_equal(
		vhost_user_front_open(&front, socket_connect(back.path[0], SOCK_STREAM),
				      PROTOCOL_ALL & ~(1ULL << VHOST_USER_PROTOCOL_F_CONFIG)),
		0);
	eventfd_write(back.command, 1000);
	usleep(20000);
	assert_int_equal(vhost_user_front_set_status(&front, 1), 0);
	assert_int_equal(vhost_user_front_take_event(&front), VHOST_USER_EVENT_NONE);
	vhost_user_front_close(&front);

	front_connect(&front, back.path[0]);
	shutdown(front.backchannel, SHUT_RDWR);
	eventfd_write(back.command, 1000);
	usleep(20000);
	eventfd_write(back.command, 1000);
	assert_int_equal(vhost_user_front_get_config(&front, 0, &byte, 1), 0);
	vhost_user_front_close(&front);
	back_close(&back);
}

static void test_status(void **state)
{
	struct vhost_user_front front;
	struct guest_queue q;
	struct back back;
	struct guest guest;
	uint8_t status;

	back_open(&back, 1, -1);
	guest_open(&guest);
	front_connect(&front, back.path[0]);
	assert_int_equal(vhost_user_front_set_status(&front, 3), 0);
	assert_int_equal(vhost_user_front_get_status(&front, &status), 0);
	assert_int_equal(status, 3);
	front_setup(&front, &guest, format_split);
	queue_open(&q, &guest, 0, format_split);
	front_start(&front, &q, queue_begin(&q));
	queue_echo(&q, 3);
	/* Status 0 resets: the ring stops, and the device can be set up again. */
	assert_int_equal(vhost_user_front_set_status(&front, 0), 0);
	assert_int_equal(atomic_load(&back.echo[0].stops), 1);
	assert_int_equal(atomic_load(&back.echo[0].resets), 1);
	queue_close(&q);
	queue_open(&q, &guest, 0, format_packed);
	assert_int_equal(vhost_user_front_set_features(&front, format_packed), 0);
	front_start(&front, &q, queue_begin(&q));
	queue_echo(&q, 30);
	vhost_user_front_close(&front);
	queue_close(&q);
	guest_close(&guest);
	back_close(&back);
}

/* What the device refuses is told, and costs nothing else. */
static void test_refusals(void **state)
{
	struct vhost_user_region region = {0x200000000, 4096, (void *)0x10000, -1, 0};
	struct vhost_user_front front;
	struct vhost_user_ring ring;
	struct guest_queue q;
	struct back back;
	struct guest guest;

	back_open(&back, 1, -1);
	guest_open(&guest);
	front_connect(&front, back.path[0]);
	assert_int_equal(vhost_user_front_set_features(&front, VIRTQUEUE_F_EVENT_IDX), -EREMOTEIO);
	front_setup(&front, &guest, format_split);
	queue_open(&q, &guest, 0, format_split);
	ring = queue_ring(&q, queue_begin(&q));
	atomic_store(&back.echo[0].fail_start, ENOMEM);
	assert_int_equal(vhost_user_front_start_ring(&front, 0, &ring), -EREMOTEIO);
	atomic_store(&back.echo[0].fail_start, 0);
	front_start(&front, &q, queue_begin(&q));
	queue_echo(&q, 4);
	/* A directory cannot be mapped; the old table stays. */
	region.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(vhost_user_front_set_memory(&front, &region, 1), -EREMOTEIO);
	close(region.fd);
	queue_echo(&q, 4);
	vhost_user_front_close(&front);
	queue_close(&q);
	guest_close(&guest);
	back_close(&back);
}

/* Without protocol features rings start at once, and a ring without a kick descriptor is polled. */
static void test_bare_protocol(void **state)
{
	struct vhost_user_front front;
	struct vhost_user_ring ring;
	struct guest_queue q;
	struct back back;
	struct guest guest;

	back_open(&back, 1, -1);
	guest_open(&guest);
	assert_int_equal(
		vhost_user_front_open(&front, socket_connect(back.path[0], SOCK_STREAM), 0), 0);
	front.knows_protocol = false; /* an old front-end: neither acknowledges nor enables */
	front_setup(&front, &guest, format_split);
	queue_open(&q, &guest, 0, format_split);
	ring = queue_ring(&q, queue_begin(&q));
	ring.kick = -1;
	assert_int_equal(vhost_user_front_start_ring(&front, 0, &ring), 0);
	queue_echo(&q, 40);
	vhost_user_front_close(&front);
	queue_close(&q);
	guest_close(&guest);
	back_close(&back);
}

/*
 * A front-end that starts packed rings at 0 as if they were split ones: a fresh ring begins at its
 * first lap all the same, and a place in a second lap is still one.
 */
static void test_packed_ring_from_zero(void **state)
{
	struct pair pair;
	struct virtqueue_position position = {0, 0};
	unsigned int i;

	pair_open(&pair, 0, format_packed);
	for (i = 0; i < RING_SIZE / 2; i++)
		queue_lend(&pair.q); /* two slots each: the ring is full before it starts */
	virtqueue_driver_publish(&pair.q.driver);
	front_start(&pair.front, &pair.q, position);
	for (i = 0; i < RING_SIZE / 2; i++)
		queue_expect(&pair.q);
	assert_int_equal(vhost_user_front_stop_ring(&pair.front, 0, &position), 0);
	assert_int_equal(position.avail, 0);
	assert_int_equal(position.used, 0);
	for (i = 0; i < RING_SIZE / 2; i++)
		queue_lend(&pair.q);
	virtqueue_driver_publish(&pair.q.driver);
	front_start(&pair.front, &pair.q, position);
	for (i = 0; i < RING_SIZE / 2; i++)
		queue_expect(&pair.q);
	assert_int_equal(vhost_user_front_stop_ring(&pair.front, 0, &position), 0);
	assert_int_equal(position.avail, 0x8000);
	front_start(&pair.front, &pair.q, position);
	queue_echo(&pair.q, 50);
	pair_close(&pair);
}

/* What a back-end does when the guest's driver is ready may last longer than any other answer. */
static void test_slow_start(void **state)
{
	struct vhost_user_front front;
	struct guest_queue q;
	struct back back;
	struct guest guest;

	back_open(&back, 1, -1);
	guest_open(&guest);
	front_connect(&front, back.path[0]);
	atomic_store(&back.echo[0].slow_ms, 1500);
	front.patience_ms = 500;
	front_setup(&front, &guest, format_split);
	queue_open(&q, &guest, 0, format_split);
	front_start(&front, &q, queue_begin(&q));
	assert_int_equal(front.patience_ms, 500);
	queue_echo(&q, 20);
	vhost_user_front_close(&front);
	queue_close(&q);
	guest_close(&guest);
	assert_int_equal(back_close(&back), 0);
}

/* --fd: one connection, whose orderly end is the end of the program. */
static void test_inherited_connection(void **state)
{
	struct vhost_user_front front;
	struct guest_queue q;
	struct back back;
	struct guest guest;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	back_open(&back, 1, pair[0]);
	guest_open(&guest);
	assert_int_equal(vhost_user_front_open(&front, pair[1], PROTOCOL_ALL), 0);
	front_setup(&front, &guest, format_packed);
	queue_open(&q, &guest, 1, format_packed);
	front_start(&front, &q, queue_begin(&q));
	queue_echo(&q, 20);
	vhost_user_front_close(&front);
	pthread_join(back.thread, NULL);
	assert_int_equal(back.status, 0);
	assert_int_equal(atomic_load(&back.echo[0].stops), 1);
	close(back.command);
	rmdir(back.directory);
	queue_close(&q);
	guest_close(&guest);
}

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

static uint64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

/* With no descriptor to be had a front-end waits, without a CPU that spins; then it is served. */
static void test_no_descriptors(void **state)
{
	struct vhost_user_front front;
	struct rlimit limit, none;
	struct back back;
	uint64_t before;
	int fd, free_fd;

	back_open(&back, 1, -1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	free_fd = dup(fd);
	close(free_fd);
	none = (struct rlimit){free_fd, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(connect_to(fd, back.path[0]), 0);
	usleep(50000);
	before = cpu_ns();
	usleep(200000);
	before = cpu_ns() - before;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(before < 20000000);
	assert_int_equal(vhost_user_front_open(&front, fd, PROTOCOL_ALL), 0);
	vhost_user_front_close(&front);
	back_close(&back);
}

static void test_cannot_open(void **state)
{
	struct backend_device device = {.ops = &echo_ops, .name = "none", .queues_max = 1};
	struct vhost_user_options options = {.socket_path = "/nonexistent/socket", .fd = -1};
	struct footprint before;
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	before = footprint_now();
	assert_int_equal(control_open(), 0);
	assert_null(vhost_user_open(&device, &options));
	assert_int_equal(errno, ENOENT);
	options = (struct vhost_user_options){.fd = pipes[0]};
	assert_null(vhost_user_open(&device, &options));
	assert_int_equal(errno, ENOTSOCK);
	control_close();
	footprint_returns(before);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_split),
		cmocka_unit_test(test_echo_packed),
		cmocka_unit_test(test_stop_and_start_split),
		cmocka_unit_test(test_stop_and_start_packed),
		cmocka_unit_test(test_reconnect_split),
		cmocka_unit_test(test_reconnect_packed),
		cmocka_unit_test(test_memory_changes_under_load),
		cmocka_unit_test(test_call_replaced_after_completion),
		cmocka_unit_test(test_call_replaced_under_load),
		cmocka_unit_test(test_enable_under_load),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_config_written_under_load),
		cmocka_unit_test(test_config_changed_unheard),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bare_protocol),
		cmocka_unit_test(test_packed_ring_from_zero),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_inherited_connection),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_cannot_open),
	};

	log_open("vhost_user", false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
