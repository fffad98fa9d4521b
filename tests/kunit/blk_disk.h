/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all suites of the block front-end do with their disk: plug it, and read and write.
 */
#ifndef PVKIT_TESTS_KUNIT_BLK_DISK_H
#define PVKIT_TESTS_KUNIT_BLK_DISK_H

#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/completion.h>

#include "guest-drivers/blk/blk.h"
#include "tests/kunit/blk_backend.h"

#define PAGES 80 /* of the buffers: more than one request takes */

struct blk_ours {
	struct pvkit_device *device;
	struct terms_wish parameters; /* as they were before */
	struct page *page[PAGES];
	bool registered;
};

extern struct blk_ours ours;
extern const struct backend_offer everything;

/* Waits for a condition that others bring about. */
#define EVENTUALLY(test, condition)                           \
	do {                                                  \
		int tries;                                    \
		for (tries = 0; tries < 500 && !(condition);) \
			msleep(++tries > 5 ? 10 : 1);         \
		KUNIT_EXPECT_TRUE(test, condition);           \
	} while (0)

/* ---- the device ---- */

struct pvd *pvd_of(void);
bool find_device(void);
bool shown(void);
bool front_is(enum store_state state);
struct gendisk *disk(void);
/* A device, and, unless it is @hopeless, its disk. */
void plug(struct kunit *test, const struct backend_offer *offer, bool hopeless);
void unregister(void);

/* ---- I/O ---- */

struct io {
	struct bio *bio;
	struct completion done;
	int error;
};

/* @bytes from @offset into our pages on. */
void io_start(struct io *io, blk_opf_t opf, sector_t sector, unsigned int offset,
	      unsigned int bytes);
int io_wait(struct io *io);
int do_io(blk_opf_t opf, sector_t sector, unsigned int offset, unsigned int bytes);
/* Reads and writes of 4096 bytes in turn, and what became of them. */
void start_some(struct io *io, unsigned int count);
void expect_all(struct kunit *test, struct io *io, unsigned int count, int error);

/* A pattern into our pages; whether it is there. */
void fill(unsigned int offset, unsigned int bytes, u8 seed);
bool filled(unsigned int offset, unsigned int bytes, u8 seed);
/* Sizes and places of all kinds, out and in. */
void write_and_read_back(struct kunit *test);

/* ---- of each suite ---- */

int blk_init(struct kunit *test);
void blk_leave(struct kunit *test);

#endif
