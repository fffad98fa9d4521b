/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One block request, in the daemon's own terms: neither virtio's nor blkif's.
 *
 * Where it came from (source.h) fills in the private copy of what the guest asked for. validate.h
 * judges that copy, execute.h carries it out on the store and leaves ->status, and the source turns
 * that into its protocol's answer. Each queue has as many of these as its ring has places, made
 * when the queue starts, so the data path allocates nothing.
 */
#ifndef PVKIT_BACKEND_BLK_REQUEST_H
#define PVKIT_BACKEND_BLK_REQUEST_H

#include "backend/store/store.h"
#include "ring/guest_memory.h"

#define BLK_SECTOR 512 /* the unit of addresses in both protocols, whatever the block size */

/* Pieces of data in one request: what fits a ring of 128 beside header and status. */
#define BLK_SEGMENTS_MAX      126
#define BLK_SEGMENT_BYTES_MAX (1U << 20)
/* Room for the data and for a header and a status cut into 16 pieces and more. */
#define BLK_IOV_MAX (BLK_SEGMENTS_MAX + 18)

/* Discard, secure erase and write-zeroes: ranges a request, and sectors a range. */
#define BLK_RANGES_MAX        16
#define BLK_RANGE_SECTORS_MAX (1U << 22)

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	BLK_DISCARD,
	BLK_WRITE_ZEROES,
	BLK_SECURE_ERASE,
	BLK_GET_ID,
	BLK_UNKNOWN, /* well formed, but no operation that we know */
	BLK_MALFORMED, /* pieces missing, unreachable or too many */
};

enum blk_status {
	BLK_OK,
	BLK_ERROR,
	BLK_UNSUPPORTED
};

/* In sectors, as the guest wrote it: the sum may wrap, validate.c sees to that. */
struct blk_range {
	uint64_t sector;
	uint32_t sectors;
	bool unmap, reserved; /* flag that was set; a bit that means nothing was set */
};

struct blk_request {
	/* What the guest asked: the copy that is validated and used. */
	uint8_t op;
	uint8_t status; /* enum blk_status, when it is over */
	uint16_t iov_count;
	struct ring_iovec *iov; /* data, in ->pieces; moves forward as they are transferred */
	uint64_t sector;
	uint64_t bytes; /* of data, or of ranges together */

	/* The source's: how to answer. */
	uint16_t chain_id, chain_slots;
	uint32_t written; /* bytes that the answer says were written to the guest */
	uint8_t *status_at; /* NULL: cannot be told */

	uint64_t start_ns;

	/* Progress: see execute.c. */
	struct store_io io;
	uint64_t offset, left; /* of the image; bytes of data or of the current range */
	uint8_t phase, retries;
	bool bounced;
	uint16_t range_next;

	uint16_t range_count;
	struct blk_range ranges[BLK_RANGES_MAX];
	void *bounce; /* for buffers that O_DIRECT cannot take; made when first needed */
	struct iovec bounce_iov;
	struct ring_iovec pieces[BLK_IOV_MAX];
};

/* Takes @bytes off the front of the request's data. */
static inline void blk_request_advance(struct blk_request *request, uint64_t bytes)
{
	while (request->iov_count && bytes >= request->iov->length) {
		bytes -= request->iov->length;
		request->iov++;
		request->iov_count--;
	}
	if (bytes) {
		request->iov->base = (uint8_t *)request->iov->base + bytes;
		request->iov->length -= bytes;
	}
}

#endif
