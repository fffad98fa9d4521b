// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The PCI bus as a guest's PCI code treats it: enumeration both ways, sizing, moving and
 * switching off BARs, accesses beside them, and addresses that no BAR may take.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/vm.h"

/* In place of vm.c. */
uint64_t vm_pci64_start(void)
{
	return VM_PCI64_START;
}

uint64_t vm_pci64_size(void)
{
	return 64ULL << 30;
}

static struct {
	struct pci_device pci;
	unsigned int changes, reads, writes, resets, closes;
	uint64_t offset;
	int bar;
	bool waits; /* in an access, for another vCPU that needs the bus */
	uint32_t found;
} dev;

static uint32_t config(unsigned int slot, unsigned int offset, unsigned int size);

static void *other_vcpu(void *unused)
{
	dev.found = config(1, PCI_VENDOR_ID, 4);
	return NULL;
}

static void wait_for_other_vcpu(void)
{
	pthread_t thread;

	if (!dev.waits)
		return;
	assert_int_equal(pthread_create(&thread, NULL, other_vcpu, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void bar_read(struct pci_device *device, int bar, uint64_t offset, void *data,
		     unsigned int size)
{
	wait_for_other_vcpu();
	dev.reads++;
	dev.bar = bar;
	dev.offset = offset;
	memset(data, 0x5a, size);
}

static void bar_write(struct pci_device *device, int bar, uint64_t offset, const void *data,
		      unsigned int size)
{
	wait_for_other_vcpu();
	dev.writes++;
	dev.bar = bar;
	dev.offset = offset;
}

static void bar_changed(struct pci_device *device, int bar)
{
	dev.changes++;
}

static void reset(struct pci_device *device)
{
	dev.resets++;
}

static void close_it(struct pci_device *device)
{
	dev.closes++;
}

static const struct pci_device_ops ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_changed = bar_changed,
	.reset = reset,
	.close = close_it,
};

static int setup(void **state)
{
	memset(&dev, 0, sizeof(dev));
	dev.pci.ops = &ops;
	pci_init(&dev.pci, 0x1af4, 0x1042, 0x018000, 1, 0x1af4, 0x1100);
	pci_declare_bar(&dev.pci, 0, 0x1000, false, false);
	pci_declare_bar(&dev.pci, 4, 0x4000, true, true);
	dev.pci.config[PCI_INTERRUPT_PIN] = 1;
	pci_open();
	return pci_add(&dev.pci);
}

static int teardown(void **state)
{
	pci_close_all();
	return 0;
}

static uint32_t config(unsigned int slot, unsigned int offset, unsigned int size)
{
	uint32_t address = 0x80000000 | slot << 11 | (offset & 0xfc), value = 0;

	pci_port_write(0xcf8, &address, 4);
	pci_port_read((uint16_t)(0xcfc + (offset & 3)), &value, size);
	return value;
}

static void set_config(unsigned int slot, unsigned int offset, uint32_t value, unsigned int size)
{
	uint32_t address = 0x80000000 | slot << 11 | (offset & 0xfc);

	pci_port_write(0xcf8, &address, 4);
	pci_port_write((uint16_t)(0xcfc + (offset & 3)), &value, size);
}

static void enumeration(void **state)
{
	uint32_t value = 0;

	assert_int_equal(config(0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_equal(config(1, PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(config(1, PCI_DEVICE_ID, 2), 0x1042);
	assert_int_equal(config(1, PCI_REVISION_ID, 1), 1);
	assert_int_equal(config(1, PCI_SUBSYSTEM_ID, 2), 0x1100);
	assert_int_equal(config(2, PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(config(1 << 5, PCI_VENDOR_ID, 4), 0xffffffff); /* another bus */
	/* Function 1 of the same slot. */
	value = 0x80000900;
	pci_port_write(0xcf8, &value, 4);
	pci_port_read(0xcfc, &value, 4);
	assert_int_equal(value, 0xffffffff);
	/* Not enabled: the data port is nobody's. */
	value = 0x00000800;
	pci_port_write(0xcf8, &value, 4);
	pci_port_read(0xcfc, &value, 4);
	assert_int_equal(value, 0xffffffff);
	/* Identity does not change. */
	set_config(1, PCI_VENDOR_ID, 0, 4);
	assert_int_equal(config(1, PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(config(1, PCI_INTERRUPT_LINE, 1), dev.pci.gsi);
}

static void memory_mapped_configuration(void **state)
{
	uint32_t value;

	assert_true(pci_memory_read(VM_ECAM_START + (1 << 15), &value, 4));
	assert_int_equal(value, 0x10421af4);
	assert_true(pci_memory_read(VM_ECAM_START + (1 << 15) + 0x100, &value, 4));
	assert_int_equal(value, 0); /* no extended capability */
	assert_true(pci_memory_read(VM_ECAM_START + (5 << 15), &value, 4));
	assert_int_equal(value, 0xffffffff);
	value = PCI_COMMAND_MEMORY;
	assert_true(pci_memory_write(VM_ECAM_START + (1 << 15) + PCI_COMMAND, &value, 2));
	assert_int_equal(config(1, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
}

static void sizing(void **state)
{
	set_config(1, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	assert_int_equal(config(1, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
	set_config(1, PCI_BASE_ADDRESS_4, 0xffffffff, 4);
	set_config(1, PCI_BASE_ADDRESS_5, 0xffffffff, 4);
	assert_int_equal(config(1, PCI_BASE_ADDRESS_4, 4), 0xffffc00c);
	assert_int_equal(config(1, PCI_BASE_ADDRESS_5, 4), 0xffffffff);
	/* Not declared: reads zero. */
	set_config(1, PCI_BASE_ADDRESS_1, 0xffffffff, 4);
	assert_int_equal(config(1, PCI_BASE_ADDRESS_1, 4), 0);
	assert_int_equal(dev.changes, 0);
}

static void firmware_assigns(void **state)
{
	uint64_t value;

	pci_assign();
	assert_true(dev.pci.bar[0].mapped);
	assert_int_equal(dev.pci.bar[0].address, VM_PCI_HOLE_START);
	assert_true(dev.pci.bar[4].mapped);
	assert_int_equal(dev.pci.bar[4].address, VM_PCI64_START);
	assert_int_equal(dev.changes, 2);
	assert_true(config(1, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY);
	assert_true(pci_memory_read(VM_PCI64_START + 0x3ff8, &value, 8));
	assert_int_equal(dev.bar, 4);
	assert_int_equal(dev.offset, 0x3ff8);
	assert_int_equal(value, 0x5a5a5a5a5a5a5a5a);
	assert_false(pci_memory_read(VM_PCI64_START + 0x4000, &value, 8));
	assert_int_equal(value, ~0ULL);
	assert_false(pci_memory_write(VM_PCI_HOLE_START - 8, &value, 8));
	/* Sizes that are none, and unaligned accesses, are dropped. */
	assert_false(pci_memory_read(VM_PCI64_START + 2, &value, 4));
	assert_false(pci_memory_write(VM_PCI64_START, &value, 3));
	assert_int_equal(dev.reads, 1);
	assert_int_equal(dev.writes, 0);
}

/* A device may wait for its back-end: other vCPUs go on meanwhile. */
static void an_access_leaves_the_bus_to_others(void **state)
{
	uint32_t value = 0;

	pci_assign();
	alarm(30); /* where it does not, nobody ever goes on */
	dev.waits = true;
	assert_true(pci_memory_read(dev.pci.bar[0].address, &value, 4));
	assert_int_equal(dev.found, 0x10421af4);
	dev.found = 0;
	assert_true(pci_memory_write(dev.pci.bar[4].address, &value, 4));
	assert_int_equal(dev.found, 0x10421af4);
	alarm(0);
	assert_int_equal(dev.reads, 1);
	assert_int_equal(dev.writes, 1);
}

static void moving(void **state)
{
	uint32_t value;

	pci_assign();
	dev.changes = 0;
	set_config(1, PCI_BASE_ADDRESS_0, 0xd0000000, 4);
	assert_int_equal(dev.changes, 1);
	assert_true(pci_memory_read(0xd0000000, &value, 4));
	assert_false(pci_memory_read(VM_PCI_HOLE_START, &value, 4));
	/* As Linux does it: decoding off, both halves, decoding on. */
	set_config(1, PCI_COMMAND, 0, 2);
	assert_false(dev.pci.bar[0].mapped || dev.pci.bar[4].mapped);
	dev.changes = 0;
	set_config(1, PCI_BASE_ADDRESS_4, 0x10000, 4);
	set_config(1, PCI_BASE_ADDRESS_5, 0x81, 4);
	assert_int_equal(dev.changes, 0);
	set_config(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(dev.changes, 2);
	assert_int_equal(dev.pci.bar[4].address, 0x8100010000);
	assert_true(pci_memory_read(0x8100010000, &value, 4));
	/* Bytes of a BAR written one by one. */
	set_config(1, PCI_BASE_ADDRESS_0 + 3, 0xc8, 1);
	assert_true(pci_memory_read(0xc8000000, &value, 4));
}

/* RAM, interrupt controllers, configuration space, and beyond the windows. */
static void addresses_that_are_refused(void **state)
{
	static const uint32_t bad[] = {0,          0x1000,        0x80000000,
				       0xbffff000, VM_ECAM_START, 0xfec00000,
				       0xfee00000, 0xfffff000};
	uint32_t value;

	pci_assign();
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		set_config(1, PCI_BASE_ADDRESS_0, bad[i], 4);
		assert_false(dev.pci.bar[0].mapped);
		if (bad[i] != VM_ECAM_START)
			assert_false(pci_memory_read(bad[i], &value, 4));
	}
	set_config(1, PCI_BASE_ADDRESS_0, 0xdffff000, 4);
	assert_true(dev.pci.bar[0].mapped);
	set_config(1, PCI_BASE_ADDRESS_5, 0xffffffff, 4);
	assert_false(dev.pci.bar[4].mapped);
	set_config(1, PCI_BASE_ADDRESS_5, 0x90, 4); /* the end of the window */
	assert_false(dev.pci.bar[4].mapped);
	set_config(1, PCI_BASE_ADDRESS_5, 0x8f, 4);
	assert_true(dev.pci.bar[4].mapped);
}

static void capabilities(void **state)
{
	uint8_t first = pci_add_capability(&dev.pci, 0x09, 16),
		second = pci_add_capability(&dev.pci, 0x11, 12);

	assert_true(config(1, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	assert_int_equal(config(1, PCI_CAPABILITY_LIST, 1), first);
	assert_int_equal(config(1, first, 1), 0x09);
	assert_int_equal(config(1, first + 1u, 1), second);
	assert_int_equal(config(1, second, 1), 0x11);
	assert_int_equal(config(1, second + 1u, 1), 0);
	assert_true(first >= 0x40 && second == first + 16);
}

static void resets(void **state)
{
	pci_assign();
	set_config(1, PCI_BASE_ADDRESS_0, 0xd0000000, 4);
	set_config(1, PCI_INTERRUPT_LINE, 77, 1);
	pci_reset_all();
	assert_int_equal(dev.resets, 1);
	assert_false(dev.pci.bar[0].mapped);
	assert_int_equal(config(1, PCI_COMMAND, 2), 0);
	assert_int_equal(config(1, PCI_INTERRUPT_LINE, 1), dev.pci.gsi);
	pci_assign();
	assert_int_equal(dev.pci.bar[0].address, VM_PCI_HOLE_START);
	pci_close_all();
	assert_int_equal(dev.closes, 1);
	assert_int_equal(config(1, PCI_VENDOR_ID, 4), 0xffffffff);
}

static void a_full_bus(void **state)
{
	static struct pci_device more[PCI_DEVICES_MAX];
	unsigned int added = 0;

	for (unsigned int i = 0; i < PCI_DEVICES_MAX; i++) {
		pci_init(&more[i], 0x1af4, 0x1041, 0x020000, 1, 0, 0);
		pci_declare_bar(&more[i], 0, 0x4000, true, false);
		added += pci_add(&more[i]) == 0;
	}
	assert_int_equal(added, PCI_DEVICES_MAX - 2);
	pci_assign();
	for (unsigned int i = 0; i < added; i++) {
		assert_true(more[i].bar[0].mapped);
		assert_true(more[i].gsi >= 16 && more[i].gsi < 24);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(more[i].bar[0].address, more[j].bar[0].address);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(enumeration),  TEST(memory_mapped_configuration),
		TEST(sizing),       TEST(firmware_assigns),
		TEST(an_access_leaves_the_bus_to_others),
		TEST(moving),       TEST(addresses_that_are_refused),
		TEST(capabilities), TEST(resets),
		TEST(a_full_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
