/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The front-end side of vhost-user: what the shim's virtio-pci devices and pvkit-load speak to a
 * back-end. Every call waits for its answer where the protocol has one, bounded by a timeout.
 *
 * Calls return 0 or -errno: -EREMOTEIO when the back-end refused, and goes on; anything else from
 * the socket sets ->broken. A front belongs to one thread at a time,
 * but vhost_user_front_take_event() may run beside the others.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_HVM_VHOST_USER_H
#define PVKIT_HYPERVISOR_SHIM_HVM_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/vhost_user.h"
#include "ring/virtqueue.h"

/* A region of guest memory that is shared with back-ends. */
struct vhost_user_region {
	uint64_t guest_address, size;
	void *host; /* in this process: also the "user address" of the protocol */
	int fd;
	uint64_t fd_offset;
};

/*
 * A back-end has this long for an answer at first, and that long when a vCPU waits for it; but memory and
 * the start of rings, which come when a guest's driver is ready, are slow as setting up is.
 */
#define VHOST_USER_SETUP_MS 30000
#define VHOST_USER_GUEST_MS 10000

struct vhost_user_front {
	int fd;
	int backchannel;   /* requests from the back-end; -1: not negotiated */
	uint64_t features; /* offered by the back-end, without VHOST_USER_F_PROTOCOL_FEATURES */
	uint64_t protocol_features; /* agreed */
	uint64_t queues_max;
	uint64_t memory_slots;
	int patience_ms; /* for an answer; memory and rings have more */
	bool broken; /* the connection is lost: calls answer -ENOTCONN */

	bool knows_protocol;   /* VHOST_USER_F_PROTOCOL_FEATURES: rings wait to be enabled */
	uint64_t acknowledged; /* features that the driver took */
	struct vhost_user_memory_region *table; /* what the back-end has mapped */
	unsigned int table_count;
};

/*
 * Takes over connected socket @fd, also on failure, and agrees on protocol features, of those in
 * @protocol_wanted (1 << bit), and a back-channel.
 */
int vhost_user_front_open(struct vhost_user_front *front, int fd, uint64_t protocol_wanted);
void vhost_user_front_close(struct vhost_user_front *front);

int vhost_user_front_set_features(struct vhost_user_front *front, uint64_t features);
/* 0 without effect where STATUS was not agreed; then there is none to get: -EOPNOTSUPP. */
int vhost_user_front_set_status(struct vhost_user_front *front, uint8_t status);
int vhost_user_front_get_status(struct vhost_user_front *front, uint8_t *status);
/*
 * The whole table, of up to 8 regions, or ->memory_slots where CONFIGURE_MEM_SLOTS was agreed;
 * -ENOSPC beyond. Rings that run go on where the back-end can do that.
 */
int vhost_user_front_set_memory(struct vhost_user_front *front,
				const struct vhost_user_region *regions, unsigned int count);
/* Up to 256 bytes. -EINVAL where the device has none. */
int vhost_user_front_get_config(struct vhost_user_front *front, uint32_t offset, void *data,
				uint32_t size);
int vhost_user_front_set_config(struct vhost_user_front *front, uint32_t offset,
				const void *data, uint32_t size);

struct vhost_user_ring {
	uint16_t size;
	struct virtqueue_position position; /* where to begin: {0,0} split, {0x8000,0x8000} packed */
	uint64_t descriptors, driver, device; /* user addresses: see struct vhost_user_region */
	int kick, call; /* -1: none */
	bool disabled;	/* leave it so: vhost_user_front_enable_ring() comes later */
};

/* SET_VRING_NUM, _BASE, _ADDR, _KICK, _CALL, then _ENABLE with !ring->disabled. */
int vhost_user_front_start_ring(struct vhost_user_front *front, unsigned int index,
				const struct vhost_user_ring *ring);
/* Replaces only the call descriptor. */
int vhost_user_front_set_call(struct vhost_user_front *front, unsigned int index, int call);
int vhost_user_front_enable_ring(struct vhost_user_front *front, unsigned int index, bool on);
/* GET_VRING_BASE: waits for the back-end to finish, then the ring belongs to nobody. */
int vhost_user_front_stop_ring(struct vhost_user_front *front, unsigned int index,
			       struct virtqueue_position *position);

/* What came on the backchannel when it was readable. */
enum vhost_user_event {
	VHOST_USER_EVENT_NONE,
	VHOST_USER_EVENT_CONFIG_CHANGED,
	/* Nothing more comes. The descriptor stays open, as it may be watched, until the front closes. */
	VHOST_USER_EVENT_CLOSED,
};
enum vhost_user_event vhost_user_front_take_event(struct vhost_user_front *front);

#endif
