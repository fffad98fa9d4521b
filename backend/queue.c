// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The notifications of a queue. The descriptors are the front-end's and may be anything that can be
 * written; the transport made them non-blocking. What a write answers does not matter: a full
 * eventfd or pipe is a notification that is still to be taken, a closed one a front-end that left.
 */
#include <errno.h>
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

bool backend_queue_take_kick(struct backend_queue *queue)
{
	uint64_t count;
	struct iovec to = {&count, sizeof(count)};
	ssize_t got;

	if (queue->kick < 0)
		return false;
	/*
	 * The front-end shares the flags of the open file, and could make it block again: an eventfd
	 * honours a flag of the call, too. Others may know none.
	 */
	got = preadv2(queue->kick, &to, 1, -1, RWF_NOWAIT);
	if (got < 0 && errno == EOPNOTSUPP)
		got = read(queue->kick, &count, sizeof(count));
	return got > 0;
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
