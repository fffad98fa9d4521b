// SPDX-License-Identifier: GPL-2.0
/*
 * The block front-end against a hostile back-end. Catalogue: F50 (responses that cannot be), F51 (a
 * back-end that is silent), F52 (a page that is still in use when its owner wants it back; what an
 * untrusted back-end gets to see).
 */
#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/delay.h>

#include "guest-kernel-module/grant_table.h"
#include "tests/kunit/blk_disk.h"
#include "tests/kunit/fake.h"

static void untrusted(struct kunit *test)
{
	pvd_parameters.trusted = false;
	plug(test, &everything, false);
	KUNIT_EXPECT_TRUE(test, pvd_of()->terms.pooled);
	KUNIT_EXPECT_STREQ(test, fake_store_get(BACKEND_FRONT "/feature-persistent"), "0");
	write_and_read_back(test);
}

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

static struct kunit_case cases[] = {
	KUNIT_CASE(untrusted),
	KUNIT_CASE(bad_status),
	KUNIT_CASE(bad_id),
	KUNIT_CASE(twice),
	KUNIT_CASE(bad_operation),
	KUNIT_CASE(too_many),
	KUNIT_CASE(keeps_pages),
	KUNIT_CASE(too_slow),
	KUNIT_CASE(lost_notification),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_blk_hostile",
	.init = blk_init,
	.exit = blk_leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
