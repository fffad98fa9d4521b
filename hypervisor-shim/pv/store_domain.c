// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Domains: who they are to the store, and what they may.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "hypervisor-shim/pv/store.h"
#include "hypervisor-shim/pv/store_domain.h"

struct store_domain *store_domain_find(const struct store *store, unsigned int id)
{
	struct store_domain *domain = store->domains;

	while (domain && domain->id != id)
		domain = domain->next;
	return domain;
}

struct store_domain *store_domain_get(struct store *store, unsigned int id)
{
	struct store_domain *domain = store_domain_find(store, id);

	if (domain)
		return domain;
	domain = calloc(1, sizeof(*domain));
	if (!domain)
		return NULL;
	domain->id = id;
	domain->target = -1;
	domain->next = store->domains;
	store->domains = domain;
	return domain;
}

bool store_domain_privileged(const struct store_domain *domain)
{
	return domain->id == STORE_DOMAIN_BACKEND;
}

static bool names_domain(const struct store_permission *permission,
			 const struct store_domain *domain)
{
	return permission->domain == domain->id ||
	       (domain->target >= 0 && permission->domain == (unsigned int)domain->target);
}

unsigned int store_domain_may(const struct store_domain *domain, const struct store_node *node)
{
	unsigned int i;

	if (!node)
		return 0;
	if (store_domain_privileged(domain) || names_domain(node->permissions, domain))
		return STORE_MAY_READ | STORE_MAY_WRITE | STORE_MAY_OWN;
	for (i = 1; i < node->permission_count; i++)
		if (names_domain(&node->permissions[i], domain))
			return node->permissions[i].may;
	return node->permissions->may;
}

/* Backends' directories are written below /local/domain/0, which is domain 0's alone. */
static int make_first_nodes(struct store *store)
{
	const struct store_permission backend = {.domain = STORE_DOMAIN_BACKEND};
	const struct store_permission guest = {.domain = (uint16_t)store->guest};
	char path[64];
	int error = store_tree_make(&store->tree, "/tool", &backend, 1, NULL, 0);

	snprintf(path, sizeof(path), "/local/domain/%u", STORE_DOMAIN_BACKEND);
	if (!error)
		error = store_tree_make(&store->tree, path, &backend, 1, NULL, 0);
	snprintf(path, sizeof(path), "/local/domain/%u", store->guest);
	if (!error)
		error = store_tree_make(&store->tree, path, &guest, 1, NULL, 0);
	return error;
}

int store_domain_open(struct store *store, unsigned int guest)
{
	struct store_domain *backend;
	int error;

	*store = (struct store){.guest = guest};
	if (guest == STORE_DOMAIN_BACKEND || guest > UINT16_MAX)
		return -EINVAL;
	error = store_tree_open(&store->tree, &store->generation);
	if (error)
		return error;
	backend = store_domain_get(store, STORE_DOMAIN_BACKEND);
	if (!backend || !store_domain_get(store, guest) || make_first_nodes(store) < 0) {
		store_domain_close(store);
		return -ENOMEM;
	}
	backend->introduced = true;
	return 0;
}

void store_domain_close(struct store *store)
{
	struct store_domain *domain;

	store_tree_close(&store->tree);
	while ((domain = store->domains)) {
		store->domains = domain->next;
		free(domain);
	}
}
