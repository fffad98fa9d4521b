// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Transactions: see store_transaction.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor-shim/pv/store_transaction.h"
#include "hypervisor-shim/pv/store_watch.h"

/* ---- notes ----------------------------------------------------------------------------------- */

static int doomed(struct store_transaction *transaction, int error)
{
	if (!transaction->error)
		transaction->error = error;
	return transaction->error;
}

/* A copy of @path, and room for one more entry of @size bytes in *table. NULL: doomed. */
static char *note(struct store_transaction *transaction, void **table, unsigned int count,
		  size_t size, const char *path)
{
	size_t bytes = size + strlen(path) + 1;
	void *grown;
	char *copy;

	if (transaction->error)
		return NULL;
	if (count >= STORE_TRANSACTION_NODES || !store_peer_affords(transaction->peer, bytes)) {
		doomed(transaction, -ENOSPC);
		return NULL;
	}
	grown = count & (count - 1) ? *table : realloc(*table, (count ? 2 * count : 1) * size);
	if (grown)
		*table = grown;
	copy = grown ? strdup(path) : NULL;
	if (!copy) {
		doomed(transaction, -ENOMEM);
		return NULL;
	}
	transaction->bytes += bytes;
	store_peer_account(transaction->peer, (ssize_t)bytes);
	return copy;
}

int store_transaction_saw(struct store_transaction *transaction, const char *path)
{
	unsigned int i;
	char *copy;

	for (i = 0; i < transaction->seen_count; i++)
		if (!strcmp(transaction->seen[i], path))
			return transaction->error;
	copy = note(transaction, (void **)&transaction->seen, transaction->seen_count,
		    sizeof(*transaction->seen), path);
	if (copy)
		transaction->seen[transaction->seen_count++] = copy;
	return transaction->error;
}

/*
 * Each path needs one note for all its writes, as what is written in the end is in the tree; but
 * not across a removal, which must be made between the two.
 */
static bool noted(const struct store_transaction *transaction, const char *path)
{
	unsigned int i = transaction->change_count;

	while (i-- && transaction->changes[i].kind == STORE_CHANGE_WRITTEN)
		if (!strcmp(transaction->changes[i].path, path))
			return true;
	return false;
}

struct weight {
	unsigned int nodes;
	size_t bytes;
};

static void weigh(void *context, const struct store_node *node, const char *path)
{
	struct weight *weight = context;

	weight->nodes++;
	weight->bytes += sizeof(*node) + node->value_size;
}

/*
 * One note removes any number of nodes: each lives on until the end, and the commit tells the
 * watches of each. So a guest that makes and removes them in turns pays for every one.
 */
static int charge_removed(struct store_transaction *transaction, const char *path,
			  const struct store_node *removed)
{
	struct weight weight = {0};

	if (transaction->error || store_domain_privileged(transaction->peer->domain))
		return transaction->error;
	store_node_walk(removed, path, weigh, &weight);
	if (weight.nodes > STORE_TRANSACTION_NODES - transaction->removed ||
	    !store_peer_affords(transaction->peer, weight.bytes))
		return doomed(transaction, -ENOSPC);
	transaction->removed += weight.nodes;
	transaction->bytes += weight.bytes;
	store_peer_account(transaction->peer, (ssize_t)weight.bytes);
	return 0;
}

int store_transaction_changed(struct store_transaction *transaction, enum store_change_kind kind,
			      const char *path, const struct store_node *old)
{
	char *copy;

	if (kind == STORE_CHANGE_WRITTEN && noted(transaction, path))
		return transaction->error;
	if (kind == STORE_CHANGE_REMOVED && charge_removed(transaction, path, old))
		return transaction->error;
	copy = note(transaction, (void **)&transaction->changes, transaction->change_count,
		    sizeof(*transaction->changes), path);
	if (copy)
		transaction->changes[transaction->change_count++] = (struct store_change){
			.kind = kind,
			.path = copy,
			.old = store_node_get(old),
		};
	return transaction->error;
}

/* ---- start and end --------------------------------------------------------------------------- */

struct store_transaction *store_transaction_find(struct store_peer *peer, uint32_t id)
{
	struct store_transaction *transaction = peer->transactions;

	while (transaction && transaction->id != id)
		transaction = transaction->next;
	return transaction;
}

int store_transaction_start(struct store_peer *peer, uint32_t *id)
{
	struct store_transaction *transaction;
	struct store_domain *domain = peer->domain;

	if (!store_domain_privileged(domain) && domain->transactions >= STORE_QUOTA_TRANSACTIONS)
		return -ENOSPC;
	if (!store_peer_affords(peer, sizeof(*transaction)))
		return -ENOMEM;
	transaction = calloc(1, sizeof(*transaction));
	if (!transaction)
		return -ENOMEM;
	if (store_tree_fork(&transaction->base, &peer->store->tree) < 0 ||
	    store_tree_fork(&transaction->tree, &peer->store->tree) < 0) {
		store_tree_close(&transaction->base);
		free(transaction);
		return -ENOMEM;
	}
	do
		transaction->id = peer->next_transaction++;
	while (!transaction->id || store_transaction_find(peer, transaction->id));
	transaction->peer = peer;
	transaction->bytes = sizeof(*transaction);
	store_peer_account(peer, (ssize_t)transaction->bytes);
	domain->transactions++;
	transaction->next = peer->transactions;
	peer->transactions = transaction;
	*id = transaction->id;
	return 0;
}

void store_transaction_abort(struct store_transaction *transaction)
{
	struct store_peer *peer = transaction->peer;
	struct store_transaction **slot = &peer->transactions;
	unsigned int i;

	while (*slot != transaction)
		slot = &(*slot)->next;
	*slot = transaction->next;
	peer->domain->transactions--;
	store_peer_account(peer, -(ssize_t)transaction->bytes);
	for (i = 0; i < transaction->seen_count; i++)
		free(transaction->seen[i]);
	for (i = 0; i < transaction->change_count; i++) {
		free(transaction->changes[i].path);
		store_node_put(transaction->changes[i].old);
	}
	free(transaction->seen);
	free(transaction->changes);
	store_tree_close(&transaction->base);
	store_tree_close(&transaction->tree);
	free(transaction);
}

void store_transactions_clear(struct store_peer *peer)
{
	while (peer->transactions)
		store_transaction_abort(peer->transactions);
}

/* ---- commit ---------------------------------------------------------------------------------- */

static bool conflicts(const struct store_transaction *transaction, const struct store_tree *live)
{
	unsigned int i;

	for (i = 0; i < transaction->seen_count; i++)
		if (store_tree_generation(&transaction->base, transaction->seen[i]) !=
		    store_tree_generation(live, transaction->seen[i]))
			return true;
	return false;
}

static int make_like(struct store_tree *tree, const char *path, const struct store_node *node)
{
	return store_tree_make(tree, path, node->permissions, node->permission_count, node->value,
			       node->value_size);
}

/* What is missing above @path; each as the transaction has it, for a parent's may differ. */
static int make_above(struct store_tree *tree, const struct store_tree *from, const char *path)
{
	char part[STORE_ABSOLUTE_PATH_MAX + 1];
	size_t start, length, whole = store_path_parent(path);
	int error = 0;

	store_tree_above(tree, path, &length);
	while (length < whole && !error) {
		start = length > 1 ? length + 1 : 1; /* behind a slash */
		length = start + strcspn(path + start, "/");
		memcpy(part, path, length);
		part[length] = 0;
		error = make_like(tree, part, store_tree_find(from, part));
	}
	return error;
}

/* @path as it is in @from. */
static int write_like(struct store_tree *tree, const struct store_tree *from, const char *path)
{
	const struct store_node *node = store_tree_find(from, path);
	int error;

	if (!node) /* removed again; that comes later */
		return 0;
	if (!store_tree_find(tree, path)) {
		error = make_above(tree, from, path);
		return error ? error : make_like(tree, path, node);
	}
	error = store_tree_write(tree, path, node->value, node->value_size);
	if (!error)
		error = store_tree_permit(tree, path, node->permissions, node->permission_count);
	return error;
}

static int remove_from(struct store_tree *tree, const char *path)
{
	struct store_node *removed;
	int error = store_tree_remove(tree, path, &removed);

	if (!error)
		store_node_put(removed);
	return error == -ENOENT ? 0 : error;
}

/* The changes on top of what others have done since. */
static int merge(struct store_transaction *transaction, struct store_tree *merged)
{
	const struct store_domain *domain = transaction->peer->domain;
	const struct store_tree *live = &transaction->peer->store->tree;
	const struct store_change *change = transaction->changes;
	const struct store_change *end = change + transaction->change_count;
	unsigned int owned;
	int error = store_tree_fork(merged, live);

	for (; change != end && !error; change++)
		error = change->kind == STORE_CHANGE_REMOVED
				? remove_from(merged, change->path)
				: write_like(merged, &transaction->tree, change->path);
	owned = store_tree_owned(merged, domain->id);
	if (!error && !store_domain_privileged(domain) && owned > STORE_QUOTA_NODES &&
	    owned > store_tree_owned(live, domain->id))
		error = -ENOSPC;
	if (error)
		store_tree_close(merged);
	return error;
}

static void fire(const struct store_transaction *transaction)
{
	struct store_peer *peer = transaction->peer;
	struct store_domain *cause = store_domain_privileged(peer->domain) ? NULL : peer->domain;
	const struct store_change *change = transaction->changes;
	const struct store_change *end = change + transaction->change_count;

	for (; change != end; change++)
		if (change->kind == STORE_CHANGE_REMOVED)
			store_watches_fire_removed(peer->store, cause, change->path, change->old);
		else
			store_watches_fire(peer->store, cause, change->path, change->old);
}

int store_transaction_commit(struct store_transaction *transaction)
{
	struct store_tree *live = &transaction->peer->store->tree;
	struct store_tree new;
	int error = transaction->error;

	if (!error && transaction->change_count && live->top == transaction->base.top) {
		new = transaction->tree;
		transaction->tree = (struct store_tree){0};
	} else if (!error && conflicts(transaction, live)) {
		error = -EAGAIN;
	} else if (!error) {
		error = merge(transaction, &new);
	}
	if (!error) {
		store_tree_close(live);
		*live = new;
		fire(transaction);
	}
	store_peer_committed(transaction->peer, error == -EAGAIN);
	store_transaction_abort(transaction);
	return error;
}
