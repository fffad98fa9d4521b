/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The end of a batch on a ring: all of it becomes visible at once, with one interrupt at most.
 */
#ifndef PVKIT_BACKEND_NET_PUBLISH_H
#define PVKIT_BACKEND_NET_PUBLISH_H

#include "backend/queue.h"
#include "common/stats.h"

static inline void net_publish(struct backend_queue *queue, struct stats_queue *stats,
			       unsigned int chains)
{
	if (!chains)
		return;
	virtqueue_publish(&queue->ring);
	stats_add(&stats->batch[stats_batch_bucket(chains)], 1);
	if (virtqueue_should_interrupt(&queue->ring)) {
		backend_queue_interrupt(queue);
		stats_add(&stats->interrupts, 1);
	} else {
		stats_add(&stats->interrupts_suppressed, 1);
	}
}

#endif
