/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The thread of one queue pair: both its rings and its queue of the link. What kind of rings these
 * are only its ops know (virtio_pair.h, netif_pair.h); a pair begins with its worker.
 */
#ifndef PVKIT_BACKEND_NET_WORKER_H
#define PVKIT_BACKEND_NET_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/link/link.h"
#include "backend/poll.h"

struct net_worker;
struct stats_page;
struct stats_queue;

/* What the control thread has a worker do between two bursts. */
typedef void (*net_worker_call)(struct net_worker *worker, void *argument);

/* The rings of a pair. */
enum net_side { NET_SIDE_TX, NET_SIDE_RX, NET_SIDES };

/* What a worker without work waits for. */
struct net_wait {
	int kick[NET_SIDES]; /* readable when the guest kicked; -1: not wanted */
	int bell; /* an eventfd by which other workers hand on frames; -1: none, or not wanted */
	bool blind; /* of a ring that is wanted nobody is told: look at intervals */
	bool starving; /* the guest is to add buffers … */
	bool staged; /* … to those that are there … */
	uint32_t taken; /* … which shows by this count's being another */
	bool receive, send; /* what the link is wanted for */
	uint64_t pause_ns; /* after which a frame that is held may go; 0: none waits for that */
};

/* All in the worker's thread. */
struct net_pair_ops {
	/* Moves what is there, up to a bound. Answers how much that was. */
	unsigned int (*burst)(struct net_worker *worker);
	/* Asks for the kicks that matter. False: there is work already. */
	bool (*arm)(struct net_worker *worker);
	void (*disarm)(struct net_worker *worker);
	void (*wait)(struct net_worker *worker, struct net_wait *wait);
	void (*take_kick)(struct net_worker *worker, enum net_side side);
	/* No buffers came: what is staged must do. */
	void (*make_do)(struct net_worker *worker);
};

struct net_worker {
	const struct net_pair_ops *ops;
	struct stats_queue *stats[NET_SIDES];
	struct link *link;
	unsigned int index; /* of the pair, and of the link's queue */

	struct poll_budget poll;
	uint64_t idle_since; /* ns; 0: not idle */
	bool slept; /* since then */
	unsigned int idle_kicks; /* in a row, that brought no work */
	bool rested; /* from them, in the last sleep */
	unsigned int rounds; /* since the CPU time was counted */
	uint64_t starved_since; /* ns, waiting for buffers; 0: not */
	uint32_t starved_taken; /* net_wait's ->taken at that time */
	struct pollfd fds[2 + NET_SIDES + LINK_FDS_MAX];

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

/* Names the rings' ops, the queue of the link, and the two entries of @page that count for the pair. */
void net_worker_init(struct net_worker *worker, const struct net_pair_ops *ops, struct link *link,
		     unsigned int index, struct stats_page *page);
/* Starts the thread of one that was initialised; @poll_us < 0: adaptive. 0 or -errno. */
int net_worker_open(struct net_worker *worker, int64_t poll_us);
void net_worker_close(struct net_worker *worker);

/* Calls @call in the worker's thread; returns when it has returned. */
void net_worker_do(struct net_worker *worker, net_worker_call call, void *argument);

#endif
