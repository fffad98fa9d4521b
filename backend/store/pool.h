/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A few helper threads of one queue, for what would block it: the whole of the threads engine, and
 * the requests that other engines cannot pass on.
 */
#ifndef PVKIT_BACKEND_STORE_POOL_H
#define PVKIT_BACKEND_STORE_POOL_H

#include "backend/store/store.h"

struct store_pool;

/* Threads are started as requests wait for one, up to @threads_max. NULL with errno set. */
struct store_pool *store_pool_open(struct store_image *image, unsigned int threads_max);
/* Nothing may be in flight. Ends the threads. */
void store_pool_close(struct store_pool *pool);

void store_pool_start(struct store_pool *pool, struct store_io *io); /* stages */
void store_pool_submit(struct store_pool *pool);
unsigned int store_pool_reap(struct store_pool *pool, struct store_io **done, unsigned int max);

/* Readable when there is something to reap, between these two calls only. */
int store_pool_fd(const struct store_pool *pool);
/* True: something is over already, do not sleep. */
bool store_pool_sleep_begin(struct store_pool *pool);
void store_pool_sleep_end(struct store_pool *pool);

#endif
