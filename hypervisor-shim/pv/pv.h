/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * PV mode: what its parts share. One guest a process, so there is one of it.
 *
 *	platform.c	the PCI device
 *	restart.c	a guest that starts anew, or changes its grant table
 *	hypercall*.c	the OUT instruction, and what it may ask for
 *	event_channel.c, wiring.c	ports, and how KVM connects them
 *	grant_table.c	versions and uses of grants
 *	attach*.c	back-ends: other processes, on a socket each (abi/attach.h)
 *	toolstack.c	which devices there are, as the store tells it
 *	store*.c	the store, on a thread of its own
 *
 * Locks: pv.lock covers ports, grants, back-ends and MSI-X; slow paths only take it. The PCI bus
 * calls in with its own lock held, so nobody asks the bus for anything under pv.lock. The store's
 * thread takes none of these locks, and so may be waited for with any of them held.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_PV_H
#define PVKIT_HYPERVISOR_SHIM_PV_PV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/hypercall.h"
#include "hypervisor-shim/pv/event_channel.h"
#include "hypervisor-shim/pv/grant_table.h"
#include "hypervisor-shim/pv/sealed_memory.h"

#define PV_GUEST   1
#define PV_BACKEND DOMAIN_BACKEND

/* The shared BAR: what lies where. The first page is the pending page. */
#define PV_SHARED_BYTES   0x200000
#define PV_PENDING_OFFSET 0x0
#define PV_STORE_OFFSET   0x1000
#define PV_STATUS_OFFSET  0x10000
#define PV_GRANT_OFFSET   0x100000

/*
 * The grant table as the guest sees it, which is the entrance's to say. With the lock held. Guest frame
 * numbers; 0: that cannot be said now.
 */
struct grant_view {
	bool (*takes_version_2)(void);
	uint64_t (*entry_frame)(uint32_t index);
	uint64_t (*status_frame)(uint32_t index);
	void (*version_changed)(void); /* optional */
};

struct pv {
	pthread_mutex_t lock;
	struct event_channels channels;
	struct grant_table grants;
	const struct grant_view *grant_view; /* set by the entrance */
	struct sealed_memory shared; /* the BAR */
	struct sealed_memory use; /* use counts of grants */
	uint64_t generation; /* of the guest: rises with each reset */
};

extern struct pv pv;

/* Memory, ports and grants as at a guest's start. 0 or -errno after a line. */
int pv_state_open(const struct event_channel_ops *ops, unsigned int vcpus);
/* All ports are closed, and nobody uses the memory. */
void pv_state_close(void);

#endif
