// SPDX-License-Identifier: MIT OR GPL-2.0
#include <signal.h>
#include <time.h>

#include "backend/thread.h"

/* Of no other use here, and ignored by whoever has no handler for it. */
#define INTERRUPT_SIGNAL SIGURG

/* Long for a thread that is about to end, short for a person who waits for it. */
#define INTERRUPT_AFTER_NS 200000000

static void on_interrupt(int signal)
{
}

int backend_thread_create(pthread_t *thread, void *(*run)(void *context), void *context)
{
	/* Without SA_RESTART: that is the point. */
	struct sigaction action = {.sa_handler = on_interrupt};
	sigset_t mask, before;
	int error;

	sigaction(INTERRUPT_SIGNAL, &action, NULL);
	sigfillset(&mask);
	sigdelset(&mask, INTERRUPT_SIGNAL);
	/* A fault whose signal is blocked kills the process, handler or not: see memory_guard.h. */
	sigdelset(&mask, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &mask, &before);
	error = pthread_create(thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static struct timespec patience(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += INTERRUPT_AFTER_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return until;
}

void backend_thread_wait(pthread_t thread, pthread_cond_t *done, pthread_mutex_t *lock)
{
	const struct timespec until = patience();

	if (pthread_cond_timedwait(done, lock, &until))
		pthread_kill(thread, INTERRUPT_SIGNAL);
}

void backend_thread_join(pthread_t thread)
{
	struct timespec until = patience();

	while (pthread_timedjoin_np(thread, NULL, &until)) {
		/* Again and again: one that came before the call began was without effect. */
		pthread_kill(thread, INTERRUPT_SIGNAL);
		until = patience();
	}
}
