// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The shim's own hand in the store: what it writes and reads there, as domain 0.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor-shim/pv/store.h"
#include "hypervisor-shim/pv/store_access.h"
#include "hypervisor-shim/pv/store_call.h"
#include "hypervisor-shim/pv/store_wire.h"

struct hand {
	unsigned int owner, reader;
	const char *given;
	char *value;
	unsigned int size;

	/* Filled in by prepare(). */
	struct store_view view;
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
};

static int prepare(struct store *store, struct hand *hand)
{
	hand->view = (struct store_view){
		.store = store,
		.domain = store_domain_find(store, STORE_DOMAIN_BACKEND),
	};
	return store_wire_path(STORE_DOMAIN_BACKEND, hand->given, STORE_WIRE_NODE, hand->path) < 0
		       ? -EINVAL
		       : 0;
}

static int hand_write(struct store *store, void *argument)
{
	struct hand *hand = argument;
	const struct store_permission permissions[] = {
		{.domain = (uint16_t)hand->owner},
		{.domain = (uint16_t)hand->reader, .may = STORE_MAY_READ},
	};
	const struct store_value value = {
		.bytes = hand->value,
		.size = hand->size,
		.permissions = permissions,
		.permission_count = hand->owner == hand->reader ? 1 : 2,
	};
	int error = prepare(store, hand);

	return error ? error : store_access_write(&hand->view, hand->path, &value);
}

int pv_store_write(unsigned int owner, unsigned int reader, const char *path, const char *format,
		   ...)
{
	struct hand hand = {.owner = owner, .reader = reader, .given = path};
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = vasprintf(&hand.value, format, arguments);
	va_end(arguments);
	if (result < 0)
		return -ENOMEM;
	hand.size = (unsigned int)result;
	result = hand.size > STORE_PAYLOAD_MAX ? -E2BIG : store_call(hand_write, &hand);
	free(hand.value);
	return result;
}

static int hand_read(struct store *store, void *argument)
{
	struct hand *hand = argument;
	const struct store_node *node;
	unsigned int size;
	int error = prepare(store, hand);

	if (!error)
		error = store_access_node(&hand->view, hand->path, STORE_MAY_READ, &node);
	if (error)
		return error;
	size = node->value_size < hand->size ? node->value_size : hand->size - 1;
	if (size)
		memcpy(hand->value, node->value, size);
	hand->value[size] = 0;
	return (int)node->value_size;
}

int pv_store_read(const char *path, char *value, unsigned int size)
{
	struct hand hand = {.given = path, .value = value, .size = size};

	return size ? store_call(hand_read, &hand) : -EINVAL;
}

static int hand_remove(struct store *store, void *argument)
{
	struct hand *hand = argument;
	int error = prepare(store, hand);

	return error ? error : store_access_remove(&hand->view, hand->path);
}

int pv_store_remove(const char *path)
{
	struct hand hand = {.given = path};

	return store_call(hand_remove, &hand);
}
