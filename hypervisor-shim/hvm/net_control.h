/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The control queue of a net device whose back-end does not serve it (Virtio 1.2, section 5.1.6.5).
 */
#ifndef PVKIT_HYPERVISOR_SHIM_HVM_NET_CONTROL_H
#define PVKIT_HYPERVISOR_SHIM_HVM_NET_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct virtio_device;

/* The features that are served here, and so not told to the back-end. */
uint64_t net_control_features(void);

/* Sets device->control. */
int net_control_open(struct virtio_device *device);
/* After events_settle(). */
void net_control_close(struct virtio_device *device);

/* With the device's lock held: */

/* Which queue it is, with the features that the driver took. */
unsigned int net_control_index(const struct virtio_device *device);
/* Whether queue @index belongs to a pair that the driver uses. */
bool net_control_is_active(const struct virtio_device *device, unsigned int index);
int net_control_start(struct virtio_device *device, unsigned int index);
void net_control_stop(struct virtio_device *device);
/* One pair again. */
void net_control_reset(struct virtio_device *device);

#endif
