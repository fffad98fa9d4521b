// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's end of the store's ring page.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "guest-kernel-module/store_ring.h"
#include "ring/order.h"

bool pvkit_store_ring_open(struct store_ring *ring, struct store_ring_page *page)
{
	ring->page = page;
	ring->request_producer = order_load_acquire(&page->request_producer);
	ring->response_consumer = order_load_acquire(&page->response_consumer);
	return order_load_acquire(&page->request_consumer) == ring->request_producer &&
	       order_load_acquire(&page->response_producer) == ring->response_consumer;
}

void pvkit_store_ring_reset(struct store_ring *ring)
{
	ring->request_producer = 0;
	ring->response_consumer = 0;
}

int pvkit_store_ring_write(struct store_ring *ring, const void *data, u32 size)
{
	/* Pairs with the store's release: it has read the bytes that we are about to write over. */
	u32 consumer = order_load_acquire(&ring->page->request_consumer);
	u32 full = ring->request_producer - consumer;
	u32 at = ring->request_producer % STORE_RING_BYTES, first;

	if (full > STORE_RING_BYTES)
		return -EPROTO;
	size = min_t(u32, size, STORE_RING_BYTES - full);
	if (!size)
		return 0;
	first = min_t(u32, size, STORE_RING_BYTES - at);
	memcpy(ring->page->request + at, data, first);
	memcpy(ring->page->request, data + first, size - first);
	ring->request_producer += size;
	/* The bytes before the index; pairs with the store's acquire. */
	order_store_release(&ring->page->request_producer, ring->request_producer);
	return size;
}

int pvkit_store_ring_read(struct store_ring *ring, void *data, u32 size)
{
	/* Pairs with the store's release: the bytes are there. */
	u32 producer = order_load_acquire(&ring->page->response_producer);
	u32 full = producer - ring->response_consumer;
	u32 at = ring->response_consumer % STORE_RING_BYTES, first;

	if (full > STORE_RING_BYTES)
		return -EPROTO;
	size = min_t(u32, size, full);
	if (!size)
		return 0;
	first = min_t(u32, size, STORE_RING_BYTES - at);
	memcpy(data, ring->page->response + at, first);
	memcpy(data + first, ring->page->response, size - first);
	ring->response_consumer += size;
	/* The bytes are read before the store may write over them; pairs with its acquire. */
	order_store_release(&ring->page->response_consumer, ring->response_consumer);
	return size;
}

bool pvkit_store_ring_writable(const struct store_ring *ring)
{
	return ring->request_producer - order_load_relaxed(&ring->page->request_consumer) !=
	       STORE_RING_BYTES;
}

bool pvkit_store_ring_readable(const struct store_ring *ring)
{
	return order_load_relaxed(&ring->page->response_producer) != ring->response_consumer;
}
