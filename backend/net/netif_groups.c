// SPDX-License-Identifier: MIT OR GPL-2.0
#include <errno.h>

#include "backend/net/netif_groups.h"

#define BROADCAST 0xffffffffffffULL

static uint64_t to_word(const uint8_t *address)
{
	uint64_t word = 0;
	int i;

	for (i = 0; i < 6; i++)
		word = word << 8 | address[i];
	return word;
}

static bool is_group(const uint8_t *address)
{
	return address[0] & 1 && to_word(address) != BROADCAST;
}

void netif_groups_init(struct netif_groups *groups)
{
	pthread_mutex_init(&groups->lock, NULL);
	netif_groups_reset(groups);
}

void netif_groups_reset(struct netif_groups *groups)
{
	unsigned int i;

	pthread_mutex_lock(&groups->lock);
	atomic_store(&groups->filtering, false);
	for (i = 0; i < NETIF_GROUPS_MAX; i++)
		atomic_store(&groups->group[i], 0);
	pthread_mutex_unlock(&groups->lock);
}

/* The place of @word, or one that is free; NETIF_GROUPS_MAX: neither. */
static unsigned int find(struct netif_groups *groups, uint64_t word)
{
	unsigned int i;

	for (i = 0; i < NETIF_GROUPS_MAX; i++)
		if (atomic_load_explicit(&groups->group[i], memory_order_relaxed) == word)
			break;
	return i;
}

int netif_groups_change(struct netif_groups *groups, bool add, const uint8_t *address)
{
	uint64_t word = to_word(address);
	unsigned int place;
	int error = 0;

	if (!is_group(address))
		return -EINVAL;
	pthread_mutex_lock(&groups->lock);
	place = find(groups, word);
	if (add && place == NETIF_GROUPS_MAX) {
		place = find(groups, 0);
		error = place == NETIF_GROUPS_MAX ? -ENOSPC : 0;
	} else if (place == NETIF_GROUPS_MAX) {
		error = -ENOENT;
	}
	if (!error)
		atomic_store_explicit(&groups->group[place], add ? word : 0, memory_order_relaxed);
	pthread_mutex_unlock(&groups->lock);
	return error;
}

bool netif_groups_pass(struct netif_groups *groups, const uint8_t *address)
{
	if (!is_group(address) || !atomic_load_explicit(&groups->filtering, memory_order_relaxed))
		return true;
	return find(groups, to_word(address)) != NETIF_GROUPS_MAX;
}
