/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The control virtqueue: rare commands, served by the control thread.
 */
#ifndef PVKIT_BACKEND_NET_CONTROL_QUEUE_H
#define PVKIT_BACKEND_NET_CONTROL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/queue.h"

struct net_device;
struct stats_queue;

/* Addresses that a receive filter keeps; a guest with more is given every frame of the kind. */
#define CONTROL_ADDRESSES_MAX 64

struct net_control {
	struct net_device *net;
	struct stats_queue *stats;
	struct backend_queue *queue; /* NULL: stopped */
	int timer; /* timerfd, while not stopped: to look at the ring again of our own accord */
	unsigned int idle_kicks; /* in a row, that brought no command */
	bool resting; /* from them: until ->timer, the kick is not watched */

	/* The receive filter, as the guest set it. */
	bool promiscuous, all_multicast, all_unicast;
	bool no_multicast, no_unicast, no_broadcast;
	bool unicast_overflow, multicast_overflow;
	unsigned int unicast_count, multicast_count;
	uint8_t unicast[CONTROL_ADDRESSES_MAX][6];
	uint8_t multicast[CONTROL_ADDRESSES_MAX][6];
};

/* As after a reset: every frame is let through, as for a driver that knows no filter. */
void net_control_reset(struct net_control *control);

int net_control_start(struct net_control *control, struct backend_queue *queue);
void net_control_stop(struct net_control *control);

/* One command of @size bytes in private memory. VIRTIO_NET_OK or VIRTIO_NET_ERR. */
uint8_t net_control_command(struct net_control *control, const uint8_t *command, size_t size);

/* Serves what is on the ring. */
void net_control_serve(struct net_control *control);

#endif
