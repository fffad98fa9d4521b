// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Watches: who is told what, in which order, and who is not.
 *
 *	41	a watch on "/" or @releaseDomain: only what may be read
 *	38	a token so long that events do not fit
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_speak.h"

static struct speaker backend, guest;

static int setup(void **state)
{
	return speakers_open(&backend, &guest);
}

static int teardown(void **state)
{
	speakers_close(&backend, &guest);
	return 0;
}

static void watches(struct speaker *speaker, const char *path, const char *token)
{
	char payload[STORE_PAYLOAD_MAX];
	size_t size = strlen(path) + 1;

	memcpy(payload, path, size);
	memcpy(payload + size, token, strlen(token) + 1);
	asked_bytes(speaker, STORE_WATCH, 0, payload, size + strlen(token) + 1, "OK", 3);
	event(speaker, path, token);
}

static void test_first_event_and_forms(void **state)
{
	watches(&guest, "none/there", "token");
	watches(&guest, "none/there", "other token/!\"\xff");
	watches(&guest, "none/there", "");
	watches(&guest, "/", "root");
	refused(&guest, STORE_WATCH, 0, "none/there\0token", STORE_EEXIST);
	refused(&guest, STORE_WATCH, 0, "none/there", STORE_EINVAL);
	refused(&guest, STORE_WATCH, 0,
		"none/there\0t\0"
		"1\0"
		"2",
		STORE_EINVAL);
	refused(&guest, STORE_WATCH, 0, "none/there\0t\0x", STORE_EINVAL);
	refused(&guest, STORE_WATCH, 0, "none/there\0t\0-1", STORE_EINVAL);
	refused(&guest, STORE_WATCH, 0, "a//b\0t", STORE_EINVAL);
	refused_bytes(&guest, STORE_WATCH, 0, "none\0t", 6, STORE_EINVAL);
	refused(&guest, STORE_UNWATCH, 0, "none/there\0else", STORE_ENOENT);
	refused(&guest, STORE_UNWATCH, 0, "none/there", STORE_EINVAL);
	refused(&backend, STORE_UNWATCH, 0, "/local/domain/1/none/there\0token", STORE_ENOENT);
	/* The same one, by another name. */
	ok(&guest, STORE_UNWATCH, 0, "/local/domain/1/none/there\0token");
	refused(&guest, STORE_UNWATCH, 0, "none/there\0token", STORE_ENOENT);
	no_event(&guest);
}

static void test_changes_in_order(void **state)
{
	char payload[64];
	unsigned int i, size;

	watches(&guest, "dir", "relative");
	watches(&guest, "/local/domain/1/dir", "absolute");
	watches(&guest, "director", "no prefix");
	writes(&guest, 0, "dir", "1");
	/* A parent that is made on the way has no event of its own. */
	writes(&guest, 0, "dir/a/b", "1");
	ok(&guest, STORE_MKDIR, 0, "dir/c");
	ok(&guest, STORE_MKDIR, 0, "dir/c"); /* is there: no change */
	ok(&guest, STORE_SET_PERMISSIONS, 0, "dir/c\0n1\0r2");
	ok(&guest, STORE_RM, 0, "dir/c");
	ok(&guest, STORE_RM, 0, "dir/c"); /* is gone: no change */
	reads(&guest, 0, "dir/a/b", "1");
	event(&guest, "dir", "relative");
	event(&guest, "/local/domain/1/dir", "absolute");
	event(&guest, "dir/a/b", "relative");
	event(&guest, "/local/domain/1/dir/a/b", "absolute");
	for (i = 0; i < 3; i++) {
		event(&guest, "dir/c", "relative");
		event(&guest, "/local/domain/1/dir/c", "absolute");
	}
	no_event(&guest);
	for (i = 0; i < 15; i++) {
		size = (unsigned int)snprintf(payload, sizeof(payload), "dir/%u", i) + 1;
		asked_bytes(&guest, STORE_MKDIR, 0, payload, size, "OK", 3);
	}
	for (i = 0; i < 15; i++) {
		snprintf(payload, sizeof(payload), "dir/%u", i);
		event(&guest, payload, "relative");
		event(&guest, strcat(strcpy((char[128]){0}, "/local/domain/1/"), payload),
		      "absolute");
	}
}

static void test_removal(void **state)
{
	writes(&guest, 0, "top/a/x", "1");
	writes(&guest, 0, "top/b", "1");
	watches(&guest, "top/a", "on a");
	watches(&guest, "top/a/x", "on x");
	watches(&guest, "top/none", "none");
	watches(&guest, "top", "on top");
	watches(&guest, "/local/domain/1", "above");
	ok(&guest, STORE_RM, 0, "top");
	/* Below: who watches just that; then the one that was named. */
	event(&guest, "top/a/x", "on x");
	event(&guest, "top/a", "on a");
	event(&guest, "top", "on top");
	event(&guest, "/local/domain/1/top", "above");
	no_event(&guest);
}

static void test_depth(void **state)
{
	ok(&guest, STORE_WATCH, 0,
	   "d\0zero\0"
	   "0");
	ok(&guest, STORE_WATCH, 0,
	   "d\0one\0"
	   "1");
	ok(&backend, STORE_WATCH, 0,
	   "/\0root\0"
	   "4");
	event(&guest, "d", "zero");
	event(&guest, "d", "one");
	event(&backend, "/", "root");
	writes(&guest, 0, "d/a/b", "1");
	writes(&guest, 0, "d/a", "1");
	writes(&guest, 0, "d", "1");
	event(&guest, "d/a", "one");
	event(&guest, "d", "zero");
	event(&guest, "d", "one");
	no_event(&guest);
	event(&backend, "/local/domain/1/d", "root");
	no_event(&backend);
	/* Removed from above: told whatever the depth. */
	ok(&guest, STORE_RM, 0, "/local/domain/1");
	event(&guest, "d", "zero");
	event(&guest, "d", "one");
}

static void test_only_what_may_be_read(void **state)
{
	watches(&guest, "/", "w");
	watches(&guest, "/secret/x", "s");
	watches(&guest, "@releaseDomain", "r");
	watches(&guest, "@introduceDomain", "i");
	writes(&backend, 0, "/secret/x", "1");
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0n0\0w1");
	ok(&backend, STORE_RM, 0, "/secret/x");
	no_event(&guest);
	/* It sees that it may, and that it may no more. */
	writes(&backend, 0, "/secret/x", "2");
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0n0\0r1");
	event(&guest, "/secret/x", "w");
	event(&guest, "/secret/x", "s");
	writes(&backend, 0, "/secret/x", "3");
	event(&guest, "/secret/x", "w");
	event(&guest, "/secret/x", "s");
	no_event(&guest);
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0n0");
	event(&guest, "/secret/x", "w");
	event(&guest, "/secret/x", "s");
	writes(&backend, 0, "/secret/x", "4");
	no_event(&guest);
	/* That something is gone that it could read. */
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/secret/x\0r0");
	ok(&backend, STORE_RM, 0, "/secret");
	event(&guest, "/secret/x", "w");
	event(&guest, "/secret/x", "s");
	event(&guest, "/secret/x", "s");
	no_event(&guest);
}

static void test_special(void **state)
{
	struct speaker ring;

	watches(&backend, "@introduceDomain", "came");
	watches(&backend, "@releaseDomain", "went");
	watches(&backend, "@releaseDomain/1", "one went");
	watches(&backend, "@releaseDomain/2", "two went");
	ok(&backend, STORE_WATCH, 0,
	   "@releaseDomain\0who went\0"
	   "1");
	event(&backend, "@releaseDomain", "who went");
	refused(&backend, STORE_WATCH, 0,
		"@releaseDomain\0deep\0"
		"2",
		STORE_EINVAL);
	watches(&backend, "/", "all nodes");
	ok(&backend, STORE_SET_PERMISSIONS, 0, "@releaseDomain\0n0\0r1");
	watches(&guest, "@releaseDomain", "us?");
	watches(&guest, "@introduceDomain", "who?");
	speaker_connect_ring(&ring);
	event(&backend, "@introduceDomain", "came");
	asked(&backend, STORE_IS_DOMAIN_INTRODUCED, 0, "1", "T");
	ok(&backend, STORE_RESUME, 0, "1");
	writes(&ring, 0, "by/ring", "1");
	event(&backend, "/local/domain/1/by/ring", "all nodes");
	ok(&backend, STORE_RELEASE, 0, "1");
	event(&backend, "@releaseDomain", "went");
	event(&backend, "@releaseDomain/1", "one went");
	event(&backend, "@releaseDomain/1", "who went");
	event(&guest, "@releaseDomain", "us?");
	no_event(&guest);
	asked(&backend, STORE_IS_DOMAIN_INTRODUCED, 0, "1", "F");
	ok(&backend, STORE_INTRODUCE, 0,
	   "1\0"
	   "123\0"
	   "4");
	event(&backend, "@introduceDomain", "came");
	no_event(&backend);
	/* Introduced again, its ring starts from zero. */
	ring.request_producer = ring.response_consumer = 0;
	reads(&ring, 0, "by/ring", "1");
	pv_store_disconnect_guest();
	event(&backend, "@releaseDomain", "went");
	event(&backend, "@releaseDomain/1", "one went");
	event(&backend, "@releaseDomain/1", "who went");
	speaker_close(&ring);
}

static void test_long_token(void **state)
{
	char payload[STORE_PAYLOAD_MAX];

	memset(payload, 't', sizeof(payload));
	memcpy(payload, "w", 2);
	payload[sizeof(payload) - 1] = 0;
	asked_bytes(&guest, STORE_WATCH, 0, payload, sizeof(payload), "OK", 3);
	event(&guest, "w", payload + 2);
	writes(&guest, 0, "w", "1"); /* as long as the first one */
	event(&guest, "w", payload + 2);
	writes(&guest, 0, "w/below", "1"); /* does not fit */
	no_event(&guest);
}

static void test_quota(void **state)
{
	struct speaker second;
	char payload[64];
	unsigned int i;

	for (i = 0; i < STORE_QUOTA_WATCHES; i++) {
		snprintf(payload, sizeof(payload), "%u", i);
		watches(&guest, payload, payload);
	}
	refused(&guest, STORE_WATCH, 0, "more\0x", STORE_E2BIG);
	speaker_connect(&second, GUEST);
	refused(&second, STORE_WATCH, 0, "more\0x", STORE_E2BIG);
	ok(&guest, STORE_UNWATCH, 0,
	   "7\0"
	   "7");
	watches(&second, "more", "x");
	speaker_close(&second);
	ok(&guest, STORE_RESET_WATCHES, 0, "");
	for (i = 0; i < STORE_QUOTA_WATCHES; i++) {
		snprintf(payload, sizeof(payload), "%u", i);
		watches(&guest, payload, payload);
		/* Domain 0 has none. */
		watches(&backend, payload, payload);
	}
	watches(&backend, "one-more", "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_event_and_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_what_may_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_special, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_token, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
