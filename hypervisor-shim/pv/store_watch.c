// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Watches: see store_watch.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor-shim/pv/store_watch.h"

/* ---- the list -------------------------------------------------------------------------------- */

static struct store_watch **slot_of(struct store_peer *peer, const char *path, const char *token)
{
	struct store_watch **slot = &peer->watches;

	while (*slot && (strcmp((*slot)->path, path) || strcmp((*slot)->token, token)))
		slot = &(*slot)->next;
	return slot;
}

int store_watches_add(struct store_peer *peer, const char *path, unsigned int before,
		      const char *token, int depth)
{
	struct store_watch **slot = slot_of(peer, path, token), *watch;
	size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;
	size_t bytes = sizeof(*watch) + path_size + token_size;

	if (*slot)
		return -EEXIST;
	if (!store_domain_privileged(peer->domain) && peer->domain->watches >= STORE_QUOTA_WATCHES)
		return -E2BIG;
	if (!store_peer_affords(peer, bytes))
		return -ENOMEM;
	watch = calloc(1, bytes);
	if (!watch)
		return -ENOMEM;
	memcpy(watch->path, path, path_size);
	memcpy(watch->path + path_size, token, token_size);
	watch->token = watch->path + path_size;
	watch->before = before;
	watch->depth = depth;
	watch->bytes = bytes;
	store_peer_account(peer, (ssize_t)bytes);
	peer->domain->watches++;
	*slot = watch;
	return 0;
}

static void drop(struct store_peer *peer, struct store_watch **slot)
{
	struct store_watch *watch = *slot;

	*slot = watch->next;
	peer->domain->watches--;
	store_peer_account(peer, -(ssize_t)watch->bytes);
	free(watch);
}

int store_watches_remove(struct store_peer *peer, const char *path, const char *token)
{
	struct store_watch **slot = slot_of(peer, path, token);

	if (!*slot)
		return -ENOENT;
	drop(peer, slot);
	return 0;
}

void store_watches_clear(struct store_peer *peer)
{
	while (peer->watches)
		drop(peer, &peer->watches);
}

/* ---- events ---------------------------------------------------------------------------------- */

enum match {
	MATCH_BELOW, /* the watch is on the path, or above it */
	MATCH_EXACT,
};

struct change {
	struct store *store;
	struct store_domain *cause;
	enum match match;
	const char *root; /* of what is removed */
};

static bool matches(const struct store_watch *watch, const char *path, enum match match)
{
	size_t length = strlen(watch->path);
	const char *c;
	int depth = 0;

	if (match == MATCH_EXACT)
		return !strcmp(watch->path, path);
	if (strncmp(watch->path, path, length) || *path == '@')
		return false;
	if (length == 1) /* "/" is above all, and its slash is the first of each path */
		length = 0;
	if (path[length] && path[length] != '/')
		return false;
	if (watch->depth == STORE_DEPTH_ANY)
		return true;
	for (c = path + length; *c; c++)
		depth += *c == '/' && c[1];
	return depth <= watch->depth;
}

static void tell_peer(struct store_peer *peer, struct store_domain *cause, const char *path,
		      enum match match)
{
	const struct store_watch *watch;

	for (watch = peer->watches; watch; watch = watch->next)
		if (matches(watch, path, match))
			store_peer_event(peer, cause, path + watch->before, watch->token);
}

static void tell(const struct change *change, const char *path, const struct store_node *old)
{
	const struct store_tree *tree = &change->store->tree;
	const struct store_node *new = store_tree_find(tree, path);
	struct store_peer *peer;
	size_t length;
	const struct store_node *above = store_tree_above(tree, path, &length);

	for (peer = change->store->peers; peer; peer = peer->next)
		if (peer->watches &&
		    (store_domain_may(peer->domain, old) | store_domain_may(peer->domain, new) |
		     store_domain_may(peer->domain, above)) &
			    STORE_MAY_READ)
			tell_peer(peer, change->cause, path, change->match);
}

void store_watches_fire(struct store *store, struct store_domain *cause, const char *path,
			const struct store_node *old)
{
	const struct change change = {.store = store, .cause = cause, .match = MATCH_BELOW};

	tell(&change, path, old);
}

static void tell_removed(void *context, const struct store_node *node, const char *path)
{
	struct change *change = context;

	change->match = strcmp(path, change->root) ? MATCH_EXACT : MATCH_BELOW;
	tell(change, path, node);
}

void store_watches_fire_removed(struct store *store, struct store_domain *cause, const char *path,
				const struct store_node *removed)
{
	struct change change = {.store = store, .cause = cause, .root = path};

	store_node_walk(removed, path, tell_removed, &change);
}

void store_watches_fire_special(struct store *store, const char *name, unsigned int domain)
{
	const struct store_node *node = store_tree_find(&store->tree, name);
	const struct store_watch *watch;
	struct store_peer *peer;
	char which[64];

	snprintf(which, sizeof(which), "%s/%u", name, domain);
	for (peer = store->peers; peer; peer = peer->next) {
		if (!(store_domain_may(peer->domain, node) & STORE_MAY_READ))
			continue;
		for (watch = peer->watches; watch; watch = watch->next) {
			if (!strcmp(watch->path, which))
				store_peer_event(peer, NULL, which, watch->token);
			else if (!strcmp(watch->path, name))
				store_peer_event(peer, NULL, watch->depth == 1 ? which : name,
						 watch->token);
		}
	}
}
