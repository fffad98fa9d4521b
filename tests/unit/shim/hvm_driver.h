/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A driver of one virtio-pci device in slot 1, for unit tests: it finds the capabilities, negotiates,
 * places queues, and opens vectors, all through the bus.
 */
#ifndef PVKIT_TESTS_UNIT_SHIM_HVM_DRIVER_H
#define PVKIT_TESTS_UNIT_SHIM_HVM_DRIVER_H

#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>

#include "abi/vhost_user.h"
#include "hypervisor-shim/hvm/virtio_pci.h"
#include "hypervisor-shim/pci.h"
#include "tests/unit/shim/hvm_fake.h"

#ifndef VIRTIO_BLK_F_ZONED
#define VIRTIO_BLK_F_ZONED 17
#endif

#define STATUS_OK \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_RUNNING (STATUS_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define DRIVER_SLOT    1

static struct {
	uint64_t bar[2];
	uint64_t common, notify, isr, device; /* guest addresses */
	uint32_t multiplier;
	uint8_t pci_cfg, msix; /* offsets of capabilities */
} d;

/* ---- accesses --------------------------------------------------------------------------------- */

static inline void driver_address(unsigned int offset)
{
	uint32_t address = 0x80000000u | DRIVER_SLOT << 11 | (offset & 0xfc);

	pci_port_write(0xcf8, &address, 4);
}

static inline uint32_t config_read(unsigned int offset, unsigned int size)
{
	uint32_t value = 0;

	driver_address(offset);
	pci_port_read(0xcfc + (offset & 3), &value, size);
	return value;
}

static inline void config_write(unsigned int offset, unsigned int size, uint32_t value)
{
	driver_address(offset);
	pci_port_write(0xcfc + (offset & 3), &value, size);
}

static inline uint64_t mem_read(uint64_t address, unsigned int size)
{
	uint64_t value = 0;

	assert_true(pci_memory_read(address, &value, size));
	return value;
}

static inline void mem_write(uint64_t address, unsigned int size, uint64_t value)
{
	assert_true(pci_memory_write(address, &value, size));
}

static inline uint64_t common_read(unsigned int field, unsigned int size)
{
	return mem_read(d.common + field, size);
}

static inline void common_write(unsigned int field, unsigned int size, uint64_t value)
{
	mem_write(d.common + field, size, value);
}

static inline void driver_aim_window(unsigned int bar, uint32_t offset, uint32_t length)
{
	config_write(d.pci_cfg + VIRTIO_PCI_CAP_BAR, 1, bar);
	config_write(d.pci_cfg + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	config_write(d.pci_cfg + VIRTIO_PCI_CAP_LENGTH, 4, length);
}

static inline uint32_t window_read(unsigned int bar, uint32_t offset, uint32_t length)
{
	driver_aim_window(bar, offset, length);
	return config_read(d.pci_cfg + sizeof(struct virtio_pci_cap), length > 2 ? 4 : length);
}

static inline void window_write(unsigned int bar, uint32_t offset, uint32_t length, uint32_t value)
{
	driver_aim_window(bar, offset, length);
	config_write(d.pci_cfg + sizeof(struct virtio_pci_cap), length, value);
}

/* ---- finding and starting --------------------------------------------------------------------- */

static inline void driver_take_capability(uint8_t at)
{
	uint64_t where = d.bar[config_read(at + VIRTIO_PCI_CAP_BAR, 1) & 1] +
			 config_read(at + VIRTIO_PCI_CAP_OFFSET, 4);

	switch (config_read(at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		d.common = where;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		d.notify = where;
		d.multiplier = config_read(at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		d.isr = where;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		d.device = where;
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		d.pci_cfg = at;
		break;
	}
}

static inline void driver_find(void)
{
	uint8_t at;

	memset(&d, 0, sizeof(d));
	d.bar[0] = config_read(PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_MEM_MASK;
	d.bar[1] = config_read(PCI_BASE_ADDRESS_1, 4) & PCI_BASE_ADDRESS_MEM_MASK;
	for (at = config_read(PCI_CAPABILITY_LIST, 1); at; at = config_read(at + 1, 1)) {
		if (config_read(at, 1) == PCI_CAP_ID_VNDR)
			driver_take_capability(at);
		else if (config_read(at, 1) == PCI_CAP_ID_MSIX)
			d.msix = at;
	}
}

/* A back-end with all of the ring's features and a few that must not be passed on. */
static inline void driver_backend_default(void)
{
	fake_backend.features = 1ULL << VIRTIO_F_VERSION_1 | VIRTQUEUE_F_EVENT_IDX |
				VIRTQUEUE_F_INDIRECT | VIRTQUEUE_F_PACKED |
				1ULL << VIRTIO_F_NOTIFY_ON_EMPTY |
				1ULL << VIRTIO_F_ACCESS_PLATFORM | 1ULL << VIRTIO_F_RING_RESET;
	fake_backend.protocol = ~0ULL;
	fake_backend.queues_max = 1;
	fake_backend.config_size = 0;
	memset(fake_backend.config, 0, sizeof(fake_backend.config));
}

static inline void driver_plug(uint16_t id, const struct virtio_pci_options *options)
{
	atomic_store(&fake_vm.delivered, 0);
	assert_int_equal(pci_open(), 0); /* the host bridge takes slot 0 */
	assert_int_equal(virtio_pci_add(id, fake_backend_connect(), options), 0);
	pci_assign();
	driver_find();
}

static inline void driver_unplug(void)
{
	pci_close_all();
	fake_backend_close();
	assert_int_equal(fake_backend.misuse, 0);
	assert_int_equal(fake_vm.irqfds, 0);
	assert_int_equal(fake_vm.doorbells, 0);
}

static inline uint8_t status(void)
{
	return common_read(VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline void set_status(uint8_t value)
{
	common_write(VIRTIO_PCI_COMMON_STATUS, 1, value);
}

static inline uint64_t driver_features(void)
{
	uint64_t low;

	common_write(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	low = common_read(VIRTIO_PCI_COMMON_DF, 4);
	common_write(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	return common_read(VIRTIO_PCI_COMMON_DF, 4) << 32 | low;
}

static inline void driver_accept(uint64_t features)
{
	for (unsigned int i = 0; i < 2; i++) {
		common_write(VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		common_write(VIRTIO_PCI_COMMON_GF, 4, features >> 32 * i & 0xffffffff);
	}
}

static inline bool driver_features_ok(void)
{
	set_status(STATUS_OK);
	return status() & VIRTIO_CONFIG_S_FEATURES_OK;
}

static inline void driver_begin(void)
{
	set_status(0);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
}

/* Where the areas of queue @index lie: descriptors, +0x4000 driver, +0x8000 device. */
static inline uint64_t driver_area(unsigned int index)
{
	return 0x10000 + index * 0x10000;
}

/* Leaves it selected. */
static inline void driver_place_queue(unsigned int index)
{
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	common_write(VIRTIO_PCI_COMMON_Q_DESCLO, 8, driver_area(index));
	common_write(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, driver_area(index) + 0x4000);
	common_write(VIRTIO_PCI_COMMON_Q_AVAILHI, 4, 0);
	common_write(VIRTIO_PCI_COMMON_Q_USEDLO, 8, driver_area(index) + 0x8000);
}

/* From accepted features to DRIVER_OK. */
static inline void driver_enable(unsigned int queues)
{
	for (unsigned int i = 0; i < queues; i++) {
		driver_place_queue(i);
		common_write(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	}
	set_status(STATUS_RUNNING);
}

static inline void driver_start_rest(unsigned int queues)
{
	driver_accept(driver_features());
	assert_true(driver_features_ok());
	driver_enable(queues);
}

static inline void driver_start(unsigned int queues)
{
	driver_begin();
	driver_start_rest(queues);
}

/* ---- interrupts and doorbells ----------------------------------------------------------------- */

static inline void set_msix(bool on)
{
	config_write(d.msix + PCI_MSIX_FLAGS, 2, on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

/* Every vector i open with message data 0x40 + i. */
static inline void driver_open_vectors(void)
{
	unsigned int count = (config_read(d.msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;

	for (unsigned int i = 0; i < count; i++) {
		mem_write(d.bar[1] + i * 16, 4, 0xfee00000);
		mem_write(d.bar[1] + i * 16 + 8, 4, 0x40 + i);
		mem_write(d.bar[1] + i * 16 + 12, 4, 0);
	}
}

static inline void driver_begin_with_msix(void)
{
	driver_begin();
	driver_open_vectors();
	set_msix(true);
}

static inline void set_vector(unsigned int queue, uint16_t vector)
{
	common_write(VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	common_write(VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
	assert_int_equal(common_read(VIRTIO_PCI_COMMON_Q_MSIX, 2), vector);
}

static inline void signal_call(unsigned int queue)
{
	uint64_t one = 1;

	assert_int_equal(write(fake_backend.ring[queue].ring.call, &one, sizeof(one)), sizeof(one));
}

static inline int doorbell_fd(uint64_t address)
{
	for (unsigned int i = 0; i < fake_vm.doorbells; i++)
		if (fake_vm.doorbell[i].address == address)
			return fake_vm.doorbell[i].fd;
	return -1;
}

static inline void backend_says_config_changed(void)
{
	assert_int_equal(write(fake_backend.backchannel_peer, "c", 1), 1);
}

#endif
