// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Interrupts: how a notification reaches a vCPU without passing through this process.
 *
 * An eventfd that is bound to a GSI (irqfd) raises it in the kernel. What a GSI means stands in
 * one table that KVM holds: 0..23 are pins of the 8259s and of the I/O APIC, those behind them
 * are messages, each with the address and data that the guest wrote into an MSI-X entry. KVM
 * takes that table only as a whole, so it is kept here and handed over under a lock at each
 * change; KVM returns when no interrupt uses the old one any more, which is what lets a caller
 * say "from now on".
 */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log.h"
#include "hypervisor-shim/irq.h"
#include "hypervisor-shim/vm.h"

/* 32 devices with a vector a queue and a few to spare; KVM's own limit is 4096. */
#define MESSAGES_MAX 1024
#define PIC_PINS     16
#define FIXED_ROUTES (PIC_PINS + IRQ_IOAPIC_PINS)
#define CHIPS        3

struct message {
	bool used, set, is_event;
	uint64_t address; /* of an event: its vCPU */
	uint32_t data; /* of an event: its port */
};

static struct {
	pthread_mutex_t lock;
	struct message messages[MESSAGES_MAX];
	/* What KVM gets: the fixed part first. */
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[FIXED_ROUTES + MESSAGES_MAX];
	} table;
	unsigned int fixed;

	/* The power-on state, for irq_reset(). */
	struct kvm_irqchip chips[CHIPS];
	struct kvm_pit_state2 pit;
} irq = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void add_pin(unsigned int gsi, unsigned int chip, unsigned int pin)
{
	irq.table.entries[irq.fixed++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

static void make_fixed_routes(void)
{
	irq.fixed = 0;
	for (unsigned int i = 0; i < PIC_PINS; i++) {
		if (i != 2) /* the cascade */
			add_pin(i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, i % 8);
	}
	add_pin(IRQ_TIMER, KVM_IRQCHIP_IOAPIC, IRQ_TIMER_GSI);
	for (unsigned int i = 1; i < IRQ_IOAPIC_PINS; i++) {
		if (i != IRQ_TIMER_GSI)
			add_pin(i, KVM_IRQCHIP_IOAPIC, i);
	}
}

static struct kvm_irq_routing_entry make_entry(unsigned int gsi, const struct message *message)
{
	struct kvm_irq_routing_entry entry = {.gsi = gsi};

	if (message->is_event) {
		entry.type = KVM_IRQ_ROUTING_XEN_EVTCHN;
		entry.u.xen_evtchn.port = message->data;
		entry.u.xen_evtchn.vcpu = (uint32_t)message->address;
		entry.u.xen_evtchn.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
	} else {
		entry.type = KVM_IRQ_ROUTING_MSI;
		entry.u.msi.address_lo = (uint32_t)message->address;
		entry.u.msi.address_hi = (uint32_t)(message->address >> 32);
		entry.u.msi.data = message->data;
	}
	return entry;
}

/* With the lock held. */
static int hand_over(void)
{
	unsigned int n = irq.fixed;

	for (unsigned int i = 0; i < MESSAGES_MAX; i++) {
		if (irq.messages[i].set)
			irq.table.entries[n++] = make_entry(IRQ_IOAPIC_PINS + i, &irq.messages[i]);
	}
	irq.table.head.nr = n;
	return ioctl(vm_fd(), KVM_SET_GSI_ROUTING, &irq.table.head) < 0 ? -errno : 0;
}

static int read_chips(void)
{
	for (unsigned int i = 0; i < CHIPS; i++) {
		irq.chips[i].chip_id = i;
		if (ioctl(vm_fd(), KVM_GET_IRQCHIP, &irq.chips[i]) < 0)
			return -errno;
	}
	return ioctl(vm_fd(), KVM_GET_PIT2, &irq.pit) < 0 ? -errno : 0;
}

int irq_open(void)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int result = 0;

	make_fixed_routes();
	if (ioctl(vm_fd(), KVM_CREATE_IRQCHIP, 0L) < 0 || ioctl(vm_fd(), KVM_CREATE_PIT2, &pit) < 0)
		result = -errno;
	if (!result)
		result = hand_over();
	if (!result)
		result = read_chips();
	if (result < 0)
		log_error("KVM cannot make the interrupt controllers: %s", strerror(-result));
	return result;
}

void irq_close(void)
{
	pthread_mutex_lock(&irq.lock);
	memset(irq.messages, 0, sizeof(irq.messages));
	pthread_mutex_unlock(&irq.lock);
}

int irq_reset(void)
{
	for (unsigned int i = 0; i < CHIPS; i++) {
		if (ioctl(vm_fd(), KVM_SET_IRQCHIP, &irq.chips[i]) < 0)
			return -errno;
	}
	return ioctl(vm_fd(), KVM_SET_PIT2, &irq.pit) < 0 ? -errno : 0;
}

int vm_msi_route_new(void)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&irq.lock);
	for (unsigned int i = 0; i < MESSAGES_MAX; i++) {
		if (irq.messages[i].used)
			continue;
		irq.messages[i] = (struct message){.used = true};
		gsi = (int)(IRQ_IOAPIC_PINS + i);
		break;
	}
	pthread_mutex_unlock(&irq.lock);
	return gsi;
}

static struct message *message_of(int gsi)
{
	struct message *message;

	if (gsi < IRQ_IOAPIC_PINS || gsi >= IRQ_IOAPIC_PINS + MESSAGES_MAX)
		return NULL;
	message = &irq.messages[gsi - IRQ_IOAPIC_PINS];
	return message->used ? message : NULL;
}

void vm_msi_route_free(int gsi)
{
	struct message *message;
	bool was_set;

	pthread_mutex_lock(&irq.lock);
	message = message_of(gsi);
	if (message) {
		was_set = message->set;
		*message = (struct message){0};
		if (was_set && hand_over() < 0)
			log_warn("the route of GSI %d stays in KVM's table: %s", gsi,
				 strerror(errno));
	}
	pthread_mutex_unlock(&irq.lock);
}

static int set_route(int gsi, bool is_event, uint64_t address, uint32_t data)
{
	struct message *message, before;
	int result = 0;

	pthread_mutex_lock(&irq.lock);
	message = message_of(gsi);
	if (!message) {
		result = -EINVAL;
	} else if (!message->set || message->address != address || message->data != data) {
		before = *message;
		message->set = true;
		message->is_event = is_event;
		message->address = address;
		message->data = data;
		result = hand_over();
		if (result < 0)
			*message = before;
	}
	pthread_mutex_unlock(&irq.lock);
	return result;
}

int vm_msi_route_set(int gsi, uint64_t address, uint32_t data)
{
	return set_route(gsi, false, address, data);
}

int vm_evtchn_route_set(int gsi, uint32_t port, uint32_t vcpu)
{
	return set_route(gsi, true, vcpu, port);
}

int vm_irqfd(int gsi, int fd, bool on)
{
	struct kvm_irqfd request = {
		.fd = (uint32_t)fd,
		.gsi = (uint32_t)gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(vm_fd(), KVM_IRQFD, &request) < 0 ? -errno : 0;
}

int vm_msi_send(uint64_t address, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
	};

	return ioctl(vm_fd(), KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

int vm_irq_line(unsigned int gsi, int level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};

	return ioctl(vm_fd(), KVM_IRQ_LINE, &line) < 0 ? -errno : 0;
}
