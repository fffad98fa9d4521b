/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a domain does to nodes, directly or in a transaction: permissions, quotas of nodes and
 * their size, notes or events.
 *
 * A domain that may not look at a node's parent is told EACCES, whether the node is there or not.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_ACCESS_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_ACCESS_H

#include "hypervisor-shim/pv/store_transaction.h"

struct store_view {
	struct store *store;
	struct store_domain *domain;
	struct store_transaction *transaction; /* or NULL */
};

/* The node, if the domain may do all of @want (STORE_MAY_*) to it: 0, -ENOENT, -EACCES, -ENOSPC. */
int store_access_node(const struct store_view *view, const char *path, unsigned int want,
		      const struct store_node **node);

struct store_value {
	const void *bytes;
	unsigned int size;
	/* For nodes that are new, or count 0: as the parent has them, owned by who makes them. */
	const struct store_permission *permissions;
	unsigned int permission_count;
};

/* With all parents that are missing. */
int store_access_write(const struct store_view *view, const char *path,
		       const struct store_value *value);
int store_access_make(const struct store_view *view, const char *path);
int store_access_remove(const struct store_view *view, const char *path);
int store_access_permit(const struct store_view *view, const char *path,
			const struct store_permission *permissions, unsigned int count);

#endif
