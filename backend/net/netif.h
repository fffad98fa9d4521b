/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The network device of Xen (abi/netif.h) in front of a link.
 *
 * The front-end's address and MTU are in its directory of the store, by whoever made the device: they
 * are not ours to say. What we say: the features that the link has, its carrier and speed.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_H
#define PVKIT_BACKEND_NET_NETIF_H

#include "backend/net/netif_ctrl.h"
#include "backend/net/netif_pair.h"

struct stats_page;

struct netif_options {
	uint32_t speed; /* Mbit/s; 0: unknown */
	int64_t poll_us; /* < 0: adaptive */
};

struct netif {
	struct xen_device device; /* first: the transport's view */
	struct link *link;
	struct netif_options options;
	struct netif_rx_terms terms; /* of the front-end that is connected */
	struct netif_groups groups;
	struct netif_rate rate;
	struct netif_ctrl ctrl;
	struct netif_steering steering;
	int watch; /* of its wish to filter; < 0: none */
	int rate_watch; /* of the limit, in our own directory; < 0: none */
	bool carrier; /* as written */
	struct net_worker *worker[LINK_QUEUES_MAX]; /* each heads a netif_pair */
};

/* Opens a device on @link, which stays the caller's. NULL, errno set and reported, on failure. */
struct netif *netif_open(struct link *link, const struct netif_options *options,
			 struct stats_page *stats);
/* All queues are stopped. */
void netif_close(struct netif *netif);

#endif
