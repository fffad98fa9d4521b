// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/platform.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include "abi/platform.h"
#include "abi/store.h"
#include "common/log.h"
#include "hypervisor-shim/cpuid.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/pv/attach.h"
#include "hypervisor-shim/pv/hypercall.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/restart.h"
#include "hypervisor-shim/pv/wiring.h"
#include "hypervisor-shim/vm.h"

#define FEATURES (1ULL << PLATFORM_F_GRANT_V2 | 1ULL << PLATFORM_F_SUSPEND)

#define DOORBELL_BYTES (EVENT_CHANNEL_PORTS * PLATFORM_DOORBELL_STRIDE)

/* pv.lock covers it; the PCI device itself the bus's lock. */
static struct {
	struct pci_device pci;
	struct msix msix;
	struct wiring wiring;
	uint64_t accept; /* as the guest writes it, in halves perhaps */
	bool accept_begun; /* its low half was written */
	bool accepted; /* ->features are in force */
	uint64_t features;
	uint64_t shared_address; /* of the slot; 0: none */
	uint32_t store_port;
	int store_kick;
	void (*restarted)(void);
} platform = {.store_kick = -1};

/* ---- CPUID ------------------------------------------------------------------------------------ */

static unsigned int make_leaves(unsigned int cpu, struct kvm_cpuid_entry2 *leaf)
{
	uint32_t signature[3];

	memcpy(signature, PLATFORM_SIGNATURE, sizeof(signature));
	leaf[0] = (struct kvm_cpuid_entry2){
		.function = PLATFORM_LEAF_BASE,
		.eax = PLATFORM_LEAF_BASE + PLATFORM_LEAVES - 1,
		.ebx = signature[0],
		.ecx = signature[1],
		.edx = signature[2],
	};
	leaf[1] = (struct kvm_cpuid_entry2){
		.function = PLATFORM_LEAF_BASE + PLATFORM_LEAF_VERSION,
		.eax = PLATFORM_VERSION,
		.ebx = (uint32_t)FEATURES,
		.ecx = PV_GUEST,
		.edx = PLATFORM_HYPERCALL_PORT,
	};
	leaf[2] = (struct kvm_cpuid_entry2){
		.function = PLATFORM_LEAF_BASE + PLATFORM_LEAF_VCPU,
		.eax = cpu,
	};
	return PLATFORM_LEAVES;
}

void platform_announce(void)
{
	cpuid_add_leaves(make_leaves);
}

/* ---- registers -------------------------------------------------------------------------------- */

static void put32(uint8_t *image, unsigned int at, uint32_t value)
{
	memcpy(image + at, &value, sizeof(value));
}

static void put64(uint8_t *image, unsigned int at, uint64_t value)
{
	memcpy(image + at, &value, sizeof(value));
}

/* The bytes from 0 to PLATFORM_REG_END. */
static void make_image(uint8_t *image)
{
	memset(image, 0, PLATFORM_REG_END);
	put32(image, PLATFORM_REG_MAGIC, PLATFORM_MAGIC);
	put32(image, PLATFORM_REG_VERSION, PLATFORM_VERSION);
	put64(image, PLATFORM_REG_FEATURES, FEATURES);
	put64(image, PLATFORM_REG_ACCEPT, platform.features);
	put32(image, PLATFORM_REG_DOMAIN, PV_GUEST);
	put32(image, PLATFORM_REG_BACKEND_DOMAIN, PV_BACKEND);
	put32(image, PLATFORM_REG_HYPERCALL_PORT, PLATFORM_HYPERCALL_PORT);
	put32(image, PLATFORM_REG_VCPUS, vm_cpus());
	put32(image, PLATFORM_REG_PORTS, EVENT_CHANNEL_PORTS);
	put32(image, PLATFORM_REG_VECTORS, PLATFORM_VECTORS_MAX);
	put32(image, PLATFORM_REG_DOORBELL_STRIDE, PLATFORM_DOORBELL_STRIDE);
	put32(image, PLATFORM_REG_STORE_PORT, platform.store_port);
	put32(image, PLATFORM_REG_GRANT_FRAMES, GRANT_TABLE_FRAMES);
	put64(image, PLATFORM_REG_PENDING_OFFSET, PV_PENDING_OFFSET);
	put64(image, PLATFORM_REG_STORE_OFFSET, PV_STORE_OFFSET);
	put64(image, PLATFORM_REG_GRANT_OFFSET, PV_GRANT_OFFSET);
	put64(image, PLATFORM_REG_STATUS_OFFSET, PV_STATUS_OFFSET);
}

static void registers_read(uint64_t offset, void *data, unsigned int size)
{
	uint8_t image[PLATFORM_REG_END];

	make_image(image);
	if (offset + size <= sizeof(image))
		memcpy(data, image + offset, size);
}

static void forget_acceptance(void)
{
	platform.accept = platform.features = 0;
	platform.accept_begun = platform.accepted = false;
}

/*
 * In force from the low half on, which may be the whole; a high half that follows can only spoil it,
 * since no bit is offered there.
 */
static void write_accept(unsigned int offset, const void *data, unsigned int size)
{
	if (platform.accepted && !offset)
		return; /* once after a reset */
	memcpy((uint8_t *)&platform.accept + offset, data, size);
	if (!offset)
		platform.accept_begun = true;
	if (!platform.accept_begun)
		return;
	if (platform.accept & ~FEATURES) {
		forget_acceptance();
		return;
	}
	platform.features = platform.accept;
	platform.accepted = true;
}

static void registers_write(uint64_t offset, const void *data, unsigned int size)
{
	if ((offset == PLATFORM_REG_ACCEPT && (size == 4 || size == 8)) ||
	    (offset == PLATFORM_REG_ACCEPT + 4 && size == 4))
		write_accept((unsigned int)(offset - PLATFORM_REG_ACCEPT), data, size);
}

/* ---- the device on the bus -------------------------------------------------------------------- */

static void bar_read(struct pci_device *pci, int bar, uint64_t offset, void *data,
		     unsigned int size)
{
	memset(data, 0, size);
	if (bar != PLATFORM_BAR_REGISTERS)
		return;
	pthread_mutex_lock(&pv.lock);
	if (offset < PLATFORM_MSIX_TABLE_OFFSET)
		registers_read(offset, data, size);
	else
		msix_bar_read(&platform.msix, offset, data, size);
	pthread_mutex_unlock(&pv.lock);
}

/* A doorbell that has no ioeventfd. */
static void ring(uint64_t offset, unsigned int size)
{
	if (size == 4)
		event_channel_send(&pv.channels, (uint32_t)offset / PLATFORM_DOORBELL_STRIDE);
}

static void bar_write(struct pci_device *pci, int bar, uint64_t offset, const void *data,
		      unsigned int size)
{
	pthread_mutex_lock(&pv.lock);
	if (bar == PLATFORM_BAR_DOORBELLS)
		ring(offset, size);
	else if (bar == PLATFORM_BAR_REGISTERS && offset < PLATFORM_MSIX_TABLE_OFFSET)
		registers_write(offset, data, size);
	else if (bar == PLATFORM_BAR_REGISTERS)
		msix_bar_write(&platform.msix, offset, data, size);
	pthread_mutex_unlock(&pv.lock);
}

/* The slot follows the BAR. Until it is there the guest reads zeroes, by exits. */
static void move_shared(const struct pci_bar *bar)
{
	int result;

	if (platform.shared_address)
		vm_remove_slot(platform.shared_address);
	platform.shared_address = 0;
	if (!bar->mapped)
		return;
	result = vm_add_slot(bar->address, bar->size, pv.shared.base);
	if (result < 0)
		log_error("KVM refuses the platform device's shared memory at 0x%llx: %s; the "
			  "guest's PV devices will not work",
			  (unsigned long long)bar->address, strerror(-result));
	else
		platform.shared_address = bar->address;
}

static void bar_changed(struct pci_device *pci, int bar)
{
	const struct pci_bar *b = &pci->bar[bar];

	pthread_mutex_lock(&pv.lock);
	if (bar == PLATFORM_BAR_DOORBELLS)
		wiring_move_doorbells(&platform.wiring, &pv.channels, b->mapped ? b->address : 0);
	else if (bar == PLATFORM_BAR_SHARED)
		move_shared(b);
	pthread_mutex_unlock(&pv.lock);
}

static void config_written(struct pci_device *pci, unsigned int offset, unsigned int size)
{
	pthread_mutex_lock(&pv.lock);
	msix_config_written(&platform.msix);
	pthread_mutex_unlock(&pv.lock);
}

/* The machine is reset: no vCPU runs. */
static void power_on(struct pci_device *pci)
{
	if (platform.restarted)
		platform.restarted();
	pthread_mutex_lock(&pv.lock);
	forget_acceptance();
	wiring_set_vectors(&platform.wiring, &pv.channels, 0);
	restart_machine();
	msix_reset(&platform.msix);
	pthread_mutex_unlock(&pv.lock);
}

static void close_device(struct pci_device *pci)
{
	pthread_mutex_lock(&pv.lock);
	forget_acceptance();
	event_channels_close(&pv.channels);
	msix_close(&platform.msix);
	pthread_mutex_unlock(&pv.lock);
	if (platform.store_kick >= 0)
		close(platform.store_kick);
	platform.store_kick = -1;
	platform.shared_address = 0;
	platform.restarted = NULL;
	pv_state_close();
}

static const struct pci_device_ops platform_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_changed = bar_changed,
	.config_written = config_written,
	.reset = power_on,
	.close = close_device,
};

static void wire(struct event_channels *channels, uint32_t port)
{
	wiring_update(&platform.wiring, channels, port);
}

static void raise_port(struct event_channels *channels, uint32_t port)
{
	wiring_raise(&platform.wiring, channels, port);
}

static void closed(struct event_channels *channels, uint16_t owner, uint32_t port)
{
	attach_channel_closed(owner, port);
}

static const struct event_channel_ops channel_ops = {
	.wire = wire,
	.raise = raise_port,
	.closed = closed,
};

static bool takes_version_2(void)
{
	return platform.features & 1ULL << PLATFORM_F_GRANT_V2;
}

static uint64_t entry_frame(uint32_t index)
{
	if (!platform.shared_address)
		return 0;
	return ((platform.shared_address + PV_GRANT_OFFSET) >> XEN_FRAME_SHIFT) + index;
}

static uint64_t status_frame(uint32_t index)
{
	if (!platform.shared_address)
		return 0;
	return ((platform.shared_address + PV_STATUS_OFFSET) >> XEN_FRAME_SHIFT) + index;
}

static const struct grant_view grant_view = {
	.takes_version_2 = takes_version_2,
	.entry_frame = entry_frame,
	.status_frame = status_frame,
};

static int put_on_bus(void)
{
	struct pci_device *pci = &platform.pci;
	int result;

	memset(pci, 0, sizeof(*pci));
	pci_init(pci, PLATFORM_PCI_VENDOR, PLATFORM_PCI_DEVICE, PLATFORM_PCI_CLASS,
		 PLATFORM_VERSION_MAJOR, PLATFORM_PCI_VENDOR, PLATFORM_PCI_DEVICE);
	pci->ops = &platform_ops;
	pci->name = "platform device";
	pci_declare_bar(pci, PLATFORM_BAR_REGISTERS, PLATFORM_REGISTERS_BYTES, false, false);
	pci_declare_bar(pci, PLATFORM_BAR_DOORBELLS, DOORBELL_BYTES, true, false);
	pci_declare_bar(pci, PLATFORM_BAR_SHARED, PV_SHARED_BYTES, true, true);
	msix_init_at(&platform.msix, pci, PLATFORM_BAR_REGISTERS, PLATFORM_MSIX_TABLE_OFFSET,
		     PLATFORM_MSIX_PBA_OFFSET, PLATFORM_VECTORS_MAX);
	wiring_init(&platform.wiring, &platform.msix,
		    (void *)((uint8_t *)pv.shared.base + PV_PENDING_OFFSET));
	result = event_channel_bind_fixed(&pv.channels);
	if (result < 0)
		return result;
	platform.store_port = (uint32_t)result;
	result = hypercall_open();
	return result < 0 ? result : pci_add(pci);
}

int platform_open(void (*restarted)(void))
{
	int result = pv_state_open(&channel_ops, vm_cpus());

	if (result < 0)
		return result;
	pv.grant_view = &grant_view;
	platform.restarted = restarted;
	result = put_on_bus();
	if (result < 0) {
		log_error("cannot make the platform device: %s; see ulimit -n", strerror(-result));
		close_device(&platform.pci);
	}
	return result;
}

int platform_store_port(int *kicked, int *kick)
{
	int result = attach_kick(platform.store_port);

	if (result < 0)
		return result;
	platform.store_kick = *kick = result;
	*kicked = pv.channels.port[platform.store_port].from_guest;
	return 0;
}

/* ---- for hypercalls --------------------------------------------------------------------------- */

/* While a vCPU waits in a call, the machine may be told to end. */
static bool machine_ends(void)
{
	return machine_requested() != MACHINE_RUNNING;
}

bool platform_accepted(void)
{
	bool accepted;

	pthread_mutex_lock(&pv.lock);
	accepted = platform.accepted;
	pthread_mutex_unlock(&pv.lock);
	return accepted;
}

int64_t platform_set_vectors(uint64_t vectors)
{
	if (vectors > PLATFORM_VECTORS_MAX)
		return -EINVAL;
	pthread_mutex_lock(&pv.lock);
	wiring_set_vectors(&platform.wiring, &pv.channels, (uint32_t)vectors);
	pthread_mutex_unlock(&pv.lock);
	return 0;
}

int64_t platform_reset(void)
{
	int result = -EBUSY;

	pthread_mutex_lock(&pv.lock);
	if (restart_begin()) {
		forget_acceptance(); /* no other call from now on */
		wiring_set_vectors(&platform.wiring, &pv.channels, 0);
		pthread_mutex_unlock(&pv.lock);
		/* The store first: then no back-end sees, after its reset, what the guest had asked. */
		if (platform.restarted)
			platform.restarted();
		pthread_mutex_lock(&pv.lock);
		result = restart_guest(machine_ends);
		restart_end();
	}
	pthread_mutex_unlock(&pv.lock);
	return result;
}

/* At once, it is resumed: nobody stores or moves the guest. What is in use stays so, for its grants. */
int64_t platform_suspend(void)
{
	int64_t result = -EBUSY;

	pthread_mutex_lock(&pv.lock);
	if (!(platform.features & 1ULL << PLATFORM_F_SUSPEND)) {
		result = -EINVAL;
	} else if (restart_begin()) {
		restart_guest(machine_ends);
		restart_end();
		result = 0;
	}
	pthread_mutex_unlock(&pv.lock);
	return result;
}
