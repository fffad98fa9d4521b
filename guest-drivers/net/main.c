// SPDX-License-Identifier: GPL-2.0
/*
 * The net_device, and the driver on pvkit's bus.
 */
#include <linux/filter.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "guest-drivers/net/net.h"

unsigned int pvnet_queues_parameter;
module_param_named(queues, pvnet_queues_parameter, uint, 0444);
MODULE_PARM_DESC(queues, "Queues of a device at first, at most 16 (default 0: one for each CPU)");

static bool trusted_parameter = true;
module_param_named(trusted, trusted_parameter, bool, 0444);
MODULE_PARM_DESC(trusted, "The back-end may see what shares a page with a frame (default Y; "
			  "N: sent frames are copied, receive pages cleared at each use)");

static unsigned int ring_parameter = PVNET_RING;
module_param_named(rx_ring, ring_parameter, uint, 0444);
MODULE_PARM_DESC(rx_ring,
		 "Receive pages kept posted for each queue at first, 32 to 256 (default 256)");

static_assert(PVNET_RING <=
	      (XEN_RING_PAGE_BYTES - sizeof(struct xen_ring_header)) / NETIF_TX_SLOT_BYTES);
static_assert(PVNET_RING * 2 >
	      (XEN_RING_PAGE_BYTES - sizeof(struct xen_ring_header)) / NETIF_RX_SLOT_BYTES);
static_assert(PVNET_RX_TARGET_MIN > PVNET_TX_SLOTS);

/* ---- the back-end broke the protocol --------------------------------------------------------- */

void pvnet_retire(struct pvnet *net, const char *format, ...)
{
	va_list ap;

	if (test_and_set_bit(PVNET_RETIRED, &net->flags))
		return;
	va_start(ap, format);
	vscnprintf(net->reason, sizeof(net->reason), format, ap);
	va_end(ap);
	netif_carrier_off(net->dev);
	if (!test_bit(PVNET_LEAVING, &net->flags))
		schedule_work(&net->retire);
}

/* The store and the lock of the rest are not for where it was noticed. */
static void retire_work(struct work_struct *work)
{
	struct pvnet *net = container_of(work, struct pvnet, retire);

	rtnl_lock();
	pvnet_quiesce(net);
	netif_carrier_off(net->dev);
	rtnl_unlock();
	pvkit_device_fail(net->device, -EPROTO,
			  "%s: the back-end broke the protocol; off until bound again",
			  net->reason);
}

/* ---- what the back-end's features mean for the net_device ------------------------------------ */

unsigned int pvnet_mtu_max(const struct pvnet *net)
{
	if (rcu_access_pointer(net->xdp))
		return pvnet_xdp_mtu_max();
	return net->back.sg ? NETIF_TX_SIZE_MAX - ETH_HLEN : ETH_DATA_LEN;
}

static netdev_features_t fix_features(struct net_device *dev, netdev_features_t features)
{
	const struct pvnet_features *back = &((struct pvnet *)netdev_priv(dev))->back;

	if (!back->csum_v4)
		features &= ~NETIF_F_IP_CSUM;
	if (!back->csum_v6)
		features &= ~NETIF_F_IPV6_CSUM;
	if (!back->sg)
		features &= ~NETIF_F_SG;
	if (!back->gso_v4 || !back->csum_v4)
		features &= ~NETIF_F_TSO;
	if (!back->gso_v6 || !back->csum_v6)
		features &= ~NETIF_F_TSO6;
	return features;
}

int pvnet_show(struct pvnet *net)
{
	struct net_device *dev = net->dev;
	int error;

	dev->max_mtu = pvnet_mtu_max(net);
	if (test_bit(PVNET_REGISTERED, &net->flags)) {
		netdev_update_features(dev);
		return dev->mtu > dev->max_mtu ? dev_set_mtu(dev, dev->max_mtu) : 0;
	}
	dev->mtu = clamp(dev->mtu, dev->min_mtu, dev->max_mtu);
	dev->features |= fix_features(dev, dev->hw_features);
	error = register_netdevice(dev);
	if (!error)
		set_bit(PVNET_REGISTERED, &net->flags);
	return error;
}

/* ---- ndo ------------------------------------------------------------------------------------- */

static int open(struct net_device *dev)
{
	struct pvnet *net = netdev_priv(dev);

	pvnet_start(net);
	pvnet_multicast_soon(net);
	return 0;
}

static int stop(struct net_device *dev)
{
	pvnet_quiesce(netdev_priv(dev));
	return 0;
}

void pvnet_count(const struct pvnet_queue *queue, struct rtnl_link_stats64 *sum)
{
	const struct pvnet_rx_stats *rx = &queue->rx.stats;
	const struct pvnet_tx_stats *tx = &queue->tx.stats;

	sum->rx_packets += u64_stats_read(&rx->packets);
	sum->rx_bytes += u64_stats_read(&rx->bytes);
	sum->rx_dropped += u64_stats_read(&rx->dropped);
	sum->rx_errors += u64_stats_read(&rx->errors);
	sum->tx_packets += u64_stats_read(&tx->packets);
	sum->tx_bytes += u64_stats_read(&tx->bytes);
	sum->tx_dropped += u64_stats_read(&tx->dropped);
	sum->tx_errors += u64_stats_read(&tx->errors);
}

static void get_stats64(struct net_device *dev, struct rtnl_link_stats64 *sum)
{
	struct pvnet *net = netdev_priv(dev);
	unsigned int i;

	spin_lock_bh(&net->count_lock);
	*sum = net->past;
	for (i = 0; i < net->queues; i++)
		pvnet_count(net->queue[i], sum);
	spin_unlock_bh(&net->count_lock);
}

static const struct net_device_ops pvnet_ops = {
	.ndo_open = open,
	.ndo_stop = stop,
	.ndo_start_xmit = pvnet_start_xmit,
	.ndo_get_stats64 = get_stats64,
	.ndo_fix_features = fix_features,
	.ndo_set_rx_mode = pvnet_set_rx_mode,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_bpf = pvnet_bpf,
	.ndo_xdp_xmit = pvnet_xdp_xmit,
};

/* ---- the driver ------------------------------------------------------------------------------ */

static int read_address(struct pvkit_device *device, struct net_device *dev)
{
	u8 address[ETH_ALEN];
	char *text = pvkit_store_read(PVKIT_STORE_NONE, device->path, NETIF_KEY_MAC, NULL);
	bool good;

	if (IS_ERR(text))
		return PTR_ERR(text);
	good = mac_pton(text, address) && is_valid_ether_addr(address);
	kfree(text);
	if (!good)
		return -EINVAL;
	eth_hw_addr_set(dev, address);
	return 0;
}

static void describe(struct net_device *dev)
{
	dev->netdev_ops = &pvnet_ops;
	dev->ethtool_ops = &pvnet_ethtool_ops;
	dev->hw_features =
		NETIF_F_SG | NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM | NETIF_F_TSO | NETIF_F_TSO6;
	dev->features = NETIF_F_RXCSUM | NETIF_F_HIGHDMA;
	dev->min_mtu = ETH_MIN_MTU;
	netif_set_tso_max_size(dev, NETIF_TX_SIZE_MAX);
	compat_xdp_features(dev);
	netif_carrier_off(dev);
}

static void init(struct pvnet *net, struct pvkit_device *device, struct net_device *dev)
{
	int error = 0;

	net->dev = dev;
	net->device = device;
	spin_lock_init(&net->count_lock);
	net->queues_wanted =
		clamp(pvnet_queues_parameter ?: num_online_cpus(), 1U, dev->num_tx_queues);
	net->rx_target = clamp(ring_parameter, PVNET_RX_TARGET_MIN, PVNET_RING);
	/* Who does not know does not trust. */
	net->bounce =
		!pvkit_store_read_offer(device->path, STORE_KEY_TRUSTED, 1, 1, &error) || error ||
		!trusted_parameter;
	INIT_WORK(&net->retire, retire_work);
	INIT_DELAYED_WORK(&net->multicast, pvnet_multicast_work);
	dev->mtu = pvkit_store_read_number_or(device->path, NETIF_KEY_MTU, NETIF_TX_SIZE_MAX,
					      PVNET_MTU_DEFAULT);
}

static int probe(struct pvkit_device *device)
{
	/* Who asks for more than one a CPU gets it. */
	unsigned int queues =
		clamp(max(num_possible_cpus(), pvnet_queues_parameter), 1U, PVNET_QUEUES_MAX);
	struct net_device *dev;
	struct pvnet *net;
	int error;

	dev = alloc_etherdev_mqs(sizeof(*net), queues, queues);
	if (!dev)
		return -ENOMEM;
	net = netdev_priv(dev);
	SET_NETDEV_DEV(dev, &device->dev);
	describe(dev);
	init(net, device, dev);
	dev_set_drvdata(&device->dev, net);
	error = read_address(device, dev);
	if (error) {
		pvkit_device_fail(device, error, "no Ethernet address in \"" NETIF_KEY_MAC "\"");
		goto free;
	}
	net->queue = kcalloc(queues, sizeof(*net->queue), GFP_KERNEL);
	error = net->queue ? 0 : -ENOMEM;
	if (!error)
		error = pvkit_watch_open(device, &net->carrier, device->backend, NETIF_KEY_CARRIER,
					 pvnet_carrier_changed);
	if (error)
		goto free;
	/* The rest comes with the back-end's states. */
	error = pvkit_device_switch(device, STORE_STATE_INITIALISING);
	if (!error)
		return 0;
	pvkit_watch_close(&net->carrier);
free:
	kfree(net->queue);
	free_netdev(dev);
	dev_set_drvdata(&device->dev, NULL);
	return error;
}

static void drop_program(struct pvnet *net)
{
	struct bpf_prog *program = rtnl_dereference(net->xdp);

	RCU_INIT_POINTER(net->xdp, NULL);
	if (program)
		bpf_prog_put(program);
}

static void remove(struct pvkit_device *device)
{
	struct pvnet *net = dev_get_drvdata(&device->dev);

	set_bit(PVNET_LEAVING, &net->flags);
	pvkit_watch_close(&net->carrier);
	/*
	 * While the interface is registered: a carrier that goes later is an event that nobody waits
	 * for, and the interface and this module would be gone when it is handled.
	 */
	netif_carrier_off(net->dev);
	if (test_bit(PVNET_REGISTERED, &net->flags))
		unregister_netdev(net->dev); /* takes the program away too */
	cancel_work_sync(&net->retire);
	cancel_delayed_work_sync(&net->multicast);
	/* No traffic any more: the back-end can let go of everything. */
	pvnet_part(net);
	rtnl_lock();
	pvnet_disconnect(net);
	drop_program(net);
	rtnl_unlock();
	pvkit_device_switch(device, STORE_STATE_CLOSED);
	kfree(net->queue);
	free_netdev(net->dev);
	dev_set_drvdata(&device->dev, NULL);
}

static int suspend(struct pvkit_device *device)
{
	struct pvnet *net = dev_get_drvdata(&device->dev);

	rtnl_lock();
	pvnet_quiesce(net);
	netif_device_detach(net->dev);
	rtnl_unlock();
	/* Its Closing must not come after what we say on waking. */
	cancel_work_sync(&net->retire);
	pvnet_part(net);
	rtnl_lock();
	pvnet_disconnect(net);
	rtnl_unlock();
	return 0;
}

/* The back-end may be another one, at another place, and knows nothing of us. */
static int resume(struct pvkit_device *device)
{
	struct pvnet *net = dev_get_drvdata(&device->dev);
	int error;

	pvkit_watch_close(&net->carrier);
	rtnl_lock();
	/* Who was refused an interface gets none now. */
	if (test_bit(PVNET_REGISTERED, &net->flags))
		clear_bit(PVNET_RETIRED, &net->flags);
	clear_bit(PVNET_REOPEN, &net->flags);
	netif_device_attach(net->dev);
	rtnl_unlock();
	error = pvkit_device_switch(device, STORE_STATE_INITIALISING);
	return error
		       ?: pvkit_watch_open(device, &net->carrier, device->backend,
					   NETIF_KEY_CARRIER, pvnet_carrier_changed);
}

struct pvkit_driver pvnet_driver = {
	.class = STORE_CLASS_NET,
	.driver.name = "pvkit_net",
	.probe = probe,
	.remove = remove,
	.backend_changed = pvnet_backend_changed,
	.suspend = suspend,
	.resume = resume,
};

static int __init pvnet_init(void)
{
	return pvkit_driver_register(&pvnet_driver);
}
module_init(pvnet_init);

static void __exit pvnet_exit(void)
{
	pvkit_driver_unregister(&pvnet_driver);
}
module_exit(pvnet_exit);

MODULE_DESCRIPTION("pvkit: paravirtual network front-end (netif)");
MODULE_AUTHOR("pvkit developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(PVKIT_VERSION);
MODULE_ALIAS("pvkit:" STORE_CLASS_NET);
