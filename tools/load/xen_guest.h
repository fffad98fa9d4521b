/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest that pvkit-load plays for a back-end that attaches, and the shim around it: a domain with
 * one device, a store with the directories of both ends, a grant table, and ports whose eventfds
 * nobody wires to KVM, since the guest's driver is in this process.
 *
 * All of it is the shim's own (hypervisor-shim/pv/); here is what the shim does by KVM. One guest a
 * process, as there. What has no result dies with a line.
 */
#ifndef PVKIT_TOOLS_LOAD_XEN_GUEST_H
#define PVKIT_TOOLS_LOAD_XEN_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/grant_table.h"
#include "abi/store.h"
#include "hypervisor-shim/pv/pv.h"
#include "ring/order.h"
#include "tools/load/front.h"

/* The guest, with @memory, and its @device ("vbd/51712"), which waits for a back-end. */
void xen_guest_open(const struct load_memory *memory, const char *device);
/*
 * Waits at @path until a back-end attaches; its process in *pid, 0: nobody knows. The socket that hangs
 * up when it is gone, the caller's to close.
 */
int xen_guest_await(const char *path, unsigned int seconds, pid_t *pid);
void xen_guest_close(void);

/* ---- the store ------------------------------------------------------------------------------- */

void xen_guest_write(const char *key, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void xen_guest_set_state(enum store_state state);
/* What the back-end wrote; false: nothing. */
bool xen_guest_read(const char *key, char *value, unsigned int size);
/* A number, or @absent. */
uint64_t xen_guest_read_number(const char *key, uint64_t absent);
enum store_state xen_guest_backend_state(void);
/* Whether a back-end has written something of a device that is not ours. */
bool xen_guest_serves(const char *device);

/* ---- ports ----------------------------------------------------------------------------------- */

/* A port for the back-end to bind. */
uint32_t xen_guest_port(void);
/* The back-end has bound it: descriptors to notify it, and of its notifications; the caller's. */
void xen_guest_port_descriptors(uint32_t port, int *kick, int *call);

/* ---- grants ---------------------------------------------------------------------------------- */

/* A reference for the page at guest address @address; not given yet. */
uint32_t xen_guest_grant(uint64_t address);
/* Whether the back-end holds any page. */
bool xen_guest_grants_in_use(void);

static inline uint32_t *xen_grant_header(uint32_t reference)
{
	return (uint32_t *)((struct grant_v1 *)pv.grants.entries + reference);
}

/* From here on the back-end may use it. */
static inline void xen_grant_give(uint32_t reference, bool read_only)
{
	uint32_t flags = GRANT_PERMIT_ACCESS | (read_only ? GRANT_READONLY : 0);

	/* The frame, and what is in the page, before the word that makes the entry valid. */
	order_store_release(xen_grant_header(reference), flags | (uint32_t)PV_BACKEND << 16);
}

/* The page is the guest's alone again. False: the back-end still uses it. */
static inline bool xen_grant_take(uint32_t reference)
{
	uint32_t word = order_load_relaxed(xen_grant_header(reference));

	do {
		if (word & (GRANT_READING | GRANT_WRITING))
			return false;
	} while (!__atomic_compare_exchange_n(xen_grant_header(reference), &word, 0, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return true;
}

#endif
