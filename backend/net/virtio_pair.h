/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Two virtqueues, receive and transmit, as a pair that a worker serves.
 */
#ifndef PVKIT_BACKEND_NET_VIRTIO_PAIR_H
#define PVKIT_BACKEND_NET_VIRTIO_PAIR_H

#include "backend/net/rx.h"
#include "backend/net/tx.h"
#include "backend/net/worker.h"

struct virtio_pair {
	struct net_worker worker; /* first */
	struct net_rx rx;
	struct net_tx tx;
};

static inline struct virtio_pair *virtio_pair_of(struct net_worker *worker)
{
	return (struct virtio_pair *)worker;
}

extern const struct net_pair_ops virtio_pair_ops;

#endif
