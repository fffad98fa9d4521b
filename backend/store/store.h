/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The store: where a block device's bytes are, and the engines that move them.
 *
 * An image is a raw file or a block device, opened and locked once for the whole process. Each queue
 * thread opens a store_queue of its own on it: one io_uring, AIO context or set of helper threads,
 * shared with nobody, so no request ever takes a lock that another queue holds. The life of a
 * store_io:
 *
 *	start()		taken; it may be over at once (a cached read is one system call, without the
 *			detour over a ring); otherwise it is staged
 *	submit()	all that is staged goes to the kernel, in one call where the engine can
 *	reap()		those that are over come back, in any order
 *	wait()		sleeps until there is something to reap or a watched descriptor is readable
 *
 * A store_io is one attempt: a short result is reported as it is, and the caller continues.
 */
#ifndef PVKIT_BACKEND_STORE_STORE_H
#define PVKIT_BACKEND_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct guest_memory;

/* ---- the image -------------------------------------------------------------------------------- */

enum store_cache {
	STORE_CACHE_WRITEBACK,
	STORE_CACHE_DIRECT
};

struct store_image_options {
	const char *path; /* NULL: the null image of null_size bytes, without a file */
	uint64_t null_size; /* a multiple of the block size: disk_check_null_size() */
	bool read_only;
	enum store_cache cache;
	uint32_t block_size; /* logical; 0: what the image itself asks for, at least 512 */
};

struct store_image {
	const char *name; /* for messages */
	int fd; /* -1: null image */
	bool read_only, direct, block_device;
	bool memory_backed; /* tmpfs: every byte is in memory, nothing can be waited for */
	bool can_discard;
	bool can_erase; /* for good: STORE_ERASE */
	uint32_t block_size; /* logical; a power of two, 512..4096 */
	uint32_t physical_size; /* what is best written at once; a multiple of block_size */
	uint32_t memory_align; /* of buffers for O_DIRECT; 1: any */
	_Atomic uint64_t size; /* bytes; a multiple of block_size; only ever grows */
	/* Learnt at the first refusal, so that it is asked once: see enum store_op. */
	_Atomic bool no_zero, no_zero_unmap;
	char id[20]; /* a stable serial number, for images that are given none; NUL-padded */
};

/* NULL, reported in one line, when the image cannot be served. */
struct store_image *store_image_open(const struct store_image_options *options);
void store_image_close(struct store_image *image);

/*
 * Reads the size again. 1: it grew; 0: no change; -errno, reported: it cannot be used as it is now,
 * the old size stays (-EINVAL when it shrank: a guest cannot be told to forget sectors).
 */
int store_image_refresh(struct store_image *image);

/* ---- requests --------------------------------------------------------------------------------- */

enum store_op {
	STORE_READ,
	STORE_WRITE,
	STORE_FLUSH, /* everything written before is on stable storage */
	STORE_DISCARD, /* a hint: the range may read as anything now */
	STORE_ZERO, /* reads as zeros; stays allocated */
	STORE_ZERO_UNMAP, /* reads as zeros; may be deallocated */
	STORE_ERASE, /* no copy of the range is left on the device; -EOPNOTSUPP where that cannot be */
};

#define STORE_IO_DURABLE   1 /* WRITE: on stable storage before it is over */
#define STORE_IO_NO_INLINE 2 /* do not try the page cache first: it was just found wanting */

struct store_io {
	uint8_t op, flags;
	uint16_t slot; /* the caller's number of it: unique in its queue, below depth */
	uint32_t iov_count; /* READ, WRITE */
	const struct iovec *iov;
	uint64_t offset;
	uint64_t bytes; /* the sum of iov; the range of the others */
	int64_t result; /* bytes moved; 0 for the others; -errno */
	struct store_io *next; /* the engine's, while it has the request */
};

/* ---- engines ---------------------------------------------------------------------------------- */

struct store_queue {
	const struct store_engine *engine;
	struct store_image *image;
	unsigned int in_flight; /* started and not yet handed back */
	bool inline_reads, inline_writes;
	/* Reads that went to the page cache first and found nothing: see store_inline(). */
	unsigned int inline_skip, inline_penalty;
};

#define STORE_WATCH_MAX 4

struct store_queue_options {
	unsigned int depth; /* most requests in flight */
	/* Descriptors that end a wait() when readable; the caller clears them. */
	int watch[STORE_WATCH_MAX];
	unsigned int watch_count;
	/* Register this memory with the kernel, where the engine can; NULL: do not. */
	const struct guest_memory *memory;
};

struct store_engine {
	const char *name;
	/* Whether this kernel lets us: 0, or -errno. */
	int (*probe)(void);
	/* NULL with errno set. The queue belongs to the thread that opens it. */
	struct store_queue *(*open)(struct store_image *image,
				    const struct store_queue_options *options);
	/* Nothing may be in flight. */
	void (*close)(struct store_queue *queue);
	/* True: over already, io->result is set. */
	bool (*start)(struct store_queue *queue, struct store_io *io);
	void (*submit)(struct store_queue *queue);
	unsigned int (*reap)(struct store_queue *queue, struct store_io **done, unsigned int max);
	/* @timeout_us < 0: none. Submits what is staged in the same call where it can. */
	void (*wait)(struct store_queue *queue, int64_t timeout_us);
};

enum store_engine_kind {
	STORE_IO_URING,
	STORE_LIBAIO,
	STORE_THREADS,
	STORE_NULL
};

extern const struct store_engine store_engine_io_uring, store_engine_libaio, store_engine_threads,
	store_engine_null;

/*
 * The engine of that kind, or the next best where this kernel refuses it, which is then said in one
 * line. NULL, reported, when there is none.
 */
const struct store_engine *store_engine_choose(enum store_engine_kind wanted,
					       enum store_cache cache);

/* ---- for engines ------------------------------------------------------------------------------ */

/* One attempt in this thread: 0 or bytes, or -errno. Blocks. */
int64_t store_sync(struct store_image *image, const struct store_io *io);

/* Sets up the parts of @queue that all engines share. */
void store_queue_init(struct store_queue *queue, const struct store_engine *engine,
		      struct store_image *image);

/*
 * Tries what needs no waiting: true, io->result set, when it is over. Reads that the page cache has
 * are served here.
 */
bool store_inline(struct store_queue *queue, struct store_io *io);

#endif
