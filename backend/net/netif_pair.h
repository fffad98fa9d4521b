/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A queue of netif, its tx and its rx ring, as a pair that a worker serves.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_PAIR_H
#define PVKIT_BACKEND_NET_NETIF_PAIR_H

#include "backend/net/netif_rx.h"
#include "backend/net/netif_tx.h"
#include "backend/net/worker.h"

struct netif_pair {
	struct net_worker worker; /* first */
	struct netif_tx tx;
	struct netif_rx rx;
};

static inline struct netif_pair *netif_pair_of(struct net_worker *worker)
{
	return (struct netif_pair *)worker;
}

extern const struct net_pair_ops netif_pair_ops;

#endif
