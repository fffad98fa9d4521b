/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the two sides agree on: from what the back-end offers and the user wishes to what is used.
 * Freestanding, like wire.h, and for the same reason: the offers are a stranger's numbers.
 */
#ifndef PVKIT_GUEST_DRIVERS_BLK_TERMS_H
#define PVKIT_GUEST_DRIVERS_BLK_TERMS_H

#ifndef __KERNEL__
#include <stdbool.h>
#endif

#include "abi/blkif.h"

#define TERMS_QUEUES_MAX 256
/* Data pages of a queue that the back-end may hold at a time, unless the user says otherwise. */
#define TERMS_PAGES_DEFAULT 1024
#define TERMS_PAGES_MAX     16384

/* The back-end's keys, 0 where there is none. */
struct terms_offer {
	uint32_t queues;
	uint32_t ring_page_order;
	uint32_t ring_pages;
	uint32_t indirect_segments;
	bool flush, barrier, discard, persistent, write_zeroes;
};

/* The user's: module parameters. */
struct terms_wish {
	uint32_t cpus; /* queues, where @queues is 0 */
	uint32_t queues;
	uint32_t poll_queues; /* more, beside these */
	uint32_t ring_page_order;
	uint32_t indirect_segments;
	uint32_t pages;
	bool persistent;
	bool trusted; /* false: only pages of our own are ever granted */
};

struct terms {
	uint32_t queues; /* in all */
	uint32_t poll_queues; /* the last ones of these */
	uint32_t ring_page_order;
	uint32_t segments; /* of a request */
	uint32_t descriptor_pages; /* of a request with that many segments; 0: not indirect */
	uint32_t pages; /* data pages under way in a queue */
	bool persistent; /* the back-end keeps what it mapped */
	bool pooled; /* data is copied into pages that stay granted */
	bool flush, barrier, discard, write_zeroes;
};

void terms_agree(struct terms *terms, const struct terms_offer *offer,
		 const struct terms_wish *wish);

/*
 * Whether a disk that lives under @old can go on under @new, after a resume or with another
 * back-end. NULL: yes, with as many segments as before; else why not.
 */
const char *terms_continue(struct terms *new_terms, const struct terms *old);

/* The disk, by Connected. */
struct terms_disk {
	uint64_t sectors; /* of 512 bytes */
	uint32_t sector_size, physical_sector_size;
	uint32_t info; /* BLKIF_INFO_* */
	uint32_t discard_granularity, discard_alignment;
	bool discard_secure;
};

/*
 * Checks the numbers, and mends those that are only hints. NULL: fit for use; else what is wrong.
 * @page_bytes: the largest sector that the kernel takes.
 */
const char *terms_check_disk(struct terms_disk *disk, uint32_t page_bytes);

#endif
