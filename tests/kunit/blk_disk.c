// SPDX-License-Identifier: GPL-2.0
/*
 * What all suites of the block front-end do with their disk.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>

#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/blk_disk.h"
#include "tests/kunit/fake.h"

struct blk_ours ours;

const struct backend_offer everything = {
	.queues = 4,
	.ring_page_order = 1,
	.indirect = 64,
	.flush = true,
	.barrier = true,
	.discard = true,
	.secure = true,
	.write_zeroes = true,
};

/* ---- the device ------------------------------------------------------------------------------ */

struct pvd *pvd_of(void)
{
	return ours.device ? dev_get_drvdata(&ours.device->dev) : NULL;
}

bool find_device(void)
{
	struct device *dev = bus_find_device_by_name(pvd_driver.driver.bus, NULL, "vbd-51728");

	if (!dev)
		return false;
	put_device(dev);
	ours.device = to_pvkit_device(dev);
	return pvd_of();
}

bool shown(void)
{
	return find_device() && test_bit(PVD_ADDED, &pvd_of()->flags);
}

bool front_is(enum store_state state)
{
	const char *value = fake_store_get(BACKEND_FRONT "/state");

	return value && value[0] == '0' + state;
}

struct gendisk *disk(void)
{
	return pvd_of()->disk;
}

void plug(struct kunit *test, const struct backend_offer *offer, bool hopeless)
{
	KUNIT_ASSERT_EQ(test, backend_start(offer), 0);
	EVENTUALLY(test, find_device());
	if (!hopeless)
		EVENTUALLY(test, shown());
	KUNIT_ASSERT_TRUE(test, hopeless || shown());
}

void unregister(void)
{
	if (ours.registered)
		pvkit_driver_unregister(&pvd_driver);
	ours.registered = false;
}

/* ---- I/O ------------------------------------------------------------------------------------- */

static void io_end(struct bio *bio)
{
	struct io *io = bio->bi_private;

	io->error = blk_status_to_errno(bio->bi_status);
	complete(&io->done);
}

void io_start(struct io *io, blk_opf_t opf, sector_t sector, unsigned int offset,
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

		bio_add_page(io->bio, ours.page[i], part, offset);
		bytes -= part;
	}
	submit_bio(io->bio);
}

int io_wait(struct io *io)
{
	if (!wait_for_completion_timeout(&io->done, 20 * HZ))
		return -ETIME; /* and the bio stays whose it is */
	bio_put(io->bio);
	return io->error;
}

int do_io(blk_opf_t opf, sector_t sector, unsigned int offset, unsigned int bytes)
{
	static struct io io;

	io_start(&io, opf, sector, offset, bytes);
	return io_wait(&io);
}

static u8 pattern(unsigned int at, u8 seed)
{
	return (u8)(at * 7 + at / 512 * 13 + at / 4096 + seed);
}

void fill(unsigned int offset, unsigned int bytes, u8 seed)
{
	unsigned int at;

	for (at = offset; at < offset + bytes; at++)
		((u8 *)page_address(ours.page[at / PAGE_SIZE]))[at % PAGE_SIZE] =
			pattern(at - offset, seed);
}

bool filled(unsigned int offset, unsigned int bytes, u8 seed)
{
	unsigned int at;

	for (at = offset; at < offset + bytes; at++)
		if (((u8 *)page_address(ours.page[at / PAGE_SIZE]))[at % PAGE_SIZE] !=
		    pattern(at - offset, seed))
			return false;
	return true;
}

void write_and_read_back(struct kunit *test)
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

void start_some(struct io *io, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		io_start(&io[i], i % 2 ? REQ_OP_READ : REQ_OP_WRITE, i * 8, i * 4096, 4096);
}

void expect_all(struct kunit *test, struct io *io, unsigned int count, int error)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		KUNIT_EXPECT_EQ(test, io_wait(&io[i]), error);
}

/* ---- before and after ------------------------------------------------------------------------ */

int blk_init(struct kunit *test)
{
	int error = fake_start() ?: fake_store_start();
	unsigned int i;

	memset(&ours, 0, sizeof(ours));
	ours.parameters = pvd_parameters;
	pvd_parameters.pages = 128; /* the table of the tests is small */
	for (i = 0; i < PAGES; i++) {
		ours.page[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!ours.page[i])
			return -ENOMEM;
	}
	if (!error)
		error = __pvkit_driver_register(&pvd_driver, NULL);
	ours.registered = !error;
	return error ?: fake_bus_start();
}

void blk_leave(struct kunit *test)
{
	unsigned int i;

	WRITE_ONCE(backend.mood, BACKEND_GOOD);
	fake_bus_stop();
	unregister();
	backend_stop();
	fake_grants_returned(test);
	fake_store_stop();
	fake_stop();
	for (i = 0; i < PAGES; i++)
		put_page(ours.page[i]);
	pvd_parameters = ours.parameters;
	pvd_request_timeout = 0;
}
