/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Watches: who wants to know of which change.
 *
 * An event names the node that changed, to all that watch it or something above it, and may read
 * it: before the change, after it, or the node above it, whose list of names tells as much. When a
 * node goes with all below it, the ones below are told only to who watches exactly them, children
 * first, and then the node itself to all. Events of one peer come in the order of the changes, and
 * for one change in the order in which the watches were set.
 *
 * A special watch has events of its own: a domain came, a domain went. With depth 1 they say which
 * one, and the watch on @releaseDomain/ID is told only of that one.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_WATCH_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_WATCH_H

#include "hypervisor-shim/pv/store_peer.h"

#define STORE_DEPTH_ANY (-1)

struct store_watch {
	struct store_watch *next;
	const char *token; /* behind ->path */
	unsigned int before; /* bytes that the peer did not write, as its path is relative */
	int depth; /* how many levels below ->path count, or STORE_DEPTH_ANY */
	size_t bytes;
	char path[];
};

/*
 * @before: as store_wire_path() said. The first event is the caller's to send, after its answer.
 * 0, -EEXIST, -E2BIG or -ENOMEM.
 */
int store_watches_add(struct store_peer *peer, const char *path, unsigned int before,
		      const char *token, int depth);
int store_watches_remove(struct store_peer *peer, const char *path,
			 const char *token); /* -ENOENT */
void store_watches_clear(struct store_peer *peer);

/*
 * @path has changed. @old is the node as it was, or NULL when there was none. @cause: the domain
 * that did it, or NULL for domain 0.
 */
void store_watches_fire(struct store *store, struct store_domain *cause, const char *path,
			const struct store_node *old);
/* @path is gone, with all that is in @removed. */
void store_watches_fire_removed(struct store *store, struct store_domain *cause, const char *path,
				const struct store_node *removed);
/* @name: STORE_WATCH_INTRODUCE or STORE_WATCH_RELEASE, of @domain. */
void store_watches_fire_special(struct store *store, const char *name, unsigned int domain);

#endif
