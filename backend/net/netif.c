// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Features, the store, and which queue goes to whom. Everything here runs in the control thread; what
 * concerns a running ring is done by its worker on our behalf.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "abi/store.h"
#include "backend/control.h"
#include "backend/net/netif.h"
#include "common/log.h"
#include "common/stats.h"

#define PATH_BYTES 512

static struct netif *netif_of(struct xen_device *device)
{
	return (struct netif *)device;
}

/* ---- what we can ----------------------------------------------------------------------------- */

static int write_flag(struct xen_device *device, const char *key, bool value)
{
	return xen_device_write(device, key, "%d", value);
}

static int write_carrier(struct netif *netif)
{
	netif->carrier = netif->link->up;
	return write_flag(&netif->device, NETIF_KEY_CARRIER, netif->carrier);
}

static int publish(struct xen_device *device)
{
	struct netif *netif = netif_of(device);
	const unsigned int takes = netif->link->takes;
	const struct {
		const char *key;
		bool value;
	} flags[] = {
		{NETIF_KEY_RX_COPY, true},
		{NETIF_KEY_SG, true},
		{NETIF_KEY_GSO_TCPV4, takes & FRAME_TSO4},
		{NETIF_KEY_GSO_TCPV6, takes & FRAME_TSO6},
		{NETIF_KEY_NO_CSUM_V4, !(takes & FRAME_CSUM)},
		{NETIF_KEY_CSUM_V6, takes & FRAME_CSUM},
		{NETIF_KEY_SPLIT_EVENT_CHANNELS, true},
		{NETIF_KEY_MULTICAST, true},
		{NETIF_KEY_DYNAMIC_MULTICAST, true},
		{NETIF_KEY_XDP_HEADROOM_OFFER, true},
		{NETIF_KEY_CTRL_RING, true},
	};
	unsigned int i;
	int error = 0;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]) && !error; i++)
		error = write_flag(device, flags[i].key, flags[i].value);
	if (!error && netif->options.speed)
		error = xen_device_write(device, NETIF_KEY_SPEED, "%u", netif->options.speed);
	return error ? error : write_carrier(netif);
}

static int describe(struct xen_device *device)
{
	return write_carrier(netif_of(device));
}

static void on_link_changed(void *context, uint32_t events)
{
	struct netif *netif = context;

	netif->link->ops->refresh(netif->link);
	if (netif->link->up == netif->carrier)
		return;
	log_info("%s: link is %s", netif->link->name, netif->link->up ? "up" : "down");
	netif->carrier = netif->link->up;
	if (netif->device.xen) /* else publish() says it */
		write_carrier(netif);
}

/* ---- what the front-end can ------------------------------------------------------------------ */

static int read_flag(struct xen_device *device, const char *key, bool *flag)
{
	uint64_t value;
	int error = xen_device_front_number(device, key, 0, 1, &value);

	*flag = value;
	return error;
}

static int read_flags(struct xen_device *device, struct netif_rx_terms *terms)
{
	bool copy = false, gso_v4 = false, gso_v6 = false, no_csum_v4 = false;
	uint64_t headroom = 0;
	int error;

	error = read_flag(device, NETIF_KEY_REQUEST_RX_COPY, &copy);
	error = error ?: read_flag(device, NETIF_KEY_SG, &terms->sg);
	error = error ?: read_flag(device, NETIF_KEY_GSO_TCPV4, &gso_v4);
	error = error ?: read_flag(device, NETIF_KEY_GSO_TCPV6, &gso_v6);
	error = error ?: read_flag(device, NETIF_KEY_NO_CSUM_V4, &no_csum_v4);
	error = error ?: read_flag(device, NETIF_KEY_CSUM_V6, &terms->csum_v6);
	error = error
			?: xen_device_front_number(device, NETIF_KEY_XDP_HEADROOM, 0,
						   NETIF_HEADROOM_MAX, &headroom);
	if (error)
		return error;
	if (!copy) {
		xen_device_refuse(device,
				  "it does not say " NETIF_KEY_REQUEST_RX_COPY
				  " = 1: it wants pages flipped, which nobody does any more");
		return -EOPNOTSUPP;
	}
	terms->headroom = headroom;
	terms->csum_v4 = !no_csum_v4;
	/* Blank checksums of a family that the guest does not take are completed for it. */
	terms->offloads = terms->csum_v4 || terms->csum_v6 ? FRAME_CSUM : 0;
	if (terms->sg && gso_v4 && terms->csum_v4)
		terms->offloads |= FRAME_TSO4 | FRAME_ECN;
	if (terms->sg && gso_v6 && terms->csum_v6)
		terms->offloads |= FRAME_TSO6 | FRAME_ECN;
	terms->gso = terms->offloads & (FRAME_TSO4 | FRAME_TSO6);
	return 0;
}

static void accept_offloads(struct netif *netif, unsigned int offloads)
{
	const struct link_ops *ops = netif->link->ops;
	int error = ops->set_accepted ? ops->set_accepted(netif->link, offloads) : 0;

	if (error)
		log_error("%s: cannot set offloads %#x: %s; look whether the link is there still",
			  netif->link->name, offloads, strerror(-error));
}

static void on_filter_changed(void *context)
{
	struct netif *netif = context;
	char value[4];
	int length = xen_device_front_read(&netif->device, NETIF_KEY_REQUEST_MULTICAST, value,
					   sizeof(value));

	atomic_store(&netif->groups.filtering, length == 1 && value[0] == '1');
}

static void unwatch(struct netif *netif, int *watch)
{
	if (*watch >= 0)
		store_client_unwatch(host_store(netif->device.host), *watch);
	*watch = -1;
}

/* Its answer comes at once, too: before that no group is kept away. */
static void watch_filter(struct netif *netif)
{
	char front[PATH_BYTES - 64], path[PATH_BYTES];

	unwatch(netif, &netif->watch);
	if (xen_device_read(&netif->device, STORE_KEY_FRONTEND, front, sizeof(front)) <= 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", front, NETIF_KEY_REQUEST_MULTICAST);
	netif->watch =
		store_client_watch(host_store(netif->device.host), path, on_filter_changed, netif);
}

/* Written by whoever made the device, at any time; what is no limit limits nothing, as in Linux. */
static void on_rate_changed(void *context)
{
	struct netif *netif = context;
	uint64_t bytes = 0, us = 0;
	char text[48];
	int got = xen_device_read(&netif->device, NETIF_KEY_RATE, text, sizeof(text));

	if (got == -EPIPE)
		return; /* the store is lost, and that is told elsewhere */
	if (got != -ENOENT && (got < 0 || !netif_rate_parse(text, &bytes, &us))) {
		log_warn("%s: its " NETIF_KEY_RATE " is '%s', not BYTES,MICROSECONDS such as "
			 "125000,10000; the guest may send without limit",
			 netif->link->name, got < 0 ? strerror(-got) : text);
		bytes = us = 0;
	}
	netif_rate_set(&netif->rate, bytes, us);
}

/* The watch's answer comes later, and queues start before. */
static void watch_rate(struct netif *netif)
{
	unwatch(netif, &netif->rate_watch);
	on_rate_changed(netif);
	netif->rate_watch =
		xen_device_watch(&netif->device, NETIF_KEY_RATE, on_rate_changed, netif);
}

static void close_steering(struct netif *netif)
{
	for (unsigned int i = 0; i < LINK_QUEUES_MAX; i++) {
		netif_inbox_free(netif->steering.inbox[i]);
		netif->steering.inbox[i] = NULL;
	}
	netif->steering.queues = 0;
}

static int negotiate(struct xen_device *device)
{
	struct netif *netif = netif_of(device);
	struct netif_rx_terms terms = {0};
	int error = read_flags(device, &terms);

	if (error)
		return error;
	netif->terms = terms;
	accept_offloads(netif, terms.offloads & netif->link->gives);
	netif_groups_reset(&netif->groups);
	memset(&netif->ctrl.hash, 0, sizeof(netif->ctrl.hash));
	/* Of a front-end whose queues could not all be started; it was never connected. */
	close_steering(netif);
	watch_filter(netif);
	watch_rate(netif);
	return 0;
}

static void disconnected(struct xen_device *device)
{
	struct netif *netif = netif_of(device);

	unwatch(netif, &netif->watch);
	unwatch(netif, &netif->rate_watch);
	netif_groups_reset(&netif->groups);
	close_steering(netif);
}

/* ---- the control ring ------------------------------------------------------------------------ */

/* Frames can be handed on between all queues, as long as this front-end is connected. */
static int open_steering(struct netif *netif)
{
	struct netif_steering *steering = &netif->steering;
	unsigned int i;

	if (steering->queues == netif->device.queues)
		return 0; /* it was paused */
	close_steering(netif);
	for (i = 0; i < netif->device.queues; i++) {
		steering->inbox[i] = netif_inbox_new();
		if (!steering->inbox[i]) {
			close_steering(netif);
			return -ENOMEM;
		}
	}
	steering->queues = netif->device.queues;
	return 0;
}

static int start_control(struct netif *netif, struct xen_queue *queue)
{
	int error = open_steering(netif);

	return error ? error : netif_ctrl_start(&netif->ctrl, &netif->device, queue);
}

static const struct netif_steering *steering_of(const struct netif *netif)
{
	return netif->steering.queues > 1 ? &netif->steering : NULL;
}

static void call_set_hash(struct net_worker *worker, void *argument)
{
	const struct netif *netif = argument;

	netif_rx_set_hash(&netif_pair_of(worker)->rx, &netif->ctrl.hash, steering_of(netif));
}

static void hash_changed(struct netif_ctrl *ctrl)
{
	struct netif *netif = (struct netif *)((char *)ctrl - offsetof(struct netif, ctrl));

	for (unsigned int i = 0; i < netif->steering.queues; i++)
		net_worker_do(netif->worker[i], call_set_hash, netif);
}

/* ---- queues ---------------------------------------------------------------------------------- */

struct queue_call {
	struct netif *netif;
	struct xen_queue *queue;
	int error;
};

static void call_start(struct net_worker *worker, void *argument)
{
	struct netif_pair *pair = netif_pair_of(worker);
	struct queue_call *call = argument;
	struct netif *netif = call->netif;

	call->error = netif_tx_start(&pair->tx, &netif->device, call->queue, netif->link->takes);
	if (call->error)
		return;
	call_set_hash(worker, netif);
	call->error = netif_rx_start(&pair->rx, &netif->device, call->queue, &netif->terms);
	if (call->error)
		netif_tx_stop(&pair->tx);
}

static void call_stop(struct net_worker *worker, void *argument)
{
	netif_rx_stop(&netif_pair_of(worker)->rx);
	netif_tx_stop(&netif_pair_of(worker)->tx);
}

/* Has frames come by a queue of the link, or not any more; nobody looks at it meanwhile. */
static int set_active(struct netif *netif, unsigned int index, bool active)
{
	const struct link_ops *ops = netif->link->ops;

	return ops->set_active ? ops->set_active(netif->link, index, active) : 0;
}

static int queue_start(struct xen_device *device, struct xen_queue *queue)
{
	struct netif *netif = netif_of(device);
	struct queue_call call = {.netif = netif, .queue = queue};
	int error;

	if (queue->index == XEN_QUEUE_CONTROL)
		return start_control(netif, queue);
	error = set_active(netif, queue->index, true);
	if (error) {
		log_error("%s: cannot use its queue %u: %s; look whether the link is there still",
			  netif->link->name, queue->index, strerror(-error));
		return error;
	}
	net_worker_do(netif->worker[queue->index], call_start, &call);
	if (call.error)
		set_active(netif, queue->index, false);
	return call.error;
}

static void queue_stop(struct xen_device *device, struct xen_queue *queue)
{
	struct netif *netif = netif_of(device);

	if (queue->index == XEN_QUEUE_CONTROL) {
		netif_ctrl_stop(&netif->ctrl);
		return;
	}
	net_worker_do(netif->worker[queue->index], call_stop, NULL);
	set_active(netif, queue->index, false);
}

static const struct xen_device_ops netif_ops = {
	.publish = publish,
	.negotiate = negotiate,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.describe = describe,
	.disconnected = disconnected,
};

static const struct xen_ring_kind netif_rings[XEN_QUEUE_RINGS] = {
	{.ref_key = NETIF_KEY_TX_RING_REF,
	 .event_key = NETIF_KEY_EVENT_CHANNEL_TX,
	 .slot_bytes = NETIF_TX_SLOT_BYTES},
	{.ref_key = NETIF_KEY_RX_RING_REF,
	 .event_key = NETIF_KEY_EVENT_CHANNEL_RX,
	 .slot_bytes = NETIF_RX_SLOT_BYTES},
};

static const struct xen_ring_kind control_ring = {
	.ref_key = NETIF_KEY_CTRL_RING_REF,
	.event_key = NETIF_KEY_EVENT_CHANNEL_CTRL,
	.slot_bytes = NETIF_CTRL_SLOT_BYTES,
};

/* ---- opening --------------------------------------------------------------------------------- */

static int open_worker(struct netif *netif, unsigned int index, struct stats_page *page)
{
	struct netif_pair *pair = calloc(1, sizeof(*pair));
	struct net_worker *worker;

	if (!pair)
		return -ENOMEM;
	worker = netif->worker[index] = &pair->worker;
	net_worker_init(worker, &netif_pair_ops, netif->link, index, page);
	pair->rx.link = pair->tx.link = netif->link;
	pair->rx.link_queue = pair->tx.link_queue = index;
	pair->rx.groups = pair->tx.groups = &netif->groups;
	pair->tx.rate = &netif->rate;
	pair->rx.stats = worker->stats[NET_SIDE_RX];
	pair->tx.stats = worker->stats[NET_SIDE_TX];
	return net_worker_open(worker, netif->options.poll_us);
}

/* All frames come: the guest's address may be any, and its groups are looked at here. */
static void open_filter(struct link *link)
{
	const struct link_filter filter = {.everything = true, .all_multicast = true};

	if (link->ops->set_filter)
		link->ops->set_filter(link, &filter);
}

struct netif *netif_open(struct link *link, const struct netif_options *options,
			 struct stats_page *stats)
{
	struct netif *netif = calloc(1, sizeof(*netif));
	unsigned int i;
	int error = 0;

	if (!netif)
		return NULL;
	netif->link = link;
	netif->options = *options;
	netif->watch = netif->rate_watch = -1;
	netif->carrier = link->up;
	netif_groups_init(&netif->groups);
	netif->device.ops = &netif_ops;
	netif->device.name = link->name;
	netif->device.kinds = netif_rings;
	netif->device.kind_count = XEN_QUEUE_RINGS;
	netif->device.control = &control_ring;
	netif->ctrl.changed = hash_changed;
	netif->device.queues_max = link->queues;
	open_filter(link);
	for (i = 0; i < link->queues && !error; i++)
		error = open_worker(netif, i, stats);
	for (i = 0; i < link->queues && !error; i++)
		error = set_active(netif, i, false);
	if (!error && link->changed >= 0)
		error = control_watch(link->changed, EPOLLIN, on_link_changed, netif);
	if (!error)
		return netif;
	log_error("%s: cannot start %u queues: %s; raise the limits of open files and processes, "
		  "or use fewer --queue-pairs",
		  link->name, link->queues, strerror(-error));
	netif_close(netif);
	errno = -error;
	return NULL;
}

void netif_close(struct netif *netif)
{
	unsigned int i;

	if (netif->link->changed >= 0)
		control_unwatch(netif->link->changed);
	for (i = 0; i < netif->link->queues && netif->worker[i]; i++) {
		net_worker_close(netif->worker[i]);
		free(netif->worker[i]);
	}
	close_steering(netif);
	pthread_mutex_destroy(&netif->groups.lock);
	free(netif);
}
