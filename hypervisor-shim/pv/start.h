/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * PV mode as a whole: its parts, in the order in which they come and go.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_START_H
#define PVKIT_HYPERVISOR_SHIM_PV_START_H

#include <stdbool.h>

struct pv_options {
	bool xen; /* Xen's entrance in place of pvkit's own */
	const char *attach; /* NULL, or where back-ends that others start may attach */
	const char *store_socket; /* NULL, or where tools may connect to the store */
};

/* After machine_open(), before devices. 0 or -errno after a line; pv_stop() is right in any case. */
int pv_start(const struct pv_options *options);
/* No vCPU runs. Back-ends see their connections close. Before machine_close(). */
void pv_stop(void);

#endif
