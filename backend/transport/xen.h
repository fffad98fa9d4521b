/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The Xen transport: one device of one guest, from its two directories in the store to queues that
 * run. Shared by blkif and netif.
 *
 * The back-end's state machine, driven by the front-end's state and by "online":
 *
 *	front-end is		back-end does					and is then
 *	Initialising		stops queues, if any; ->publish			InitWait
 *	Initialised, Connected	(->publish, if it skipped that;) ->negotiate,	Connected
 *				maps rings, binds ports, ->queue_start ×n,
 *				->describe
 *	Closing			stops queues					Closed
 *	Closed, or gone		the same; when online is 0: removes both		Closed
 *				directories and ends the program
 *	anything else		nothing
 *
 * online = 0 while queues run: Closing, so that the front-end closes. Initialised after Connected is
 * a front-end that comes back in place, from suspend: queues stop and start anew. What the
 * front-end's keys say is read once, at Initialised or Connected, and checked; where they make no
 * sense the device is closed, with a line and an "error" key, and waits for the front-end to begin
 * anew. After a reset of the guest, or an event channel that it closed under a queue, the queues are
 * stopped and the front-end's state of that moment counts no more.
 *
 * A back-end that begins and finds the front-end Connected has a predecessor. If that one ended in
 * order, all that it took is answered, and the same rings go on where they stand. If not, nobody knows
 * which slots hold requests still, for answers are written over them: InitWait then asks the front-end
 * for new rings and for what was out.
 *
 * A queue has one ring or two, of a page or several, and an event channel for each ring or for both.
 * In "queue-N/" when the front-end says a number of queues, in its directory otherwise. A device may
 * have a control ring, one more queue with the index XEN_QUEUE_CONTROL, which is started before the
 * others and stopped after them, and exists only where the front-end names it.
 *
 * All of it runs on the control thread; the device serves each queue from a thread of its own
 * between ->queue_start and ->queue_stop.
 */
#ifndef PVKIT_BACKEND_TRANSPORT_XEN_H
#define PVKIT_BACKEND_TRANSPORT_XEN_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/host/host.h"
#include "backend/host/store_client.h"
#include "ring/xen_ring.h"

#define XEN_QUEUE_RINGS   2
#define XEN_QUEUES_MAX    64
#define XEN_QUEUE_CONTROL UINT32_MAX

struct xen_device;

/* One kind of ring that a queue of the device has. */
struct xen_ring_kind {
	const char *ref_key; /* "ring-ref"; of several pages with the page's number behind it */
	/* Its own event channel; NULL, or absent in the store: "event-channel" is all rings'. */
	const char *event_key;
	uint32_t slot_bytes;
	/*
	 * How many pages the front-end may choose, as an order; above 0 it says so by
	 * "ring-page-order" or "num-ring-pages". See also ->page_order_max of the device.
	 */
	uint32_t page_order_max;
};

struct xen_queue_ring {
	struct xen_ring_area area; /* mapped */
	struct xen_ring_position position; /* begin there; queue_stop leaves where it stood */
	const struct host_channel *channel; /* of both rings perhaps the same */
};

struct xen_queue {
	uint32_t index;
	struct xen_queue_ring ring[XEN_QUEUE_RINGS]; /* as the device's ring kinds */
	void *private; /* the device's */
};

struct xen_device_ops {
	/* Writes what the back-end can: xen_device_write(). 0 or -errno. */
	int (*publish)(struct xen_device *device);
	/*
	 * Reads what the front-end chose for the whole device, with xen_device_front_number(). No
	 * queue runs. 0; or -errno to refuse it, after xen_device_refuse().
	 */
	int (*negotiate)(struct xen_device *device);
	/*
	 * Serves @queue from now on, beginning with what waits on its rings. 0, or -errno after a line:
	 * the device is closed.
	 */
	int (*queue_start)(struct xen_device *device, struct xen_queue *queue);
	/*
	 * Returns when nothing is in flight, all answers are on the rings, no grant of its is pinned
	 * and ->position of each ring says where it stood.
	 */
	void (*queue_stop)(struct xen_device *device, struct xen_queue *queue);
	/* All queues run: writes what belongs to Connected (size of a disk …). 0 or -errno. */
	int (*describe)(struct xen_device *device);
	/* All queues are stopped, and the front-end is forgotten. May be NULL. */
	void (*disconnected)(struct xen_device *device);
};

struct xen_device {
	/* The device's owner fills these in before xen_open(). */
	const struct xen_device_ops *ops;
	const char *name; /* for messages */
	const struct xen_ring_kind *kinds; /* of each queue's rings */
	unsigned int kind_count; /* 1..XEN_QUEUE_RINGS */
	const struct xen_ring_kind *control; /* NULL: none */
	unsigned int queues_max; /* 1..XEN_QUEUES_MAX; told as "multi-queue-max-queues" if > 1 */
	/* The transport's. */
	struct host *host;
	unsigned int queues; /* that run, without the control queue */
	/* Smaller than the kinds', where guest memory allows no more; valid from xen_open() on. */
	unsigned int page_order_max;
	struct xen *xen;
};

struct xen;

/*
 * Serves the device @name, "vbd/51712", of the guest of @host, which stays the caller's: closed after
 * xen_close(). NULL with errno set, after a line.
 */
struct xen *xen_open(struct xen_device *device, struct host *host, const char *name);
/*
 * Stops the queues. The states stay as they are: the front-end waits, and a successor that finds it
 * Connected goes on with the same rings. Whoever knows that there is none writes Closed. NULL is
 * allowed.
 */
void xen_close(struct xen *xen);

/* ---- for devices ----------------------------------------------------------------------------- */

/* Writes a key of the back-end's directory. 0 or -errno, after a line. */
int xen_device_write(struct xen_device *device, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A key of the back-end's own directory; the length or -errno. */
int xen_device_read(struct xen_device *device, const char *key, char *value, unsigned int size);
/* @changed is called when that key changes, and once at first; see store_client_watch(). */
int xen_device_watch(struct xen_device *device, const char *key, void (*changed)(void *context),
		     void *context);
/* A key of the front-end's directory, hostile text; the length or -errno. */
int xen_device_front_read(struct xen_device *device, const char *key, char *value,
			  unsigned int size);
/*
 * A decimal number there, 0..@max. An absent key is @absent. -EINVAL, after xen_device_refuse(), for
 * anything else that it may be; -EPIPE where the store is lost.
 */
int xen_device_front_number(struct xen_device *device, const char *key, uint64_t absent,
			    uint64_t max, uint64_t *value);
/* Why the front-end cannot be served: a rate-limited line, and "error" for the administrator. */
void xen_device_refuse(struct xen_device *device, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * Something of ->describe changed while Connected: tells the front-end, by ->describe and state
 * Connected written again.
 */
void xen_device_changed(struct xen_device *device);

/* A queue's ring is broken: says so in one rate-limited line. From the queue's thread. */
void xen_queue_broken(const struct xen_device *device, const struct xen_queue *queue,
		      const struct xen_ring *ring, const char *next);

#endif
