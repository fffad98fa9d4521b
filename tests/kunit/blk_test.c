// SPDX-License-Identifier: GPL-2.0
/*
 * The block front-end against a back-end in the same kernel: blk-mq above it is the real one, and
 * lockdep and KASAN look on. What a disk is for, and keys that make no disk.
 */
#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/cdrom.h>
#include <linux/delay.h>

#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/blk_disk.h"
#include "tests/kunit/fake.h"

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
	/* Data pages are granted for their request only: what stays are rings and descriptors. */
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

/* A write that its submitter asks after. */
static int do_polled(sector_t sector)
{
	static struct io io;
	int tries;

	io_start(&io, REQ_OP_WRITE | REQ_POLLED, sector, 0, 4096);
	for (tries = 0; tries < 10000 && !completion_done(&io.done); tries++) {
		bio_poll(io.bio, NULL, 0);
		cond_resched();
		schedule_timeout_uninterruptible(tries > 100);
	}
	return io_wait(&io);
}

static void polled(struct kunit *test)
{
	pvd_parameters.poll_queues = 1;
	plug(test, &everything, false);
	KUNIT_ASSERT_EQ(test, pvd_of()->terms.queues, 2U);
	fill(0, 4096, 8);
	KUNIT_EXPECT_EQ(test, do_polled(64), 0);
	KUNIT_EXPECT_EQ(test, pvd_of()->queue[1].requests, 1ULL);
	KUNIT_EXPECT_EQ(test, pvd_of()->queue[1].interrupts, 0ULL);
	write_and_read_back(test);
}

/* A number that the front-end wrote below its directory; -1: it is not there. */
static int told(const char *format, unsigned int queue)
{
	char path[96];
	const char *value;
	int number, length = snprintf(path, sizeof(path), BACKEND_FRONT "/");

	snprintf(path + length, sizeof(path) - length, format, queue);
	value = fake_store_get(path);
	return value && !kstrtoint(value, 10, &number) ? number : -1;
}

/*
 * User-mode Linux has one CPU, so one queue that interrupts, and blk-mq uses the first of those
 * that are polled. The others are reached by hand, as a change of back-ends does it.
 */
static void many_queues(struct kunit *test)
{
	struct blk_mq_hw_ctx *hctx;
	struct pvd *pvd;
	unsigned int i;

	pvd_parameters.poll_queues = 3;
	pvd_parameters.pages = 64;
	plug(test, &everything, false);
	pvd = pvd_of();
	KUNIT_ASSERT_EQ(test, pvd->terms.queues, 4U);
	KUNIT_EXPECT_EQ(test, told("multi-queue-num-queues", 0), 4);
	KUNIT_EXPECT_EQ(test, told("ring-page-order", 0), 1);
	for (i = 0; i < 4; i++) {
		struct pvd_queue *queue = &pvd->queue[i];

		KUNIT_EXPECT_EQ(test, told("queue-%u/ring-ref0", i),
				(int)queue->shared.reference[0]);
		KUNIT_EXPECT_EQ(test, told("queue-%u/ring-ref1", i),
				(int)queue->shared.reference[1]);
		KUNIT_EXPECT_EQ(test, told("queue-%u/event-channel", i), (int)queue->event.port);
		KUNIT_EXPECT_TRUE(test, !i || queue->event.port != queue[-1].event.port);
	}
	KUNIT_EXPECT_EQ(test, told("queue-%u/event-channel", 4), -1);
	KUNIT_EXPECT_EQ(test, told("event-channel", 0), -1);
	KUNIT_EXPECT_EQ(test, told("ring-ref0", 0), -1);

	hctx = xa_load(&disk()->queue->hctx_table, 1);
	KUNIT_ASSERT_PTR_EQ(test, hctx->driver_data, (void *)&pvd->queue[1]);
	for (i = 1; i < 4; i++) {
		unsigned int taken = backend.taken[0];

		hctx->driver_data = &pvd->queue[i];
		fill(0, 4096, i);
		KUNIT_EXPECT_EQ(test, do_polled(64 * i), 0);
		KUNIT_EXPECT_EQ(test, backend.taken[i], 1U);
		KUNIT_EXPECT_EQ(test, backend.taken[0], taken);
		KUNIT_EXPECT_EQ(test, memcmp(backend.image + 64 * i * 512,
					     page_address(ours.page[0]), 4096), 0);
	}
	write_and_read_back(test);

	/* All share one ring of the next back-end; it finds that where one ring's is. */
	backend.offer.queues = 1;
	backend_replace();
	EVENTUALLY(test, backend.connections == 2);
	EVENTUALLY(test, !pvd->quiesced);
	KUNIT_EXPECT_EQ(test, told("multi-queue-num-queues", 0), 1);
	KUNIT_EXPECT_EQ(test, told("event-channel", 0), (int)pvd->queue[0].event.port);
	KUNIT_EXPECT_EQ(test, do_polled(64), 0);
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

static int capability(void)
{
	return disk()->fops->ioctl(disk()->part0, FMODE_READ, CDROM_GET_CAPABILITY, 0);
}

static void cdrom(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.device_type = "cdrom";
	offer.info = BLKIF_INFO_READONLY;
	plug(test, &offer, false);
	KUNIT_EXPECT_TRUE(test, pvd_of()->properties.info & BLKIF_INFO_CDROM);
	KUNIT_EXPECT_TRUE(test, get_disk_ro(disk()));
	KUNIT_EXPECT_TRUE(test, disk()->flags & GENHD_FL_REMOVABLE);
	/* By this udev knows one. */
	KUNIT_EXPECT_EQ(test, capability(), 0);
	KUNIT_EXPECT_EQ(test, disk()->fops->ioctl(disk()->part0, FMODE_READ, CDROMEJECT, 0),
			-ENOTTY);
	KUNIT_EXPECT_EQ(test, do_io(REQ_OP_READ, 0, 0, 4096), 0);
}

/* The back-end may say it, too. */
static void cdrom_by_info(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.info = BLKIF_INFO_CDROM;
	plug(test, &offer, false);
	KUNIT_EXPECT_TRUE(test, disk()->flags & GENHD_FL_REMOVABLE);
	KUNIT_EXPECT_EQ(test, capability(), 0);
}

static void no_cdrom(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.device_type = "disk";
	plug(test, &offer, false);
	KUNIT_EXPECT_FALSE(test, disk()->flags & GENHD_FL_REMOVABLE);
	KUNIT_EXPECT_EQ(test, capability(), -ENOTTY);
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

static void no_disk(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.sector_size = 513;
	plug(test, &offer, true);
	EVENTUALLY(test, fake_store_get(BACKEND_FRONT "/error"));
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
	KUNIT_EXPECT_NULL(test, pvd_of()->disk);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(direct),
	KUNIT_CASE(without_indirect),
	KUNIT_CASE(persistent),
	KUNIT_CASE(large_rings),
	KUNIT_CASE(operations),
	KUNIT_CASE(flush_by_barrier),
	KUNIT_CASE(crowd),
	KUNIT_CASE(polled),
	KUNIT_CASE(many_queues),
	KUNIT_CASE(resize),
	KUNIT_CASE(kinds),
	KUNIT_CASE(cdrom),
	KUNIT_CASE(cdrom_by_info),
	KUNIT_CASE(no_cdrom),
	KUNIT_CASE(longest_serial),
	KUNIT_CASE(too_long_serial),
	KUNIT_CASE(no_disk),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_blk",
	.init = blk_init,
	.exit = blk_leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
