// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A peer on a ring page: the guest.
 *
 * The guest can write all of the page, our indices too. So ours are kept here and only published,
 * and of the guest's each is read once, checked against ours, and used.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/pv/store_peer.h"
#include "ring/order.h"

#define FEATURES (STORE_FEATURE_RECONNECTION | STORE_FEATURE_ERROR | STORE_FEATURE_WATCH_DEPTH)

static struct log_limit trouble;

static void ring_notify(struct store_peer *peer)
{
	const uint64_t one = 1;

	/* Fails only when the guest has had 2^64 notifications unread, and then it has enough. */
	if (write(peer->kick, &one, sizeof(one)) < 0)
		return;
}

/* The part of @size bytes from @index on that does not wrap. */
static size_t in_one_piece(uint32_t index, size_t size)
{
	size_t room = STORE_RING_BYTES - index % STORE_RING_BYTES;

	return size < room ? size : room;
}

static ssize_t ring_read(struct store_peer *peer, void *data, size_t size)
{
	struct store_ring_page *page = peer->page;
	uint32_t index = peer->request_consumer;
	uint32_t count = order_load_acquire(&page->request_producer) - index;

	if (count > STORE_RING_BYTES)
		return -EBADMSG;
	if (size > count)
		size = count;
	if (!size)
		return 0;
	size = in_one_piece(index, size);
	memcpy(data, page->request + index % STORE_RING_BYTES, size);
	peer->request_consumer += (uint32_t)size;
	/* Our reads are over before the guest overwrites what they read. */
	order_store_release(&page->request_consumer, peer->request_consumer);
	peer->notify = true;
	return (ssize_t)size;
}

static ssize_t ring_write(struct store_peer *peer, const void *data, size_t size)
{
	struct store_ring_page *page = peer->page;
	uint32_t index = peer->response_producer;
	uint32_t used = index - order_load_acquire(&page->response_consumer);

	if (used > STORE_RING_BYTES)
		return -EBADMSG;
	if (size > STORE_RING_BYTES - used)
		size = STORE_RING_BYTES - used;
	if (!size)
		return 0;
	size = in_one_piece(index, size);
	memcpy(page->response + index % STORE_RING_BYTES, data, size);
	peer->response_producer += (uint32_t)size;
	/* The bytes before the index that says they are there: the guest's acquire. */
	order_store_release(&page->response_producer, peer->response_producer);
	peer->notify = true;
	return (ssize_t)size;
}

static bool ring_waiting(struct store_peer *peer)
{
	return order_load_acquire(&peer->page->request_producer) != peer->request_consumer;
}

static void ring_flush(struct store_peer *peer)
{
	if (!peer->notify)
		return;
	peer->notify = false;
	ring_notify(peer);
}

static void ring_ready(struct store_peer *peer, short events)
{
	uint64_t count;

	if (events & POLLIN && read(peer->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_peer(&trouble, "store: cannot read the notifications of domain %u (errno %d)",
			 peer->domain->id, errno);
	if (order_load_acquire(&peer->page->connection) != STORE_RECONNECT ||
	    !peer->domain->introduced)
		return;
	store_ring_reset(peer);
	peer->notify = true;
}

/* The error first, then everything stops: only a reconnection is looked at from here on. */
static void ring_fail(struct store_peer *peer, enum store_ring_error error)
{
	log_peer(&trouble,
		 "store: the ring of domain %u is broken (error %d): ignored until it reconnects",
		 peer->domain->id, (int)error);
	peer->ignored = true;
	peer->notify = true;
	order_store_release(&peer->page->error, (uint32_t)error);
	store_peer_forget(peer);
}

static void ring_close(struct store_peer *peer)
{
}

void store_ring_reset(struct store_peer *peer)
{
	struct store_ring_page *page = peer->page;

	store_peer_forget(peer);
	peer->ignored = false;
	peer->request_consumer = 0;
	peer->response_producer = 0;
	order_store_relaxed(&page->request_consumer, 0);
	order_store_relaxed(&page->request_producer, 0);
	order_store_relaxed(&page->response_consumer, 0);
	order_store_relaxed(&page->response_producer, 0);
	order_store_relaxed(&page->features, FEATURES);
	order_store_relaxed(&page->error, STORE_RING_OK);
	/* All that is there when the guest sees that it is connected. */
	order_store_release(&page->connection, STORE_CONNECTED);
}

static const struct store_carrier ring = {
	.read = ring_read,
	.write = ring_write,
	.ready = ring_ready,
	.waiting = ring_waiting,
	.flush = ring_flush,
	.fail = ring_fail,
	.close = ring_close,
	.drops_events = true,
};

struct store_peer *store_ring_new(struct store *store, unsigned int domain,
				  struct store_ring_page *page, int kicked, int kick)
{
	struct store_peer *peer = store_peer_new(store, domain, &ring, kicked);

	if (!peer)
		return NULL;
	peer->page = page;
	peer->kick = kick;
	store_ring_reset(peer);
	return peer;
}
