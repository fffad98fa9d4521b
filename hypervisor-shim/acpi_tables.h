/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Layouts of the fixed ACPI tables (ACPI 6.4, chapter 5.2; MCFG: PCI Firmware 3.0, 4.1.2).
 */
#ifndef PVKIT_HYPERVISOR_SHIM_ACPI_TABLES_H
#define PVKIT_HYPERVISOR_SHIM_ACPI_TABLES_H

#include <stdint.h>

#define ACPI_PACKED __attribute__((packed))

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_header) == 36, "system description table header");

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "root system description pointer");

struct acpi_address { /* "generic address structure" */
	uint8_t space, bits, shift, access;
	uint64_t address;
} ACPI_PACKED;
#define ACPI_SPACE_IO    1
#define ACPI_ACCESS_BYTE 1
#define ACPI_ACCESS_WORD 2

struct acpi_facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_facs) == 64, "firmware ACPI control structure");

struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci_interrupt;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
	uint32_t gpe0, gpe1;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	uint8_t gpe0_length, gpe1_length, gpe1_base, cst_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags; /* IAPC_BOOT_ARCH */
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_address x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
	struct acpi_address sleep_control, sleep_status;
	char hypervisor[8];
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT of ACPI 6");

#define FADT_BOOT_NO_VGA  (1u << 2)
#define FADT_BOOT_NO_ASPM (1u << 4)
#define FADT_BOOT_NO_CMOS (1u << 5)

#define FADT_WBINVD          (1u << 0)
#define FADT_C1              (1u << 2)
#define FADT_NO_POWER_BUTTON (1u << 4)
#define FADT_NO_SLEEP_BUTTON (1u << 5)
#define FADT_NO_RTC_WAKE     (1u << 6)
#define FADT_RESET           (1u << 10)
#define FADT_HEADLESS        (1u << 12)

struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic, flags;
} ACPI_PACKED;
#define MADT_PCAT_COMPAT 1 /* there are 8259s too */

struct acpi_madt_lapic {
	uint8_t type, length, processor, id;
	uint32_t flags;
} ACPI_PACKED;

struct acpi_madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} ACPI_PACKED;

struct acpi_madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} ACPI_PACKED;
#define MADT_ACTIVE_HIGH 1
#define MADT_LEVEL       (3 << 2)

struct acpi_madt_nmi {
	uint8_t type, length, processor;
	uint16_t flags;
	uint8_t lint;
} ACPI_PACKED;

struct acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved0;
	uint64_t address;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved1;
} ACPI_PACKED;

#endif
