// SPDX-License-Identifier: GPL-2.0
/*
 * Grants. Catalogue: F52 (a grant still mapped at teardown: page and reference are freed later,
 * never twice).
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/mm.h>

#include "guest-kernel-module/grant_table.h"
#include "guest-kernel-module/pvkit.h"
#include "tests/kunit/fake.h"

static struct grant_v1 *entry(u32 reference)
{
	return &fake.platform.entries[reference];
}

static unsigned int reserved(void)
{
	struct pvkit_grants_count count;

	pvkit_grants_count(&count);
	return count.reserved;
}

static unsigned int waiting(void)
{
	struct pvkit_grants_count count;

	pvkit_grants_count(&count);
	return count.waiting;
}

static void give_and_end(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct pvkit_grants grants;
	u32 reference;

	KUNIT_ASSERT_EQ(test, pvkit_grants_open(&grants, 0, 3), 0);
	KUNIT_EXPECT_EQ(test, reserved(), 3U);
	reference = pvkit_grants_take(&grants);
	KUNIT_ASSERT_GE(test, reference, (u32)GRANTS_RESERVED);
	pvkit_grant_give(reference, 7, page, true);
	KUNIT_EXPECT_EQ(test, entry(reference)->flags, GRANT_PERMIT_ACCESS | GRANT_READONLY);
	KUNIT_EXPECT_EQ(test, entry(reference)->domain, 7);
	KUNIT_EXPECT_EQ(test, (unsigned long)entry(reference)->frame, page_to_pfn(page));
	KUNIT_EXPECT_EQ(test, pvkit_grant_end(reference), 0);
	KUNIT_EXPECT_EQ(test, entry(reference)->flags, 0);
	pvkit_grant_give(reference, 0, page, false);
	KUNIT_EXPECT_EQ(test, entry(reference)->flags, GRANT_PERMIT_ACCESS);
	KUNIT_EXPECT_EQ(test, pvkit_grant_end(reference), 0);
	pvkit_grants_put(&grants, reference);
	pvkit_grants_close(&grants);
	KUNIT_EXPECT_EQ(test, reserved(), 0U);
	pvkit_grants_close(&grants);
	put_page(page);
}

static void end_while_in_use(struct kunit *test)
{
	static const u16 uses[] = { GRANT_READING, GRANT_READING | GRANT_WRITING, GRANT_WRITING };
	struct page *page = alloc_page(GFP_KERNEL);
	struct pvkit_grants grants;
	u32 reference;
	int i;

	KUNIT_ASSERT_EQ(test, pvkit_grants_open(&grants, 0, 1), 0);
	reference = pvkit_grants_take(&grants);
	for (i = 0; i < ARRAY_SIZE(uses); i++) {
		pvkit_grant_give(reference, 0, page, false);
		entry(reference)->flags |= uses[i];
		KUNIT_EXPECT_EQ(test, pvkit_grant_end(reference), -EBUSY);
		KUNIT_EXPECT_EQ(test, entry(reference)->flags, GRANT_PERMIT_ACCESS | uses[i]);
		entry(reference)->flags &= ~uses[i];
		KUNIT_EXPECT_EQ(test, pvkit_grant_end(reference), 0);
	}
	pvkit_grants_put(&grants, reference);
	pvkit_grants_close(&grants);
	put_page(page);
}

static void no_reference_twice(struct kunit *test)
{
	unsigned int all = FAKE_GRANTS - GRANTS_RESERVED, i;
	struct pvkit_grants grants, more;
	u32 reference;
	u8 *seen = kunit_kzalloc(test, FAKE_GRANTS, GFP_KERNEL);

	KUNIT_ASSERT_EQ(test, pvkit_grants_open(&grants, 0, all), 0);
	for (i = 0; i < all; i++) {
		reference = pvkit_grants_take(&grants);
		KUNIT_ASSERT_GE(test, reference, (u32)GRANTS_RESERVED);
		KUNIT_ASSERT_LT(test, reference, (u32)FAKE_GRANTS);
		KUNIT_EXPECT_EQ(test, seen[reference]++, 0);
	}
	KUNIT_EXPECT_EQ(test, pvkit_grants_take(&grants), 0U);
	KUNIT_EXPECT_EQ(test, pvkit_grants_open(&more, 0, 1), -ENOSPC);
	for (reference = GRANTS_RESERVED; reference < FAKE_GRANTS; reference++)
		pvkit_grants_put(&grants, reference);
	pvkit_grants_close(&grants);
	KUNIT_EXPECT_EQ(test, reserved(), 0U);
}

static void page_in_use_is_freed_later(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct pvkit_grants grants;
	u32 reference;
	int i;

	KUNIT_ASSERT_EQ(test, pvkit_grants_open(&grants, 0, 1), 0);
	reference = pvkit_grants_take(&grants);
	pvkit_grant_give(reference, 0, page, false);
	entry(reference)->flags |= GRANT_READING;
	get_page(page);
	pvkit_grant_end_later(reference, page);
	KUNIT_EXPECT_EQ(test, waiting(), 1U);
	KUNIT_EXPECT_EQ(test, page_count(page), 2);
	/* The driver goes on with a new reference. */
	KUNIT_EXPECT_EQ(test, pvkit_grants_refill(&grants, 1), 0);
	KUNIT_EXPECT_NE(test, grants.reference[0], reference);
	msleep(200);
	KUNIT_EXPECT_EQ(test, waiting(), 1U);
	KUNIT_EXPECT_EQ(test, page_count(page), 2);
	KUNIT_EXPECT_EQ(test, entry(reference)->flags, GRANT_PERMIT_ACCESS | GRANT_READING);
	entry(reference)->flags &= ~GRANT_READING;
	for (i = 0; i < 300 && waiting(); i++)
		msleep(10);
	KUNIT_EXPECT_EQ(test, waiting(), 0U);
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
	KUNIT_EXPECT_EQ(test, entry(reference)->flags, 0);
	pvkit_grants_close(&grants);
	KUNIT_EXPECT_EQ(test, reserved(), 0U);
	put_page(page);
}

static void page_not_in_use_is_freed_now(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct pvkit_grants grants;
	u32 reference;

	KUNIT_ASSERT_EQ(test, pvkit_grants_open(&grants, 0, 1), 0);
	reference = pvkit_grants_take(&grants);
	pvkit_grant_give(reference, 0, page, false);
	get_page(page);
	pvkit_grant_end_later(reference, page);
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
	pvkit_grants_close(&grants);
	KUNIT_EXPECT_EQ(test, reserved(), 0U);
	put_page(page);
}

static void shared_pages(struct kunit *test)
{
	struct pvkit_shared shared, none = {};
	unsigned int i;
	u32 kept;

	KUNIT_ASSERT_EQ(test, pvkit_shared_open(&shared, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, shared.count, 4U);
	KUNIT_EXPECT_EQ(test, reserved(), 4U);
	KUNIT_EXPECT_NULL(test, memchr_inv(shared.pages, 0, 4 * PAGE_SIZE));
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, (unsigned long)entry(shared.reference[i])->frame,
				page_to_pfn(virt_to_page(shared.pages + i * PAGE_SIZE)));
	kept = shared.reference[2];
	entry(kept)->flags |= GRANT_READING | GRANT_WRITING;
	pvkit_shared_close(&shared);
	KUNIT_EXPECT_EQ(test, reserved(), 1U);
	KUNIT_EXPECT_EQ(test, waiting(), 1U);
	entry(kept)->flags &= GRANT_TYPE_MASK;
	for (i = 0; i < 300 && waiting(); i++)
		msleep(10);
	KUNIT_EXPECT_EQ(test, reserved(), 0U);
	pvkit_shared_close(&shared);
	pvkit_shared_close(&none);
}

/* A back-end that outlived our predecessor: the entry is not given out. */
static void in_use_from_before(struct kunit *test)
{
	struct pvkit_grants_count count;

	pvkit_grants_stop(true);
	entry(20)->flags = GRANT_PERMIT_ACCESS | GRANT_READING;
	entry(21)->flags = GRANT_PERMIT_ACCESS;
	KUNIT_ASSERT_EQ(test, pvkit_grants_start(&fake.platform), 0);
	pvkit_grants_count(&count);
	KUNIT_EXPECT_EQ(test, count.lost, 1U);
	KUNIT_EXPECT_EQ(test, count.total, (unsigned int)FAKE_GRANTS - GRANTS_RESERVED - 1);
	KUNIT_EXPECT_EQ(test, count.reserved, 0U);
	KUNIT_EXPECT_EQ(test, entry(21)->flags, 0);
}

/* A suspend: the table is empty afterwards, whatever the back-end had. */
static void forgotten(struct kunit *test)
{
	struct pvkit_shared shared;

	KUNIT_ASSERT_EQ(test, pvkit_shared_open(&shared, 0, 0), 0);
	entry(shared.reference[0])->flags |= GRANT_READING;
	pvkit_shared_close(&shared);
	KUNIT_EXPECT_EQ(test, waiting(), 1U);
	memset(fake.platform.entries, 0, FAKE_GRANTS * sizeof(struct grant_v1));
	pvkit_grants_forgotten();
	KUNIT_EXPECT_EQ(test, waiting(), 0U);
	KUNIT_EXPECT_EQ(test, reserved(), 0U);
}

static int init(struct kunit *test)
{
	return fake_start();
}

static void leave(struct kunit *test)
{
	fake_stop();
}

static struct kunit_case cases[] = {
	KUNIT_CASE(give_and_end),
	KUNIT_CASE(end_while_in_use),
	KUNIT_CASE(no_reference_twice),
	KUNIT_CASE(page_in_use_is_freed_later),
	KUNIT_CASE(page_not_in_use_is_freed_now),
	KUNIT_CASE(shared_pages),
	KUNIT_CASE(in_use_from_before),
	KUNIT_CASE(forgotten),
	{}
};

static struct kunit_suite suite = {
	.name = "pvkit_grants",
	.init = init,
	.exit = leave,
	.test_cases = cases,
};
kunit_test_suite(suite);
