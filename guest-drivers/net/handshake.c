// SPDX-License-Identifier: GPL-2.0
/*
 * The handshake: abi/netif.h has the two columns.
 *
 *	back-end is	we
 *	InitWait	read what it can, make queues, write them down, are Connected
 *	Connected	appear, if it is the first time, and open for traffic
 *	Closing		stop traffic, are Closed; the queues' memory stays: it may still be in use
 *	Closed, gone	free the queues; are Initialising if we asked for it (pvnet_reopen()),
 *			else Closed
 *
 * A back-end that says InitWait when we are Connected is another one, which knows nothing of our queues:
 * we close, and begin anew. That holds before we were online, too: the first may have died on the way. (We
 * are never Initialised: Linux's own back-end does not hear that.) A retired device stays so until it is
 * bound to the driver again: who broke the protocol once is not asked to try again by itself. One whose
 * interface cannot be registered is retired, too.
 */
#include <linux/bpf.h>
#include <linux/rtnetlink.h>

#include "guest-drivers/net/net.h"

#define PART_MS    3000

/* ---- what the back-end can ------------------------------------------------------------------- */

static bool offered(const struct pvnet *net, const char *key, int *error)
{
	return pvkit_store_read_offer(net->device->backend, key, 1, 0, error);
}

/* The store's error, if it failed. */
static int read_features(const struct pvnet *net, struct pvnet_features *back, bool *rx_copy)
{
	int error = 0;

	*rx_copy = offered(net, NETIF_KEY_RX_COPY, &error);
	back->sg = offered(net, NETIF_KEY_SG, &error);
	back->gso_v4 = offered(net, NETIF_KEY_GSO_TCPV4, &error);
	back->gso_v6 = offered(net, NETIF_KEY_GSO_TCPV6, &error);
	back->csum_v4 = !offered(net, NETIF_KEY_NO_CSUM_V4, &error);
	back->csum_v6 = offered(net, NETIF_KEY_CSUM_V6, &error);
	back->split = offered(net, NETIF_KEY_SPLIT_EVENT_CHANNELS, &error);
	back->headroom = offered(net, NETIF_KEY_XDP_HEADROOM_OFFER, &error);
	/* Without the dynamic kind there is no way back to all groups. */
	back->multicast = offered(net, NETIF_KEY_MULTICAST, &error) &&
			  offered(net, NETIF_KEY_DYNAMIC_MULTICAST, &error);
	back->queues = pvkit_store_read_offer(net->device->backend, STORE_KEY_MAX_QUEUES, U16_MAX,
					      1, &error);
	return error;
}

static bool carrier_may_be(const struct pvnet *net)
{
	return test_bit(PVNET_ONLINE, &net->flags) && !pvnet_retired(net);
}

/* What cannot be read stays as it is, until it can. */
static void update_carrier(struct pvnet *net, bool notify)
{
	const char *backend = net->device->backend;
	int error = 0;
	u32 speed = 0;
	bool on = false;

	if (carrier_may_be(net)) {
		speed = pvkit_store_read_offer(backend, NETIF_KEY_SPEED, INT_MAX, 0, &error);
		on = pvkit_store_read_offer(backend, NETIF_KEY_CARRIER, 1, 1, &error);
	}
	if (error) {
		pvkit_device_ask_again(net->device, error);
		return;
	}
	rtnl_lock();
	/* It may have been retired, or is to be opened anew. */
	net->speed = speed;
	if (on && carrier_may_be(net) && !test_bit(PVNET_REOPEN, &net->flags)) {
		netif_carrier_on(net->dev);
		if (notify)
			call_netdevice_notifiers(NETDEV_NOTIFY_PEERS, net->dev);
	} else {
		netif_carrier_off(net->dev);
	}
	rtnl_unlock();
}

void pvnet_carrier_changed(struct pvkit_watch *watch, const char *path)
{
	update_carrier(container_of(watch, struct pvnet, carrier), false);
}

/* ---- what we say ----------------------------------------------------------------------------- */

struct front_key {
	const char *key;
	unsigned int value;
};

static int write_keys(struct pvnet *net, struct pvkit_store_transaction transaction)
{
	/* A program sees frames in one page, complete, and nothing but frames. */
	const bool plain = net->xdp_headroom;
	const struct front_key keys[] = {
		{NETIF_KEY_REQUEST_RX_COPY, 1},
		{NETIF_KEY_RX_NOTIFY, 1},
		{NETIF_KEY_SG, !plain},
		{NETIF_KEY_GSO_TCPV4, !plain},
		{NETIF_KEY_GSO_TCPV6, !plain},
		{NETIF_KEY_NO_CSUM_V4, plain},
		{NETIF_KEY_CSUM_V6, !plain},
		{NETIF_KEY_XDP_HEADROOM, net->back.headroom ? net->xdp_headroom : 0},
		{NETIF_KEY_REQUEST_MULTICAST, net->filtering},
	};
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		error = pvkit_store_write(transaction, net->device->path, keys[i].key, "%u",
					  keys[i].value);
		if (error)
			return error;
	}
	return 0;
}

static int write_channels(const struct pvnet_queue *queue,
			  struct pvkit_store_transaction transaction, const char *directory)
{
	int error;

	if (!queue->net->back.split)
		return pvkit_store_write(transaction, directory, STORE_KEY_EVENT_CHANNEL, "%u",
					 queue->rx_event.port) ?:
		       pvkit_store_clear(transaction, directory, NETIF_KEY_EVENT_CHANNEL_TX) ?:
		       pvkit_store_clear(transaction, directory, NETIF_KEY_EVENT_CHANNEL_RX);
	error = pvkit_store_write(transaction, directory, NETIF_KEY_EVENT_CHANNEL_TX, "%u",
				  queue->tx_event.port);
	return error ?:
	       pvkit_store_write(transaction, directory, NETIF_KEY_EVENT_CHANNEL_RX, "%u",
				 queue->rx_event.port) ?:
	       pvkit_store_clear(transaction, directory, STORE_KEY_EVENT_CHANNEL);
}

static int write_queue(const struct pvnet_queue *queue, struct pvkit_store_transaction transaction)
{
	const struct pvnet *net = queue->net;
	const char *directory = net->device->path;
	char *own = NULL;
	int error;

	if (net->queues > 1) {
		own = kasprintf(GFP_KERNEL, "%s/" STORE_KEY_QUEUE_PREFIX "%u", directory,
				queue->index);
		if (!own)
			return -ENOMEM;
		directory = own;
	}
	error = pvkit_store_write(transaction, directory, NETIF_KEY_TX_RING_REF, "%u",
				  queue->tx.shared.reference[0]);
	if (!error)
		error = pvkit_store_write(transaction, directory, NETIF_KEY_RX_RING_REF, "%u",
					  queue->rx.shared.reference[0]);
	if (!error)
		error = write_channels(queue, transaction, directory);
	kfree(own);
	return error;
}

/* All of it or nothing: the back-end must not see half a device. */
static int write_all(struct pvkit_store_transaction transaction, void *context)
{
	struct pvnet *net = context;
	unsigned int i;
	int error;

	if (net->queues > 1)
		error = pvkit_store_write(transaction, net->device->path, STORE_KEY_NUM_QUEUES,
					  "%u", net->queues);
	else
		error = pvkit_store_clear(transaction, net->device->path, STORE_KEY_NUM_QUEUES);
	for (i = 0; i < net->queues && !error; i++)
		error = write_queue(net->queue[i], transaction);
	return error ?: write_keys(net, transaction);
}

/* ---- queues ---------------------------------------------------------------------------------- */

void pvnet_start(struct pvnet *net)
{
	unsigned int i;

	if (!netif_running(net->dev) || !test_bit(PVNET_ONLINE, &net->flags) ||
	    test_and_set_bit(PVNET_POLLING, &net->flags))
		return;
	for (i = 0; i < net->queues; i++) {
		pvnet_queue_start(net->queue[i]);
		netif_tx_wake_queue(netdev_get_tx_queue(net->dev, i));
	}
}

void pvnet_quiesce(struct pvnet *net)
{
	unsigned int i;

	if (!test_and_clear_bit(PVNET_POLLING, &net->flags))
		return;
	for (i = 0; i < net->queues; i++)
		pvnet_queue_stop(net->queue[i]);
	/* No poll function can wake them any more; returns when no sender is inside. */
	netif_tx_disable(net->dev);
}

void pvnet_disconnect(struct pvnet *net)
{
	unsigned int queues = net->queues, i;

	clear_bit(PVNET_ONLINE, &net->flags);
	netif_carrier_off(net->dev);
	pvnet_quiesce(net);
	if (!queues)
		return;
	spin_lock_bh(&net->count_lock);
	/* Nothing is counted any more. */
	for (i = 0; i < queues; i++)
		pvnet_count(net->queue[i], &net->past);
	WRITE_ONCE(net->queues, 0);
	spin_unlock_bh(&net->count_lock);
	/* Senders and redirected frames look at the queues under RCU. */
	synchronize_net();
	for (i = 0; i < queues; i++) {
		pvnet_queue_free(net->queue[i]);
		net->queue[i] = NULL;
	}
}

static int make_queues(struct pvnet *net)
{
	unsigned int wanted = clamp(net->queues_wanted, 1U, max(net->back.queues, 1U)), i;
	struct pvnet_queue *queue;

	for (i = 0; i < wanted; i++) {
		queue = pvnet_queue_new(net, i);
		if (IS_ERR(queue)) {
			if (!i)
				return PTR_ERR(queue);
			netdev_info(net->dev, "%u of %u queues: error %ld for more\n", i, wanted,
				    PTR_ERR(queue));
			break;
		}
		net->queue[i] = queue;
	}
	spin_lock_bh(&net->count_lock);
	/* Pairs with the senders' loads, tx.c's and xdp.c's: who finds a queue finds all of it. */
	order_store_release(&net->queues, i);
	spin_unlock_bh(&net->count_lock);
	return 0;
}

/* Without the rtnl lock: the store may be slow. Nobody else makes or frees queues meanwhile. */
static void publish(struct pvnet *net)
{
	const unsigned int queues = net->queues;
	int unwritten = pvkit_store_commit(write_all, net), error;

	rtnl_lock();
	error = unwritten ?: netif_set_real_num_tx_queues(net->dev, queues)
				     ?: netif_set_real_num_rx_queues(net->dev, queues);
	if (error)
		pvnet_disconnect(net);
	/* Who wished for other parameters meanwhile has said that we close. */
	else if (!test_bit(PVNET_REOPEN, &net->flags))
		pvkit_device_switch_soon(net->device, STORE_STATE_CONNECTED);
	rtnl_unlock();
	if (!error)
		return;
	if (!unwritten)
		pvkit_device_fail(net->device, error, "cannot use %u queues", queues);
	else if (pvkit_store_refused(error))
		pvkit_device_fail(
			net->device, error,
			"cannot write %u rings and event channels to %s: remove other nodes of this guest from the store, or load pvkit_net with smaller queues=",
			queues, net->device->path);
	else
		pvkit_device_ask_again(net->device, error);
}

static void connect(struct pvnet *net)
{
	struct pvnet_features back;
	bool rx_copy;
	int error = read_features(net, &back, &rx_copy);

	if (error) {
		pvkit_device_ask_again(net->device, error);
		return;
	}
	if (!rx_copy) {
		pvkit_device_fail(net->device, -EPROTO,
				  "the back-end does not offer " NETIF_KEY_RX_COPY
				  ": it is too old for this driver");
		return;
	}
	rtnl_lock();
	net->back = back;
	net->xdp_headroom = rtnl_dereference(net->xdp) ? XDP_PACKET_HEADROOM : 0;
	pvnet_multicast_begin(net);
	error = make_queues(net);
	rtnl_unlock();
	if (error)
		pvkit_device_fail(net->device, error, "no memory or grants for a queue");
	else
		publish(net);
}

/* The back-end serves our queues. */
static int go_online(struct pvnet *net)
{
	int error;

	/* Our Closing may have crossed its Connected: then it has yet to close, and so have we. */
	if (!net->queues || pvnet_retired(net) || test_bit(PVNET_REOPEN, &net->flags) ||
	    test_and_set_bit(PVNET_ONLINE, &net->flags))
		return 0;
	error = pvnet_show(net);
	if (error) {
		clear_bit(PVNET_ONLINE, &net->flags);
		/* The kernel takes no net_device twice. */
		if (!test_bit(PVNET_REGISTERED, &net->flags))
			set_bit(PVNET_RETIRED, &net->flags);
		return error;
	}
	pvnet_start(net);
	pvnet_multicast_soon(net);
	return 0;
}

/* ---- states ---------------------------------------------------------------------------------- */

/*
 * None of these waits for the store while it has the rtnl lock, which all of the network's
 * configuration wants: what it says there, the bus writes soon.
 */

void pvnet_reopen(struct pvnet *net)
{
	if (!net->queues || pvnet_retired(net))
		return; /* the next handshake will say it */
	set_bit(PVNET_REOPEN, &net->flags);
	pvnet_quiesce(net);
	netif_carrier_off(net->dev);
	pvkit_device_switch_soon(net->device, STORE_STATE_CLOSING);
}

/* Whether we connect to it. */
static bool begin_anew(struct pvnet *net)
{
	const bool closing = net->device->state != STORE_STATE_INITIALISING;

	if (pvnet_retired(net) || (closing && test_bit(PVNET_REOPEN, &net->flags)))
		return false; /* it has yet to see that we close */
	clear_bit(PVNET_REOPEN, &net->flags); /* a suspend came between */
	if (net->device->state == STORE_STATE_CONNECTED) {
		pvnet_reopen(net);
		return false;
	}
	pvnet_disconnect(net);
	return true;
}

/* Said twice by the same one, it costs one handshake more. */
static void backend_waits(struct pvnet *net)
{
	bool connects;

	rtnl_lock();
	connects = begin_anew(net);
	rtnl_unlock();
	if (connects)
		connect(net);
}

static void backend_serves(struct pvnet *net)
{
	int error;

	rtnl_lock();
	error = go_online(net);
	rtnl_unlock();
	if (error)
		pvkit_device_fail(net->device, error, "cannot register a network interface");
	update_carrier(net, true);
}

static void backend_closes(struct pvnet *net)
{
	rtnl_lock();
	pvnet_quiesce(net);
	netif_carrier_off(net->dev);
	/* Also if we asked for it: some are Closed only after us. */
	pvkit_device_switch_soon(net->device, STORE_STATE_CLOSED);
	rtnl_unlock();
}

static void backend_closed(struct pvnet *net)
{
	enum store_state next = STORE_STATE_CLOSED;

	rtnl_lock();
	if (test_and_clear_bit(PVNET_REOPEN, &net->flags) && !pvnet_retired(net))
		next = STORE_STATE_INITIALISING;
	/* Nothing to close: it is where it begins, and so are we. */
	if (net->queues || net->device->state != STORE_STATE_INITIALISING) {
		pvnet_disconnect(net);
		pvkit_device_switch_soon(net->device, next);
	}
	rtnl_unlock();
}

void pvnet_backend_changed(struct pvkit_device *device, enum store_state state)
{
	struct pvnet *net = dev_get_drvdata(&device->dev);

	switch (state) {
	case STORE_STATE_INIT_WAIT:
		backend_waits(net);
		break;
	case STORE_STATE_CONNECTED:
		backend_serves(net);
		break;
	case STORE_STATE_CLOSING:
		backend_closes(net);
		break;
	case STORE_STATE_UNKNOWN:
	case STORE_STATE_CLOSED:
		backend_closed(net);
		break;
	default:
		break;
	}
}

void pvnet_part(struct pvnet *net)
{
	const unsigned int free = 1U << STORE_STATE_UNKNOWN | 1U << STORE_STATE_INITIALISING |
				  1U << STORE_STATE_INIT_WAIT | 1U << STORE_STATE_CLOSED;

	pvkit_device_switch(net->device, STORE_STATE_CLOSING);
	if (pvkit_device_await(net->device, free, PART_MS) == -ETIMEDOUT)
		dev_warn(&net->device->dev,
			 "the back-end does not close: what it holds is given back later\n");
}
