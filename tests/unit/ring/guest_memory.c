// SPDX-License-Identifier: MIT OR GPL-2.0
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ring/guest_memory.h"

static uint8_t backing[0x10000];
static struct guest_memory memory;

static int empty(void **state)
{
	memset(&memory, 0, sizeof(memory));
	return 0;
}

static void add(uint64_t address, uint64_t size, uint64_t offset)
{
	assert_int_equal(guest_memory_add(&memory, address, size, backing + offset), 0);
}

static void refuse(uint64_t address, uint64_t size)
{
	uint32_t count = memory.count;

	assert_int_equal(guest_memory_add(&memory, address, size, backing), -1);
	assert_int_equal(memory.count, count);
}

static void test_empty_table(void **state)
{
	assert_null(guest_memory_at(&memory, 0, 1));
	assert_null(guest_memory_at(&memory, UINT64_MAX, 1));
	assert_int_equal(guest_memory_remove(&memory, 0, 1), -1);
}

static void test_bounds(void **state)
{
	add(0x1000, 0x1000, 0);
	assert_ptr_equal(guest_memory_at(&memory, 0x1000, 1), backing);
	assert_ptr_equal(guest_memory_at(&memory, 0x1000, 0x1000), backing);
	assert_ptr_equal(guest_memory_at(&memory, 0x1fff, 1), backing + 0xfff);
	assert_null(guest_memory_at(&memory, 0xfff, 1));
	assert_null(guest_memory_at(&memory, 0xfff, 2));
	assert_null(guest_memory_at(&memory, 0x2000, 1));
	assert_null(guest_memory_at(&memory, 0x1fff, 2));
	assert_null(guest_memory_at(&memory, 0x1000, 0x1001));
	assert_null(guest_memory_at(&memory, 0, 0x3000));
}

static void test_wrapping_lengths(void **state)
{
	add(0x1000, 0x1000, 0);
	assert_null(guest_memory_at(&memory, 0x1800, UINT64_MAX));
	assert_null(guest_memory_at(&memory, 0x1800, UINT64_MAX - 0x1800 + 1));
	assert_null(guest_memory_at(&memory, 0x1800, UINT64_MAX - 0x7ff));
	assert_null(guest_memory_at(&memory, UINT64_MAX, 0x1002));
}

static void test_zero_length_is_refused(void **state)
{
	add(0x1000, 0x1000, 0);
	assert_null(guest_memory_at(&memory, 0x1000, 0));
	assert_null(guest_memory_at(&memory, 0x1fff, 0));
	assert_null(guest_memory_at(&memory, 0x2000, 0));
	assert_null(guest_memory_at(&memory, 0, 0));
}

/* Contiguous for the guest is not contiguous for the host. */
static void test_span_of_two_regions_is_refused(void **state)
{
	add(0x1000, 0x1000, 0x8000);
	add(0x2000, 0x1000, 0);
	assert_ptr_equal(guest_memory_at(&memory, 0x1fff, 1), backing + 0x8fff);
	assert_ptr_equal(guest_memory_at(&memory, 0x2000, 1), backing);
	assert_null(guest_memory_at(&memory, 0x1fff, 2));
	assert_null(guest_memory_at(&memory, 0x1000, 0x2000));
	assert_int_equal(guest_memory_run(&memory, 0xfff), 0);
	assert_int_equal(guest_memory_run(&memory, 0x1000), 0x1000);
	assert_int_equal(guest_memory_run(&memory, 0x1fff), 1);
	assert_int_equal(guest_memory_run(&memory, 0x2001), 0xfff);
	assert_int_equal(guest_memory_run(&memory, 0x3000), 0);
}

static void test_overlaps_are_refused(void **state)
{
	add(0x2000, 0x1000, 0);
	refuse(0x2000, 0x1000);
	refuse(0x2fff, 1);
	refuse(0x2000, 1);
	refuse(0x2800, 0x100);
	refuse(0x1fff, 2);
	refuse(0x1000, 0x1001);
	refuse(0, UINT64_MAX);
	add(0x1000, 0x1000, 0);
	add(0x3000, 0x1000, 0);
	refuse(0x1800, 0x1000);
}

static void test_impossible_regions_are_refused(void **state)
{
	refuse(0x1000, 0);
	refuse(0x1000, UINT64_MAX);
	refuse(UINT64_MAX, 2);
	refuse(UINT64_MAX - 0xfff, 0x1001);
}

static void test_top_of_the_address_space(void **state)
{
	add(UINT64_MAX - 0xfff, 0x1000, 0);
	assert_ptr_equal(guest_memory_at(&memory, UINT64_MAX, 1), backing + 0xfff);
	assert_null(guest_memory_at(&memory, UINT64_MAX, 2));
	assert_null(guest_memory_at(&memory, 0, 1));
	refuse(UINT64_MAX, 1);
}

static void test_full_table_in_any_order(void **state)
{
	uint32_t i, place;

	for (i = 0; i < GUEST_MEMORY_REGIONS_MAX; i++) {
		place = i * 100 % GUEST_MEMORY_REGIONS_MAX; /* 509 is prime */
		add(0x1000 * (uint64_t)(2 * place + 1), 0x1000, 16 * place);
	}
	refuse(0x1000 * 5000ULL, 0x1000);
	for (i = 0; i < GUEST_MEMORY_REGIONS_MAX; i++) {
		uint64_t address = 0x1000 * (uint64_t)(2 * i + 1);

		assert_int_equal(memory.region[i].address, address);
		assert_ptr_equal(guest_memory_at(&memory, address, 0x1000), backing + 16 * i);
		assert_null(guest_memory_at(&memory, address - 1, 1));
		assert_null(guest_memory_at(&memory, address + 0x1000, 1));
	}
}

static void test_remove_wants_the_exact_region(void **state)
{
	add(0x1000, 0x1000, 0);
	add(0x3000, 0x1000, 0);
	add(0x5000, 0x1000, 0);
	assert_int_equal(guest_memory_remove(&memory, 0x3000, 0x800), -1);
	assert_int_equal(guest_memory_remove(&memory, 0x3800, 0x800), -1);
	assert_int_equal(guest_memory_remove(&memory, 0, 0x1000), -1);
	assert_int_equal(guest_memory_remove(&memory, 0x3000, 0x1000), 0);
	assert_int_equal(guest_memory_remove(&memory, 0x3000, 0x1000), -1);
	assert_int_equal(memory.count, 2);
	assert_null(guest_memory_at(&memory, 0x3000, 1));
	assert_non_null(guest_memory_at(&memory, 0x1000, 0x1000));
	assert_non_null(guest_memory_at(&memory, 0x5000, 0x1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty_table, empty),
		cmocka_unit_test_setup(test_bounds, empty),
		cmocka_unit_test_setup(test_wrapping_lengths, empty),
		cmocka_unit_test_setup(test_zero_length_is_refused, empty),
		cmocka_unit_test_setup(test_span_of_two_regions_is_refused, empty),
		cmocka_unit_test_setup(test_overlaps_are_refused, empty),
		cmocka_unit_test_setup(test_impossible_regions_are_refused, empty),
		cmocka_unit_test_setup(test_top_of_the_address_space, empty),
		cmocka_unit_test_setup(test_full_table_in_any_order, empty),
		cmocka_unit_test_setup(test_remove_wants_the_exact_region, empty),
	};

	return cmocka_run_group_tests_name("guest memory", tests, NULL, NULL);
}
