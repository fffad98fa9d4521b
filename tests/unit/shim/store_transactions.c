// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Transactions: what they see, when they conflict, what a commit leaves, and what a guest can do
 * with them to others.
 *
 *	37	a node made and removed in one transaction: counts stay exact
 *	42	watches and transactions reset inside one; writes without end: domain 0 gets through
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#include "store_speak.h"

static struct speaker backend, guest;

static int setup(void **state)
{
	if (speakers_open(&backend, &guest) < 0)
		return -1;
	writes(&guest, 0, "a", "1");
	writes(&guest, 0, "b", "1");
	return 0;
}

static int teardown(void **state)
{
	speakers_close(&backend, &guest);
	return 0;
}

static void assert_counts(const char *wanted)
{
	struct message answer;

	ask(&backend, STORE_CONTROL, 0, "check", &answer);
	assert_int_equal(answer.header.type, STORE_CONTROL);
	ask(&backend, STORE_CONTROL, 0, "quota", &answer);
	if (!strstr(answer.payload, wanted))
		print_error("%s\n", answer.payload);
	assert_non_null(strstr(answer.payload, wanted));
}

#define commit(speaker, id) ok(speaker, STORE_TRANSACTION_END, id, "T")

static void test_one_state_until_the_end(void **state)
{
	uint32_t id = begin(&guest);

	writes(&guest, 0, "later", "1");
	ok(&guest, STORE_RM, 0, "b");
	refused(&guest, STORE_READ, id, "later", STORE_ENOENT);
	reads(&guest, id, "b", "1");
	asked(&guest, STORE_DIRECTORY, id, "/local/domain/1", "a\0b");
	writes(&guest, id, "a", "2");
	reads(&guest, id, "a", "2");
	reads(&guest, 0, "a", "1");
	ok(&guest, STORE_TRANSACTION_END, id, "F");
	reads(&guest, 0, "a", "1");
	refused(&guest, STORE_READ, id, "a", STORE_ENOENT);
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_ENOENT);
	assert_counts("domain 1: 3 nodes, 0 watches, 0 transactions, 0 messages for others, ");
}

static void test_commit(void **state)
{
	uint32_t id = begin(&guest);

	writes(&guest, id, "new/x/y", "deep");
	writes(&guest, id, "a", "2");
	ok(&guest, STORE_SET_PERMISSIONS, id, "new/x\0n1\0r2");
	writes(&guest, id, "new/x/z", "inherits");
	ok(&guest, STORE_RM, id, "b");
	refused(&guest, STORE_READ, 0, "new", STORE_ENOENT);
	commit(&guest, id);
	reads(&guest, 0, "new/x/y", "deep");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "new/x/y", "n1");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "new/x", "n1\0r2");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "new/x/z", "n1\0r2");
	reads(&guest, 0, "a", "2");
	refused(&guest, STORE_READ, 0, "b", STORE_ENOENT);
	assert_counts("domain 1: 6 nodes, 0 watches, 0 transactions");
}

/* The same again beside changes by others that it does not touch. */
static void test_merge(void **state)
{
	uint32_t id = begin(&guest);

	writes(&guest, id, "a/x/y", "deep");
	ok(&guest, STORE_SET_PERMISSIONS, id, "a/x\0n1\0r2");
	writes(&guest, id, "a/x/z", "inherits");
	writes(&guest, id, "a/x/gone/too", "1");
	ok(&guest, STORE_RM, id, "a/x/gone");
	writes(&guest, id, "a/x/gone", "back");
	writes(&guest, 0, "b", "meanwhile");
	writes(&backend, 0, "/elsewhere", "1");
	commit(&guest, id);
	reads(&guest, 0, "a/x/y", "deep");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "a/x/y", "n1");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "a/x", "n1\0r2");
	asked(&guest, STORE_GET_PERMISSIONS, 0, "a/x/z", "n1\0r2");
	asked(&guest, STORE_DIRECTORY, 0, "a/x", "y\0z\0gone");
	asked_bytes(&guest, STORE_DIRECTORY, 0, "a/x/gone", 9, "", 0);
	reads(&guest, 0, "b", "meanwhile");
	reads(&backend, 0, "/elsewhere", "1");
	assert_counts("domain 1: 7 nodes,");
}

static void test_conflicts(void **state)
{
	uint32_t id;

	/* Read, and written by somebody else. */
	id = begin(&guest);
	reads(&guest, id, "a", "1");
	writes(&guest, id, "b", "2");
	writes(&backend, 0, "/local/domain/1/a", "3");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_EAGAIN);
	reads(&guest, 0, "b", "1");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_ENOENT);
	/* The same value again is a write as well. */
	id = begin(&guest);
	reads(&guest, id, "a", "3");
	writes(&backend, 0, "/local/domain/1/a", "3");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_EAGAIN);
	/* Not there, and made. */
	id = begin(&guest);
	refused(&guest, STORE_READ, id, "c", STORE_ENOENT);
	writes(&guest, 0, "c", "1");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_EAGAIN);
	/* Removed and made again. */
	id = begin(&guest);
	reads(&guest, id, "c", "1");
	ok(&guest, STORE_RM, 0, "c");
	writes(&guest, 0, "c", "1");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_EAGAIN);
	/* A list of children that has changed. */
	id = begin(&guest);
	asked(&guest, STORE_DIRECTORY, id, "/local/domain/1", "a\0b\0c");
	writes(&guest, 0, "d", "1");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_EAGAIN);
	/* Permissions. */
	id = begin(&guest);
	asked(&guest, STORE_GET_PERMISSIONS, id, "a", "n1");
	ok(&guest, STORE_SET_PERMISSIONS, 0, "a\0r1");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_EAGAIN);
	/* Two transactions on one node: the first wins. */
	id = begin(&guest);
	{
		uint32_t second = begin(&backend);

		writes(&guest, id, "a", "first");
		writes(&backend, second, "/local/domain/1/a", "second");
		commit(&guest, id);
		refused(&backend, STORE_TRANSACTION_END, second, "T", STORE_EAGAIN);
		reads(&guest, 0, "a", "first");
	}
	/* None: others write elsewhere. */
	id = begin(&guest);
	reads(&guest, id, "a", "first");
	writes(&guest, 0, "b", "9");
	commit(&guest, id);
}

static void test_forms(void **state)
{
	uint32_t id = begin(&guest);

	refused(&guest, STORE_TRANSACTION_START, id, "", STORE_EBUSY);
	refused(&guest, STORE_TRANSACTION_START, 77, "", STORE_ENOENT);
	refused(&guest, STORE_TRANSACTION_END, id, "X", STORE_EINVAL);
	refused(&guest, STORE_TRANSACTION_END, id, "TF", STORE_EINVAL);
	refused_bytes(&guest, STORE_TRANSACTION_END, id, "T", 1, STORE_EINVAL);
	refused_bytes(&guest, STORE_TRANSACTION_END, id, "", 0, STORE_EINVAL);
	refused(&guest, STORE_TRANSACTION_END, 0, "T", STORE_ENOENT);
	refused(&guest, STORE_READ, id + 1, "a", STORE_ENOENT);
	/* Others' are not to be seen. */
	refused(&backend, STORE_READ, id, "/local/domain/1/a", STORE_ENOENT);
	reads(&guest, id, "a", "1");
	/* Watches do not care. */
	ok(&guest, STORE_WATCH, 4711, "a\0t");
	event(&guest, "a", "t");
	ok(&guest, STORE_UNWATCH, 4711, "a\0t");
	commit(&guest, id);
}

static void test_events_on_commit_only(void **state)
{
	uint32_t id;

	ok(&backend, STORE_WATCH, 0, "/local/domain/1\0w");
	event(&backend, "/local/domain/1", "w");
	id = begin(&guest);
	writes(&guest, id, "b", "2");
	writes(&guest, id, "n/m", "2");
	writes(&guest, id, "b", "3");
	ok(&guest, STORE_RM, id, "a");
	no_event(&backend);
	commit(&guest, id);
	event(&backend, "/local/domain/1/b", "w");
	event(&backend, "/local/domain/1/n/m", "w");
	event(&backend, "/local/domain/1/a", "w");
	no_event(&backend);
	id = begin(&guest);
	writes(&guest, id, "b", "4");
	ok(&guest, STORE_TRANSACTION_END, id, "F");
	id = begin(&guest);
	writes(&guest, id, "b", "5");
	writes(&guest, 0, "b", "6");
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_EAGAIN);
	event(&backend, "/local/domain/1/b", "w"); /* of the write that won */
	no_event(&backend);
}

static void test_counts_stay_exact(void **state)
{
	uint32_t id;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		id = begin(&guest);
		writes(&guest, id, "t/u/v", "1");
		ok(&guest, STORE_RM, id, "t");
		if (i == 1)
			writes(&guest, 0, "b", "meanwhile");
		ok(&guest, STORE_RM, id, "t");
		asked_bytes(&guest, STORE_TRANSACTION_END, id, i == 2 ? "F" : "T", 2, "OK", 3);
		assert_counts("domain 1: 3 nodes,");
	}
	id = begin(&guest);
	writes(&guest, id, "t/u/v", "1");
	ok(&guest, STORE_RM, id, "t/u");
	writes(&guest, id, "t/u/w", "1");
	writes(&guest, 0, "b", "meanwhile");
	commit(&guest, id);
	assert_counts("domain 1: 6 nodes,");
	asked(&guest, STORE_DIRECTORY, 0, "t/u", "w");
	/* An owner that changes takes the node along. */
	id = begin(&backend);
	ok(&backend, STORE_SET_PERMISSIONS, id, "/local/domain/1/t/u\0n0");
	writes(&guest, 0, "b", "meanwhile");
	commit(&backend, id);
	assert_counts("domain 1: 5 nodes,");
}

static void test_reset_inside(void **state)
{
	uint32_t id = begin(&guest);

	writes(&guest, id, "a", "2");
	ok(&guest, STORE_WATCH, 0, "a\0t");
	event(&guest, "a", "t");
	ok(&guest, STORE_RESET_WATCHES, id, "");
	refused(&guest, STORE_READ, id, "a", STORE_ENOENT);
	reads(&guest, 0, "a", "1");
	writes(&backend, 0, "/local/domain/1/a", "3");
	no_event(&guest);
	assert_counts(
		"domain 1: 3 nodes, 0 watches, 0 transactions, 0 messages for others, 0 bytes");
}

static void test_limits(void **state)
{
	uint32_t ids[STORE_QUOTA_TRANSACTIONS], id;
	struct speaker second;
	char path[64];
	unsigned int i, size;

	for (i = 0; i < STORE_QUOTA_TRANSACTIONS; i++)
		ids[i] = begin(&guest);
	refused(&guest, STORE_TRANSACTION_START, 0, "", STORE_ENOSPC);
	/* The quota is the domain's. */
	speaker_connect(&second, GUEST);
	refused(&second, STORE_TRANSACTION_START, 0, "", STORE_ENOSPC);
	ok(&guest, STORE_TRANSACTION_END, ids[3], "F");
	id = begin(&second);
	writes(&second, id, "never", "1");
	speaker_close(&second);
	for (i = 0; i < STORE_QUOTA_TRANSACTIONS; i++)
		if (i != 3)
			ok(&guest, STORE_TRANSACTION_END, ids[i], "T");
	/* One that looks at too much can only end. */
	id = begin(&guest);
	for (i = 0; i < 1024; i++) {
		size = (unsigned int)snprintf(path, sizeof(path), "no/such/node/%u", i) + 1;
		refused_bytes(&guest, STORE_READ, id, path, size, STORE_ENOENT);
	}
	refused(&guest, STORE_READ, id, "one/more", STORE_ENOSPC);
	refused(&guest, STORE_MKDIR, id, "one/more", STORE_ENOSPC);
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_ENOSPC);
	refused(&guest, STORE_READ, 0, "never", STORE_ENOENT);
	assert_counts(
		"domain 1: 3 nodes, 0 watches, 0 transactions, 0 messages for others, 0 bytes");
}

/* One note may remove many nodes, and the commit tells of each: they count as notes do. */
static void test_removed_subtrees(void **state)
{
	static const char wanted[] =
		"domain 1: 3 nodes, 0 watches, 0 transactions, 0 messages for others, 0 bytes";
	char path[2 * 950];
	struct message answer;
	unsigned int i, size;
	uint32_t id;

	for (i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'd';
	path[sizeof(path) - 1] = 0;
	/* All that a guest may have can go at once, */
	id = begin(&guest);
	asked_bytes(&guest, STORE_MKDIR, id, path, sizeof(path), "OK", 3);
	for (i = 0; i < STORE_QUOTA_NODES - 3 - 950; i++) {
		size = (unsigned int)snprintf(answer.payload, sizeof(answer.payload), "d/%u", i);
		asked_bytes(&guest, STORE_MKDIR, id, answer.payload, size + 1, "OK", 3);
	}
	ok(&guest, STORE_RM, id, "d");
	commit(&guest, id);
	assert_counts(wanted);
	/* but not again and again. */
	id = begin(&guest);
	for (i = 0; i < 500; i++) {
		asked_bytes(&guest, STORE_MKDIR, id, path, sizeof(path), "OK", 3);
		ask(&guest, STORE_RM, id, "d", &answer);
		if (answer.header.type == STORE_ERROR)
			break;
	}
	assert_int_equal(i, 1);
	assert_string_equal(answer.payload, STORE_ENOSPC);
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_ENOSPC);
	assert_counts(wanted);
	/* Domain 0 may. */
	id = begin(&backend);
	for (i = 0; i < 3; i++) {
		asked_bytes(&backend, STORE_MKDIR, id, path, sizeof(path), "OK", 3);
		ok(&backend, STORE_RM, id, "d");
	}
	commit(&backend, id);
}

/* Two transactions that fit one by one and not together. */
static void test_quota_at_commit(void **state)
{
	uint32_t one = begin(&guest), two = begin(&guest);
	char path[64];
	unsigned int i, size;

	for (i = 0; i < 600; i++) {
		size = (unsigned int)snprintf(path, sizeof(path), "a/%u/%u", i % 20, i) + 1;
		asked_bytes(&guest, STORE_MKDIR, one, path, size, "OK", 3);
		*path = 'b';
		asked_bytes(&guest, STORE_MKDIR, two, path, size, "OK", 3);
	}
	commit(&guest, one);
	refused(&guest, STORE_TRANSACTION_END, two, "T", STORE_ENOSPC);
	asked_bytes(&guest, STORE_DIRECTORY, 0, "b", 2, "", 0);
	assert_counts("domain 1: 623 nodes,");
}

static bool storm_over;

static void *storm(void *unused)
{
	struct speaker speaker;

	speaker_connect(&speaker, GUEST);
	while (!__atomic_load_n(&storm_over, __ATOMIC_RELAXED))
		writes(&speaker, 0, "a", "storm");
	speaker_close(&speaker);
	return NULL;
}

static void test_writes_without_end(void **state)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	struct message answer;
	unsigned int i, tries = 0;
	pthread_t thread;
	uint32_t id;

	storm_over = false;
	assert_int_equal(pthread_create(&thread, NULL, storm, NULL), 0);
	for (i = 0; i < 5; i++)
		do {
			assert_true(++tries < 100);
			id = begin(&backend);
			ask(&backend, STORE_READ, id, "/local/domain/1/a", &answer);
			nanosleep(&moment, NULL); /* many writes long */
			writes(&backend, id, "/local/domain/1/b", "2");
			ask(&backend, STORE_TRANSACTION_END, id, "T", &answer);
		} while (answer.header.type == STORE_ERROR);
	__atomic_store_n(&storm_over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_state_until_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conflicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events_on_commit_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_stay_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_subtrees, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quota_at_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writes_without_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
