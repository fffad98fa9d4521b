// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Features, configuration space, and which queue goes to whom. Everything here runs in the control
 * thread; what concerns a running ring is done by its worker on our behalf.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "backend/control.h"
#include "backend/net/virtio_net.h"
#include "common/log.h"
#include "common/stats.h"

#define BIT(n) (1ULL << (n))

/* Independent of the link. */
#define FEATURES_ALWAYS                                                                            \
	(BIT(VIRTIO_F_VERSION_1) | VIRTQUEUE_F_INDIRECT | VIRTQUEUE_F_EVENT_IDX |                  \
	 VIRTQUEUE_F_PACKED | VIRTQUEUE_F_IN_ORDER | BIT(VIRTIO_NET_F_MRG_RXBUF) |                 \
	 BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_SPEED_DUPLEX) |       \
	 BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | \
	 BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))

/* An offload, the bit by which a guest may ask for it, and the one by which it accepts it. */
static const struct {
	enum frame_offload offload;
	unsigned int host, guest;
} offloads[] = {
	{FRAME_CSUM, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM},
	{FRAME_TSO4, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_GUEST_TSO4},
	{FRAME_TSO6, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_GUEST_TSO6},
	{FRAME_ECN, VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_GUEST_ECN},
	{FRAME_UFO, VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_GUEST_UFO},
	{FRAME_USO4, NET_F_HOST_USO, NET_F_GUEST_USO4},
	{FRAME_USO6, NET_F_HOST_USO, NET_F_GUEST_USO6},
};
#define OFFLOADS (sizeof(offloads) / sizeof(offloads[0]))

static struct net_device *net_of(struct backend_device *device)
{
	return (struct net_device *)device;
}

/* ---- features ----------------------------------------------------------------------------------- */

/* Nothing else is possible without checksums. */
static unsigned int with_checksum(unsigned int set)
{
	return set & FRAME_CSUM ? set : 0;
}

unsigned int net_offloads_asked(uint64_t features)
{
	unsigned int i, set = 0;

	for (i = 0; i < OFFLOADS; i++)
		if (features & BIT(offloads[i].host))
			set |= offloads[i].offload;
	return with_checksum(set);
}

unsigned int net_offloads_accepted(uint64_t features)
{
	unsigned int i, set = 0;

	for (i = 0; i < OFFLOADS; i++)
		if (features & BIT(offloads[i].guest))
			set |= offloads[i].offload;
	return with_checksum(set);
}

static uint64_t features_offered(const struct net_device *net)
{
	const struct link *link = net->link;
	uint64_t features = FEATURES_ALWAYS;
	unsigned int i;

	for (i = 0; i < OFFLOADS; i++) {
		if (link->takes & offloads[i].offload)
			features |= BIT(offloads[i].host);
		if (link->gives & offloads[i].offload)
			features |= BIT(offloads[i].guest);
	}
	if (link->gives)
		features |= BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (net->pairs > 1)
		features |= BIT(VIRTIO_NET_F_MQ);
	if (net->options.mtu)
		features |= BIT(VIRTIO_NET_F_MTU);
	return features;
}

static void accept_offloads(struct net_device *net, unsigned int accepted)
{
	const struct link_ops *ops = net->link->ops;
	int error = ops->set_accepted ? ops->set_accepted(net->link, accepted) : 0;

	net->accepted = accepted;
	if (error)
		log_error("%s: cannot set offloads %#x: %s; look whether the link is there still",
			  net->link->name, accepted, strerror(-error));
}

static void forget_control(struct net_device *net)
{
	net->control_seen = false;
	net->pairs_used = net->pairs;
	memcpy(net->config.mac, net->options.mac, sizeof(net->config.mac));
	net_control_reset(&net->control);
	net_set_filter(net);
}

static int set_features(struct backend_device *device, uint64_t features)
{
	struct net_device *net = net_of(device);

	net->features = features;
	accept_offloads(net, net_offloads_accepted(features));
	forget_control(net);
	return 0;
}

/* ---- pairs -------------------------------------------------------------------------------------- */

static void call_set_active(struct net_worker *worker, void *argument)
{
	virtio_pair_of(worker)->rx.active = *(bool *)argument;
}

/* Has frames come by the pairs that the guest uses, and by no others. */
static int apply_pairs(struct net_device *net)
{
	const struct link_ops *ops = net->link->ops;
	int error = 0;
	unsigned int i;

	for (i = 0; i < net->pairs; i++) {
		struct net_worker *worker = net->worker[i];
		bool active = net->rx_started[i] && i < net->pairs_used;

		/* The worker must not look at a queue of the link that is detached. */
		if (!active)
			net_worker_do(worker, call_set_active, &active);
		if (ops->set_active)
			error = ops->set_active(net->link, i, active) ?: error;
		if (active)
			net_worker_do(worker, call_set_active, &active);
	}
	if (error)
		log_error("%s: cannot change which queues are in use: %s; look whether the link is "
			  "there still",
			  net->link->name, strerror(-error));
	return error;
}

int net_set_pairs(struct net_device *net, unsigned int pairs)
{
	if (!pairs || pairs > net->pairs)
		return -EINVAL;
	net->pairs_used = pairs;
	return apply_pairs(net);
}

/* ---- what the control queue asks for ------------------------------------------------------------ */

static void call_set_offloads(struct net_worker *worker, void *argument)
{
	net_rx_set_offloads(&virtio_pair_of(worker)->rx, *(unsigned int *)argument);
}

int net_set_guest_offloads(struct net_device *net, uint64_t bits)
{
	unsigned int i, accepted = net_offloads_accepted(bits);
	uint64_t possible = 0;

	for (i = 0; i < OFFLOADS; i++)
		possible |= BIT(offloads[i].guest);
	if (bits & ~(net->features & possible))
		return -EINVAL;
	accept_offloads(net, accepted);
	for (i = 0; i < net->pairs; i++)
		net_worker_do(net->worker[i], call_set_offloads, &accepted);
	return 0;
}

/* A link's filter knows less than virtio's: where it cannot say it, more frames come through. */
void net_set_filter(struct net_device *net)
{
	const struct net_control *control = &net->control;
	uint8_t address[1 + 2 * CONTROL_ADDRESSES_MAX][6];
	struct link_filter filter = {.address = address};

	if (!net->link->ops->set_filter)
		return;
	filter.everything =
		control->promiscuous || control->all_unicast || control->unicast_overflow;
	filter.all_multicast = control->all_multicast || control->multicast_overflow;
	/* Unicast first: a tap compares the first few exactly. */
	memcpy(address[filter.count++], net->config.mac, 6);
	if (!control->no_unicast) {
		memcpy(address[filter.count], control->unicast, control->unicast_count * 6);
		filter.count += control->unicast_count;
	}
	if (!control->no_multicast) {
		memcpy(address[filter.count], control->multicast, control->multicast_count * 6);
		filter.count += control->multicast_count;
	}
	net->link->ops->set_filter(net->link, &filter);
}

/* ---- configuration space ------------------------------------------------------------------------ */

static int config_read(struct backend_device *device, uint32_t offset, void *data, uint32_t size)
{
	struct net_device *net = net_of(device);

	if (offset > sizeof(net->config) || size > sizeof(net->config) - offset)
		return -EINVAL;
	memcpy(data, (const char *)&net->config + offset, size);
	return 0;
}

/* All of it is read-only since virtio 1.0: a driver sets its address by the control queue. */
static int config_write(struct backend_device *device, uint32_t offset, const void *data,
			uint32_t size)
{
	return -EINVAL;
}

static void on_link_changed(void *context, uint32_t events)
{
	struct net_device *net = context;
	uint16_t status;

	net->link->ops->refresh(net->link);
	status = net->link->up ? VIRTIO_NET_S_LINK_UP : 0;
	if (status == net->config.status)
		return;
	net->config.status = status;
	log_info("%s: link is %s", net->link->name, net->link->up ? "up" : "down");
	if (net->device.config_changed)
		net->device.config_changed(&net->device);
}

/* ---- queues ------------------------------------------------------------------------------------- */

struct queue_call {
	struct backend_queue *queue;
	unsigned int offloads;
	uint32_t frame_bytes;
};

static void call_start_rx(struct net_worker *worker, void *argument)
{
	const struct queue_call *call = argument;

	net_rx_start(&virtio_pair_of(worker)->rx, call->queue, call->offloads, call->frame_bytes);
}

static void call_start_tx(struct net_worker *worker, void *argument)
{
	const struct queue_call *call = argument;

	net_tx_start(&virtio_pair_of(worker)->tx, call->queue, call->offloads);
}

static void call_stop_rx(struct net_worker *worker, void *argument)
{
	net_rx_stop(&virtio_pair_of(worker)->rx);
}

static void call_stop_tx(struct net_worker *worker, void *argument)
{
	net_tx_stop(&virtio_pair_of(worker)->tx);
}

static bool is_control(const struct net_device *net, unsigned int index)
{
	if (!(net->features & BIT(VIRTIO_NET_F_CTRL_VQ)))
		return false;
	return index == (net->features & BIT(VIRTIO_NET_F_MQ) ? 2 * net->pairs : 2);
}

/* By what was negotiated: what the guest accepts for the moment may change at any moment. */
static uint32_t largest_frame(const struct net_device *net)
{
	const unsigned int large = FRAME_TSO4 | FRAME_TSO6 | FRAME_UFO | FRAME_USO4 | FRAME_USO6;

	if (net_offloads_accepted(net->features) & large || !net->options.mtu)
		return FRAME_BYTES_MAX;
	/* An Ethernet header and two VLAN tags. */
	return net->options.mtu + 22;
}

static int start_control(struct net_device *net, struct backend_queue *queue)
{
	if (!net->control_seen && net->features & BIT(VIRTIO_NET_F_MQ)) {
		net->control_seen = true;
		net_set_pairs(net, 1);
	}
	return net_control_start(&net->control, queue);
}

static int queue_start(struct backend_device *device, struct backend_queue *queue)
{
	struct net_device *net = net_of(device);
	unsigned int pair = queue->index / 2;
	struct queue_call call = {.queue = queue};

	if (is_control(net, queue->index))
		return start_control(net, queue);
	if (pair >= net->pairs)
		return -EINVAL;
	if (queue->index % 2) {
		call.offloads = net_offloads_asked(net->features);
		net_worker_do(net->worker[pair], call_start_tx, &call);
		return 0;
	}
	call.offloads = net->accepted;
	call.frame_bytes = largest_frame(net);
	net_worker_do(net->worker[pair], call_start_rx, &call);
	net->rx_started[pair] = true;
	apply_pairs(net);
	return 0;
}

static void queue_stop(struct backend_device *device, struct backend_queue *queue)
{
	struct net_device *net = net_of(device);
	unsigned int pair = queue->index / 2;

	if (queue == net->control.queue) {
		net_control_stop(&net->control);
		return;
	}
	if (queue->index % 2) {
		net_worker_do(net->worker[pair], call_stop_tx, NULL);
		return;
	}
	net->rx_started[pair] = false;
	apply_pairs(net);
	net_worker_do(net->worker[pair], call_stop_rx, NULL);
}

static void reset(struct backend_device *device)
{
	struct net_device *net = net_of(device);

	net->features = 0;
	accept_offloads(net, 0);
	forget_control(net);
}

static const struct backend_device_ops net_ops = {
	.set_features = set_features,
	.config_read = config_read,
	.config_write = config_write,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

/* ---- opening ------------------------------------------------------------------------------------ */

static void fill_config(struct net_device *net)
{
	struct virtio_net_config *config = &net->config;

	memcpy(config->mac, net->options.mac, sizeof(config->mac));
	config->status = net->link->up ? VIRTIO_NET_S_LINK_UP : 0;
	config->max_virtqueue_pairs = net->pairs;
	config->mtu = net->options.mtu;
	config->speed = net->options.speed;
	config->duplex = net->options.speed == NET_SPEED_UNKNOWN ? 0xff : 1;
}

static int open_worker(struct net_device *net, unsigned int index, struct stats_page *page)
{
	struct virtio_pair *pair = calloc(1, sizeof(*pair));
	struct net_worker *worker;

	if (!pair)
		return -ENOMEM;
	worker = net->worker[index] = &pair->worker;
	net_worker_init(worker, &virtio_pair_ops, net->link, index, page);
	pair->rx.link = pair->tx.link = net->link;
	pair->rx.link_queue = pair->tx.link_queue = index;
	pair->rx.device = pair->tx.device = net->device.name;
	pair->rx.stats = worker->stats[NET_SIDE_RX];
	pair->tx.stats = worker->stats[NET_SIDE_TX];
	return net_worker_open(worker, net->options.poll_us);
}

struct net_device *net_open(struct link *link, const struct net_options *options,
			    struct stats_page *stats)
{
	struct net_device *net = calloc(1, sizeof(*net));
	unsigned int i;
	int error = 0;

	if (!net)
		return NULL;
	net->link = link;
	net->options = *options;
	net->pairs = link->queues;
	net->device.ops = &net_ops;
	net->device.name = link->name;
	net->device.queues_max = 2 * net->pairs + 1;
	net->device.queues_told = net->pairs;
	net->device.features = features_offered(net);
	net->control.net = net;
	net->control.stats = stats_queue(stats, 2 * net->pairs);
	net->control.stats->direction = STATS_BOTH;
	fill_config(net);
	forget_control(net);
	for (i = 0; i < net->pairs && !error; i++)
		error = open_worker(net, i, stats);
	if (!error)
		error = apply_pairs(net);
	if (!error && link->changed >= 0)
		error = control_watch(link->changed, EPOLLIN, on_link_changed, net);
	if (!error)
		return net;
	log_error("%s: cannot start %u queue pairs: %s; raise the limits of open files and "
		  "processes, or use fewer --queue-pairs",
		  link->name, net->pairs, strerror(-error));
	net_close(net);
	errno = -error;
	return NULL;
}

void net_close(struct net_device *net)
{
	unsigned int i;

	if (net->link->changed >= 0)
		control_unwatch(net->link->changed);
	for (i = 0; i < net->pairs && net->worker[i]; i++) {
		net_worker_close(net->worker[i]);
		free(net->worker[i]);
	}
	free(net);
}
