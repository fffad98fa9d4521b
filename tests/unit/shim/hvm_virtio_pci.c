/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A virtio-pci device as a driver sees it: through ports and memory of the bus, with the back-end and
 * KVM faked below.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "tests/unit/shim/hvm_driver.h"

static void plug_block(bool packed)
{
	struct virtio_blk_config *config = (void *)fake_backend.config;
	struct virtio_pci_options options = {.name = "disk 0", .packed = packed};

	driver_backend_default();
	fake_backend.features |= 1ULL << VIRTIO_BLK_F_MQ | 1ULL << VIRTIO_BLK_F_FLUSH;
	fake_backend.queues_max = 8;
	fake_backend.config_size = sizeof(*config);
	config->capacity = 2048;
	config->num_queues = 3;
	driver_plug(VIRTIO_ID_BLOCK, &options);
}

static int open_block(void **state)
{
	plug_block(false);
	return 0;
}

static int open_packed(void **state)
{
	plug_block(true);
	return 0;
}

static int close_device(void **state)
{
	driver_unplug();
	return 0;
}

static void identity_and_capabilities(void **state)
{
	assert_int_equal(config_read(PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(config_read(PCI_DEVICE_ID, 2), 0x1040 + VIRTIO_ID_BLOCK);
	assert_int_equal(config_read(PCI_REVISION_ID, 1), 1);
	assert_int_not_equal(d.common, 0);
	assert_int_not_equal(d.notify, 0);
	assert_int_not_equal(d.isr, 0);
	assert_int_not_equal(d.device, 0);
	assert_int_not_equal(d.pci_cfg, 0);
	assert_int_equal(d.multiplier, 4);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_NUMQ, 2), 3); /* 4 vCPUs, 3 there */
	assert_int_equal(mem_read(d.device, 8), 2048);
	assert_int_equal(mem_read(d.device + offsetof(struct virtio_blk_config, num_queues), 2), 3);
}

static void features_are_what_both_know(void **state)
{
	uint64_t features = driver_features();

	assert_true(features & 1ULL << VIRTIO_F_VERSION_1);
	assert_true(features & 1ULL << VIRTIO_BLK_F_FLUSH);
	assert_true(features & VIRTQUEUE_F_EVENT_IDX);
	assert_false(features & VIRTQUEUE_F_PACKED); /* not asked for */
	assert_false(features & 1ULL << VIRTIO_F_ACCESS_PLATFORM);
	assert_false(features & 1ULL << VIRTIO_F_NOTIFY_ON_EMPTY);
	assert_false(features & 1ULL << VIRTIO_F_RING_RESET);
	common_write(VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_DF, 4), 0);
}

static void a_feature_not_offered_is_refused(void **state)
{
	driver_begin();
	driver_accept(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BLK_F_ZONED);
	assert_false(driver_features_ok());
	driver_begin();
	driver_accept(1ULL << VIRTIO_BLK_F_FLUSH); /* legacy */
	assert_false(driver_features_ok());
	set_status(STATUS_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_false(status() & VIRTIO_CONFIG_S_DRIVER_OK);
	driver_begin();
	fake_backend.refuse_features = true;
	driver_accept(1ULL << VIRTIO_F_VERSION_1);
	assert_false(driver_features_ok());
	fake_backend.refuse_features = false;
	driver_begin();
	driver_accept(1ULL << VIRTIO_F_VERSION_1);
	assert_true(driver_features_ok());
	driver_accept(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BLK_F_FLUSH); /* too late */
	assert_int_equal(fake_backend.accepted, 1ULL << VIRTIO_F_VERSION_1);
}

static void driver_ok_starts_the_rings(void **state)
{
	driver_start(2);
	assert_int_equal(status(), STATUS_RUNNING);
	assert_int_equal(fake_backend.regions, 2);
	assert_int_equal(fake_backend.status, STATUS_RUNNING);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(fake_backend.ring[i].started);
		assert_int_equal(fake_backend.ring[i].ring.size, 256);
		assert_int_equal(fake_backend.ring[i].ring.descriptors,
				 (uintptr_t)fake_vm.memory.region[0].host + driver_area(i));
	}
	assert_false(fake_backend.ring[2].started);
	assert_int_equal(fake_vm.doorbells, 2);
	assert_int_equal(doorbell_fd(d.notify + 4), fake_backend.ring[1].ring.kick);
}

static void kicks_that_arrive_here_are_passed_on(void **state)
{
	uint64_t count;

	fake_vm.no_ioeventfd = true;
	driver_start(2);
	fake_vm.no_ioeventfd = false;
	mem_write(d.notify + 4, 2, 1);
	assert_int_equal(read(fake_backend.ring[1].ring.kick, &count, 8), 8);
	assert_int_equal(read(fake_backend.ring[0].ring.kick, &count, 8), -1);
	mem_write(d.notify + 8, 2, 2); /* not enabled */
	mem_write(d.notify + 4 * 500, 4, 1); /* absent */
	assert_int_equal(status(), STATUS_RUNNING);
}

/* It shares the flags of the open file. The alarm ends the program where the write waits. */
static void a_full_kick_makes_nobody_wait(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	uint64_t count;
	int kick;

	fake_vm.no_ioeventfd = true;
	driver_start(1);
	fake_vm.no_ioeventfd = false;
	kick = fake_backend.ring[0].ring.kick;
	fcntl(kick, F_SETFL, 0);
	assert_int_equal(write(kick, &full, sizeof(full)), sizeof(full));
	alarm(10);
	mem_write(d.notify, 2, 0);
	alarm(0);
	assert_int_equal(read(kick, &count, sizeof(count)), sizeof(count));
}

static void reset_stops_the_rings_and_clears_the_registers(void **state)
{
	driver_start(3);
	set_status(0);
	assert_int_equal(status(), 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_false(fake_backend.ring[i].started);
	assert_int_equal(fake_vm.doorbells, 0);
	assert_int_equal(fake_vm.irqfds, 0);
	assert_int_equal(fake_backend.status, 0);
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	driver_start(1);
	assert_true(fake_backend.ring[0].started);
	pci_reset_all();
	assert_false(fake_backend.ring[0].started);
	pci_assign();
	assert_int_equal(status(), 0);
	driver_start(1);
	assert_true(fake_backend.ring[0].started);
}

static void queue_registers_hold_sane_values_only(void **state)
{
	driver_begin();
	driver_accept(driver_features());
	assert_true(driver_features_ok());
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 2, 99);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, 2, 100);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, 2, 512);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, 2, 0);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_SIZE, 2), 256);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, 2, 64);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	driver_place_queue(0);
	common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	common_write(VIRTIO_PCI_COMMON_Q_SIZE, 2, 32); /* too late */
	common_write(VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x123000);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_DESCLO, 4), driver_area(0));
}

/* Only packed rings may have any size; and the guest can choose the size first, then the format. */
static void an_odd_size_is_for_packed_rings(void **state)
{
	uint64_t features = driver_features();

	assert_true(features & VIRTQUEUE_F_PACKED);
	for (unsigned int packed = 0; packed < 2; packed++) {
		driver_begin();
		driver_accept(features);
		common_write(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
		common_write(VIRTIO_PCI_COMMON_Q_SIZE, 2, 100);
		assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_SIZE, 2), 100);
		driver_accept(packed ? features : features & ~VIRTQUEUE_F_PACKED);
		assert_true(driver_features_ok());
		driver_place_queue(0);
		common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2), packed);
		assert_int_equal(!!(status() & VIRTIO_CONFIG_S_NEEDS_RESET), !packed);
	}
}

static void a_ring_outside_memory_is_no_ring(void **state)
{
	static const uint64_t bad[] = {FAKE_RAM_LOW - 16, FAKE_RAM_LOW, 0xfee00000, ~0ULL, 0x1001,
				       1ULL << 63};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		driver_begin();
		driver_accept(driver_features());
		assert_true(driver_features_ok());
		driver_place_queue(0);
		common_write(VIRTIO_PCI_COMMON_Q_USEDLO, 4, bad[i]);
		common_write(VIRTIO_PCI_COMMON_Q_USEDHI, 4, bad[i] >> 32);
		common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
		set_status(status() | VIRTIO_CONFIG_S_DRIVER_OK);
		assert_false(fake_backend.ring[0].started);
	}
}

static void a_queue_enabled_late_starts_at_once(void **state)
{
	driver_start(1);
	driver_place_queue(2);
	common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_true(fake_backend.ring[2].started);
}

static void doorbells_follow_the_bar(void **state)
{
	uint64_t before = d.notify, moved = 0xd0000000;

	driver_start(2);
	config_write(PCI_COMMAND, 2, 0);
	assert_int_equal(fake_vm.doorbells, 0);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(doorbell_fd(before), fake_backend.ring[0].ring.kick);
	config_write(PCI_BASE_ADDRESS_0, 4, moved);
	assert_int_equal(fake_vm.doorbells, 2);
	assert_int_equal(doorbell_fd(before), -1);
	driver_find();
	assert_int_equal(doorbell_fd(d.notify), fake_backend.ring[0].ring.kick);
}

/* As kexec does, which resets nothing. */
static void without_bus_mastering_nothing_runs(void **state)
{
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	driver_start(2);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_true(fake_backend.ring[1].started);
	assert_int_equal(status(), STATUS_RUNNING);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (unsigned int i = 0; i < 2; i++)
		assert_false(fake_backend.ring[i].started);
	assert_int_equal(fake_vm.doorbells, 0);
	assert_int_equal(status(), STATUS_OK | VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_start(2);
	assert_true(fake_backend.ring[1].started);
	assert_int_equal(status(), STATUS_RUNNING);
}

static void interrupts_by_msix(void **state)
{
	driver_begin_with_msix();
	driver_start_rest(2);
	set_vector(0, 1);
	set_vector(1, 2);
	signal_call(1);
	fake_eventually(atomic_load(&fake_vm.delivered) == 1);
	assert_int_equal(fake_vm.last_data, 0x42);
	signal_call(0);
	fake_eventually(atomic_load(&fake_vm.delivered) == 2);
	assert_int_equal(fake_vm.last_data, 0x41);
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_write(VIRTIO_PCI_COMMON_Q_MSIX, 2, 77); /* no such vector */
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	assert_int_equal(mem_read(d.isr, 1), 0);
}

static void interrupts_by_line(void **state)
{
	unsigned int gsi;

	driver_start(2);
	gsi = config_read(PCI_INTERRUPT_LINE, 1);
	assert_int_equal(config_read(PCI_INTERRUPT_PIN, 1), 1);
	signal_call(1);
	fake_eventually(atomic_load(&fake_vm.line[gsi]) == 1);
	assert_true(config_read(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(mem_read(d.isr, 1), 1);
	assert_int_equal(atomic_load(&fake_vm.line[gsi]), 0);
	assert_int_equal(mem_read(d.isr, 1), 0);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	signal_call(0);
	fake_eventually(config_read(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(atomic_load(&fake_vm.line[gsi]), 0);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(atomic_load(&fake_vm.line[gsi]), 1);
	set_status(0);
	assert_int_equal(atomic_load(&fake_vm.line[gsi]), 0);
}

static void events_outlive_the_switch_to_msix(void **state)
{
	unsigned int seen;

	driver_start(1);
	driver_open_vectors();
	for (unsigned int i = 0; i < 200; i++) {
		seen = atomic_load(&fake_vm.delivered);
		set_msix(false);
		set_vector(0, 1);
		signal_call(0); /* taken by the line, or left for the vector */
		set_msix(true);
		fake_eventually(atomic_load(&fake_vm.delivered) > seen || mem_read(d.isr, 1));
	}
}

static void a_changed_configuration_interrupts(void **state)
{
	struct virtio_blk_config *config = (void *)fake_backend.config;
	uint8_t generation;

	driver_begin_with_msix();
	common_write(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_MSIX, 2), 0);
	driver_start_rest(1);
	generation = common_read(VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	backend_says_config_changed(); /* though nothing is different */
	pthread_mutex_lock(&fake_backend.lock);
	config->capacity = 4096;
	pthread_mutex_unlock(&fake_backend.lock);
	backend_says_config_changed();
	fake_eventually(atomic_load(&fake_vm.delivered) == 1);
	assert_int_equal(fake_vm.last_data, 0x40);
	assert_int_equal(mem_read(d.device, 4), 4096);
	assert_int_equal(mem_read(d.device + offsetof(struct virtio_blk_config, num_queues), 2), 3);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_CFGGENERATION, 1),
			 (uint8_t)(generation + 1));
	assert_int_equal(mem_read(d.isr, 1), 2);
}

static void writes_reach_the_back_end_s_configuration(void **state)
{
	uint64_t wce = offsetof(struct virtio_blk_config, wce);

	mem_write(d.device + wce, 1, 1);
	assert_int_equal(fake_backend.config[wce], 1);
	assert_int_equal(mem_read(d.device + wce, 1), 1);
	mem_write(d.device + 0x800, 4, 1);
	assert_int_equal(mem_read(d.device + 0x800, 4), 0);
}

static void a_back_end_that_hangs_is_lost(void **state)
{
	driver_start(1);
	fake_backend.hangs_at_config = true;
	mem_write(d.device + offsetof(struct virtio_blk_config, wce), 1, 1);
	fake_backend.hangs_at_config = false;
	assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_begin();
	driver_accept(driver_features());
	assert_false(driver_features_ok());
}

static void a_lost_back_end_is_told(void **state)
{
	driver_begin_with_msix();
	common_write(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	driver_start_rest(1);
	fake_backend_die();
	fake_eventually(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	fake_eventually(atomic_load(&fake_vm.delivered) == 1);
	assert_int_equal(fake_vm.last_data, 0x40);
	set_status(0);
	assert_int_equal(status(), 0);
	driver_begin();
	driver_accept(driver_features());
	assert_false(driver_features_ok()); /* there is none to agree */
}

static void a_ring_that_the_back_end_refuses_needs_reset(void **state)
{
	fake_backend.refuse_start = true;
	driver_start(1);
	fake_backend.refuse_start = false;
	assert_true(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_start(1);
	assert_int_equal(status(), STATUS_RUNNING);
}

static void registers_through_configuration_space(void **state)
{
	window_write(0, d.common - d.bar[0] + VIRTIO_PCI_COMMON_STATUS, 1, 1);
	assert_int_equal(status(), 1);
	assert_int_equal(window_read(0, d.common - d.bar[0] + VIRTIO_PCI_COMMON_NUMQ, 2), 3);
	assert_int_equal(window_read(0, d.device - d.bar[0], 4), 2048);
	/* What the specification forbids does nothing. */
	window_read(5, 0, 4);
	window_read(0, 0xffffffff, 4);
	window_read(0, 0x3fff, 2);
	window_read(1, 0xffc, 3);
	window_write(0, 0x10000000, 4, 0xffffffff);
	assert_int_equal(status(), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_block, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_and_capabilities),
		TEST(features_are_what_both_know),
		TEST(a_feature_not_offered_is_refused),
		TEST(driver_ok_starts_the_rings),
		TEST(kicks_that_arrive_here_are_passed_on),
		TEST(a_full_kick_makes_nobody_wait),
		TEST(reset_stops_the_rings_and_clears_the_registers),
		TEST(queue_registers_hold_sane_values_only),
		cmocka_unit_test_setup_teardown(an_odd_size_is_for_packed_rings, open_packed,
						close_device),
		TEST(a_ring_outside_memory_is_no_ring),
		TEST(a_queue_enabled_late_starts_at_once),
		TEST(doorbells_follow_the_bar),
		TEST(without_bus_mastering_nothing_runs),
		TEST(interrupts_by_msix),
		TEST(interrupts_by_line),
		TEST(events_outlive_the_switch_to_msix),
		TEST(a_changed_configuration_interrupts),
		TEST(writes_reach_the_back_end_s_configuration),
		TEST(a_back_end_that_hangs_is_lost),
		TEST(a_lost_back_end_is_told),
		TEST(a_ring_that_the_back_end_refuses_needs_reset),
		TEST(registers_through_configuration_space),
	};

	fake_vm_open();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
