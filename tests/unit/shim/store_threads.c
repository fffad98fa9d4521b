// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The store from many threads at once: calls of the shim, a guest on its ring that is reset while
 * it asks, back-ends and tools that come and go. For the thread sanitizer above all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#include "common/socket.h"
#include "store_speak.h"

#define ROUNDS 300

static struct speaker ring;
static bool over;
static char directory[] = "/tmp/pvkit-store.XXXXXX";
static char listen_path[64];

static int setup(void **state)
{
	if (pv_store_open(GUEST) < 0 || !mkdtemp(directory))
		return -1;
	snprintf(listen_path, sizeof(listen_path), "%s/socket", directory);
	return pv_store_listen(listen_path);
}

static int teardown(void **state)
{
	pv_store_close();
	speaker_close(&ring);
	return rmdir(directory); /* so the socket is gone */
}

static void *calls(void *argument)
{
	unsigned int number = *(const unsigned int *)argument, i;
	char path[64], value[16];

	for (i = 0; i < ROUNDS; i++) {
		snprintf(path, sizeof(path), "/calls/%u/%u", number, i % 10);
		assert_int_equal(pv_store_write(0, GUEST, path, "%u", i), 0);
		assert_true(pv_store_read(path, value, sizeof(value)) > 0);
		assert_int_equal(strtoul(value, NULL, 10), i);
		if (i % 10 == 9)
			assert_int_equal(pv_store_remove(path), 0);
	}
	return NULL;
}

static void *backends(void *unused)
{
	struct speaker speaker;
	unsigned int i;
	uint32_t id;

	for (i = 0; i < ROUNDS / 5; i++) {
		speaker_connect(&speaker, STORE_DOMAIN_BACKEND);
		speaker.forgets_events = true; /* the calls make any number of them */
		ok(&speaker, STORE_WATCH, 0, "/calls\0t");
		id = begin(&speaker);
		asked_bytes(&speaker, STORE_WRITE, id,
			    "/b\0"
			    "1",
			    4, "OK", 3);
		if (i % 2)
			ok(&speaker, STORE_TRANSACTION_END, id, "F");
		speaker_close(&speaker);
	}
	return NULL;
}

static void *tools(void *unused)
{
	struct speaker speaker = {0};
	unsigned int i;

	for (i = 0; i < ROUNDS / 5; i++) {
		speaker.fd = socket_connect(listen_path, SOCK_STREAM);
		assert_true(speaker.fd >= 0);
		speaker.event_count = 0;
		reads(&speaker, 0, "/local/domain/1", "");
		close(speaker.fd);
	}
	return NULL;
}

#define REQUEST_BYTES 32

/* The same request everywhere, so that wherever the store reads is the right place in it. */
static void fill_ring(void)
{
	const struct store_header header = {.type = STORE_WRITE, .length = 16};
	unsigned int i;

	for (i = 0; i < STORE_RING_BYTES; i += REQUEST_BYTES) {
		memcpy(ring.page->request + i, &header, sizeof(header));
		memcpy(ring.page->request + i + sizeof(header), "key\0twelve bytes", 16);
	}
}

/* Asks without a care for answers, which a reset may take away. */
static void *guest(void *unused)
{
	const struct timespec moment = {.tv_nsec = 20000};
	struct store_ring_page *page = ring.page;

	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		order_store_release(&page->request_producer,
				    order_load_acquire(&page->request_consumer) + REQUEST_BYTES);
		order_store_release(&page->response_consumer,
				    order_load_acquire(&page->response_producer));
		ring_kick(&ring);
		nanosleep(&moment, NULL);
	}
	return NULL;
}

static void *resets(void *unused)
{
	unsigned int i;

	for (i = 0; i < ROUNDS / 3; i++)
		pv_store_reset_guest();
	return NULL;
}

static void test_all_at_once(void **state)
{
	static const unsigned int numbers[] = {1, 2};
	pthread_t threads[6], one;
	struct speaker backend;
	struct message answer;
	unsigned int i;

	speaker_connect_ring(&ring);
	fill_ring();
	assert_int_equal(pthread_create(&one, NULL, guest, NULL), 0);
	pthread_create(&threads[0], NULL, calls, (void *)&numbers[0]);
	pthread_create(&threads[1], NULL, calls, (void *)&numbers[1]);
	pthread_create(&threads[2], NULL, backends, NULL);
	pthread_create(&threads[3], NULL, backends, NULL);
	pthread_create(&threads[4], NULL, tools, NULL);
	pthread_create(&threads[5], NULL, resets, NULL);
	for (i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(one, NULL);
	pv_store_reset_guest();
	ring.request_producer = ring.response_consumer = 0;
	reads(&ring, 0, "/local/domain/1", "");
	speaker_connect(&backend, STORE_DOMAIN_BACKEND);
	ask(&backend, STORE_CONTROL, 0, "check", &answer);
	assert_int_equal(answer.header.type, STORE_CONTROL);
	speaker_close(&backend);
}

static void *calls_until_closed(void *unused)
{
	while (pv_store_write(0, 0, "/x", "1") == 0)
		;
	assert_int_equal(pv_store_write(0, 0, "/x", "1"), -ENODEV);
	return NULL;
}

static void test_close_under_calls(void **state)
{
	pthread_t threads[3];
	unsigned int i;

	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, calls_until_closed, NULL);
	while (pv_store_read("/x", (char[2]){0}, 2) < 0)
		;
	pv_store_close();
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_close_under_calls),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
