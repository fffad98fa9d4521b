/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Threads of the data path: no signal reaches them, those are the control thread's, but for one that
 * ends a system call in which a peer holds them, and for what a fault of their own raises.
 *
 * A descriptor for interrupts is the peer's: it can fill it, and make it block, so that our write
 * waits for as long as it likes. That costs the peer its queue, and must not cost us the thread that
 * stops the queue.
 */
#ifndef PVKIT_BACKEND_THREAD_H
#define PVKIT_BACKEND_THREAD_H

#include <pthread.h>

/* 0 or an errno, as pthread_create(). */
int backend_thread_create(pthread_t *thread, void *(*run)(void *context), void *context);

/*
 * Waits on @done, with @lock held, for a thread that was told to do something; returns now and then
 * without it, for the caller to look and wait again. System calls of the thread that wait see EINTR.
 */
void backend_thread_wait(pthread_t thread, pthread_cond_t *done, pthread_mutex_t *lock);

/* Waits for the end of a thread that was told to end; system calls of it that wait see EINTR. */
void backend_thread_join(pthread_t thread);

#endif
