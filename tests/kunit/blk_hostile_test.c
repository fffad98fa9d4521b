// SPDX-License-Identifier: GPL-2.0
/*
 * The block front-end against a hostile back-end. Catalogue: F50 (responses that cannot be), F51 (a
 * back-end that is silent), F52 (a page that is still in use when its owner wants it back; what an
 * untrusted back-end gets to see), F53 (a storm of events).
 */
#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/delay.h>

#include "guest-kernel-module/event_meter.h"
#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/blk_disk.h"
#include "tests/kunit/fake.h"

/* ---- what it gets to see --------------------------------------------------------------------- */

/* Memory that is free has been somebody's. */
static void leave_secrets(struct kunit *test)
{
	struct page **page = kunit_kcalloc(test, 1024, sizeof(*page), GFP_KERNEL);
	unsigned int i;

	for (i = 0; i < 1024; i++) {
		page[i] = alloc_page(GFP_KERNEL);
		if (page[i])
			memset(page_address(page[i]), BACKEND_SECRET, PAGE_SIZE);
	}
	while (i--)
		if (page[i])
			__free_page(page[i]);
}

/* One sector of a page that is else full of secrets. */
static int do_sector(blk_opf_t opf)
{
	u8 *page = page_address(ours.page[0]);

	memset(page, BACKEND_SECRET, PAGE_SIZE);
	fill(512, 512, 7);
	backend.secrets = 0;
	return do_io(opf, 8, 512, 512);
}

static void expect_seen(struct kunit *test, bool all)
{
	u8 *page = page_address(ours.page[0]);

	KUNIT_EXPECT_EQ(test, do_sector(REQ_OP_WRITE), 0);
	KUNIT_EXPECT_EQ(test, backend.page == page, all);
	KUNIT_EXPECT_EQ(test, backend.secrets > 0, all);
	KUNIT_EXPECT_EQ(test, backend.image[8 * 512 + 3], page[512 + 3]);
	memset(backend.image + 8 * 512, 9, 512);
	KUNIT_EXPECT_EQ(test, do_sector(REQ_OP_READ), 0);
	KUNIT_EXPECT_EQ(test, backend.page == page, all);
	KUNIT_EXPECT_EQ(test, backend.secrets > 0, all);
	/* What was asked for, and nothing beside it. */
	KUNIT_EXPECT_NULL(test, memchr_inv(page + 512, 9, 512));
	KUNIT_EXPECT_NULL(test, memchr_inv(page, BACKEND_SECRET, 512));
	KUNIT_EXPECT_NULL(test, memchr_inv(page + 1024, BACKEND_SECRET, PAGE_SIZE - 1024));
}

static void untrusted(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.look = true;
	plug(test, &offer, false);
	/* Its pages are taken from there when its queues are made anew; the image has its own. */
	pvd_parameters.trusted = false;
	leave_secrets(test);
	backend.secrets = 0;
	backend_replace();
	EVENTUALLY(test, backend.connections == 2);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.pooled);
	KUNIT_EXPECT_STREQ(test, fake_store_get(BACKEND_FRONT "/feature-persistent"), "0");
	write_and_read_back(test);
	/* Rings, descriptors, data: nothing that was there before. */
	KUNIT_EXPECT_EQ(test, backend.secrets, 0U);
	expect_seen(test, false);
}

/* This disk only. */
static void untrusted_by_key(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.trusted = "0";
	offer.look = true;
	plug(test, &offer, false);
	expect_seen(test, false);
}

/* It has the page, with what lies beside the data; this is what the above would find. */
static void trusted(struct kunit *test)
{
	struct backend_offer offer = everything;

	offer.look = true;
	plug(test, &offer, false);
	expect_seen(test, true);
}

/* ---- what it does wrong ---------------------------------------------------------------------- */

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
	KUNIT_EXPECT_GT(test, page_count(ours.page[0]), 1);
	backend_forgive();
	EVENTUALLY(test, (pvkit_grants_count(&count), !count.waiting));
	KUNIT_EXPECT_EQ(test, page_count(ours.page[0]), 1);
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

/* ---- storms ---------------------------------------------------------------------------------- */

static void storm(struct kunit *test)
{
	unsigned int before = pvkit_meter_storms(), budget = pvkit_spurious_events, held;
	u64 interrupts;

	/* User-mode Linux under KASAN is slow. */
	pvkit_spurious_events = 64;
	plug(test, &everything, false);
	WRITE_ONCE(backend.storms, true);
	write_and_read_back(test);
	KUNIT_EXPECT_GT(test, pvkit_meter_storms(), before);
	/* Nobody waits for anything: it has its interrupts, a budget now and then. */
	interrupts = pvd_of()->queue[0].interrupts;
	msleep(500);
	KUNIT_EXPECT_LT(test, pvd_of()->queue[0].interrupts - interrupts, 65ULL * 60);
	KUNIT_EXPECT_FALSE(test, test_bit(PVD_RETIRED, &pvd_of()->flags));
	/* All is well when it is over. */
	WRITE_ONCE(backend.storms, false);
	msleep(50);
	held = pvkit_meter_storms();
	write_and_read_back(test);
	KUNIT_EXPECT_EQ(test, pvkit_meter_storms(), held);
	pvkit_spurious_events = budget;
}

static void storm_on_its_vector(struct kunit *test)
{
	blk_leave(test);
	fake_vectors = FAKE_VECTORS;
	KUNIT_ASSERT_EQ(test, blk_init(test), 0);
	storm(test);
	KUNIT_EXPECT_LT(test, pvd_of()->queue[0].event.port, (u32)FAKE_VECTORS);
}

/* With the store behind it, too. */
static void storm_on_vector_zero(struct kunit *test)
{
	storm(test);
	backend_unplug();
	EVENTUALLY(test, front_is(STORE_STATE_CLOSED));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(untrusted),
	KUNIT_CASE(untrusted_by_key),
	KUNIT_CASE(trusted),
	KUNIT_CASE(bad_status),
	KUNIT_CASE(bad_id),
	KUNIT_CASE(twice),
	KUNIT_CASE(bad_operation),
	KUNIT_CASE(too_many),
	KUNIT_CASE(keeps_pages),
	KUNIT_CASE(too_slow),
	KUNIT_CASE(lost_notification),
	KUNIT_CASE(storm_on_its_vector),
	KUNIT_CASE(storm_on_vector_zero),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_blk_hostile",
	.init = blk_init,
	.exit = blk_leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
