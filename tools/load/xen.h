/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Xen's rings, in front of a back-end that attached: blkif and netif.
 */
#ifndef PVKIT_TOOLS_LOAD_XEN_H
#define PVKIT_TOOLS_LOAD_XEN_H

#include "abi/xen_ring.h"
#include "ring/xen_ring.h"
#include "ring/xen_shadow.h"
#include "tools/load/front.h"
#include "tools/load/xen_guest.h"

#define XEN_RING_PAGES_MAX (1U << XEN_RING_PAGE_ORDER_MAX)

struct xen_queue {
	struct load_queue base;
	struct xen_front ring;
	struct xen_shadow shadow;
	struct xen_shadow_entry *entries;
	uint32_t reference[XEN_RING_PAGES_MAX];
	unsigned int pages;
	uint32_t port;
	bool persistent;
};

static inline struct xen_queue *xen_queue_of(struct load_queue *queue)
{
	return (struct xen_queue *)queue;
}

/* What differs between devices before a ring runs. All die with a line. */
struct xen_kind {
	const char *device; /* ours, as the daemon's --device names it */
	const char *other, *hint; /* a device of another kind, and how to load that */
	uint32_t slot_bytes[2]; /* of rings 0, 2, 4 …, and of 1, 3, 5 … */
	enum store_state ready; /* the state in which the back-end is to look at what we wrote */
	/* The back-end has said what it can: takes what fits. How many pages has a ring? */
	unsigned int (*negotiate)(struct load_front *front);
	/* Writes what was chosen, for the device, and for each queue below @prefix. */
	void (*publish)(struct load_front *front);
	void (*publish_queue)(struct load_front *front, unsigned int index, const char *prefix);
	/* The back-end serves. */
	void (*connected)(struct load_front *front);
};

extern const struct xen_kind xen_blk_kind, xen_net_kind;
extern const struct load_wire xen_blk_wire, xen_net_tx_wire, xen_net_rx_wire;
extern const struct load_transport load_xen;

/* As struct load_wire has them, for all devices. */
bool xen_publish(struct load_queue *queue);
bool xen_arm(struct load_queue *queue);
void xen_disarm(struct load_queue *queue);

/* ---- for kinds ------------------------------------------------------------------------------- */

/* Pages of @bytes that begin with a page. */
static inline unsigned int xen_pages(uint64_t bytes)
{
	return (unsigned int)((bytes + XEN_RING_PAGE_BYTES - 1) / XEN_RING_PAGE_BYTES);
}

struct load_queue *xen_queue_new(struct load_front *front, unsigned int index, unsigned int pages);

/* When to stop waiting for the back-end; waits a little; false: it is time. Dies when it is gone. */
int64_t xen_deadline(const struct load_front *front);
bool xen_wait_on(const struct load_front *front, int64_t deadline);

/* @count pages of shared memory, with references that are not given yet. */
void *xen_take_pages(struct load_front *front, unsigned int count, uint32_t *references);
/* Whether to use a feature that the back-end offers or not; @wanted as the option says. */
bool xen_choose(const struct load_front *front, unsigned int wanted, bool offered,
		const char *option);

#endif
