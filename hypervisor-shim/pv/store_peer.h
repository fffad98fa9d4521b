/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A peer: somebody who is connected to the store, over whatever carrier. Its requests come in one by
 * one, its answers and events queue up until the carrier takes them.
 *
 * The store's thread serves peers in turns, one request each, and never waits for one of them. What
 * a peer may cost, beyond the quotas of its domain:
 *
 *	answers that it does not read		at STORE_QUOTA_OUTSTANDING no request of its is read
 *	events for others that they do not	the same, for whoever caused them, unless domain 0: so
 *	read					nobody fills another one's queue, nor ends it
 *	events that it does not read		equal ones are sent once. Over a ring they are dropped
 *						for want of memory, or when they get too old; a stream is
 *						ended, since its user would not know that it missed some
 *	a broken header				a ring is ignored until the guest reconnects, a stream is
 *						ended
 *
 * A transaction of domain 0 that fails again and again, because a guest writes what it reads without
 * ever stopping, has the guests wait for a moment: store_peer_committed().
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_PEER_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_PEER_H

#include <sys/types.h>

#include "abi/store.h"
#include "hypervisor-shim/pv/store_domain.h"

#define STORE_PEERS_MAX     256
#define STORE_EVENT_AGE_MS  20000 /* Xen's */
#define STORE_CONFLICTS_MAX 3
#define STORE_FAVOUR_MS     100

struct store_watch;
struct store_transaction;

struct store_packet {
	struct store_packet *next;
	struct store_domain *cause; /* who waits for its delivery, or NULL */
	uint64_t queued_ms;
	unsigned int size, sent;
	uint32_t hash; /* of an event's bytes: most that differ, differ here */
	bool event;
	uint8_t bytes[]; /* header and payload */
};

struct store_carrier {
	/* What went through, 0 for "not now", or -errno: it is over. */
	ssize_t (*read)(struct store_peer *peer, void *data, size_t size);
	ssize_t (*write)(struct store_peer *peer, const void *data, size_t size);
	/* ->fd is ready as poll() says in @events. */
	void (*ready)(struct store_peer *peer, short events);
	/* Whether ->read would give something; a stream leaves that to poll(). */
	bool (*waiting)(struct store_peer *peer);
	/* After a turn. */
	void (*flush)(struct store_peer *peer);
	/* The peer broke the protocol. */
	void (*fail)(struct store_peer *peer, enum store_ring_error error);
	void (*close)(struct store_peer *peer);
	bool drops_events; /* rather than ending */
};

struct store_peer {
	struct store_peer *next;
	struct store *store;
	struct store_domain *domain;
	const struct store_carrier *carrier;
	int fd; /* to be polled: the socket, or the guest's notifications */
	bool ended; /* to be freed when nobody walks over the peers */
	bool ignored; /* a ring until it reconnects */
	bool unanswered; /* for want of memory */

	/* The request that is coming in. */
	struct store_header header;
	unsigned int received; /* of header and payload */
	char payload[STORE_PAYLOAD_MAX];

	struct store_packet *first, **last;
	unsigned int answers; /* in that queue */
	uint64_t progress_ms; /* when the carrier last took something */
	size_t bytes;

	struct store_watch *watches; /* in the order of their setting */
	struct store_transaction *transactions;
	uint32_t next_transaction;
	unsigned int conflicts; /* in a row */

	/* A ring; the indices of our own that the guest sees only a copy of. */
	struct store_ring_page *page;
	int kick;
	uint32_t request_consumer, response_producer;
	bool notify;
};

/* The last of the peers; freed by store_peer_reap(). NULL without memory. */
struct store_peer *store_peer_new(struct store *store, unsigned int domain,
				  const struct store_carrier *carrier, int fd);
/* Drops all that it has under way, not the connection. */
void store_peer_forget(struct store_peer *peer);
/* Frees those that have ended. */
void store_peer_reap(struct store *store);

/* What to poll ->fd for. */
short store_peer_events(const struct store_peer *peer);
/* At most one request, and what the carrier takes of the answers. */
void store_peer_turn(struct store_peer *peer, short events);
/* The latter alone, for events that others caused. */
void store_peer_flush(struct store_peer *peer);
/* Whether another turn would get on without poll() saying so. */
bool store_peer_busy(struct store_peer *peer);
/* Drops or ends what waits for too long. */
void store_peer_expire(struct store_peer *peer);

/* The answer to the request in ->header: of its type, or STORE_ERROR. */
void store_peer_answer(struct store_peer *peer, const void *payload, unsigned int size);
void store_peer_error(struct store_peer *peer, int error);
void store_peer_event(struct store_peer *peer, struct store_domain *cause, const char *path,
		      const char *token);

/* Whether @bytes more are within what its domain may have. */
bool store_peer_affords(const struct store_peer *peer, size_t bytes);
void store_peer_account(struct store_peer *peer, ssize_t bytes);

/* How the last transaction ended. */
void store_peer_committed(struct store_peer *peer, bool conflict);

/* store_stream.c: takes over @fd, a connected socket. */
struct store_peer *store_stream_new(struct store *store, unsigned int domain, int fd);
/* store_ring.c */
struct store_peer *store_ring_new(struct store *store, unsigned int domain,
				  struct store_ring_page *page, int kicked, int kick);
/* All indices to 0, connected, nothing under way. */
void store_ring_reset(struct store_peer *peer);

/* store_request.c: answers what is in ->header and ->payload. */
void store_request(struct store_peer *peer);

#endif
