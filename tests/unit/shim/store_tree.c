// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The store's tree by itself: forks that share and do not see each other, generations, counts, and
 * the deepest path that there can be.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "abi/store.h"
#include "hypervisor-shim/pv/store_tree.h"

static const struct store_permission one = {.domain = 1}, two = {.domain = 2};
static struct store_tree tree;
static uint64_t generation;

static int setup(void **state)
{
	generation = 0;
	return store_tree_open(&tree, &generation);
}

static int teardown(void **state)
{
	store_tree_close(&tree);
	return 0;
}

static void make(struct store_tree *in, const char *path, const char *value)
{
	assert_int_equal(store_tree_make(in, path, &one, 1, value, (unsigned int)strlen(value)), 0);
}

static void assert_value(const struct store_tree *in, const char *path, const char *value)
{
	const struct store_node *node = store_tree_find(in, path);

	assert_non_null(node);
	assert_int_equal(node->value_size, strlen(value));
	assert_memory_equal(node->value, value, strlen(value));
}

static void test_make_find_remove(void **state)
{
	struct store_node *removed;
	size_t length;

	assert_non_null(store_tree_find(&tree, "/"));
	assert_non_null(store_tree_find(&tree, STORE_WATCH_RELEASE));
	assert_null(store_tree_find(&tree, "/a"));
	assert_null(store_tree_find(&tree, "@else"));
	make(&tree, "/a/b/c", "deep");
	make(&tree, "/a/bb", "beside");
	assert_value(&tree, "/a/b/c", "deep");
	assert_value(&tree, "/a/b", "");
	assert_null(store_tree_find(&tree, "/a/b/c/d"));
	assert_null(store_tree_find(&tree, "/a/bbb"));
	assert_string_equal(store_tree_above(&tree, "/a/b/x/y", &length)->name, "b");
	assert_int_equal(length, strlen("/a/b"));
	assert_string_equal(store_tree_above(&tree, STORE_WATCH_RELEASE, &length)->name, "/");
	assert_int_equal(store_tree_owned(&tree, 1), 4);
	assert_int_equal(store_tree_owned(&tree, 0), 3);
	assert_int_equal(store_tree_remove(&tree, "/a/b", &removed), 0);
	assert_non_null(store_node_below(removed, "/a/b", "/a/b/c"));
	assert_ptr_equal(store_node_below(removed, "/a/b", "/a/b"), removed);
	store_node_put(removed);
	assert_int_equal(store_tree_owned(&tree, 1), 2);
	assert_int_equal(store_tree_find(&tree, "/a")->names_size, sizeof("bb"));
	assert_int_equal(store_tree_remove(&tree, "/a/b", &removed), -ENOENT);
	assert_int_equal(store_tree_remove(&tree, "/", &removed), -ENOENT);
	assert_int_equal(store_tree_remove(&tree, STORE_WATCH_RELEASE, &removed), -ENOENT);
}

static void test_order_of_children(void **state)
{
	const struct store_node *node;
	struct store_node *removed;
	char path[32];
	unsigned int i;

	for (i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/list/%u", i);
		make(&tree, path, "");
	}
	for (i = 0; i < 100; i += 2) {
		snprintf(path, sizeof(path), "/list/%u", i);
		assert_int_equal(store_tree_remove(&tree, path, &removed), 0);
		store_node_put(removed);
	}
	make(&tree, "/list/0", "");
	node = store_tree_find(&tree, "/list");
	assert_int_equal(node->child_count, 51);
	assert_string_equal(node->children[0]->name, "1");
	assert_string_equal(node->children[49]->name, "99");
	assert_string_equal(node->children[50]->name, "0");
}

static void test_generations(void **state)
{
	uint64_t parent, node, beside;
	struct store_node *removed;

	make(&tree, "/a/b", "");
	make(&tree, "/c", "");
	parent = store_tree_generation(&tree, "/a");
	node = store_tree_generation(&tree, "/a/b");
	beside = store_tree_generation(&tree, "/c");
	assert_int_equal(store_tree_write(&tree, "/a/b", "1", 1), 0);
	assert_true(store_tree_generation(&tree, "/a/b") > node);
	assert_int_equal(store_tree_generation(&tree, "/a"), parent);
	make(&tree, "/a/x", "");
	assert_true(store_tree_generation(&tree, "/a") > parent);
	parent = store_tree_generation(&tree, "/a");
	assert_int_equal(store_tree_permit(&tree, "/a", &two, 1), 0);
	assert_true(store_tree_generation(&tree, "/a") > parent);
	parent = store_tree_generation(&tree, "/a");
	assert_int_equal(store_tree_remove(&tree, "/a/x", &removed), 0);
	store_node_put(removed);
	assert_true(store_tree_generation(&tree, "/a") > parent);
	assert_int_equal(store_tree_generation(&tree, "/a/x"), 0);
	assert_int_equal(store_tree_generation(&tree, "/c"), beside);
	assert_int_equal(store_tree_owned(&tree, 1), 2);
	assert_int_equal(store_tree_owned(&tree, 2), 1);
}

static void test_forks_do_not_see_each_other(void **state)
{
	struct store_tree fork, second;
	struct store_node *removed;

	make(&tree, "/a/b", "old");
	make(&tree, "/a/c", "same");
	assert_int_equal(store_tree_fork(&fork, &tree), 0);
	assert_int_equal(store_tree_write(&fork, "/a/b", "new", 3), 0);
	make(&fork, "/a/d", "more");
	assert_int_equal(store_tree_fork(&second, &fork), 0);
	assert_value(&tree, "/a/b", "old");
	assert_null(store_tree_find(&tree, "/a/d"));
	assert_value(&fork, "/a/b", "new");
	/* What neither has written is one node. */
	assert_ptr_equal(store_tree_find(&tree, "/a/c"), store_tree_find(&fork, "/a/c"));
	assert_int_equal(store_tree_remove(&tree, "/a", &removed), 0);
	store_node_put(removed);
	assert_value(&fork, "/a/c", "same");
	assert_int_equal(store_tree_owned(&tree, 1), 0);
	assert_int_equal(store_tree_owned(&fork, 1), 4);
	store_tree_close(&fork);
	assert_value(&second, "/a/d", "more");
	make(&second, "/a/e", "");
	assert_int_equal(store_tree_owned(&second, 1), 5);
	store_tree_close(&second);
}

static unsigned int visited;

static void visit(void *context, const struct store_node *node, const char *path)
{
	visited++;
	if (context)
		strcat(strcat(context, path), " ");
}

static void test_walk_children_first(void **state)
{
	char seen[256] = "";

	make(&tree, "/a/b/c", "");
	make(&tree, "/a/d", "");
	store_node_walk(store_tree_find(&tree, "/"), "/", visit, seen);
	assert_string_equal(seen, "/a/b/c /a/b /a/d /a / ");
}

/* The stack would not last for one function call a level. */
static void test_deepest_path(void **state)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	struct store_node *removed;
	struct store_tree fork;
	unsigned int i;

	for (i = 0; i < STORE_ABSOLUTE_PATH_MAX; i++)
		path[i] = i % 2 ? 'd' : '/';
	path[i] = 0;
	make(&tree, path, "bottom");
	assert_int_equal(store_tree_owned(&tree, 1), STORE_ABSOLUTE_PATH_MAX / 2);
	assert_int_equal(store_tree_fork(&fork, &tree), 0);
	assert_int_equal(store_tree_write(&fork, path, "other", 5), 0);
	assert_value(&tree, path, "bottom");
	visited = 0;
	store_node_walk(store_tree_find(&tree, "/"), "/", visit, NULL);
	assert_int_equal(visited, STORE_ABSOLUTE_PATH_MAX / 2 + 1);
	assert_int_equal(store_tree_remove(&tree, "/d", &removed), 0);
	assert_int_equal(store_tree_owned(&tree, 1), 0);
	store_tree_close(&fork);
	store_node_put(removed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_make_find_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_of_children, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forks_do_not_see_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_children_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deepest_path, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
