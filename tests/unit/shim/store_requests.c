// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Each request of the store's protocol, over a socket: what it answers, and to whom it is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_speak.h"

static struct speaker backend, guest, other;

static int setup(void **state)
{
	if (pv_store_open(GUEST) < 0)
		return -1;
	speaker_connect(&backend, STORE_DOMAIN_BACKEND);
	speaker_connect(&guest, GUEST);
	speaker_connect(&other, OTHER);
	return 0;
}

static int teardown(void **state)
{
	speaker_close(&backend);
	speaker_close(&guest);
	speaker_close(&other);
	pv_store_close();
	return 0;
}

static void test_values(void **state)
{
	writes(&guest, 0, "data/a/b", "hello");
	reads(&backend, 0, "/local/domain/1/data/a/b", "hello");
	reads(&guest, 0, "/local/domain/1/data/a", "");
	writes(&guest, 0, "data/a/b", "");
	reads(&guest, 0, "data/a/b", "");
	/* Values are bytes. */
	asked_bytes(&guest, STORE_WRITE, 0, "data/x\0a\0b\xff", 12, "OK", 3);
	asked_bytes(&guest, STORE_READ, 0, "data/x", 7, "a\0b\xff", 4 + 1);
	refused(&guest, STORE_READ, 0, "data/none", STORE_ENOENT);
	asked(&guest, STORE_DIRECTORY, 0, "data", "a\0x");
	asked_bytes(&guest, STORE_DIRECTORY, 0, "data/x", 7, "", 0);
	ok(&guest, STORE_MKDIR, 0, "data/a/b");
	ok(&guest, STORE_MKDIR, 0, "data/m/n");
	reads(&guest, 0, "data/m", "");
	ok(&guest, STORE_RM, 0, "data/a");
	refused(&guest, STORE_READ, 0, "data/a/b", STORE_ENOENT);
	ok(&guest, STORE_RM, 0, "data/a");
	refused(&guest, STORE_RM, 0, "data/a/b", STORE_ENOENT);
	refused(&backend, STORE_RM, 0, "/", STORE_EINVAL);
}

static void test_paths(void **state)
{
	static const char *const bad[] = {"",     "a/",       "a//b",           "//",  "/a/", "a b",
					  "a\nb", "\xc3\xa4", "@releaseDomain", "a.b", "*"};
	char path[STORE_PAYLOAD_MAX];
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		refused_bytes(&guest, STORE_READ, 0, bad[i], strlen(bad[i]) + 1, STORE_EINVAL);
		refused_bytes(&guest, STORE_MKDIR, 0, bad[i], strlen(bad[i]) + 1, STORE_EINVAL);
		refused_bytes(&guest, STORE_RM, 0, bad[i], strlen(bad[i]) + 1, STORE_EINVAL);
	}
	memset(path, 'a', sizeof(path));
	path[STORE_RELATIVE_PATH_MAX] = 0;
	refused_bytes(&guest, STORE_READ, 0, path, STORE_RELATIVE_PATH_MAX + 1, STORE_ENOENT);
	path[STORE_RELATIVE_PATH_MAX] = 'a';
	path[STORE_RELATIVE_PATH_MAX + 1] = 0;
	refused_bytes(&guest, STORE_READ, 0, path, STORE_RELATIVE_PATH_MAX + 2, STORE_EINVAL);
	path[0] = '/';
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[STORE_ABSOLUTE_PATH_MAX] = 0;
	refused_bytes(&backend, STORE_READ, 0, path, STORE_ABSOLUTE_PATH_MAX + 1, STORE_ENOENT);
	path[STORE_ABSOLUTE_PATH_MAX] = 'a';
	path[STORE_ABSOLUTE_PATH_MAX + 1] = 0;
	refused_bytes(&backend, STORE_READ, 0, path, STORE_ABSOLUTE_PATH_MAX + 2, STORE_EINVAL);
	/* Not terminated, or more than one string. */
	refused_bytes(&guest, STORE_READ, 0, "a", 1, STORE_EINVAL);
	refused_bytes(&guest, STORE_READ, 0, "", 0, STORE_EINVAL);
	refused_bytes(&guest, STORE_READ, 0, "a\0b", 4, STORE_EINVAL);
	refused_bytes(&guest, STORE_WRITE, 0, "abc", 3, STORE_EINVAL);
	refused_bytes(&guest, STORE_WRITE, 0, "", 0, STORE_EINVAL);
	/* A relative path of domain 0 lies below its own. */
	writes(&backend, 0, "here", "0");
	reads(&backend, 0, "/local/domain/0/here", "0");
}

static void test_permissions(void **state)
{
	writes(&backend, 0, "/secret/x", "1");
	refused(&guest, STORE_READ, 0, "/secret/x", STORE_EACCES);
	/* Not even whether it is there. */
	refused(&guest, STORE_READ, 0, "/secret/none", STORE_EACCES);
	refused_bytes(&guest, STORE_WRITE, 0, "/secret/x\0002", 11, STORE_EACCES);
	refused(&guest, STORE_MKDIR, 0, "/secret/new", STORE_EACCES);
	refused(&guest, STORE_RM, 0, "/secret/x", STORE_EACCES);
	refused(&guest, STORE_DIRECTORY, 0, "/", STORE_EACCES);
	asked(&backend, STORE_GET_PERMISSIONS, 0, "/secret/x", "n0");
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0n0\0r1");
	reads(&guest, 0, "/secret/x", "1");
	refused_bytes(&guest, STORE_WRITE, 0, "/secret/x\0002", 11, STORE_EACCES);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "/secret/x\0n0\0b1", STORE_EACCES);
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0n0\0b1");
	writes(&guest, 0, "/secret/x", "2");
	refused(&other, STORE_READ, 0, "/secret/x", STORE_EACCES);
	/* The first one: what everybody else may. */
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0r0\0n1");
	refused(&guest, STORE_READ, 0, "/secret/x", STORE_EACCES);
	reads(&other, 0, "/secret/x", "2");
	/* w is to write, not to read. */
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0n0\0w1");
	writes(&guest, 0, "/secret/x", "3");
	refused(&guest, STORE_READ, 0, "/secret/x", STORE_EACCES);
	/* An owner may all, but not give away. */
	writes(&guest, 0, "mine", "1");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "mine", "n1");
	ok(&guest, STORE_SET_PERMISSIONS, 0, "mine\0n1\0r0\0b2");
	asked(&backend, STORE_GET_PERMISSIONS, 0, "/local/domain/1/mine", "n1\0r0\0b2");
	writes(&other, 0, "/local/domain/1/mine", "2");
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine\0n2", STORE_EPERM);
	refused(&other, STORE_SET_PERMISSIONS, 0, "/local/domain/1/mine\0n2", STORE_EACCES);
	/* What is new has its parent's, and belongs to who made it. */
	writes(&other, 0, "/local/domain/1/mine/theirs", "x");
	asked(&backend, STORE_GET_PERMISSIONS, 0, "/local/domain/1/mine/theirs", "n2\0r0\0b2");
	writes(&backend, 0, "/local/domain/1/mine/ours", "x");
	asked(&backend, STORE_GET_PERMISSIONS, 0, "/local/domain/1/mine/ours", "n1\0r0\0b2");
	/* Forms. */
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine", STORE_EINVAL);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine\0x1", STORE_EINVAL);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine\0n", STORE_EINVAL);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine\0n1x", STORE_EINVAL);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine\0n65536", STORE_EINVAL);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine\0n-1", STORE_EINVAL);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "mine\0n1\0", STORE_EINVAL);
	refused(&guest, STORE_SET_PERMISSIONS, 0, "none\0n1", STORE_ENOENT);
	/* A special node's are domain 0's to give. */
	asked(&backend, STORE_GET_PERMISSIONS, 0, "@releaseDomain", "n0");
	refused(&guest, STORE_SET_PERMISSIONS, 0, "@releaseDomain\0r1", STORE_EACCES);
	ok(&backend, STORE_SET_PERMISSIONS, 0, "@releaseDomain\0n0\0r1");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "@releaseDomain", "n0\0r1");
}

static void test_long_directory(void **state)
{
	char payload[256], names[8192], part[STORE_PAYLOAD_MAX];
	struct message answer;
	unsigned int i, used = 0, size;
	char generation[32] = "";

	for (i = 0; i < 300; i++) {
		size = (unsigned int)snprintf(payload, sizeof(payload), "/long/name-of-a-child-%u",
					      i) +
		       1;
		asked_bytes(&backend, STORE_MKDIR, 0, payload, size, "OK", 3);
	}
	refused(&backend, STORE_DIRECTORY, 0, "/long", STORE_E2BIG);
	for (;;) {
		size = (unsigned int)snprintf(payload, sizeof(payload), "/long%c%u", 0, used) + 1;
		ask_bytes(&backend, STORE_DIRECTORY_PART, 0, payload, size, &answer);
		assert_int_equal(answer.header.type, STORE_DIRECTORY_PART);
		memcpy(part, answer.payload, answer.header.length);
		if (*generation)
			assert_string_equal(generation, part);
		strcpy(generation, part);
		size = answer.header.length - (unsigned int)strlen(part) - 1;
		assert_true(used + size <= sizeof(names));
		memcpy(names + used, part + strlen(part) + 1, size);
		used += size;
		if (size == 1 || !names[used - 2]) /* an empty name */
			break;
	}
	for (i = size = 0; i < 300; i++) {
		snprintf(payload, sizeof(payload), "name-of-a-child-%u", i);
		assert_string_equal(names + size, payload);
		size += (unsigned int)strlen(payload) + 1;
	}
	assert_int_equal(size + 1, used);
	/* A change of the list shows. */
	ok(&backend, STORE_RM, 0, "/long/name-of-a-child-7");
	ask(&backend, STORE_DIRECTORY_PART, 0,
	    "/long\0"
	    "99999",
	    &answer);
	assert_string_not_equal(answer.payload, generation);
	assert_int_equal(answer.header.length, strlen(answer.payload) + 2);
	refused(&backend, STORE_DIRECTORY_PART, 0, "/long", STORE_EINVAL);
	refused(&backend, STORE_DIRECTORY_PART, 0, "/long\0x", STORE_EINVAL);
	refused(&guest, STORE_DIRECTORY_PART, 0,
		"/long\0"
		"0",
		STORE_EACCES);
}

static void test_domains(void **state)
{
	asked(&guest, STORE_GET_DOMAIN_PATH, 0, "7", "/local/domain/7");
	refused(&guest, STORE_GET_DOMAIN_PATH, 0, "x", STORE_EINVAL);
	refused(&guest, STORE_GET_DOMAIN_PATH, 0, "99999", STORE_EINVAL);
	refused_bytes(&guest, STORE_GET_DOMAIN_PATH, 0, "7", 1, STORE_EINVAL);
	asked(&backend, STORE_IS_DOMAIN_INTRODUCED, 0, "0", "T");
	asked(&backend, STORE_IS_DOMAIN_INTRODUCED, 0, "1", "F"); /* has no ring yet */
	asked(&backend, STORE_IS_DOMAIN_INTRODUCED, 0, "9", "F");
	refused(&backend, STORE_INTRODUCE, 0,
		"1\0"
		"5\0"
		"6",
		STORE_EINVAL); /* nor can it be */
	refused(&backend, STORE_RELEASE, 0, "1", STORE_ENOENT);
	refused(&backend, STORE_RESUME, 0, "1", STORE_ENOENT);
	refused(&guest, STORE_INTRODUCE, 0,
		"1\0"
		"5\0"
		"6",
		STORE_EACCES);
	refused(&guest, STORE_RELEASE, 0, "1", STORE_EACCES);
	refused(&guest, STORE_RESUME, 0, "1", STORE_EACCES);
	refused(&guest, STORE_SET_TARGET, 0,
		"1\0"
		"2",
		STORE_EACCES);
	refused(&guest, STORE_CONTROL, 0, "help", STORE_EACCES);
	/* Whose target is a domain has its rights. */
	writes(&guest, 0, "own", "1");
	refused(&other, STORE_READ, 0, "/local/domain/1/own", STORE_EACCES);
	ok(&backend, STORE_SET_TARGET, 0,
	   "2\0"
	   "1");
	reads(&other, 0, "/local/domain/1/own", "1");
	refused(&backend, STORE_SET_TARGET, 0,
		"2\0"
		"99",
		STORE_ENOENT);
	refused(&backend, STORE_SET_TARGET, 0, "2", STORE_EINVAL);
}

static void test_control(void **state)
{
	struct message answer;

	ask(&backend, STORE_CONTROL, 0, "help", &answer);
	assert_int_equal(answer.header.type, STORE_CONTROL);
	assert_non_null(strstr(answer.payload, "check"));
	writes(&guest, 0, "a/b/c", "1");
	ok(&guest, STORE_RM, 0, "a/b");
	ask(&backend, STORE_CONTROL, 0, "check", &answer);
	assert_int_equal(answer.header.type, STORE_CONTROL);
	assert_non_null(strstr(answer.payload, "OK"));
	ask(&backend, STORE_CONTROL, 0, "quota", &answer);
	assert_non_null(strstr(answer.payload, "domain 1: 2 nodes"));
	refused(&backend, STORE_CONTROL, 0, "explode", STORE_EINVAL);
	refused_bytes(&backend, STORE_CONTROL, 0, "help", 4, STORE_EINVAL);
}

static void test_unknown_types(void **state)
{
	static const uint32_t types[] = {STORE_ERROR, STORE_WATCH_EVENT, 20,        STORE_TYPES,
					 1000,        STORE_INVALID,     UINT32_MAX};
	unsigned int i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		refused(&guest, types[i], 0, "data", STORE_ENOSYS);
	reads(&guest, 0, "/local/domain/1", "");
}

static void test_own_hand(void **state)
{
	char value[8];

	assert_int_equal(
		pv_store_write(1, 0, "/local/domain/1/device/vbd/51712/backend-id", "%u", 0), 0);
	assert_int_equal(
		pv_store_write(0, 1, "/local/domain/0/backend/vbd/1/51712/mode", "%s", "w"), 0);
	reads(&guest, 0, "device/vbd/51712/backend-id", "0");
	asked(&guest, STORE_DIRECTORY, 0, "device/vbd", "51712");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "device/vbd/51712", "n1\0r0");
	reads(&guest, 0, "/local/domain/0/backend/vbd/1/51712/mode", "w");
	refused_bytes(&guest, STORE_WRITE, 0, "/local/domain/0/backend/vbd/1/51712/mode\0r", 42,
		      STORE_EACCES);
	refused(&other, STORE_READ, 0, "/local/domain/0/backend/vbd/1/51712/mode", STORE_EACCES);
	/* What a back-end adds may be read, too. */
	writes(&backend, 0, "/local/domain/0/backend/vbd/1/51712/feature-flush-cache", "1");
	reads(&guest, 0, "/local/domain/0/backend/vbd/1/51712/feature-flush-cache", "1");
	writes(&guest, 0, "data", "long enough to be cut");
	assert_int_equal(pv_store_read("/local/domain/1/data", value, sizeof(value)), 21);
	assert_string_equal(value, "long en");
	assert_int_equal(pv_store_read("/local/domain/1/none", value, sizeof(value)), -ENOENT);
	assert_int_equal(pv_store_read("bad//path", value, sizeof(value)), -EINVAL);
	assert_int_equal(pv_store_remove("/local/domain/1/data"), 0);
	refused(&guest, STORE_READ, 0, "data", STORE_ENOENT);
	assert_int_equal(pv_store_remove("/none/at/all"), -ENOENT);
	assert_int_equal(pv_store_write(0, 0, "/big", "%5000s", ""), -E2BIG);
	assert_int_equal(pv_store_open(GUEST), -EBUSY);
}

static void test_closed(void **state)
{
	char value[8];

	assert_int_equal(pv_store_write(0, 0, "/x", "1"), -ENODEV);
	assert_int_equal(pv_store_read("/x", value, sizeof(value)), -ENODEV);
	assert_int_equal(pv_store_connection(0), -ENODEV);
	assert_int_equal(pv_store_open(0), -EINVAL);
	pv_store_close();
	pv_store_reset_guest();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_permissions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_hand, setup, teardown),
		cmocka_unit_test(test_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
