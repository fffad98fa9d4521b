// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The threads engine: plain blocking calls in helper threads. It runs everywhere, and is what is left
 * where neither io_uring nor AIO can be used.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/store/pool.h"
#include "backend/store/watch.h"

#define THREADS_PER_QUEUE 16

struct threads_queue {
	struct store_queue base;
	struct store_pool *pool;
	struct store_watch watch;
};

static int threads_probe(void)
{
	return 0;
}

static void threads_close(struct store_queue *base)
{
	struct threads_queue *queue = (struct threads_queue *)base;

	store_pool_close(queue->pool);
	free(queue);
}

static struct store_queue *threads_open(struct store_image *image,
					const struct store_queue_options *options)
{
	struct threads_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	store_queue_init(&queue->base, &store_engine_threads, image);
	/* Helper threads do all the work: whoever asks for them wants to see just that. */
	queue->base.inline_reads = queue->base.inline_writes = false;
	queue->pool = store_pool_open(image, THREADS_PER_QUEUE);
	if (!queue->pool) {
		threads_close(&queue->base);
		return NULL;
	}
	store_watch_init(&queue->watch, options);
	store_watch_add(&queue->watch, store_pool_fd(queue->pool));
	return &queue->base;
}

static bool threads_start(struct store_queue *base, struct store_io *io)
{
	struct threads_queue *queue = (struct threads_queue *)base;

	store_pool_start(queue->pool, io);
	base->in_flight++;
	return false;
}

static void threads_submit(struct store_queue *base)
{
	store_pool_submit(((struct threads_queue *)base)->pool);
}

static unsigned int threads_reap(struct store_queue *base, struct store_io **done, unsigned int max)
{
	struct threads_queue *queue = (struct threads_queue *)base;
	unsigned int count = store_pool_reap(queue->pool, done, max);

	base->in_flight -= count;
	return count;
}

static void threads_wait(struct store_queue *base, int64_t timeout_us)
{
	struct threads_queue *queue = (struct threads_queue *)base;

	store_pool_submit(queue->pool);
	if (!store_pool_sleep_begin(queue->pool))
		store_watch_sleep(&queue->watch, timeout_us);
	store_pool_sleep_end(queue->pool);
}

const struct store_engine store_engine_threads = {
	.name = "threads",
	.probe = threads_probe,
	.open = threads_open,
	.close = threads_close,
	.start = threads_start,
	.submit = threads_submit,
	.reap = threads_reap,
	.wait = threads_wait,
};
