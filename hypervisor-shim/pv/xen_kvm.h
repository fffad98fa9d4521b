/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What KVM itself does for a Xen guest, where it is built with CONFIG_KVM_XEN: one function a request.
 * 0 or -errno; those without an answer cannot fail, or nobody could do anything about it.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_XEN_KVM_H
#define PVKIT_HYPERVISOR_SHIM_PV_XEN_KVM_H

#include <stdbool.h>
#include <stdint.h>

#define XEN_KVM_NOWHERE (~0ULL) /* for a frame or an address: not there any more */

/* Hypercalls exit to us from now on. A line is said of a KVM that cannot. */
int xen_kvm_open(void);
/* Layouts are those of 64-bit guests: at the start, and again after a reset. */
void xen_kvm_set_long_mode(void);

/* The frame in which KVM sets pending bits. */
int xen_kvm_set_shared_info(uint64_t frame);
/* The vector of HVM_CALLBACK_BY_VECTOR; 0: none. */
int xen_kvm_set_vector(uint8_t vector);

/* Makes @port pending on @vcpu, now. */
void xen_kvm_send(uint32_t port, uint32_t vcpu);

/* What KVM does at a send of a port, by itself. */
struct xen_kvm_target {
	enum {
		XEN_KVM_NOTHING, /* the hypercall comes to us */
		XEN_KVM_EVENTFD,
		XEN_KVM_PORT, /* makes ->port pending on ->vcpu: the other end of a loop */
		XEN_KVM_IPI, /* the same port */
	} kind;
	int fd;
	uint32_t port, vcpu;
};
int xen_kvm_set_target(uint32_t port, const struct xen_kvm_target *target);

/* Of one vCPU: it leaves the guest for a moment, see vcpu_call(). */
enum xen_kvm_vcpu {
	XEN_KVM_VCPU_ID, /* what VCPU_OP names it by; else KVM may take all for number 0 */
	XEN_KVM_VCPU_INFO, /* guest-physical addresses; XEN_KVM_NOWHERE */
	XEN_KVM_VCPU_TIME,
	XEN_KVM_VCPU_RUNSTATE,
	XEN_KVM_VCPU_VECTOR, /* a vector of the local APIC; 0: none */
	XEN_KVM_VCPU_TIMER, /* the port of VIRTUAL_IRQ_TIMER; 0: none, timers stop */
};
int xen_kvm_set_vcpu(unsigned int vcpu, enum xen_kvm_vcpu what, uint64_t value);

#endif
