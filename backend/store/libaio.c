// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The libaio engine: the kernel's older asynchronous I/O, truly asynchronous with O_DIRECT only.
 *
 * A batch is one io_submit(). Completions are read straight from the ring that the kernel shares
 * with us, without a system call, and signal an eventfd that ends a sleep. What AIO has no command
 * for goes to a helper thread.
 */
#include <errno.h>
#include <libaio.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/store/pool.h"
#include "backend/store/watch.h"

#define AIO_RING_MAGIC 0xa10a10a1

/* What an AIO context points to, in memory shared with the kernel (linux/fs/aio.c). */
struct aio_ring {
	unsigned int id, size;
	unsigned int head; /* ours */
	unsigned int tail; /* the kernel's */
	unsigned int magic, compat_features, incompat_features, header_length;
	struct io_event events[];
};

struct libaio_queue {
	struct store_queue base;
	io_context_t context;
	int event;
	struct store_watch watch;
	struct store_pool *pool;
	unsigned int staged_count;
	struct iocb **staged; /* in order of starting */
	struct iocb *iocbs; /* by the slot of their request */
	/* Requests that the kernel refused at submission: over, and not yet handed back. */
	struct store_io *refused;
};

static int libaio_probe(void)
{
	io_context_t context = NULL;
	int error = io_setup(1, &context);

	if (!error)
		io_destroy(context);
	return error;
}

static void libaio_close(struct store_queue *base)
{
	struct libaio_queue *queue = (struct libaio_queue *)base;
	int error = errno;

	if (queue->context)
		io_destroy(queue->context);
	store_pool_close(queue->pool);
	if (queue->event >= 0)
		close(queue->event);
	free(queue->staged);
	free(queue->iocbs);
	free(queue);
	errno = error;
}

static struct store_queue *libaio_open(struct store_image *image,
				       const struct store_queue_options *options)
{
	struct libaio_queue *queue = calloc(1, sizeof(*queue));
	int error;

	if (!queue)
		return NULL;
	store_queue_init(&queue->base, &store_engine_libaio, image);
	queue->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->staged = calloc(options->depth, sizeof(*queue->staged));
	queue->iocbs = calloc(options->depth, sizeof(*queue->iocbs));
	queue->pool = store_pool_open(image, 1);
	if (queue->event < 0 || !queue->staged || !queue->iocbs || !queue->pool)
		goto failed;
	error = -io_setup(options->depth, &queue->context);
	if (error) {
		errno = error;
		goto failed;
	}
	store_watch_init(&queue->watch, options);
	store_watch_add(&queue->watch, queue->event);
	store_watch_add(&queue->watch, store_pool_fd(queue->pool));
	return &queue->base;
failed:
	libaio_close(&queue->base);
	return NULL;
}

/* False: AIO has no such command. */
static bool libaio_prepare(struct libaio_queue *queue, struct iocb *iocb, struct store_io *io)
{
	int fd = queue->base.image->fd;

	switch (io->op) {
	case STORE_READ:
		io_prep_preadv(iocb, fd, io->iov, io->iov_count, io->offset);
		break;
	case STORE_WRITE:
		io_prep_pwritev(iocb, fd, io->iov, io->iov_count, io->offset);
		iocb->aio_rw_flags = io->flags & STORE_IO_DURABLE ? RWF_DSYNC : 0;
		break;
	case STORE_FLUSH:
		io_prep_fdsync(iocb, fd);
		break;
	default:
		return false;
	}
	iocb->data = io;
	io_set_eventfd(iocb, queue->event);
	return true;
}

static bool libaio_start(struct store_queue *base, struct store_io *io)
{
	struct libaio_queue *queue = (struct libaio_queue *)base;
	struct iocb *iocb = &queue->iocbs[io->slot];

	if (store_inline(base, io))
		return true;
	base->in_flight++;
	if (libaio_prepare(queue, iocb, io))
		queue->staged[queue->staged_count++] = iocb;
	else
		store_pool_start(queue->pool, io);
	return false;
}

static void libaio_refuse(struct libaio_queue *queue, struct iocb *iocb, int error)
{
	struct store_io *io = iocb->data;

	io->result = error;
	io->next = queue->refused;
	queue->refused = io;
}

/*
 * The kernel takes them in order and stops at the first that it refuses. That one is over; EAGAIN
 * means that it has no resources now, and all that are left stay staged for the next call.
 */
static void libaio_submit(struct store_queue *base)
{
	struct libaio_queue *queue = (struct libaio_queue *)base;
	unsigned int taken = 0, i;
	int result;

	store_pool_submit(queue->pool);
	while (taken < queue->staged_count) {
		result = io_submit(queue->context, queue->staged_count - taken,
				   queue->staged + taken);
		if (result > 0)
			taken += result;
		else if (result == -EAGAIN)
			break;
		else if (result != -EINTR)
			libaio_refuse(queue, queue->staged[taken++], result ? result : -EIO);
	}
	if (!taken)
		return;
	queue->staged_count -= taken;
	for (i = 0; i < queue->staged_count; i++)
		queue->staged[i] = queue->staged[taken + i];
}

static void libaio_take(struct store_io **done, const struct io_event *event)
{
	*done = event->data;
	(*done)->result = (int64_t)event->res;
}

static unsigned int libaio_reap_ring(struct aio_ring *ring, struct store_io **done,
				     unsigned int max)
{
	unsigned int head = ring->head, count = 0;
	/* Acquire: the events before tail are whole. Pairs with the kernel's smp_wmb(). */
	unsigned int tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

	while (head != tail && count < max) {
		libaio_take(&done[count++], &ring->events[head]);
		head = head + 1 == ring->size ? 0 : head + 1;
	}
	/* Release: the kernel writes over these events only after we have read them. */
	if (count)
		__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
	return count;
}

static unsigned int libaio_reap_call(io_context_t context, struct store_io **done, unsigned int max)
{
	struct timespec now = {0, 0};
	struct io_event events[32];
	int i, count;

	count = io_getevents(context, 0, max < 32 ? max : 32, events, &now);
	for (i = 0; i < count; i++)
		libaio_take(&done[i], &events[i]);
	return count > 0 ? count : 0;
}

static unsigned int libaio_reap(struct store_queue *base, struct store_io **done, unsigned int max)
{
	struct libaio_queue *queue = (struct libaio_queue *)base;
	struct aio_ring *ring = (struct aio_ring *)queue->context;
	unsigned int count = store_pool_reap(queue->pool, done, max);

	for (; queue->refused && count < max; queue->refused = queue->refused->next)
		done[count++] = queue->refused;
	if (ring->magic == AIO_RING_MAGIC && !ring->incompat_features)
		count += libaio_reap_ring(ring, done + count, max - count);
	else
		count += libaio_reap_call(queue->context, done + count, max - count);
	base->in_flight -= count;
	return count;
}

/* What ended since the caller reaped has signalled the eventfd, so the sleep ends at once. */
static void libaio_wait(struct store_queue *base, int64_t timeout_us)
{
	struct libaio_queue *queue = (struct libaio_queue *)base;
	uint64_t count;

	libaio_submit(base);
	if (queue->refused)
		return;
	/* Refused for lack of resources: try again soon, nothing else would wake us. */
	if (queue->staged_count && (timeout_us < 0 || timeout_us > 1000))
		timeout_us = 1000;
	if (!store_pool_sleep_begin(queue->pool))
		store_watch_sleep(&queue->watch, timeout_us);
	store_pool_sleep_end(queue->pool);
	if (read(queue->event, &count, sizeof(count)) < 0)
		return; /* woken by something else */
}

const struct store_engine store_engine_libaio = {
	.name = "libaio",
	.probe = libaio_probe,
	.open = libaio_open,
	.close = libaio_close,
	.start = libaio_start,
	.submit = libaio_submit,
	.reap = libaio_reap,
	.wait = libaio_wait,
};
