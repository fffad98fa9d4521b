/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Transactions: optimistic. One works on a fork of the tree, where its reads see one state of
 * everything, and notes what it has looked at and what it has changed.
 *
 * At its end it conflicts if anything that it looked at (a node, that there is none, the list of a
 * node's children) is not as it was at the start: EAGAIN, and nothing has happened. Otherwise its
 * changes are made to a fork of the live tree, and that becomes the live tree, if the owner's quota
 * still allows: so a commit is there as a whole or not at all. Events are sent then, in the order of
 * the changes. When nobody else has changed anything meanwhile its own tree becomes the live one.
 *
 * A transaction that ran out of memory or notes can do no more than end, and its commit fails.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_TRANSACTION_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_TRANSACTION_H

#include "hypervisor-shim/pv/store_peer.h"

enum store_change_kind {
	STORE_CHANGE_WRITTEN, /* made, written or given other permissions */
	STORE_CHANGE_REMOVED,
};

struct store_change {
	enum store_change_kind kind;
	char *path;
	struct store_node *old; /* as it was; with all below it, when it was removed */
};

struct store_transaction {
	struct store_transaction *next;
	struct store_peer *peer;
	uint32_t id;
	int error; /* why it can only fail */
	struct store_tree base; /* as all was when it began */
	struct store_tree tree; /* as it sees it */
	char **seen;
	unsigned int seen_count;
	struct store_change *changes;
	unsigned int change_count;
	unsigned int removed; /* a guest's: nodes, of all subtrees */
	size_t bytes;
};

/* 0, -ENOSPC or -ENOMEM. */
int store_transaction_start(struct store_peer *peer, uint32_t *id);
/* NULL when the peer has none of that number. */
struct store_transaction *store_transaction_find(struct store_peer *peer, uint32_t id);
/* It is gone afterwards, whatever the answer: 0, -EAGAIN, or its ->error. */
int store_transaction_commit(struct store_transaction *transaction);
void store_transaction_abort(struct store_transaction *transaction);
void store_transactions_clear(struct store_peer *peer);

/* Notes; 0, or ->error. */
int store_transaction_saw(struct store_transaction *transaction, const char *path);
int store_transaction_changed(struct store_transaction *transaction, enum store_change_kind kind,
			      const char *path, const struct store_node *old);

#endif
