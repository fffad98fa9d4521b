// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The io_uring engine: one ring a queue, owned by the queue's thread.
 *
 * A batch is one system call, and so is a sleep: what else may end it (a kick, the order to stop) is
 * watched by a poll request in the same ring, so the call that submits the last requests is also the
 * one that waits for whatever comes first. A poll request fires again at each write to its eventfd
 * (multishot), and costs nothing in between.
 *
 * Where the kernel has them, completions are put onto the ring by this thread when it asks, not by an
 * interrupt of it (DEFER_TASKRUN), and the file is registered. Each is dropped, quietly, where
 * the kernel is older: they change speed, never meaning.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "backend/store/pool.h"
#include "common/log.h"
#include "ring/guest_memory.h"

#define REGISTERED_MAX   1024 /* buffers: guest memory in pieces of at most a GiB */
#define REGISTERED_BYTES (1ULL << 30) /* the kernel's limit of one */

/* A poll request's user data: odd, so never a store_io's address. */
#define WATCH_TAG(i) ((uint64_t)(i) << 1 | 1)

struct uring_queue {
	struct store_queue base;
	struct io_uring ring;
	bool file_registered, multishot;
	struct store_pool *pool; /* for block devices: discards, erasing; else NULL */
	int watch[STORE_WATCH_MAX + 1];
	unsigned int watch_count, watch_rearm; /* bit set: its poll request is to be made again */
	unsigned int memory_count; /* registered buffers */
	struct iovec *memory;
};

/* The best first. TASKRUN_FLAG lets us see without a call that completions wait to be put out. */
static const unsigned int ring_flags[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	0,
};

static int ring_open(struct io_uring *ring, unsigned int entries)
{
	unsigned int i;
	int error = -EINVAL;

	for (i = 0; i < sizeof(ring_flags) / sizeof(*ring_flags) && error == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = ring_flags[i] | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
		};

		if (!ring_flags[i])
			params.flags = 0;
		error = io_uring_queue_init_params(entries, ring, &params);
	}
	return error;
}

static int uring_probe(void)
{
	struct io_uring ring;
	int error = ring_open(&ring, 4);

	if (error)
		return error;
	/* Older than 5.11: completions can be lost when the ring is full, and waits cannot be timed. */
	if (!(ring.features & IORING_FEAT_EXT_ARG) || !(ring.features & IORING_FEAT_NODROP))
		error = -ENOSYS;
	io_uring_queue_exit(&ring);
	return error;
}

static void uring_close(struct store_queue *base)
{
	struct uring_queue *queue = (struct uring_queue *)base;
	int error = errno;

	if (queue->ring.ring_fd >= 0)
		io_uring_queue_exit(&queue->ring);
	store_pool_close(queue->pool);
	free(queue->memory);
	free(queue);
	errno = error;
}

/* Fills queue->memory with guest memory in pieces; how many. */
static unsigned int memory_pieces(struct uring_queue *queue, const struct guest_memory *memory)
{
	unsigned int i, count = 0;
	uint64_t done, piece;

	for (i = 0; i < memory->count; i++)
		for (done = 0; done < memory->region[i].size; done += piece) {
			piece = memory->region[i].size - done;
			if (piece > REGISTERED_BYTES)
				piece = REGISTERED_BYTES;
			if (count == REGISTERED_MAX)
				return count;
			queue->memory[count].iov_base = memory->region[i].host + done;
			queue->memory[count++].iov_len = piece;
		}
	return count;
}

/* A front-end that gives memory back would read stale pages afterwards: only on request. */
static void register_memory(struct uring_queue *queue, const struct guest_memory *memory)
{
	unsigned int count;
	int error;

	queue->memory = calloc(REGISTERED_MAX, sizeof(*queue->memory));
	if (!queue->memory)
		return;
	count = memory_pieces(queue, memory);
	error = io_uring_register_buffers(&queue->ring, queue->memory, count);
	if (error) {
		errno = -error;
		log_errno("%s: guest memory is not registered with io_uring; raise the limit of "
			  "locked memory (ulimit -l), or leave out --register-memory",
			  queue->base.image->name);
		return;
	}
	queue->memory_count = count;
}

static struct store_queue *uring_open(struct store_image *image,
				      const struct store_queue_options *options)
{
	struct uring_queue *queue = calloc(1, sizeof(*queue));
	unsigned int i;
	int error;

	if (!queue)
		return NULL;
	queue->ring.ring_fd = -1;
	store_queue_init(&queue->base, &store_engine_io_uring, image);
	for (i = 0; i < options->watch_count; i++)
		queue->watch[queue->watch_count++] = options->watch[i];
	if (image->block_device) {
		queue->pool = store_pool_open(image, 1);
		if (!queue->pool)
			goto failed;
		queue->watch[queue->watch_count++] = store_pool_fd(queue->pool);
	}
	error = ring_open(&queue->ring, options->depth + STORE_WATCH_MAX + 1);
	if (error) {
		queue->ring.ring_fd = -1;
		errno = -error;
		goto failed;
	}
	queue->multishot = true;
	queue->watch_rearm = (1U << queue->watch_count) - 1;
	queue->file_registered = io_uring_register_files(&queue->ring, &image->fd, 1) == 0;
	io_uring_register_ring_fd(&queue->ring); /* saves a look-up a call; older kernels: no */
	if (options->memory)
		register_memory(queue, options->memory);
	return &queue->base;
failed:
	uring_close(&queue->base);
	return NULL;
}

/* The registered buffer that @piece lies in; -1: none. */
static int memory_find(const struct uring_queue *queue, const struct iovec *piece)
{
	unsigned int i;

	for (i = 0; i < queue->memory_count; i++) {
		uint64_t offset = (uintptr_t)piece->iov_base - (uintptr_t)queue->memory[i].iov_base;

		if (offset < queue->memory[i].iov_len &&
		    piece->iov_len <= queue->memory[i].iov_len - offset)
			return i;
	}
	return -1;
}

static void prepare_transfer(struct uring_queue *queue, struct io_uring_sqe *sqe, int fd,
			     const struct store_io *io)
{
	bool write = io->op == STORE_WRITE;
	int buffer = -1;

	if (queue->memory_count && io->iov_count == 1)
		buffer = memory_find(queue, io->iov);
	if (buffer >= 0) {
		io_uring_prep_rw(write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED, sqe, fd,
				 io->iov->iov_base, io->iov->iov_len, io->offset);
		sqe->buf_index = buffer;
	} else if (io->iov_count == 1) {
		io_uring_prep_rw(write ? IORING_OP_WRITE : IORING_OP_READ, sqe, fd,
				 io->iov->iov_base, io->iov->iov_len, io->offset);
	} else {
		io_uring_prep_rw(write ? IORING_OP_WRITEV : IORING_OP_READV, sqe, fd, io->iov,
				 io->iov_count, io->offset);
	}
	if (io->flags & STORE_IO_DURABLE)
		sqe->rw_flags = RWF_DSYNC;
}

static void uring_prepare(struct uring_queue *queue, struct io_uring_sqe *sqe, struct store_io *io)
{
	int fd = queue->file_registered ? 0 : queue->base.image->fd;

	switch (io->op) {
	case STORE_READ:
	case STORE_WRITE:
		prepare_transfer(queue, sqe, fd, io);
		break;
	case STORE_FLUSH:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case STORE_ZERO:
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
					io->offset, io->bytes);
		break;
	default: /* DISCARD of a file, ZERO_UNMAP */
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					io->offset, io->bytes);
		break;
	}
	if (queue->file_registered)
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, io);
}

static bool uring_start(struct store_queue *base, struct store_io *io)
{
	struct uring_queue *queue = (struct uring_queue *)base;
	struct io_uring_sqe *sqe;

	if (store_inline(base, io))
		return true;
	if (io->op == STORE_ERASE && !queue->pool) {
		io->result = -EOPNOTSUPP;
		return true;
	}
	if (queue->pool && (io->op == STORE_DISCARD || io->op == STORE_ERASE)) {
		store_pool_start(queue->pool, io);
		base->in_flight++;
		return false;
	}
	/* There is an entry for every request and every watch, so none is short of one. */
	sqe = io_uring_get_sqe(&queue->ring);
	if (!sqe) {
		io->result = -EAGAIN;
		return true;
	}
	uring_prepare(queue, sqe, io);
	base->in_flight++;
	return false;
}

/* Failures (EAGAIN, EBUSY, EINTR) leave the entries where they are, for the next call. */
static void uring_submit(struct store_queue *base)
{
	struct uring_queue *queue = (struct uring_queue *)base;

	if (queue->pool)
		store_pool_submit(queue->pool);
	if (io_uring_sq_ready(&queue->ring))
		io_uring_submit_and_get_events(&queue->ring);
}

static void uring_watch_fired(struct uring_queue *queue, const struct io_uring_cqe *cqe)
{
	unsigned int i = cqe->user_data >> 1;

	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	if (cqe->res == -EINVAL)
		queue->multishot = false; /* older than 5.13 */
	queue->watch_rearm |= 1U << i;
}

static unsigned int reap_ring(struct uring_queue *queue, struct store_io **done, unsigned int max)
{
	unsigned int head, seen = 0, count = 0;
	struct io_uring_cqe *cqe;

	io_uring_for_each_cqe(&queue->ring, head, cqe)
	{
		if (cqe->user_data & 1) {
			uring_watch_fired(queue, cqe);
		} else {
			if (count == max)
				break;
			done[count] = io_uring_cqe_get_data(cqe);
			done[count++]->result = cqe->res;
		}
		seen++;
	}
	if (seen)
		io_uring_cq_advance(&queue->ring, seen);
	return count;
}

static unsigned int uring_reap(struct store_queue *base, struct store_io **done, unsigned int max)
{
	struct uring_queue *queue = (struct uring_queue *)base;
	unsigned int count = 0;

	if (queue->pool)
		count = store_pool_reap(queue->pool, done, max);
	/* Completions that wait for us to put them onto the ring: one call fetches them all. */
	if (base->in_flight && !io_uring_cq_ready(&queue->ring) &&
	    (IO_URING_READ_ONCE(*queue->ring.sq.kflags) &
	     (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		io_uring_get_events(&queue->ring);
	count += reap_ring(queue, done + count, max - count);
	base->in_flight -= count;
	return count;
}

static void uring_arm_watches(struct uring_queue *queue)
{
	struct io_uring_sqe *sqe;
	unsigned int i;

	for (i = 0; i < queue->watch_count; i++) {
		if (!(queue->watch_rearm & 1U << i))
			continue;
		sqe = io_uring_get_sqe(&queue->ring);
		if (!sqe)
			return;
		io_uring_prep_poll_add(sqe, queue->watch[i], POLLIN);
		if (queue->multishot)
			sqe->len = IORING_POLL_ADD_MULTI;
		io_uring_sqe_set_data64(sqe, WATCH_TAG(i));
		queue->watch_rearm &= ~(1U << i);
	}
}

static void uring_sleep(struct uring_queue *queue, int64_t timeout_us)
{
	struct __kernel_timespec timeout = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
	struct io_uring_cqe *cqe;
	int result;

	result = io_uring_submit_and_wait_timeout(&queue->ring, &cqe, 1,
						  timeout_us < 0 ? NULL : &timeout, NULL);
	if (result == -EAGAIN || result == -EBUSY) {
		struct timespec pause = {0, 100000};

		nanosleep(&pause, NULL); /* the kernel has no memory for requests just now */
	}
}

static void uring_wait(struct store_queue *base, int64_t timeout_us)
{
	struct uring_queue *queue = (struct uring_queue *)base;

	if (queue->watch_rearm)
		uring_arm_watches(queue);
	if (!queue->pool) {
		uring_sleep(queue, timeout_us);
		return;
	}
	store_pool_submit(queue->pool);
	if (!store_pool_sleep_begin(queue->pool))
		uring_sleep(queue, timeout_us);
	store_pool_sleep_end(queue->pool);
}

const struct store_engine store_engine_io_uring = {
	.name = "io_uring",
	.probe = uring_probe,
	.open = uring_open,
	.close = uring_close,
	.start = uring_start,
	.submit = uring_submit,
	.reap = uring_reap,
	.wait = uring_wait,
};
