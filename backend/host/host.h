/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The host of a back-end: what it has of one guest (abi/attach.h). Guest memory, pins of grants,
 * event channels and a store connection.
 *
 * A struct host is one connection to the shim. All of it belongs to the control thread but the
 * data path, which the queues' threads call: host_pin*(), host_unpin*(), host_notify(),
 * host_take_event(). These look at tables (memory, grants) that are immutable while any queue runs.
 * So whoever changes them stops the queues first, and that is what the callbacks are for:
 *
 *	the shim says			the device's owner is asked to
 *	MEMORY_ADD, MEMORY_REMOVE,	->quiesce: stop all queues, unpin everything;
 *	GRANT_TABLE			then, the tables being new, ->resume: go on where they stood
 *	GUEST_RESET			->reset: stop all queues, unpin everything, unbind all ports
 *	CHANNEL_CLOSED			->channel_closed: stop what uses it, unbind it
 *	nothing any more		->lost: stop all queues; no call to the shim works now
 *
 * Callbacks run in the control loop, never inside a call of this header.
 *
 * The shim is trusted with the guest and no further: a message that breaks the protocol, a
 * descriptor shorter than it says, or an answer that does not come in HOST_ANSWER_MS ends the
 * connection. What the guest wrote (entries of the grant table) is copied once and checked.
 */
#ifndef PVKIT_BACKEND_HOST_HOST_H
#define PVKIT_BACKEND_HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/guest_memory.h"

#define HOST_PAGE_BYTES 4096U

/* A call that asks the shim or the store waits no longer than this in the control loop. */
#define HOST_ANSWER_MS 3000

struct host;
struct store_client;

/* All must be there. @context: as given to host_serve(). */
struct host_ops {
	void (*quiesce)(void *context);
	void (*resume)(void *context);
	void (*reset)(void *context);
	void (*channel_closed)(void *context, uint32_t port);
	/* @orderly: the shim closed the connection; else something broke, and a line said what. */
	void (*lost)(void *context, bool orderly);
};

struct host_options {
	const char *path; /* connect there; NULL: */
	int fd; /* a connected SOCK_SEQPACKET socket, which is taken over */
	const char *name; /* for the shim's messages */
};

/*
 * Attaches: greets, maps memory and tables, opens the store connection; returns when the shim said
 * READY, and watches its socket in the control loop. NULL with errno set, after a line.
 */
struct host *host_open(const struct host_options *options);
/*
 * The device @device, "vbd/51712", is this back-end's until host_close(). 0; -EBUSY: another one serves
 * it, or its process has not ended, for which this waits a second; or -errno. A shim that knows no claims
 * lets everybody in.
 */
int host_claim(struct host *host, const char *device);
/* From now on callbacks come; before, changes of the guest wait. */
void host_serve(struct host *host, const struct host_ops *ops, void *context);
/* All queues are stopped; unpins what its callers forgot, which it says. NULL is allowed. */
void host_close(struct host *host);

/* For messages: "at PATH" or "by descriptor N". */
const char *host_place(const struct host *host);
/* Whether a line has said already why the connection is lost. */
bool host_told(const struct host *host);
unsigned int host_guest_domain(const struct host *host);
unsigned int host_backend_domain(const struct host *host);
struct store_client *host_store(struct host *host);

/* Behind ring/guest_memory.h's checked door. Immutable while queues run. */
const struct guest_memory *host_memory(const struct host *host);

/* ---- grants: any thread ---------------------------------------------------------------------- */

struct host_pin {
	uint32_t reference; /* in */
	bool write; /* in: the page is to be written; else it may only be read */
	void *page; /* out: HOST_PAGE_BYTES of the guest's; NULL: not pinned */
};

/*
 * Pins a grant: checks flags and domain, counts the use, marks it in the entry, reads the frame
 * once and passes it through the door. 0, or -errno and nothing is pinned: -ENOENT no such reference,
 * -EACCES not granted to us or not for that, -EFAULT its frame is no memory, -EBUSY the count stays
 * locked, -EOVERFLOW pinned too often.
 */
int host_pin(struct host *host, struct host_pin *pin);
/* The last access is over. Harmless on one that is not pinned; it is not pinned afterwards. */
void host_unpin(struct host *host, struct host_pin *pin);

/* All or none: 0, or the -errno of the first that failed, and none is pinned. */
int host_pin_many(struct host *host, struct host_pin *pins, unsigned int count);
void host_unpin_many(struct host *host, struct host_pin *pins, unsigned int count);

/* ---- pages side by side: control thread ------------------------------------------------------ */

/* Granted pages that are mapped one after the other: a ring. */
#define HOST_AREA_PAGES 16
struct host_area {
	uint8_t *pages; /* NULL: not mapped */
	unsigned int count;
	bool mapped; /* by a mapping of its own, not just a pointer */
	struct host_pin pin[HOST_AREA_PAGES];
};

/*
 * Pins @count references for writing and maps them contiguously. 0 or -errno as host_pin();
 * -EOPNOTSUPP where the guest's memory allows no such mapping (several pages that are not
 * neighbours, in huge pages).
 */
int host_area_open(struct host *host, struct host_area *area, const uint32_t *references,
		   unsigned int count);
/* Nobody uses it any more. Harmless on one that is all zeroes. */
void host_area_close(struct host *host, struct host_area *area);
/* Whether any pages can be mapped side by side: no, where guest memory is in huge pages. */
bool host_maps_pages(const struct host *host);

/* ---- event channels -------------------------------------------------------------------------- */

struct host_channel {
	uint32_t port; /* the guest's; 0: not bound */
	int from; /* eventfd, non-blocking: readable when the guest sent. A port is born notified */
	int to; /* eventfd; written by host_notify() only */
};

/* Control thread. -ENOENT: no such port, or not for us; -EBUSY: bound already, by us too. */
int host_bind(struct host *host, uint32_t port, struct host_channel *channel);
/* Closes both descriptors: nobody uses them any more. Harmless on one that is all zeroes. */
void host_unbind(struct host *host, struct host_channel *channel);

/*
 * Any thread: interrupts the guest, by the rule of abi/platform.h "interrupts": the pending bit first
 * where the port has no vector of its own, then always the eventfd. A full barrier stands before.
 */
void host_notify(const struct host *host, const struct host_channel *channel);
/* Any thread: clears what the guest sent; true: it had sent something. Never blocks. */
bool host_take_event(const struct host_channel *channel);

#endif
