/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The life of a ring: what the front-end has told of it, and whether the device serves it.
 *
 *	SET_VRING_NUM, _BASE			where and how the ring begins: first of all
 *	SET_VRING_ADDR, _KICK, _ENABLE 1	in any order; the last one starts it
 *	SET_VRING_CALL, _ERR			at any time
 *	SET_VRING_ENABLE 0			pauses it; it keeps its place
 *	GET_VRING_BASE				stops it; then it wants a new SET_VRING_KICK
 *
 * A ring that the driver broke wants a new SET_VRING_KICK too, once anything has stopped it.
 *
 * Front-ends differ in the order, so a ring is described by what is known of it, not by a state that
 * messages move along. Only the size and the place must come first: a ring that started without its
 * place would serve requests twice.
 */
#ifndef PVKIT_BACKEND_TRANSPORT_VHOST_USER_RING_H
#define PVKIT_BACKEND_TRANSPORT_VHOST_USER_RING_H

#include "abi/vhost_user.h"
#include "backend/queue.h"

struct vhost_user;

enum back_ring_enable {
	BACK_RING_UNSAID, /* no SET_VRING_ENABLE came: runs only for front-ends that know none */
	BACK_RING_OFF,
	BACK_RING_ON,
};

struct back_ring {
	struct backend_queue queue; /* the device's while ->running */
	uint32_t size; /* 0: not said */
	bool has_address, kicked; /* SET_VRING_ADDR, SET_VRING_KICK came */
	bool running;
	enum back_ring_enable enable;
	struct vhost_user_vring_address address;
	struct virtqueue_position position; /* while not running: where to go on */
	bool used_known; /* ->position.used is ours, not yet to be read */
};

void back_ring_init(struct back_ring *ring, unsigned int index);
/* Starts @ring if all is known and it is enabled. 0 also when it is not, or runs already. */
int back_ring_start(struct vhost_user *vu, struct back_ring *ring);
/* Pauses it: back_ring_start() goes on where it stood. */
void back_ring_stop(struct vhost_user *vu, struct back_ring *ring);
/* Stops it until the next SET_VRING_KICK, and closes its notifications. */
void back_ring_release(struct vhost_user *vu, struct back_ring *ring);
/* As release, and forgets size and place; not whether it is enabled, which a reset leaves alone. */
void back_ring_forget(struct vhost_user *vu, struct back_ring *ring);

int back_ring_set_base(struct vhost_user *vu, struct back_ring *ring, uint32_t base);
uint32_t back_ring_base(const struct vhost_user *vu, const struct back_ring *ring);
/* These take over @fd (-1: none), also when they fail. */
int back_ring_set_kick(struct vhost_user *vu, struct back_ring *ring, int fd);
int back_ring_set_call(struct vhost_user *vu, struct back_ring *ring, int fd);
int back_ring_set_error(struct vhost_user *vu, struct back_ring *ring, int fd);
int back_ring_set_address(struct vhost_user *vu, struct back_ring *ring,
			  const struct vhost_user_vring_address *address);

/* Around a change that no running ring may see. Resuming: the first failure, the others started. */
void back_rings_pause(struct vhost_user *vu);
int back_rings_resume(struct vhost_user *vu);

#endif
