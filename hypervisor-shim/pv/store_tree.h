/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The store's tree: nodes, permissions, generation counts, and how many nodes each domain owns.
 *
 * A transaction must see one state of everything from its start to its end, beside a tree that goes
 * on changing. So nodes are counted references, and a node with more than one is never written: who
 * wants to write it copies it first, and all nodes above it. A fork of a tree is then one reference
 * to its top, two trees share whatever neither has changed since, and a tree that was prepared on
 * the side becomes the live one in one step that cannot fail.
 *
 * Each write gives its node a generation that no other node ever had, so two trees hold the same
 * node exactly if the generations are equal. Making or removing a child writes its parent too.
 *
 * Paths here are absolute and were checked by store_wire_path(), or are the name of a special node,
 * which begins with @. Depth is bounded by the length of a path; nothing here recurses.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_TREE_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_MAY_READ  0x1U
#define STORE_MAY_WRITE 0x2U
#define STORE_MAY_OWN   0x4U /* never in a permission: what the owner, and domain 0, have beside */

struct store_permission {
	uint16_t domain;
	uint16_t
		may; /* STORE_MAY_*; of the first one: what everybody may whom no other one names */
};

struct store_node {
	unsigned int references;
	unsigned int permission_count; /* at least one: the owner's */
	unsigned int value_size;
	unsigned int child_count, child_room;
	unsigned int names_size; /* of the children's names, each with its NUL */
	uint64_t generation; /* 0 is that of no node */
	struct store_permission *permissions;
	uint8_t *value;
	struct store_node **children; /* in the order of their making */
	struct store_node *next_dead;
	char name[];
};

struct store_count {
	unsigned int domain, nodes;
};

struct store_tree {
	struct store_node *top; /* has no name; above "/" and the special nodes */
	struct store_count *counts; /* one for each domain that owns or owned a node */
	unsigned int count_entries;
	uint64_t *generation; /* the last one given, shared by all forks */
};

/* "/" and the special nodes, which belong to domain 0. 0 or -ENOMEM. */
int store_tree_open(struct store_tree *tree, uint64_t *generation);
int store_tree_fork(struct store_tree *fork, const struct store_tree *tree);
void store_tree_close(struct store_tree *tree);

const struct store_node *store_tree_find(const struct store_tree *tree, const char *path);
/*
 * The nearest node above @path that is there, and how much of @path is its own; "/" is above special
 * nodes.
 */
const struct store_node *store_tree_above(const struct store_tree *tree, const char *path,
					  size_t *length);
/* The length of the path of the parent: 1 for "/a"; 0 for "/" and special nodes. */
size_t store_path_parent(const char *path);
/* 0 where there is no node. */
uint64_t store_tree_generation(const struct store_tree *tree, const char *path);
unsigned int store_tree_owned(const struct store_tree *tree, unsigned int domain);

/*
 * Changes. 0, -ENOMEM and then nothing has changed, or -ENOENT without the node.
 *
 * Make: @path, which must not be there, with all that is missing above it; @value is its own.
 */
int store_tree_make(struct store_tree *tree, const char *path,
		    const struct store_permission *permissions, unsigned int count,
		    const void *value, unsigned int size);
int store_tree_write(struct store_tree *tree, const char *path, const void *value,
		     unsigned int size);
int store_tree_permit(struct store_tree *tree, const char *path,
		      const struct store_permission *permissions, unsigned int count);
/* *removed gets the node with all below it, for store_node_put(). */
int store_tree_remove(struct store_tree *tree, const char *path, struct store_node **removed);

struct store_node *store_node_get(const struct store_node *node);
void store_node_put(struct store_node *node); /* NULL is fine */
/* As the quota STORE_QUOTA_NODE_BYTES counts. */
unsigned int store_node_bytes(unsigned int permissions, unsigned int value, unsigned int names);
/* What lies at @path below @node, which itself lies at @top. */
const struct store_node *store_node_below(const struct store_node *node, const char *top,
					  const char *path);
/* Calls @visit for @node, which lies at @path, and all below it: children before their parents. */
void store_node_walk(const struct store_node *node, const char *path,
		     void (*visit)(void *context, const struct store_node *node, const char *path),
		     void *context);

#endif
