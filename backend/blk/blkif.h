/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The Xen block device: what the Xen transport sees of an image.
 */
#ifndef PVKIT_BACKEND_BLK_BLKIF_H
#define PVKIT_BACKEND_BLK_BLKIF_H

#include "backend/blk/options.h"
#include "backend/transport/xen.h"

struct blkif;

/* NULL with errno set. */
struct blkif *blkif_open(const struct blk_options *options);
/* All queues are stopped. NULL is allowed. */
void blkif_close(struct blkif *blkif);

struct xen_device *blkif_device(struct blkif *blkif);

/* The image may have grown: tells the guest if it did. */
void blkif_resize(struct blkif *blkif);

#endif
