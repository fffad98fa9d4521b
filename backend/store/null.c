// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The null engine: every request is over at once, and moves nothing. What remains is the cost of the
 * rings, which is what it measures. Reads leave the guest's buffers as they are.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "backend/store/store.h"
#include "backend/store/watch.h"

struct null_queue {
	struct store_queue base;
	struct store_watch watch;
};

static int null_probe(void)
{
	return 0;
}

static struct store_queue *null_open(struct store_image *image,
				     const struct store_queue_options *options)
{
	struct null_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	store_queue_init(&queue->base, &store_engine_null, image);
	store_watch_init(&queue->watch, options);
	return &queue->base;
}

static void null_close(struct store_queue *base)
{
	free(base);
}

static bool null_start(struct store_queue *base, struct store_io *io)
{
	io->result = io->op <= STORE_WRITE ? io->bytes : 0;
	if (io->op == STORE_ERASE)
		io->result = -EOPNOTSUPP;
	return true;
}

static void null_submit(struct store_queue *base)
{
}

static unsigned int null_reap(struct store_queue *base, struct store_io **done, unsigned int max)
{
	return 0;
}

static void null_wait(struct store_queue *base, int64_t timeout_us)
{
	struct null_queue *queue = (struct null_queue *)base;

	store_watch_sleep(&queue->watch, timeout_us);
}

const struct store_engine store_engine_null = {
	.name = "null",
	.probe = null_probe,
	.open = null_open,
	.close = null_close,
	.start = null_start,
	.submit = null_submit,
	.reap = null_reap,
	.wait = null_wait,
};
