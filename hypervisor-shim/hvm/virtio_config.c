/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The configuration space of a virtio device: the back-end's, cached here, so that the driver's reads
 * cost no message; or one that the shim makes up, where the back-end has none.
 */
#include <errno.h>
#include <string.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#include "abi/vhost_user.h"
#include "common/log.h"
#include "hypervisor-shim/hvm/virtio_device.h"

static struct log_limit refused;

/*
 * Back-ends answer for exactly the size that they know, and refuse more: so ask for the newest layout
 * first, then for older ones. 0 ends a list.
 */
static const uint32_t block_sizes[] = {96, 72, 60, 48, 36, 0};
static const uint32_t net_sizes[] = {24, 20, 17, 12, 10, 8, 6, 0};
static const uint32_t other_sizes[] = {256, 128, 64, 32, 16, 8, 4, 0};

static const uint32_t *sizes_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_BLOCK:
		return block_sizes;
	case VIRTIO_ID_NET:
		return net_sizes;
	default:
		return other_sizes;
	}
}

static int fetch(struct virtio_device *device, void *config, uint32_t size)
{
	int result = vhost_user_front_get_config(&device->front, 0, config, size);

	return result < 0 ? result : 0;
}

int virtio_config_open(struct virtio_device *device)
{
	const uint32_t *size;
	int result = -EOPNOTSUPP;

	device->config_remote = false;
	if (!(device->front.protocol_features & 1ULL << VHOST_USER_PROTOCOL_F_CONFIG))
		return 0;
	for (size = sizes_of(device->id); *size; size++) {
		result = fetch(device, device->config, *size);
		if (result == 0) {
			device->config_remote = true;
			device->config_size = *size;
			return 0;
		}
		if (device->front.broken)
			return result;
	}
	memset(device->config, 0, sizeof(device->config));
	return 0;
}

void virtio_config_read(struct virtio_device *device, uint64_t offset, void *data,
			unsigned int size)
{
	memset(data, 0, size);
	if (offset >= device->config_size)
		return;
	if (size > device->config_size - offset)
		size = device->config_size - offset;
	memcpy(data, device->config + offset, size);
}

void virtio_config_write(struct virtio_device *device, uint64_t offset, const void *data,
			 unsigned int size)
{
	uint8_t config[VIRTIO_CONFIG_MAX];
	int result;

	if (!device->config_remote || device->lost || offset >= device->config_size ||
	    size > device->config_size - offset)
		return;
	result = vhost_user_front_set_config(&device->front, offset, data, size);
	if (result < 0 && device->front.broken) {
		virtio_device_backend_failed(device, "writing its configuration", result);
		return;
	}
	if (result < 0)
		log_peer(&refused,
			 "%s: the back-end refused a write of %u bytes at %llu of its "
			 "configuration: %s",
			 device->name, size, (unsigned long long)offset, strerror(-result));
	/* What the driver reads back is what the back-end made of it. No interrupt: it knows. */
	result = fetch(device, config, device->config_size);
	if (result < 0 && device->front.broken)
		virtio_device_backend_failed(device, "reading its configuration", result);
	if (result < 0)
		return;
	memcpy(device->config, config, device->config_size);
	if (device->config_overlay)
		device->config_overlay(device);
}

void virtio_config_refresh(struct virtio_device *device)
{
	uint8_t before[VIRTIO_CONFIG_MAX], config[VIRTIO_CONFIG_MAX];
	int result;

	if (!device->config_remote || device->lost)
		return;
	result = fetch(device, config, device->config_size);
	if (result < 0) {
		virtio_device_backend_failed(device, "reading its configuration", result);
		return;
	}
	memcpy(before, device->config, device->config_size);
	memcpy(device->config, config, device->config_size);
	if (device->config_overlay)
		device->config_overlay(device);
	if (memcmp(before, device->config, device->config_size) == 0)
		return;
	device->config_generation++;
	if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_irq_config_changed(&device->irq);
}
