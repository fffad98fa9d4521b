/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A slot for one request: its memory is laid out once, and shared with the back-end.
 */
#ifndef PVKIT_TOOLS_LOAD_REQUEST_H
#define PVKIT_TOOLS_LOAD_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/blkif.h"
#include "ring/virtqueue.h"

/* Which parts of it a virtqueue's back-end is shown. */
struct virtio_request {
	struct virtio_blk_outhdr *header; /* blk */
	volatile uint8_t *status; /* blk */
	void *table; /* indirect; NULL: not negotiated */
	uint64_t table_address;
	struct virtqueue_buffer *buffers;
};

/* What a Xen ring's back-end is shown: pages, by their grants. */
struct xen_request {
	uint32_t *references; /* of the data's pages, then of those that list them */
	uint32_t pages, tables;
	union blkif_req slot; /* blk: as it goes onto the ring */
	uint32_t slot_bytes; /* of it */
	uint32_t unanswered; /* net: slots */
	int status; /* net: of those that are answered */
};

struct request {
	struct request *next; /* free list */
	uint8_t *data; /* of the disk; the frame */
	uint64_t start_ns;
	/* What is asked for this time. */
	bool is_write;
	uint64_t block; /* blk: in its queue's part of the disk */
	uint64_t offset; /* blk: on the disk, bytes */
	union {
		struct virtio_request virtio;
		struct xen_request xen;
	};
};

#endif
