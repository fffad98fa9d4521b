// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What the block front-end makes of a back-end's offers, however strange.
 */
#include "fixture.h"

#include "guest-drivers/blk/terms.h"

static const struct terms_wish usual = {
	.cpus = 4,
	.ring_page_order = 2,
	.indirect_segments = 64,
	.pages = TERMS_PAGES_DEFAULT,
	.persistent = true,
	.trusted = true,
};

static struct terms agreed(struct terms_offer offer, struct terms_wish wish)
{
	struct terms terms;

	memset(&terms, 0xee, sizeof(terms));
	terms_agree(&terms, &offer, &wish);
	return terms;
}

static void test_nothing_offered(void **state)
{
	struct terms terms = agreed((struct terms_offer){0}, usual);

	(void)state;
	assert_int_equal(terms.queues, 1);
	assert_int_equal(terms.poll_queues, 0);
	assert_int_equal(terms.ring_page_order, 0);
	assert_int_equal(terms.segments, BLKIF_SEGMENTS_MAX);
	assert_int_equal(terms.descriptor_pages, 0);
	assert_false(terms.persistent || terms.pooled || terms.flush || terms.barrier);
	assert_false(terms.discard || terms.write_zeroes);
}

static void test_everything_offered(void **state)
{
	struct terms_offer offer = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, true,
				    true,       true,       true,       true};
	struct terms_wish wish = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
				  UINT32_MAX, UINT32_MAX, true,       true};
	struct terms terms = agreed(offer, usual);

	(void)state;
	assert_int_equal(terms.queues, 4);
	assert_int_equal(terms.ring_page_order, 2);
	assert_int_equal(terms.segments, 64);
	assert_int_equal(terms.descriptor_pages, 1);
	assert_int_equal(terms.pages, TERMS_PAGES_DEFAULT);
	assert_true(terms.persistent && terms.pooled && terms.flush && terms.barrier);

	terms = agreed(offer, wish);
	assert_int_equal(terms.queues, TERMS_QUEUES_MAX);
	assert_int_equal(terms.poll_queues, TERMS_QUEUES_MAX - 1);
	assert_int_equal(terms.ring_page_order, XEN_RING_PAGE_ORDER_MAX);
	assert_int_equal(terms.segments, BLKIF_INDIRECT_SEGMENTS_MAX);
	assert_int_equal(terms.descriptor_pages, BLKIF_INDIRECT_PAGES_MAX);
	assert_int_equal(terms.pages, TERMS_PAGES_MAX);
}

static void test_queues(void **state)
{
	static const struct {
		uint32_t offered, cpus, queues, poll, all, polled;
	} table[] = {
		{8, 4, 0, 0, 4, 0}, {8, 4, 2, 0, 2, 0}, {2, 4, 0, 0, 2, 0}, {8, 4, 0, 2, 6, 2},
		{4, 4, 0, 2, 4, 2}, {2, 4, 0, 5, 2, 1}, {1, 4, 3, 3, 1, 0}, {0, 0, 0, 1, 1, 0},
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct terms_wish wish = usual;
		struct terms terms;

		wish.cpus = table[i].cpus;
		wish.queues = table[i].queues;
		wish.poll_queues = table[i].poll;
		terms = agreed((struct terms_offer){.queues = table[i].offered}, wish);
		assert_int_equal(terms.queues, table[i].all);
		assert_int_equal(terms.poll_queues, table[i].polled);
	}
}

static void test_ring_order(void **state)
{
	static const struct {
		uint32_t order, pages, wish, result;
	} table[] = {
		{0, 0, 4, 0}, {0, 1, 4, 0}, {0, 2, 4, 1}, {0, 3, 4, 1},  {0, 16, 4, 4},
		{3, 0, 4, 3}, {3, 2, 4, 3}, {1, 8, 4, 3}, {4, 16, 1, 1}, {9, 0, 9, 4},
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct terms_offer offer = {.ring_page_order = table[i].order,
					    .ring_pages = table[i].pages};
		struct terms_wish wish = usual;

		wish.ring_page_order = table[i].wish;
		assert_int_equal(agreed(offer, wish).ring_page_order, table[i].result);
	}
}

/* Few segments are no reason for descriptor pages; few pages none for requests that never fit. */
static void test_segments(void **state)
{
	struct terms_wish wish = usual;
	struct terms terms;

	(void)state;
	terms = agreed((struct terms_offer){.indirect_segments = 11}, wish);
	assert_int_equal(terms.segments, 11);
	assert_int_equal(terms.descriptor_pages, 0);
	terms = agreed((struct terms_offer){.indirect_segments = 12}, wish);
	assert_int_equal(terms.segments, 12);
	assert_int_equal(terms.descriptor_pages, 1);
	wish.indirect_segments = 513;
	wish.pages = 1;
	terms = agreed((struct terms_offer){.indirect_segments = 4096}, wish);
	assert_int_equal(terms.segments, 513);
	assert_int_equal(terms.descriptor_pages, 2);
	assert_int_equal(terms.pages, 513);
}

static void test_trust(void **state)
{
	struct terms_wish wish = usual;
	struct terms terms;

	(void)state;
	wish.trusted = false;
	terms = agreed((struct terms_offer){0}, wish);
	assert_true(terms.pooled);
	assert_false(terms.persistent);
	wish = usual;
	wish.persistent = false;
	terms = agreed((struct terms_offer){.persistent = true}, wish);
	assert_false(terms.pooled || terms.persistent);
}

static void test_continue(void **state)
{
	struct terms old =
		agreed((struct terms_offer){.indirect_segments = 32, .flush = true}, usual);
	struct terms more =
		agreed((struct terms_offer){.indirect_segments = 64, .flush = true}, usual);
	struct terms fewer = agreed((struct terms_offer){.flush = true}, usual);
	struct terms barrier = agreed(
		(struct terms_offer){.indirect_segments = 32, .flush = true, .barrier = true},
		usual);
	struct terms dry = agreed((struct terms_offer){.indirect_segments = 32}, usual);

	(void)state;
	assert_null(terms_continue(&more, &old));
	assert_int_equal(more.segments, 32);
	assert_non_null(terms_continue(&fewer, &old));
	assert_non_null(terms_continue(&dry, &old));
	/* Writes with FUA that wait were promised a barrier, and nothing flushes behind them. */
	assert_non_null(terms_continue(&more, &barrier));
	assert_null(terms_continue(&barrier, &more));
}

static void test_disk(void **state)
{
	struct terms_disk good = {
		.sectors = 1003, .sector_size = 4096, .physical_sector_size = 4096};
	static const uint32_t bad[] = {0, 1, 511, 513, 768, 8192, UINT32_MAX};
	struct terms_disk disk = good;
	unsigned int i;

	(void)state;
	assert_null(terms_check_disk(&disk, 4096));
	assert_int_equal(disk.sectors, 1000);
	assert_int_equal(disk.discard_granularity, 4096);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		disk = good;
		disk.sector_size = bad[i];
		assert_non_null(terms_check_disk(&disk, 4096));
	}
	disk = good;
	disk.sectors = UINT64_MAX / 512;
	assert_non_null(terms_check_disk(&disk, 4096));
	/* Hints are mended. */
	disk = good;
	disk.sector_size = 512;
	disk.physical_sector_size = 3000;
	disk.discard_granularity = 1000;
	disk.discard_alignment = 100;
	assert_null(terms_check_disk(&disk, 4096));
	assert_int_equal(disk.physical_sector_size, 512);
	assert_int_equal(disk.discard_granularity, 512);
	assert_int_equal(disk.discard_alignment, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_offered), cmocka_unit_test(test_everything_offered),
		cmocka_unit_test(test_queues),          cmocka_unit_test(test_ring_order),
		cmocka_unit_test(test_segments),        cmocka_unit_test(test_trust),
		cmocka_unit_test(test_continue),        cmocka_unit_test(test_disk),
	};

	return cmocka_run_group_tests_name("block front-end, terms", tests, NULL, NULL);
}
