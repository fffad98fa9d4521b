// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Requests: one in, one answer out. The table at the end says who may ask what.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor-shim/pv/store_access.h"
#include "hypervisor-shim/pv/store_control.h"
#include "hypervisor-shim/pv/store_watch.h"
#include "hypervisor-shim/pv/store_wire.h"

struct request {
	struct store_peer *peer;
	const char *payload;
	unsigned int size;
	struct store_view view;
};

/* What a handler gives that has answered already. */
#define ANSWERED 1

static int answer(const struct request *request, const void *payload, unsigned int size)
{
	store_peer_answer(request->peer, payload, size);
	return ANSWERED;
}

static int answer_text(const struct request *request, const char *text)
{
	return answer(request, text, (unsigned int)strlen(text) + 1);
}

/* A path and nothing else. */
static int only_path(const struct request *request, enum store_wire_special special, char *path)
{
	const char *given;

	if (store_wire_strings(request->payload, request->size, &given, 1) != 1 ||
	    store_wire_path(request->peer->domain->id, given, special, path) < 0)
		return -EINVAL;
	return 0;
}

/* A path and @count - 1 further strings; what it puts in front of the path, or -EINVAL. */
static int path_and(const struct request *request, enum store_wire_special special, char *path,
		    const char **strings, int count)
{
	if (store_wire_strings(request->payload, request->size, strings, (unsigned int)count) !=
	    count)
		return -EINVAL;
	return store_wire_path(request->peer->domain->id, strings[0], special, path);
}

static int only_domain(const struct request *request, unsigned long *domain)
{
	const char *text;

	if (store_wire_strings(request->payload, request->size, &text, 1) != 1)
		return -EINVAL;
	return store_wire_number(text, UINT16_MAX, domain);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static int node_to_read(const struct request *request, enum store_wire_special special,
			const struct store_node **node)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	int error = only_path(request, special, path);

	return error ? error : store_access_node(&request->view, path, STORE_MAY_READ, node);
}

static int request_read(struct request *request)
{
	const struct store_node *node;
	int error = node_to_read(request, STORE_WIRE_NODE, &node);

	return error ? error : answer(request, node->value, node->value_size);
}

/* The names of the children from byte @offset of their list on, as many whole ones as fit. */
static unsigned int put_names(const struct store_node *node, unsigned long offset, char *to,
			      unsigned int room, bool *all)
{
	unsigned int i, used = 0;
	size_t size;

	*all = false;
	for (i = 0; i < node->child_count; i++) {
		const char *name = node->children[i]->name;

		size = strlen(name) + 1;
		if (offset >= size) {
			offset -= size;
			continue;
		}
		/* An offset that we did not name may lie within a name. */
		size -= offset;
		if (size > room - used)
			return used;
		memcpy(to + used, name + offset, size);
		used += (unsigned int)size;
		offset = 0;
	}
	*all = true;
	return used;
}

static int request_directory(struct request *request)
{
	char names[STORE_PAYLOAD_MAX];
	const struct store_node *node;
	unsigned int used;
	bool all;
	int error = node_to_read(request, STORE_WIRE_NODE, &node);

	if (error)
		return error;
	used = put_names(node, 0, names, sizeof(names), &all);
	return all ? answer(request, names, used) : -E2BIG;
}

static int request_directory_part(struct request *request)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1], part[STORE_PAYLOAD_MAX];
	const struct store_node *node;
	const char *strings[2];
	unsigned long offset;
	unsigned int used;
	bool all;
	int error = path_and(request, STORE_WIRE_NODE, path, strings, 2);

	if (error < 0 || store_wire_number(strings[1], UINT32_MAX, &offset) < 0)
		return -EINVAL;
	error = store_access_node(&request->view, path, STORE_MAY_READ, &node);
	if (error)
		return error;
	used = (unsigned int)sprintf(part, "%llu", (unsigned long long)node->generation) + 1;
	used += put_names(node, offset, part + used, sizeof(part) - used - 1, &all);
	if (all) /* an empty name ends the list */
		part[used++] = 0;
	return answer(request, part, used);
}

static int request_write(struct request *request)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	const char *nul = memchr(request->payload, 0, request->size);
	struct store_value value;

	if (!nul ||
	    store_wire_path(request->peer->domain->id, request->payload, STORE_WIRE_NODE, path) < 0)
		return -EINVAL;
	value = (struct store_value){
		.bytes = nul + 1,
		.size = request->size - (unsigned int)(nul + 1 - request->payload),
	};
	return store_access_write(&request->view, path, &value);
}

static int request_make(struct request *request)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	int error = only_path(request, STORE_WIRE_NODE, path);

	return error ? error : store_access_make(&request->view, path);
}

static int request_remove(struct request *request)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	int error = only_path(request, STORE_WIRE_NODE, path);

	return error ? error : store_access_remove(&request->view, path);
}

static int request_get_permissions(struct request *request)
{
	char text[STORE_PAYLOAD_MAX + 8];
	const struct store_node *node;
	unsigned int i, used = 0;
	int error = node_to_read(request, STORE_WIRE_SPECIAL, &node);

	if (error)
		return error;
	for (i = 0; i < node->permission_count && used <= STORE_PAYLOAD_MAX; i++)
		used += store_wire_permission_text(&node->permissions[i], text + used);
	return used <= STORE_PAYLOAD_MAX ? answer(request, text, used) : -E2BIG;
}

static int request_set_permissions(struct request *request)
{
	struct store_permission permissions[STORE_PAYLOAD_MAX / 3];
	const char *strings[STORE_PAYLOAD_MAX / 3 + 1];
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	unsigned int max = STORE_PAYLOAD_MAX / 3, i, number;
	int count = store_wire_strings(request->payload, request->size, strings, max + 1);

	if (count < 2 ||
	    store_wire_path(request->peer->domain->id, strings[0], STORE_WIRE_SPECIAL, path) < 0)
		return -EINVAL;
	number = (unsigned int)count - 1;
	if (number >
	    (store_domain_privileged(request->peer->domain) ? max : STORE_QUOTA_PERMISSIONS))
		return -ENOSPC;
	for (i = 0; i < number; i++)
		if (store_wire_permission(strings[i + 1], &permissions[i]) < 0)
			return -EINVAL;
	return store_access_permit(&request->view, path, permissions, number);
}

/* ---- watches --------------------------------------------------------------------------------- */

static int request_watch(struct request *request)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	struct store_peer *peer = request->peer;
	unsigned long levels;
	const char *strings[3];
	int count, before, error, depth = STORE_DEPTH_ANY;

	count = store_wire_strings(request->payload, request->size, strings, 3);
	if (count != 2 && count != 3)
		return -EINVAL;
	if (count == 3) {
		if (store_wire_number(strings[2], STORE_ABSOLUTE_PATH_MAX, &levels) < 0)
			return -EINVAL;
		depth = (int)levels;
	}
	before = store_wire_path(peer->domain->id, strings[0], STORE_WIRE_SPECIAL, path);
	if (before < 0 || (*path == '@' && depth > 1))
		return -EINVAL;
	error = store_watches_add(peer, path, (unsigned int)before, strings[1], depth);
	if (error)
		return error;
	/* An event at once, so that a watcher has one way only: wait for it, then look. */
	answer_text(request, "OK");
	store_peer_event(peer, NULL, path + before, strings[1]);
	return ANSWERED;
}

static int request_unwatch(struct request *request)
{
	char path[STORE_ABSOLUTE_PATH_MAX + 1];
	const char *strings[2];

	if (path_and(request, STORE_WIRE_SPECIAL, path, strings, 2) < 0)
		return -EINVAL;
	return store_watches_remove(request->peer, path, strings[1]);
}

static int request_reset_watches(struct request *request)
{
	store_watches_clear(request->peer);
	store_transactions_clear(request->peer);
	return 0;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static int request_transaction_start(struct request *request)
{
	char text[16];
	uint32_t id;
	int error;

	if (request->view.transaction)
		return -EBUSY;
	error = store_transaction_start(request->peer, &id);
	if (error)
		return error;
	snprintf(text, sizeof(text), "%u", id);
	return answer_text(request, text);
}

static int request_transaction_end(struct request *request)
{
	const char *how;

	if (store_wire_strings(request->payload, request->size, &how, 1) != 1 ||
	    (strcmp(how, "T") && strcmp(how, "F")))
		return -EINVAL;
	if (!request->view.transaction)
		return -ENOENT;
	if (*how == 'T')
		return store_transaction_commit(request->view.transaction);
	store_transaction_abort(request->view.transaction);
	return 0;
}

/* ---- domains --------------------------------------------------------------------------------- */

static int request_get_domain_path(struct request *request)
{
	unsigned long domain;
	char path[64];

	if (only_domain(request, &domain) < 0)
		return -EINVAL;
	snprintf(path, sizeof(path), "/local/domain/%lu", domain);
	return answer_text(request, path);
}

static int request_is_introduced(struct request *request)
{
	const struct store_domain *domain;
	unsigned long id;

	if (only_domain(request, &id) < 0)
		return -EINVAL;
	domain = store_domain_find(request->peer->store, (unsigned int)id);
	return answer_text(request, domain && domain->introduced ? "T" : "F");
}

/*
 * The shim has mapped the page and wired the port, so what is said of them is not used; and only
 * the domain that it runs can be introduced.
 */
static int request_introduce(struct request *request)
{
	struct store *store = request->peer->store;
	const char *strings[3];
	unsigned long domain;

	if (store_wire_strings(request->payload, request->size, strings, 3) != 3 ||
	    store_wire_number(strings[0], UINT16_MAX, &domain) < 0 || domain != store->guest)
		return -EINVAL;
	return store_guest_introduce(store);
}

static int request_release(struct request *request)
{
	struct store *store = request->peer->store;
	unsigned long domain;

	if (only_domain(request, &domain) < 0)
		return -EINVAL;
	return domain == store->guest ? store_guest_release(store) : -ENOENT;
}

static int request_resume(struct request *request)
{
	const struct store_domain *domain;
	unsigned long id;

	if (only_domain(request, &id) < 0)
		return -EINVAL;
	domain = store_domain_find(request->peer->store, (unsigned int)id);
	return domain && domain->introduced ? 0 : -ENOENT;
}

static int request_set_target(struct request *request)
{
	struct store *store = request->peer->store;
	unsigned long id, target;
	struct store_domain *domain;
	const char *strings[2];

	if (store_wire_strings(request->payload, request->size, strings, 2) != 2 ||
	    store_wire_number(strings[0], UINT16_MAX, &id) < 0 ||
	    store_wire_number(strings[1], UINT16_MAX, &target) < 0)
		return -EINVAL;
	domain = store_domain_find(store, (unsigned int)id);
	if (!domain || !store_domain_find(store, (unsigned int)target))
		return -ENOENT;
	domain->target = (int)target;
	return 0;
}

static int request_control(struct request *request)
{
	char text[STORE_PAYLOAD_MAX];
	const char *strings[2] = {NULL, ""};
	int count = store_wire_strings(request->payload, request->size, strings, 2);
	int error;

	if (count < 1 || count > 2)
		return -EINVAL;
	error = store_control(request->peer->store, strings[0], strings[1], text, sizeof(text));
	return error ? error : answer_text(request, text);
}

/* ---- all ------------------------------------------------------------------------------------- */

enum kind_flag {
	BACKEND_ONLY = 0x1, /* and others are told EACCES */
	NO_TRANSACTION = 0x2, /* which one is named does not matter */
};

/* Unless it has answered itself, a handler's 0 is answered by "OK". */
static const struct kind {
	int (*handle)(struct request *request);
	unsigned int flags;
} kinds[STORE_TYPES] = {
	[STORE_CONTROL] = {request_control, BACKEND_ONLY},
	[STORE_DIRECTORY] = {request_directory},
	[STORE_READ] = {request_read},
	[STORE_GET_PERMISSIONS] = {request_get_permissions},
	[STORE_WATCH] = {request_watch, NO_TRANSACTION},
	[STORE_UNWATCH] = {request_unwatch, NO_TRANSACTION},
	[STORE_TRANSACTION_START] = {request_transaction_start},
	[STORE_TRANSACTION_END] = {request_transaction_end},
	[STORE_INTRODUCE] = {request_introduce, BACKEND_ONLY},
	[STORE_RELEASE] = {request_release, BACKEND_ONLY},
	[STORE_GET_DOMAIN_PATH] = {request_get_domain_path},
	[STORE_WRITE] = {request_write},
	[STORE_MKDIR] = {request_make},
	[STORE_RM] = {request_remove},
	[STORE_SET_PERMISSIONS] = {request_set_permissions},
	[STORE_IS_DOMAIN_INTRODUCED] = {request_is_introduced},
	[STORE_RESUME] = {request_resume, BACKEND_ONLY},
	[STORE_SET_TARGET] = {request_set_target, BACKEND_ONLY},
	[STORE_RESET_WATCHES] = {request_reset_watches},
	[STORE_DIRECTORY_PART] = {request_directory_part},
};

static int handle(struct request *request)
{
	const struct store_header *header = &request->peer->header;
	const struct kind *kind = header->type < STORE_TYPES ? &kinds[header->type] : NULL;

	if (!kind || !kind->handle)
		return -ENOSYS;
	if (kind->flags & BACKEND_ONLY && !store_domain_privileged(request->peer->domain))
		return -EACCES;
	if (header->transaction && !(kind->flags & NO_TRANSACTION)) {
		request->view.transaction =
			store_transaction_find(request->peer, header->transaction);
		if (!request->view.transaction)
			return -ENOENT;
	}
	return kind->handle(request);
}

void store_request(struct store_peer *peer)
{
	struct request request = {
		.peer = peer,
		.payload = peer->payload,
		.size = peer->header.length,
		.view = {.store = peer->store, .domain = peer->domain},
	};
	int result = handle(&request);

	if (result < 0)
		store_peer_error(peer, result);
	else if (result != ANSWERED)
		answer_text(&request, "OK");
}
