// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/xen_shared.h"

#include <errno.h>
#include <string.h>

#include "abi/event_channel.h"
#include "common/log.h"
#include "hypervisor-shim/pv/pv.h"
#include "hypervisor-shim/pv/xen_kvm.h"
#include "hypervisor-shim/vm.h"

#define VECTOR_MIN 16

/* pv.lock covers it. */
static struct {
	struct shared_info_page *page; /* NULL: not placed */
	bool own_info[VM_CPUS_MAX]; /* the vCPU's info is not in the page any more */
	bool has_vector[VM_CPUS_MAX];
	uint32_t timer_port[VM_CPUS_MAX]; /* that KVM was told */
	uint64_t callback;
} shared;

static struct log_limit refusals;

static uint64_t info_address(uint64_t frame, unsigned int vcpu)
{
	return (frame << XEN_FRAME_SHIFT) + vcpu * sizeof(struct vcpu_info_area);
}

/* Nothing else writes it: the guest has given it away, and KVM does not know it yet. */
static int put_page(uint64_t frame)
{
	struct shared_info_page *page =
		frame > UINT64_MAX >> XEN_FRAME_SHIFT
			? NULL
			: guest_memory_at(vm_memory(), frame << XEN_FRAME_SHIFT, XEN_FRAME_BYTES);
	int result;

	if (!page)
		return -EINVAL;
	memset(page, 0, XEN_FRAME_BYTES);
	result = xen_kvm_set_shared_info(frame);
	if (!result)
		shared.page = page;
	return result;
}

int xen_shared_place(uint64_t frame)
{
	bool own[VM_CPUS_MAX];
	int result;

	pthread_mutex_lock(&pv.lock);
	result = put_page(frame);
	memcpy(own, shared.own_info, sizeof(own));
	pthread_mutex_unlock(&pv.lock);
	for (unsigned int i = 0; !result && i < vm_cpus(); i++) {
		if (!own[i])
			result = xen_kvm_set_vcpu(i, XEN_KVM_VCPU_INFO, info_address(frame, i));
	}
	if (result < 0)
		log_peer(&refusals, "the guest cannot place its shared_info at frame 0x%llx: %s",
			 (unsigned long long)frame, strerror(-result));
	return result;
}

/* What is pending goes with it. */
static int move_info(unsigned int vcpu, uint64_t address)
{
	void *info = guest_memory_at(vm_memory(), address, sizeof(struct vcpu_info_area));
	int result = info ? 0 : -EINVAL;

	pthread_mutex_lock(&pv.lock);
	if (!result && shared.own_info[vcpu])
		result = -EINVAL; /* Xen places it once */
	if (!result) {
		shared.own_info[vcpu] = true;
		if (shared.page)
			memcpy(info, &shared.page->vcpu[vcpu], sizeof(struct vcpu_info_area));
	}
	pthread_mutex_unlock(&pv.lock);
	return result;
}

int xen_shared_place_vcpu(unsigned int vcpu, const struct vcpu_register_info *info)
{
	uint64_t address;
	int result;

	if (info->offset % 8 || info->offset > XEN_FRAME_BYTES - sizeof(struct vcpu_info_area) ||
	    info->frame > UINT64_MAX >> XEN_FRAME_SHIFT)
		return -EINVAL;
	address = (info->frame << XEN_FRAME_SHIFT) + info->offset;
	result = move_info(vcpu, address);
	return result < 0 ? result : xen_kvm_set_vcpu(vcpu, XEN_KVM_VCPU_INFO, address);
}

int xen_shared_place_time(unsigned int vcpu, uint64_t address)
{
	return xen_kvm_set_vcpu(vcpu, XEN_KVM_VCPU_TIME, address);
}

int xen_shared_place_runstate(unsigned int vcpu, uint64_t address)
{
	return xen_kvm_set_vcpu(vcpu, XEN_KVM_VCPU_RUNSTATE, address);
}

int xen_shared_set_vector(unsigned int vcpu, uint8_t vector)
{
	int result =
		vector < VECTOR_MIN ? -EINVAL : xen_kvm_set_vcpu(vcpu, XEN_KVM_VCPU_VECTOR, vector);

	if (!result) {
		pthread_mutex_lock(&pv.lock);
		shared.has_vector[vcpu] = true;
		pthread_mutex_unlock(&pv.lock);
	}
	return result;
}

/*
 * KVM knows vectors only. A guest that has one by xen_shared_set_vector() asks for a GSI all the same,
 * to show that it knows how to be interrupted.
 */
static int set_callback(uint64_t value)
{
	int result = 0;

	if ((value & HVM_CALLBACK_TYPE_MASK) >> HVM_CALLBACK_TYPE_SHIFT == HVM_CALLBACK_BY_VECTOR) {
		if ((uint8_t)value < VECTOR_MIN)
			return -EINVAL;
		result = xen_kvm_set_vector((uint8_t)value);
	} else if (value && !shared.has_vector[0]) {
		result = -ENOSYS;
	} else {
		result = xen_kvm_set_vector(0);
	}
	if (!result)
		shared.callback = value;
	return result;
}

int xen_shared_set_callback(uint64_t value)
{
	int result;

	pthread_mutex_lock(&pv.lock);
	result = set_callback(value);
	pthread_mutex_unlock(&pv.lock);
	return result;
}

uint64_t xen_shared_callback(void)
{
	return shared.callback;
}

static void find_timers(uint32_t ports[VM_CPUS_MAX])
{
	memset(ports, 0, VM_CPUS_MAX * sizeof(*ports));
	for (uint32_t i = 1; i < EVENT_CHANNEL_PORTS; i++) {
		const struct event_port *port = &pv.channels.port[i];

		if (port->state == EVENT_CHANNEL_VIRQ && port->virq == VIRTUAL_IRQ_TIMER)
			ports[port->vcpu] = i;
	}
}

void xen_shared_update_timers(void)
{
	uint32_t ports[VM_CPUS_MAX], told[VM_CPUS_MAX];

	pthread_mutex_lock(&pv.lock);
	find_timers(ports);
	memcpy(told, shared.timer_port, sizeof(told));
	memcpy(shared.timer_port, ports, sizeof(ports));
	pthread_mutex_unlock(&pv.lock);
	for (unsigned int i = 0; i < vm_cpus(); i++) {
		if (ports[i] != told[i])
			xen_kvm_set_vcpu(i, XEN_KVM_VCPU_TIMER, ports[i]);
	}
}

void xen_shared_reset(void)
{
	static const enum xen_kvm_vcpu places[] = {
		XEN_KVM_VCPU_INFO,
		XEN_KVM_VCPU_TIME,
		XEN_KVM_VCPU_RUNSTATE,
	};

	for (unsigned int i = 0; i < vm_cpus(); i++) {
		for (unsigned int j = 0; j < sizeof(places) / sizeof(*places); j++)
			xen_kvm_set_vcpu(i, places[j], XEN_KVM_NOWHERE);
		xen_kvm_set_vcpu(i, XEN_KVM_VCPU_VECTOR, 0);
		xen_kvm_set_vcpu(i, XEN_KVM_VCPU_TIMER, 0);
	}
	pthread_mutex_lock(&pv.lock);
	xen_kvm_set_shared_info(XEN_KVM_NOWHERE);
	xen_kvm_set_vector(0);
	memset(&shared, 0, sizeof(shared));
	pthread_mutex_unlock(&pv.lock);
	xen_kvm_set_long_mode();
}

/* Bits that guest and KVM change meanwhile: single locked operations. True: the bit was set. */
static bool clear_bit(uint64_t *words, uint32_t bit)
{
	uint64_t mask = 1ULL << bit % 64;

	return __atomic_fetch_and(&words[bit / 64], ~mask, __ATOMIC_SEQ_CST) & mask;
}

void xen_shared_clear_pending(uint32_t port)
{
	if (shared.page)
		clear_bit(shared.page->pending, port);
}

bool xen_shared_unmask(uint32_t port)
{
	return shared.page && clear_bit(shared.page->mask, port) &&
	       clear_bit(shared.page->pending, port);
}
