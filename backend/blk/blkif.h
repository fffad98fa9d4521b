/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The Xen block device: what the Xen transport sees of an image.
 */
#ifndef PVKIT_BACKEND_BLK_BLKIF_H
#define PVKIT_BACKEND_BLK_BLKIF_H

#include "backend/store/store.h"
#include "backend/transport/xen.h"
#include "common/stats.h"

struct blkif;

struct blkif_options {
	struct store_image *image; /* both stay the caller's, and outlive the device */
	const struct store_engine *engine;
	struct stats_page *stats;
	unsigned int queues;
	const char *serial; /* NULL: the image's own */
	int64_t poll_us; /* < 0: adaptive */
	bool register_memory;
};

/* NULL with errno set. */
struct blkif *blkif_open(const struct blkif_options *options);
/* All queues are stopped. NULL is allowed. */
void blkif_close(struct blkif *blkif);

struct xen_device *blkif_device(struct blkif *blkif);

/* The image may have grown: tells the guest if it did. */
void blkif_resize(struct blkif *blkif);

#endif
