/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The thread of one queue pair: both its rings and its queue of the link.
 */
#ifndef PVKIT_BACKEND_NET_WORKER_H
#define PVKIT_BACKEND_NET_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/poll.h"
#include "backend/net/rx.h"
#include "backend/net/tx.h"

struct net_worker;

/* What the control thread has a worker do between two bursts. */
typedef void (*net_worker_call)(struct net_worker *worker, void *argument);

struct net_worker {
	struct net_rx rx;
	struct net_tx tx;
	struct link *link;
	unsigned int index; /* of the pair, and of the link's queue */

	struct poll_budget poll;
	uint64_t idle_since; /* ns; 0: not idle */
	bool slept; /* since then */
	unsigned int idle_kicks; /* in a row, that brought no work */
	bool rested; /* from them, in the last sleep */
	unsigned int rounds; /* since the CPU time was counted */
	struct pollfd fds[3 + LINK_FDS_MAX];

	pthread_t thread;
	bool running;
	bool quit; /* the worker's own */
	int wake; /* eventfd */

	/* One call at a time, from the control thread. */
	pthread_mutex_t lock;
	pthread_cond_t done;
	net_worker_call call; /* under the lock; NULL: none */
	void *argument;
	_Atomic bool called; /* to be seen without the lock */
};

/* ->rx, ->tx and ->index are filled in; @poll_us < 0: adaptive. 0 or -errno. */
int net_worker_open(struct net_worker *worker, int64_t poll_us);
void net_worker_close(struct net_worker *worker);

/* Calls @call in the worker's thread; returns when it has returned. */
void net_worker_do(struct net_worker *worker, net_worker_call call, void *argument);

#endif
