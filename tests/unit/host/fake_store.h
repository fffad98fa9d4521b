/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A store of one connection: values, watches, no permissions. The test is everybody else.
 */
#ifndef PVKIT_TESTS_UNIT_HOST_FAKE_STORE_H
#define PVKIT_TESTS_UNIT_HOST_FAKE_STORE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* backend/store/store.h has names of its own for these two. */
#define STORE_READ  STORE_WIRE_READ
#define STORE_WRITE STORE_WIRE_WRITE
#include "abi/store.h"
#undef STORE_READ
#undef STORE_WRITE

#define FAKE_NODES   2048
#define FAKE_WATCHES 32
#define FAKE_TEXT    256
#define FAKE_WAIT_MS 10000

struct fake_store {
	pthread_mutex_t lock;
	pthread_t thread;
	bool running;
	int fd; /* ours */
	unsigned int node_count;
	struct {
		char path[FAKE_TEXT], value[FAKE_TEXT];
	} node[FAKE_NODES];
	struct {
		bool used;
		char path[FAKE_TEXT], token[FAKE_TEXT];
	} watch[FAKE_WATCHES];
	/* What a hostile store does. */
	_Atomic bool silent; /* takes requests, answers none */
	_Atomic bool wrong_id;
	unsigned int requests;
};

static inline void fake_sleep_ms(unsigned int ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&time, NULL);
}

static inline void fake_store_send(struct fake_store *store, uint32_t type, uint32_t request,
				   const void *payload, uint32_t length)
{
	struct {
		struct store_header header;
		char payload[STORE_PAYLOAD_MAX];
	} message = {.header = {.type = type, .request = request, .length = length}};

	memcpy(message.payload, payload, length);
	if (store->fd >= 0 &&
	    send(store->fd, &message, sizeof(message.header) + length, MSG_NOSIGNAL) < 0)
		return;
}

/* ---- the tree; with the lock ----------------------------------------------------------------- */

static inline char *fake_store_find(struct fake_store *store, const char *path)
{
	unsigned int i;

	for (i = 0; i < store->node_count; i++)
		if (!strcmp(store->node[i].path, path))
			return store->node[i].value;
	return NULL;
}

static inline bool fake_store_below(const char *path, const char *top)
{
	size_t length = strlen(top);

	return !strncmp(path, top, length) && (!path[length] || path[length] == '/');
}

/* @exact: only those who watch that very node. */
static inline void fake_store_fire(struct fake_store *store, const char *path, bool exact)
{
	char payload[2 * FAKE_TEXT];
	unsigned int i;
	int length;

	for (i = 0; i < FAKE_WATCHES; i++) {
		if (!store->watch[i].used || !fake_store_below(path, store->watch[i].path) ||
		    (exact && strcmp(path, store->watch[i].path) != 0))
			continue;
		length = snprintf(payload, sizeof(payload), "%s%c%s", path, 0,
				  store->watch[i].token);
		fake_store_send(store, STORE_WATCH_EVENT, 0, payload, length + 1);
	}
}

static inline void fake_store_put(struct fake_store *store, const char *path, const char *value)
{
	char *old = fake_store_find(store, path);

	if (!old) {
		assert_true(store->node_count < FAKE_NODES);
		snprintf(store->node[store->node_count].path, FAKE_TEXT, "%s", path);
		old = store->node[store->node_count++].value;
	}
	snprintf(old, FAKE_TEXT, "%s", value);
	fake_store_fire(store, path, false);
}

/* Who watches a node below is told of that one. */
static inline bool fake_store_drop(struct fake_store *store, const char *path)
{
	unsigned int i, found = 0;
	char gone[FAKE_TEXT];

	for (i = 0; i < store->node_count;) {
		if (!fake_store_below(store->node[i].path, path)) {
			i++;
			continue;
		}
		memcpy(gone, store->node[i].path, sizeof(gone));
		store->node[i] = store->node[--store->node_count];
		if (strcmp(gone, path) != 0)
			fake_store_fire(store, gone, true);
		found++;
	}
	if (found)
		fake_store_fire(store, path, false);
	return found;
}

/* ---- the protocol ---------------------------------------------------------------------------- */

static inline void fake_store_watch(struct fake_store *store, char *payload, bool on)
{
	const char *token = payload + strlen(payload) + 1;
	char event[2 * FAKE_TEXT];
	unsigned int i;
	int length;

	for (i = 0; i < FAKE_WATCHES; i++) {
		if (on && store->watch[i].used)
			continue;
		if (!on && (strcmp(store->watch[i].path, payload) != 0 ||
			    strcmp(store->watch[i].token, token) != 0))
			continue;
		store->watch[i].used = on;
		snprintf(store->watch[i].path, FAKE_TEXT, "%.255s", payload);
		snprintf(store->watch[i].token, FAKE_TEXT, "%.255s", token);
		break;
	}
	if (!on)
		return;
	length = snprintf(event, sizeof(event), "%s%c%s", payload, 0, token);
	fake_store_send(store, STORE_WATCH_EVENT, 0, event, length + 1);
}

static inline void fake_store_serve(struct fake_store *store, struct store_header *header,
				    char *payload)
{
	uint32_t id = store->wrong_id ? header->request + 7 : header->request;
	char *value;

	store->requests++;
	if (store->silent)
		return;
	switch (header->type) {
	case STORE_WIRE_READ:
		value = fake_store_find(store, payload);
		if (value)
			fake_store_send(store, header->type, id, value, strlen(value));
		else
			fake_store_send(store, STORE_ERROR, id, STORE_ENOENT, sizeof(STORE_ENOENT));
		return;
	case STORE_WIRE_WRITE:
		payload[header->length] = 0;
		fake_store_put(store, payload, payload + strlen(payload) + 1);
		break;
	case STORE_RM:
		if (!fake_store_drop(store, payload)) {
			fake_store_send(store, STORE_ERROR, id, STORE_ENOENT, sizeof(STORE_ENOENT));
			return;
		}
		break;
	case STORE_WATCH:
	case STORE_UNWATCH:
		fake_store_send(store, header->type, id, "OK", 3);
		fake_store_watch(store, payload, header->type == STORE_WATCH);
		return;
	case STORE_TRANSACTION_START:
		fake_store_send(store, header->type, id, "17", 3);
		return;
	case STORE_TRANSACTION_END:
		break;
	default:
		fake_store_send(store, STORE_ERROR, id, STORE_ENOSYS, sizeof(STORE_ENOSYS));
		return;
	}
	fake_store_send(store, header->type, id, "OK", 3);
}

static inline void *fake_store_thread(void *context)
{
	struct fake_store *store = context;
	struct store_header header;
	char payload[STORE_PAYLOAD_MAX + 1];

	while (recv(store->fd, &header, sizeof(header), MSG_WAITALL) == sizeof(header)) {
		if (header.length > STORE_PAYLOAD_MAX)
			break;
		if (header.length &&
		    recv(store->fd, payload, header.length, MSG_WAITALL) != (ssize_t)header.length)
			break;
		pthread_mutex_lock(&store->lock);
		fake_store_serve(store, &header, payload);
		pthread_mutex_unlock(&store->lock);
	}
	return NULL;
}

/* A connection, the tree being there: its other end, for who is tested. */
static inline int fake_store_connect(struct fake_store *store)
{
	int fds[2];

	memset(store->watch, 0, sizeof(store->watch));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	store->fd = fds[0];
	assert_int_equal(pthread_create(&store->thread, NULL, fake_store_thread, store), 0);
	store->running = true;
	return fds[1];
}

static inline void fake_store_disconnect(struct fake_store *store)
{
	if (!store->running)
		return;
	shutdown(store->fd, SHUT_RDWR);
	pthread_join(store->thread, NULL);
	close(store->fd);
	store->fd = -1;
	store->running = false;
}

/* The other end of the first connection. */
static inline int fake_store_open(struct fake_store *store)
{
	memset(store, 0, sizeof(*store));
	pthread_mutex_init(&store->lock, NULL);
	return fake_store_connect(store);
}

static inline void fake_store_close(struct fake_store *store)
{
	fake_store_disconnect(store);
	pthread_mutex_destroy(&store->lock);
}

/* ---- for tests ------------------------------------------------------------------------------- */

static inline void store_set(struct fake_store *store, const char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline void store_set(struct fake_store *store, const char *value, const char *format, ...)
{
	char path[FAKE_TEXT];
	va_list ap;

	va_start(ap, format);
	vsnprintf(path, sizeof(path), format, ap);
	va_end(ap);
	pthread_mutex_lock(&store->lock);
	fake_store_put(store, path, value);
	pthread_mutex_unlock(&store->lock);
}

static inline void store_drop(struct fake_store *store, const char *path)
{
	pthread_mutex_lock(&store->lock);
	fake_store_drop(store, path);
	pthread_mutex_unlock(&store->lock);
}

/* "" where there is none. */
static inline void store_get(struct fake_store *store, const char *path, char *value)
{
	const char *found;

	pthread_mutex_lock(&store->lock);
	found = fake_store_find(store, path);
	snprintf(value, FAKE_TEXT, "%s", found ? found : "");
	pthread_mutex_unlock(&store->lock);
}

static inline bool store_wait(struct fake_store *store, const char *path, const char *value)
{
	char now[FAKE_TEXT];
	unsigned int ms;

	for (ms = 0; ms < FAKE_WAIT_MS; ms++) {
		store_get(store, path, now);
		if (!strcmp(now, value))
			return true;
		fake_sleep_ms(1);
	}
	print_message("%s is '%s', not '%s'\n", path, now, value);
	return false;
}

#endif
