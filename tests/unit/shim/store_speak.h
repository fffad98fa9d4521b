/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * For tests of the store: speaks its protocol on a socket, and on a ring page in the guest's place.
 * Whatever does not come within seconds fails the test.
 */
#ifndef PVKIT_TESTS_STORE_SPEAK_H
#define PVKIT_TESTS_STORE_SPEAK_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor-shim/pv/store.h"
#include "ring/order.h"

#define GUEST         1U
#define OTHER         2U
#define PATIENCE_MS   20000
#define MESSAGE_BYTES (sizeof(struct store_header) + STORE_PAYLOAD_MAX)

struct message {
	struct store_header header;
	char payload[STORE_PAYLOAD_MAX + 1];
};

/* One of both: a stream, or a ring. */
struct speaker {
	int fd;
	struct store_ring_page *page;
	int kicked, kick; /* as the store names them: we write the first and read the second */
	uint32_t request_producer, response_consumer;
	struct message events[64]; /* that came before an answer */
	unsigned int event_count;
	bool forgets_events; /* what comes before an answer is not kept */
};

static inline void speaker_connect(struct speaker *speaker, unsigned int domain)
{
	memset(speaker, 0, sizeof(*speaker));
	speaker->fd = pv_store_connection(domain);
	assert_true(speaker->fd >= 0);
}

/* A store with one guest, seen from both sides. */
static inline int speakers_open(struct speaker *backend, struct speaker *guest)
{
	if (pv_store_open(GUEST) < 0)
		return -1;
	speaker_connect(backend, STORE_DOMAIN_BACKEND);
	speaker_connect(guest, GUEST);
	return 0;
}

static inline void speaker_connect_ring(struct speaker *speaker)
{
	memset(speaker, 0, sizeof(*speaker));
	speaker->fd = -1;
	speaker->page = calloc(1, sizeof(*speaker->page));
	assert_non_null(speaker->page);
	speaker->kicked = eventfd(0, EFD_NONBLOCK);
	speaker->kick = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(pv_store_connect_guest(speaker->page, speaker->kicked, speaker->kick), 0);
}

/* The store must be closed already, if it is a ring. */
static inline void speaker_close(struct speaker *speaker)
{
	if (speaker->fd >= 0)
		close(speaker->fd);
	if (!speaker->page)
		return;
	close(speaker->kicked);
	close(speaker->kick);
	free(speaker->page);
	speaker->page = NULL;
}

static inline void speakers_close(struct speaker *backend, struct speaker *guest)
{
	speaker_close(backend);
	speaker_close(guest);
	pv_store_close();
}

static inline void ring_kick(struct speaker *speaker)
{
	const uint64_t one = 1;

	assert_int_equal(write(speaker->kicked, &one, sizeof(one)), sizeof(one));
}

static inline bool ring_wait(struct speaker *speaker, int timeout_ms)
{
	struct pollfd polled = {.fd = speaker->kick, .events = POLLIN};
	uint64_t count;

	if (poll(&polled, 1, timeout_ms) != 1)
		return false;
	return read(speaker->kick, &count, sizeof(count)) == sizeof(count);
}

static inline void ring_send(struct speaker *speaker, const void *data, size_t size)
{
	struct store_ring_page *page = speaker->page;
	const uint8_t *bytes = data;
	uint32_t used;

	while (size) {
		used = speaker->request_producer - order_load_acquire(&page->request_consumer);
		if (used == STORE_RING_BYTES) {
			assert_true(ring_wait(speaker, PATIENCE_MS));
			continue;
		}
		page->request[speaker->request_producer++ % STORE_RING_BYTES] = *bytes++;
		size--;
		if (used == STORE_RING_BYTES - 1 || !size) {
			order_store_release(&page->request_producer, speaker->request_producer);
			ring_kick(speaker);
		}
	}
}

static inline bool ring_receive(struct speaker *speaker, void *data, size_t size, int timeout_ms)
{
	struct store_ring_page *page = speaker->page;
	uint8_t *bytes = data;

	while (size) {
		uint32_t there =
			order_load_acquire(&page->response_producer) - speaker->response_consumer;

		if (!there && !ring_wait(speaker, timeout_ms))
			return false;
		if (!there)
			continue;
		for (; there && size; there--, size--)
			*bytes++ = page->response[speaker->response_consumer++ % STORE_RING_BYTES];
		order_store_release(&page->response_consumer, speaker->response_consumer);
		/* The store may wait for the room. */
		ring_kick(speaker);
	}
	return true;
}

static inline void speaker_send(struct speaker *speaker, const void *data, size_t size)
{
	if (speaker->page)
		ring_send(speaker, data, size);
	else
		assert_int_equal(send(speaker->fd, data, size, MSG_NOSIGNAL), size);
}

static inline bool speaker_receive(struct speaker *speaker, void *data, size_t size, int timeout_ms)
{
	struct pollfd polled = {.fd = speaker->fd, .events = POLLIN};
	char *bytes = data;
	ssize_t count;

	if (speaker->page)
		return ring_receive(speaker, data, size, timeout_ms);
	while (size) {
		if (poll(&polled, 1, timeout_ms) != 1)
			return false;
		count = recv(speaker->fd, bytes, size, 0);
		if (count <= 0)
			return false;
		bytes += count;
		size -= (size_t)count;
	}
	return true;
}

static inline bool take_message(struct speaker *speaker, struct message *message, int timeout_ms)
{
	if (!speaker_receive(speaker, &message->header, sizeof(message->header), timeout_ms))
		return false;
	assert_true(message->header.length <= STORE_PAYLOAD_MAX);
	assert_true(
		speaker_receive(speaker, message->payload, message->header.length, PATIENCE_MS));
	message->payload[message->header.length] = 0;
	return true;
}

static inline void put_request(struct speaker *speaker, uint32_t type, uint32_t transaction,
			       const void *payload, size_t size)
{
	static _Thread_local uint32_t number;
	uint8_t bytes[MESSAGE_BYTES];
	const struct store_header header = {
		.type = type,
		.request = ++number,
		.transaction = transaction,
		.length = (uint32_t)size,
	};

	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	speaker_send(speaker, bytes, sizeof(header) + size);
}

/* The next answer; events that come before it are kept. */
static inline void take_answer(struct speaker *speaker, struct message *answer)
{
	for (;;) {
		assert_true(take_message(speaker, answer, PATIENCE_MS));
		if (answer->header.type != STORE_WATCH_EVENT)
			return;
		assert_int_equal(answer->header.request, 0);
		assert_int_equal(answer->header.transaction, 0);
		if (speaker->forgets_events)
			continue;
		assert_true(speaker->event_count < 64);
		speaker->events[speaker->event_count++] = *answer;
	}
}

static inline void ask_bytes(struct speaker *speaker, uint32_t type, uint32_t transaction,
			     const void *payload, size_t size, struct message *answer)
{
	put_request(speaker, type, transaction, payload, size);
	take_answer(speaker, answer);
	assert_int_equal(answer->header.transaction, transaction);
}

/* The payload is a literal, with its last NUL: "/a\0token". */
#define ask(speaker, type, transaction, literal, answer) \
	ask_bytes(speaker, type, transaction, literal, sizeof(literal), answer)

static inline void assert_answer(const struct message *answer, uint32_t type, const void *payload,
				 size_t size)
{
	if (answer->header.type != type)
		print_error("answered %u: %s\n", answer->header.type, answer->payload);
	assert_int_equal(answer->header.type, type);
	assert_int_equal(answer->header.length, size);
	assert_memory_equal(answer->payload, payload, size);
}

static inline void asked_bytes(struct speaker *speaker, uint32_t type, uint32_t transaction,
			       const void *payload, size_t size, const void *answer,
			       size_t answer_size)
{
	struct message message;

	ask_bytes(speaker, type, transaction, payload, size, &message);
	assert_answer(&message, type, answer, answer_size);
}

/* Both literals; the answer's last NUL counts. */
#define asked(speaker, type, transaction, literal, answer) \
	asked_bytes(speaker, type, transaction, literal, sizeof(literal), answer, sizeof(answer))
#define ok(speaker, type, transaction, literal) asked(speaker, type, transaction, literal, "OK")
/* Values have no NUL at their end. */
#define reads(speaker, transaction, path, value) \
	asked_bytes(speaker, STORE_READ, transaction, path, sizeof(path), value, sizeof(value) - 1)
#define writes(speaker, transaction, path, value)                       \
	asked_bytes(speaker, STORE_WRITE, transaction, path "\0" value, \
		    sizeof(path "\0" value) - 1, "OK", 3)

static inline void refused_bytes(struct speaker *speaker, uint32_t type, uint32_t transaction,
				 const void *payload, size_t size, const char *error)
{
	struct message message;

	ask_bytes(speaker, type, transaction, payload, size, &message);
	assert_answer(&message, STORE_ERROR, error, strlen(error) + 1);
}

#define refused(speaker, type, transaction, literal, error) \
	refused_bytes(speaker, type, transaction, literal, sizeof(literal), error)

/* The next event is this one: kept ones first, then what comes. */
static inline void event(struct speaker *speaker, const char *path, const char *token)
{
	struct message message;
	size_t path_size = strlen(path) + 1;

	if (speaker->event_count) {
		message = speaker->events[0];
		memmove(speaker->events, speaker->events + 1,
			--speaker->event_count * sizeof(message));
	} else {
		assert_true(take_message(speaker, &message, PATIENCE_MS));
	}
	assert_int_equal(message.header.type, STORE_WATCH_EVENT);
	assert_string_equal(message.payload, path);
	assert_int_equal(message.header.length, path_size + strlen(token) + 1);
	assert_string_equal(message.payload + path_size, token);
}

/* All that was caused before is here by the time of an answer. */
static inline void no_event(struct speaker *speaker)
{
	struct message message;

	ask(speaker, STORE_GET_DOMAIN_PATH, 0, "7", &message);
	if (speaker->event_count)
		print_error("event: %s\n", speaker->events[0].payload);
	assert_int_equal(speaker->event_count, 0);
}

static inline uint32_t begin(struct speaker *speaker)
{
	struct message answer;

	ask(speaker, STORE_TRANSACTION_START, 0, "", &answer);
	assert_int_equal(answer.header.type, STORE_TRANSACTION_START);
	assert_true(answer.header.length > 1);
	return (uint32_t)strtoul(answer.payload, NULL, 10);
}

/* The store ended the connection. */
static inline bool is_over(struct speaker *speaker)
{
	struct message message;

	while (take_message(speaker, &message, PATIENCE_MS))
		;
	return recv(speaker->fd, &message, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

#endif
