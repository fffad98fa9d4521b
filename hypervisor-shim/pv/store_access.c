// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What a domain does to nodes: see store_access.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor-shim/pv/store_access.h"
#include "hypervisor-shim/pv/store_watch.h"

static struct store_tree *tree_of(const struct store_view *view)
{
	return view->transaction ? &view->transaction->tree : &view->store->tree;
}

static int saw(const struct store_view *view, const char *path)
{
	return view->transaction ? store_transaction_saw(view->transaction, path) : 0;
}

static int saw_parent(const struct store_view *view, const char *path, size_t length)
{
	char parent[STORE_ABSOLUTE_PATH_MAX + 1];

	memcpy(parent, path, length);
	parent[length] = 0;
	return saw(view, parent);
}

static struct store_domain *cause_of(const struct store_view *view)
{
	return store_domain_privileged(view->domain) ? NULL : view->domain;
}

static int written(const struct store_view *view, const char *path, const struct store_node *old)
{
	if (view->transaction)
		return store_transaction_changed(view->transaction, STORE_CHANGE_WRITTEN, path,
						 old);
	store_watches_fire(view->store, cause_of(view), path, old);
	return 0;
}

int store_access_node(const struct store_view *view, const char *path, unsigned int want,
		      const struct store_node **node)
{
	const struct store_tree *tree = tree_of(view);
	const struct store_node *above;
	size_t length;
	int error = saw(view, path);

	if (error)
		return error;
	*node = store_tree_find(tree, path);
	if (*node && (store_domain_may(view->domain, *node) & want) == want)
		return 0;
	above = store_tree_above(tree, path, &length);
	if (*node || !(store_domain_may(view->domain, above) & want))
		return -EACCES;
	return -ENOENT;
}

/* ---- quotas ---------------------------------------------------------------------------------- */

static bool fits(const struct store_view *view, unsigned int permissions, unsigned int value,
		 unsigned int names)
{
	return store_domain_privileged(view->domain) ||
	       store_node_bytes(permissions, value, names) <= STORE_QUOTA_NODE_BYTES;
}

/* The nodes that @path needs below @above, which has @length bytes of it. */
static bool may_make(const struct store_view *view, const char *path,
		     const struct store_node *above, size_t length, unsigned int value)
{
	unsigned int owned = store_tree_owned(tree_of(view), view->domain->id);
	unsigned int count = above->permission_count, names = above->names_size, missing = 0;
	const char *name = path + (length > 1 ? length + 1 : 1);
	size_t size;

	if (store_domain_privileged(view->domain))
		return true;
	for (;; name += size + 1) {
		size = strcspn(name, "/");
		missing++;
		if (!fits(view, count, missing == 1 ? above->value_size : 0,
			  names + (unsigned int)size + 1))
			return false;
		names = 0;
		if (!name[size])
			break;
	}
	return fits(view, count, value, 0) && owned + missing <= STORE_QUOTA_NODES;
}

/* ---- changes --------------------------------------------------------------------------------- */

static int make(const struct store_view *view, const char *path, const struct store_value *value)
{
	struct store_tree *tree = tree_of(view);
	size_t length;
	const struct store_node *above = store_tree_above(tree, path, &length);
	struct store_permission *inherited;
	int error = saw_parent(view, path, length);

	if (error)
		return error;
	if (!may_make(view, path, above, length, value->size))
		return -ENOSPC;
	if (value->permission_count) {
		error = store_tree_make(tree, path, value->permissions, value->permission_count,
					value->bytes, value->size);
	} else {
		inherited = malloc(above->permission_count * sizeof(*inherited));
		if (!inherited)
			return -ENOMEM;
		memcpy(inherited, above->permissions, above->permission_count * sizeof(*inherited));
		if (!store_domain_privileged(view->domain))
			inherited->domain = (uint16_t)view->domain->id;
		error = store_tree_make(tree, path, inherited, above->permission_count,
					value->bytes, value->size);
		free(inherited);
	}
	return error ? error : written(view, path, NULL);
}

int store_access_write(const struct store_view *view, const char *path,
		       const struct store_value *value)
{
	const struct store_node *node;
	struct store_node *old;
	int error = store_access_node(view, path, STORE_MAY_WRITE, &node);

	if (error == -ENOENT)
		return make(view, path, value);
	if (error)
		return error;
	if (!fits(view, node->permission_count, value->size, node->names_size))
		return -ENOSPC;
	old = store_node_get(node);
	error = store_tree_write(tree_of(view), path, value->bytes, value->size);
	if (!error)
		error = written(view, path, old);
	store_node_put(old);
	return error;
}

int store_access_make(const struct store_view *view, const char *path)
{
	const struct store_value empty = {.size = 0};
	const struct store_node *node;
	int error = store_access_node(view, path, STORE_MAY_WRITE, &node);

	return error == -ENOENT ? make(view, path, &empty) : error;
}

int store_access_remove(const struct store_view *view, const char *path)
{
	size_t length = store_path_parent(path), above_length;
	const struct store_node *node;
	struct store_node *removed;
	int error = store_access_node(view, path, STORE_MAY_WRITE, &node);

	if (error == -ENOENT) {
		store_tree_above(tree_of(view), path, &above_length);
		return above_length == length ? 0 : -ENOENT;
	}
	if (!error && !length) /* "/" */
		return -EINVAL;
	if (!error)
		error = saw_parent(view, path, length);
	if (!error)
		error = store_tree_remove(tree_of(view), path, &removed);
	if (error)
		return error;
	if (view->transaction)
		error = store_transaction_changed(view->transaction, STORE_CHANGE_REMOVED, path,
						  removed);
	else
		store_watches_fire_removed(view->store, cause_of(view), path, removed);
	store_node_put(removed);
	return error;
}

int store_access_permit(const struct store_view *view, const char *path,
			const struct store_permission *permissions, unsigned int count)
{
	const struct store_node *node;
	struct store_node *old;
	int error = store_access_node(view, path, STORE_MAY_WRITE | STORE_MAY_OWN, &node);

	if (error)
		return error;
	if (!store_domain_privileged(view->domain) &&
	    permissions->domain != node->permissions->domain)
		return -EPERM;
	if (!fits(view, count, node->value_size, node->names_size))
		return -ENOSPC;
	old = store_node_get(node);
	error = store_tree_permit(tree_of(view), path, permissions, count);
	if (!error)
		error = written(view, path, old);
	store_node_put(old);
	return error;
}
