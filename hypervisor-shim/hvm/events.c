/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "hypervisor-shim/hvm/events.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/log.h"

#define EVENTS_BATCH 16

static struct {
	pthread_mutex_t start; /* covers the making of epoll and thread */
	int epoll;
	/*
	 * Held from epoll_wait() to the last ->ready of what it returned, so that events_settle() knows
	 * by taking it that nothing stale is left. Sleeping happens outside of it.
	 */
	pthread_mutex_t dispatch;
} events = {
	.start = PTHREAD_MUTEX_INITIALIZER,
	.epoll = -1,
	.dispatch = PTHREAD_MUTEX_INITIALIZER,
};

static void dispatch(void)
{
	struct epoll_event batch[EVENTS_BATCH];
	int count, i;

	pthread_mutex_lock(&events.dispatch);
	count = epoll_wait(events.epoll, batch, EVENTS_BATCH, 0);
	for (i = 0; i < count; i++) {
		struct event_watch *watch = batch[i].data.ptr;

		watch->ready(watch, batch[i].events);
	}
	pthread_mutex_unlock(&events.dispatch);
}

static void *events_thread(void *unused)
{
	struct pollfd sleeper = {.fd = events.epoll, .events = POLLIN};
	sigset_t all;

	sigfillset(&all); /* they are for the threads of main() and of the vCPUs */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (;;) {
		if (poll(&sleeper, 1, -1) < 0 && errno != EINTR)
			die_errno("waiting for the events of back-ends failed");
		dispatch();
	}
	return NULL;
}

static int events_start(void)
{
	pthread_t thread;
	int result = 0;

	pthread_mutex_lock(&events.start);
	if (events.epoll >= 0)
		goto out;
	events.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (events.epoll < 0) {
		result = -errno;
		goto out;
	}
	result = -pthread_create(&thread, NULL, events_thread, NULL);
	if (result) {
		close(events.epoll);
		events.epoll = -1;
		goto out;
	}
	pthread_setname_np(thread, "events");
	pthread_detach(thread); /* lives as long as the process */
out:
	pthread_mutex_unlock(&events.start);
	return result;
}

int events_watch(struct event_watch *watch)
{
	struct epoll_event event = {.events = watch->events, .data.ptr = watch};
	int result;

	if (watch->watched)
		return 0;
	result = events_start();
	if (result)
		return result;
	if (epoll_ctl(events.epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0)
		return -errno;
	watch->watched = true;
	return 0;
}

void events_unwatch(struct event_watch *watch)
{
	if (!watch->watched)
		return;
	epoll_ctl(events.epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->watched = false;
}

void events_settle(void)
{
	pthread_mutex_lock(&events.dispatch);
	pthread_mutex_unlock(&events.dispatch);
}
