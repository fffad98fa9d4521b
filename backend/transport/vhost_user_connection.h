/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the files of this transport share: the state of one device's front-end connection.
 *
 *   vhost_user.c          the socket: listen, accept, receive, give up
 *   vhost_user_message.c  one message in, one answer out
 *   vhost_user_request.c  what each message does
 *   vhost_user_ring.c     when a ring runs
 *   vhost_user_memory.c   the memory table
 *   memory_guard.c        memory that is pulled away
 *
 * All of it runs on the control thread.
 *
 * Handlers answer 0; -EPROTO when the front-end broke the protocol; another -errno for what is well
 * formed and cannot be done. The last can be told to a front-end that asked (REPLY_ACK): then the
 * connection stays and nothing has changed. In all other cases the connection is closed.
 */
#ifndef PVKIT_BACKEND_TRANSPORT_VHOST_USER_CONNECTION_H
#define PVKIT_BACKEND_TRANSPORT_VHOST_USER_CONNECTION_H

#include "backend/transport/vhost_user.h"
#include "backend/transport/vhost_user_memory.h"
#include "backend/transport/vhost_user_message.h"
#include "backend/transport/vhost_user_ring.h"
#include "common/log.h"

/* A message must be whole this long after its first byte: a front-end sends one with one call. */
#define VHOST_USER_MESSAGE_TIMEOUT_MS 3000

struct vhost_user {
	struct backend_device *device;
	const char *path; /* NULL: one connection that was handed to us */
	uint64_t protocol_offered; /* 1 << bit */
	int listener; /* -1 with --fd */
	int timer; /* timerfd: runs while a message is incomplete, or accept() has to pause */
	int guard; /* eventfd: guest memory was pulled away */
	struct log_limit limit;

	/* The connection; all but the timer is as connection_drop() leaves it when fd is -1. */
	int fd;
	int backchannel; /* -1: none */
	bool timer_armed;
	struct vhost_user_message message;
	uint64_t protocol; /* agreed */
	uint64_t features; /* acknowledged, VHOST_USER_F_PROTOCOL_FEATURES among them */
	uint8_t status;
	struct memory_table *memory, *memory_spare; /* swapped by SET_MEM_TABLE */
	unsigned int ring_count;
	struct back_ring *rings;
};

static inline bool vhost_user_agreed(const struct vhost_user *vu, unsigned int protocol_feature)
{
	return vu->protocol >> protocol_feature & 1;
}

/* Says what is wrong with the message in hand, and answers -EPROTO. */
int vhost_user_fault(struct vhost_user *vu, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Does what the whole message in vu->message asks, and answers it. 0, or -errno: close. */
int vhost_user_dispatch(struct vhost_user *vu);

/* Stops the rings and forgets what the front-end set up for them; the device starts afresh. */
void vhost_user_reset_device(struct vhost_user *vu);

#endif
