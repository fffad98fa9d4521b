/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The store as its thread sees it, and what each domain costs: everything here belongs to the
 * store's thread alone (store.c), so nothing is locked.
 *
 * Quotas are a domain's, not a connection's, for a domain may have several connections. Domain 0 has
 * none, as on Xen; but a connection of any domain that lets its messages lie is ended, see
 * store_peer.h, or it would fill our memory.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_DOMAIN_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_DOMAIN_H

#include "hypervisor-shim/pv/store_tree.h"

struct store_peer;

/*
 * What watches, transactions and unread messages may take: of a domain, or of one connection of
 * domain 0. Not more, for each event is looked for among the unread ones.
 */
#define STORE_MEMORY_MAX (1U << 20)

/* Xen's: nodes that one transaction may touch. */
#define STORE_TRANSACTION_NODES 1024

struct store_domain {
	struct store_domain *next;
	unsigned int id;
	bool introduced;
	int target; /* whose rights it has too; -1: none */
	unsigned int watches, transactions;
	unsigned int outstanding; /* messages that it caused and nobody has read yet */
	size_t bytes;
};

struct store {
	struct store_tree tree;
	uint64_t generation;
	uint64_t now_ms;
	unsigned int guest;
	struct store_domain *domains; /* live as long as the store */
	struct store_peer *peers; /* in the order in which they came */
	struct store_peer *favoured; /* whose transactions failed too often: see store_peer.h */
	uint64_t favoured_until;
	unsigned int peer_count;
	unsigned int refused_events; /* for CONTROL */
};

/* The tree of a new store: /tool and /local/domain/@guest. 0 or -errno. */
int store_domain_open(struct store *store, unsigned int guest);
void store_domain_close(struct store *store);

/* Made when it is not there; NULL without memory. */
struct store_domain *store_domain_get(struct store *store, unsigned int id);
/* NULL when nobody has heard of it. */
struct store_domain *store_domain_find(const struct store *store, unsigned int id);

bool store_domain_privileged(const struct store_domain *domain);
/* STORE_MAY_* of @domain on @node; none where there is no node. */
unsigned int store_domain_may(const struct store_domain *domain, const struct store_node *node);

#endif
