/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The platform device of Xen's HVM guests, 5853:0001, and the port by which such a guest has emulated
 * devices removed. Linux insists on both before it lets its front-ends bind.
 *
 * The device's only use is the address range of its second BAR: the guest places the frames of its
 * grant table there (xen_memory.c). The first one is I/O ports on real Xen, and memory here; Linux
 * asks only that it is somewhere. There are no emulated devices, so unplugging removes nothing:
 * virtio devices stay.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_XEN_PLATFORM_H
#define PVKIT_HYPERVISOR_SHIM_PV_XEN_PLATFORM_H

/* After machine_open(). 0 or -errno. */
int xen_platform_open(void);

#endif
