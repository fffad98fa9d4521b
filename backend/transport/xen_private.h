/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the files of this transport share.
 *
 *   xen.c        the state machine
 *   xen_queue.c  from keys to queues that run, and back
 *   xen_keys.c   the store, seen from a device
 */
#ifndef PVKIT_BACKEND_TRANSPORT_XEN_PRIVATE_H
#define PVKIT_BACKEND_TRANSPORT_XEN_PRIVATE_H

#include "abi/store.h"
#include "backend/transport/xen.h"
#include "common/log.h"

#define XEN_PATH_BYTES  256
#define XEN_VALUE_BYTES 64

/*
 * In the back-end's directory, from one back-end to the next: the rings were left in order. Removed
 * as soon as they run again.
 */
#define XEN_KEY_PAUSED "pvkit-paused"

/* A queue and what it is made of. */
struct xen_slot {
	struct xen_queue queue;
	const struct xen_ring_kind *kinds;
	unsigned int kind_count;
	unsigned int channel_count; /* the last ring's, or one for each ring */
	struct host_channel channel[XEN_QUEUE_RINGS];
	struct host_area area[XEN_QUEUE_RINGS];
	/* To map the rings again after the guest's memory changed. */
	uint32_t reference[XEN_QUEUE_RINGS][HOST_AREA_PAGES];
	unsigned int pages[XEN_QUEUE_RINGS];
	bool running;
};

struct xen {
	struct xen_device *device;
	struct host *host;
	struct store_client *store;
	char back[XEN_PATH_BYTES / 2], front[XEN_PATH_BYTES / 2]; /* directories */
	int state; /* enum store_state: ours as last written; -1: not written yet */
	int front_state; /* as acted on last */
	/* The front-end's states that mean nothing until it was in another: 1 << state. */
	unsigned int stale;
	/* Its Initialised may be of before, too: if it cannot be served, that is no offence. */
	bool doubtful;
	bool begun; /* the front-end was looked at */
	bool published; /* since the front-end began anew */
	bool connected; /* queues run, or are quiet for a moment */
	bool quiet; /* between quiesce and resume */
	bool over; /* the program is to end */
	struct xen_slot *slots; /* queues_max, then the control queue's */
	unsigned int slot_count; /* that are open */
	struct xen_slot *control; /* open, or NULL */
	struct log_limit limit;
};

/* DIRECTORY/KEY; false: too long, which no key of ours is. */
bool xen_path(char *path, const char *directory, const char *key);

/*
 * Reads what the front-end chose, maps and starts all queues. 0; or -errno, reason given, and none is
 * open.
 */
int xen_queues_open(struct xen *xen);
void xen_queues_close(struct xen *xen);
/* Stops and unmaps, maps and starts again: ports stay bound. */
void xen_queues_pause(struct xen *xen);
int xen_queues_resume(struct xen *xen);

#endif
