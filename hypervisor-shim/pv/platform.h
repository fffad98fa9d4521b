/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The platform device (abi/platform.h): the PCI function by which a guest with pvkit's modules finds
 * PV mode, its CPUID leaves, and what a reset of the guest is.
 *
 *	BAR 0	registers, MSI-X table and pending bits		each access exits to us
 *	BAR 2	doorbells, one a port				ioeventfds (wiring.h); the rest exits
 *	BAR 4	grant frames, store page, pending page		memory: a slot that follows the BAR
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_PLATFORM_H
#define PVKIT_HYPERVISOR_SHIM_PV_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

/* Before machine_open(): its CPUID leaves are there when vCPUs are made. */
void platform_announce(void);
/*
 * Puts the device on the bus; after machine_open(). @restarted is called, without pv.lock, when the
 * guest's part of the store has to be as at the start. 0 or -errno after a line; the machine's end
 * closes it.
 */
int platform_open(void (*restarted)(void));
/* The store's port: it reads the guest's notifications from the first, and writes the second. */
int platform_store_port(int *kicked, int *kick);

/* ---- for hypercalls, from vCPU threads ------------------------------------------------------- */

bool platform_accepted(void);
int64_t platform_set_vectors(uint64_t vectors);
int64_t platform_reset(void);
int64_t platform_suspend(void);

#endif
