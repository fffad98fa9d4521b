// SPDX-License-Identifier: MIT OR GPL-2.0
#include "backend/net/virtio_pair.h"

static unsigned int burst(struct net_worker *worker)
{
	struct virtio_pair *pair = virtio_pair_of(worker);
	unsigned int done = net_rx_burst(&pair->rx);

	return done + net_tx_burst(&pair->tx);
}

static bool arm(struct net_worker *worker)
{
	struct virtio_pair *pair = virtio_pair_of(worker);

	if (net_tx_listens(&pair->tx) && virtqueue_kicks_enable(&pair->tx.queue->ring))
		return false;
	if (net_rx_starving(&pair->rx) && virtqueue_kicks_enable(&pair->rx.queue->ring))
		return false;
	return true;
}

static void disarm(struct net_worker *worker)
{
	struct virtio_pair *pair = virtio_pair_of(worker);

	if (pair->tx.queue && !pair->tx.broken)
		virtqueue_kicks_disable(&pair->tx.queue->ring);
	if (pair->rx.queue && !pair->rx.broken)
		virtqueue_kicks_disable(&pair->rx.queue->ring);
}

static void watch_kick(struct net_wait *wait, enum net_side side, const struct backend_queue *queue)
{
	wait->kick[side] = queue->kick;
	wait->blind |= queue->kick < 0;
}

static void wait_for(struct net_worker *worker, struct net_wait *wait)
{
	const struct virtio_pair *pair = virtio_pair_of(worker);

	wait->starving = net_rx_starving(&pair->rx);
	wait->staged = pair->rx.chain_count;
	wait->taken = pair->rx.queue ? pair->rx.queue->ring.next_avail : 0;
	wait->receive = net_rx_ready(&pair->rx);
	wait->send = pair->tx.held;
	if (net_tx_listens(&pair->tx))
		watch_kick(wait, NET_SIDE_TX, pair->tx.queue);
	if (wait->starving)
		watch_kick(wait, NET_SIDE_RX, pair->rx.queue);
}

static void take_kick(struct net_worker *worker, enum net_side side)
{
	struct virtio_pair *pair = virtio_pair_of(worker);

	backend_queue_take_kick(side == NET_SIDE_TX ? pair->tx.queue : pair->rx.queue);
}

static void make_do(struct net_worker *worker)
{
	virtio_pair_of(worker)->rx.make_do = true;
}

const struct net_pair_ops virtio_pair_ops = {
	.burst = burst,
	.arm = arm,
	.disarm = disarm,
	.wait = wait_for,
	.take_kick = take_kick,
	.make_do = make_do,
};
