/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From the link to the guest: one rx ring of netif, served by its worker thread.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_RX_H
#define PVKIT_BACKEND_NET_NETIF_RX_H

#include "abi/netif.h"
#include "backend/link/link.h"
#include "backend/net/netif_groups.h"
#include "backend/net/netif_hash.h"
#include "backend/net/netif_inbox.h"
#include "backend/transport/xen.h"

struct stats_queue;

/* Pages held ready: what the largest frame takes with the most headroom, and two extras. */
#define NETIF_RX_STAGED    36
#define NETIF_HEADROOM_MAX 2048

/* What the front-end takes, as it said in the handshake. */
struct netif_rx_terms {
	bool sg, csum_v4, csum_v6;
	bool gso; /* of any kind that ->offloads has */
	unsigned int offloads; /* enum frame_offload that the link may give */
	unsigned int headroom;
};

/* Of all queues, as long as a front-end with a control ring is connected. */
struct netif_steering {
	unsigned int queues; /* that run */
	struct netif_inbox *inbox[LINK_QUEUES_MAX];
};

struct netif_rx_page {
	uint16_t id;
	struct host_pin pin; /* for writing */
};

struct netif_rx {
	/* Set once. */
	struct link *link;
	unsigned int link_queue;
	struct stats_queue *stats;
	struct netif_groups *groups;

	const struct xen_device *device;
	struct xen_queue *queue; /* NULL: stopped */
	struct xen_back ring;
	bool broken;
	struct netif_rx_terms terms;
	struct netif_hash hash;
	const struct netif_steering *steering; /* NULL: frames stay where they come */
	unsigned int gap; /* pages left out behind the first, for extras */
	unsigned int wanted; /* pages for the largest frame */

	/* Staged pages, oldest first: requests that were taken and not answered. */
	struct netif_rx_page page[NETIF_RX_STAGED];
	unsigned int first, count;
	bool make_do; /* the guest gives no more for now: what is staged must do */
	bool blocked; /* the next request is of no use and waits its turn */

	struct frame_header header;
	bool hashed;
	uint8_t hash_type;
	uint32_t hash_value;
	/* The header, the pages, and the one behind that a link may use. */
	struct iovec piece[1 + NETIF_RX_STAGED + 1];
};

int netif_rx_start(struct netif_rx *rx, const struct xen_device *device, struct xen_queue *queue,
		   const struct netif_rx_terms *terms);
/* From now on, or from the next start on. In the worker's thread while it is started. */
void netif_rx_set_hash(struct netif_rx *rx, const struct netif_hash *hash,
		       const struct netif_steering *steering);
/* What is staged goes back to the ring, unused. */
void netif_rx_stop(struct netif_rx *rx);

/*
 * Receives what is there, up to a bound. Answers how many frames that was, those that were dropped or
 * handed on among them, and requests that were handed back.
 */
unsigned int netif_rx_burst(struct netif_rx *rx);
/* Before sleep: whether a frame of another queue waits and can be received; if not, the bell will ring. */
bool netif_rx_handed_on(struct netif_rx *rx);

/* Whether a frame could be received now. */
bool netif_rx_ready(const struct netif_rx *rx);
/* Whether only the guest can help: it is to notify when it has posted pages. */
bool netif_rx_starving(const struct netif_rx *rx);

#endif
