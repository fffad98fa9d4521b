// SPDX-License-Identifier: GPL-2.0
/*
 * The block front-end against a back-end in the same kernel: blk-mq above it is
 * the real one, and lockdep and KASAN look on. Catalogue: F50 (responses that
 * cannot be), G55 (a back-end that is silent or gone), F52 (a page that is
 * still in use when its owner wants it back), keys that make no disk.
 */
#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>

#include "guest-drivers/blk/blk.h"
#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/blk_backend.h"
#include "tests/kunit/fake.h"

#define PAGES 80 /* of the buffers: more than one request takes */

static struct {
	struct pvkit_device *device;
	struct terms_wish parameters; /* as they were before */
	struct page *page[PAGES];
	bool registered;
} self;

static const struct backend_offer everything = {
	.queues = 4,
	.ring_page_order = 1,
	.indirect = 64,
	.flush = true,
	.barrier = true,
	.discard = true,
	.secure = true,
	.write_zeroes = true,
};

/* Waits for a condition that others bring about. */
#define EVENTUALLY(test, condition)                           \
	do {                                                  \
		int tries;                                    \
		for (tries = 0; tries < 500 && !(condition);) \
			msleep(++tries > 5 ? 10 : 1);         \
		KUNIT_EXPECT_TRUE(test, condition);           \
	} while (0)

/* ---- the device
 * ------------------------------------------------------------------------------
 */

static struct pvd *pvd_of(void)
{
	return self.device ? dev_get_drvdata(&self.device->dev) : NULL;
}

static bool find_device(void)
{
	struct device *dev = bus_find_device_by_name(pvd_driver.driver.bus, NULL, "vbd-51728");

	if (!dev)
		return false;
	put_device(dev);
	self.device = to_pvkit_device(dev);
	return pvd_of();
}

static bool shown(void)
{
	return find_device() && test_bit(PVD_ADDED, &pvd_of()->flags);
}

static bool front_is(enum store_state state)
{
	const char *value = fake_store_get(BACKEND_FRONT "/state");

	return value && value[0] == '0' + state;
}

static struct gendisk *disk(void)
{
	return pvd_of()->disk;
}

/* A device, and, unless it is @hopeless, its disk. */
static void plug(struct kunit *test, const struct backend_offer *offer, bool hopeless)
{
	KUNIT_ASSERT_EQ(test, backend_start(offer), 0);
	EVENTUALLY(test, find_device());
	if (!hopeless)
		EVENTUALLY(test, shown());
	KUNIT_ASSERT_TRUE(test, hopeless || shown());
}

static void unregister(void)
{
	if (self.registered)
		pvkit_driver_unregister(&pvd_driver);
	self.registered = false;
}

/* ---- I/O
 * -------------------------------------------------------------------------------------
 */

struct io {
	struct bio *bio;
	struct completion done;
	int error;
};

static void io_end(struct bio *bio)
{
	struct io *io = bio->bi_private;

	io->error = blk_status_to_errno(bio->bi_status);
	complete(&io->done);
}

/* @bytes from @offset into our pages on. */
static void io_start(struct io *io, blk_opf_t opf, sector_t sector, unsigned int offset,
		     unsigned int bytes)
{
	unsigned int i = offset / PAGE_SIZE;

	init_completion(&io->done);
	io->bio = bio_alloc(disk()->part0, PAGES, opf, GFP_KERNEL);
	io->bio->bi_iter.bi_sector = sector;
	io->bio->bi_private = io;
	io->bio->bi_end_io = io_end;
	for (offset %= PAGE_SIZE; bytes; offset = 0, i++) {
		unsigned int part = min_t(unsigned int, bytes, PAGE_SIZE - offset);

		bio_add_page(io->bio, self.page[i], part, offset);
		bytes -= part;
	}
	submit_bio(io->bio);
}

static int io_wait(struct io *io)
{
	if (!wait_for_completion_timeout(&io->done, 20 * HZ))
		return -ETIME; /* and the bio stays whose it is */
	bio_put(io->bio);
	return io->error;
}

static int do_io(blk_opf_t opf, sector_t sector, unsigned int offset, unsigned int bytes)
{
	static struct io io;

	io_start(&io, opf, sector, offset, bytes);
	return io_wait(&io);
}

static u8 pattern(unsigned int at, u8 seed)
{
	return (u8)(at * 7 + at / 512 * 13 + at / 4096 + seed);
}

static void fill(unsigned int offset, unsigned int bytes, u8 seed)
{
	unsigned int at;

	for (at = offset; at < offset + bytes; at++)
		((u8 *)page_address(self.page[at / PAGE_SIZE]))[at % PAGE_SIZE] =
			pattern(at - offset, seed);
}

static bool filled(unsigned int offset, unsigned int bytes, u8 seed)
{
	unsigned int at;

	for (at = offset; at < offset + bytes; at++)
		if (((u8 *)page_address(self.page[at / PAGE_SIZE]))[at % PAGE_SIZE] !=
		    pattern(at - offset, seed))
			return false;
	return true;
}

/* Sizes and places of all kinds, out and in. */
static void write_and_read_back(struct kunit *test)
{
	static const struct {
		unsigned int offset, bytes;
	} shape[] = {
		{0, 512},          {3584, 512},      {512, 1024},      {0, 4096},
		{2048, 4096},      {512, 11 * 4096}, {0, 11 * 4096},   {0, 12 * 4096},
		{1024, 40 * 4096}, {0, 64 * 4096},   {512, 79 * 4096},
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(shape); i++) {
		unsigned int offset = shape[i].offset, bytes = shape[i].bytes;
		sector_t sector = 8 + i * 3;

		memset(backend.image, 0xee, 2 * BACKEND_SECTORS * 512);
		fill(offset, bytes, i);
		KUNIT_ASSERT_EQ(test, do_io(REQ_OP_WRITE, sector, offset, bytes), 0);
		for (j = 0; j < bytes; j++)
			if (backend.image[sector * 512 + j] != pattern(j, i))
				break;
		KUNIT_EXPECT_EQ_MSG(test, j, bytes, "written, shape %u", i);
		KUNIT_EXPECT_EQ(test, backend.image[sector * 512 - 1], 0xee);
		KUNIT_EXPECT_EQ(test, backend.image[sector * 512 + bytes], 0xee);
		fill(offset, bytes, 99);
		KUNIT_ASSERT_EQ(test, do_io(REQ_OP_READ, sector, offset, bytes), 0);
		KUNIT_EXPECT_TRUE_MSG(test, filled(offset, bytes, i), "read, shape %u", i);
	}
	KUNIT_EXPECT_EQ(test, backend.faults, 0U);
}

/* ---- what it is for
 * -------------------------------------------------------------------------- */

static void direct(struct kunit *test)
{
	struct pvkit_grants_count count;

	plug(test, &everything, false);
	KUNIT_EXPECT_STREQ(test, disk()->disk_name, "pvdb");
	KUNIT_EXPECT_EQ(test, get_capacity(disk()), (sector_t)BACKEND_SECTORS);
	KUNIT_EXPECT_STREQ(test, pvd_of()->serial, "a_b_c");
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CONNECTED));
	KUNIT_EXPECT_EQ(test, queue_max_segments(disk()->queue), 64);
	write_and_read_back(test);
	KUNIT_EXPECT_GT(test, backend.indirects, 0U);
	/* Data pages are granted for their request only: what stays are rings and
   * descriptors. */
	pvkit_grants_count(&count);
	KUNIT_EXPECT_EQ(test, count.given, 2U + 64U);
}

static void without_indirect(struct kunit *test)
{
	struct backend_offer offer = {};

	plug(test, &offer, false);
	KUNIT_EXPECT_EQ(test, queue_max_segments(disk()->queue), 11);
	write_and_read_back(test);
	KUNIT_EXPECT_EQ(test, backend.indirects, 0U);
}

static void persistent(struct kunit *test)
{
	struct backend_offer offer = everything;

	pvd_parameters.persistent = true;
	offer.persistent = true;
	plug(test, &offer, false);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.persistent);
	write_and_read_back(test);
}

static void untrusted(struct kunit *test)
{
	pvd_parameters.trusted = false;
	plug(test, &everything, false);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.pooled);
	KUNIT_EXPECT_STREQ(test, fake_store_get(BACKEND_FRONT "/feature-persistent"), "0");
	write_and_read_back(test);
}

static void large_rings(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.ring_page_order = 4;
	offer.indirect = 0;
	pvd_parameters.ring_page_order = 4;
	pvd_parameters.pages = 64;
	plug(test, &offer, false);
	KUNIT_EXPECT_EQ(test, pvd_of()->tags.queue_depth, 512U);
	write_and_read_back(test);
}

static void operations(struct kunit *test)
{
	struct request_queue *q;

	plug(test, &everything, false);
	q = disk()->queue;
	fill(0, 4096, 5);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_WRITE | REQ_FUA, 0, 0, 4096), 0);
	KUNIT_EXPECT_EQ(test, backend.barriers, 1U);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, backend.flushes, 1U);

	backend.image[8 * 512] = 1;
	KUNIT_EXPECT_EQ(test, blkdev_issue_discard(disk()->part0, 8, 8, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, backend.discards, 1U);
	KUNIT_EXPECT_EQ(test, backend.image[8 * 512], 0);
	KUNIT_EXPECT_EQ(test, blkdev_issue_secure_erase(disk()->part0, 8, 8, GFP_KERNEL), 0);
	KUNIT_EXPECT_EQ(test, backend.secures, 1U);
	backend.image[16 * 512 + 4095] = 1;
	KUNIT_EXPECT_EQ(test, blkdev_issue_zeroout(disk()->part0, 16, 8, GFP_KERNEL, 0), 0);
	KUNIT_EXPECT_EQ(test, backend.zeroes, 1U);
	KUNIT_EXPECT_EQ(test, backend.zeroes_flags, BLKIF_ZEROES_FLAG_UNMAP);
	KUNIT_EXPECT_EQ(test, backend.image[16 * 512 + 4095], 0);
	KUNIT_EXPECT_EQ(test,
			blkdev_issue_zeroout(disk()->part0, 16, 8, GFP_KERNEL, BLKDEV_ZERO_NOUNMAP),
			0);
	KUNIT_EXPECT_EQ(test, backend.zeroes_flags, 0);
	KUNIT_EXPECT_EQ(test, backend.faults, 0U);

	/* Offered and refused: not asked for again. */
	backend.mood = BACKEND_REFUSES;
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 512), -EOPNOTSUPP);
	blkdev_issue_discard(disk()->part0, 8, 8, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, q->limits.max_discard_sectors, 0U);
	backend.mood = BACKEND_ERROR;
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 512), -EIO);
	backend.mood = BACKEND_GOOD;
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 512), 0);
}

static void flush_by_barrier(struct kunit *test)
{
	struct backend_offer offer = {.barrier = true};

	plug(test, &offer, false);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_WRITE | REQ_PREFLUSH, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, backend.barriers, 1U);
	KUNIT_EXPECT_EQ(test, backend.faults, 0U);
}

/* More than the ring holds, and more than the pages that a queue has. */
static void crowd(struct kunit *test)
{
	static struct io io[200];
	int i;

	pvd_parameters.pages = 12;
	pvd_parameters.indirect_segments = 11;
	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	fill(0, 2 * 4096, 3);
	for (i = 0; i < 64; i++)
		io_start(&io[i], i % 2 ? REQ_OP_READ : REQ_OP_WRITE, i * 16, 0, 8192);
	EVENTUALLY(test, backend_waiting() >= 6);
	KUNIT_EXPECT_TRUE(test, pvd_of()->queue[0].waiting);
	backend.mood = BACKEND_GOOD;
	for (i = 0; i < 64; i++)
		KUNIT_EXPECT_EQ(test, io_wait(&io[i]), 0);
	KUNIT_EXPECT_EQ(test, backend.faults, 0U);
	KUNIT_EXPECT_EQ(test, pvd_of()->queue[0].out, 0U);
}

static void polled(struct kunit *test)
{
	static struct io io;
	int tries;

	pvd_parameters.poll_queues = 1;
	plug(test, &everything, false);
	KUNIT_ASSERT_EQ(test, pvd_of()->terms.queues, 2U);
	fill(0, 4096, 8);
	io_start(&io, REQ_OP_WRITE | REQ_POLLED, 64, 0, 4096);
	for (tries = 0; tries < 10000 && !completion_done(&io.done); tries++) {
		bio_poll(io.bio, NULL, 0);
		cond_resched();
		schedule_timeout_uninterruptible(tries > 100);
	}
	KUNIT_EXPECT_EQ(test, io_wait(&io), 0);
	KUNIT_EXPECT_EQ(test, pvd_of()->queue[1].requests, 1ULL);
	KUNIT_EXPECT_EQ(test, pvd_of()->queue[1].interrupts, 0ULL);
	write_and_read_back(test);
}

static void resize(struct kunit *test)
{
	plug(test, &everything, false);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, BACKEND_SECTORS, 0, 512), -EIO);
	backend_resize(2 * BACKEND_SECTORS);
	EVENTUALLY(test, get_capacity(disk()) == 2 * BACKEND_SECTORS);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, BACKEND_SECTORS, 0, 512), 0);
	/* Nonsense changes nothing. */
	fake_store_set(BACKEND_BACK "/sectors", "99999999999999999999999");
	fake_store_set(BACKEND_BACK "/state", "4");
	msleep(50);
	KUNIT_EXPECT_EQ(test, get_capacity(disk()), (sector_t)2 * BACKEND_SECTORS);
}

static void kinds(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.sector_size = 4096;
	offer.info = BLKIF_INFO_READONLY | BLKIF_INFO_REMOVABLE;
	plug(test, &offer, false);
	KUNIT_EXPECT_EQ(test, queue_logical_block_size(disk()->queue), 4096U);
	KUNIT_EXPECT_TRUE(test, get_disk_ro(disk()));
	KUNIT_EXPECT_TRUE(test, disk()->flags & GENHD_FL_REMOVABLE);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 8, 0, 8192), 0);
}

/* ---- ends
 * ------------------------------------------------------------------------------------
 */

static void no_disk(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.sector_size = 513;
	plug(test, &offer, true);
	EVENTUALLY(test, fake_store_get(BACKEND_FRONT "/error"));
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
	KUNIT_EXPECT_NULL(test, pvd_of()->disk);
}

static void unplugged(struct kunit *test)
{
	plug(test, &everything, false);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_WRITE, 0, 0, 4096), 0);
	backend_unplug();
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
	KUNIT_EXPECT_NULL(test, pvd_of()->disk);
	KUNIT_EXPECT_NULL(test, pvd_of()->queue);
	/* And plugged anew. */
	fake_store_set(BACKEND_BACK "/online", "1");
	backend_replace();
	EVENTUALLY(test, shown());
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 4096), 0);
}

static void start_some(struct io *io, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		io_start(&io[i], i % 2 ? REQ_OP_READ : REQ_OP_WRITE, i * 8, i * 4096, 4096);
}

static void expect_all(struct kunit *test, struct io *io, unsigned int count, int error)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		KUNIT_EXPECT_EQ(test, io_wait(&io[i]), error);
}

/* In order, under I/O: what is out is finished first. */
static void unplugged_under_io(struct kunit *test)
{
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	backend_unplug();
	msleep(100);
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CONNECTED));
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

static void vanished_under_io(struct kunit *test)
{
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	backend_vanish();
	expect_all(test, io, 10, -EIO);
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

/* The driver goes while the back-end is silent: it has its time, no more. */
static void removed_from_the_silent(struct kunit *test)
{
	static struct io io[10];
	unsigned long since;

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	pvd_close_timeout = 1;
	since = jiffies;
	unregister();
	pvd_close_timeout = 30;
	KUNIT_EXPECT_LT(test, jiffies - since, 12UL * HZ);
	expect_all(test, io, 10, -EIO);
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CLOSED));
}

static int io_thread(void *context)
{
	struct kunit *test = context;
	static struct io io;

	while (!kthread_should_stop()) {
		io_start(&io, REQ_OP_READ, 8, 0, 4096);
		if (io_wait(&io)) {
			KUNIT_EXPECT_EQ(test, io.error, -EIO);
			break;
		}
	}
	while (!kthread_should_stop())
		msleep(10);
	return 0;
}

static void reloads(struct kunit *test)
{
	struct task_struct *thread;
	int i;

	plug(test, &everything, false);
	for (i = 0; i < 20; i++) {
		struct gendisk *held = disk();

		get_device(disk_to_dev(held));
		thread = kthread_run(io_thread, test, "io");
		msleep(i);
		kthread_stop(thread);
		unregister();
		KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CLOSED));
		put_device(disk_to_dev(held));
		KUNIT_ASSERT_EQ(test, __pvkit_driver_register(&pvd_driver, NULL), 0);
		self.registered = true;
		EVENTUALLY(test, shown());
	}
	KUNIT_EXPECT_EQ(test, backend.connections, 21U);
	KUNIT_EXPECT_EQ(test, backend.faults, 0U);
}

/* ---- a back-end that breaks the protocol
 * ----------------------------------------------------- */

static void breach(struct kunit *test, enum backend_mood mood)
{
	static struct io io[4];
	unsigned int i, failed = 0;

	plug(test, &everything, false);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 4096), 0);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	backend.mood = mood;
	for (i = 0; i < 4; i++)
		failed += io_wait(&io[i]) == -EIO;
	KUNIT_EXPECT_GE(test, failed, mood == BACKEND_KEEPS_PAGES ? 0U : 3U);
	EVENTUALLY(test, test_bit(PVD_RETIRED, &pvd_of()->flags));
	EVENTUALLY(test, fake_store_get(BACKEND_FRONT "/error"));
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

static void bad_status(struct kunit *test)
{
	breach(test, BACKEND_BAD_STATUS);
}

static void bad_id(struct kunit *test)
{
	breach(test, BACKEND_BAD_ID);
}

static void twice(struct kunit *test)
{
	breach(test, BACKEND_TWICE);
}

static void bad_operation(struct kunit *test)
{
	breach(test, BACKEND_BAD_OPERATION);
}

static void too_many(struct kunit *test)
{
	breach(test, BACKEND_TOO_MANY);
}

static void keeps_pages(struct kunit *test)
{
	struct pvkit_grants_count count;

	breach(test, BACKEND_KEEPS_PAGES);
	pvkit_grants_count(&count);
	KUNIT_EXPECT_GT(test, count.waiting, 0U);
	KUNIT_EXPECT_GT(test, page_count(self.page[0]), 1);
	backend_forgive();
	EVENTUALLY(test, (pvkit_grants_count(&count), !count.waiting));
	KUNIT_EXPECT_EQ(test, page_count(self.page[0]), 1);
}

static void longest_serial(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.serial = "12345678901234567890";
	plug(test, &offer, false);
	KUNIT_EXPECT_STREQ(test, pvd_of()->serial, offer.serial);
}

static void too_long_serial(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.serial = "123456789012345678901";
	plug(test, &offer, false);
	KUNIT_EXPECT_STREQ(test, pvd_of()->serial, "");
	write_and_read_back(test);
}

static void too_slow(struct kunit *test)
{
	static struct io io;

	plug(test, &everything, false);
	pvd_request_timeout = 1; /* a disk that is there heeds it too */
	backend.mood = BACKEND_SILENT;
	io_start(&io, REQ_OP_READ, 0, 0, 4096);
	KUNIT_EXPECT_EQ(test, io_wait(&io), -EIO);
	KUNIT_EXPECT_TRUE(test, test_bit(PVD_RETIRED, &pvd_of()->flags));
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

/* The timeout looks, and finds what nobody told. */
static void lost_notification(struct kunit *test)
{
	static struct io io;

	pvd_request_timeout = 1;
	plug(test, &everything, false);
	backend.mood = BACKEND_LOSES_NOTIFICATION;
	io_start(&io, REQ_OP_READ, 0, 0, 4096);
	KUNIT_EXPECT_EQ(test, io_wait(&io), 0);
	KUNIT_EXPECT_FALSE(test, test_bit(PVD_RETIRED, &pvd_of()->flags));
}

/* ---- the disk stays, the back-end does not
 * --------------------------------------------------- */

static void replaced(struct kunit *test)
{
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	/* Other queues, other rings; no pool before, one now. */
	backend.offer.ring_page_order = 0;
	backend.offer.persistent = true;
	pvd_parameters.persistent = true;
	backend_replace();
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	KUNIT_EXPECT_FALSE(test, pvd_of()->quiesced);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.persistent);
	write_and_read_back(test);
}

/* The old back-end had begun, and still holds pages: they are sent anew under
 * other references. */
static void replaced_after_death(struct kunit *test)
{
	struct pvkit_grants_count count;
	static struct io io[10];

	plug(test, &everything, false);
	backend.reads = 0;
	backend.mood = BACKEND_DIES;
	start_some(io, 10);
	EVENTUALLY(test, backend.reads + backend.writes == 10);
	backend_replace();
	EVENTUALLY(test, backend.connections == 2);
	/* Its successor had the mood to take them, too. */
	backend_replace();
	EVENTUALLY(test, backend.connections == 3);
	pvkit_grants_count(&count);
	KUNIT_EXPECT_GT(test, count.waiting, 0U);
	backend.mood = BACKEND_SILENT;
	backend_replace();
	EVENTUALLY(test, backend.connections == 4);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	KUNIT_EXPECT_FALSE(test, test_bit(PVD_RETIRED, &pvd_of()->flags));
	write_and_read_back(test);
	backend_forgive();
	EVENTUALLY(test, (pvkit_grants_count(&count), !count.waiting));
}

/* A store that fails says nothing of the back-end; the disk goes on. */
static void store_fails(struct kunit *test)
{
	plug(test, &everything, false);
	fake_store_fail(BACKEND_BACK "/state");
	fake_store_set(BACKEND_BACK "/state", "4");
	msleep(100);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 4096), 0);
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CONNECTED));
	/* Nor does it end badly what ends in order. */
	unregister();
	KUNIT_EXPECT_TRUE(test, front_is(STORE_STATE_CLOSED));
	fake_store_fail(NULL);
}

static void store_fails_an_offer(struct kunit *test, const char *key)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	fake_store_fail(key);
	backend_replace();
	msleep(200);
	KUNIT_EXPECT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	fake_store_fail(NULL);
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 4, 0);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.flush && pvd_of()->terms.barrier);
}

static void store_fails_the_terms(struct kunit *test)
{
	store_fails_an_offer(test, BACKEND_BACK "/feature-barrier");
}

static void store_fails_the_disk(struct kunit *test)
{
	store_fails_an_offer(test, BACKEND_BACK "/sectors");
}

/* A write that fails in a takeover costs time, not the disk. */
static void store_fails_a_write(struct kunit *test, const char *key)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	fake_store_refuse(key, STORE_EIO);
	backend_replace();
	msleep(200);
	KUNIT_EXPECT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	fake_store_refuse(NULL, NULL);
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 4, 0);
}

static void store_fails_the_rings(struct kunit *test)
{
	store_fails_a_write(test, BACKEND_FRONT "/" STORE_KEY_PROTOCOL);
}

static void store_fails_the_state(struct kunit *test)
{
	store_fails_a_write(test, BACKEND_FRONT "/" STORE_KEY_STATE);
}

/* Nor do others who write all the time. */
static void store_is_contended(struct kunit *test)
{
	plug(test, &everything, false);
	fake_store_conflicts(1000);
	backend_replace();
	msleep(200);
	KUNIT_EXPECT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	fake_store_conflicts(0);
	EVENTUALLY(test, backend.connections == 2);
	write_and_read_back(test);
}

/* A quota will not go away: the device closes in order, and says why. */
static void store_is_full(struct kunit *test)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	fake_store_refuse(BACKEND_FRONT "/" STORE_KEY_PROTOCOL, STORE_ENOSPC);
	backend_replace();
	EVENTUALLY(test, front_is(STORE_STATE_CLOSING));
	fake_store_set(BACKEND_BACK "/state", "6");
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
	KUNIT_ASSERT_NOT_NULL(test, fake_store_get(BACKEND_FRONT "/error"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(fake_store_get(BACKEND_FRONT "/error"), "queues="));
	expect_all(test, io, 4, -EIO);
	KUNIT_EXPECT_NULL(test, pvd_of()->queue);
	fake_store_refuse(NULL, NULL);
}

static void replaced_by_less(struct kunit *test)
{
	static struct io io[4];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 4);
	backend.offer.indirect = 0;
	backend_replace();
	EVENTUALLY(test, fake_store_get(BACKEND_FRONT "/error"));
	/* Nobody will serve these; an administrator ends it. */
	backend_vanish();
	expect_all(test, io, 4, -EIO);
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

static void sleeps_and_wakes(struct kunit *test)
{
	const struct dev_pm_ops *pm = pvd_driver.driver.bus->pm;
	static struct io io[10];

	plug(test, &everything, false);
	backend.mood = BACKEND_SILENT;
	start_some(io, 10);
	device_lock(&self.device->dev);
	if (pm && pm->suspend) {
		KUNIT_EXPECT_EQ(test, pm->suspend(&self.device->dev), 0);
		KUNIT_EXPECT_EQ(test, pm->resume(&self.device->dev), 0);
	} else {
		/* This kernel cannot; the bus's part is small. */
		KUNIT_EXPECT_EQ(test, pvd_suspend(self.device), 0);
		/* By the resume its port may be another device's. */
		KUNIT_EXPECT_EQ(test, pvd_of()->queue[0].event.port, 0U);
		pvkit_device_switch(self.device, STORE_STATE_CLOSED);
		msleep(50);
		pvkit_device_switch(self.device, STORE_STATE_INITIALISING);
		KUNIT_EXPECT_EQ(test, pvd_resume(self.device), 0);
	}
	device_unlock(&self.device->dev);
	EVENTUALLY(test, backend.connections == 2);
	backend.mood = BACKEND_GOOD;
	expect_all(test, io, 10, 0);
	write_and_read_back(test);
}

/* ---- the suite
 * -------------------------------------------------------------------------------
 */

static int init(struct kunit *test)
{
	int error = fake_start() ?: fake_store_start();
	unsigned int i;

	memset(&self, 0, sizeof(self));
	self.parameters = pvd_parameters;
	pvd_parameters.pages = 128; /* the table of the tests is small */
	for (i = 0; i < PAGES; i++) {
		self.page[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!self.page[i])
			return -ENOMEM;
	}
	if (!error)
		error = __pvkit_driver_register(&pvd_driver, NULL);
	self.registered = !error;
	return error ?: fake_bus_start();
}

static void leave(struct kunit *test)
{
	struct pvkit_grants_count count;
	unsigned int i;

	WRITE_ONCE(backend.mood, BACKEND_GOOD);
	fake_bus_stop();
	unregister();
	backend_stop();
	/* What the back-end let go of comes back within a second. */
	for (i = 0; i < 200; i++) {
		pvkit_grants_count(&count);
		if (!count.waiting)
			break;
		msleep(10);
	}
	KUNIT_EXPECT_EQ(test, count.reserved, 0U);
	KUNIT_EXPECT_EQ(test, count.given, 0U);
	fake_store_stop();
	fake_stop();
	for (i = 0; i < PAGES; i++)
		put_page(self.page[i]);
	pvd_parameters = self.parameters;
	pvd_request_timeout = 0;
}

static struct kunit_case cases[] = {
	/* clang-format off */
	KUNIT_CASE(direct),
	KUNIT_CASE(without_indirect),
	KUNIT_CASE(persistent),
	KUNIT_CASE(untrusted),
	KUNIT_CASE(large_rings),
	KUNIT_CASE(operations),
	KUNIT_CASE(flush_by_barrier),
	KUNIT_CASE(crowd),
	KUNIT_CASE(polled),
	KUNIT_CASE(resize),
	KUNIT_CASE(kinds),
	KUNIT_CASE(no_disk),
	KUNIT_CASE(unplugged),
	KUNIT_CASE(unplugged_under_io),
	KUNIT_CASE(vanished_under_io),
	KUNIT_CASE(removed_from_the_silent),
	KUNIT_CASE(reloads),
	KUNIT_CASE(bad_status),
	KUNIT_CASE(bad_id),
	KUNIT_CASE(twice),
	KUNIT_CASE(bad_operation),
	KUNIT_CASE(too_many),
	KUNIT_CASE(keeps_pages),
	KUNIT_CASE(longest_serial),
	KUNIT_CASE(too_long_serial),
	KUNIT_CASE(too_slow),
	KUNIT_CASE(lost_notification),
	KUNIT_CASE(replaced),
	KUNIT_CASE(replaced_after_death),
	KUNIT_CASE(store_fails),
	KUNIT_CASE(store_fails_the_terms),
	KUNIT_CASE(store_fails_the_disk),
	KUNIT_CASE(store_fails_the_rings),
	KUNIT_CASE(store_fails_the_state),
	KUNIT_CASE(store_is_contended),
	KUNIT_CASE(store_is_full),
	KUNIT_CASE(replaced_by_less),
	KUNIT_CASE(sleeps_and_wakes),
	{}
	/* clang-format on */
};

static struct kunit_suite suite = {
	.name = "pvkit_blk",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
