/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The memory that a Xen guest shares with KVM, and how its events interrupt it: the shared_info page
 * and each vCPU's info, time and runstate, at places that the guest chooses; upcall vectors; timers.
 *
 * Real Xen replaces the guest's frame by a page of its own. Here the frame itself is the page: the
 * guest has set it aside anyway. It begins empty, as Xen's.
 *
 * Functions from a vCPU's thread, without pv.lock; 0 or -errno.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_XEN_SHARED_H
#define PVKIT_HYPERVISOR_SHIM_PV_XEN_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/hypercall.h"

int xen_shared_place(uint64_t frame);
int xen_shared_place_vcpu(unsigned int vcpu, const struct vcpu_register_info *info);
/* @address: guest-physical, or XEN_KVM_NOWHERE. */
int xen_shared_place_time(unsigned int vcpu, uint64_t address);
int xen_shared_place_runstate(unsigned int vcpu, uint64_t address);

int xen_shared_set_vector(unsigned int vcpu, uint8_t vector);
/* HVM_PARAMETER_CALLBACK_IRQ. */
int xen_shared_set_callback(uint64_t value);
uint64_t xen_shared_callback(void);
/* After ports changed: KVM is told which one each vCPU's timer has. */
void xen_shared_update_timers(void);

/* No vCPU runs: all as at the start. */
void xen_shared_reset(void);

/* ---- with pv.lock held ----------------------------------------------------------------------- */

void xen_shared_clear_pending(uint32_t port);
/* Takes off the mask of @port. True: it was masked and pending; it is neither now. */
bool xen_shared_unmask(uint32_t port);

#endif
