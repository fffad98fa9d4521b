/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The virtio block device: what a transport sees of an image.
 */
#ifndef PVKIT_BACKEND_BLK_VIRTIO_BLK_H
#define PVKIT_BACKEND_BLK_VIRTIO_BLK_H

#include "backend/device.h"
#include "backend/store/store.h"
#include "common/stats.h"

struct virtio_blk;

struct virtio_blk_options {
	struct store_image *image; /* both stay the caller's, and outlive the device */
	const struct store_engine *engine;
	struct stats_page *stats;
	unsigned int queues;
	unsigned int queue_size; /* the largest ring that is served */
	const char *serial; /* up to 20 bytes; NULL: the image's own */
	int64_t poll_us; /* < 0: adaptive */
	bool register_memory;
};

/* NULL with errno set. */
struct virtio_blk *virtio_blk_open(const struct virtio_blk_options *options);
/* All queues are stopped. */
void virtio_blk_close(struct virtio_blk *blk);

struct backend_device *virtio_blk_device(struct virtio_blk *blk);

/* The image may have grown: tells the guest if it did. */
void virtio_blk_resize(struct virtio_blk *blk);

#endif
