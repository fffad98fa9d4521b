// SPDX-License-Identifier: MIT OR GPL-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/ethernet.h"

static void addresses_are_the_same_each_time(void **state)
{
	uint8_t first[6], again[6], other[6];

	ethernet_derive(first, "tap:tap0", "vif/0");
	ethernet_derive(again, "tap:tap0", "vif/0");
	assert_memory_equal(first, again, 6);
	ethernet_derive(other, "tap:tap0", "vif/1");
	assert_memory_not_equal(first, other, 6);
	ethernet_derive(other, "tap:tap1", "vif/0");
	assert_memory_not_equal(first, other, 6);
	assert_int_equal(first[0] & 3, 2); /* locally administered, one station's */
}

static void chance_is_not(void **state)
{
	char first[17], second[17];

	ethernet_chance(first);
	ethernet_chance(second);
	assert_int_equal(strlen(first), 16);
	assert_string_not_equal(first, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_the_same_each_time),
		cmocka_unit_test(chance_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
