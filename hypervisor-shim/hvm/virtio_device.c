/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "hypervisor-shim/hvm/virtio_device.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "abi/vhost_user.h"
#include "common/log.h"
#include "hypervisor-shim/hvm/net_control.h"
#include "hypervisor-shim/hvm/virtio_pci.h"
#include "hypervisor-shim/notify.h"
#include "hypervisor-shim/vm.h"

#define QUEUE_SIZE_DEFAULT 256
#define REGIONS_MAX        8 /* every back-end takes so many */

/* Of bits 24 to 49, which belong to the transport and the ring, these; all others are the device's. */
#define RING_FEATURES                                                          \
	(VIRTQUEUE_F_INDIRECT | VIRTQUEUE_F_EVENT_IDX | VIRTQUEUE_F_IN_ORDER | \
	 1ULL << VIRTIO_F_VERSION_1)
#define DEVICE_FEATURES (~0ULL << 50 | ((1ULL << 24) - 1))

#define PROTOCOL_WANTED                                                                     \
	(1ULL << VHOST_USER_PROTOCOL_F_MQ | 1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK |       \
	 1ULL << VHOST_USER_PROTOCOL_F_BACKEND_REQ | 1ULL << VHOST_USER_PROTOCOL_F_CONFIG | \
	 1ULL << VHOST_USER_PROTOCOL_F_STATUS | 1ULL << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)

static struct log_limit refusals;

static bool has_status(const struct virtio_device *device)
{
	return device->front.protocol_features & 1ULL << VHOST_USER_PROTOCOL_F_STATUS;
}

/* ---- faults ----------------------------------------------------------------------------------- */

void virtio_device_needs_reset(struct virtio_device *device)
{
	if (device->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_irq_config_changed(&device->irq);
}

static void lose_backend(struct virtio_device *device, const char *what, const char *why)
{
	if (device->lost)
		return;
	device->lost = true;
	events_unwatch(&device->hangup);
	events_unwatch(&device->backchannel);
	log_error("%s: the back-end is lost: %s: %s; the device is dead until the back-end and the "
		  "guest are started again",
		  device->name, what, why);
	virtio_device_needs_reset(device);
}

void virtio_device_backend_failed(struct virtio_device *device, const char *what, int result)
{
	if (device->front.broken || device->lost) {
		lose_backend(device, what, strerror(-result));
		return;
	}
	log_peer(&refusals, "%s: %s failed at the back-end: %s; the guest has to reset the device",
		 device->name, what, strerror(-result));
	virtio_device_needs_reset(device);
}

static void hung_up(struct event_watch *watch, uint32_t events)
{
	struct virtio_device *device =
		(void *)((char *)watch - offsetof(struct virtio_device, hangup));

	pthread_mutex_lock(&device->lock);
	if (watch->watched)
		lose_backend(device, "its socket", "closed by it");
	pthread_mutex_unlock(&device->lock);
}

static void backchannel_ready(struct event_watch *watch, uint32_t events)
{
	struct virtio_device *device =
		(void *)((char *)watch - offsetof(struct virtio_device, backchannel));
	enum vhost_user_event event;

	event = vhost_user_front_take_event(&device->front); /* without the lock: see the header */
	pthread_mutex_lock(&device->lock);
	if (event == VHOST_USER_EVENT_CLOSED)
		events_unwatch(watch);
	else if (event == VHOST_USER_EVENT_CONFIG_CHANGED && watch->watched)
		virtio_config_refresh(device);
	pthread_mutex_unlock(&device->lock);
}

/* ---- status ----------------------------------------------------------------------------------- */

void virtio_device_set_features(struct virtio_device *device, unsigned int word, uint32_t features)
{
	if (word > 1 || device->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	device->features_wanted &= ~(0xffffffffULL << word * 32);
	device->features_wanted |= (uint64_t)features << word * 32;
}

/* Whether FEATURES_OK may be set. */
static bool accept_features(struct virtio_device *device)
{
	uint64_t wanted = device->features_wanted;
	uint8_t status = device->status | VIRTIO_CONFIG_S_FEATURES_OK;
	int result;

	if (wanted & ~device->features_offered || !(wanted >> VIRTIO_F_VERSION_1 & 1) ||
	    device->lost)
		return false;
	result = vhost_user_front_set_features(&device->front, wanted & device->front.features &
								       ~device->features_here);
	if (result == 0 && has_status(device)) {
		result = vhost_user_front_set_status(&device->front, status);
		if (result == 0)
			result = vhost_user_front_get_status(&device->front, &status);
	}
	if (result < 0 && device->front.broken)
		virtio_device_backend_failed(device, "setting features", result);
	return result == 0 && status & VIRTIO_CONFIG_S_FEATURES_OK;
}

static int share_memory(struct virtio_device *device)
{
	const struct guest_memory *memory = vm_memory();
	struct vhost_user_region regions[REGIONS_MAX];
	uint32_t i;

	if (memory->count > REGIONS_MAX)
		return -E2BIG;
	for (i = 0; i < memory->count; i++) {
		regions[i].guest_address = memory->region[i].address;
		regions[i].size = memory->region[i].size;
		regions[i].host = memory->region[i].host;
		regions[i].fd = vm_region_fd(i, &regions[i].fd_offset);
	}
	return vhost_user_front_set_memory(&device->front, regions, memory->count);
}

static void start(struct virtio_device *device)
{
	int result;

	if (device->lost) {
		virtio_device_needs_reset(device);
		return;
	}
	result = share_memory(device);
	if (result < 0) {
		virtio_device_backend_failed(device, "sharing the guest's memory", result);
		return;
	}
	if (virtio_queue_start_all(device) < 0 || !has_status(device))
		return;
	result = vhost_user_front_set_status(&device->front, device->status);
	if (result < 0)
		virtio_device_backend_failed(device, "setting its status", result);
}

void virtio_device_set_status(struct virtio_device *device, uint8_t status)
{
	uint8_t added = status & ~device->status & ~VIRTIO_CONFIG_S_NEEDS_RESET;

	if (!status) {
		virtio_device_reset(device);
		return;
	}
	/* Bits are only ever added: a driver must not clear one but by a reset. */
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && !accept_features(device))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((device->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	device->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		start(device);
}

void virtio_device_reset(struct virtio_device *device)
{
	bool used = device->status & VIRTIO_CONFIG_S_FEATURES_OK;
	int result;

	virtio_queue_reset_all(device);
	if (used && has_status(device) && !device->lost) {
		result = vhost_user_front_set_status(&device->front, 0);
		if (result < 0)
			virtio_device_backend_failed(device, "resetting its status", result);
	}
	device->status = 0;
	device->features_wanted = 0;
	virtio_irq_reset(&device->irq);
	if (device->control)
		net_control_reset(device);
	if (device->config_overlay)
		device->config_overlay(device);
}

void virtio_device_halt(struct virtio_device *device)
{
	if (!(device->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	virtio_queue_stop_all(device);
	device->status &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	virtio_device_needs_reset(device);
}

/* ---- doorbells -------------------------------------------------------------------------------- */

void virtio_device_move_doorbells(struct virtio_device *device, uint64_t address)
{
	unsigned int i;

	device->doorbells = address;
	for (i = 0; i < device->queues_count; i++)
		virtio_queue_place_doorbell(device, i);
}

void virtio_device_kick(struct virtio_device *device, unsigned int index)
{
	if (index < device->queues_count && device->queue[index].enabled)
		notify(device->queue[index].kick);
}

/* ---- open and close --------------------------------------------------------------------------- */

static int open_queues(struct virtio_device *device, uint16_t size)
{
	unsigned int i;

	device->queue_size_max = size ? size : QUEUE_SIZE_DEFAULT;
	for (i = 0; i < device->queues_count; i++) {
		device->queue[i].size = device->queue_size_max;
		device->queue[i].kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (device->queue[i].kick < 0)
			return -errno;
	}
	return 0;
}

static int choose_features(struct virtio_device *device, bool packed)
{
	uint64_t supported = RING_FEATURES | DEVICE_FEATURES;

	if (packed)
		supported |= VIRTQUEUE_F_PACKED;
	device->features_offered = device->front.features & supported;
	if (device->features_offered >> VIRTIO_F_VERSION_1 & 1)
		return 0;
	log_error("%s: the back-end serves no modern virtio (feature VERSION_1, it offers 0x%llx); "
		  "use another one",
		  device->name, (unsigned long long)device->front.features);
	return -EOPNOTSUPP;
}

static int negotiate(struct virtio_device *device, const struct virtio_pci_options *options)
{
	int result = choose_features(device, options->packed);

	if (result < 0)
		return result;
	result = virtio_config_open(device);
	if (result < 0) {
		log_error("%s: the back-end closed the connection when asked for its "
			  "configuration; see its own messages",
			  device->name);
		return result;
	}
	result = virtio_type_open(device, options);
	if (result < 0)
		return result;
	if (!device->queues_count)
		device->queues_count = 1;
	if (device->queues_count > VIRTIO_QUEUES_MAX)
		device->queues_count = VIRTIO_QUEUES_MAX;
	result = open_queues(device, options->queue_size);
	if (result < 0)
		log_error("%s: no eventfds for %u queues: %s; see ulimit -n", device->name,
			  device->queues_count, strerror(-result));
	return result;
}

int virtio_device_open(struct virtio_device *device, uint16_t id, int fd,
		       const struct virtio_pci_options *options)
{
	unsigned int i;
	int result;

	memset(device, 0, sizeof(*device));
	device->id = id;
	snprintf(device->name, sizeof(device->name), "%s",
		 options->name ? options->name : "device");
	pthread_mutex_init(&device->lock, NULL);
	for (i = 0; i < VIRTIO_QUEUES_MAX; i++)
		device->queue[i].kick = -1;
	result = vhost_user_front_open(&device->front, fd, PROTOCOL_WANTED);
	if (result < 0) {
		log_error("%s: the back-end does not answer as a vhost-user one: %s; name the "
			  "socket of one",
			  device->name, strerror(-result));
		pthread_mutex_destroy(&device->lock);
		return result;
	}
	result = negotiate(device, options);
	if (result < 0)
		virtio_device_close(device);
	return result;
}

int virtio_device_listen(struct virtio_device *device)
{
	int result = 0;

	device->hangup.fd = device->front.fd;
	/* And EPOLLHUP, which always counts. What can be read is an answer, and not ours to take. */
	device->hangup.events = EPOLLRDHUP;
	device->hangup.ready = hung_up;
	device->backchannel.fd = device->front.backchannel;
	device->backchannel.events = EPOLLIN;
	device->backchannel.ready = backchannel_ready;
	device->front.patience_ms = VHOST_USER_GUEST_MS;
	pthread_mutex_lock(&device->lock);
	result = events_watch(&device->hangup);
	if (result == 0 && device->front.backchannel >= 0)
		result = events_watch(&device->backchannel);
	pthread_mutex_unlock(&device->lock);
	return result;
}

void virtio_device_close(struct virtio_device *device)
{
	unsigned int i;

	pthread_mutex_lock(&device->lock);
	virtio_queue_stop_all(device);
	events_unwatch(&device->hangup);
	events_unwatch(&device->backchannel);
	pthread_mutex_unlock(&device->lock);
	events_settle();
	virtio_irq_close(&device->irq);
	net_control_close(device);
	vhost_user_front_close(&device->front);
	for (i = 0; i < device->queues_count; i++)
		if (device->queue[i].kick >= 0)
			close(device->queue[i].kick);
	pthread_mutex_destroy(&device->lock);
}
