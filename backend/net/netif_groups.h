/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The multicast groups that a front-end asked for. Any tx queue may change them and every rx queue
 * looks at them, so each is one word: a look takes no lock, and a change is seen a little later.
 */
#ifndef PVKIT_BACKEND_NET_NETIF_GROUPS_H
#define PVKIT_BACKEND_NET_NETIF_GROUPS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NETIF_GROUPS_MAX 64

struct netif_groups {
	_Atomic bool filtering; /* else all groups are let through */
	pthread_mutex_t lock; /* of those who change it */
	_Atomic uint64_t group[NETIF_GROUPS_MAX]; /* an address; 0: none */
};

void netif_groups_init(struct netif_groups *groups);
/* No group, no filtering. */
void netif_groups_reset(struct netif_groups *groups);
/* 0, -EINVAL: no multicast address; -ENOSPC; -ENOENT. */
int netif_groups_change(struct netif_groups *groups, bool add, const uint8_t *address);
/* Whether a frame to @address is for this guest. */
bool netif_groups_pass(struct netif_groups *groups, const uint8_t *address);

#endif
