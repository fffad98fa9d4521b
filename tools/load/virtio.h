/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Virtqueues over vhost-user.
 */
#ifndef PVKIT_TOOLS_LOAD_VIRTIO_H
#define PVKIT_TOOLS_LOAD_VIRTIO_H

#include "ring/virtqueue.h"
#include "tools/load/front.h"

struct virtio_queue {
	struct load_queue base;
	struct virtqueue_areas areas;
	struct virtqueue_driver ring;
};

static inline struct virtio_queue *virtio_queue_of(struct load_queue *queue)
{
	return (struct virtio_queue *)queue;
}

/* As struct load_wire has them, for all devices. */
bool virtio_publish(struct load_queue *queue);
bool virtio_arm(struct load_queue *queue);
void virtio_disarm(struct load_queue *queue);
void virtio_release(struct request *request);
/* The next that is finished, and how many bytes of it the back-end wrote. */
enum load_found virtio_reap(struct load_queue *queue, struct request **request, uint32_t *written);

extern const struct load_wire virtio_blk_wire, virtio_net_tx_wire, virtio_net_rx_wire;

#endif
