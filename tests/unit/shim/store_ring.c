// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The guest's ring page: requests and answers longer than the ring, a guest that lies about
 * indices, reads nothing, or reconnects, and what it costs others: nothing.
 *
 *	35	ring offsets inconsistent; body over 4096
 *	36	requests with answers unread; watches unread
 *	43	a watched key written endlessly
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hypervisor-shim/pv/store_peer.h"
#include "store_speak.h"

static struct speaker backend, ring;

static int setup(void **state)
{
	if (pv_store_open(GUEST) < 0)
		return -1;
	speaker_connect(&backend, STORE_DOMAIN_BACKEND);
	speaker_connect_ring(&ring);
	return 0;
}

static int teardown(void **state)
{
	pv_store_close();
	speaker_close(&backend);
	speaker_close(&ring);
	return 0;
}

static void test_features(void **state)
{
	assert_int_equal(ring.page->features, STORE_FEATURE_RECONNECTION | STORE_FEATURE_ERROR |
						      STORE_FEATURE_WATCH_DEPTH);
	assert_int_equal(ring.page->connection, STORE_CONNECTED);
	assert_int_equal(ring.page->error, STORE_RING_OK);
}

static void test_longer_than_the_ring(void **state)
{
	char payload[STORE_PAYLOAD_MAX], value[STORE_PAYLOAD_MAX];
	unsigned int i, size;

	for (i = 0; i < 20; i++) {
		size = 1 + i * 100;
		memset(value, 'a' + (int)i, size);
		memcpy(payload, "long", 5);
		memcpy(payload + 5, value, size);
		asked_bytes(&ring, STORE_WRITE, 0, payload, 5 + size, "OK", 3);
		asked_bytes(&ring, STORE_READ, 0, "long", 5, value, size);
	}
	/* As long as can be. */
	memset(value, 'z', sizeof(value));
	assert_int_equal(
		pv_store_write(1, 1, "/local/domain/1/max", "%.*s", (int)sizeof(value), value), 0);
	asked_bytes(&ring, STORE_READ, 0, "max", 4, value, sizeof(value));
}

static void test_byte_by_byte(void **state)
{
	const struct store_header header = {.type = STORE_READ, .request = 9, .length = 16};
	struct message answer;
	uint8_t bytes[32];
	unsigned int i;

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + 16, "/local/domain/1", 16);
	for (i = 0; i < sizeof(bytes); i++) {
		ring_send(&ring, bytes + i, 1);
		if (i % 8 == 0) /* let it be seen */
			reads(&backend, 0, "/local/domain/1", "");
	}
	take_answer(&ring, &answer);
	assert_int_equal(answer.header.request, 9);
	assert_answer(&answer, STORE_READ, "", 0);
}

/* Waits until the store says so, then that it is deaf; then comes back. */
static void assert_broken(enum store_ring_error error)
{
	struct store_ring_page *page = ring.page;
	unsigned int i;

	for (i = 0; order_load_acquire(&page->error) != error && i < 200; i++)
		ring_wait(&ring, PATIENCE_MS / 200);
	assert_int_equal(order_load_acquire(&page->error), error);
	/* Ignored, however it kicks. */
	order_store_release(&page->request_producer, order_load_acquire(&page->request_consumer) + 16);
	ring_kick(&ring);
	reads(&backend, 0, "/local/domain/1", "");
	reads(&backend, 0, "/local/domain/1", "");
	assert_int_equal(order_load_acquire(&page->error), error);

	while (ring_wait(&ring, 0))
		;
	order_store_release(&page->connection, STORE_RECONNECT);
	ring_kick(&ring);
	for (i = 0; order_load_acquire(&page->connection) != STORE_CONNECTED && i < 200; i++)
		ring_wait(&ring, PATIENCE_MS / 200);
	assert_int_equal(order_load_acquire(&page->connection), STORE_CONNECTED);
	assert_int_equal(order_load_acquire(&page->error), STORE_RING_OK);
	assert_int_equal(order_load_acquire(&page->request_consumer), 0);
	assert_int_equal(order_load_acquire(&page->response_producer), 0);
	ring.request_producer = ring.response_consumer = 0;
	ring.event_count = 0;
	reads(&ring, 0, "/local/domain/1", "");
}

static void test_index_lies(void **state)
{
	static const uint32_t lies[] = {STORE_RING_BYTES + 1, 0x80000000U, UINT32_MAX, 100000};
	struct store_ring_page *page = ring.page;
	unsigned int i;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		ok(&ring, STORE_WATCH, 0, "x\0t");
		event(&ring, "x", "t");
		begin(&ring);
		order_store_release(&page->request_producer, ring.request_producer + lies[i]);
		ring_kick(&ring);
		assert_broken(STORE_RING_INDEX);
		/* Nothing of the old connection is left. */
		refused(&ring, STORE_UNWATCH, 0, "x\0t", STORE_ENOENT);
		refused(&ring, STORE_TRANSACTION_END, 1, "T", STORE_ENOENT);

		order_store_release(&page->response_consumer, ring.response_consumer - lies[i]);
		put_request(&ring, STORE_READ, 0, "x", 2);
		assert_broken(STORE_RING_INDEX);
		if (lies[i] == UINT32_MAX) /* one byte unread: no lie */
			continue;
		order_store_release(&page->response_consumer, ring.response_consumer + lies[i]);
		put_request(&ring, STORE_READ, 0, "x", 2);
		assert_broken(STORE_RING_INDEX);
	}
}

static void test_body_too_long(void **state)
{
	static const uint32_t lengths[] = {STORE_PAYLOAD_MAX + 1, 0x80000000U, UINT32_MAX};
	struct store_header header = {.type = STORE_READ};
	unsigned int i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		header.length = lengths[i];
		ring_send(&ring, &header, sizeof(header));
		assert_broken(STORE_RING_PROTOCOL);
	}
}

/* Our indices and flags are only shown there. */
static void test_scribbles_on_what_is_ours(void **state)
{
	struct store_ring_page *page = ring.page;
	struct message answer;

	order_store_release(&page->error, 99);
	order_store_release(&page->features, UINT32_MAX);
	order_store_release(&page->connection, 77);
	reads(&ring, 0, "/local/domain/1", "");
	order_store_release(&page->response_producer, ring.response_consumer);
	reads(&backend, 0, "/local/domain/1", "");
	put_request(&ring, STORE_MKDIR, 0, "made", 5);
	order_store_release(&page->request_consumer, 12345);
	ring_kick(&ring);
	take_answer(&ring, &answer);
	assert_answer(&answer, STORE_MKDIR, "OK", 3);
	reads(&backend, 0, "/local/domain/1/made", "");
}

static void test_reconnects_without_error(void **state)
{
	uint32_t id = begin(&ring);

	ok(&ring, STORE_WATCH, 0, "x\0t");
	event(&ring, "x", "t");
	writes(&ring, 0, "kept", "1");
	/* Half a request is forgotten, too. */
	ring_send(&ring, "half", 4);
	assert_broken(STORE_RING_OK);
	refused(&ring, STORE_READ, id, "kept", STORE_ENOENT);
	reads(&ring, 0, "kept", "1");
	writes(&backend, 0, "/local/domain/1/x", "1");
	no_event(&ring);
}

static void test_reset(void **state)
{
	ok(&ring, STORE_WATCH, 0, "x\0t");
	event(&ring, "x", "t");
	begin(&ring);
	writes(&ring, 0, "kept", "1");
	ring_send(&ring, "half", 4);
	pv_store_reset_guest();
	assert_int_equal(order_load_acquire(&ring.page->request_producer), 0);
	assert_int_equal(order_load_acquire(&ring.page->request_consumer), 0);
	assert_int_equal(order_load_acquire(&ring.page->response_producer), 0);
	assert_int_equal(order_load_acquire(&ring.page->response_consumer), 0);
	ring.request_producer = ring.response_consumer = 0;
	writes(&backend, 0, "/local/domain/1/x", "1");
	reads(&ring, 0, "kept", "1");
	no_event(&ring);
	refused(&ring, STORE_UNWATCH, 0, "x\0t", STORE_ENOENT);
}

/* What fits into the ring and 20 more is taken, then nothing until answers are read; all come. */
static void test_answers_unread(void **state)
{
	struct store_ring_page *page = ring.page;
	unsigned int sent = 0, i;
	struct message answer;
	const struct store_header header = {.type = STORE_READ, .length = 16};
	uint8_t bytes[32];

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + 16, "/local/domain/1", 16);
	for (;;) {
		if (ring.request_producer - order_load_acquire(&page->request_consumer) >
		    STORE_RING_BYTES - sizeof(bytes)) {
			/* As long as others are served, it would have been taken. */
			for (i = 0; i < 50; i++)
				reads(&backend, 0, "/local/domain/1", "");
			if (ring.request_producer - order_load_acquire(&page->request_consumer) >
			    STORE_RING_BYTES - sizeof(bytes))
				break;
		}
		ring_send(&ring, bytes, sizeof(bytes));
		assert_true(++sent < 1000);
	}
	/* 64 answers of 16 bytes in one ring, 32 requests of 32 bytes in the other, 20 between. */
	assert_in_range(sent, 32 + 64, 32 + 64 + 21);
	for (i = 0; i < sent; i++) {
		take_answer(&ring, &answer);
		assert_answer(&answer, STORE_READ, "", 0);
	}
}

/* Long, so that few of them fill the memory. */
static const char *long_path(char *path, unsigned int number)
{
	sprintf(path, "/many/%u/%01500u", number, 0);
	return path;
}

static void test_events_unread(void **state)
{
	struct message answer;
	unsigned int i, count = 1500;
	char path[1600];

	assert_int_equal(pv_store_write(0, 1, "/many", "0"), 0);
	ok(&ring, STORE_WATCH, 0, "/many\0t");
	event(&ring, "/many", "t");
	/* One key, again and again: one event waits behind the ring. */
	for (i = 0; i < 1000; i++)
		writes(&backend, 0, "/many", "1");
	/* Many keys: as long as there is memory. */
	for (i = 0; i < count; i++) {
		assert_int_equal(pv_store_write(0, 1, long_path(path, i), "%u", i), 0);
	}
	ask(&backend, STORE_CONTROL, 0, "quota", &answer);
	assert_null(strstr(answer.payload, " 0 events lost"));
	/* It can still be asked, and gets what was kept, in order. */
	put_request(&ring, STORE_READ, 0, path, strlen(path) + 1);
	for (i = 0;; i++) {
		assert_true(take_message(&ring, &answer, PATIENCE_MS));
		if (strcmp(answer.payload, "/many"))
			break;
	}
	assert_in_range(i, 2, STORE_RING_BYTES / 24 + 3);
	for (i = 0; answer.header.type == STORE_WATCH_EVENT; i++) {
		assert_string_equal(answer.payload, long_path(path, i));
		assert_true(take_message(&ring, &answer, PATIENCE_MS));
	}
	assert_in_range(i, 500, count - 1);
	assert_answer(&answer, STORE_READ, "1499", 4);
}

/* A guest's writes whose events nobody reads hold up the guest, and neither the reader nor others. */
static void test_events_of_a_guest(void **state)
{
	struct speaker reader;
	struct message message;
	char payload[64];
	unsigned int i, sent, size;

	speaker_connect(&reader, STORE_DOMAIN_BACKEND);
	ok(&reader, STORE_WATCH, 0, "/local/domain/1\0t");
	event(&reader, "/local/domain/1", "t");
	for (sent = 0; sent < 100000; sent++) {
		size = (unsigned int)snprintf(payload, sizeof(payload), "key/%u%c", sent % 500, 0);
		put_request(&ring, STORE_WRITE, 0, payload, size);
		/* Held up: no answer, though others are answered. */
		if (!take_message(&ring, &message, 200))
			break;
		assert_int_equal(message.header.type, STORE_WRITE);
	}
	assert_true(sent < 100000);
	writes(&backend, 0, "/alive", "1");
	/* As soon as it is read, all go on. */
	for (i = 0; i <= sent; i++) {
		snprintf(payload, sizeof(payload), "/local/domain/1/key/%u", i % 500);
		event(&reader, payload, "t");
	}
	take_answer(&ring, &message);
	assert_answer(&message, STORE_WRITE, "OK", 3);
	speaker_close(&reader);
}

/* By the clock: a store without a thread, whose time is ours. */
static void test_events_too_old(void **state)
{
	struct store_ring_page *page = calloc(1, sizeof(*page));
	struct store store;
	struct store_peer *old, *stream;
	int kick = eventfd(0, 0), pair[2];
	unsigned int i, fill;

	assert_int_equal(store_domain_open(&store, GUEST), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	old = store_ring_new(&store, GUEST, page, kick, kick);
	stream = store_stream_new(&store, STORE_DOMAIN_BACKEND, pair[1]);
	/* Fills the ring, and the socket. */
	for (i = 0; i < 100; i++)
		store_peer_event(old, NULL, "@fill", "the ring");
	store_peer_flush(old);
	for (fill = 0; !stream->first && fill < 1000000; fill++) {
		store_peer_event(stream, NULL, "@fill", "the socket");
		store_peer_flush(stream);
	}
	assert_non_null(old->first);
	assert_non_null(stream->first);
	store.now_ms += STORE_EVENT_AGE_MS - 1;
	store_peer_event(old, NULL, "@young", "event");
	store_peer_expire(old);
	store_peer_expire(stream);
	assert_false(stream->ended);
	assert_int_equal(store.refused_events, 0);
	store.now_ms++;
	store_peer_expire(old);
	store_peer_expire(stream);
	/* The young one stays, and one that had begun; the ring's owner is not ended. */
	assert_true(store.refused_events > 30);
	assert_non_null(old->first);
	assert_false(old->ended);
	assert_true(stream->ended);
	/* Its queue still works at its end. */
	store_peer_event(old, NULL, "@last", "event");
	store_peer_reap(&store);
	assert_int_equal(store.peer_count, 1);
	old->ended = true;
	store_peer_reap(&store);
	assert_int_equal(store_domain_find(&store, GUEST)->bytes, 0);
	assert_int_equal(store_domain_find(&store, STORE_DOMAIN_BACKEND)->bytes, 0);
	store_domain_close(&store);
	close(pair[0]);
	close(kick);
	free(page);
}

static uint32_t noise_state = 20261;

static uint32_t noise(uint32_t below)
{
	noise_state = noise_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(noise_state >> 8) * below >> 24);
}

/* Something like a request, at where the store reads, or not like one at all. */
static void scribble(struct store_ring_page *page)
{
	static const char words[] = "a\0b\0/local/domain/1\0T\0x";
	struct store_header header = {
		.type = noise(STORE_TYPES + 2),
		.transaction = noise(4) ? 0 : noise(5),
		.length = noise(20) ? noise(sizeof(words)) : noise(UINT32_MAX),
	};
	uint32_t at = page->request_consumer, i;

	for (i = 0; i < sizeof(header); i++)
		page->request[(at + i) % STORE_RING_BYTES] = ((uint8_t *)&header)[i];
	for (i = 0; i < sizeof(words); i++)
		page->request[(at + sizeof(header) + i) % STORE_RING_BYTES] = (uint8_t)words[i];
	switch (noise(12)) {
	case 0:
		page->request_producer = noise(UINT32_MAX);
		break;
	case 1:
		page->response_consumer = noise(UINT32_MAX);
		break;
	case 2:
		page->request_consumer = noise(UINT32_MAX);
		break;
	case 3:
		((uint8_t *)page)[noise(sizeof(*page))] = (uint8_t)noise(256);
		break;
	default:
		page->request_producer = at + noise(64);
		if (noise(3))
			page->response_consumer = page->response_producer;
	}
}

/* The guest's page as it likes, on a store without a thread, so that nothing depends on time. */
static void test_noise(void **state)
{
	struct store_ring_page *page = calloc(1, sizeof(*page));
	const struct store_header header = {.type = STORE_GET_DOMAIN_PATH, .length = 2};
	int kicked = eventfd(0, EFD_NONBLOCK), kick = eventfd(0, EFD_NONBLOCK);
	unsigned int round, i, breaks = 0;
	struct store_peer *peer;
	struct store store;

	assert_int_equal(store_domain_open(&store, GUEST), 0);
	peer = store_ring_new(&store, GUEST, page, kicked, kick);
	store_domain_find(&store, GUEST)->introduced = true;
	for (round = 0; round < 300; round++) {
		for (i = 0; i < 100; i++) {
			scribble(page);
			store.now_ms += noise(100);
			store_peer_expire(peer);
			store_peer_turn(peer, 0);
			breaks += peer->ignored;
		}
		page->connection = STORE_RECONNECT;
		store_peer_turn(peer, 0);
		assert_int_equal(page->connection, STORE_CONNECTED);
		memcpy(page->request, &header, sizeof(header));
		memcpy(page->request + sizeof(header), "1", 2);
		page->request_producer = sizeof(header) + 2;
		store_peer_turn(peer, 0);
		assert_int_equal(page->response_producer,
				 sizeof(header) + sizeof("/local/domain/1"));
		assert_string_equal((char *)page->response + sizeof(header), "/local/domain/1");
	}
	assert_true(breaks > 100);
	peer->ended = true;
	store_peer_reap(&store);
	assert_int_equal(store_domain_find(&store, GUEST)->bytes, 0);
	assert_int_equal(store_domain_find(&store, GUEST)->outstanding, 0);
	store_domain_close(&store);
	close(kicked);
	close(kick);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_features, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longer_than_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_index_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scribbles_on_what_is_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reconnects_without_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events_of_a_guest, setup, teardown),
		cmocka_unit_test(test_events_too_old),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
