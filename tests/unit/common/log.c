// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Messages: one line each whatever is in them, and a peer that cannot flood.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/capture.h"

static void lines(void **state)
{
	log_open("pvkit-test", false);
	capture();
	log_info("unseen");
	log_error("%s: size %d", "a.img", 5);
	log_open("pvkit-test", true);
	log_info("seen");
	errno = ENOENT;
	log_errno("b.img");
	assert_int_equal(errno, ENOENT);
	log_warn("forged\nline \x1b[2J");
	assert_string_equal(captured(), "pvkit-test: a.img: size 5\n"
					"pvkit-test: seen\n"
					"pvkit-test: b.img: No such file or directory\n"
					"pvkit-test: forged?line ?[2J\n");
}

static void a_long_line_is_cut_and_ended(void **state)
{
	char name[5000];
	const char *line;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	capture();
	errno = EACCES;
	log_errno("%s", name);
	line = captured();
	assert_in_range(strlen(line), 900, 1024);
	assert_non_null(strstr(line, "x: Permission denied\n"));
}

static unsigned int count_lines(const char *from)
{
	unsigned int count = 0;

	for (; *from; from++)
		count += *from == '\n';
	return count;
}

static void a_peer_cannot_flood(void **state)
{
	static struct log_limit limit;
	unsigned int i;

	capture();
	for (i = 0; i < 1000; i++)
		log_peer(&limit, "bad head %u", i);
	assert_int_equal(count_lines(captured()), 5);
	usleep(1050000);
	capture();
	log_peer(&limit, "bad again");
	log_peer(&limit, "bad again");
	assert_string_equal(captured(), "pvkit-test: bad again (995 more such lines held back)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(a_long_line_is_cut_and_ended),
		cmocka_unit_test(a_peer_cannot_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
