/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The virtio block device: what a transport sees of an image.
 */
#ifndef PVKIT_BACKEND_BLK_VIRTIO_BLK_H
#define PVKIT_BACKEND_BLK_VIRTIO_BLK_H

#include "backend/blk/options.h"
#include "backend/device.h"

struct virtio_blk;

/* NULL with errno set. */
struct virtio_blk *virtio_blk_open(const struct blk_options *options);
/* All queues are stopped. */
void virtio_blk_close(struct virtio_blk *blk);

struct backend_device *virtio_blk_device(struct virtio_blk *blk);

/* The image may have grown: tells the guest if it did. */
void virtio_blk_resize(struct virtio_blk *blk);

#endif
