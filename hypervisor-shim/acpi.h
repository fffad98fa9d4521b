/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * ACPI tables: how a guest finds CPUs, interrupts, PCI, the console, power-off and reset.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_ACPI_H
#define PVKIT_HYPERVISOR_SHIM_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACPI_RSDP 0xe0000u /* where a guest without any other hint looks too */
#define ACPI_END  0x100000u

/* What differs from machine to machine. */
struct acpi_machine {
	unsigned int cpus;
	uint64_t pci64_start, pci64_size;
	bool may_have_vga; /* FADT does not say that there is none */
};

/*
 * Builds all tables as they lie from ACPI_RSDP on into @area of @size bytes. How many it took, or
 * 0 if that was too little.
 */
size_t acpi_build(const struct acpi_machine *machine, void *area, size_t size);

/* Into the guest's memory. 0 or -errno after a line. */
int acpi_load(void);
/*
 * From now on without the word that there is no VGA: a Linux that sees Xen takes a machine with
 * neither VGA nor CMOS clock for one of Xen's PVH domains, which has no platform device.
 */
void acpi_hide_lack_of_vga(void);

#endif
