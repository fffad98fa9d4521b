/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A call from any other thread to the store's.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_STORE_CALL_H
#define PVKIT_HYPERVISOR_SHIM_PV_STORE_CALL_H

#include "hypervisor-shim/pv/store_domain.h"

typedef int store_call_fn(struct store *store, void *argument);

/* Has the store's thread run it, waits, and gives what it gave; -ENODEV when no store is open. */
int store_call(store_call_fn *run, void *argument);

#endif
