/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a disk is made of, whichever rings it is served by.
 */
#ifndef PVKIT_BACKEND_BLK_OPTIONS_H
#define PVKIT_BACKEND_BLK_OPTIONS_H

#include "backend/store/store.h"
#include "common/stats.h"

struct blk_options {
	struct store_image *image; /* all three stay the caller's, and outlive the device */
	const struct store_engine *engine;
	struct stats_page *stats;
	unsigned int queues;
	unsigned int queue_size; /* virtio: the largest ring that is served */
	const char *serial; /* up to 20 characters; NULL: the image's own */
	int64_t poll_us; /* < 0: adaptive */
	bool register_memory;
};

#endif
