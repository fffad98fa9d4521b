// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * ACPI: what the tables say, and why.
 *
 * The machine has ACPI's fixed hardware, as every PC has, not the reduced kind: stock kernels
 * take that path with the least surprise. FADT also says what is absent, and that is what makes a
 * boot short: no keyboard controller, no VGA, no CMOS clock, so no driver probes them and waits.
 * The time of day comes from kvmclock.
 *
 * Everything lies in one piece from ACPI_RSDP on, in the read-only area of the first MiB, where
 * kernels look for the root pointer when nobody told them.
 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/acpi_tables.h"
#include "hypervisor-shim/dsdt.h"
#include "hypervisor-shim/irq.h"
#include "hypervisor-shim/power.h"
#include "hypervisor-shim/vm.h"

#define TABLES_MAX 8
#define ALIGNMENT  64 /* FACS wants it; the others do not mind */

/* The area that is filled, and the addresses of what XSDT has to name. */
struct area {
	const struct acpi_machine *machine;
	uint8_t *data;
	size_t used, size;
	uint64_t tables[TABLES_MAX];
	unsigned int count;
	int full;
};

static uint8_t checksum(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (size--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

/* Room of @size bytes, zeroed; its guest-physical address in *address. NULL: the area is full. */
static void *take(struct area *area, size_t size, uint64_t *address)
{
	size_t at = (area->used + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

	if (area->full || at > area->size || size > area->size - at) {
		area->full = 1;
		return NULL;
	}
	area->used = at + size;
	*address = ACPI_RSDP + at;
	return memset(area->data + at, 0, size);
}

static void finish(struct acpi_header *header, const char *signature, uint8_t revision,
		   size_t length)
{
	memcpy(header->signature, signature, 4);
	header->length = (uint32_t)length;
	header->revision = revision;
	memcpy(header->oem_id, "PVKIT ", 6);
	memcpy(header->oem_table_id, "PVKITSHM", 8);
	header->oem_revision = 1;
	memcpy(header->creator_id, "PVKT", 4);
	header->creator_revision = 1;
	header->checksum = 0;
	header->checksum = checksum(header, length);
}

static void list(struct area *area, uint64_t address)
{
	area->tables[area->count++] = address;
}

static uint64_t build_dsdt(struct area *area)
{
	uint8_t code[DSDT_SIZE_MAX];
	size_t length = dsdt_code(area->machine, code, sizeof(code));
	struct acpi_header *header;
	uint64_t address = 0;

	header = take(area, sizeof(*header) + length, &address);
	if (!header || !length) {
		area->full = 1;
		return 0;
	}
	memcpy(header + 1, code, length);
	finish(header, "DSDT", 2, sizeof(*header) + length);
	return address;
}

static uint64_t build_facs(struct area *area)
{
	uint64_t address = 0;
	struct acpi_facs *facs = take(area, sizeof(*facs), &address);

	if (!facs)
		return 0;
	memcpy(facs->signature, "FACS", 4);
	facs->length = sizeof(*facs);
	facs->version = 2;
	return address;
}

static struct acpi_address port(uint16_t address, uint8_t bits, uint8_t access)
{
	return (struct acpi_address){ACPI_SPACE_IO, bits, 0, access, address};
}

static void build_fadt(struct area *area, uint64_t facs, uint64_t dsdt)
{
	uint64_t address;
	struct acpi_fadt *fadt = take(area, sizeof(*fadt), &address);

	if (!fadt)
		return;
	fadt->facs = (uint32_t)facs;
	fadt->dsdt = (uint32_t)dsdt;
	fadt->x_dsdt = dsdt;
	fadt->sci_interrupt = IRQ_SCI;
	fadt->pm1a_event = POWER_PM1_EVENT;
	fadt->pm1_event_length = 4;
	fadt->x_pm1a_event = port(POWER_PM1_EVENT, 32, ACPI_ACCESS_WORD);
	fadt->pm1a_control = POWER_PM1_CONTROL;
	fadt->pm1_control_length = 2;
	fadt->x_pm1a_control = port(POWER_PM1_CONTROL, 16, ACPI_ACCESS_WORD);
	fadt->c2_latency = 0xfff; /* more than 100 µs: there is no C2, nor C3 */
	fadt->c3_latency = 0xfff;
	fadt->boot_flags = FADT_BOOT_NO_ASPM | FADT_BOOT_NO_CMOS;
	if (!area->machine->may_have_vga)
		fadt->boot_flags |= FADT_BOOT_NO_VGA;
	fadt->flags = FADT_WBINVD | FADT_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
		      FADT_NO_RTC_WAKE | FADT_RESET | FADT_HEADLESS;
	fadt->reset = port(POWER_RESET, 8, ACPI_ACCESS_BYTE);
	fadt->reset_value = POWER_RESET_VALUE;
	fadt->minor_revision = 3;
	memcpy(fadt->hypervisor, "PVKIT", 5);
	finish(&fadt->header, "FACP", 6, sizeof(*fadt));
	list(area, address);
}

/* What MADT holds behind its head, all of it at fixed places. */
struct madt {
	struct acpi_madt head;
	struct acpi_madt_ioapic ioapic;
	struct acpi_madt_override timer, sci;
	struct acpi_madt_nmi nmi;
	struct acpi_madt_lapic lapics[];
} ACPI_PACKED;

static void build_madt(struct area *area)
{
	unsigned int cpus = area->machine->cpus;
	size_t size = sizeof(struct madt) + cpus * sizeof(struct acpi_madt_lapic);
	uint64_t address;
	struct madt *madt = take(area, size, &address);

	if (!madt)
		return;
	madt->head.lapic = IRQ_LAPIC_START;
	madt->head.flags = MADT_PCAT_COMPAT;
	madt->ioapic = (struct acpi_madt_ioapic){
		.type = 1, .length = sizeof(madt->ioapic), .address = IRQ_IOAPIC_START};
	madt->timer = (struct acpi_madt_override){.type = 2,
						  .length = sizeof(madt->timer),
						  .source = IRQ_TIMER,
						  .gsi = IRQ_TIMER_GSI};
	madt->sci = (struct acpi_madt_override){.type = 2,
						.length = sizeof(madt->sci),
						.source = IRQ_SCI,
						.gsi = IRQ_SCI,
						.flags = MADT_ACTIVE_HIGH | MADT_LEVEL};
	madt->nmi = (struct acpi_madt_nmi){
		.type = 4, .length = sizeof(madt->nmi), .processor = 0xff /* all */, .lint = 1};
	for (unsigned int i = 0; i < cpus; i++)
		madt->lapics[i] = (struct acpi_madt_lapic){.length = sizeof(madt->lapics[i]),
							   .processor = (uint8_t)i,
							   .id = (uint8_t)i,
							   .flags = 1};
	finish(&madt->head.header, "APIC", 5, size);
	list(area, address);
}

static void build_mcfg(struct area *area)
{
	uint64_t address;
	struct acpi_mcfg *mcfg = take(area, sizeof(*mcfg), &address);

	if (!mcfg)
		return;
	mcfg->address = VM_ECAM_START;
	finish(&mcfg->header, "MCFG", 1, sizeof(*mcfg));
	list(area, address);
}

static uint64_t build_xsdt(struct area *area)
{
	size_t size = sizeof(struct acpi_header) + area->count * sizeof(uint64_t);
	uint64_t address = 0;
	struct acpi_header *xsdt = take(area, size, &address);

	if (!xsdt)
		return 0;
	memcpy(xsdt + 1, area->tables, area->count * sizeof(uint64_t));
	finish(xsdt, "XSDT", 1, size);
	return address;
}

static void build_rsdp(struct acpi_rsdp *rsdp, uint64_t xsdt)
{
	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "PVKIT ", 6);
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = xsdt;
	rsdp->checksum = checksum(rsdp, 20);
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

size_t acpi_build(const struct acpi_machine *machine, void *data, size_t size)
{
	struct area area = {.machine = machine, .data = data, .size = size};
	uint64_t address, facs, dsdt;
	struct acpi_rsdp *rsdp;

	rsdp = take(&area, sizeof(*rsdp), &address);
	facs = build_facs(&area);
	dsdt = build_dsdt(&area);
	build_fadt(&area, facs, dsdt);
	build_madt(&area);
	build_mcfg(&area);
	address = build_xsdt(&area);
	if (area.full)
		return 0;
	build_rsdp(rsdp, address);
	return area.used;
}

static bool may_have_vga;

void acpi_hide_lack_of_vga(void)
{
	may_have_vga = true;
}

int acpi_load(void)
{
	const struct acpi_machine machine = {
		.cpus = vm_cpus(),
		.pci64_start = vm_pci64_start(),
		.pci64_size = vm_pci64_size(),
		.may_have_vga = may_have_vga,
	};
	size_t size = ACPI_END - ACPI_RSDP;
	void *area = guest_memory_at(vm_memory(), ACPI_RSDP, size);

	if (area && acpi_build(&machine, area, size))
		return 0;
	log_error("the ACPI tables do not fit their place; this is a fault of pvkit-shim");
	return -ENOSPC;
}
