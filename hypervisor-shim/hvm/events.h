/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The one thread of the shim that waits for descriptors on behalf of HVM devices: messages and
 * hang-ups of back-ends, the kicks of queues that the shim serves itself, and interrupts that have to
 * go out as INTx. Nothing of a data path with MSI-X passes here.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_HVM_EVENTS_H
#define PVKIT_HYPERVISOR_SHIM_HVM_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct event_watch {
	int fd;
	uint32_t events; /* of epoll; level-triggered */
	/* Called in the thread of the events, with no lock of a device held. */
	void (*ready)(struct event_watch *watch, uint32_t events);
	bool watched; /* its owner's lock covers it, as it covers the two calls below */
};

/* The first watch starts the thread. 0 or -errno. */
int events_watch(struct event_watch *watch);

/*
 * Stops watching. ->ready may still be running, or about to run for what was seen before: it has to
 * look, under its device's lock, whether it is still wanted, and events_settle() comes before
 * the memory of @watch is freed.
 */
void events_unwatch(struct event_watch *watch);

/*
 * Returns when no ->ready of a watch that is unwatched by now runs or will run. Not to be called from
 * ->ready, nor with a lock that a ->ready takes.
 */
void events_settle(void);

#endif
