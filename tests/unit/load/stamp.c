// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The stamps of --verify: whatever a back-end can get wrong about a block is seen.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tools/load/stamp.h"

#define BLOCK 4096

static struct stamp_map map;
static uint64_t data[2][BLOCK / 8], found[2];

static int setup(void **state)
{
	stamp_open(&map, 4, BLOCK, 77);
	stamp_write(&map, data[0], 8192, 5);
	return 0;
}

static int teardown(void **state)
{
	stamp_close(&map);
	return 0;
}

static void what_was_written_is_right(void **state)
{
	assert_int_equal(stamp_check(&map, data[0], 8192, 5, found), -1);
}

static void another_place_is_seen(void **state)
{
	assert_int_equal(stamp_check(&map, data[0], 12288, 5, found), 0);
	assert_int_equal(found[0], 8192);
}

static void an_older_write_is_seen(void **state)
{
	assert_int_equal(stamp_check(&map, data[0], 8192, 6, found), 0);
	assert_int_equal(found[1], 77ULL << 32 | 5);
}

static void another_run_is_seen(void **state)
{
	map.run = 78;
	assert_int_equal(stamp_check(&map, data[0], 8192, 5, found), 0);
	map.run = 77;
}

static void a_torn_block_is_seen(void **state)
{
	stamp_write(&map, data[1], 8192, 6);
	memcpy((char *)data[0] + 3584, (char *)data[1] + 3584, 512);
	assert_int_equal(stamp_check(&map, data[0], 8192, 5, found), 3584);
}

static void one_wrong_byte_is_seen(void **state)
{
	((uint8_t *)data[0])[BLOCK - 1] ^= 1;
	assert_int_equal(stamp_check(&map, data[0], 8192, 5, found), BLOCK - 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void a_frame_is_whole_or_not(void **state)
{
	uint8_t frame[1500] = {0};
	uint32_t at;

	stamp_frame(frame, 101, 7);
	assert_int_equal(stamp_frame_check(frame, 101), -1);
	assert_int_equal(stamp_frame_check(frame, 100), STAMP_FRAME_START); /* cut */
	assert_int_equal(stamp_frame_check(frame, 20), 20);
	for (at = STAMP_FRAME_START; at < 101; at++) {
		frame[at] ^= 1;
		assert_true(stamp_frame_check(frame, 101) >= STAMP_FRAME_START);
		frame[at] ^= 1;
	}
	/* Half of one frame, half of the next. */
	stamp_frame(frame, 1500, 8);
	stamp_frame(frame + 750, 1500 - 750, 9);
	assert_true(stamp_frame_check(frame, 1500) >= 750);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_right),
		TEST(another_place_is_seen),
		TEST(an_older_write_is_seen),
		TEST(another_run_is_seen),
		TEST(a_torn_block_is_seen),
		TEST(one_wrong_byte_is_seen),
		cmocka_unit_test(a_frame_is_whole_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
