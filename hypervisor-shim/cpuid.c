// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * CPUID: the host's own features as KVM supports them, so that the guest runs as fast as the host
 * can; and one package with as many cores as there are vCPUs, one thread each, told in every leaf
 * in which a guest may look (Intel's 4 and 0xb, AMD's 0x80000008, 0x8000001d, 0x8000001e), all of
 * the same mind: newer kernels compare them with each other and with MADT, and complain.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/vm.h"

#define LEAF_FEATURES         1
#define LEAF_CACHES           4
#define LEAF_TOPOLOGY         0xb
#define LEAF_TOPOLOGY_V2      0x1f
#define LEAF_HYPERVISOR_FIRST 0x40000000
#define LEAF_HYPERVISOR_LAST  0x4fffffff
#define LEAF_AMD_FEATURES     0x80000001
#define LEAF_ADDRESS_SIZE     0x80000008
#define LEAF_AMD_CACHES       0x8000001d
#define LEAF_AMD_TOPOLOGY     0x8000001e
#define LEAF_AMD_TOPOLOGY_V2  0x80000026

#define FEATURE_ECX_TSC_DEADLINE (1u << 24)
#define FEATURE_ECX_HYPERVISOR   (1u << 31)
#define FEATURE_EDX_HTT          (1u << 28) /* "more than one logical CPU in the package" */
#define AMD_ECX_CMP_LEGACY       (1u << 1)

#define LEVEL_THREAD (1u << 8)
#define LEVEL_CORE   (2u << 8)

#define ADDRESS_BITS_DEFAULT 36

/* Bits of an APIC id that tell the cores of the package apart. */
static unsigned int id_bits(unsigned int cpus)
{
	unsigned int bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

static unsigned int (*make_own)(unsigned int cpu, struct kvm_cpuid_entry2 *entries);
static bool hide_kvm;

static struct kvm_cpuid2 *supported(void)
{
	struct kvm_cpuid2 *table;

	table = calloc(1, sizeof(*table) + CPUID_ENTRIES_MAX * sizeof(table->entries[0]));
	if (!table)
		return NULL;
	/* Room for what add_topology() and others append. */
	table->nent = CPUID_ENTRIES_MAX - 4 - CPUID_LEAVES_MAX;
	if (ioctl(vm_kvm_fd(), KVM_GET_SUPPORTED_CPUID, table) < 0) {
		free(table);
		return NULL;
	}
	return table;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *table, uint32_t leaf)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		if (table->entries[i].function == leaf)
			return &table->entries[i];
	}
	return NULL;
}

static void remove_leaves(struct kvm_cpuid2 *table, uint32_t first, uint32_t last)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < table->nent; i++) {
		uint32_t leaf = table->entries[i].function;

		if (leaf < first || leaf > last)
			table->entries[n++] = table->entries[i];
	}
	table->nent = n;
}

static void remove_leaf(struct kvm_cpuid2 *table, uint32_t leaf)
{
	remove_leaves(table, leaf, leaf);
}

static void add(struct kvm_cpuid2 *table, const struct kvm_cpuid_entry2 *entry)
{
	if (table->nent < CPUID_ENTRIES_MAX)
		table->entries[table->nent++] = *entry;
}

static void add_topology(struct kvm_cpuid2 *table, unsigned int cpu, unsigned int cpus)
{
	struct kvm_cpuid_entry2 entry = {
		.function = LEAF_TOPOLOGY,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.edx = cpu,
	};
	const struct kvm_cpuid_entry2 *basic = find(table, 0);

	if (!basic || basic->eax < LEAF_TOPOLOGY)
		return;
	entry.index = 0;
	entry.eax = 0;
	entry.ebx = 1;
	entry.ecx = 0 | LEVEL_THREAD;
	add(table, &entry);
	entry.index = 1;
	entry.eax = id_bits(cpus);
	entry.ebx = cpus;
	entry.ecx = 1 | LEVEL_CORE;
	add(table, &entry);
	entry.index = 2;
	entry.eax = 0;
	entry.ebx = 0;
	entry.ecx = 2;
	add(table, &entry);
}

/* Caches of level 3 are the package's, the others a core's. Fields as in Intel's and AMD's leaf. */
static void shape_cache(struct kvm_cpuid_entry2 *entry, unsigned int cpus)
{
	unsigned int level = entry->eax >> 5 & 7;
	uint32_t sharing = level >= 3 ? (1u << id_bits(cpus)) - 1 : 0;

	entry->eax = (entry->eax & ~(0xfffu << 14)) | sharing << 14;
	if (entry->function == LEAF_CACHES)
		entry->eax = (entry->eax & 0x03ffffff) | ((1u << id_bits(cpus)) - 1) << 26;
}

/* Intel reserves the bits in which AMD counts cores. */
static bool is_amd(struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 *vendor = find(table, 0);

	return vendor && (vendor->ecx == 0x444d4163 /* "cAMD" */ ||
			  vendor->ecx == 0x656e6975 /* "uine", of HygonGenuine */);
}

static void shape(struct kvm_cpuid_entry2 *entry, unsigned int cpu, unsigned int cpus, bool amd)
{
	switch (entry->function) {
	case LEAF_FEATURES:
		entry->ebx = (entry->ebx & 0xffff) | cpus << 16 | cpu << 24;
		entry->ecx |= FEATURE_ECX_HYPERVISOR;
		if (vm_capability(KVM_CAP_TSC_DEADLINE_TIMER))
			entry->ecx |= FEATURE_ECX_TSC_DEADLINE;
		entry->edx &= ~FEATURE_EDX_HTT;
		if (cpus > 1)
			entry->edx |= FEATURE_EDX_HTT;
		break;
	case LEAF_CACHES:
	case LEAF_AMD_CACHES:
		if (entry->eax & 0x1f)
			shape_cache(entry, cpus);
		break;
	case LEAF_AMD_FEATURES:
		entry->ecx &= ~AMD_ECX_CMP_LEGACY;
		if (cpus > 1 && amd)
			entry->ecx |= AMD_ECX_CMP_LEGACY;
		break;
	case LEAF_ADDRESS_SIZE:
		if (amd)
			entry->ecx = (entry->ecx & ~0xf0ffu) | (cpus - 1) | id_bits(cpus) << 12;
		break;
	case LEAF_AMD_TOPOLOGY:
		entry->eax = cpu;
		entry->ebx = cpu; /* core id; threads a core - 1 = 0 */
		entry->ecx = 0; /* node 0 of one */
		break;
	}
}

void cpuid_add_leaves(unsigned int (*make)(unsigned int cpu, struct kvm_cpuid_entry2 *entries))
{
	make_own = make;
	hide_kvm = false;
}

void cpuid_replace_leaves(unsigned int (*make)(unsigned int cpu, struct kvm_cpuid_entry2 *entries))
{
	make_own = make;
	hide_kvm = true;
}

static void add_own(struct kvm_cpuid2 *table, unsigned int cpu)
{
	struct kvm_cpuid_entry2 entries[CPUID_LEAVES_MAX];
	unsigned int count = make_own ? make_own(cpu, entries) : 0;

	for (unsigned int i = 0; i < count; i++)
		add(table, &entries[i]);
}

unsigned int cpuid_address_bits(void)
{
	struct kvm_cpuid2 *table = supported();
	const struct kvm_cpuid_entry2 *entry = table ? find(table, LEAF_ADDRESS_SIZE) : NULL;
	unsigned int bits = entry ? entry->eax & 0xff : 0;

	free(table);
	return bits < ADDRESS_BITS_DEFAULT || bits > 52 ? ADDRESS_BITS_DEFAULT : bits;
}

bool cpuid_host_virtualizes(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!file)
		return true; /* no one to ask: KVM was opened, so believe it */
	while (!found && getline(&line, &room, file) > 0) {
		if (!strncmp(line, "flags", 5))
			found = strstr(line, " vmx") || strstr(line, " svm");
	}
	free(line);
	fclose(file);
	return found;
}

struct kvm_cpuid2 *cpuid_make(unsigned int cpu, unsigned int cpus)
{
	struct kvm_cpuid2 *table = supported();
	bool amd;

	if (!table)
		return NULL;
	amd = is_amd(table);
	remove_leaf(table, LEAF_TOPOLOGY);
	remove_leaf(table, LEAF_TOPOLOGY_V2);
	remove_leaf(table, LEAF_AMD_TOPOLOGY_V2);
	for (uint32_t i = 0; i < table->nent; i++)
		shape(&table->entries[i], cpu, cpus, amd);
	add_topology(table, cpu, cpus);
	if (hide_kvm)
		remove_leaves(table, LEAF_HYPERVISOR_FIRST, LEAF_HYPERVISOR_LAST);
	add_own(table, cpu);
	return table;
}
