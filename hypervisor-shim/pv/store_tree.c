// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The store's tree: see store_tree.h for what is shared and why.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi/store.h"
#include "hypervisor-shim/pv/store_tree.h"

/* Each name takes a byte and a slash at least. Above them: "/" and the node without a name. */
#define DEPTH_MAX (STORE_ABSOLUTE_PATH_MAX / 2 + 3)

/* The names of a path one by one: "/" first, or the whole name of a special node. */
struct names {
	const char *name;
	size_t length;
	const char *rest, *end;
};

static struct names names_of(const char *path, size_t length)
{
	return (struct names){.rest = path, .end = path + length};
}

static bool next_name(struct names *names)
{
	const char *slash;

	if (names->rest == names->end)
		return false;
	if (!names->name) { /* the first */
		names->name = names->rest;
		names->length = *names->rest == '/' ? 1 : (size_t)(names->end - names->rest);
		names->rest += names->length;
		return true;
	}
	names->name = names->rest;
	slash = memchr(names->rest, '/', (size_t)(names->end - names->rest));
	names->length = (size_t)((slash ? slash : names->end) - names->rest);
	names->rest = slash ? slash + 1 : names->end;
	return true;
}

size_t store_path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (*path != '/' || !path[1])
		return 0;
	return slash == path ? 1 : (size_t)(slash - path);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void *copy_of(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);

	if (copy && size)
		memcpy(copy, data, size);
	return copy;
}

static struct store_node *node_new(const char *name, size_t length,
				   const struct store_permission *permissions, unsigned int count)
{
	struct store_node *node = calloc(1, sizeof(*node) + length + 1);

	if (!node)
		return NULL;
	memcpy(node->name, name, length);
	node->permissions = copy_of(permissions, count * sizeof(*permissions));
	if (!node->permissions) {
		free(node);
		return NULL;
	}
	node->permission_count = count;
	node->references = 1;
	return node;
}

struct store_node *store_node_get(const struct store_node *node)
{
	struct store_node *counted = (struct store_node *)node;

	if (counted)
		counted->references++;
	return counted;
}

void store_node_put(struct store_node *node)
{
	struct store_node *dead = node, *child;
	unsigned int i;

	if (!node || --node->references)
		return;
	node->next_dead = NULL;
	while ((node = dead)) {
		dead = node->next_dead;
		for (i = 0; i < node->child_count; i++) {
			child = node->children[i];
			if (--child->references)
				continue;
			child->next_dead = dead;
			dead = child;
		}
		free(node->permissions);
		free(node->value);
		free(node->children);
		free(node);
	}
}

/* A copy with the same generation: nothing has changed yet. */
static struct store_node *node_copy(const struct store_node *node)
{
	struct store_node *copy =
		node_new(node->name, strlen(node->name), node->permissions, node->permission_count);
	unsigned int i;

	if (!copy)
		return NULL;
	copy->value = copy_of(node->value, node->value_size);
	copy->children = copy_of(node->children, node->child_count * sizeof(struct store_node *));
	if (!copy->value || !copy->children) {
		store_node_put(copy);
		return NULL;
	}
	copy->value_size = node->value_size;
	copy->names_size = node->names_size;
	copy->generation = node->generation;
	for (i = 0; i < node->child_count; i++)
		store_node_get(node->children[i]);
	copy->child_count = node->child_count;
	copy->child_room = node->child_count;
	return copy;
}

static struct store_node **slot_of(const struct store_node *node, const char *name, size_t length)
{
	unsigned int i;

	for (i = 0; i < node->child_count; i++)
		if (!strncmp(node->children[i]->name, name, length) &&
		    !node->children[i]->name[length])
			return &node->children[i];
	return NULL;
}

static int node_add(struct store_node *parent, struct store_node *child)
{
	unsigned int room = parent->child_room ? 2 * parent->child_room : 4;
	struct store_node **children = parent->children;

	if (parent->child_count == parent->child_room) {
		children = realloc(children, room * sizeof(*children));
		if (!children)
			return -ENOMEM;
		parent->children = children;
		parent->child_room = room;
	}
	children[parent->child_count++] = child;
	parent->names_size += (unsigned int)strlen(child->name) + 1;
	return 0;
}

unsigned int store_node_bytes(unsigned int permissions, unsigned int value, unsigned int names)
{
	/* A header's share is Xen's, so that what fits there fits here. */
	return 24 + permissions * 8 + value + names;
}

static const struct store_node *find_below(const struct store_node *node, struct names names)
{
	struct store_node **slot;

	while (next_name(&names)) {
		slot = slot_of(node, names.name, names.length);
		if (!slot)
			return NULL;
		node = *slot;
	}
	return node;
}

const struct store_node *store_node_below(const struct store_node *node, const char *top,
					  const char *path)
{
	struct names names = names_of(path, strlen(path));

	names.name = path; /* not the first one any more */
	names.rest += strlen(top);
	if (*names.rest == '/')
		names.rest++;
	return find_below(node, names);
}

void store_node_walk(const struct store_node *node, const char *path,
		     void (*visit)(void *context, const struct store_node *node, const char *path),
		     void *context)
{
	struct {
		const struct store_node *node;
		unsigned int next;
		size_t length; /* of its path */
	} stack[DEPTH_MAX], *top = stack;
	char at[STORE_ABSOLUTE_PATH_MAX + 2];
	const struct store_node *child;
	size_t length = strlen(path);

	memcpy(at, path, length + 1);
	top->node = node;
	top->next = 0;
	top->length = length;
	for (;;) {
		if (top->next == top->node->child_count) {
			at[top->length] = 0;
			visit(context, top->node, at);
			if (top-- == stack)
				return;
			continue;
		}
		child = top->node->children[top->next++];
		length = top->length == 1 ? 0 : top->length; /* "/" has its slash already */
		at[length++] = '/';
		strcpy(at + length, child->name);
		top++;
		top->node = child;
		top->next = 0;
		top->length = length + strlen(child->name);
	}
}

/* ---- trees ----------------------------------------------------------------------------------- */

static struct store_count *count_of(const struct store_tree *tree, unsigned int domain)
{
	unsigned int i;

	for (i = 0; i < tree->count_entries; i++)
		if (tree->counts[i].domain == domain)
			return &tree->counts[i];
	return NULL;
}

/* Sees to it that counting nodes of @domain cannot fail later. */
static int count_ready(struct store_tree *tree, unsigned int domain)
{
	struct store_count *counts;

	if (count_of(tree, domain))
		return 0;
	counts = realloc(tree->counts, (tree->count_entries + 1) * sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	counts[tree->count_entries++] = (struct store_count){.domain = domain};
	tree->counts = counts;
	return 0;
}

unsigned int store_tree_owned(const struct store_tree *tree, unsigned int domain)
{
	const struct store_count *count = count_of(tree, domain);

	return count ? count->nodes : 0;
}

int store_tree_open(struct store_tree *tree, uint64_t *generation)
{
	static const char *const names[] = {"/", STORE_WATCH_INTRODUCE, STORE_WATCH_RELEASE};
	static const struct store_permission nobody = {.domain = 0};
	struct store_node *node;
	unsigned int i;

	*tree = (struct store_tree){.generation = generation};
	tree->top = node_new("", 0, &nobody, 1);
	if (!tree->top || count_ready(tree, nobody.domain) < 0)
		goto no_memory;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		node = node_new(names[i], strlen(names[i]), &nobody, 1);
		if (!node || node_add(tree->top, node) < 0) {
			store_node_put(node);
			goto no_memory;
		}
		node->generation = ++*generation;
		tree->counts->nodes++;
	}
	return 0;
no_memory:
	store_tree_close(tree);
	return -ENOMEM;
}

int store_tree_fork(struct store_tree *fork, const struct store_tree *tree)
{
	*fork = *tree;
	fork->counts = copy_of(tree->counts, tree->count_entries * sizeof(*tree->counts));
	if (!fork->counts) {
		fork->top = NULL;
		return -ENOMEM;
	}
	store_node_get(tree->top);
	return 0;
}

void store_tree_close(struct store_tree *tree)
{
	store_node_put(tree->top);
	free(tree->counts);
	*tree = (struct store_tree){0};
}

const struct store_node *store_tree_find(const struct store_tree *tree, const char *path)
{
	return find_below(tree->top, names_of(path, strlen(path)));
}

const struct store_node *store_tree_above(const struct store_tree *tree, const char *path,
					  size_t *length)
{
	struct names names = names_of(path, store_path_parent(path));
	const struct store_node *node = *slot_of(tree->top, "/", 1);
	struct store_node **slot;

	*length = next_name(&names); /* "/" */
	while (next_name(&names)) {
		slot = slot_of(node, names.name, names.length);
		if (!slot)
			break;
		node = *slot;
		*length = (size_t)(names.name + names.length - path);
	}
	return node;
}

uint64_t store_tree_generation(const struct store_tree *tree, const char *path)
{
	const struct store_node *node = store_tree_find(tree, path);

	return node ? node->generation : 0;
}

/* Makes the node our own: nobody else sees what is written to it. */
static struct store_node *own(struct store_node **slot)
{
	struct store_node *copy;

	if ((*slot)->references == 1)
		return *slot;
	copy = node_copy(*slot);
	if (!copy)
		return NULL;
	store_node_put(*slot);
	*slot = copy;
	return copy;
}

/* The node for writing, with all above it our own. */
static int edit(struct store_tree *tree, const char *path, size_t length, struct store_node **node)
{
	struct names names = names_of(path, length);
	struct store_node **slot = &tree->top;

	while ((*node = own(slot)) && next_name(&names)) {
		slot = slot_of(*node, names.name, names.length);
		if (!slot)
			return -ENOENT;
	}
	return *node ? 0 : -ENOMEM;
}

int store_tree_make(struct store_tree *tree, const char *path,
		    const struct store_permission *permissions, unsigned int count,
		    const void *value, unsigned int size)
{
	struct store_node *parent, *node = NULL, *first = NULL, *last = NULL;
	unsigned int made = 0;
	struct names names;
	size_t length;
	int error;

	if (!store_path_parent(path))
		return -ENOENT;
	store_tree_above(tree, path, &length);
	error = edit(tree, path, length, &parent);
	if (!error)
		error = count_ready(tree, permissions->domain);
	if (error)
		return error;
	names = names_of(path, strlen(path));
	names.name = path; /* "/" is not missing */
	names.rest += length + (length > 1);
	while (next_name(&names)) {
		node = node_new(names.name, names.length, permissions, count);
		if (!node || (last && node_add(last, node) < 0))
			goto no_memory;
		node->generation = ++*tree->generation;
		if (!first)
			first = node;
		last = node;
		made++;
	}
	last->value = copy_of(value, size);
	last->value_size = size;
	node = NULL;
	if (!last->value || node_add(parent, first) < 0)
		goto no_memory;
	parent->generation = ++*tree->generation;
	count_of(tree, permissions->domain)->nodes += made;
	return 0;
no_memory:
	store_node_put(node);
	store_node_put(first);
	return -ENOMEM;
}

int store_tree_write(struct store_tree *tree, const char *path, const void *value,
		     unsigned int size)
{
	struct store_node *node;
	uint8_t *copy;
	int error = edit(tree, path, strlen(path), &node);

	if (error)
		return error;
	copy = copy_of(value, size);
	if (!copy)
		return -ENOMEM;
	free(node->value);
	node->value = copy;
	node->value_size = size;
	node->generation = ++*tree->generation;
	return 0;
}

int store_tree_permit(struct store_tree *tree, const char *path,
		      const struct store_permission *permissions, unsigned int count)
{
	struct store_permission *copy;
	struct store_node *node;
	int error = edit(tree, path, strlen(path), &node);

	if (!error)
		error = count_ready(tree, permissions->domain);
	if (error)
		return error;
	copy = copy_of(permissions, count * sizeof(*permissions));
	if (!copy)
		return -ENOMEM;
	count_of(tree, node->permissions->domain)->nodes--;
	count_of(tree, copy->domain)->nodes++;
	free(node->permissions);
	node->permissions = copy;
	node->permission_count = count;
	node->generation = ++*tree->generation;
	return 0;
}

static void discount(void *context, const struct store_node *node, const char *path)
{
	struct store_tree *tree = context;

	count_of(tree, node->permissions->domain)->nodes--;
}

int store_tree_remove(struct store_tree *tree, const char *path, struct store_node **removed)
{
	size_t parent_size = store_path_parent(path);
	struct store_node *parent, **slot;
	const char *name;
	int error;

	if (!parent_size)
		return -ENOENT;
	name = strrchr(path, '/') + 1;
	error = edit(tree, path, parent_size, &parent);
	if (error)
		return error;
	slot = slot_of(parent, name, strlen(name));
	if (!slot)
		return -ENOENT;
	*removed = *slot;
	parent->child_count--;
	memmove(slot, slot + 1,
		(size_t)(parent->children + parent->child_count - slot) * sizeof(*slot));
	parent->names_size -= (unsigned int)strlen(name) + 1;
	parent->generation = ++*tree->generation;
	store_node_walk(*removed, path, discount, tree);
	return 0;
}
