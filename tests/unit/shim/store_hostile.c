// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Peers on sockets that mean ill: malformed messages, quotas to their last node, readers that do
 * not read, and noise. Others are served all the time, and the accounts are right in the end.
 *
 *	39	deep paths
 *	40	a domain's number used again: nothing of the old one
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
	struct message answer;

	ask(&backend, STORE_CONTROL, 0, "check", &answer);
	assert_int_equal(answer.header.type, STORE_CONTROL);
	speakers_close(&backend, &guest);
	return 0;
}

static void test_malformed_messages(void **state)
{
	static const uint32_t lengths[] = {STORE_PAYLOAD_MAX + 1, 0x7fffffff, UINT32_MAX};
	const struct store_header half = {.type = STORE_READ, .length = 100};
	struct store_header header = {.type = STORE_READ};
	struct speaker bad;
	unsigned int i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		speaker_connect(&bad, GUEST);
		ok(&bad, STORE_WATCH, 0, "x\0t");
		begin(&bad);
		header.length = lengths[i];
		speaker_send(&bad, &header, sizeof(header));
		assert_true(is_over(&bad));
		speaker_close(&bad);
	}
	/* What stops in the middle, of a header or of a payload. */
	for (i = 0; i < 16; i++) {
		speaker_connect(&bad, GUEST);
		speaker_send(&bad, &half, i + 1);
		if (i == 15)
			speaker_send(&bad, "part", 4);
		reads(&backend, 0, "/local/domain/1", "");
		speaker_close(&bad);
	}
	/* And what ends before its answer. */
	for (i = 0; i < 50; i++) {
		speaker_connect(&bad, GUEST);
		put_request(&bad, STORE_WATCH, 0, "x\0t", 4);
		put_request(&bad, STORE_MKDIR, 0, "x", 2);
		speaker_close(&bad);
	}
	reads(&backend, 0, "/local/domain/1", "");
}

static void test_node_quota(void **state)
{
	char path[64];
	unsigned int i, size, made = 1; /* its own directory */
	struct message answer;

	for (i = 0;; i++) {
		size = (unsigned int)snprintf(path, sizeof(path), "%u/%u", i % 50, i) + 1;
		ask_bytes(&guest, STORE_MKDIR, 0, path, size, &answer);
		if (answer.header.type == STORE_ERROR)
			break;
		made += i < 50 ? 2 : 1;
	}
	assert_string_equal(answer.payload, STORE_ENOSPC);
	assert_int_equal(made, STORE_QUOTA_NODES);
	/* Not even those above it. */
	refused(&guest, STORE_MKDIR, 0, "a/b/c", STORE_ENOSPC);
	refused(&guest, STORE_READ, 0, "a", STORE_ENOENT);
	writes(&guest, 0, "1/1", "what is there can be written");
	/* Domain 0 goes on, also below it, and on the guest's account. */
	writes(&backend, 0, "/local/domain/1/ours", "1");
	ok(&guest, STORE_RM, 0, "ours");
	ok(&guest, STORE_RM, 0, "1/1");
	ok(&guest, STORE_MKDIR, 0, "a");
	refused(&guest, STORE_MKDIR, 0, "b", STORE_ENOSPC);
	ok(&guest, STORE_RM, 0, "/local/domain/1");
	refused(&guest, STORE_MKDIR, 0, "a", STORE_EACCES); /* its own doing */
}

static void test_node_size(void **state)
{
	char payload[STORE_PAYLOAD_MAX];
	unsigned int i, size;

	memset(payload, 'a', sizeof(payload));
	memcpy(payload, "v", 2);
	size = STORE_QUOTA_NODE_BYTES - 24 - 8;
	asked_bytes(&guest, STORE_WRITE, 0, payload, 2 + size, "OK", 3);
	refused_bytes(&guest, STORE_WRITE, 0, payload, 2 + size + 1, STORE_ENOSPC);
	asked_bytes(&backend, STORE_WRITE, 0, payload, sizeof(payload), "OK", 3);
	/* Permissions and names count, too. */
	refused(&guest, STORE_SET_PERMISSIONS, 0, "v\0n1\0r2", STORE_ENOSPC);
	refused(&guest, STORE_MKDIR, 0, "v/x", STORE_ENOSPC);
	ok(&guest, STORE_SET_PERMISSIONS, 0, "/local/domain/1\0n1\0r2\0r3\0r4\0r5");
	refused(&guest, STORE_SET_PERMISSIONS, 0, "/local/domain/1\0n1\0r2\0r3\0r4\0r5\0r6",
		STORE_ENOSPC);
	payload[0] = 'a';
	payload[1] = 'a';
	payload[STORE_RELATIVE_PATH_MAX] = 0;
	refused_bytes(&guest, STORE_MKDIR, 0, payload, STORE_RELATIVE_PATH_MAX + 1, STORE_ENOSPC);
	payload[1] = '/'; /* the same one below a new one */
	refused_bytes(&guest, STORE_MKDIR, 0, payload, STORE_RELATIVE_PATH_MAX + 1, STORE_ENOSPC);
	refused(&guest, STORE_READ, 0, "a", STORE_ENOENT);
	/* Names of children until it is full. */
	for (i = 0; i < 1000; i++) {
		struct message answer;

		size = (unsigned int)snprintf(payload, sizeof(payload), "list/%05u", i) + 1;
		ask_bytes(&guest, STORE_MKDIR, 0, payload, size, &answer);
		if (answer.header.type != STORE_ERROR)
			continue;
		assert_string_equal(answer.payload, STORE_ENOSPC);
		break;
	}
	assert_in_range(i, 300, 340);
	/* Domain 0's permissions are bounded by a message. */
	for (size = 2, memcpy(payload, "v", 2); size + 3 <= sizeof(payload); size += 3)
		memcpy(payload + size, "n1", 3);
	asked_bytes(&backend, STORE_SET_PERMISSIONS, 0, payload, size, "OK", 3);
}

static void test_deep_paths(void **state)
{
	char path[STORE_RELATIVE_PATH_MAX + 1];
	unsigned int i;

	for (i = 0; i < STORE_RELATIVE_PATH_MAX; i++)
		path[i] = i % 2 ? '/' : 'd';
	path[STORE_RELATIVE_PATH_MAX - 1] = 0;
	/* More nodes than it may have: none is made. */
	refused_bytes(&guest, STORE_MKDIR, 0, path, STORE_RELATIVE_PATH_MAX, STORE_ENOSPC);
	refused(&guest, STORE_READ, 0, "d", STORE_ENOENT);
	path[1801] = 0;
	for (i = 0; i < 20; i++) {
		path[1801] = 0;
		asked_bytes(&guest, STORE_MKDIR, 0, path, 1802, "OK", 3);
		ok(&guest, STORE_WATCH, 0, "d/d/d\0t");
		ok(&guest, STORE_RM, 0, "d");
		ok(&guest, STORE_UNWATCH, 0, "d/d/d\0t");
		guest.event_count = 0;
	}
	for (i = 0; i < sizeof(path); i++)
		path[i] = "/local/domain/"[i % 14];
	path[14] = 0;
	refused_bytes(&guest, STORE_MKDIR, 0, path, 15, STORE_EINVAL);
	refused(&guest, STORE_MKDIR, 0, "/local/domain/2", STORE_EACCES);
	refused(&guest, STORE_MKDIR, 0, "/local/domain/11", STORE_EACCES);
}

/* Asks without reading: nothing is taken beyond what is owed to it, nobody waits. */
static void test_answers_unread(void **state)
{
	const struct store_header header = {.type = STORE_READ, .length = 16};
	struct pollfd polled = {.events = POLLOUT};
	struct message answer;
	struct speaker bad;
	unsigned int sent = 0, i;
	uint8_t bytes[32];
	char value[2000];

	memset(value, 'v', sizeof(value));
	assert_int_equal(pv_store_write(0, 0, "/local/domain/0", "%.2000s", value), 0);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + 16, "/local/domain/0", 16);
	speaker_connect(&bad, STORE_DOMAIN_BACKEND);
	polled.fd = bad.fd;
	while (poll(&polled, 1, 300) == 1) {
		speaker_send(&bad, bytes, sizeof(bytes));
		assert_true(++sent < 100000);
	}
	reads(&guest, 0, "/local/domain/1", "");
	for (i = 0; i < sent; i++) {
		take_answer(&bad, &answer);
		assert_answer(&answer, STORE_READ, value, sizeof(value));
	}
	speaker_close(&bad);
}

/* Watches and does not read: is ended when its memory is used up. */
static void test_events_unread(void **state)
{
	struct speaker bad;
	char path[64];
	unsigned int i;

	speaker_connect(&bad, STORE_DOMAIN_BACKEND);
	ok(&bad, STORE_WATCH, 0,
	   "/\0a token that is as long as it is to make it faster, much faster");
	for (i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "/many/%u/%u", i % 200, i);
		assert_int_equal(pv_store_write(0, 0, path, "1"), 0);
	}
	assert_true(is_over(&bad));
	speaker_close(&bad);
	reads(&guest, 0, "/local/domain/1", "");
}

static void test_memory(void **state)
{
	char payload[STORE_PAYLOAD_MAX], error[16] = "";
	struct message answer;
	unsigned int i, size;
	uint32_t id;

	/* Long tokens, in more connections than one. */
	memset(payload, 't', sizeof(payload));
	memcpy(payload, "w\0t\0", 2);
	payload[sizeof(payload) - 1] = 0;
	for (i = 0; i < STORE_QUOTA_WATCHES; i++) {
		payload[2] = (char)('a' + i % 26);
		payload[3] = (char)('a' + i / 26);
		put_request(&guest, STORE_WATCH, 0, payload, sizeof(payload));
		take_answer(&guest, &answer);
		event(&guest, "w", payload + 2);
	}
	/* The rest in transactions. */
	id = begin(&guest);
	for (i = 0; i < 2000 && !*error; i++) {
		memset(payload, 'p', STORE_RELATIVE_PATH_MAX);
		size = (unsigned int)snprintf(payload, 16, "%u", i);
		payload[size] = 'p';
		payload[STORE_RELATIVE_PATH_MAX] = 0;
		ask_bytes(&guest, STORE_READ, id, payload, STORE_RELATIVE_PATH_MAX + 1, &answer);
		if (strcmp(answer.payload, STORE_ENOENT))
			strcpy(error, answer.payload);
	}
	assert_string_equal(error, STORE_ENOSPC);
	assert_true(i < 500);
	refused(&guest, STORE_TRANSACTION_END, id, "T", STORE_ENOSPC);
	ok(&guest, STORE_RESET_WATCHES, 0, "");
	ask(&backend, STORE_CONTROL, 0, "quota", &answer);
	assert_non_null(strstr(answer.payload, "domain 1: 1 nodes, 0 watches, 0 transactions, "
					       "0 messages for others, 0 bytes"));
}

static uint32_t random_state;

static uint32_t random_number(uint32_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(random_state >> 8) * below >> 24);
}

static unsigned int random_payload(char *payload)
{
	static const char *const words[] = {"a",
					    "b",
					    "a/b",
					    "b/a/b",
					    "/local/domain/1",
					    "/",
					    "@releaseDomain",
					    "T",
					    "F",
					    "1",
					    "0",
					    "n1",
					    "r2",
					    "b1",
					    "x",
					    "",
					    "a//",
					    "/tool",
					    "/local/domain/1/a",
					    "99999999999",
					    "token"};
	unsigned int used = 0, count = random_number(5), i, length;
	const char *word;

	for (i = 0; i < count; i++) {
		word = words[random_number(sizeof(words) / sizeof(words[0]))];
		length = (unsigned int)strlen(word) + 1;
		memcpy(payload + used, word, length);
		used += length;
	}
	if (used && !random_number(8))
		used--;
	while (!random_number(4) && used < 64)
		payload[used++] = (char)random_number(256);
	return used;
}

static void test_noise(void **state)
{
	uint32_t types[] = {STORE_READ, STORE_WRITE, STORE_MKDIR,
			    STORE_RM,   STORE_WATCH, STORE_TRANSACTION_END};
	struct message answer;
	char payload[256];
	unsigned int i, size;
	uint32_t type, transaction, last = 0;

	random_state = 20260;
	for (i = 0; i < 30000; i++) {
		size = random_payload(payload);
		type = random_number(2) ? random_number(STORE_TYPES + 1) : types[random_number(6)];
		transaction = random_number(3) ? 0 : last - random_number(3);
		ask_bytes(&guest, type, transaction, payload, size, &answer);
		if (answer.header.type == STORE_TRANSACTION_START)
			last = (uint32_t)strtoul(answer.payload, NULL, 10);
		guest.event_count = 0;
		/* A guest can cut itself off. */
		if (i % 1000 == 0)
			assert_int_equal(pv_store_write(1, 1, "/local/domain/1", "%u", i), 0);
	}
}

static void test_number_used_again(void **state)
{
	char payload[64];
	unsigned int i;

	for (i = 0; i < 900; i++) {
		snprintf(payload, sizeof(payload), "%u/%u", i % 30, i);
		asked_bytes(&guest, STORE_MKDIR, 0, payload, strlen(payload) + 1, "OK", 3);
	}
	writes(&backend, 0, "/left", "secret");
	ok(&backend, STORE_SET_PERMISSIONS, 0, "/left\0n0\0b1");
	speaker_close(&guest);
	speaker_close(&backend);
	pv_store_close();
	assert_int_equal(pv_store_open(GUEST), 0);
	speaker_connect(&backend, STORE_DOMAIN_BACKEND);
	speaker_connect(&guest, GUEST);
	asked_bytes(&guest, STORE_DIRECTORY, 0, "/local/domain/1", 16, "", 0);
	writes(&backend, 0, "/left", "new");
	refused(&guest, STORE_READ, 0, "/left", STORE_EACCES);
	for (i = 0; i < 900; i++) {
		snprintf(payload, sizeof(payload), "%u/%u", i % 30, i);
		asked_bytes(&guest, STORE_MKDIR, 0, payload, strlen(payload) + 1, "OK", 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_malformed_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
		cmocka_unit_test_setup_teardown(test_number_used_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
