// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * ACPI tables: found the way a kernel finds them, sums right, pointers right, and, where iasl is
 * installed, disassembled and compiled again without a complaint.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hypervisor-shim/acpi.h"
#include "hypervisor-shim/acpi_tables.h"
#include "hypervisor-shim/dsdt.h"
#include "hypervisor-shim/power.h"
#include "hypervisor-shim/vm.h"

static uint8_t area[ACPI_END - ACPI_RSDP];

static void build(unsigned int cpus)
{
	const struct acpi_machine machine = {
		.cpus = cpus,
		.pci64_start = VM_PCI64_START,
		.pci64_size = 64ULL << 30,
	};

	memset(area, 0, sizeof(area));
	assert_in_range(acpi_build(&machine, area, sizeof(area)), 1000, sizeof(area));
}

static uint8_t sum(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint8_t total = 0;

	while (size--)
		total = (uint8_t)(total + *p++);
	return total;
}

static const void *at(uint64_t address)
{
	assert_in_range(address, ACPI_RSDP, ACPI_END - sizeof(struct acpi_header));
	return area + (address - ACPI_RSDP);
}

static const void *table(const char *signature)
{
	const struct acpi_rsdp *rsdp = (const void *)area;
	const struct acpi_header *xsdt = at(rsdp->xsdt);
	uint64_t address;

	for (size_t i = sizeof(*xsdt); i < xsdt->length; i += sizeof(address)) {
		memcpy(&address, (const uint8_t *)xsdt + i, sizeof(address));
		if (!memcmp(at(address), signature, 4))
			return at(address);
	}
	fail_msg("there is no %s", signature);
	return NULL;
}

static void sums_are_right(void **state)
{
	const struct acpi_rsdp *rsdp = (const void *)area;
	static const char *const signatures[] = {"FACP", "APIC", "MCFG"};
	const struct acpi_header *header;

	build(16);
	assert_memory_equal(rsdp->signature, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, sizeof(*rsdp)), 0);
	header = at(rsdp->xsdt);
	assert_memory_equal(header->signature, "XSDT", 4);
	assert_int_equal(sum(header, header->length), 0);
	for (size_t i = 0; i < 3; i++) {
		header = table(signatures[i]);
		assert_int_equal(sum(header, header->length), 0);
	}
	header = at(((const struct acpi_fadt *)table("FACP"))->x_dsdt);
	assert_memory_equal(header->signature, "DSDT", 4);
	assert_int_equal(sum(header, header->length), 0);
}

static void fadt_tells_what_is_absent(void **state)
{
	const struct acpi_fadt *fadt;

	build(1);
	fadt = table("FACP");
	assert_int_equal(fadt->boot_flags & 2, 0); /* no 8042 */
	assert_true(fadt->boot_flags & FADT_BOOT_NO_VGA);
	assert_true(fadt->boot_flags & FADT_BOOT_NO_CMOS);
	assert_int_equal(fadt->flags & 1u << 20, 0); /* not hardware-reduced */
	assert_true(fadt->flags & FADT_RESET);
	assert_int_equal(fadt->reset.address, POWER_RESET);
	assert_int_equal(fadt->pm1a_control, POWER_PM1_CONTROL);
	assert_int_equal(fadt->smi_command, 0); /* ACPI is on from the start */
	assert_int_equal(fadt->facs % 64, 0);
	assert_memory_equal(at(fadt->facs), "FACS", 4);
}

static void madt_names_every_cpu(void **state)
{
	for (unsigned int cpus = 1; cpus <= 16; cpus++) {
		const struct acpi_madt *madt;
		unsigned int found = 0;

		build(cpus);
		madt = table("APIC");
		for (uint32_t i = sizeof(*madt); i < madt->header.length;) {
			const uint8_t *entry = (const uint8_t *)madt + i;

			assert_true(entry[1] >= 2);
			if (entry[0] == 0) {
				assert_int_equal(entry[3], found); /* APIC id, as CPUID has it */
				found++;
			}
			i += entry[1];
		}
		assert_int_equal(found, cpus);
	}
}

static void too_little_room(void **state)
{
	const struct acpi_machine machine = {.cpus = 16};
	uint8_t code[DSDT_SIZE_MAX];
	size_t need;

	build(16);
	need = acpi_build(&machine, area, sizeof(area));
	assert_int_equal(acpi_build(&machine, area, need), need);
	for (size_t size = 0; size < need; size += 13)
		assert_int_equal(acpi_build(&machine, area, size), 0);
	need = dsdt_code(&machine, code, sizeof(code));
	assert_int_equal(dsdt_code(&machine, code, need), need);
	for (size_t size = 0; size < need; size += 7)
		assert_int_equal(dsdt_code(&machine, code, size), 0);
}

static void write_table(const char *folder, const char *name, const struct acpi_header *header)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "we");
	assert_non_null(out);
	assert_int_equal(fwrite(header, header->length, 1, out), 1);
	fclose(out);
}

static void iasl_has_no_complaint(void **state)
{
	char folder[] = "/tmp/pvkit-acpi-XXXXXX", command[512];

	if (system("command -v iasl >/dev/null"))
		skip();
	assert_non_null(mkdtemp(folder));
	build(3);
	write_table(folder, "facp.dat", table("FACP"));
	write_table(folder, "apic.dat", table("APIC"));
	write_table(folder, "mcfg.dat", table("MCFG"));
	write_table(folder, "dsdt.dat", at(((const struct acpi_fadt *)table("FACP"))->x_dsdt));
	snprintf(command, sizeof(command),
		 "cd %s && for t in *.dat; do iasl -d $t && iasl ${t%%.dat}.dsl || exit 1; done "
		 ">log 2>&1; "
		 "s=$?; [ $s = 0 ] && ! grep -iE '^(error|warning)|[1-9][0-9]* (errors|warnings)' "
		 "log || "
		 "{ cat log; s=1; }; cd / && rm -rf %s; exit $s",
		 folder, folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_right),
		cmocka_unit_test(fadt_tells_what_is_absent),
		cmocka_unit_test(madt_names_every_cpu),
		cmocka_unit_test(too_little_room),
		cmocka_unit_test(iasl_has_no_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
