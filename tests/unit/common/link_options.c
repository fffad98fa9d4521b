// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What a command line may say of a link.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "common/link_options.h"

#define TEN     "/123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void links_are_parsed(void **state)
{
	static const char *const bad[] = {
		"",
		"users",
		"tap",
		"tap:",
		"tap:with/slash",
		"tap:with:colon",
		"tap:with blank",
		"tap:tap%d",
		"tap:..",
		"tap:sixteen-letters-",
		"socket:",
		"socket:" HUNDRED "12345678",
		"user,",
		"user,port=1",
		"user,hostfwd=",
		"user,hostfwd=tcp::22",
		"user,hostfwd=icmp::22-:22",
		"user,hostfwd=tcp::0-:22",
		"user,hostfwd=tcp::70000-:22",
		"user,hostfwd=tcp::22-:22x",
		"user,hostfwd=tcp:localhost:22-:22",
	};
	struct link_options options;
	char reason[200];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&options, 0, sizeof(options));
		reason[0] = 0;
		if (!link_parse(&options, bad[i], reason, sizeof(reason)) || !reason[0])
			fail_msg("'%s' was taken", bad[i]);
	}
	assert_int_equal(link_parse(&options, "tap:fifteen-letters", reason, sizeof(reason)), 0);
	assert_string_equal(options.name, "fifteen-letters");
	assert_int_equal(link_parse(&options, "socket:" HUNDRED "1234567", reason, sizeof(reason)),
			 0);
	memset(&options, 0, sizeof(options));
	assert_int_equal(link_parse(&options,
				    "user,hostfwd=udp::53-10.0.2.9:54,hostfwd=:1.2.3.4:5-:6",
				    reason, sizeof(reason)),
			 0);
	assert_int_equal(options.forward_count, 2);
	assert_true(options.forward[0].udp);
	assert_int_equal(options.forward[0].guest_port, 54);
	assert_int_equal(options.forward[0].guest_address, inet_addr("10.0.2.9"));
	assert_int_equal(options.forward[1].host_address, inet_addr("1.2.3.4"));
	assert_int_equal(options.forward[1].host_port, 5);
}

static int check(const char *text, uint64_t pairs, uint64_t mtu, char reason[200])
{
	struct link_options options = {0};

	assert_int_equal(link_parse(&options, text, reason, 200), 0);
	return link_check(&options, pairs, mtu, reason, 200);
}

static void pairs_and_mtu_are_checked(void **state)
{
	char reason[200];

	assert_int_equal(check("user", 0, 0, reason), 0);
	assert_int_equal(check("user", 1, 65520, reason), 0);
	assert_int_equal(check("tap:a", 16, 65535, reason), 0);
	assert_int_equal(check("null", 2, 65521, reason), 0);
	assert_int_equal(check("user", 2, 0, reason), -1);
	assert_string_equal(reason, "queue-pairs: '2' are for tap:NAME and null, expected 1");
	assert_int_equal(check("socket:a", 3, 0, reason), -1);
	assert_string_equal(reason, "queue-pairs: '3' are for tap:NAME and null, expected 1");
	assert_int_equal(check("user", 1, 65521, reason), -1);
	assert_string_equal(reason,
			    "mtu: '65521' is out of range for user, expected at most 65520");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_are_parsed),
		cmocka_unit_test(pairs_and_mtu_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
