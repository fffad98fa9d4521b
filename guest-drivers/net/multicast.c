// SPDX-License-Identifier: GPL-2.0
/*
 * Which multicast frames the back-end lets through.
 *
 * It starts with none when the handshake asked for filtering; then each group is added, or removed,
 * by a command on the tx ring of the first queue (abi/netif.h, MULTICAST_ADD). Back-ends keep a
 * limited number of groups and answer the next one with an error: then, and when the interface
 * wants all groups, filtering is turned off by the store, and on again when it may. So a group is
 * never lost, at worst too much is received.
 *
 * The commands are sent from a work function: the network core says what it wants with a spinlock
 * held, and neither the store nor a full ring can be waited for there. The store is not waited for with
 * the rtnl lock either; a handshake that comes between turns the filter on, and is overtaken at worst by
 * a word that turns it off.
 */
#include <linux/rtnetlink.h>

#include "guest-drivers/net/net.h"

#define RETRY       (HZ / 50)
#define RETRY_STORE HZ

void pvnet_multicast_soon(struct pvnet *net)
{
	if (net->back.multicast && !test_bit(PVNET_LEAVING, &net->flags))
		mod_delayed_work(system_wq, &net->multicast, 0);
}

void pvnet_set_rx_mode(struct net_device *dev)
{
	pvnet_multicast_soon(netdev_priv(dev));
}

void pvnet_multicast_begin(struct pvnet *net)
{
	net->group_count = 0;
	net->filtering = net->back.multicast;
	clear_bit(PVNET_GROUP_REFUSED, &net->flags);
}

/* The groups that are wanted now; -1: all of them. */
static int wanted_groups(struct pvnet *net, u8 (*group)[ETH_ALEN])
{
	struct net_device *dev = net->dev;
	struct netdev_hw_addr *address;
	int count = 0;

	netif_addr_lock_bh(dev);
	if (dev->flags & (IFF_PROMISC | IFF_ALLMULTI) || netdev_mc_count(dev) > PVNET_MULTICAST_MAX)
		count = -1;
	else
		netdev_for_each_mc_addr(address, dev)
			ether_addr_copy(group[count++], address->addr);
	netif_addr_unlock_bh(dev);
	return count;
}

static bool contains(u8 (*group)[ETH_ALEN], unsigned int count, const u8 *address)
{
	while (count)
		if (ether_addr_equal_unaligned(group[--count], address))
			return true;
	return false;
}

static int tell(struct pvnet *net, bool add, const u8 *address)
{
	struct netdev_queue *txq = netdev_get_tx_queue(net->dev, 0);
	int error;

	__netif_tx_lock_bh(txq);
	error = pvnet_tx_group(net->queue[0], add, address);
	pvnet_tx_publish(net->queue[0]);
	__netif_tx_unlock_bh(txq);
	return error;
}

/* What is no longer wanted, then what is new. -EAGAIN: the ring is full. */
static int adjust(struct pvnet *net, u8 (*wanted)[ETH_ALEN], unsigned int count)
{
	unsigned int i = 0;
	int error;

	while (i < net->group_count) {
		if (contains(wanted, count, net->group[i])) {
			i++;
			continue;
		}
		error = tell(net, false, net->group[i]);
		if (error)
			return error;
		ether_addr_copy(net->group[i], net->group[--net->group_count]);
	}
	for (i = 0; i < count; i++) {
		if (contains(net->group, net->group_count, wanted[i]))
			continue;
		error = tell(net, true, wanted[i]);
		if (error)
			return error;
		ether_addr_copy(net->group[net->group_count++], wanted[i]);
	}
	return 0;
}

/* Whether the store is to be told, with tell_filter(). */
static bool switch_filter(struct pvnet *net, bool on)
{
	if (net->filtering == on && !test_bit(PVNET_FILTER_UNTOLD, &net->flags))
		return false;
	clear_bit(PVNET_FILTER_UNTOLD, &net->flags);
	net->filtering = on;
	return true;
}

/* Without the rtnl lock. */
static int tell_filter(struct pvnet *net, bool on)
{
	int error = pvkit_store_write(PVKIT_STORE_NONE, net->device->path,
				      NETIF_KEY_REQUEST_MULTICAST, "%u", on);

	/* Nobody knows what the store has. */
	if (error)
		set_bit(PVNET_FILTER_UNTOLD, &net->flags);
	return error && !pvkit_store_refused(error) ? error : 0;
}

static void again(struct pvnet *net, unsigned long delay)
{
	if (!test_bit(PVNET_LEAVING, &net->flags))
		queue_delayed_work(system_wq, &net->multicast, delay);
}

void pvnet_multicast_work(struct work_struct *work)
{
	struct pvnet *net = container_of(to_delayed_work(work), struct pvnet, multicast);
	u8(*wanted)[ETH_ALEN] = kmalloc_array(PVNET_MULTICAST_MAX, ETH_ALEN, GFP_KERNEL);
	bool tells = false, on = false;
	int count, error = 0;

	rtnl_lock();
	if (!wanted || !net->queues || !test_bit(PVNET_POLLING, &net->flags) || pvnet_retired(net))
		goto out;
	count = wanted_groups(net, wanted);
	if (test_bit(PVNET_GROUP_REFUSED, &net->flags))
		count = -1; /* until the next handshake */
	on = count >= 0;
	if (on)
		error = adjust(net, wanted, count);
	/* Off before groups are missed, on only when all are there. */
	if (error)
		again(net, RETRY);
	else
		tells = switch_filter(net, on);
out:
	rtnl_unlock();
	kfree(wanted);
	if (tells && tell_filter(net, on))
		again(net, RETRY_STORE);
}
