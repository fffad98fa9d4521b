/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From the guest to the link: one tx ring of netif, served by its worker thread.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_TX_H
#define PVKIT_BACKEND_NET_NETIF_TX_H

#include "abi/netif.h"
#include "backend/link/link.h"
#include "backend/net/netif_groups.h"
#include "backend/net/netif_headers.h"
#include "backend/net/netif_rate.h"
#include "backend/transport/xen.h"

struct stats_queue;

/* More requests for one frame are an attack: Linux draws the line here. */
#define NETIF_TX_REQUESTS_MAX 20
#define NETIF_TX_EXTRAS_MAX   (NETIF_EXTRA_TYPES - 1)

struct netif_tx {
	/* Set once. */
	struct link *link;
	unsigned int link_queue;
	struct stats_queue *stats;
	struct netif_groups *groups;
	struct netif_rate *rate; /* of all queues */

	const struct xen_device *device;
	struct xen_queue *queue; /* NULL: stopped */
	struct xen_back ring;
	bool broken;
	unsigned int offloads; /* enum frame_offload that the guest may ask for */

	/* The frame in hand; held when the link was busy, or for so long as it has no credit. */
	bool held, paid;
	uint64_t pause_ns;
	unsigned int requests, extras; /* slots that it took */
	struct netif_tx_req request[NETIF_TX_REQUESTS_MAX];
	struct netif_extra gso; /* type 0: none */
	struct netif_extra group; /* a command; type 0: none */
	uint32_t bytes;
	struct host_pin pin[NETIF_TX_REQUESTS_MAX];
	struct frame_header header;
	struct iovec piece[1 + NETIF_TX_REQUESTS_MAX];
};

/* @offloads: enum frame_offload that was published. 0 or -errno. */
int netif_tx_start(struct netif_tx *tx, const struct xen_device *device, struct xen_queue *queue,
		   unsigned int offloads);
/* What is in hand goes back to the ring, unsent. */
void netif_tx_stop(struct netif_tx *tx);

/* Sends what is there, up to a bound. Answers how many frames and commands were done. */
unsigned int netif_tx_burst(struct netif_tx *tx);

/* Whether notifications are worth waiting for: not while stopped or the link is busy. */
bool netif_tx_listens(const struct netif_tx *tx);

#endif
