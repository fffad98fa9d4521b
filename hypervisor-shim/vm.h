/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The virtual machine: /dev/kvm, its memory, its in-kernel interrupt controllers, and the two
 * shortcuts by which a notification never passes through this process: ioeventfd (guest to
 * back-end) and irqfd (back-end to guest).
 *
 * One VM a process, so the functions take no handle. All return 0 or -errno unless they say more.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_VM_H
#define PVKIT_HYPERVISOR_SHIM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/guest_memory.h"

/* Guest-physical memory map. RAM lies below the hole and, the rest, from 4 GiB on. */
#define VM_PCI_HOLE_START 0xc0000000ULL /* RAM ends here at the latest */
#define VM_PCI_HOLE_END   0xfec00000ULL /* I/O APIC and what follows */
#define VM_PCI64_START \
	0x8000000000ULL /* 64-bit BARs: 512 GiB .. +64 GiB, clamped to the CPU's address width */
#define VM_RAM_HIGH_START 0x100000000ULL
#define VM_ECAM_START     0xe0000000ULL /* PCI configuration space of bus 0, memory-mapped: 1 MiB */
#define VM_ECAM_SIZE      0x100000ULL
#define VM_KVM_START      0xfffbc000ULL /* pages that KVM itself needs in the guest: up to 4 GiB */
#define VM_MEMORY_MIN     (16ULL << 20)
#define VM_MEMORY_MAX     (256ULL << 30)

#define VM_CPUS_MAX 16

/*
 * Opens /dev/kvm and makes a VM with @memory bytes of shared RAM (memfd, so that back-ends map
 * it).
 */
int vm_open(uint64_t memory, unsigned int cpus);
void vm_close(void);
/*
 * Takes all RAM from the host now, in huge pages where it gives them; again after each
 * vm_reset().
 */
int vm_preallocate(void);
/*
 * RAM reads zero again and the interrupt controllers are as after vm_open(). No vCPU runs
 * meanwhile.
 */
int vm_reset(void);

int vm_fd(void);
int vm_kvm_fd(void); /* /dev/kvm itself */
int vm_capability(unsigned int capability); /* KVM_CHECK_EXTENSION; 0: not there */
unsigned int vm_cpus(void);
/* Where BARs of 64 bits may lie: VM_PCI64_START, or lower on a CPU with few address bits. */
uint64_t vm_pci64_start(void);
uint64_t vm_pci64_size(void);
/* The RAM, through the one checked door; regions' fds for back-ends. */
const struct guest_memory *vm_memory(void);
int vm_region_fd(unsigned int region, uint64_t *offset);

/* Guest memory for device BARs that are backed by RAM (PV mode): a slot that can come and go. */
int vm_add_slot(uint64_t address, uint64_t size, void *host);
int vm_remove_slot(uint64_t address);

/* A @size-byte (0: any size) write at guest-physical @address signals @fd. */
int vm_ioeventfd(uint64_t address, unsigned int size, int fd, bool on);

/*
 * MSI through irqfd: a route is a GSI number whose message can change while @fd stays attached.
 */
int vm_msi_route_new(void); /* GSI ≥ 24, or -ENOSPC */
void vm_msi_route_free(int gsi);
int vm_msi_route_set(int gsi, uint64_t address, uint32_t data); /* takes effect before it returns */
/* The same route as an event channel of a Xen guest: @port becomes pending on @vcpu. */
int vm_evtchn_route_set(int gsi, uint32_t port, uint32_t vcpu);
int vm_irqfd(int gsi, int fd, bool on);
/* Sends one MSI now, from this thread. */
int vm_msi_send(uint64_t address, uint32_t data);
/* Level of a legacy GSI (0..23). */
int vm_irq_line(unsigned int gsi, int level);

#endif
