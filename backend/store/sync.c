// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * One attempt at a request in the calling thread: what helper threads run, and what is quicker done
 * at once than sent anywhere.
 *
 * A page that is in memory costs a system call and a copy; a trip over a ring to a kernel worker and
 * back costs ten times that. So reads are first tried with RWF_NOWAIT, which answers EAGAIN instead
 * of waiting for a disk. A file in tmpfs has nothing to wait for, so there the plain calls do, and
 * writes too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/store/store.h"

/* Reads that skip the page cache after one, two, … that found nothing there. */
#define INLINE_PENALTY_MAX 64

static int64_t sync_range(struct store_image *image, const struct store_io *io, int mode)
{
	if (fallocate(image->fd, mode | FALLOC_FL_KEEP_SIZE, io->offset, io->bytes) < 0)
		return -errno;
	return 0;
}

static int64_t sync_discard(struct store_image *image, const struct store_io *io)
{
	uint64_t range[2] = {io->offset, io->bytes};

	if (!image->block_device)
		return sync_range(image, io, FALLOC_FL_PUNCH_HOLE);
	return ioctl(image->fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

static int64_t sync_erase(struct store_image *image, const struct store_io *io)
{
	uint64_t range[2] = {io->offset, io->bytes};

	if (!image->block_device)
		return -EOPNOTSUPP;
	return ioctl(image->fd, BLKSECDISCARD, range) < 0 ? -errno : 0;
}

static ssize_t sync_read(int fd, const struct store_io *io, int flags)
{
	if (io->iov_count == 1 && !flags)
		return pread(fd, io->iov->iov_base, io->iov->iov_len, io->offset);
	return preadv2(fd, io->iov, io->iov_count, io->offset, flags);
}

static ssize_t sync_write(int fd, const struct store_io *io)
{
	int flags = io->flags & STORE_IO_DURABLE ? RWF_DSYNC : 0;

	if (io->iov_count == 1 && !flags)
		return pwrite(fd, io->iov->iov_base, io->iov->iov_len, io->offset);
	return pwritev2(fd, io->iov, io->iov_count, io->offset, flags);
}

int64_t store_sync(struct store_image *image, const struct store_io *io)
{
	int64_t result;

	do {
		switch (io->op) {
		case STORE_READ:
			result = sync_read(image->fd, io, 0);
			break;
		case STORE_WRITE:
			result = sync_write(image->fd, io);
			break;
		case STORE_FLUSH:
			result = fdatasync(image->fd);
			break;
		case STORE_DISCARD:
			return sync_discard(image, io);
		case STORE_ERASE:
			return sync_erase(image, io);
		case STORE_ZERO:
			return sync_range(image, io, FALLOC_FL_ZERO_RANGE);
		case STORE_ZERO_UNMAP:
			return sync_range(image, io, FALLOC_FL_PUNCH_HOLE);
		default:
			return -EOPNOTSUPP;
		}
	} while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : result;
}

/*
 * A queue whose reads miss the cache stops asking for a while, twice as long each time, so that a
 * disk larger than memory pays next to nothing for the question.
 */
static bool inline_cached_read(struct store_queue *queue, struct store_io *io)
{
	ssize_t result;

	if (queue->inline_skip) {
		queue->inline_skip--;
		return false;
	}
	result = sync_read(queue->image->fd, io, RWF_NOWAIT);
	if (result > 0) {
		queue->inline_penalty = 0;
		io->result = result;
		return true;
	}
	if (result < 0 && errno == EOPNOTSUPP) {
		queue->inline_reads = false;
		return false;
	}
	queue->inline_penalty = queue->inline_penalty * 2 + 1;
	if (queue->inline_penalty > INLINE_PENALTY_MAX)
		queue->inline_penalty = INLINE_PENALTY_MAX;
	queue->inline_skip = queue->inline_penalty;
	return false;
}

bool store_inline(struct store_queue *queue, struct store_io *io)
{
	if (queue->inline_writes && io->op <= STORE_FLUSH) {
		io->result = store_sync(queue->image, io);
		return true;
	}
	if (queue->inline_reads && io->op == STORE_READ && !(io->flags & STORE_IO_NO_INLINE))
		return inline_cached_read(queue, io);
	return false;
}

void store_queue_init(struct store_queue *queue, const struct store_engine *engine,
		      struct store_image *image)
{
	queue->engine = engine;
	queue->image = image;
	queue->inline_writes = image->memory_backed;
	queue->inline_reads = !image->direct && image->fd >= 0;
}
