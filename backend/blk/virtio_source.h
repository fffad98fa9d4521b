/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Virtio block requests: from descriptor chains to struct blk_request and back.
 */
#ifndef PVKIT_BACKEND_BLK_VIRTIO_SOURCE_H
#define PVKIT_BACKEND_BLK_VIRTIO_SOURCE_H

#include "backend/blk/source.h"
#include "backend/queue.h"

struct virtio_source {
	struct blk_source base;
	struct backend_queue *queue;
	const char *device; /* for messages */
};

void virtio_source_init(struct virtio_source *source, struct backend_queue *queue,
			const char *device);

#endif
