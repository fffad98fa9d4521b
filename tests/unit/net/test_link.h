/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A link that a test holds the other end of, and bytes to send over it.
 */
#ifndef PVKIT_TESTS_UNIT_NET_TEST_LINK_H
#define PVKIT_TESTS_UNIT_NET_TEST_LINK_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/link/link.h"

struct test_link {
	struct link link;
	int inside, outside; /* one datagram a frame, the header in front */
	bool busy; /* sending answers -EAGAIN */
	_Atomic unsigned int accepted;
	_Atomic unsigned int active; /* bit a queue */
	_Atomic unsigned int dead; /* likewise: cannot be made active */
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

	if (active && test->dead & 1u << queue)
		return -EIO;
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

/* What is on its way in either direction is lost. */
static inline void test_link_drain(struct test_link *test)
{
	uint8_t byte;

	while (recv(test->outside, &byte, 1, MSG_DONTWAIT) >= 0 ||
	       recv(test->inside, &byte, 1, MSG_DONTWAIT) >= 0)
		;
}

/* Bytes that differ from place to place and from @seed to @seed. */
static inline void fill(uint8_t *data, size_t length, unsigned int seed)
{
	size_t i;

	for (i = 0; i < length; i++)
		data[i] = seed * 31 + i * 7 + (i >> 8);
}

#endif
