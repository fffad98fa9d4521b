/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A whole vhost-user pair in one process: a back-end with an echo device on a control thread of its
 * own, and a front-end that drives its queues with ring/'s driver side.
 *
 * The echo device copies the readable bytes of each chain to the writable ones. Guest memory is a
 * memfd of two regions with a hole between them; the rings of queue N lie in the first, its buffers in
 * the second.
 */
#ifndef PVKIT_TESTS_UNIT_TRANSPORT_FIXTURE_H
#define PVKIT_TESTS_UNIT_TRANSPORT_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/control.h"
#include "backend/queue.h"
#include "backend/transport/vhost_user.h"
#include "common/log.h"
#include "common/socket.h"
#include "hypervisor-shim/hvm/vhost_user.h"

#define QUEUES       4
#define RING_SIZE    16
#define PROTOCOL_ALL (~0ULL)

#define REGION_BYTES (1UL << 20)
#define LOW_ADDRESS  0x0UL
#define HIGH_ADDRESS 0x100000000UL
#define MEMORY_NAME  "transport-test-guest"

#define RING_AREA   0x8000 /* bytes of the low region for each queue's ring */
#define BUFFER_AREA 0x10000 /* bytes of the high region for each queue's buffers */
#define MESSAGE     64

/* ---- the back-end ----------------------------------------------------------------------------- */

struct echo_queue {
	struct backend_queue *queue;
	pthread_t thread;
	int stop;
};

struct echo_device {
	struct backend_device device;
	struct echo_queue queues[QUEUES];
	uint8_t config[60];
	uint64_t features;
	atomic_uint starts, stops, resets, memory_changes, served;
	atomic_uint running_at_write; /* queues, at the last config_write() */
	atomic_int fail_start; /* the errno that queue_start() answers */
	atomic_uint slow_ms; /* what setting up takes it */
	bool quiet_broken;
};

static inline bool echo_round(struct echo_device *echo, struct backend_queue *queue)
{
	struct ring_iovec iov[32];
	struct virtqueue_chain chain = {.iov = iov, .iov_max = 32};
	enum virtqueue_result result;
	bool any = false;

	while ((result = virtqueue_pop(&queue->ring, &chain)) == VIRTQUEUE_FOUND) {
		uint32_t n = 0;

		if (!chain.unusable && chain.readable && chain.writable) {
			n = iov[0].length;
			if (n > iov[chain.readable].length)
				n = iov[chain.readable].length;
			memcpy(iov[chain.readable].base, iov[0].base, n);
		}
		virtqueue_push(&queue->ring, chain.id, chain.slots, n);
		atomic_fetch_add(&echo->served, 1);
		any = true;
	}
	if (any) {
		virtqueue_publish(&queue->ring);
		if (virtqueue_should_interrupt(&queue->ring))
			backend_queue_interrupt(queue);
	}
	if (result == VIRTQUEUE_BROKEN) {
		backend_queue_broken(queue, echo->device.name);
		return false;
	}
	return true;
}

static inline void *echo_thread(void *argument)
{
	struct echo_queue *eq = argument;
	struct echo_device *echo = eq->queue->private;
	struct backend_queue *queue = eq->queue;
	struct pollfd wait[2] = {{eq->stop, POLLIN, 0}, {queue->kick, POLLIN, 0}};
	bool healthy = true;

	for (;;) {
		if (healthy)
			healthy = echo_round(echo, queue);
		if (healthy && virtqueue_kicks_enable(&queue->ring))
			continue;
		if (!healthy)
			wait[1].fd = -1;
		/* Without a kick descriptor the front-end never kicks: look now and then. */
		poll(wait, 2, queue->kick < 0 ? 1 : -1);
		if (wait[0].revents)
			return NULL;
		if (healthy && (wait[1].revents & POLLIN))
			backend_queue_take_kick(queue);
	}
}

static inline struct echo_device *echo_of(struct backend_device *device)
{
	return (struct echo_device *)device;
}

static inline int echo_set_features(struct backend_device *device, uint64_t features)
{
	echo_of(device)->features = features;
	return features >> VIRTIO_F_VERSION_1 & 1 ? 0 : -EINVAL;
}

static inline int echo_config_read(struct backend_device *device, uint32_t offset, void *data,
				   uint32_t size)
{
	struct echo_device *echo = echo_of(device);

	if (offset + size > sizeof(echo->config))
		return -EINVAL;
	memcpy(data, echo->config + offset, size);
	return 0;
}

/* The first eight bytes are read-only. */
static inline int echo_config_write(struct backend_device *device, uint32_t offset,
				    const void *data, uint32_t size)
{
	struct echo_device *echo = echo_of(device);

	if (offset < 8 || offset + size > sizeof(echo->config))
		return -EINVAL;
	memcpy(echo->config + offset, data, size);
	echo->running_at_write = echo->starts - echo->stops;
	return 0;
}

static inline int echo_start(struct backend_device *device, struct backend_queue *queue)
{
	struct echo_device *echo = echo_of(device);
	struct echo_queue *eq = &echo->queues[queue->index];

	usleep(atomic_load(&echo->slow_ms) * 1000);
	if (atomic_load(&echo->fail_start))
		return -atomic_load(&echo->fail_start);
	queue->private = echo;
	eq->queue = queue;
	eq->stop = eventfd(0, EFD_CLOEXEC);
	atomic_fetch_add(&echo->starts, 1);
	return -pthread_create(&eq->thread, NULL, echo_thread, eq);
}

static inline void echo_stop(struct backend_device *device, struct backend_queue *queue)
{
	struct echo_device *echo = echo_of(device);
	struct echo_queue *eq = &echo->queues[queue->index];

	eventfd_write(eq->stop, 1);
	pthread_join(eq->thread, NULL);
	close(eq->stop);
	atomic_fetch_add(&echo->stops, 1);
}

static inline void echo_memory_changed(struct backend_device *device,
				       const struct guest_memory *memory)
{
	usleep(atomic_load(&echo_of(device)->slow_ms) * 1000);
	atomic_fetch_add(&echo_of(device)->memory_changes, 1);
}

static inline void echo_reset(struct backend_device *device)
{
	atomic_fetch_add(&echo_of(device)->resets, 1);
}

static const struct backend_device_ops echo_ops = {
	.set_features = echo_set_features,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.queue_start = echo_start,
	.queue_stop = echo_stop,
	.memory_changed = echo_memory_changed,
	.reset = echo_reset,
};

#define DEVICES_MAX 2

/* The control thread and what it serves. */
struct back {
	struct echo_device echo[DEVICES_MAX];
	struct vhost_user *vu[DEVICES_MAX];
	char path[DEVICES_MAX][64];
	char directory[32];
	unsigned int devices;
	int fd; /* served instead of a path if >= 0 */
	int command; /* eventfd: 1 quits, 1000 announces a change of the configuration */
	int status;
	pthread_t thread;
	pthread_barrier_t ready;
};

static inline void back_on_command(void *context, uint32_t events)
{
	struct back *back = context;
	eventfd_t value;

	if (eventfd_read(back->command, &value))
		return;
	if (value >= 1000)
		back->echo[0].device.config_changed(&back->echo[0].device);
	if (value % 1000)
		control_quit(0);
}

static inline void *back_thread(void *argument)
{
	struct back *back = argument;
	unsigned int i;

	if (control_open())
		abort();
	control_watch(back->command, EPOLLIN, back_on_command, back);
	for (i = 0; i < back->devices; i++) {
		struct vhost_user_options options = {
			.socket_path = back->fd < 0 ? back->path[i] : NULL, .fd = back->fd};

		back->vu[i] = vhost_user_open(&back->echo[i].device, &options);
		if (!back->vu[i])
			abort();
	}
	pthread_barrier_wait(&back->ready);
	back->status = control_run();
	for (i = 0; i < back->devices; i++)
		vhost_user_close(back->vu[i]);
	control_close();
	return NULL;
}

static inline void back_open(struct back *back, unsigned int devices, int fd)
{
	unsigned int i, b;

	memset(back, 0, sizeof(*back));
	back->devices = devices;
	back->fd = fd;
	back->command = eventfd(0, EFD_CLOEXEC);
	strcpy(back->directory, "/tmp/transport-XXXXXX");
	assert_non_null(mkdtemp(back->directory));
	for (i = 0; i < devices; i++) {
		struct echo_device *echo = &back->echo[i];

		snprintf(back->path[i], sizeof(back->path[i]), "%s/%u", back->directory, i);
		echo->device = (struct backend_device){
			.ops = &echo_ops,
			.name = i ? "second" : "echo",
			.queues_max = QUEUES,
			.features = 1ULL << VIRTIO_F_VERSION_1 | VIRTQUEUE_F_INDIRECT |
				    VIRTQUEUE_F_EVENT_IDX | VIRTQUEUE_F_PACKED,
		};
		for (b = 0; b < sizeof(echo->config); b++)
			echo->config[b] = b;
	}
	pthread_barrier_init(&back->ready, NULL, 2);
	assert_int_equal(pthread_create(&back->thread, NULL, back_thread, back), 0);
	pthread_barrier_wait(&back->ready);
}

/* Ends the control loop; its status. */
static inline int back_close(struct back *back)
{
	unsigned int i;
	struct stat st;

	eventfd_write(back->command, 1);
	pthread_join(back->thread, NULL);
	pthread_barrier_destroy(&back->ready);
	close(back->command);
	for (i = 0; i < back->devices; i++) {
		assert_int_equal(stat(back->path[i], &st), -1);
		assert_int_equal(atomic_load(&back->echo[i].starts),
				 atomic_load(&back->echo[i].stops));
	}
	rmdir(back->directory);
	return back->status;
}

/* ---- the guest -------------------------------------------------------------------------------- */

struct guest {
	int memory; /* memfd: the low region, then the high one */
	uint8_t *low, *high;
};

struct guest_queue {
	struct guest *guest;
	unsigned int index;
	uint64_t features;
	struct virtqueue_driver driver;
	int kick, call;
	uint32_t sequence, next_slot;
};

static inline void guest_open(struct guest *guest)
{
	guest->memory = memfd_create(MEMORY_NAME, MFD_CLOEXEC);
	assert_int_equal(ftruncate(guest->memory, 2 * REGION_BYTES), 0);
	guest->low =
		mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, guest->memory, 0);
	assert_ptr_not_equal(guest->low, MAP_FAILED);
	guest->high = guest->low + REGION_BYTES;
}

static inline void guest_close(struct guest *guest)
{
	munmap(guest->low, 2 * REGION_BYTES);
	close(guest->memory);
}

static inline void guest_regions(const struct guest *guest, struct vhost_user_region regions[2])
{
	regions[0] =
		(struct vhost_user_region){LOW_ADDRESS, REGION_BYTES, guest->low, guest->memory, 0};
	regions[1] = (struct vhost_user_region){HIGH_ADDRESS, REGION_BYTES, guest->high,
						guest->memory, REGION_BYTES};
}

static inline void queue_open(struct guest_queue *q, struct guest *guest, unsigned int index,
			      uint64_t features)
{
	uint8_t *ring = guest->low + index * RING_AREA;
	struct virtqueue_areas areas = {ring, ring + 0x1000, ring + 0x2000, RING_SIZE};

	memset(q, 0, sizeof(*q));
	memset(ring, 0, RING_AREA);
	q->guest = guest;
	q->index = index;
	q->features = features;
	q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(virtqueue_driver_init(&q->driver, &areas, features), 0);
}

static inline void queue_close(struct guest_queue *q)
{
	close(q->kick);
	close(q->call);
}

static inline struct virtqueue_position queue_begin(const struct guest_queue *q)
{
	uint16_t at = q->features & VIRTQUEUE_F_PACKED ? 0x8000 : 0;

	return (struct virtqueue_position){at, at};
}

static inline struct vhost_user_ring queue_ring(const struct guest_queue *q,
						struct virtqueue_position position)
{
	return (struct vhost_user_ring){
		.size = RING_SIZE,
		.position = position,
		.descriptors = (uintptr_t)q->driver.areas.descriptors,
		.driver = (uintptr_t)q->driver.areas.driver,
		.device = (uintptr_t)q->driver.areas.device,
		.kick = q->kick,
		.call = q->call,
	};
}

static inline void queue_kick(struct guest_queue *q)
{
	if (virtqueue_should_kick(&q->driver))
		eventfd_write(q->kick, 1);
}

/* Lends one message; the token is its buffer. */
static inline void queue_lend(struct guest_queue *q)
{
	uint32_t offset = q->index * BUFFER_AREA + q->next_slot++ % RING_SIZE * 2 * MESSAGE;
	uint8_t *out = q->guest->high + offset;
	struct virtqueue_buffer buffers[2] = {
		{HIGH_ADDRESS + offset, MESSAGE},
		{HIGH_ADDRESS + offset + MESSAGE, MESSAGE},
	};

	q->sequence++;
	memset(out, 0, 2 * MESSAGE);
	snprintf((char *)out, MESSAGE, "queue %u message %u", q->index, q->sequence);
	assert_int_equal(virtqueue_add(&q->driver, buffers, 1, 1, out, NULL, 0), 0);
}

/* Waits for one echo, by interrupt alone: a lost one shows here. */
static inline void queue_expect(struct guest_queue *q)
{
	struct pollfd wait = {q->call, POLLIN, 0};
	uint32_t written;
	uint8_t *out;
	eventfd_t value;
	void *token;
	enum virtqueue_result result;

	for (;;) {
		result = virtqueue_reap(&q->driver, &token, &written);
		assert_int_not_equal(result, VIRTQUEUE_BROKEN);
		if (result == VIRTQUEUE_FOUND)
			break;
		if (virtqueue_interrupts_enable(&q->driver))
			continue;
		assert_int_equal(poll(&wait, 1, 5000), 1);
		eventfd_read(q->call, &value);
	}
	out = token;
	assert_int_equal(written, MESSAGE);
	assert_memory_equal(out, out + MESSAGE, MESSAGE);
	assert_memory_equal(out, "queue ", 6);
}

/* @count messages, a few at a time. */
static inline void queue_echo(struct guest_queue *q, unsigned int count)
{
	unsigned int i, batch;

	while (count) {
		batch = count < 5 ? count : 5;
		for (i = 0; i < batch; i++)
			queue_lend(q);
		virtqueue_driver_publish(&q->driver);
		queue_kick(q);
		for (i = 0; i < batch; i++)
			queue_expect(q);
		count -= batch;
	}
}

/* ---- both together ---------------------------------------------------------------------------- */

static const uint64_t format_split = 1ULL << VIRTIO_F_VERSION_1 | VIRTQUEUE_F_EVENT_IDX;
static const uint64_t format_packed = 1ULL << VIRTIO_F_VERSION_1 | VIRTQUEUE_F_PACKED;

static inline void front_connect(struct vhost_user_front *front, const char *path)
{
	int fd = socket_connect(path, SOCK_STREAM);

	assert_true(fd >= 0);
	assert_int_equal(vhost_user_front_open(front, fd, PROTOCOL_ALL), 0);
}

static inline void front_setup(struct vhost_user_front *front, const struct guest *guest,
			       uint64_t features)
{
	struct vhost_user_region regions[2];

	guest_regions(guest, regions);
	assert_int_equal(vhost_user_front_set_features(front, features), 0);
	assert_int_equal(vhost_user_front_set_memory(front, regions, 2), 0);
}

static inline void front_start(struct vhost_user_front *front, const struct guest_queue *q,
			       struct virtqueue_position position)
{
	struct vhost_user_ring ring = queue_ring(q, position);

	assert_int_equal(vhost_user_front_start_ring(front, q->index, &ring), 0);
}

/* ---- what is left behind ---------------------------------------------------------------------- */

struct footprint {
	unsigned int fds, mappings;
};

static inline struct footprint footprint_now(void)
{
	struct footprint now = {0};
	struct dirent *entry;
	char line[512];
	DIR *d = opendir("/proc/self/fd");
	FILE *maps;

	while ((entry = readdir(d)))
		now.fds += entry->d_name[0] != '.';
	closedir(d);
	maps = fopen("/proc/self/maps", "re");
	while (fgets(line, sizeof(line), maps))
		now.mappings += strstr(line, MEMORY_NAME) != NULL;
	fclose(maps);
	return now;
}

/* The back-end closes in its own time. */
static inline void footprint_returns(struct footprint before)
{
	struct footprint now;
	int i;

	for (i = 0; i < 500; i++) {
		now = footprint_now();
		if (now.fds == before.fds && now.mappings == before.mappings)
			return;
		usleep(10000);
	}
	assert_int_equal(now.fds, before.fds);
	assert_int_equal(now.mappings, before.mappings);
}

#endif
