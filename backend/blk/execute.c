// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Execution is a loop of steps: prepare one store_io, start it, look at its result, and go on with
 * what is left. A short read or write is continued where it stopped. A range that the file system
 * cannot zero by itself is zeroed by the next best means, in the end by writing zeros. Nothing is
 * called done that was not: bytes that the store did not move, for whatever reason, are an error.
 *
 * Buffers that O_DIRECT refuses, being off its alignment, go through a bounce buffer piece by piece.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/blk/execute.h"
#include "common/log.h"

#define BOUNCE_BYTES (64U << 10)
#define BOUNCE_ALIGN 4096

#define ZERO_BYTES  (64U << 10)
#define ZERO_PIECES 16

/* The kernel may be short of memory for a moment; it must not be for ever. */
#define RETRIES_MAX 16

enum phase {
	PHASE_TRANSFER, /* READ, WRITE: ->iov, ->offset, ->left */
	PHASE_RANGE, /* DISCARD, SECURE_ERASE, WRITE_ZEROES: the current range in one step */
	PHASE_ZERO_WRITE, /* WRITE_ZEROES: by writing zeros at ->offset, ->left */
	PHASE_FLUSH, /* FLUSH, or the end of a WRITE_ZEROES that is to be durable */
};

/* io.iov of a request is a struct ring_iovec array in its other clothes. */
_Static_assert(sizeof(struct iovec) == sizeof(struct ring_iovec), "layout");
_Static_assert(offsetof(struct iovec, iov_base) == offsetof(struct ring_iovec, base), "layout");
_Static_assert(offsetof(struct iovec, iov_len) == offsetof(struct ring_iovec, length), "layout");

static uint8_t zeros[ZERO_BYTES] __attribute__((aligned(BOUNCE_ALIGN)));

static bool over(struct blk_request *request, enum blk_status status)
{
	request->status = status;
	return true;
}

static const char *const op_names[] = {
	[STORE_READ] = "read",          [STORE_WRITE] = "write",
	[STORE_FLUSH] = "flush",        [STORE_DISCARD] = "discard",
	[STORE_ZERO] = "write zeroes",  [STORE_ZERO_UNMAP] = "write zeroes",
	[STORE_ERASE] = "secure erase",
};

static bool failed(const struct blk_execute *execute, struct blk_request *request, int error)
{
	static struct log_limit limit;

	log_peer(&limit, "%s: %s of %" PRIu64 " bytes at byte %" PRIu64 ": %s; %s",
		 execute->store->image->name, op_names[request->io.op], request->io.bytes,
		 request->io.offset, strerror(error),
		 error == ENOSPC || error == EDQUOT
			 ? "free some space, writes then succeed again"
			 : "the guest sees an I/O error; check the image and its disk");
	return over(request, BLK_ERROR);
}

/* ---- transfers -------------------------------------------------------------------------------- */

/* The kernel wants every piece to begin at the device's alignment and to be whole blocks long. */
static bool aligned(const struct store_image *image, const struct blk_request *request)
{
	uintptr_t bases = 0, lengths = 0;
	unsigned int i;

	for (i = 0; i < request->iov_count; i++) {
		bases |= (uintptr_t)request->iov[i].base;
		lengths |= request->iov[i].length;
	}
	return !(bases & (image->memory_align - 1)) && !(lengths & (image->block_size - 1));
}

/* Copies between the front of the request's data and its bounce buffer. */
static void bounce_copy(struct blk_request *request, uint64_t bytes, bool to_guest)
{
	const struct ring_iovec *piece = request->iov;
	uint8_t *bounce = request->bounce;
	uint64_t part;

	for (; bytes; piece++, bytes -= part, bounce += part) {
		part = piece->length < bytes ? piece->length : bytes;
		if (to_guest)
			memcpy(piece->base, bounce, part);
		else
			memcpy(bounce, piece->base, part);
	}
}

static int bounce_prepare(struct blk_request *request)
{
	uint64_t bytes = request->left < BOUNCE_BYTES ? request->left : BOUNCE_BYTES;

	if (!request->bounce && posix_memalign(&request->bounce, BOUNCE_ALIGN, BOUNCE_BYTES) != 0) {
		request->bounce = NULL;
		return -1;
	}
	if (request->op == BLK_WRITE)
		bounce_copy(request, bytes, false);
	request->bounce_iov = (struct iovec){request->bounce, bytes};
	request->io.iov = &request->bounce_iov;
	request->io.iov_count = 1;
	request->io.bytes = bytes;
	return 0;
}

static int transfer_prepare(struct blk_execute *execute, struct blk_request *request)
{
	const struct store_image *image = execute->store->image;
	struct store_io *io = &request->io;

	io->op = request->op == BLK_READ ? STORE_READ : STORE_WRITE;
	if (io->op == STORE_WRITE && execute->write_through)
		io->flags |= STORE_IO_DURABLE;
	io->offset = request->offset;
	io->bytes = request->left;
	io->iov = (const struct iovec *)request->iov;
	io->iov_count = request->iov_count;
	request->bounced = image->memory_align > 1 && !aligned(image, request);
	return request->bounced ? bounce_prepare(request) : 0;
}

static bool transfer_result(struct blk_execute *execute, struct blk_request *request)
{
	uint64_t moved = request->io.result;

	if (moved == request->left && !request->bounced)
		return over(request, BLK_OK);

	/* Direct I/O goes on at a block's beginning only: what is moved of one is moved again. */
	if (execute->store->image->direct)
		moved -= moved % execute->store->image->block_size;
	/* The end of the file, which lay further when the request was validated. */
	if (!moved)
		return failed(execute, request, EIO);
	if (request->bounced && request->op == BLK_READ)
		bounce_copy(request, moved, true);
	blk_request_advance(request, moved);
	request->offset += moved;
	request->left -= moved;
	request->io.flags |= STORE_IO_NO_INLINE;
	return !request->left && over(request, BLK_OK);
}

/* ---- ranges ----------------------------------------------------------------------------------- */

static void range_begin(struct blk_request *request)
{
	const struct blk_range *range = &request->ranges[request->range_next];

	request->phase = PHASE_RANGE;
	request->offset = range->sector * BLK_SECTOR;
	request->left = (uint64_t)range->sectors * BLK_SECTOR;
}

/* How this range is zeroed best, as far as the image is known to allow it. */
static enum store_op zero_op(const struct store_image *image, const struct blk_range *range)
{
	if (range->unmap && !image->no_zero_unmap)
		return STORE_ZERO_UNMAP;
	return image->no_zero ? STORE_WRITE : STORE_ZERO;
}

static void zero_write_prepare(struct blk_request *request)
{
	uint64_t bytes = 0, part;
	unsigned int i;

	/* ->pieces held the ranges, which were copied. */
	for (i = 0; i < ZERO_PIECES && bytes < request->left; i++, bytes += part) {
		part = request->left - bytes < ZERO_BYTES ? request->left - bytes : ZERO_BYTES;
		request->pieces[i] = (struct ring_iovec){zeros, part};
	}
	request->io.iov = (const struct iovec *)request->pieces;
	request->io.iov_count = i;
	request->io.bytes = bytes;
}

static void range_prepare(struct blk_execute *execute, struct blk_request *request)
{
	struct store_io *io = &request->io;

	if (request->phase == PHASE_ZERO_WRITE)
		io->op = STORE_WRITE;
	else if (request->op == BLK_DISCARD)
		io->op = STORE_DISCARD;
	else if (request->op == BLK_SECURE_ERASE)
		io->op = STORE_ERASE;
	else
		io->op = zero_op(execute->store->image, &request->ranges[request->range_next]);
	io->offset = request->offset;
	io->bytes = request->left;
	if (io->op == STORE_WRITE) {
		request->phase = PHASE_ZERO_WRITE;
		zero_write_prepare(request);
	}
}

/* This range is over: the next, the flush behind the last, or the end. */
static bool range_next(struct blk_execute *execute, struct blk_request *request)
{
	if (++request->range_next < request->range_count) {
		range_begin(request);
		return false;
	}
	if (request->op == BLK_WRITE_ZEROES && execute->write_through) {
		request->phase = PHASE_FLUSH;
		return false;
	}
	return over(request, BLK_OK);
}

static bool zero_write_result(struct blk_execute *execute, struct blk_request *request)
{
	uint64_t moved = request->io.result;

	if (execute->store->image->direct)
		moved -= moved % execute->store->image->block_size;
	if (!moved)
		return failed(execute, request, EIO);
	request->offset += moved;
	request->left -= moved;
	return !request->left && range_next(execute, request);
}

/* False with nothing changed but what is known of the image: the next means is tried. */
static bool range_refused(struct blk_execute *execute, struct blk_request *request)
{
	struct store_image *image = execute->store->image;

	if (request->io.op == STORE_DISCARD)
		return range_next(execute, request); /* it was a hint */
	if (request->io.op == STORE_ERASE)
		return over(request, BLK_UNSUPPORTED); /* nothing else will do */
	if (request->io.op == STORE_ZERO_UNMAP)
		image->no_zero_unmap = true;
	else
		image->no_zero = true;
	return false;
}

/* ---- steps ------------------------------------------------------------------------------------ */

static int prepare(struct blk_execute *execute, struct blk_request *request)
{
	switch (request->phase) {
	case PHASE_TRANSFER:
		return transfer_prepare(execute, request);
	case PHASE_FLUSH:
		request->io.op = STORE_FLUSH;
		request->io.offset = request->io.bytes = 0;
		return 0;
	default:
		range_prepare(execute, request);
		return 0;
	}
}

static bool error_result(struct blk_execute *execute, struct blk_request *request)
{
	int error = -request->io.result;

	if ((error == EAGAIN || error == EINTR) && request->retries++ < RETRIES_MAX)
		return false;
	if (error == EOPNOTSUPP && request->phase == PHASE_RANGE)
		return range_refused(execute, request);
	return failed(execute, request, error);
}

/* True: the request is over. False: another step is to be prepared. */
static bool result(struct blk_execute *execute, struct blk_request *request)
{
	if (request->io.result < 0)
		return error_result(execute, request);
	switch (request->phase) {
	case PHASE_TRANSFER:
		return transfer_result(execute, request);
	case PHASE_ZERO_WRITE:
		return zero_write_result(execute, request);
	case PHASE_FLUSH:
		return over(request, BLK_OK);
	default:
		return range_next(execute, request);
	}
}

static bool steps(struct blk_execute *execute, struct blk_request *request)
{
	struct store_queue *store = execute->store;

	do {
		if (prepare(execute, request) < 0)
			return failed(execute, request, ENOMEM);
		if (!store->engine->start(store, &request->io))
			return false;
	} while (!result(execute, request));
	return true;
}

static bool get_id(struct blk_execute *execute, struct blk_request *request)
{
	uint64_t part, done = 0;

	for (; request->iov_count && done < sizeof(execute->store->image->id); done += part) {
		part = sizeof(execute->store->image->id) - done;
		if (part > request->iov->length)
			part = request->iov->length;
		memcpy(request->iov->base, execute->id + done, part);
		blk_request_advance(request, part);
	}
	request->bytes = done;
	return over(request, BLK_OK);
}

bool blk_execute_start(struct blk_execute *execute, struct blk_request *request)
{
	request->io.flags = 0;
	request->retries = 0;
	switch (request->op) {
	case BLK_READ:
	case BLK_WRITE:
		request->phase = PHASE_TRANSFER;
		request->offset = request->sector * BLK_SECTOR;
		request->left = request->bytes;
		break;
	case BLK_FLUSH:
		request->phase = PHASE_FLUSH;
		break;
	case BLK_GET_ID:
		return get_id(execute, request);
	default:
		request->range_next = 0;
		range_begin(request);
		break;
	}
	return steps(execute, request);
}

bool blk_execute_continue(struct blk_execute *execute, struct blk_request *request)
{
	return result(execute, request) || steps(execute, request);
}
