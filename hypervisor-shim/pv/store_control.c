// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The store as a whole: see store_control.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "hypervisor-shim/pv/store_control.h"
#include "hypervisor-shim/pv/store_peer.h"
#include "hypervisor-shim/pv/store_watch.h"

static struct store_peer *guest_ring(const struct store *store)
{
	struct store_peer *peer = store->peers;

	while (peer && (!peer->page || peer->ended))
		peer = peer->next;
	return peer;
}

int store_guest_introduce(struct store *store)
{
	struct store_domain *guest = store_domain_find(store, store->guest);
	struct store_peer *ring = guest_ring(store);

	if (!ring)
		return -EINVAL;
	if (!guest->introduced)
		store_ring_reset(ring);
	guest->introduced = true;
	store_watches_fire_special(store, STORE_WATCH_INTRODUCE, guest->id);
	return 0;
}

int store_guest_release(struct store *store)
{
	struct store_domain *guest = store_domain_find(store, store->guest);
	struct store_peer *ring = guest_ring(store);

	if (!guest->introduced)
		return -ENOENT;
	guest->introduced = false;
	if (ring) {
		store_peer_forget(ring);
		ring->ignored = true;
	}
	store_watches_fire_special(store, STORE_WATCH_RELEASE, guest->id);
	return 0;
}

/* ---- CONTROL --------------------------------------------------------------------------------- */

static void recount(void *context, const struct store_node *node, const char *path)
{
	unsigned int *nodes = context;

	(*nodes)++;
}

/* Whether what was counted one by one is what is there. */
static int control_check(struct store *store, const char *argument, char *text, size_t size)
{
	unsigned int counted = 0, there = 0, i;

	for (i = 0; i < store->tree.count_entries; i++)
		counted += store->tree.counts[i].nodes;
	for (i = 0; i < store->tree.top->child_count; i++)
		store_node_walk(store->tree.top->children[i], store->tree.top->children[i]->name,
				recount, &there);
	snprintf(text, size, "%u nodes, %u accounted for: %s", there, counted,
		 there == counted ? "OK" : "WRONG");
	return there == counted ? 0 : -EIO;
}

static int control_quota(struct store *store, const char *argument, char *text, size_t size)
{
	const struct store_domain *domain;
	int used = 0;

	for (domain = store->domains; domain && (size_t)used < size; domain = domain->next)
		used += snprintf(text + used, size - (size_t)used,
				 "domain %u: %u nodes, %u watches, %u transactions, "
				 "%u messages for others, %zu bytes\n",
				 domain->id, store_tree_owned(&store->tree, domain->id),
				 domain->watches, domain->transactions, domain->outstanding,
				 domain->bytes);
	if ((size_t)used < size)
		snprintf(text + used, size - (size_t)used, "%u connections, %u events lost",
			 store->peer_count, store->refused_events);
	return 0;
}

static int control_print(struct store *store, const char *argument, char *text, size_t size)
{
	log_warn("store: %s", argument);
	snprintf(text, size, "OK");
	return 0;
}

static int control_help(struct store *store, const char *argument, char *text, size_t size)
{
	snprintf(text, size, "check\nhelp\nprint|TEXT\nquota");
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct store *store, const char *argument, char *text, size_t size);
} commands[] = {
	{"check", control_check},
	{"help", control_help},
	{"print", control_print},
	{"quota", control_quota},
};

int store_control(struct store *store, const char *command, const char *argument, char *text,
		  size_t size)
{
	unsigned int i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, command))
			return commands[i].run(store, argument, text, size);
	return -EINVAL;
}
