/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * INTx lines. Slots share them, and the line is up while any of its devices holds it up.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_HVM_INTX_H
#define PVKIT_HYPERVISOR_SHIM_HVM_INTX_H

#include <stdbool.h>

struct pci_device;

/* The device wants its line up, or no longer. Any thread. */
void intx_set(const struct pci_device *device, bool up);

#endif
