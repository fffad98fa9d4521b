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

static void refused(const char *text, const char *why)
{
	uint8_t address[6] = {1, 2, 3, 4, 5, 6};
	char reason[128];

	assert_int_equal(ethernet_parse(address, text, reason, sizeof(reason)), -1);
	assert_non_null(strstr(reason, why));
	assert_memory_equal(address, "\1\2\3\4\5\6", 6);
}

static void only_a_station_s_address_is_taken(void **state)
{
	uint8_t address[6];
	char reason[128];

	assert_int_equal(ethernet_parse(address, "52:54:00:12:34:fF", reason, sizeof(reason)), 0);
	assert_memory_equal(address, "\x52\x54\x00\x12\x34\xff", 6);
	refused("", "form");
	refused("52:54:00:12:34", "form");
	refused("52:54:00:12:34:56:78", "form");
	refused("52:54:00:12:34:5", "form");
	refused("52-54-00-12-34-56", "form");
	refused(" 52:54:00:12:34:56", "form");
	refused("01:00:5e:00:00:01", "group");
	refused("ff:ff:ff:ff:ff:ff", "group");
	refused("00:00:00:00:00:00", "nobody");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_the_same_each_time),
		cmocka_unit_test(chance_is_not),
		cmocka_unit_test(only_a_station_s_address_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
