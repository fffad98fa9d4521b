/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The wiring of ports for a guest that came by Xen's entrance, as wiring.h has it for pvkit's own:
 *
 *	guest's SEND  ⇒ KVM, in the hypercall  ⇒  ->from_guest  ⇒  back-end reads
 *	back-end writes  ⇒  ->to_guest  ⇒ irqfd ⇒  KVM sets pending bits, interrupts the port's vCPU
 *	an IPI, a loop in the guest		⇒ KVM alone
 *
 * So again no notification enters this process. What does: UNMASK of a port that became pending while
 * it was masked, and virtual interrupts but the timer's.
 *
 * Declarative as there; the lock of PV mode covers all of it.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_XEN_WIRING_H
#define PVKIT_HYPERVISOR_SHIM_PV_XEN_WIRING_H

#include "hypervisor-shim/pv/event_channel.h"

void xen_wiring_init(void);
/* As struct event_channel_ops has them. */
void xen_wiring_update(struct event_channels *channels, uint32_t port);
void xen_wiring_raise(struct event_channels *channels, uint32_t port);
void xen_wiring_unmask(struct event_channels *channels, uint32_t port);

#endif
