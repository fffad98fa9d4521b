/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What CPUID tells a vCPU: what KVM supports on this host, with the guest's own topology.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_CPUID_H
#define PVKIT_HYPERVISOR_SHIM_CPUID_H

#include <stdbool.h>

#define CPUID_ENTRIES_MAX 256

struct kvm_cpuid2;
struct kvm_cpuid_entry2;

/* Physical address bits that KVM supports. After /dev/kvm is open. */
unsigned int cpuid_address_bits(void);

/* Whether the host's CPU virtualizes (vmx or svm), as /proc/cpuinfo says. */
bool cpuid_host_virtualizes(void);

/*
 * Leaves of the shim's own, beside KVM's: @make fills CPUID_LEAVES_MAX entries at most for vCPU @cpu,
 * and returns how many. Before vCPUs are made.
 */
#define CPUID_LEAVES_MAX 8
void cpuid_add_leaves(unsigned int (*make)(unsigned int cpu, struct kvm_cpuid_entry2 *entries));
/* The same, but KVM's own leaves are not there: the guest shall see no other hypervisor. */
void cpuid_replace_leaves(unsigned int (*make)(unsigned int cpu, struct kvm_cpuid_entry2 *entries));

/* The table of vCPU number @cpu of @cpus; APIC ids equal vCPU numbers. malloc'ed; NULL: errno. */
struct kvm_cpuid2 *cpuid_make(unsigned int cpu, unsigned int cpus);

#endif
