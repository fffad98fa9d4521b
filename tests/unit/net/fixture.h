/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest's side of one queue, and a link that a test holds the other end of.
 */
#ifndef PVKIT_TESTS_UNIT_NET_FIXTURE_H
#define PVKIT_TESTS_UNIT_NET_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/link/link.h"
#include "backend/queue.h"
#include "common/log.h"
#include "common/stats.h"

#define GUEST_BASE  0x40000000ULL
#define GUEST_BYTES (4 << 20)
#define RING_SIZE   256

/* A guest's memory with one queue in it, and the back-end's view of that queue. */
struct guest {
	struct guest_memory memory;
	uint8_t *ram;
	uint64_t next; /* free guest memory */
	struct virtqueue_areas areas;
	struct virtqueue_driver driver;
	struct backend_queue queue;
};

static inline void *guest_at(struct guest *guest, uint64_t address)
{
	return guest->ram + (address - GUEST_BASE);
}

static inline uint64_t guest_alloc(struct guest *guest, size_t bytes)
{
	uint64_t address = guest->next;

	guest->next += (bytes + 15) & ~15ULL;
	assert_true(guest->next <= GUEST_BASE + GUEST_BYTES);
	return address;
}

static inline void guest_attach(struct guest *guest, uint64_t features,
				struct virtqueue_position position)
{
	guest->queue.features = features;
	assert_int_equal(virtqueue_device_init(&guest->queue.ring, &guest->areas, features,
					       &guest->memory, position),
			 0);
}

static inline struct guest *guest_open(uint64_t features, unsigned int index)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	uint16_t start = features & VIRTQUEUE_F_PACKED ? 0x8000 : 0;

	assert_non_null(guest);
	guest->ram = aligned_alloc(4096, GUEST_BYTES);
	assert_non_null(guest->ram);
	memset(guest->ram, 0, GUEST_BYTES);
	guest->next = GUEST_BASE;
	assert_int_equal(guest_memory_add(&guest->memory, GUEST_BASE, GUEST_BYTES, guest->ram), 0);
	guest->areas.size = RING_SIZE;
	guest->areas.descriptors = guest_at(
		guest, guest_alloc(guest, virtqueue_descriptors_bytes(RING_SIZE, features)));
	guest->areas.driver =
		guest_at(guest, guest_alloc(guest, virtqueue_driver_bytes(RING_SIZE, features)));
	guest->areas.device =
		guest_at(guest, guest_alloc(guest, virtqueue_device_bytes(RING_SIZE, features)));
	assert_int_equal(virtqueue_driver_init(&guest->driver, &guest->areas, features), 0);
	guest->queue.index = index;
	guest->queue.kick = eventfd(0, EFD_NONBLOCK);
	guest->queue.call = eventfd(0, EFD_NONBLOCK);
	guest->queue.error = eventfd(0, EFD_NONBLOCK);
	guest_attach(guest, features, (struct virtqueue_position){start, start});
	return guest;
}

static inline void guest_close(struct guest *guest)
{
	close(guest->queue.kick);
	close(guest->queue.call);
	close(guest->queue.error);
	free(guest->ram);
	free(guest);
}

/* Lends one chain of @count buffers, the last @writable of them writable; kicks if asked to. */
static inline void guest_lend(struct guest *guest, const struct virtqueue_buffer *buffers,
			      unsigned int count, unsigned int writable, void *token)
{
	const uint64_t one = 1;

	assert_int_equal(
		virtqueue_add(&guest->driver, buffers, count - writable, writable, token, NULL, 0),
		0);
	virtqueue_driver_publish(&guest->driver);
	if (virtqueue_should_kick(&guest->driver))
		assert_int_equal(write(guest->queue.kick, &one, sizeof(one)), sizeof(one));
}

/* A buffer with these bytes in it. */
static inline struct virtqueue_buffer guest_buffer(struct guest *guest, const void *data,
						   uint32_t length)
{
	struct virtqueue_buffer buffer = {guest_alloc(guest, length), length};

	if (data)
		memcpy(guest_at(guest, buffer.address), data, length);
	return buffer;
}

/* Whether @token comes back next; *written may be NULL. */
static inline bool guest_reap(struct guest *guest, void *token, uint32_t *written)
{
	uint32_t length;
	void *reaped = NULL;

	if (virtqueue_reap(&guest->driver, &reaped, &length) != VIRTQUEUE_FOUND)
		return false;
	assert_ptr_equal(reaped, token);
	if (written)
		*written = length;
	return true;
}

/* ---- a link with a test at its other end -------------------------------------------------------- */

struct test_link {
	struct link link;
	int inside, outside; /* one datagram a frame, the header in front */
	bool busy; /* sending answers -EAGAIN */
	unsigned int accepted;
	unsigned int active; /* bit a queue */
};

static inline int test_link_send(struct link *link, unsigned int queue, const struct iovec *pieces,
				 unsigned int count)
{
	struct test_link *test = (struct test_link *)link;
	struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};

	if (__atomic_load_n(&test->busy, __ATOMIC_RELAXED))
		return -EAGAIN;
	return sendmsg(test->inside, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static inline ssize_t test_link_receive(struct link *link, unsigned int queue, struct iovec *pieces,
					unsigned int count, size_t room)
{
	struct test_link *test = (struct test_link *)link;
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
	ssize_t bytes = recvmsg(test->inside, &message, MSG_DONTWAIT);

	if (bytes < 0)
		return -errno;
	return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : bytes;
}

static inline unsigned int test_link_prepare(struct link *link, unsigned int queue,
					     bool want_receive, bool want_send, struct pollfd *fds,
					     int *timeout_ms)
{
	struct test_link *test = (struct test_link *)link;

	if (want_send)
		*timeout_ms = 1; /* ->busy goes by itself */
	fds->fd = test->inside;
	fds->events = want_receive ? POLLIN : 0;
	return 1;
}

static inline void test_link_dispatch(struct link *link, unsigned int queue,
				      const struct pollfd *fds, unsigned int count)
{
}

static inline int test_link_set_accepted(struct link *link, unsigned int offloads)
{
	((struct test_link *)link)->accepted = offloads;
	return 0;
}

static inline int test_link_set_active(struct link *link, unsigned int queue, bool active)
{
	struct test_link *test = (struct test_link *)link;

	test->active = (test->active & ~(1u << queue)) | (unsigned int)active << queue;
	return 0;
}

static inline void test_link_refresh(struct link *link)
{
	uint64_t count;

	if (read(link->changed, &count, sizeof(count)) > 0)
		link->up = !link->up;
}

static const struct link_ops test_link_ops = {
	.send = test_link_send,
	.receive = test_link_receive,
	.prepare = test_link_prepare,
	.dispatch = test_link_dispatch,
	.set_accepted = test_link_set_accepted,
	.set_active = test_link_set_active,
	.refresh = test_link_refresh,
};

#define TEST_OFFLOADS (FRAME_CSUM | FRAME_TSO4 | FRAME_TSO6 | FRAME_ECN)

static inline struct test_link *test_link_open(unsigned int queues)
{
	struct test_link *test = calloc(1, sizeof(*test));
	const int bytes = 1 << 20;
	int fds[2];

	assert_non_null(test);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	test->inside = fds[0];
	test->outside = fds[1];
	test->link.ops = &test_link_ops;
	strcpy(test->link.name, "test");
	test->link.queues = queues;
	test->link.takes = test->link.gives = TEST_OFFLOADS;
	test->link.up = true;
	test->link.changed = eventfd(0, EFD_NONBLOCK);
	return test;
}

static inline void test_link_close(struct test_link *test)
{
	close(test->inside);
	close(test->outside);
	close(test->link.changed);
	free(test);
}

/* A frame comes in from the link. */
static inline void test_link_put(struct test_link *test, const struct frame_header *header,
				 const void *data, size_t length)
{
	struct iovec pieces[2] = {{(void *)header, sizeof(*header)}, {(void *)data, length}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

	assert_int_equal(sendmsg(test->outside, &message, MSG_DONTWAIT), sizeof(*header) + length);
}

/* The frame that went out, or -1: none did. */
static inline ssize_t test_link_get(struct test_link *test, struct frame_header *header, void *data,
				    size_t room)
{
	struct iovec pieces[2] = {{header, sizeof(*header)}, {data, room}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
	ssize_t bytes = recvmsg(test->outside, &message, MSG_DONTWAIT);

	return bytes < 0 ? -1 : bytes - (ssize_t)sizeof(*header);
}

/* Bytes that differ from place to place and from @seed to @seed. */
static inline void fill(uint8_t *data, size_t length, unsigned int seed)
{
	size_t i;

	for (i = 0; i < length; i++)
		data[i] = seed * 31 + i * 7 + (i >> 8);
}

#endif
