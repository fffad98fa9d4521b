// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Both rings may have one event channel between them: then one descriptor tells of both.
 */
#include "backend/net/netif_pair.h"

static unsigned int burst(struct net_worker *worker)
{
	struct netif_pair *pair = netif_pair_of(worker);
	unsigned int done = netif_rx_burst(&pair->rx);

	return done + netif_tx_burst(&pair->tx);
}

static bool arm(struct net_worker *worker)
{
	struct netif_pair *pair = netif_pair_of(worker);

	if (netif_tx_listens(&pair->tx) && xen_back_events_enable(&pair->tx.ring))
		return false;
	if (netif_rx_starving(&pair->rx) && xen_back_events_enable(&pair->rx.ring))
		return false;
	/* The last burst may have left some, and nobody rings for those. */
	return !netif_rx_handed_on(&pair->rx);
}

static void disarm(struct net_worker *worker)
{
	struct netif_pair *pair = netif_pair_of(worker);

	if (pair->tx.queue && !pair->tx.broken)
		xen_back_events_disable(&pair->tx.ring);
	if (pair->rx.queue && !pair->rx.broken)
		xen_back_events_disable(&pair->rx.ring);
}

static const struct host_channel *channel_of(const struct netif_pair *pair, enum net_side side)
{
	return side == NET_SIDE_TX ? pair->tx.queue->ring[0].channel
				   : pair->rx.queue->ring[1].channel;
}

static void wait_for(struct net_worker *worker, struct net_wait *wait)
{
	const struct netif_pair *pair = netif_pair_of(worker);

	wait->starving = netif_rx_starving(&pair->rx);
	wait->staged = pair->rx.count;
	wait->taken = pair->rx.ring.req_cons;
	wait->receive = netif_rx_ready(&pair->rx);
	if (wait->receive && pair->rx.steering)
		wait->bell = pair->rx.steering->inbox[pair->rx.link_queue]->bell;
	wait->send = pair->tx.held && !pair->tx.pause_ns;
	wait->pause_ns = pair->tx.held ? pair->tx.pause_ns : 0;
	if (netif_tx_listens(&pair->tx))
		wait->kick[NET_SIDE_TX] = channel_of(pair, NET_SIDE_TX)->from;
	if (wait->starving)
		wait->kick[NET_SIDE_RX] = channel_of(pair, NET_SIDE_RX)->from;
	if (wait->kick[NET_SIDE_TX] == wait->kick[NET_SIDE_RX])
		wait->kick[NET_SIDE_RX] = -1;
}

static void take_kick(struct net_worker *worker, enum net_side side)
{
	host_take_event(channel_of(netif_pair_of(worker), side));
}

static void make_do(struct net_worker *worker)
{
	netif_pair_of(worker)->rx.make_do = true;
}

const struct net_pair_ops netif_pair_ops = {
	.burst = burst,
	.arm = arm,
	.disarm = disarm,
	.wait = wait_for,
	.take_kick = take_kick,
	.make_do = make_do,
};
