// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Peers: requests in, answers and events out, and what bounds both. See store_peer.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "hypervisor-shim/pv/store_peer.h"
#include "hypervisor-shim/pv/store_transaction.h"
#include "hypervisor-shim/pv/store_watch.h"
#include "hypervisor-shim/pv/store_wire.h"

static struct log_limit trouble;

struct store_peer *store_peer_new(struct store *store, unsigned int domain,
				  const struct store_carrier *carrier, int fd)
{
	struct store_peer *peer = calloc(1, sizeof(*peer)), **last = &store->peers;

	if (!peer)
		return NULL;
	peer->domain = store_domain_get(store, domain);
	if (!peer->domain) {
		free(peer);
		return NULL;
	}
	peer->store = store;
	peer->carrier = carrier;
	peer->fd = fd;
	peer->kick = -1;
	peer->last = &peer->first;
	peer->next_transaction = 1;
	while (*last)
		last = &(*last)->next;
	*last = peer;
	store->peer_count++;
	return peer;
}

/* ---- memory ---------------------------------------------------------------------------------- */

bool store_peer_affords(const struct store_peer *peer, size_t bytes)
{
	if (store_domain_privileged(peer->domain))
		return peer->bytes + bytes <= STORE_MEMORY_MAX;
	return peer->domain->bytes + bytes <= STORE_MEMORY_MAX;
}

void store_peer_account(struct store_peer *peer, ssize_t bytes)
{
	peer->bytes += (size_t)bytes;
	peer->domain->bytes += (size_t)bytes;
}

/* ---- the queue ------------------------------------------------------------------------------- */

static size_t packet_cost(const struct store_packet *packet)
{
	return sizeof(*packet) + packet->size;
}

static struct store_packet *packet_new(uint32_t type, const struct store_header *request,
				       unsigned int size)
{
	const struct store_header header = {
		.type = type,
		.request = request ? request->request : 0,
		.transaction = request ? request->transaction : 0,
		.length = size,
	};
	struct store_packet *packet = malloc(sizeof(*packet) + sizeof(header) + size);

	if (!packet)
		return NULL;
	*packet = (struct store_packet){
		.size = (unsigned int)sizeof(header) + size,
		.event = !request,
	};
	memcpy(packet->bytes, &header, sizeof(header));
	return packet;
}

static void enqueue(struct store_peer *peer, struct store_packet *packet)
{
	packet->queued_ms = peer->store->now_ms;
	if (!peer->first)
		peer->progress_ms = peer->store->now_ms;
	if (!packet->event) {
		peer->answers++;
	} else if (packet->cause) {
		packet->cause->outstanding++;
	}
	store_peer_account(peer, (ssize_t)packet_cost(packet));
	*peer->last = packet;
	peer->last = &packet->next;
}

static void dequeue(struct store_peer *peer, struct store_packet **slot)
{
	struct store_packet *packet = *slot;

	*slot = packet->next;
	if (!*slot)
		peer->last = slot;
	if (!packet->event)
		peer->answers--;
	else if (packet->cause)
		packet->cause->outstanding--;
	store_peer_account(peer, -(ssize_t)packet_cost(packet));
	free(packet);
}

static void answer(struct store_peer *peer, uint32_t type, const void *payload, unsigned int size)
{
	struct store_packet *packet;

	if (peer->ended || peer->ignored)
		return;
	packet = packet_new(type, &peer->header, size);
	if (!packet) {
		peer->unanswered = true;
		return;
	}
	if (size)
		memcpy(packet->bytes + sizeof(struct store_header), payload, size);
	enqueue(peer, packet);
}

void store_peer_error(struct store_peer *peer, int error)
{
	const char *name = store_wire_error(error);

	answer(peer, STORE_ERROR, name, (unsigned int)strlen(name) + 1);
}

void store_peer_answer(struct store_peer *peer, const void *payload, unsigned int size)
{
	if (size > STORE_PAYLOAD_MAX)
		store_peer_error(peer, -E2BIG);
	else
		answer(peer, peer->header.type, payload, size);
}

static uint32_t hash_of(const struct store_packet *packet)
{
	uint32_t hash = 2166136261U; /* FNV-1a */
	unsigned int i;

	for (i = 0; i < packet->size; i++)
		hash = (hash ^ packet->bytes[i]) * 16777619U;
	return hash;
}

/* Whoever reads the one that waits will look at what has changed since. */
static bool waits_already(const struct store_peer *peer, const struct store_packet *packet)
{
	const struct store_packet *other;

	for (other = peer->first; other; other = other->next)
		if (other->hash == packet->hash && other->event && !other->sent &&
		    other->size == packet->size &&
		    !memcmp(other->bytes, packet->bytes, packet->size))
			return true;
	return false;
}

static void refuse_event(struct store_peer *peer)
{
	peer->store->refused_events++;
	if (peer->carrier->drops_events) {
		log_peer(&trouble,
			 "store: domain %u reads no events, and its memory is used up: one is lost",
			 peer->domain->id);
		return;
	}
	log_peer(&trouble,
		 "store: a connection of domain %u reads no events, and its memory is used up: it "
		 "is ended",
		 peer->domain->id);
	peer->ended = true;
}

void store_peer_event(struct store_peer *peer, struct store_domain *cause, const char *path,
		      const char *token)
{
	unsigned int path_size = (unsigned int)strlen(path) + 1;
	unsigned int size = path_size + (unsigned int)strlen(token) + 1;
	struct store_packet *packet;

	/* The token is the peer's own choice: it can make its own events too long to be sent. */
	if (peer->ended || peer->ignored || size > STORE_PAYLOAD_MAX)
		return;
	packet = packet_new(STORE_WATCH_EVENT, NULL, size);
	if (packet) {
		memcpy(packet->bytes + sizeof(struct store_header), path, path_size);
		memcpy(packet->bytes + sizeof(struct store_header) + path_size, token,
		       size - path_size);
		packet->hash = hash_of(packet);
		if (*path != '@' && waits_already(peer, packet)) {
			free(packet);
			return;
		}
	}
	if (!packet || !store_peer_affords(peer, packet_cost(packet))) {
		free(packet);
		refuse_event(peer);
		return;
	}
	packet->cause = cause;
	enqueue(peer, packet);
}

static void send_queue(struct store_peer *peer)
{
	struct store_packet *packet;
	ssize_t count;

	while ((packet = peer->first) && !peer->ended && !peer->ignored) {
		count = peer->carrier->write(peer, packet->bytes + packet->sent,
					     packet->size - packet->sent);
		if (count < 0)
			peer->carrier->fail(peer, STORE_RING_INDEX);
		if (count <= 0)
			return;
		peer->progress_ms = peer->store->now_ms;
		packet->sent += (unsigned int)count;
		if (packet->sent == packet->size)
			dequeue(peer, &peer->first);
	}
}

void store_peer_expire(struct store_peer *peer)
{
	uint64_t now = peer->store->now_ms;
	struct store_packet **slot = &peer->first;

	if (!*slot)
		return;
	if (!peer->carrier->drops_events) {
		if (now - peer->progress_ms < STORE_EVENT_AGE_MS || peer->ended)
			return;
		log_peer(&trouble,
			 "store: a connection of domain %u has read nothing for %u s: it is ended",
			 peer->domain->id, STORE_EVENT_AGE_MS / 1000);
		peer->ended = true;
		return;
	}
	while (*slot) {
		if ((*slot)->event && !(*slot)->sent &&
		    now - (*slot)->queued_ms >= STORE_EVENT_AGE_MS) {
			peer->store->refused_events++;
			dequeue(peer, slot);
		} else {
			slot = &(*slot)->next;
		}
	}
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool may_ask(const struct store_peer *peer)
{
	const struct store *store = peer->store;
	bool guest = !store_domain_privileged(peer->domain);

	if (peer->ended || peer->ignored || peer->answers >= STORE_QUOTA_OUTSTANDING)
		return false;
	if (guest && peer->domain->outstanding >= STORE_QUOTA_OUTSTANDING)
		return false;
	return !guest || !store->favoured || store->now_ms >= store->favoured_until;
}

/* Takes @size bytes of the request in all. False: they are not there yet. */
static bool receive(struct store_peer *peer, void *data, unsigned int before, unsigned int size)
{
	ssize_t count;

	while (peer->received < before + size) {
		count = peer->carrier->read(peer, (char *)data + peer->received - before,
					    before + size - peer->received);
		if (count < 0)
			peer->carrier->fail(peer, STORE_RING_INDEX);
		if (count <= 0)
			return false;
		peer->received += (unsigned int)count;
	}
	return true;
}

static void receive_request(struct store_peer *peer)
{
	const unsigned int header_size = sizeof(peer->header);

	if (peer->received < header_size && !receive(peer, &peer->header, 0, header_size))
		return;
	if (peer->header.length > STORE_PAYLOAD_MAX) {
		log_peer(&trouble,
			 "store: domain %u sends a payload of %u bytes, where %u are the most",
			 peer->domain->id, peer->header.length, STORE_PAYLOAD_MAX);
		peer->carrier->fail(peer, STORE_RING_PROTOCOL);
		return;
	}
	if (!receive(peer, peer->payload, header_size, peer->header.length))
		return;
	peer->received = 0;
	store_request(peer);
	/* There was no memory, and without an answer the peer would wait for ever. */
	if (peer->unanswered)
		peer->carrier->fail(peer, STORE_RING_COMMUNICATION);
	peer->unanswered = false;
}

short store_peer_events(const struct store_peer *peer)
{
	short events = 0;

	if (peer->page)
		return POLLIN; /* notifications, in whatever state */
	if (may_ask(peer))
		events |= POLLIN;
	if (peer->first)
		events |= POLLOUT;
	return events;
}

bool store_peer_busy(struct store_peer *peer)
{
	return may_ask(peer) && peer->carrier->waiting(peer);
}

void store_peer_turn(struct store_peer *peer, short events)
{
	peer->carrier->ready(peer, events);
	if (may_ask(peer))
		receive_request(peer);
	else if (!peer->page && events & (POLLHUP | POLLERR))
		peer->ended = true; /* nobody is there for the answers */
	store_peer_flush(peer);
}

void store_peer_flush(struct store_peer *peer)
{
	send_queue(peer);
	peer->carrier->flush(peer);
}

/* ---- transactions that starve ---------------------------------------------------------------- */

void store_peer_committed(struct store_peer *peer, bool conflict)
{
	struct store *store = peer->store;

	peer->conflicts = conflict ? peer->conflicts + 1 : 0;
	if (!conflict && store->favoured == peer)
		store->favoured = NULL;
	if (peer->conflicts < STORE_CONFLICTS_MAX || !store_domain_privileged(peer->domain))
		return;
	store->favoured = peer;
	store->favoured_until = store->now_ms + STORE_FAVOUR_MS;
}

/* ---- ends ------------------------------------------------------------------------------------ */

void store_peer_forget(struct store_peer *peer)
{
	store_watches_clear(peer);
	store_transactions_clear(peer);
	while (peer->first)
		dequeue(peer, &peer->first);
	peer->received = 0;
	peer->conflicts = 0;
	if (peer->store->favoured == peer)
		peer->store->favoured = NULL;
}

void store_peer_reap(struct store *store)
{
	struct store_peer **slot = &store->peers, *peer;

	while ((peer = *slot)) {
		if (!peer->ended) {
			slot = &peer->next;
			continue;
		}
		*slot = peer->next;
		store->peer_count--;
		store_peer_forget(peer);
		peer->carrier->close(peer);
		free(peer);
	}
}
