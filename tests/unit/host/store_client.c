// SPDX-License-Identifier: MIT OR GPL-2.0
/* The store's client: against the shim's own store, and against ones that answer wrongly or not at all. */
#include "fake_store.h"

#include "backend/control.h"
#include "backend/host/host.h"
#include "backend/host/store_client.h"
#include "hypervisor-shim/pv/store.h"

struct watched {
	struct store_client *client;
	unsigned int calls;
	int then_unwatch; /* -1: no */
};

static void on_change(void *context)
{
	struct watched *watched = context;
	char value[16];

	watched->calls++;
	/* Requests are allowed here. */
	store_client_read(watched->client, STORE_NO_TRANSACTION, "/tool", value, sizeof(value));
	if (watched->then_unwatch >= 0)
		store_client_unwatch(watched->client, watched->then_unwatch);
}

static void on_end(void *context)
{
	control_quit(0);
}

/* Runs the loop until the watch of @path, which nobody else uses, says that all before it is told. */
static void run_loop(struct store_client *client, const char *path)
{
	int end = store_client_watch(client, path, on_end, NULL);

	assert_true(end >= 0);
	assert_int_equal(control_run(), 0);
	store_client_unwatch(client, end);
}

/* ---- the real one ---------------------------------------------------------------------------- */

static int open_real(void **state)
{
	assert_int_equal(control_open(), 0);
	assert_int_equal(pv_store_open(1), 0);
	*state = store_client_open(pv_store_connection(STORE_DOMAIN_BACKEND));
	assert_non_null(*state);
	return 0;
}

static int close_real(void **state)
{
	store_client_close(*state);
	pv_store_close();
	control_close();
	return 0;
}

static void test_values(void **state)
{
	struct store_client *client = *state;
	char value[64], small[4];

	assert_int_equal(store_client_read(client, 0, "/tool/a", value, sizeof(value)), -ENOENT);
	assert_int_equal(store_client_write(client, 0, "/tool/a", "%d%s", 12, "34"), 0);
	assert_int_equal(store_client_read(client, 0, "/tool/a", value, sizeof(value)), 4);
	assert_string_equal(value, "1234");
	assert_int_equal(store_client_read(client, 0, "/tool/a", small, sizeof(small)), -E2BIG);
	assert_int_equal(store_client_write(client, 0, "/tool/b", "%s", ""), 0);
	assert_int_equal(store_client_read(client, 0, "/tool/b", value, sizeof(value)), 0);
	assert_int_equal(store_client_write(client, 0, "/tool//x", "1"), -EINVAL);
	assert_int_equal(store_client_write(client, 0, "/tool/a", "%2000d", 1), -E2BIG);
	assert_int_equal(store_client_remove(client, 0, "/tool/a"), 0);
	assert_int_equal(store_client_read(client, 0, "/tool/a", value, sizeof(value)), -ENOENT);
	assert_int_equal(pv_store_write(0, 0, "/tool/nul", "%c%c", 'a', 0), 0);
	assert_int_equal(store_client_read(client, 0, "/tool/nul", value, sizeof(value)), -EINVAL);
}

static void test_transactions(void **state)
{
	struct store_client *client = *state;
	int64_t transaction = store_client_begin(client);
	char value[16];

	assert_true(transaction > 0);
	assert_int_equal(store_client_write(client, transaction, "/tool/t", "in"), 0);
	assert_int_equal(store_client_read(client, 0, "/tool/t", value, sizeof(value)), -ENOENT);
	assert_int_equal(store_client_end(client, transaction, true), 0);
	assert_int_equal(store_client_read(client, 0, "/tool/t", value, sizeof(value)), 2);

	transaction = store_client_begin(client);
	assert_int_equal(store_client_read(client, transaction, "/tool/t", value, 16), 2);
	assert_int_equal(store_client_write(client, transaction, "/tool/t", "mine"), 0);
	assert_int_equal(pv_store_write(0, 0, "/tool/t", "theirs"), 0);
	assert_int_equal(store_client_end(client, transaction, true), -EAGAIN);
	assert_int_equal(store_client_read(client, 0, "/tool/t", value, sizeof(value)), 6);
}

static void test_watch(void **state)
{
	struct store_client *client = *state;
	struct watched a = {client, 0, -1};

	assert_true(store_client_watch(client, "/tool/w", on_change, &a) >= 0);
	assert_int_equal(a.calls, 0); /* never inside a call */
	run_loop(client, "/tool/end");
	assert_int_equal(a.calls, 1);
}

/* Any number of changes that come before the loop looks are one. */
static void test_watch_flood(void **state)
{
	struct store_client *client = *state;
	struct watched a = {client, 0, -1};
	unsigned int i;
	char value[16];

	assert_true(store_client_watch(client, "/tool/w", on_change, &a) >= 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(pv_store_write(0, 0, "/tool/w", "%u", i), 0);
		store_client_read(client, 0, "/tool/w", value, sizeof(value));
	}
	run_loop(client, "/tool/end");
	assert_in_range(a.calls, 1, 3);
}

/* One that takes itself back is told once, and its number serves the next. */
static void test_unwatch(void **state)
{
	struct store_client *client = *state;
	struct watched a = {client, 0, -1}, b = {client, 0, -1};
	unsigned int i;
	int watch = store_client_watch(client, "/tool/w", on_change, &a);

	assert_true(watch >= 0);
	store_client_unwatch(client, watch);
	b.then_unwatch = watch;
	assert_int_equal(store_client_watch(client, "/tool/w", on_change, &b), watch);
	pv_store_write(0, 0, "/tool/w", "x");
	run_loop(client, "/tool/end");
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
	for (i = 0; i < STORE_CLIENT_WATCHES; i++)
		assert_true(store_client_watch(client, "/tool/w", on_change, &a) >= 0);
	assert_int_equal(store_client_watch(client, "/tool/w", on_change, &a), -ENOSPC);
}

/* ---- ones that are no good ------------------------------------------------------------------- */

static unsigned int lost;

static void on_lost(void *context)
{
	lost++;
	control_quit(0);
}

static void lose(void (*prepare)(struct fake_store *store))
{
	static struct fake_store store;
	struct store_client *client;
	char value[16];
	int fd;

	lost = 0;
	assert_int_equal(control_open(), 0);
	fd = fake_store_open(&store);
	client = store_client_open(fd);
	assert_non_null(client);
	store_client_on_lost(client, on_lost, NULL, NULL);
	assert_int_equal(store_client_write(client, 0, "/a", "1"), 0);
	prepare(&store);
	assert_int_equal(store_client_read(client, 0, "/a", value, sizeof(value)), -EPIPE);
	assert_int_equal(store_client_read(client, 0, "/a", value, sizeof(value)), -EPIPE);
	assert_int_equal(store_client_write(client, 0, "/a", "1"), -EPIPE);
	assert_int_equal(store_client_begin(client), -EPIPE);
	assert_int_equal(store_client_watch(client, "/a", on_end, NULL), -EPIPE);
	assert_int_equal(control_run(), 0);
	assert_int_equal(lost, 1);
	store_client_close(client);
	fake_store_close(&store);
	control_close();
}

static void be_silent(struct fake_store *store)
{
	store->silent = true;
}

static void answer_wrongly(struct fake_store *store)
{
	store->wrong_id = true;
}

static void hang_up(struct fake_store *store)
{
	shutdown(store->fd, SHUT_RDWR);
}

static void send_too_much(struct fake_store *store)
{
	const struct store_header header = {.type = STORE_WATCH_EVENT, .length = UINT32_MAX};

	assert_int_equal(send(store->fd, &header, sizeof(header), 0), sizeof(header));
}

static void answer_nobody(struct fake_store *store)
{
	fake_store_send(store, STORE_RM, 12345, "OK", 3);
}

static void test_lost(void **state)
{
	lose(answer_wrongly);
	lose(hang_up);
	lose(send_too_much);
	lose(answer_nobody);
	lose(be_silent); /* after HOST_ANSWER_MS */
}

/* Events of no watch, cut short, or empty are nothing. */
static void test_odd_events(void **state)
{
	static struct fake_store store;
	struct watched a = {NULL, 0, -1};
	static const struct {
		const char *payload;
		uint32_t bytes;
	} odd[] = {{"", 0},
		   {"x", 1},
		   {"x", 2},
		   {"x\0y", 3},
		   {"/a\0"
		    "9.9",
		    7},
		   {"\0\0\0", 3}};
	unsigned int i;
	char value[16];

	assert_int_equal(control_open(), 0);
	a.client = store_client_open(fake_store_open(&store));
	assert_true(store_client_watch(a.client, "/a", on_change, &a) >= 0);
	for (i = 0; i < 6; i++)
		fake_store_send(&store, STORE_WATCH_EVENT, 0, odd[i].payload, odd[i].bytes);
	assert_int_equal(store_client_read(a.client, 0, "/a", value, sizeof(value)), -ENOENT);
	run_loop(a.client, "/end");
	assert_int_equal(a.calls, 1);
	store_client_close(a.client);
	fake_store_close(&store);
	control_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, open_real, close_real),
		cmocka_unit_test_setup_teardown(test_transactions, open_real, close_real),
		cmocka_unit_test_setup_teardown(test_watch, open_real, close_real),
		cmocka_unit_test_setup_teardown(test_watch_flood, open_real, close_real),
		cmocka_unit_test_setup_teardown(test_unwatch, open_real, close_real),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_odd_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
