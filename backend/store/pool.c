// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Helper threads.
 *
 * Requests wait in a list under a mutex, which a batch takes once. What is over goes onto a stack
 * without a lock: any thread pushes, only the queue's thread takes, and it takes all. The eventfd is
 * written only while the queue's thread says that it sleeps, so a busy queue never pays for it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/store/pool.h"
#include "backend/thread.h"

#define POOL_THREADS_MAX 64

struct store_pool {
	struct store_image *image;
	int event;
	unsigned int threads_max;

	/* the queue's thread only */
	struct store_io *staged, **staged_end;
	unsigned int staged_count;
	struct store_io *reaped; /* taken off the stack, not yet handed back */

	_Atomic(struct store_io *) done; /* stack */
	_Atomic bool sleeping;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	struct store_io *waiting, **waiting_end;
	unsigned int waiting_count, idle, threads;
	bool ending;
	pthread_t thread[POOL_THREADS_MAX];
};

static void pool_finish(struct store_pool *pool, struct store_io *io)
{
	uint64_t one = 1;

	io->next = atomic_load_explicit(&pool->done, memory_order_relaxed);
	/*
	 * Sequentially consistent: either we see that the queue's thread sleeps, or it sees what we
	 * pushed before it does (store_pool_sleep_begin()).
	 */
	while (!atomic_compare_exchange_weak(&pool->done, &io->next, io))
		;
	if (atomic_load(&pool->sleeping) && write(pool->event, &one, sizeof(one)) < 0)
		return; /* the counter is full: readable all the same */
}

static struct store_io *pool_take(struct store_pool *pool)
{
	struct store_io *io;

	pthread_mutex_lock(&pool->lock);
	while (!pool->waiting && !pool->ending) {
		pool->idle++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->idle--;
	}
	io = pool->waiting;
	if (io) {
		pool->waiting = io->next;
		pool->waiting_count--;
		if (!pool->waiting)
			pool->waiting_end = &pool->waiting;
	}
	pthread_mutex_unlock(&pool->lock);
	return io;
}

static void *pool_thread(void *context)
{
	struct store_pool *pool = context;
	struct store_io *io;

	while ((io = pool_take(pool))) {
		io->result = store_sync(pool->image, io);
		pool_finish(pool, io);
	}
	return NULL;
}

static int pool_start_thread(struct store_pool *pool)
{
	int error = backend_thread_create(&pool->thread[pool->threads], pool_thread, pool);

	if (!error)
		pool->threads++;
	return error;
}

struct store_pool *store_pool_open(struct store_image *image, unsigned int threads_max)
{
	struct store_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->image = image;
	pool->threads_max = threads_max < POOL_THREADS_MAX ? threads_max : POOL_THREADS_MAX;
	pool->staged_end = &pool->staged;
	pool->waiting_end = &pool->waiting;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* One thread from the beginning, so that later a lack of threads only makes it slower. */
	if (pool->event < 0 || (errno = pool_start_thread(pool))) {
		store_pool_close(pool);
		return NULL;
	}
	return pool;
}

void store_pool_close(struct store_pool *pool)
{
	unsigned int i;
	int error = errno;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->threads; i++)
		pthread_join(pool->thread[i], NULL);
	if (pool->event >= 0)
		close(pool->event);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	errno = error;
}

void store_pool_start(struct store_pool *pool, struct store_io *io)
{
	io->next = NULL;
	*pool->staged_end = io;
	pool->staged_end = &io->next;
	pool->staged_count++;
}

void store_pool_submit(struct store_pool *pool)
{
	unsigned int i, wake;

	if (!pool->staged)
		return;
	pthread_mutex_lock(&pool->lock);
	*pool->waiting_end = pool->staged;
	pool->waiting_end = pool->staged_end;
	pool->waiting_count += pool->staged_count;
	wake = pool->staged_count < pool->idle ? pool->staged_count : pool->idle;
	while (pool->waiting_count > pool->idle && pool->threads < pool->threads_max)
		if (pool_start_thread(pool) || pool->threads >= pool->waiting_count)
			break;
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < wake; i++)
		pthread_cond_signal(&pool->work);
	pool->staged = NULL;
	pool->staged_end = &pool->staged;
	pool->staged_count = 0;
}

unsigned int store_pool_reap(struct store_pool *pool, struct store_io **done, unsigned int max)
{
	unsigned int count = 0;

	if (!pool->reaped && atomic_load_explicit(&pool->done, memory_order_relaxed))
		pool->reaped = atomic_exchange_explicit(&pool->done, NULL, memory_order_acquire);
	while (pool->reaped && count < max) {
		done[count++] = pool->reaped;
		pool->reaped = pool->reaped->next;
	}
	return count;
}

int store_pool_fd(const struct store_pool *pool)
{
	return pool->event;
}

bool store_pool_sleep_begin(struct store_pool *pool)
{
	atomic_store(&pool->sleeping, true);
	return pool->reaped || atomic_load(&pool->done);
}

void store_pool_sleep_end(struct store_pool *pool)
{
	uint64_t count;

	atomic_store_explicit(&pool->sleeping, false, memory_order_relaxed);
	if (read(pool->event, &count, sizeof(count)) < 0)
		return; /* nobody wrote */
}
