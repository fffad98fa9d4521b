/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The queues of a virtio device: from registers to a ring that the back-end serves.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "common/log.h"
#include "hypervisor-shim/hvm/net_control.h"
#include "hypervisor-shim/hvm/virtio_device.h"
#include "hypervisor-shim/vm.h"

static struct log_limit bad_queues;
static struct log_limit no_ioeventfd;

/* Section 2.7 and 2.8: alignment of descriptor, driver and device area. */
static bool is_aligned(const struct virtio_device *device, const struct virtio_queue *queue)
{
	unsigned int driver = virtio_device_has(device, VIRTIO_F_RING_PACKED) ? 4 : 2;

	return !(queue->descriptors % 16) && !(queue->driver % driver) && !(queue->device % 4);
}

bool virtio_queue_areas(const struct virtio_device *device, unsigned int index,
			struct virtqueue_areas *areas)
{
	const struct virtio_queue *queue = &device->queue[index];
	const struct guest_memory *memory = vm_memory();
	uint64_t features = device->features_wanted;
	uint16_t size = queue->size;

	areas->size = size;
	areas->descriptors = guest_memory_at(memory, queue->descriptors,
					     virtqueue_descriptors_bytes(size, features));
	areas->driver =
		guest_memory_at(memory, queue->driver, virtqueue_driver_bytes(size, features));
	areas->device =
		guest_memory_at(memory, queue->device, virtqueue_device_bytes(size, features));
	return areas->descriptors && areas->driver && areas->device;
}

static bool is_control(const struct virtio_device *device, unsigned int index)
{
	return device->control && index == net_control_index(device);
}

/* Where the shim serves the control queue, it is the last one; without MQ that is not the last of all. */
static bool exists(const struct virtio_device *device, unsigned int index)
{
	return index < device->queues_count &&
	       (!device->control || index <= net_control_index(device));
}

static bool is_usable(const struct virtio_device *device, unsigned int index)
{
	const struct virtio_queue *queue = &device->queue[index];
	struct virtqueue_areas areas;

	if (!exists(device, index)) {
		log_peer(&bad_queues,
			 "%s: the guest enabled queue %u, which is none with the features it took",
			 device->name, index);
		return false;
	}
	/* The register was written before the features were final. */
	if (!virtio_device_has(device, VIRTIO_F_RING_PACKED) && queue->size & (queue->size - 1)) {
		log_peer(&bad_queues, "%s: the guest gave queue %u a size of %u: no power of two",
			 device->name, index, queue->size);
		return false;
	}
	if (!is_aligned(device, queue) || !virtio_queue_areas(device, index, &areas)) {
		log_peer(&bad_queues,
			 "%s: the guest placed queue %u at 0x%llx, 0x%llx, 0x%llx: not aligned or "
			 "not in its memory",
			 device->name, index, (unsigned long long)queue->descriptors,
			 (unsigned long long)queue->driver, (unsigned long long)queue->device);
		return false;
	}
	return true;
}

/* ---- doorbells -------------------------------------------------------------------------------- */

static void remove_doorbell(struct virtio_device *device, struct virtio_queue *queue)
{
	if (queue->doorbell)
		vm_ioeventfd(queue->doorbell, 0, queue->kick, false);
	queue->doorbell = 0;
}

/*
 * Only queues that run have their ioeventfd: KVM has a thousand places, and each change costs it a
 * grace period, which a guest that sizes BARs would pay for nothing.
 */
void virtio_queue_place_doorbell(struct virtio_device *device, unsigned int index)
{
	struct virtio_queue *queue = &device->queue[index];
	uint64_t address = 0;
	int result;

	if (queue->started && device->doorbells)
		address = device->doorbells + index * VIRTIO_DOORBELL_STEP;
	if (queue->doorbell == address)
		return;
	remove_doorbell(device, queue);
	if (!address)
		return;
	result = vm_ioeventfd(address, 0, queue->kick, true);
	if (result == 0)
		queue->doorbell = address;
	else /* virtio_device_kick() will do, at the price of an exit to this process */
		log_peer(&no_ioeventfd,
			 "%s: queue %u is slow: KVM takes no ioeventfd at 0x%llx: %s", device->name,
			 index, (unsigned long long)address, strerror(-result));
}

/* ---- start and stop --------------------------------------------------------------------------- */

static int start_at_backend(struct virtio_device *device, unsigned int index)
{
	bool packed = virtio_device_has(device, VIRTIO_F_RING_PACKED);
	uint16_t first = packed ? 0x8000 : 0;
	struct virtqueue_areas areas;
	struct vhost_user_ring ring = {
		.size = device->queue[index].size,
		.position = {first, first},
		.kick = device->queue[index].kick,
		.call = virtio_irq_call(&device->irq, index),
		.disabled = device->control && !net_control_is_active(device, index),
	};

	if (!virtio_queue_areas(device, index, &areas))
		return -EFAULT;
	ring.descriptors = (uintptr_t)areas.descriptors;
	ring.driver = (uintptr_t)areas.driver;
	ring.device = (uintptr_t)areas.device;
	return vhost_user_front_start_ring(&device->front, index, &ring);
}

static int start(struct virtio_device *device, unsigned int index)
{
	struct virtio_queue *queue = &device->queue[index];
	int result;

	if (is_control(device, index))
		result = net_control_start(device, index);
	else
		result = start_at_backend(device, index);
	if (result < 0) {
		virtio_device_backend_failed(device, "starting a queue", result);
		return result;
	}
	queue->started = true;
	virtio_irq_start(&device->irq, index);
	virtio_queue_place_doorbell(device, index);
	return 0;
}

int virtio_queue_start_all(struct virtio_device *device)
{
	unsigned int i;
	int result;

	for (i = 0; i < device->queues_count; i++) {
		if (!device->queue[i].enabled || device->queue[i].started)
			continue;
		result = start(device, i);
		if (result < 0)
			return result;
	}
	return 0;
}

void virtio_queue_enable(struct virtio_device *device, unsigned int index)
{
	if (index >= device->queues_count || device->queue[index].enabled ||
	    !(device->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (!is_usable(device, index)) {
		virtio_device_needs_reset(device);
		return;
	}
	device->queue[index].enabled = true;
	if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_queue_start_all(device);
}

static void stop(struct virtio_device *device, unsigned int index)
{
	struct virtio_queue *queue = &device->queue[index];
	struct virtqueue_position position;
	int result = 0;

	queue->started = false;
	remove_doorbell(device, queue);
	if (is_control(device, index))
		net_control_stop(device);
	else if (!device->lost)
		result = vhost_user_front_stop_ring(&device->front, index, &position);
	if (result < 0)
		virtio_device_backend_failed(device, "stopping a queue", result);
	virtio_irq_stop(&device->irq, index);
	msix_drain(queue->kick);
}

void virtio_queue_stop_all(struct virtio_device *device)
{
	unsigned int i;

	for (i = 0; i < device->queues_count; i++)
		if (device->queue[i].started)
			stop(device, i);
}

void virtio_queue_reset_all(struct virtio_device *device)
{
	unsigned int i;

	virtio_queue_stop_all(device);
	for (i = 0; i < device->queues_count; i++) {
		struct virtio_queue *queue = &device->queue[i];

		queue->size = device->queue_size_max;
		queue->descriptors = queue->driver = queue->device = 0;
		queue->enabled = false;
		msix_drain(queue->kick);
	}
}
