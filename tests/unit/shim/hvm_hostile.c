/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A hostile guest: registers of any kind get any value at any time, rings and commands hold junk, while
 * the back-end signals, changes its configuration and at last dies. The device must survive it
 * (the sanitizers watch), keep its books in order, and work for an honest driver afterwards.
 *
 * PVKIT_FUZZ_ROUNDS and PVKIT_FUZZ_SEED change how long and where it begins.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/shim/hvm_driver.h"

static uint64_t seed = 1;

static uint32_t any(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 33;
}

static uint32_t below(uint32_t n)
{
	return any() % n;
}

/* Small numbers, addresses near the ends of memory, powers of two, junk. */
static uint64_t value(void)
{
	static const uint64_t ends[] = {0,
					FAKE_RAM_LOW,
					VM_RAM_HIGH_START,
					VM_PCI_HOLE_START,
					~0ULL,
					VM_RAM_HIGH_START + FAKE_RAM_HIGH};

	switch (below(5)) {
	case 0:
		return below(20);
	case 1:
		return ends[below(6)] - 0x2000 + below(0x400) * 16;
	case 2:
		return 1ULL << below(64);
	case 3:
		return below(FAKE_RAM_LOW) & ~15U;
	default:
		return (uint64_t)any() << 32 | any();
	}
}

static unsigned int size_of_access(void)
{
	return 1U << below(4);
}

static void touch(uint64_t address, unsigned int size)
{
	uint64_t data = value();

	address &= ~(uint64_t)(size - 1);
	if (below(3))
		pci_memory_write(address, &data, size);
	else
		pci_memory_read(address, &data, size);
}

/* A register that does something, with its proper width. */
static void touch_common(void)
{
	static const struct {
		uint8_t field, size;
	} fields[] = {
		{VIRTIO_PCI_COMMON_DFSELECT, 4}, {VIRTIO_PCI_COMMON_GFSELECT, 4},
		{VIRTIO_PCI_COMMON_MSIX, 2},     {VIRTIO_PCI_COMMON_Q_SELECT, 2},
		{VIRTIO_PCI_COMMON_Q_SIZE, 2},   {VIRTIO_PCI_COMMON_Q_MSIX, 2},
		{VIRTIO_PCI_COMMON_Q_ENABLE, 2}, {VIRTIO_PCI_COMMON_Q_DESCLO, 4},
		{VIRTIO_PCI_COMMON_Q_DESCHI, 4}, {VIRTIO_PCI_COMMON_Q_AVAILLO, 8},
		{VIRTIO_PCI_COMMON_Q_USEDLO, 8}, {VIRTIO_PCI_COMMON_STATUS, 1},
	};
	unsigned int i = below(sizeof(fields) / sizeof(fields[0]));
	uint64_t data = value();

	if (fields[i].field == VIRTIO_PCI_COMMON_Q_ENABLE)
		data = below(4) != 0;
	if (fields[i].field == VIRTIO_PCI_COMMON_STATUS && below(8))
		data |= VIRTIO_CONFIG_S_DRIVER;
	pci_memory_write(d.common + fields[i].field, &data, fields[i].size);
}

/* Does what a driver does, up to some point: junk alone would seldom get far. */
static void behave_for_a_while(void)
{
	uint64_t features = driver_features();

	driver_begin();
	driver_accept(below(3) ? features : features & value());
	set_status(STATUS_OK);
	for (unsigned int i = below(10); i; i--) {
		driver_place_queue(below(9));
		common_write(VIRTIO_PCI_COMMON_Q_MSIX, 2, below(12));
		common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	if (below(4))
		set_status(STATUS_RUNNING);
}

/* A guest races with the device as it likes: that is the point, and no finding. */
__attribute__((no_sanitize("thread"))) static void junk_in_memory(void)
{
	uint8_t *ram = fake_vm.memory.region[0].host;
	unsigned int queue = below(9);

	for (unsigned int i = 0; i < 64; i++)
		ram[driver_area(queue) + below(3) * 0x4000 + below(64)] = any();
}

static void signal_something(void)
{
	struct vhost_user_ring *ring;
	unsigned int i = below(9);
	uint64_t one = 1;

	ring = &fake_backend.ring[i].ring;
	if (fake_backend.ring[i].started)
		(void)!write(below(2) ? ring->call : ring->kick, &one, sizeof(one));
	for (i = 0; i < fake_vm.doorbells; i++)
		(void)!write(fake_vm.doorbell[i].fd, &one, sizeof(one));
	if (!below(16)) {
		pthread_mutex_lock(&fake_backend.lock);
		fake_backend.config[below(sizeof(fake_backend.config))] = any();
		pthread_mutex_unlock(&fake_backend.lock);
		backend_says_config_changed();
	}
}

static void put_bars_back(void)
{
	config_write(PCI_BASE_ADDRESS_0, 4, d.bar[0]);
	config_write(PCI_BASE_ADDRESS_1, 4, d.bar[1]);
	config_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void attack(void)
{
	switch (below(16)) {
	case 0:
		put_bars_back();
		break;
	case 1:
		config_write(below(64) * 4, 4, value());
		break;
	case 2:
		config_read(below(256), 1);
		driver_aim_window(below(3), value(), below(6));
		config_write(d.pci_cfg + sizeof(struct virtio_pci_cap), 4, value());
		break;
	case 3:
		config_write(d.msix + 2, 2, below(4) << 14);
		break;
	case 4:
	case 5:
		touch(d.bar[1] + below(0x1000), size_of_access());
		break;
	case 6:
	case 7:
		touch(d.bar[0] + below(4) * 0x1000 + below(0x100), size_of_access());
		break;
	case 8:
		junk_in_memory();
		break;
	case 9:
	case 10:
		signal_something();
		break;
	case 11:
		put_bars_back();
		if (!below(4))
			behave_for_a_while();
		break;
	default:
		touch_common();
	}
}

static void survive(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		attack();
		if (i % 4096 == 4095) {
			pci_reset_all();
			pci_assign();
			driver_find();
		}
	}
	/* An honest driver comes, and finds a device that works. */
	pci_reset_all();
	pci_assign();
	driver_find();
	memset(fake_vm.memory.region[0].host, 0, FAKE_RAM_LOW);
	driver_begin_with_msix();
	driver_start_rest(2);
	set_vector(1, 1);
	atomic_store(&fake_vm.delivered, 0);
	signal_call(1);
	fake_eventually(atomic_load(&fake_vm.delivered) >= 1);
	/* The back-end goes, the guest does not stop. */
	fake_backend_die();
	for (uint64_t i = 0; i < 4096; i++)
		if (fake_backend.backchannel_peer < 0) {
			memset(fake_backend.ring, 0, sizeof(fake_backend.ring));
			touch_common();
			touch(d.bar[1] + below(0x1000), size_of_access());
		}
	fake_backend.misuse = 0; /* the lost one's books are nobody's */
}

static uint64_t rounds(void)
{
	const char *text = getenv("PVKIT_FUZZ_ROUNDS");

	return text ? strtoull(text, NULL, 0) : 200000;
}

static void block_device_survives(void **state)
{
	struct virtio_pci_options options = {.name = "disk 0", .packed = true};

	driver_backend_default();
	fake_backend.features |= 1ULL << VIRTIO_BLK_F_MQ;
	fake_backend.queues_max = 8;
	fake_backend.config_size = sizeof(struct virtio_blk_config);
	fake_backend.config[offsetof(struct virtio_blk_config, num_queues)] = 4;
	driver_plug(VIRTIO_ID_BLOCK, &options);
	survive(rounds());
	driver_unplug();
}

static void net_device_survives(void **state)
{
	struct virtio_pci_options options = {.name = "net 0", .packed = true, .has_mac = true};

	driver_backend_default();
	fake_backend.features |= 1ULL << VIRTIO_NET_F_MQ | 1ULL << VIRTIO_NET_F_CTRL_VQ;
	fake_backend.queues_max = 4;
	driver_plug(VIRTIO_ID_NET, &options);
	survive(rounds());
	driver_unplug();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(block_device_survives),
		cmocka_unit_test(net_device_survives),
	};

	if (getenv("PVKIT_FUZZ_SEED"))
		seed = strtoull(getenv("PVKIT_FUZZ_SEED"), NULL, 0);
	fake_vm_open();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
