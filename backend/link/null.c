// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The null link: swallows what is sent, never gives anything. What remains is the ring itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/link/link.h"

static int null_send(struct link *link, unsigned int queue, const struct iovec *pieces,
		     unsigned int count)
{
	return 0;
}

static ssize_t null_receive(struct link *link, unsigned int queue, struct iovec *pieces,
			    unsigned int count, size_t room)
{
	return -EAGAIN;
}

static unsigned int null_prepare(struct link *link, unsigned int queue, bool want_receive,
				 bool want_send, struct pollfd *fds, int *timeout_ms)
{
	return 0;
}

static void null_dispatch(struct link *link, unsigned int queue, const struct pollfd *fds,
			  unsigned int count)
{
}

static void null_refresh(struct link *link)
{
}

static void null_close(struct link *link)
{
	free(link);
}

static const struct link_ops null_ops = {
	.send = null_send,
	.receive = null_receive,
	.prepare = null_prepare,
	.dispatch = null_dispatch,
	.refresh = null_refresh,
	.close = null_close,
};

struct link *link_open_null(const struct link_options *options)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->ops = &null_ops;
	snprintf(link->name, sizeof(link->name), "null");
	link->queues = options->queues;
	link->takes = FRAME_CSUM | FRAME_TSO4 | FRAME_TSO6 | FRAME_ECN | FRAME_UFO | FRAME_USO4 |
		      FRAME_USO6;
	link->gives = link->takes;
	link->up = true;
	link->changed = -1;
	return link;
}
