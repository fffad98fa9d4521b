// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A command is copied whole into private memory, then checked against its length, then carried out;
 * its answer is one byte. A command that is malformed or not negotiated is answered with an error; a
 * chain without room for the answer breaks the queue, for its driver would wait for ever.
 *
 * The control thread never writes to a descriptor of the front-end's, which can make it block. What
 * is to be said of a batch a worker says, which is freed when that takes long (backend/thread.h).
 *
 * A driver that kicks without end and without commands is listened to at intervals only
 * (backend/poll.h): the thread has other things to do, and the CPU too.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend/control.h"
#include "backend/link/scatter.h"
#include "backend/net/publish.h"
#include "backend/net/virtio_net.h"
#include "backend/poll.h"
#include "common/log.h"

/* The longest command is the MAC table; one that does not fit is refused. */
#define COMMAND_BYTES_MAX 16384
/* Commands served at one event, so that a guest that sends without end leaves the loop its turn. */
#define COMMANDS_AT_ONCE 64

static bool negotiated(const struct net_control *control, unsigned int feature)
{
	return control->net->features >> feature & 1;
}

/* ---- commands: 0, or -EINVAL where the guest is wrong --------------------------------------------- */

static int command_rx(struct net_control *control, uint8_t command, const uint8_t *data,
		      size_t size)
{
	bool extra = command >= VIRTIO_NET_CTRL_RX_ALLUNI;
	bool *flag;

	if (size != 1 ||
	    !negotiated(control, extra ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX))
		return -EINVAL;
	switch (command) {
	case VIRTIO_NET_CTRL_RX_PROMISC:
		flag = &control->promiscuous;
		break;
	case VIRTIO_NET_CTRL_RX_ALLMULTI:
		flag = &control->all_multicast;
		break;
	case VIRTIO_NET_CTRL_RX_ALLUNI:
		flag = &control->all_unicast;
		break;
	case VIRTIO_NET_CTRL_RX_NOMULTI:
		flag = &control->no_multicast;
		break;
	case VIRTIO_NET_CTRL_RX_NOUNI:
		flag = &control->no_unicast;
		break;
	case VIRTIO_NET_CTRL_RX_NOBCAST:
		flag = &control->no_broadcast;
		break;
	default:
		return -EINVAL;
	}
	*flag = data[0];
	net_set_filter(control->net);
	return 0;
}

/* One of the two tables: a number, then addresses. Answers the bytes it took, or -EINVAL. */
static int read_table(const uint8_t *data, size_t size, uint8_t (*address)[6], unsigned int *count,
		      bool *overflow)
{
	uint32_t entries;

	if (size < sizeof(entries))
		return -EINVAL;
	memcpy(&entries, data, sizeof(entries));
	if (entries > (size - sizeof(entries)) / 6)
		return -EINVAL;
	*overflow = entries > CONTROL_ADDRESSES_MAX;
	*count = *overflow ? 0 : entries;
	memcpy(address, data + sizeof(entries), *count * 6);
	return sizeof(entries) + entries * 6;
}

static int command_mac_table(struct net_control *control, const uint8_t *data, size_t size)
{
	struct net_control fresh = *control;
	int unicast, multicast;

	unicast = read_table(data, size, fresh.unicast, &fresh.unicast_count,
			     &fresh.unicast_overflow);
	if (unicast < 0)
		return -EINVAL;
	multicast = read_table(data + unicast, size - unicast, fresh.multicast,
			       &fresh.multicast_count, &fresh.multicast_overflow);
	if (multicast < 0 || (size_t)(unicast + multicast) != size)
		return -EINVAL;
	*control = fresh;
	net_set_filter(control->net);
	return 0;
}

static int command_mac(struct net_control *control, uint8_t command, const uint8_t *data,
		       size_t size)
{
	if (command == VIRTIO_NET_CTRL_MAC_TABLE_SET && negotiated(control, VIRTIO_NET_F_CTRL_RX))
		return command_mac_table(control, data, size);
	if (command != VIRTIO_NET_CTRL_MAC_ADDR_SET || size != 6 ||
	    !negotiated(control, VIRTIO_NET_F_CTRL_MAC_ADDR))
		return -EINVAL;
	memcpy(control->net->config.mac, data, 6);
	net_set_filter(control->net);
	return 0;
}

static int command_mq(struct net_control *control, uint8_t command, const uint8_t *data,
		      size_t size)
{
	uint16_t pairs;

	if (command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || size != sizeof(pairs) ||
	    !negotiated(control, VIRTIO_NET_F_MQ))
		return -EINVAL;
	memcpy(&pairs, data, sizeof(pairs));
	return net_set_pairs(control->net, pairs);
}

static int command_offloads(struct net_control *control, uint8_t command, const uint8_t *data,
			    size_t size)
{
	uint64_t bits;

	if (command != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || size != sizeof(bits) ||
	    !negotiated(control, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		return -EINVAL;
	memcpy(&bits, data, sizeof(bits));
	return net_set_guest_offloads(control->net, bits);
}

uint8_t net_control_command(struct net_control *control, const uint8_t *command, size_t size)
{
	static struct log_limit limit;
	const uint8_t *data = command + 2;
	int error = -EINVAL;

	if (size < 2)
		return VIRTIO_NET_ERR;
	size -= 2;
	switch (command[0]) {
	case VIRTIO_NET_CTRL_RX:
		error = command_rx(control, command[1], data, size);
		break;
	case VIRTIO_NET_CTRL_MAC:
		error = command_mac(control, command[1], data, size);
		break;
	case VIRTIO_NET_CTRL_MQ:
		error = command_mq(control, command[1], data, size);
		break;
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		error = command_offloads(control, command[1], data, size);
		break;
	}
	if (!error)
		return VIRTIO_NET_OK;
	log_peer(&limit, "%s: control command %u/%u of %zu bytes refused: %s",
		 control->net->device.name, command[0], command[1], size, strerror(-error));
	return VIRTIO_NET_ERR;
}

/* ---- the ring ----------------------------------------------------------------------------------- */

struct batch {
	struct net_control *control;
	unsigned int commands;
};

static void call_finish(struct net_worker *worker, void *argument)
{
	const struct batch *batch = argument;
	struct net_control *control = batch->control;

	net_publish(control->queue, control->stats, batch->commands);
	if (!control->queue->ring.broken)
		return;
	stats_add(&control->stats->broken, 1);
	backend_queue_broken(control->queue, control->net->device.name);
}

/* Carries out the command in @chain. False: there is nowhere to put the answer. */
static bool serve_chain(struct net_control *control, const struct virtqueue_chain *chain)
{
	static uint8_t command[COMMAND_BYTES_MAX];
	uint8_t answer = VIRTIO_NET_ERR;
	size_t size;
	/* The first writable byte; in a chain too long to be listed that of the last piece. */
	uint8_t *to = chain->writable ? chain->iov[chain->readable].base : chain->tail.base;

	if (!to)
		return false;
	if (!chain->unusable && chain->readable_bytes <= sizeof(command)) {
		size = scatter_gather(command, sizeof(command), (const struct iovec *)chain->iov,
				      chain->readable);
		answer = net_control_command(control, command, size);
	}
	*to = answer;
	stats_add(&control->stats->requests[STATS_NET_CONTROL], 1);
	stats_add(&control->stats->bytes_in, chain->readable_bytes);
	if (answer != VIRTIO_NET_OK)
		stats_add(&control->stats->errors, 1);
	return true;
}

/* Answers how many commands that were: when COMMANDS_AT_ONCE, there may be more. */
static unsigned int serve_some(struct net_control *control)
{
	static struct ring_iovec pieces[VIRTQUEUE_SIZE_MAX];
	struct virtqueue_device *ring = &control->queue->ring;
	struct virtqueue_chain chain = {.iov = pieces, .iov_max = VIRTQUEUE_SIZE_MAX};
	struct batch batch = {control, 0};

	while (batch.commands < COMMANDS_AT_ONCE &&
	       virtqueue_pop(ring, &chain) == VIRTQUEUE_FOUND) {
		if (!serve_chain(control, &chain)) {
			ring->broken = VIRTQUEUE_FAULT_NO_ANSWER;
			break;
		}
		virtqueue_push(ring, chain.id, chain.slots, 1);
		batch.commands++;
	}
	if (batch.commands || ring->broken)
		net_worker_do(control->net->worker[0], call_finish, &batch);
	return batch.commands;
}

static void on_kick(void *context, uint32_t events);

/* At the next turn of the loop, or later. */
static void look_again(struct net_control *control, unsigned int us)
{
	/* 0 would be never. */
	const struct itimerspec when = {.it_value.tv_nsec = us * 1000L + 1};

	timerfd_settime(control->timer, 0, &when, NULL);
}

void net_control_serve(struct net_control *control)
{
	struct virtqueue_device *ring = &control->queue->ring;
	unsigned int done;

	if (ring->broken)
		return;
	done = serve_some(control);
	if (done)
		control->idle_kicks = 0;
	if (!ring->broken && (done == COMMANDS_AT_ONCE || virtqueue_kicks_enable(ring)))
		look_again(control, 0);
}

static void on_timer(void *context, uint32_t events)
{
	struct net_control *control = context;
	uint64_t count;

	if (read(control->timer, &count, sizeof(count)) < 0)
		return;
	if (control->resting && control_watch(control->queue->kick, EPOLLIN, on_kick, control)) {
		look_again(control, POLL_REST_MAX_US);
		return;
	}
	control->resting = false;
	net_control_serve(control);
}

static void on_kick(void *context, uint32_t events)
{
	struct net_control *control = context;
	unsigned int us;

	/* What cannot be taken, a pipe that was closed, is a kick for ever. */
	if (backend_queue_take_kick(control->queue))
		stats_add(&control->stats->kicks, 1);
	control->idle_kicks++;
	net_control_serve(control);
	us = poll_rest_us(control->idle_kicks);
	if (!us)
		return;
	control_unwatch(control->queue->kick);
	control->resting = true;
	look_again(control, us);
}

void net_control_reset(struct net_control *control)
{
	struct net_control fresh = {
		.net = control->net,
		.stats = control->stats,
		.queue = control->queue,
		.timer = control->timer,
		.resting = control->resting,
		.promiscuous = true,
	};

	*control = fresh;
}

int net_control_start(struct net_control *control, struct backend_queue *queue)
{
	int error;

	/* Nobody looks at this ring but when told to. */
	if (queue->kick < 0)
		return -EINVAL;
	control->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (control->timer < 0)
		return -errno;
	control->queue = queue;
	control->idle_kicks = 0;
	control->resting = false;
	stats_add(&control->stats->active, 1);
	error = control_watch(control->timer, EPOLLIN, on_timer, control);
	if (!error)
		error = control_watch(queue->kick, EPOLLIN, on_kick, control);
	if (error) {
		net_control_stop(control);
		return error;
	}
	net_control_serve(control);
	return 0;
}

void net_control_stop(struct net_control *control)
{
	control_unwatch(control->queue->kick);
	control_unwatch(control->timer);
	close(control->timer);
	control->queue = NULL;
	stats_add(&control->stats->active, -1);
}
