// SPDX-License-Identifier: MIT OR GPL-2.0
#include "backend/net/netif_inbox.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/link/scatter.h"

struct netif_inbox *netif_inbox_new(void)
{
	struct netif_inbox *inbox = calloc(1, sizeof(*inbox));

	if (!inbox)
		return NULL;
	inbox->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (inbox->bell < 0) {
		free(inbox);
		return NULL;
	}
	for (uint32_t i = 0; i < NETIF_INBOX_SLOTS; i++)
		atomic_init(&inbox->slot[i].turn, i);
	return inbox;
}

void netif_inbox_free(struct netif_inbox *inbox)
{
	if (!inbox)
		return;
	close(inbox->bell);
	free(inbox);
}

static struct netif_inbox_slot *slot_at(struct netif_inbox *inbox, uint32_t n)
{
	return &inbox->slot[n % NETIF_INBOX_SLOTS];
}

static struct netif_inbox_slot *claim(struct netif_inbox *inbox, uint32_t *n)
{
	*n = atomic_load_explicit(&inbox->put, memory_order_relaxed);
	for (;;) {
		struct netif_inbox_slot *slot = slot_at(inbox, *n);
		int32_t ahead =
			(int32_t)(atomic_load_explicit(&slot->turn, memory_order_acquire) - *n);

		if (ahead < 0)
			return NULL; /* full */
		if (ahead > 0)
			*n = atomic_load_explicit(&inbox->put, memory_order_relaxed);
		else if (atomic_compare_exchange_weak_explicit(&inbox->put, n, *n + 1,
							       memory_order_relaxed,
							       memory_order_relaxed))
			return slot;
	}
}

bool netif_inbox_put(struct netif_inbox *inbox, const struct frame_header *header,
		     const struct iovec *pieces, unsigned int count, uint32_t bytes)
{
	const uint64_t one = 1;
	struct netif_inbox_slot *slot;
	uint32_t n;

	if (bytes > sizeof(slot->frame))
		return false;
	slot = claim(inbox, &n);
	if (!slot)
		return false;
	slot->header = *header;
	slot->bytes = scatter_gather(slot->frame, bytes, pieces, count);
	atomic_store_explicit(&slot->turn, n + 1, memory_order_release);
	if (!atomic_exchange(&inbox->rung, true) &&
	    write(inbox->bell, &one, sizeof(one)) != sizeof(one))
		return true; /* it is readable as it is */
	return true;
}

static bool is_there(struct netif_inbox *inbox)
{
	return atomic_load_explicit(&slot_at(inbox, inbox->taken)->turn, memory_order_acquire) ==
	       inbox->taken + 1;
}

const struct netif_inbox_slot *netif_inbox_first(struct netif_inbox *inbox)
{
	if (is_there(inbox))
		return slot_at(inbox, inbox->taken);
	if (!atomic_load_explicit(&inbox->rung, memory_order_relaxed))
		return NULL;
	atomic_exchange(&inbox->rung, false);
	return is_there(inbox) ? slot_at(inbox, inbox->taken) : NULL;
}

void netif_inbox_take(struct netif_inbox *inbox)
{
	atomic_store_explicit(&slot_at(inbox, inbox->taken)->turn, inbox->taken + NETIF_INBOX_SLOTS,
			      memory_order_release);
	inbox->taken++;
}
