/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What block and net devices are beyond any virtio device: how many queues, which features the shim
 * adds or withholds, and what it lays over the configuration space.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#include "common/log.h"
#include "hypervisor-shim/hvm/net_control.h"
#include "hypervisor-shim/hvm/virtio_device.h"
#include "hypervisor-shim/hvm/virtio_pci.h"
#include "hypervisor-shim/vm.h"

/* Not yet in every uapi header that we build with. */
#define NET_F_DEVICE_STATS 50
#define NET_F_VQ_NOTF_COAL 52
#define NET_F_HASH_TUNNEL  51

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static unsigned int wanted_queues(const struct virtio_pci_options *options)
{
	return options->queues ? options->queues : vm_cpus();
}

static bool offers(const struct virtio_device *device, unsigned int feature)
{
	return device->features_offered >> feature & 1;
}

/* ---- block ------------------------------------------------------------------------------------ */

static void overlay_block(struct virtio_device *device)
{
	uint16_t queues = device->queues_count;

	if (device->config_size >= offsetof(struct virtio_blk_config, num_queues) + sizeof(queues))
		memcpy(device->config + offsetof(struct virtio_blk_config, num_queues), &queues,
		       sizeof(queues));
}

static int open_block(struct virtio_device *device, const struct virtio_pci_options *options)
{
	uint16_t backend_queues;

	if (!device->config_remote) {
		log_error("%s: the back-end tells no capacity: it has no configuration space "
			  "(protocol feature CONFIG); use another one",
			  device->name);
		return -EOPNOTSUPP;
	}
	memcpy(&backend_queues, device->config + offsetof(struct virtio_blk_config, num_queues),
	       sizeof(backend_queues));
	device->queues_count = 1;
	if (offers(device, VIRTIO_BLK_F_MQ) && backend_queues)
		device->queues_count = least(least(wanted_queues(options), backend_queues),
					     device->front.queues_max);
	if (device->queues_count <= 1)
		device->features_offered &= ~(1ULL << VIRTIO_BLK_F_MQ);
	device->config_overlay = overlay_block;
	overlay_block(device);
	return 0;
}

/* ---- net -------------------------------------------------------------------------------------- */

static void overlay_net(struct virtio_device *device)
{
	struct virtio_net_config *config = (void *)device->config;

	if (device->has_mac)
		memcpy(config->mac, device->mac, sizeof(config->mac));
	if (device->mtu)
		config->mtu = device->mtu;
	if (device->config_remote && !device->control)
		return; /* it knows best how many pairs its control queue can set */
	config->max_virtqueue_pairs = device->pairs;
	if (!device->config_remote)
		config->status = VIRTIO_NET_S_LINK_UP;
}

/*
 * Two kinds of back-end serve no control queue: those that do not offer it, and those that do, but
 * take for granted that the monitor answers it (DPDK's). The latter have no configuration space.
 */
static bool serves_control(const struct virtio_device *device)
{
	return offers(device, VIRTIO_NET_F_CTRL_VQ) && device->config_remote;
}

static unsigned int backend_pairs(const struct virtio_device *device)
{
	const struct virtio_net_config *config = (const void *)device->config;
	unsigned int pairs = device->front.queues_max; /* for a net device it counts pairs */

	if (!offers(device, VIRTIO_NET_F_MQ) || !pairs)
		return 1;
	if (device->config_remote && config->max_virtqueue_pairs)
		pairs = least(pairs, config->max_virtqueue_pairs);
	return least(pairs, (VIRTIO_QUEUES_MAX - 1) / 2);
}

static void choose_net_features(struct virtio_device *device)
{
	uint64_t offered = device->features_offered;

	if (device->control) {
		/* Each of these brings commands that net_control.c does not know. */
		offered &= ~(1ULL << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS |
			     1ULL << VIRTIO_NET_F_CTRL_VLAN | 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE |
			     1ULL << VIRTIO_NET_F_NOTF_COAL | 1ULL << NET_F_VQ_NOTF_COAL |
			     1ULL << VIRTIO_NET_F_HASH_REPORT | 1ULL << VIRTIO_NET_F_RSS |
			     1ULL << NET_F_DEVICE_STATS | 1ULL << NET_F_HASH_TUNNEL);
		device->features_here = net_control_features();
		offered |= device->features_here;
	}
	offered &= ~(1ULL << VIRTIO_NET_F_STANDBY);
	if (!device->config_remote) {
		offered &= ~(1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MTU |
			     1ULL << VIRTIO_NET_F_SPEED_DUPLEX);
		offered |= 1ULL << VIRTIO_NET_F_STATUS;
	}
	if (device->pairs == 1)
		offered &= ~(1ULL << VIRTIO_NET_F_MQ);
	if (device->has_mac)
		offered |= 1ULL << VIRTIO_NET_F_MAC;
	if (device->mtu)
		offered |= 1ULL << VIRTIO_NET_F_MTU;
	device->features_offered = offered;
}

static int open_net(struct virtio_device *device, const struct virtio_pci_options *options)
{
	int result = 0;

	device->has_mac = options->has_mac;
	memcpy(device->mac, options->mac, sizeof(device->mac));
	device->mtu = options->mtu;
	device->pairs = backend_pairs(device);
	if (options->own_control || !serves_control(device)) {
		result = net_control_open(device);
		device->pairs = least(device->pairs, wanted_queues(options));
	}
	device->queues_count = device->pairs * 2;
	if (device->control || serves_control(device))
		device->queues_count++;
	if (device->config_size < sizeof(struct virtio_net_config) && !device->config_remote)
		device->config_size = sizeof(struct virtio_net_config);
	choose_net_features(device);
	device->config_overlay = overlay_net;
	overlay_net(device);
	return result;
}

/* ---- any -------------------------------------------------------------------------------------- */

int virtio_type_open(struct virtio_device *device, const struct virtio_pci_options *options)
{
	switch (device->id) {
	case VIRTIO_ID_BLOCK:
		return open_block(device, options);
	case VIRTIO_ID_NET:
		return open_net(device, options);
	default:
		device->queues_count = options->queues ? options->queues : device->front.queues_max;
		return 0;
	}
}
