/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A modern virtio-pci device (Virtio 1.2, section 4.1) in front of any vhost-user back-end.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_HVM_VIRTIO_PCI_H
#define PVKIT_HYPERVISOR_SHIM_HVM_VIRTIO_PCI_H

#include <stdbool.h>
#include <stdint.h>

struct virtio_pci_options {
	const char *name; /* for messages: "disk 0"; copied */
	uint16_t queue_size; /* a power of two, at most VIRTQUEUE_SIZE_MAX; 0: 256 */
	uint16_t
		queues; /* block: request queues, net: pairs; 0: one a vCPU. At most what the back-end has */
	bool packed; /* offer the packed ring where the back-end does */

	/* VIRTIO_ID_NET. What is not set here comes from the back-end, if it has a configuration space. */
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu; /* 0: not told to the guest */
	bool own_control; /* the shim serves the control queue, whatever the back-end says it can */
};

/*
 * Puts a device of @virtio_id (VIRTIO_ID_BLOCK, VIRTIO_ID_NET, or any other) on the PCI bus. @fd is
 * the connected vhost-user socket; the device owns it from now on, also on failure. To be called
 * after vm_open() and before a vCPU runs. 0, or -errno after one line on standard error.
 * pci_close_all() ends it.
 *
 * When the back-end is lost later, one line says so, and the guest is told by DEVICE_NEEDS_RESET.
 */
int virtio_pci_add(uint16_t virtio_id, int fd, const struct virtio_pci_options *options);

#endif
