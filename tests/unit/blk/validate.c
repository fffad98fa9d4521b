// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The policy on requests, limit by limit.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/blk/validate.h"

#define SECTORS 2048ULL

static const struct blk_policy small = {
	.size = SECTORS * 512, .block_size = 512, .can_discard = true};
static const struct blk_policy large_blocks = {
	.size = SECTORS * 512, .block_size = 4096, .can_discard = true};
static const struct blk_policy read_only = {
	.size = SECTORS * 512, .block_size = 512, .read_only = true};
static const struct blk_policy eraser = {
	.size = SECTORS * 512, .block_size = 512, .can_erase = true};
static const struct blk_policy no_discard = {.size = SECTORS * 512, .block_size = 512};
/* As large as sectors can count: no sum of offset and length may wrap on the way. */
static const struct blk_policy huge = {
	.size = UINT64_MAX - 511, .block_size = 512, .can_discard = true};

struct transfer_case {
	const struct blk_policy *policy;
	enum blk_op op;
	uint64_t sector, bytes;
	enum blk_status status;
};

static const struct transfer_case transfers[] = {
	{&small, BLK_READ, 0, 512, BLK_OK},
	{&small, BLK_WRITE, 0, SECTORS * 512, BLK_OK},
	{&small, BLK_READ, SECTORS - 1, 512, BLK_OK},
	{&small, BLK_READ, SECTORS, 512, BLK_ERROR},
	{&small, BLK_READ, SECTORS - 1, 1024, BLK_ERROR},
	{&small, BLK_READ, 1, SECTORS * 512, BLK_ERROR},
	{&small, BLK_READ, 0, 0, BLK_ERROR},
	{&small, BLK_READ, 0, 511, BLK_ERROR},
	{&small, BLK_READ, 0, 513, BLK_ERROR},
	/* sector * 512 wraps to 0, to 512, and sector + count wraps */
	{&small, BLK_READ, 1ULL << 55, 512, BLK_ERROR},
	{&small, BLK_WRITE, (1ULL << 55) + 1, 512, BLK_ERROR},
	{&small, BLK_READ, UINT64_MAX, 512, BLK_ERROR},
	{&small, BLK_WRITE, UINT64_MAX, 1024, BLK_ERROR},
	{&small, BLK_READ, 0, UINT64_MAX - 511, BLK_ERROR},
	{&huge, BLK_READ, (UINT64_MAX >> 9) - 1, 512, BLK_OK},
	{&huge, BLK_READ, UINT64_MAX >> 9, 512, BLK_ERROR},
	{&huge, BLK_READ, 0, 1ULL << 31, BLK_ERROR},
	{&huge, BLK_READ, 0, (1ULL << 31) - 512, BLK_OK},
	{&large_blocks, BLK_READ, 0, 4096, BLK_OK},
	{&large_blocks, BLK_READ, 8, 4096, BLK_OK},
	{&large_blocks, BLK_READ, 1, 4096, BLK_ERROR},
	{&large_blocks, BLK_WRITE, 0, 512, BLK_ERROR},
	{&read_only, BLK_READ, 0, 512, BLK_OK},
	{&read_only, BLK_WRITE, 0, 512, BLK_ERROR},
	{&read_only, BLK_FLUSH, 0, 0, BLK_OK},
	{&small, BLK_FLUSH, UINT64_MAX, 0, BLK_OK},
	{&small, BLK_GET_ID, UINT64_MAX, 20, BLK_OK},
	{&small, BLK_UNKNOWN, 0, 0, BLK_UNSUPPORTED},
	{&small, BLK_MALFORMED, 0, 512, BLK_ERROR},
};

static void test_transfers(void **state)
{
	unsigned int i;

	for (i = 0; i < sizeof(transfers) / sizeof(*transfers); i++) {
		const struct transfer_case *c = &transfers[i];
		struct blk_request request = {.op = c->op, .sector = c->sector, .bytes = c->bytes};

		if (blk_validate(c->policy, &request) != c->status)
			fail_msg("case %u: not %d", i, c->status);
	}
}

struct range_case {
	const struct blk_policy *policy;
	enum blk_op op;
	struct blk_range range;
	enum blk_status status;
};

static const struct range_case ranges[] = {
	{&small, BLK_DISCARD, {.sector = 0, .sectors = SECTORS}, BLK_OK},
	{&small, BLK_DISCARD, {.sector = 0, .sectors = SECTORS + 1}, BLK_ERROR},
	{&small, BLK_DISCARD, {.sector = SECTORS - 1, .sectors = 1}, BLK_OK},
	{&small, BLK_DISCARD, {.sector = SECTORS, .sectors = 1}, BLK_ERROR},
	{&small, BLK_DISCARD, {.sector = 0, .sectors = 0}, BLK_ERROR},
	{&small, BLK_DISCARD, {.sector = UINT64_MAX, .sectors = 2}, BLK_ERROR},
	{&small, BLK_DISCARD, {.sector = 1ULL << 55, .sectors = 1}, BLK_ERROR},
	{&small, BLK_DISCARD, {.sector = 0, .sectors = 1, .unmap = true}, BLK_UNSUPPORTED},
	{&small, BLK_DISCARD, {.sector = 0, .sectors = 1, .reserved = true}, BLK_UNSUPPORTED},
	{&small, BLK_WRITE_ZEROES, {.sector = 0, .sectors = 1, .unmap = true}, BLK_OK},
	{&small, BLK_WRITE_ZEROES, {.sector = 0, .sectors = 1, .reserved = true}, BLK_UNSUPPORTED},
	{&small, BLK_WRITE_ZEROES, {.sector = UINT64_MAX - 1, .sectors = UINT32_MAX}, BLK_ERROR},
	{&huge, BLK_WRITE_ZEROES, {.sector = 0, .sectors = BLK_RANGE_SECTORS_MAX}, BLK_OK},
	{&huge, BLK_WRITE_ZEROES, {.sector = 0, .sectors = BLK_RANGE_SECTORS_MAX + 1}, BLK_ERROR},
	{&huge, BLK_DISCARD, {.sector = 0, .sectors = UINT32_MAX}, BLK_ERROR},
	{&large_blocks, BLK_DISCARD, {.sector = 8, .sectors = 8}, BLK_OK},
	{&large_blocks, BLK_DISCARD, {.sector = 1, .sectors = 8}, BLK_ERROR},
	{&large_blocks, BLK_WRITE_ZEROES, {.sector = 8, .sectors = 1}, BLK_ERROR},
	{&read_only, BLK_DISCARD, {.sector = 0, .sectors = 1}, BLK_ERROR},
	{&read_only, BLK_WRITE_ZEROES, {.sector = 0, .sectors = 1}, BLK_ERROR},
	{&no_discard, BLK_DISCARD, {.sector = 0, .sectors = 1}, BLK_UNSUPPORTED},
	{&no_discard, BLK_WRITE_ZEROES, {.sector = 0, .sectors = 1}, BLK_OK},
	{&small, BLK_SECURE_ERASE, {.sector = 0, .sectors = 1}, BLK_UNSUPPORTED},
	{&read_only, BLK_SECURE_ERASE, {.sector = 0, .sectors = 1}, BLK_ERROR},
	{&eraser, BLK_SECURE_ERASE, {.sector = 0, .sectors = SECTORS}, BLK_OK},
	{&eraser, BLK_SECURE_ERASE, {.sector = 0, .sectors = SECTORS + 1}, BLK_ERROR},
	{&eraser, BLK_SECURE_ERASE, {.sector = 1ULL << 55, .sectors = 1}, BLK_ERROR},
	{&eraser, BLK_SECURE_ERASE, {.sector = 0, .sectors = 1, .unmap = true}, BLK_UNSUPPORTED},
	{&eraser, BLK_SECURE_ERASE, {.sector = 0, .sectors = 1, .reserved = true}, BLK_UNSUPPORTED},
};

static void test_ranges(void **state)
{
	unsigned int i;

	for (i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		const struct range_case *c = &ranges[i];
		struct blk_request request = {
			.op = c->op, .range_count = 2, .ranges = {{.sectors = 8}, c->range}};

		if (blk_validate(c->policy, &request) != c->status)
			fail_msg("case %u: not %d", i, c->status);
	}
}

static void test_range_count(void **state)
{
	struct blk_request request = {.op = BLK_DISCARD, .range_count = 0};

	assert_int_equal(blk_validate(&small, &request), BLK_ERROR);
	request.range_count = BLK_RANGES_MAX + 1;
	assert_int_equal(blk_validate(&small, &request), BLK_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_range_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
