/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Commands are rare and small, so they are served in the events thread, under the device's lock, one
 * after the other. Filters (promiscuous mode, MAC table) are accepted and not applied: the device then
 * hands up more frames than were asked for, which the specification allows.
 *
 * Its place among the queues depends on VIRTIO_NET_F_MQ, so a back-end may have had its eventfds for a
 * queue of data of an earlier driver.
 */
#include "hypervisor-shim/hvm/net_control.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "common/log.h"
#include "hypervisor-shim/hvm/virtio_device.h"
#include "hypervisor-shim/notify.h"
#include "hypervisor-shim/vm.h"
#include "ring/virtqueue.h"

#define PIECES_MAX  64
#define COMMAND_MAX 64 /* of a command, what any handler looks at */

static struct log_limit broken_rings;

struct net_control {
	struct virtio_device *device;
	struct event_watch watch; /* its kick */
	unsigned int index;
	unsigned int active_pairs;
	struct virtqueue_device ring;
	struct ring_iovec pieces[PIECES_MAX];
};

/* A command, copied: the guest may write to its own memory while we look. */
struct command {
	struct virtio_net_ctrl_hdr header;
	uint8_t data[COMMAND_MAX - sizeof(struct virtio_net_ctrl_hdr)];
} __attribute__((packed));

uint64_t net_control_features(void)
{
	return 1ULL << VIRTIO_NET_F_CTRL_VQ | 1ULL << VIRTIO_NET_F_CTRL_RX |
	       1ULL << VIRTIO_NET_F_CTRL_RX_EXTRA | 1ULL << VIRTIO_NET_F_CTRL_MAC_ADDR;
}

unsigned int net_control_index(const struct virtio_device *device)
{
	return virtio_device_has(device, VIRTIO_NET_F_MQ) ? device->pairs * 2 : 2;
}

bool net_control_is_active(const struct virtio_device *device, unsigned int index)
{
	return index / 2 < device->control->active_pairs;
}

/* ---- commands --------------------------------------------------------------------------------- */

static uint8_t set_pairs(struct net_control *control, const struct command *command, size_t size)
{
	struct virtio_device *device = control->device;
	uint16_t pairs;
	unsigned int i;
	int result;

	if (!virtio_device_has(device, VIRTIO_NET_F_MQ) || size != sizeof(pairs))
		return VIRTIO_NET_ERR;
	memcpy(&pairs, command->data, sizeof(pairs));
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > device->pairs)
		return VIRTIO_NET_ERR;
	for (i = 0; i < control->index; i++) {
		bool on = i / 2 < pairs;

		if (!device->queue[i].started || on == net_control_is_active(device, i))
			continue;
		result = vhost_user_front_enable_ring(&device->front, i, on);
		if (result < 0) {
			virtio_device_backend_failed(device, "enabling a queue pair", result);
			return VIRTIO_NET_ERR;
		}
	}
	control->active_pairs = pairs;
	return VIRTIO_NET_OK;
}

static uint8_t set_mac(struct net_control *control, const struct command *command, size_t size)
{
	struct virtio_device *device = control->device;

	if (command->header.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
		if (size != sizeof(device->mac))
			return VIRTIO_NET_ERR;
		memcpy(device->config + offsetof(struct virtio_net_config, mac), command->data,
		       size);
		return VIRTIO_NET_OK;
	}
	if (command->header.cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET)
		return size >= 2 * sizeof(uint32_t) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	return VIRTIO_NET_ERR;
}

static uint8_t set_receive_mode(const struct command *command, size_t size)
{
	if (command->header.cmd > VIRTIO_NET_CTRL_RX_NOBCAST || size != 1)
		return VIRTIO_NET_ERR;
	return VIRTIO_NET_OK;
}

/* @size: of the data behind the header, as the driver gave it; the copy may hold less. */
static uint8_t execute(struct net_control *control, const struct command *command, size_t size)
{
	switch (command->header.class) {
	case VIRTIO_NET_CTRL_RX:
		return set_receive_mode(command, size);
	case VIRTIO_NET_CTRL_MAC:
		return set_mac(control, command, size);
	case VIRTIO_NET_CTRL_MQ:
		if (command->header.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
			return set_pairs(control, command, size);
		return VIRTIO_NET_ERR;
	default:
		return VIRTIO_NET_ERR;
	}
}

/* ---- the ring --------------------------------------------------------------------------------- */

static void copy_in(struct command *command, const struct virtqueue_chain *chain)
{
	size_t room = sizeof(*command), done = 0;
	uint16_t i;

	memset(command, 0, sizeof(*command));
	for (i = 0; i < chain->readable && done < room; i++) {
		size_t length = chain->iov[i].length;

		if (length > room - done)
			length = room - done;
		memcpy((uint8_t *)command + done, chain->iov[i].base, length);
		done += length;
	}
}

static uint32_t serve(struct net_control *control, const struct virtqueue_chain *chain)
{
	uint8_t *ack = chain->unusable ? chain->tail.base : chain->iov[chain->readable].base;
	uint8_t answer = VIRTIO_NET_ERR;
	struct command command;

	if (!chain->writable_bytes || !ack)
		return 0; /* no place for an answer */
	if (!chain->unusable && chain->readable_bytes >= sizeof(command.header)) {
		copy_in(&command, chain);
		answer = execute(control, &command, chain->readable_bytes - sizeof(command.header));
	}
	*ack = answer;
	return 1;
}

static void serve_all(struct net_control *control)
{
	struct virtqueue_chain chain = {.iov = control->pieces, .iov_max = PIECES_MAX};
	struct virtio_device *device = control->device;
	enum virtqueue_result result;
	unsigned int budget = 2 * VIRTQUEUE_SIZE_MAX;

	do {
		while (budget &&
		       (result = virtqueue_pop(&control->ring, &chain)) == VIRTQUEUE_FOUND) {
			uint32_t written = serve(control, &chain);

			virtqueue_push(&control->ring, chain.id, chain.slots, written);
			virtqueue_publish(&control->ring);
			budget--;
		}
	} while (budget && result == VIRTQUEUE_EMPTY && virtqueue_kicks_enable(&control->ring));
	if (control->ring.broken) {
		log_peer(&broken_rings,
			 "%s: the guest broke its control queue: %s; it has to reset the device",
			 device->name, virtqueue_fault_text(control->ring.broken));
		events_unwatch(&control->watch);
		virtio_device_needs_reset(device);
		return;
	}
	if (!budget) /* let others have their turn: come back by our own kick */
		notify(control->watch.fd);
	if (virtqueue_should_interrupt(&control->ring))
		notify(virtio_irq_call(&device->irq, control->index));
}

static void kicked(struct event_watch *watch, uint32_t events)
{
	struct net_control *control = (void *)((char *)watch - offsetof(struct net_control, watch));
	struct virtio_device *device = control->device;

	pthread_mutex_lock(&device->lock);
	if (watch->watched && msix_drain(watch->fd))
		serve_all(control);
	pthread_mutex_unlock(&device->lock);
}

int net_control_start(struct virtio_device *device, unsigned int index)
{
	struct net_control *control = device->control;
	struct virtqueue_position first = {0, 0};
	struct virtqueue_areas areas;
	int result;

	if (virtio_device_has(device, VIRTIO_F_RING_PACKED))
		first.avail = first.used = 0x8000;
	if (!virtio_queue_areas(device, index, &areas))
		return -EFAULT;
	if (virtqueue_device_init(&control->ring, &areas, device->features_wanted, vm_memory(),
				  first) < 0)
		return -EINVAL;
	control->index = index;
	control->watch.fd = device->queue[index].kick;
	result = events_watch(&control->watch);
	if (result == 0) /* have a look: the driver may have been early */
		notify(control->watch.fd);
	return result;
}

void net_control_stop(struct virtio_device *device)
{
	events_unwatch(&device->control->watch);
}

void net_control_reset(struct virtio_device *device)
{
	device->control->active_pairs = 1;
}

int net_control_open(struct virtio_device *device)
{
	struct net_control *control = calloc(1, sizeof(*control));

	if (!control)
		return -ENOMEM;
	control->device = device;
	control->watch.events = EPOLLIN;
	control->watch.ready = kicked;
	control->active_pairs = 1;
	device->control = control;
	return 0;
}

void net_control_close(struct virtio_device *device)
{
	free(device->control);
	device->control = NULL;
}
