/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The vCPUs: one thread each.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_VCPU_H
#define PVKIT_HYPERVISOR_SHIM_VCPU_H

#include <stdbool.h>
#include <stdint.h>

/* How the first vCPU enters the guest; the others wait for it to start them by INIT and SIPI. */
struct vcpu_entry {
	enum {
		VCPU_LONG_MODE, /* paging on, CR3 = page_tables; flat segments 0x10 and 0x18 */
		VCPU_PROTECTED_32, /* flat segments, no paging */
	} mode;
	uint64_t rip, rsp;
	uint64_t rsi, rbx; /* where a kernel expects the address of its boot data */
	uint64_t page_tables;
	uint64_t gdt; /* guest-physical address and limit of the table behind those selectors */
	uint16_t gdt_limit;
};

/* All vm_cpus() of them. 0, or -errno after one line on standard error. */
int vcpus_open(void);
void vcpus_close(void);

/* Power-on state for all, then @entry for the first. None runs. 0 or -errno after a line. */
int vcpus_reset(const struct vcpu_entry *entry);

int vcpus_start(void);
/* Returns when no vCPU runs any more: every thread has ended. */
void vcpus_stop(void);

/* Its descriptor. KVM keeps who uses it waiting while the vCPU is in the guest: see vcpu_call.h. */
int vcpu_descriptor(unsigned int number);
/* From the thread of a vCPU: what its page tables say now. False: @address is not mapped. */
bool vcpu_translate(uint64_t address, uint64_t *physical);

#endif
