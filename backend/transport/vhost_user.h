/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The back-end side of vhost-user: one front-end at a time, in front of one struct backend_device.
 */
#ifndef PVKIT_BACKEND_TRANSPORT_VHOST_USER_H
#define PVKIT_BACKEND_TRANSPORT_VHOST_USER_H

#include "backend/device.h"

struct vhost_user;

struct vhost_user_options {
	const char *socket_path; /* listen here, serve one front-end after another; or */
	int fd; /* a connected socket, served until it closes; -1: none */
	uint64_t protocol_features; /* offered beyond the transport's own; 0 mostly */
};

/* Watches the socket in the control loop. NULL, errno set and reported, on failure. */
struct vhost_user *vhost_user_open(struct backend_device *device,
				   const struct vhost_user_options *options);
/* Stops the queues, closes the connection, removes the socket. */
void vhost_user_close(struct vhost_user *vu);

#endif
