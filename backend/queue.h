/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A virtqueue between the transport that set it up and the device that serves it.
 *
 * The transport's control thread owns this structure while the queue is stopped. queue_start() of the
 * device (backend/device.h) hands it to the device, which serves it from a thread of its own;
 * queue_stop() takes it back, after the last request in flight is over. So nothing in it is locked.
 */
#ifndef PVKIT_BACKEND_QUEUE_H
#define PVKIT_BACKEND_QUEUE_H

#include "ring/virtqueue.h"

struct stats_queue;

struct backend_queue {
	unsigned int index;
	struct virtqueue_device ring;
	uint64_t features; /* that the front-end accepted */
	int kick;	   /* eventfd; -1: the front-end never kicks, poll */
	int call;	   /* eventfd; -1: the front-end polls, or sleeps on nothing */
	int error;	   /* eventfd, signalled once when the queue breaks; -1: none */
	void *private;	   /* the device's */
};

/* Interrupts the driver: one write to ->call, if there is one. */
void backend_queue_interrupt(struct backend_queue *queue);

/*
 * Clears ->kick, which is non-blocking: true if it had been signalled. Many kicks read as one.
 */
bool backend_queue_take_kick(struct backend_queue *queue);

/*
 * The peer broke the ring: signals ->error, and says which device, queue, index and fault in one
 * rate-limited line. The device's thread calls it, then leaves the queue alone until queue_stop().
 */
void backend_queue_broken(struct backend_queue *queue, const char *device);

#endif
