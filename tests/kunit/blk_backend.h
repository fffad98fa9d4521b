/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A block back-end for the block front-end's suite: a thread with an image in
 * memory, all of blkif's features, and the habits of a hostile one.
 */
#ifndef PVKIT_TESTS_KUNIT_BLK_BACKEND_H
#define PVKIT_TESTS_KUNIT_BLK_BACKEND_H

#include <linux/types.h>

#include "abi/blkif.h"
#include "abi/store.h"

#define BACKEND_ID    51728
#define BACKEND_FRONT "/local/domain/1/device/vbd/51728"
#define BACKEND_BACK  "/local/domain/0/backend/vbd/1/51728"

#define BACKEND_QUEUES_MAX 4

/* What fills a page that the back-end must not see. */
#define BACKEND_SECRET 0x5a

#define BACKEND_SECTORS 8192 /* of 512 bytes; the image has twice as many */

enum backend_mood {
	BACKEND_GOOD,
	BACKEND_SILENT, /* takes no request */
	BACKEND_ERROR,
	BACKEND_REFUSES,
	BACKEND_LOSES_NOTIFICATION,
	BACKEND_DIES, /* takes requests, begins to use their pages, and is heard of no more */
	/* A breach of the protocol each. */
	BACKEND_BAD_STATUS,
	BACKEND_BAD_ID,
	BACKEND_TWICE,
	BACKEND_BAD_OPERATION,
	BACKEND_TOO_MANY,
	BACKEND_KEEPS_PAGES, /* answers, and still uses what it was granted */
	BACKEND_MOODS,
};

struct backend_offer {
	unsigned int queues, ring_page_order, indirect;
	unsigned int sector_size, info;
	const char *sectors; /* NULL: BACKEND_SECTORS */
	const char *serial; /* NULL: one with characters that do not print */
	const char *device_type, *trusted; /* keys of the front-end's directory; NULL: absent */
	bool flush, barrier, discard, secure, write_zeroes, persistent;
	bool look; /* for secrets in all that it is granted */
};

struct backend {
	struct backend_offer offer;
	enum backend_mood mood;
	bool storms; /* notifies all the time, whatever its mood */
	enum store_state state;
	u8 *image;
	unsigned int queues; /* that are mapped */
	/* What it saw. */
	unsigned int reads, writes, flushes, barriers, discards, secures, zeroes, indirects;
	unsigned int connections;
	unsigned int taken[BACKEND_QUEUES_MAX]; /* requests, by queue */
	unsigned int secrets; /* pages with a secret, of all that it was granted */
	u8 *page; /* the last one with data */
	unsigned int faults; /* of the front-end: grants that do not permit, sizes that cannot be */
	u8 zeroes_flags;
};

extern struct backend backend;

/* Both directories, and the thread. */
int backend_start(const struct backend_offer *offer);
void backend_stop(void);

/* Orderly: online = 0, Closing. */
void backend_unplug(void);
/* At once: Closed, nothing is served any more. */
void backend_vanish(void);
/* Another one takes over: InitWait, out of nothing. */
void backend_replace(void);
/* @sectors of 512 bytes, at most twice BACKEND_SECTORS. */
void backend_resize(unsigned int sectors);
/* Is good, and lets go of pages that it kept. */
void backend_forgive(void);
/* Requests that are on its rings and not taken. */
unsigned int backend_waiting(void);

#endif
