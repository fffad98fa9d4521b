// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The notifications of a queue. The descriptors are the front-end's and may be anything that can be
 * written; the transport made them non-blocking. What a write answers does not matter: a full
 * eventfd or pipe is a notification that is still to be taken, a closed one a front-end that left.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/queue.h"
#include "common/log.h"

static void notify(int fd)
{
	const uint64_t one = 1;

	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}

void backend_queue_interrupt(struct backend_queue *queue)
{
	notify(queue->call);
}

/*
 * Bytes, or -1. The front-end shares the flags of the open file, and could make it block again; so each
 * kind is read by a call that has a flag of its own for that. An eventfd knows RWF_NOWAIT, a pipe before
 * Linux 6.4 and a named one only vmsplice()'s. That reads only where the file is open for nothing
 * else: it would write what is on our stack into any other, which the transport hence refuses as a
 * kick. What is none of these is no notification.
 */
static ssize_t read_now(int fd, struct iovec *to)
{
	ssize_t got = preadv2(fd, to, 1, -1, RWF_NOWAIT);

	if (got < 0 && errno == EOPNOTSUPP)
		got = recv(fd, to->iov_base, to->iov_len, MSG_DONTWAIT);
	if (got < 0 && errno == ENOTSOCK)
		got = vmsplice(fd, to, 1, SPLICE_F_NONBLOCK);
	return got;
}

bool backend_queue_take_kick(struct backend_queue *queue)
{
	uint64_t count;
	struct iovec to = {&count, sizeof(count)};

	return queue->kick >= 0 && read_now(queue->kick, &to) > 0;
}

void backend_queue_broken(struct backend_queue *queue, const char *device)
{
	static struct log_limit limit;
	const struct virtqueue_device *ring = &queue->ring;

	notify(queue->error);
	log_peer(
		&limit,
		"%s: queue %u: the driver broke the ring at available index %u, used index %u: %s; "
		"the queue stays stopped until the driver resets the device",
		device, queue->index, ring->next_avail, ring->next_used,
		virtqueue_fault_text(ring->broken));
}
