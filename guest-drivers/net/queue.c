// SPDX-License-Identifier: GPL-2.0
/*
 * A queue as a whole: its events, and the poll function that serves both rings.
 *
 * A notification of either ring schedules the queue's NAPI context. That takes answers off the tx
 * ring, frames off the rx ring, lends pages, and only when it found less than it might have does it
 * ask for further notifications. Asking and a last look come before napi_complete_done(), while the
 * rings are still its own: a notification in between marks the context as missed, so that it runs
 * again.
 *
 * With coalescing it does not ask but comes back after a while, and asks when it then finds
 * nothing. So the first frame after a pause interrupts at once, and a stream once in that time.
 */
#include "guest-drivers/net/net.h"

static irqreturn_t notified(int irq, void *context)
{
	struct pvnet_queue *queue = context;

	atomic_long_inc(&queue->interrupts);
	/* Does nothing while the interface is down. */
	napi_schedule(&queue->napi);
	return IRQ_HANDLED;
}

static enum hrtimer_restart coalesce_expired(struct hrtimer *timer)
{
	struct pvnet_queue *queue = container_of(timer, struct pvnet_queue, coalesce);

	napi_schedule(&queue->napi);
	return HRTIMER_NORESTART;
}

/* Whether anything was answered. */
static bool reap(struct pvnet_queue *queue, int budget)
{
	struct netdev_queue *txq = netdev_get_tx_queue(queue->net->dev, queue->index);
	const struct xen_front *ring = &queue->tx.ring;
	u32 before;
	bool any;

	/* Only this context takes answers, so it may look without the lock. */
	if (!xen_front_has_work(ring))
		return false;
	__netif_tx_lock(txq, smp_processor_id());
	before = ring->rsp_cons;
	pvnet_tx_reap(queue, budget);
	any = ring->rsp_cons != before;
	__netif_tx_unlock(txq);
	return any;
}

/* Asks to be notified of what comes next. True: something has come already. */
static bool enable_events(struct pvnet_queue *queue)
{
	struct netdev_queue *txq = netdev_get_tx_queue(queue->net->dev, queue->index);
	bool more;

	__netif_tx_lock(txq, smp_processor_id());
	more = xen_front_events_enable(&queue->tx.ring);
	__netif_tx_unlock(txq);
	return xen_front_events_enable(&queue->rx.ring) || more;
}

/* Nothing more to do now: whether that is the end of this poll. */
static bool settle(struct pvnet_queue *queue, int done, bool busy)
{
	unsigned int wait_us = READ_ONCE(queue->net->coalesce_us);

	if (pvnet_retired(queue->net)) {
		napi_complete_done(&queue->napi, done);
		return true;
	}
	if (wait_us && busy) {
		/* While the context is ours: who stops the queue waits for that, then cancels. */
		hrtimer_start(&queue->coalesce, ns_to_ktime((u64)wait_us * NSEC_PER_USEC),
			      HRTIMER_MODE_REL_PINNED);
		napi_complete_done(&queue->napi, done);
		return true;
	}
	if (enable_events(queue))
		return false;
	napi_complete_done(&queue->napi, done);
	return true;
}

static int poll(struct napi_struct *napi, int budget)
{
	struct pvnet_queue *queue = container_of(napi, struct pvnet_queue, napi);
	struct pvnet_rx_stats *stats = &queue->rx.stats;
	bool busy = reap(queue, budget);
	int done;

	if (!budget) /* netpoll: for what was sent only */
		return 0;
	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(&stats->polls);
	u64_stats_update_end(&stats->sync);
	done = pvnet_rx_poll(queue, budget);
	if (busy || done) {
		pvkit_event_worked(&queue->rx_event);
		pvkit_event_worked(&queue->tx_event);
	}
	if (!pvnet_retired(queue->net))
		pvnet_rx_refill(queue);
	if (done < budget && settle(queue, done, busy || done))
		return done;
	return budget;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static int open_events(struct pvnet_queue *queue)
{
	struct pvnet *net = queue->net;
	int vcpu = queue->index % num_online_cpus(), error;
	bool split = net->back.split;

	snprintf(queue->rx_name, sizeof(queue->rx_name), "%s-q%u%s", dev_name(&net->device->dev),
		 queue->index, split ? "-rx" : "");
	error = pvkit_event_open(net->device, &queue->rx_event, notified, queue->rx_name, queue,
				 vcpu);
	if (error || !split)
		return error;
	snprintf(queue->tx_name, sizeof(queue->tx_name), "%s-q%u-tx", dev_name(&net->device->dev),
		 queue->index);
	return pvkit_event_open(net->device, &queue->tx_event, notified, queue->tx_name, queue,
				vcpu);
}

struct pvnet_queue *pvnet_queue_new(struct pvnet *net, unsigned int index)
{
	struct pvnet_queue *queue = kvzalloc(sizeof(*queue), GFP_KERNEL);
	int error;

	if (!queue)
		return ERR_PTR(-ENOMEM);
	queue->net = net;
	queue->index = index;
	compat_timer_init(&queue->coalesce, coalesce_expired);
	netif_napi_add(net->dev, &queue->napi, poll);
	error = pvnet_rx_new(queue) ?: pvnet_tx_new(queue) ?: open_events(queue);
	if (error) {
		pvnet_queue_free(queue);
		return ERR_PTR(error);
	}
	return queue;
}

void pvnet_queue_free(struct pvnet_queue *queue)
{
	pvkit_event_close(&queue->tx_event);
	pvkit_event_close(&queue->rx_event);
	pvnet_tx_free(queue);
	pvnet_rx_free(queue);
	netif_napi_del(&queue->napi);
	kvfree(queue);
}

void pvnet_queue_start(struct pvnet_queue *queue)
{
	/* Its context is off, so the ring is ours. */
	pvnet_rx_discard(queue);
	napi_enable(&queue->napi);
	/* It lends pages, and asks for notifications. */
	local_bh_disable();
	napi_schedule(&queue->napi);
	local_bh_enable();
}

void pvnet_queue_stop(struct pvnet_queue *queue)
{
	napi_disable(&queue->napi);
	/* What schedules it from now on finds it disabled. */
	hrtimer_cancel(&queue->coalesce);
	timer_delete_sync(&queue->rx.refill);
}
