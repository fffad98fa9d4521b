/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Arguments in guest memory: copied in once, checked, used; and the answer copied out. What an address
 * names lies in RAM whole, or the call is -EFAULT.
 *
 * What an address is depends on the entrance by which the call came. By pvkit's own it is
 * guest-physical, and what it names is contiguous there. By Xen's it is guest-virtual, of the calling
 * vCPU: then its thread has a space while the call lasts, and each page is looked up.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_GUEST_COPY_H
#define PVKIT_HYPERVISOR_SHIM_PV_GUEST_COPY_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "hypervisor-shim/vm.h"

/* Where guest-virtual @address is; false: nowhere. */
typedef bool guest_space(uint64_t address, uint64_t *physical);

/* This thread's; NULL: addresses are guest-physical. */
void guest_copy_set_space(guest_space *space);

int copy_from_guest(void *to, uint64_t address, size_t size);
int copy_to_guest(uint64_t address, const void *from, size_t size);
/* Guest-physical address of @size bytes at @address, if they are contiguous RAM there; or -EFAULT. */
int guest_copy_locate(uint64_t address, size_t size, uint64_t *physical);

#endif
