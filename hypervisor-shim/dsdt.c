// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Device by device, in the order in which `iasl -d` shows it. No methods: all is constant.
 */
#include <stdio.h>

#include "hypervisor-shim/aml.h"
#include "hypervisor-shim/dsdt.h"
#include "hypervisor-shim/irq.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/power.h"
#include "hypervisor-shim/serial.h"
#include "hypervisor-shim/vm.h"

#define PINS 4

static void put_sleep_states(struct aml *aml)
{
	aml_name(aml, "_S5_");
	aml_package(aml, 4);
	aml_integer(aml, POWER_SLEEP_OFF);
	aml_integer(aml, POWER_SLEEP_OFF);
	aml_integer(aml, 0);
	aml_integer(aml, 0);
	aml_end(aml);
}

/* _UID is what the LAPIC entry of MADT calls "processor". */
static void put_processors(struct aml *aml, unsigned int cpus)
{
	char name[5];

	for (unsigned int i = 0; i < cpus; i++) {
		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		aml_device(aml, name);
		aml_name(aml, "_HID");
		aml_string(aml, "ACPI0007");
		aml_name(aml, "_UID");
		aml_integer(aml, i);
		aml_end(aml);
	}
}

static void put_windows(struct aml *aml, const struct acpi_machine *machine)
{
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_window_bus(aml, 0, 0);
	aml_port(aml, 0xcf8, 8);
	aml_window_port(aml, 0, 0xcf7);
	aml_window_port(aml, 0xd00, 0xffff);
	aml_window_memory32(aml, VM_PCI_HOLE_START, VM_ECAM_START - 1);
	aml_window_memory64(aml, machine->pci64_start,
			    machine->pci64_start + machine->pci64_size - 1);
	aml_resources_end(aml);
}

/* Every pin of a slot has one line of the I/O APIC, the one that pci_add() gave it. */
static void put_interrupt_lines(struct aml *aml)
{
	aml_name(aml, "_PRT");
	aml_package(aml, PCI_DEVICES_MAX * PINS);
	for (unsigned int slot = 0; slot < PCI_DEVICES_MAX; slot++) {
		for (unsigned int pin = 0; pin < PINS; pin++) {
			aml_package(aml, 4);
			aml_integer(aml, slot << 16 | 0xffff);
			aml_integer(aml, pin);
			aml_integer(aml, 0);
			aml_integer(aml, IRQ_PCI_FIRST + slot % IRQ_PCI_COUNT);
			aml_end(aml);
		}
	}
	aml_end(aml);
}

static void put_pci(struct aml *aml, const struct acpi_machine *machine)
{
	aml_device(aml, "PCI0");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	aml_name(aml, "_SEG");
	aml_integer(aml, 0);
	put_windows(aml, machine);
	put_interrupt_lines(aml);
	aml_end(aml);
}

/* Configuration space as memory and the power ports: taken, so that nobody puts a BAR there. */
static void put_reserved(struct aml *aml)
{
	aml_device(aml, "RSVD");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C02");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_memory32(aml, VM_ECAM_START, VM_ECAM_SIZE);
	aml_port(aml, POWER_PM1_EVENT, 4);
	aml_port(aml, POWER_PM1_CONTROL, 2);
	aml_resources_end(aml);
	aml_end(aml);
}

static void put_serial(struct aml *aml)
{
	aml_device(aml, "COM1");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0501");
	aml_name(aml, "_UID");
	aml_integer(aml, 1);
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_port(aml, SERIAL_PORT, SERIAL_PORTS);
	aml_irq(aml, IRQ_COM1);
	aml_resources_end(aml);
	aml_end(aml);
}

static void put_panic(struct aml *aml)
{
	aml_device(aml, "PEVT");
	aml_name(aml, "_HID");
	aml_string(aml, "QEMU0001");
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_port(aml, POWER_PANIC, 1);
	aml_resources_end(aml);
	aml_end(aml);
}

size_t dsdt_code(const struct acpi_machine *machine, void *data, size_t size)
{
	struct aml aml;

	aml_start(&aml, data, size);
	put_sleep_states(&aml);
	aml_scope(&aml, "_SB_");
	put_processors(&aml, machine->cpus);
	put_pci(&aml, machine);
	put_reserved(&aml);
	put_serial(&aml);
	put_panic(&aml);
	aml_end(&aml);
	return aml_length(&aml);
}
