// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The PCI bus: one segment, bus 0, functions 0, with a host bridge in slot 0.
 *
 * There is no firmware, so pci_assign() does what one would: it gives each BAR an address before
 * the guest runs, and switches memory decoding on. A guest may size, move and switch them as it
 * likes: BARs are decoded from the configuration space at each write, and bus_decode is the only
 * place that knows whether a BAR is mapped.
 *
 * Configuration space is reached by mechanism #1 and, as memory, at VM_ECAM_START: without the
 * second a Linux guest warns at boot. Both are the same 256 bytes; the rest of the 4 KiB reads
 * zero, which says "no extended capability".
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>

#include "hypervisor-shim/irq.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/vm.h"

#define CONFIG_ENABLE  0x80000000u
#define CAPABILITIES   0x40
#define BARS           6
#define VENDOR_RED_HAT 0x1b36
#define DEVICE_HOST    0x0008 /* the generic PCI Express host bridge: no quirk knows it */
#define CLASS_HOST     0x060000

static struct {
	pthread_mutex_t lock; /* configuration space, BARs and resets */
	struct pci_device *devices[PCI_DEVICES_MAX];
	uint32_t config_address;
	/* Hints which device was hit last, so that the usual access searches nothing. */
	struct pci_device *last;
} bus = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct pci_device host_bridge;

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, (uint16_t)value);
	put16(p + 2, (uint16_t)(value >> 16));
}

void pci_init(struct pci_device *device, uint16_t vendor, uint16_t id, uint32_t class,
	      uint8_t revision, uint16_t subsystem_vendor, uint16_t subsystem_id)
{
	uint8_t *config = device->config;

	memset(device->config, 0, sizeof(device->config));
	memset(device->writable, 0, sizeof(device->writable));
	memset(device->bar, 0, sizeof(device->bar));
	put16(config + PCI_VENDOR_ID, vendor);
	put16(config + PCI_DEVICE_ID, id);
	put32(config + PCI_CLASS_REVISION, class << 8 | revision);
	put16(config + PCI_SUBSYSTEM_VENDOR_ID, subsystem_vendor);
	put16(config + PCI_SUBSYSTEM_ID, subsystem_id);
	put16(device->writable + PCI_COMMAND,
	      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	device->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	device->writable[PCI_INTERRUPT_LINE] = 0xff;
	device->capabilities_end = CAPABILITIES;
}

void pci_declare_bar(struct pci_device *device, int bar, uint64_t size, bool is_64bit,
		     bool prefetchable)
{
	unsigned int offset = PCI_BASE_ADDRESS_0 + 4 * (unsigned int)bar;
	uint64_t mask = ~(size - 1);

	device->bar[bar] = (struct pci_bar){
		.size = size,
		.is_64bit = is_64bit,
		.prefetchable = prefetchable,
	};
	put32(device->config + offset, (is_64bit ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
					       (prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0));
	put32(device->writable + offset, (uint32_t)mask & PCI_BASE_ADDRESS_MEM_MASK);
	if (is_64bit)
		put32(device->writable + offset + 4, (uint32_t)(mask >> 32));
}

uint8_t pci_add_capability(struct pci_device *device, uint8_t id, unsigned int size)
{
	uint8_t offset = device->capabilities_end;
	uint8_t *link = &device->config[PCI_CAPABILITY_LIST];

	while (*link)
		link = &device->config[*link + PCI_CAP_LIST_NEXT];
	*link = offset;
	device->config[offset + PCI_CAP_LIST_ID] = id;
	device->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	device->capabilities_end = (uint8_t)(offset + ((size + 3) & ~3u));
	return offset;
}

/* What a BAR's registers say, without type bits. */
static uint64_t bar_address(const struct pci_device *device, int bar)
{
	const uint8_t *at = device->config + PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t address = get32(at) & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;

	if (device->bar[bar].is_64bit)
		address |= (uint64_t)get32(at + 4) << 32;
	return address;
}

/*
 * In one of the two windows that the guest was told: so a BAR never hides RAM, an interrupt
 * controller or configuration space, nor is one mapped in the midst of being sized.
 */
static bool address_sane(uint64_t address, uint64_t size)
{
	if (address >= VM_PCI_HOLE_START && address < VM_ECAM_START)
		return size <= VM_ECAM_START - address;
	if (address >= vm_pci64_start() && address - vm_pci64_start() < vm_pci64_size())
		return size <= vm_pci64_size() - (address - vm_pci64_start());
	return false;
}

static void decode_bar(struct pci_device *device, int bar)
{
	struct pci_bar *b = &device->bar[bar];
	uint64_t address = bar_address(device, bar);
	bool mapped = (device->config[PCI_COMMAND] & PCI_COMMAND_MEMORY) &&
		      address_sane(address, b->size);

	if (mapped == b->mapped && (!mapped || address == b->address))
		return;
	b->mapped = mapped;
	b->address = address;
	if (device->ops && device->ops->bar_changed)
		device->ops->bar_changed(device, bar);
}

static void decode(struct pci_device *device)
{
	for (int i = 0; i < BARS; i++) {
		if (device->bar[i].size)
			decode_bar(device, i);
	}
}

/* The lowest place in [*next, end) that is aligned to the size; moves *next behind it. */
static bool take_place(uint64_t *next, uint64_t end, uint64_t size, uint64_t *address)
{
	uint64_t at = (*next + size - 1) & ~(size - 1);

	if (at >= end || size > end - at)
		return false;
	*address = at;
	*next = at + size;
	return true;
}

static void assign_bar(struct pci_device *device, int bar, uint64_t *next32, uint64_t *next64)
{
	const struct pci_bar *b = &device->bar[bar];
	uint8_t *at = device->config + PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t address;

	if (!(b->is_64bit &&
	      take_place(next64, vm_pci64_start() + vm_pci64_size(), b->size, &address)) &&
	    !take_place(next32, VM_ECAM_START, b->size, &address))
		return; /* stays unassigned; the guest finds a place or leaves the device alone */
	put32(at, (uint32_t)address | (get32(at) & 0xf));
	if (b->is_64bit)
		put32(at + 4, (uint32_t)(address >> 32));
}

static void assign_all(void)
{
	uint64_t next32 = VM_PCI_HOLE_START, next64 = vm_pci64_start();

	for (unsigned int slot = 0; slot < PCI_DEVICES_MAX; slot++) {
		struct pci_device *device = bus.devices[slot];

		if (!device)
			continue;
		for (int i = 0; i < BARS; i++) {
			if (device->bar[i].size)
				assign_bar(device, i, &next32, &next64);
		}
		device->config[PCI_COMMAND] |= PCI_COMMAND_MEMORY;
		decode(device);
	}
}

void pci_assign(void)
{
	pthread_mutex_lock(&bus.lock);
	assign_all();
	pthread_mutex_unlock(&bus.lock);
}

int pci_open(void)
{
	host_bridge = (struct pci_device){.name = "host bridge"};
	pci_init(&host_bridge, VENDOR_RED_HAT, DEVICE_HOST, CLASS_HOST, 0, 0, 0);
	return pci_add(&host_bridge);
}

int pci_add(struct pci_device *device)
{
	int result = -ENOSPC;

	pthread_mutex_lock(&bus.lock);
	for (unsigned int slot = device == &host_bridge ? 0 : 1; slot < PCI_DEVICES_MAX; slot++) {
		if (bus.devices[slot])
			continue;
		device->slot = (uint8_t)slot;
		device->gsi = (uint8_t)(IRQ_PCI_FIRST + slot % IRQ_PCI_COUNT);
		if (device->config[PCI_INTERRUPT_PIN])
			device->config[PCI_INTERRUPT_LINE] = device->gsi;
		bus.devices[slot] = device;
		result = 0;
		break;
	}
	pthread_mutex_unlock(&bus.lock);
	return result;
}

static void reset_device(struct pci_device *device)
{
	/* Device first: it stops what uses its BARs and interrupts. */
	if (device->ops && device->ops->reset)
		device->ops->reset(device);
	put16(device->config + PCI_COMMAND, 0);
	decode(device);
	if (device->config[PCI_INTERRUPT_PIN])
		device->config[PCI_INTERRUPT_LINE] = device->gsi;
}

void pci_reset_all(void)
{
	pthread_mutex_lock(&bus.lock);
	bus.config_address = 0;
	for (unsigned int slot = 0; slot < PCI_DEVICES_MAX; slot++) {
		if (bus.devices[slot])
			reset_device(bus.devices[slot]);
	}
	pthread_mutex_unlock(&bus.lock);
}

void pci_close_all(void)
{
	for (unsigned int slot = 0; slot < PCI_DEVICES_MAX; slot++) {
		struct pci_device *device;

		pthread_mutex_lock(&bus.lock);
		device = bus.devices[slot];
		bus.devices[slot] = NULL;
		if (bus.last == device)
			bus.last = NULL;
		pthread_mutex_unlock(&bus.lock);
		if (device && device->ops && device->ops->close)
			device->ops->close(device);
	}
}

/* With the lock held, as all below. The access lies within the 256 bytes; by ECAM it has up to 8. */
static void config_read(struct pci_device *device, unsigned int offset, void *data,
			unsigned int size)
{
	if (device->ops && device->ops->config_reading)
		device->ops->config_reading(device, offset, size);
	memcpy(data, device->config + offset, size);
}

static void config_write(struct pci_device *device, unsigned int offset, const uint8_t *data,
			 unsigned int size)
{
	for (unsigned int i = 0; i < size; i++) {
		uint8_t writable = device->writable[offset + i];
		uint8_t *byte = &device->config[offset + i];

		*byte = (uint8_t)((*byte & ~writable) | (data[i] & writable));
	}
	if (offset < PCI_BASE_ADDRESS_5 + 4)
		decode(device);
	if (device->ops && device->ops->config_written)
		device->ops->config_written(device, offset, size);
}

/* Bits of a configuration address: bus 23..16, device 15..11, function 10..8. */
static struct pci_device *device_at(uint32_t address)
{
	if (address >> 16 & 0xff || address >> 8 & 7)
		return NULL;
	return bus.devices[address >> 11 & 0x1f];
}

void pci_port_read(uint16_t port, void *data, unsigned int size)
{
	struct pci_device *device;
	unsigned int offset;

	memset(data, 0xff, size);
	pthread_mutex_lock(&bus.lock);
	if (port == 0xcf8 && size == 4) {
		memcpy(data, &bus.config_address, 4);
	} else if (port >= 0xcfc && port + size <= 0xd00 && bus.config_address & CONFIG_ENABLE) {
		device = device_at(bus.config_address);
		offset = (bus.config_address & 0xfc) + (port & 3u);
		if (device)
			config_read(device, offset, data, size);
	}
	pthread_mutex_unlock(&bus.lock);
}

void pci_port_write(uint16_t port, const void *data, unsigned int size)
{
	struct pci_device *device;
	unsigned int offset;

	pthread_mutex_lock(&bus.lock);
	if (port == 0xcf8 && size == 4) {
		memcpy(&bus.config_address, data, 4);
		bus.config_address &= 0x80fffffc;
	} else if (port >= 0xcfc && port + size <= 0xd00 && bus.config_address & CONFIG_ENABLE) {
		device = device_at(bus.config_address);
		offset = (bus.config_address & 0xfc) + (port & 3u);
		if (device)
			config_write(device, offset, data, size);
	}
	pthread_mutex_unlock(&bus.lock);
}

static int bar_at(const struct pci_device *device, uint64_t address)
{
	for (int i = 0; i < BARS; i++) {
		const struct pci_bar *bar = &device->bar[i];

		if (bar->mapped && address >= bar->address && address - bar->address < bar->size)
			return i;
	}
	return -1;
}

static struct pci_device *device_behind(uint64_t address, int *bar)
{
	if (bus.last) {
		*bar = bar_at(bus.last, address);
		if (*bar >= 0)
			return bus.last;
	}
	for (unsigned int slot = 0; slot < PCI_DEVICES_MAX; slot++) {
		if (!bus.devices[slot])
			continue;
		*bar = bar_at(bus.devices[slot], address);
		if (*bar >= 0) {
			bus.last = bus.devices[slot];
			return bus.last;
		}
	}
	return NULL;
}

/*
 * The device behind @address, if a BAR is, and where in it. What follows is done without the lock: a
 * device may wait there for its back-end, and the bus is for all. Devices stay for as long as vCPUs run.
 */
static struct pci_device *find_bar(uint64_t address, int *bar, uint64_t *offset)
{
	struct pci_device *device;

	pthread_mutex_lock(&bus.lock);
	device = device_behind(address, bar);
	if (device)
		*offset = address - device->bar[*bar].address;
	pthread_mutex_unlock(&bus.lock);
	return device;
}

static bool aligned(uint64_t address, unsigned int size)
{
	return size && size <= 8 && !(size & (size - 1)) && !(address & (size - 1));
}

static bool in_ecam(uint64_t address)
{
	return address >= VM_ECAM_START && address - VM_ECAM_START < VM_ECAM_SIZE;
}

/* 4 KiB a function: bits 11..0 are the offset, 14..12 the function, 19..15 the device. */
static struct pci_device *ecam_device(uint64_t address)
{
	if (address >> 12 & 7)
		return NULL;
	return bus.devices[address >> 15 & 0x1f];
}

static void ecam_read(uint64_t address, void *data, unsigned int size)
{
	struct pci_device *device = ecam_device(address);
	unsigned int offset = address & 0xfff;

	if (!device)
		return;
	if (offset < sizeof(device->config))
		config_read(device, offset, data, size);
	else
		memset(data, 0, size);
}

static void ecam_write(uint64_t address, const void *data, unsigned int size)
{
	struct pci_device *device = ecam_device(address);
	unsigned int offset = address & 0xfff;

	if (device && offset < sizeof(device->config))
		config_write(device, offset, data, size);
}

bool pci_memory_read(uint64_t address, void *data, unsigned int size)
{
	struct pci_device *device;
	uint64_t offset;
	int bar;

	memset(data, 0xff, size);
	if (!aligned(address, size))
		return false;
	if (in_ecam(address)) {
		pthread_mutex_lock(&bus.lock);
		ecam_read(address, data, size);
		pthread_mutex_unlock(&bus.lock);
		return true;
	}
	device = find_bar(address, &bar, &offset);
	if (device)
		device->ops->bar_read(device, bar, offset, data, size);
	return device;
}

bool pci_memory_write(uint64_t address, const void *data, unsigned int size)
{
	struct pci_device *device;
	uint64_t offset;
	int bar;

	if (!aligned(address, size))
		return false;
	if (in_ecam(address)) {
		pthread_mutex_lock(&bus.lock);
		ecam_write(address, data, size);
		pthread_mutex_unlock(&bus.lock);
		return true;
	}
	device = find_bar(address, &bar, &offset);
	if (device)
		device->ops->bar_write(device, bar, offset, data, size);
	return device;
}
