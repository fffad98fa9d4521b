/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The virtio network device (Virtual I/O Device 1.2, section 5.1) in front of a link.
 *
 * Who serves the control queue is the front-end's choice. QEMU and pvkit-shim can do it themselves:
 * they keep VIRTIO_NET_F_CTRL_VQ from us, pass two rings a pair, and turn pairs on and off by
 * enabling rings. Others (user-mode Linux) pass it on as one more virtqueue, behind the pairs. So:
 * with the bit accepted, the virtqueue behind the pairs is the control queue; once it was started,
 * the number of pairs in use is what it last said, 1 at first; without it every started pair is in use.
 */
#ifndef PVKIT_BACKEND_NET_VIRTIO_NET_H
#define PVKIT_BACKEND_NET_VIRTIO_NET_H

#include <linux/virtio_net.h>

#include "backend/device.h"
#include "backend/net/control_queue.h"
#include "backend/net/virtio_pair.h"

struct stats_page;

/* Not in the headers of kernels before 6.2. */
#define NET_F_GUEST_USO4 54
#define NET_F_GUEST_USO6 55
#define NET_F_HOST_USO   56

#define NET_SPEED_UNKNOWN UINT32_MAX

struct net_options {
	uint8_t mac[6];
	uint32_t mtu; /* 0: the guest is not told one */
	uint32_t speed; /* Mbit/s, or NET_SPEED_UNKNOWN */
	int64_t poll_us; /* < 0: adaptive */
};

struct net_device {
	struct backend_device device; /* first: the transport's view */
	struct link *link;
	struct net_options options;
	uint64_t features; /* accepted */
	unsigned int accepted; /* enum frame_offload that the guest takes now */
	struct virtio_net_config config; /* what the guest reads */

	unsigned int pairs;
	unsigned int pairs_used; /* by the control queue's word */
	bool control_seen; /* the front-end passes the control queue on */
	struct net_control control;
	struct net_worker *worker[LINK_QUEUES_MAX]; /* each heads a virtio_pair */
	bool rx_started[LINK_QUEUES_MAX];
};

/* Opens a device on @link, which stays the caller's. NULL, errno set and reported, on failure. */
struct net_device *net_open(struct link *link, const struct net_options *options,
			    struct stats_page *stats);
/* All queues are stopped. */
void net_close(struct net_device *net);

/* What the control queue's commands do. 0 or -errno. */
int net_set_pairs(struct net_device *net, unsigned int pairs);
int net_set_guest_offloads(struct net_device *net, uint64_t bits);
void net_set_filter(struct net_device *net);

/* For tests: what offloads a set of feature bits lets a guest ask for, and makes it accept. */
unsigned int net_offloads_asked(uint64_t features);
unsigned int net_offloads_accepted(uint64_t features);

#endif
