// SPDX-License-Identifier: GPL-2.0
/*
 * ethtool: what is counted, and what can be changed while the device runs.
 *
 *	-S	counters of each queue
 *	-G rx	pages kept posted; the rings themselves have one size
 *	-C	rx-usecs: see queue.c
 *	-L	queues; a new handshake, so the link goes down for a moment
 */
#include <linux/ethtool.h>

#include "guest-drivers/net/net.h"

#define COALESCE_MAX_US 10000

struct counter {
	char name[24];
	size_t offset; /* in a queue */
};

#define COUNTER(side, field)                                                     \
	{                                                                        \
#side "_" #field, offsetof(struct pvnet_queue, side.stats.field) \
	}

static const struct counter counters[] = {
	COUNTER(rx, packets),       COUNTER(rx, bytes),         COUNTER(rx, dropped),
	COUNTER(rx, errors),        COUNTER(rx, notifications), COUNTER(rx, suppressed),
	COUNTER(rx, copied),        COUNTER(rx, gso),           COUNTER(rx, no_page),
	COUNTER(rx, xdp_packets),   COUNTER(rx, xdp_drop),      COUNTER(rx, xdp_tx),
	COUNTER(rx, xdp_redirect),  COUNTER(rx, polls),         COUNTER(tx, packets),
	COUNTER(tx, bytes),         COUNTER(tx, dropped),       COUNTER(tx, errors),
	COUNTER(tx, notifications), COUNTER(tx, suppressed),    COUNTER(tx, stopped),
	COUNTER(tx, copied),        COUNTER(tx, gso),           COUNTER(tx, xdp_frames),
	COUNTER(tx, xdp_dropped),
};

#define COUNTERS (ARRAY_SIZE(counters) + 1) /* and interrupts */

static int get_sset_count(struct net_device *dev, int set)
{
	const struct pvnet *net = netdev_priv(dev);

	return set == ETH_SS_STATS ? (int)(net->queues * COUNTERS) : -EOPNOTSUPP;
}

static void get_strings(struct net_device *dev, u32 set, u8 *data)
{
	const struct pvnet *net = netdev_priv(dev);
	unsigned int i, j;

	for (i = 0; set == ETH_SS_STATS && i < net->queues; i++) {
		ethtool_sprintf(&data, "queue%u_interrupts", i);
		for (j = 0; j < ARRAY_SIZE(counters); j++)
			ethtool_sprintf(&data, "queue%u_%s", i, counters[j].name);
	}
}

static void get_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	const struct pvnet *net = netdev_priv(dev);
	unsigned int i, j;

	for (i = 0; i < net->queues; i++) {
		const u8 *queue = (const u8 *)net->queue[i];

		*data++ = atomic_long_read(&net->queue[i]->interrupts);
		for (j = 0; j < ARRAY_SIZE(counters); j++)
			*data++ = u64_stats_read((const u64_stats_t *)(queue + counters[j].offset));
	}
}

static void get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	const struct pvnet *net = netdev_priv(dev);

	strscpy(info->driver, "pvkit_net", sizeof(info->driver));
	strscpy(info->version, PVKIT_VERSION, sizeof(info->version));
	strscpy(info->bus_info, dev_name(&net->device->dev), sizeof(info->bus_info));
}

static int get_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *settings)
{
	const struct pvnet *net = netdev_priv(dev);

	ethtool_link_ksettings_zero_link_mode(settings, supported);
	ethtool_link_ksettings_zero_link_mode(settings, advertising);
	settings->base.speed = net->speed ?: SPEED_UNKNOWN;
	settings->base.duplex = DUPLEX_FULL;
	settings->base.port = PORT_OTHER;
	settings->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static void get_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			  struct kernel_ethtool_ringparam *kernel_ring,
			  struct netlink_ext_ack *extack)
{
	const struct pvnet *net = netdev_priv(dev);

	ring->rx_max_pending = PVNET_RING;
	ring->tx_max_pending = PVNET_RING;
	ring->rx_pending = net->rx_target;
	ring->tx_pending = PVNET_RING;
}

static int set_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			 struct kernel_ethtool_ringparam *kernel_ring,
			 struct netlink_ext_ack *extack)
{
	struct pvnet *net = netdev_priv(dev);

	if (ring->rx_mini_pending || ring->rx_jumbo_pending)
		return -EINVAL;
	if (ring->tx_pending != PVNET_RING) {
		NL_SET_ERR_MSG_MOD(extack, "the tx ring has one size");
		return -EINVAL;
	}
	if (ring->rx_pending < PVNET_RX_TARGET_MIN) {
		NL_SET_ERR_MSG_MOD(extack, "a large frame needs 32 posted pages");
		return -EINVAL;
	}
	/* What is posted above a smaller number is used up first. */
	WRITE_ONCE(net->rx_target, ring->rx_pending);
	return 0;
}

static int get_coalesce(struct net_device *dev, struct ethtool_coalesce *coalesce,
			struct kernel_ethtool_coalesce *kernel_coalesce,
			struct netlink_ext_ack *extack)
{
	const struct pvnet *net = netdev_priv(dev);

	coalesce->rx_coalesce_usecs = net->coalesce_us;
	return 0;
}

static int set_coalesce(struct net_device *dev, struct ethtool_coalesce *coalesce,
			struct kernel_ethtool_coalesce *kernel_coalesce,
			struct netlink_ext_ack *extack)
{
	struct pvnet *net = netdev_priv(dev);

	if (coalesce->rx_coalesce_usecs > COALESCE_MAX_US) {
		NL_SET_ERR_MSG_MOD(extack, "more than 10000 us");
		return -EINVAL;
	}
	WRITE_ONCE(net->coalesce_us, coalesce->rx_coalesce_usecs);
	return 0;
}

static void get_channels(struct net_device *dev, struct ethtool_channels *channels)
{
	const struct pvnet *net = netdev_priv(dev);

	channels->max_combined = min(dev->num_tx_queues, max(net->back.queues, 1U));
	channels->combined_count = net->queues ?: 1;
}

static int set_channels(struct net_device *dev, struct ethtool_channels *channels)
{
	struct pvnet *net = netdev_priv(dev);

	if (channels->rx_count || channels->tx_count || channels->other_count ||
	    !channels->combined_count)
		return -EINVAL;
	if (channels->combined_count == net->queues)
		return 0;
	net->queues_wanted = channels->combined_count;
	pvnet_reopen(net);
	return 0;
}

const struct ethtool_ops pvnet_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS,
	.get_drvinfo = get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_link_ksettings = get_link_ksettings,
	.get_ts_info = ethtool_op_get_ts_info,
	.get_sset_count = get_sset_count,
	.get_strings = get_strings,
	.get_ethtool_stats = get_stats,
	.get_ringparam = get_ringparam,
	.set_ringparam = set_ringparam,
	.get_coalesce = get_coalesce,
	.set_coalesce = set_coalesce,
	.get_channels = get_channels,
	.set_channels = set_channels,
};
