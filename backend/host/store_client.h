/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A client of the store (abi/store.h) in the control loop.
 *
 * Requests wait for their answer, HOST_ANSWER_MS at most; a store that is later than that, or breaks
 * the protocol, is lost: every call answers -EPIPE from then on, and ->lost is called once.
 *
 * A watch is a note that something changed below a path, not a queue of what changed: events that
 * come while one is waiting to be told are one. So a guest that rewrites a key for ever costs a flag.
 * Callbacks run in the loop, never inside a call of this header; they may call all of it.
 */
#ifndef PVKIT_BACKEND_HOST_STORE_CLIENT_H
#define PVKIT_BACKEND_HOST_STORE_CLIENT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

struct store_client;

/* @fd: a connected stream socket, which is taken over. NULL with errno set. */
struct store_client *store_client_open(int fd);
void store_client_close(struct store_client *client); /* NULL is allowed */
/*
 * @say: NULL, or what says that it is lost and why, at once; maybe nothing, where that is part of a
 * greater end. @lost comes later, from the loop.
 */
void store_client_on_lost(struct store_client *client, void (*lost)(void *context),
			  void (*say)(void *context, const char *why), void *context);

#define STORE_NO_TRANSACTION 0U

/*
 * The value of @path, NUL-terminated, in @value. Its length; -ENOENT, -EACCES …; -E2BIG: longer than
 * @size - 1; -EINVAL: it holds a NUL.
 */
int store_client_read(struct store_client *client, uint32_t transaction, const char *path,
		      char *value, unsigned int size);
/* 0 or -errno. */
int store_client_write(struct store_client *client, uint32_t transaction, const char *path,
		       const char *format, ...) __attribute__((format(printf, 4, 5)));
int store_client_vwrite(struct store_client *client, uint32_t transaction, const char *path,
			const char *format, va_list ap);
int store_client_remove(struct store_client *client, uint32_t transaction, const char *path);

/* The number of a new transaction, or -errno. */
int64_t store_client_begin(struct store_client *client);
/* 0, -EAGAIN: somebody else changed the same, begin anew; or -errno. The transaction is over. */
int store_client_end(struct store_client *client, uint32_t transaction, bool commit);

#define STORE_CLIENT_WATCHES 16

/*
 * Calls @changed when something at @path or below it changed, and once at first. Its number, for
 * unwatch, or -errno.
 */
int store_client_watch(struct store_client *client, const char *path,
		       void (*changed)(void *context), void *context);
void store_client_unwatch(struct store_client *client, int watch);

#endif
