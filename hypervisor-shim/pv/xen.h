/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The second entrance to PV mode: Xen's own interface, for kernels whose in-tree drivers speak it
 * (xen-blkfront, xen-netfront), where KVM helps (CONFIG_KVM_XEN). Ports, grants, store, back-ends are
 * those of pvkit's own entrance; what differs is how the guest reaches them:
 *
 *			pvkit's own (platform.h)	Xen's
 *	found by	CPUID 0x40000200, PCI 1af4:10f5	CPUID 0x40000000, and nothing of KVM's there
 *	hypercall	OUT, guest-physical		VMCALL, guest-virtual	xen_hypercall.h
 *	notify		doorbell			EVTCHNOP_send		xen_wiring.h
 *	be notified	MSI-X				two-level bits, upcall	xen_shared.h
 *	grant frames	in a BAR			where the guest puts them	xen_memory.c
 *	store page	in a BAR			in a frame that we name
 *	clock, timer	kvmclock, local APIC		Xen's, both in KVM	xen_shared.h
 *
 * A bzImage is an HVM guest with the platform device (xen_platform.h). An ELF kernel is entered as PVH
 * says, and must not find one. A machine has one entrance: Linux would take the other for a stranger's.
 *
 * Not there: 32-bit guests, FIFO events, device interrupts as events, suspend,
 * soft reset (kexec), balloon, PV console.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_XEN_H
#define PVKIT_HYPERVISOR_SHIM_PV_XEN_H

#include <stdint.h>

#define XEN_VERSION (4 << 16 | 17)
#define XEN_STORE_ADDRESS \
	0xfeffc000ULL /* between the interrupt controllers, where Xen has it too */

/* Between boot_open() and machine_open(): CPUID leaves, ACPI tables. */
void xen_announce(void);
/* In place of platform_open() and platform_store_port(). */
int xen_open(void (*restarted)(void));
int xen_store_port(int *kicked, int *kick);
uint32_t xen_store_port_number(void);

#endif
