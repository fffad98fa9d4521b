// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/xen_kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "abi/event_channel.h"
#include "abi/hypercall.h"
#include "common/log.h"
#include "hypervisor-shim/vcpu_call.h"
#include "hypervisor-shim/vm.h"

#define NEEDED                                                                 \
	(KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_SHARED_INFO | \
	 KVM_XEN_HVM_CONFIG_RUNSTATE | KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL |      \
	 KVM_XEN_HVM_CONFIG_EVTCHN_SEND)

int xen_kvm_open(void)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = XEN_MSR_HYPERCALL,
	};
	unsigned int have = (unsigned int)vm_capability(KVM_CAP_XEN_HVM);
	int result;

	if (~have & NEEDED) {
		log_error("--mode xen: this kernel's KVM does not pass on what Xen guests need "
			  "(KVM_CAP_XEN_HVM is 0x%x of 0x%x); use a host kernel of 5.19 or later "
			  "with CONFIG_KVM_XEN, or --mode pv with pvkit's modules in the guest",
			  have & NEEDED, NEEDED);
		return -ENOTSUP;
	}
	if (ioctl(vm_fd(), KVM_XEN_HVM_CONFIG, &config) < 0) {
		result = -errno;
		log_errno("--mode xen: KVM refuses to pass Xen's hypercalls on");
		return result;
	}
	xen_kvm_set_long_mode();
	return 0;
}

static int set(const struct kvm_xen_hvm_attr *attribute)
{
	return ioctl(vm_fd(), KVM_XEN_HVM_SET_ATTR, attribute) < 0 ? -errno : 0;
}

void xen_kvm_set_long_mode(void)
{
	struct kvm_xen_hvm_attr attribute = {.type = KVM_XEN_ATTR_TYPE_LONG_MODE};

	attribute.u.long_mode = 1;
	set(&attribute);
}

int xen_kvm_set_shared_info(uint64_t frame)
{
	struct kvm_xen_hvm_attr attribute = {.type = KVM_XEN_ATTR_TYPE_SHARED_INFO};

	attribute.u.shared_info.gfn = frame;
	return set(&attribute);
}

int xen_kvm_set_vector(uint8_t vector)
{
	struct kvm_xen_hvm_attr attribute = {.type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR};

	attribute.u.vector = vector;
	return set(&attribute);
}

/* Fails where the guest has no shared_info page yet: then it has no port either that it waits for. */
void xen_kvm_send(uint32_t port, uint32_t vcpu)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = port,
		.vcpu = vcpu,
		.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	(void)ioctl(vm_fd(), KVM_XEN_HVM_EVTCHN_SEND, &event);
}

int xen_kvm_set_target(uint32_t port, const struct xen_kvm_target *target)
{
	struct kvm_xen_hvm_attr attribute = {.type = KVM_XEN_ATTR_TYPE_EVTCHN};

	attribute.u.evtchn.send_port = port;
	attribute.u.evtchn.type =
		target->kind == XEN_KVM_IPI ? EVENT_CHANNEL_IPI : EVENT_CHANNEL_INTERDOMAIN;
	switch (target->kind) {
	case XEN_KVM_NOTHING:
		attribute.u.evtchn.flags = KVM_XEN_EVTCHN_DEASSIGN;
		break;
	case XEN_KVM_EVENTFD:
		attribute.u.evtchn.deliver.eventfd.fd = target->fd;
		break;
	case XEN_KVM_PORT:
	case XEN_KVM_IPI:
		attribute.u.evtchn.deliver.port.port = target->port;
		attribute.u.evtchn.deliver.port.vcpu = target->vcpu;
		attribute.u.evtchn.deliver.port.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
		break;
	}
	return set(&attribute);
}

static int set_vcpu(int fd, const void *attribute)
{
	return ioctl(fd, KVM_XEN_VCPU_SET_ATTR, attribute) < 0 ? -errno : 0;
}

int xen_kvm_set_vcpu(unsigned int vcpu, enum xen_kvm_vcpu what, uint64_t value)
{
	static const uint16_t types[] = {
		[XEN_KVM_VCPU_ID] = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID,
		[XEN_KVM_VCPU_INFO] = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		[XEN_KVM_VCPU_TIME] = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
		[XEN_KVM_VCPU_RUNSTATE] = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
		[XEN_KVM_VCPU_VECTOR] = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
		[XEN_KVM_VCPU_TIMER] = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
	};
	struct kvm_xen_vcpu_attr attribute = {.type = types[what]};

	switch (what) {
	case XEN_KVM_VCPU_ID:
		attribute.u.vcpu_id = (uint32_t)value;
		break;
	case XEN_KVM_VCPU_VECTOR:
		attribute.u.vector = (uint8_t)value;
		break;
	case XEN_KVM_VCPU_TIMER:
		attribute.u.timer.port = (uint32_t)value;
		attribute.u.timer.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
		break;
	default:
		attribute.u.gpa = value;
	}
	return vcpu_call(vcpu, set_vcpu, &attribute);
}
