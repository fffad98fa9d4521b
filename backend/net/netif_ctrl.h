/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The control ring of netif: the front-end says by it which frames are hashed, how, and which queue a
 * hash leads to. Served by the control thread; the queues get copies of what it says.
 *
 * A request is copied off the ring, and what it names is copied out of its page, once, before either is
 * looked at. One that makes no sense is answered so, and changes nothing; indices that make none break
 * this ring alone, and the hash stays as it was.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_CTRL_H
#define PVKIT_BACKEND_NET_NETIF_CTRL_H

#include "backend/net/netif_hash.h"
#include "backend/transport/xen.h"

struct netif_ctrl {
	/* Set once: what is done with a hash that changed. */
	void (*changed)(struct netif_ctrl *ctrl);

	const struct xen_device *device;
	struct xen_queue *queue; /* NULL: stopped */
	struct xen_back ring;
	bool broken;
	struct netif_hash hash;
};

/* The hash stays what it was: the front-end may be the same, after a pause. 0 or -errno. */
int netif_ctrl_start(struct netif_ctrl *ctrl, const struct xen_device *device,
		     struct xen_queue *queue);
void netif_ctrl_stop(struct netif_ctrl *ctrl);

#endif
