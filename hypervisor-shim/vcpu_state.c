// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A reset of a vCPU is not something that KVM does: so the state after KVM_CREATE_VCPU is read
 * once, piece by piece, and put back. The list of MSRs comes from KVM, so what a newer KVM adds
 * (kvmclock, asynchronous page faults, …: addresses into guest memory that a new kernel must not
 * inherit) is reset too.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hypervisor-shim/vcpu_state.h"
#include "hypervisor-shim/vm.h"

#define MSRS_MAX   1024
#define NESTED_MAX 8192 /* header and two pages; the power-on state has the header only */

#define MSR_TSC        0x10
#define MSR_TSC_ADJUST 0x3b

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_lapic_state lapic;
	union {
		struct kvm_nested_state state;
		char room[NESTED_MAX];
	} nested;
	bool has_nested, has_xcrs;
	struct kvm_msrs *msrs;
};

/*
 * The TSC runs on: each vCPU would get a moment of its own, and the guest would find them out of
 * step. A real reset button zeroes it, an INIT does not; Linux takes it as it finds it.
 */
static bool is_reset(uint32_t msr)
{
	return msr != MSR_TSC && msr != MSR_TSC_ADJUST;
}

static struct kvm_msr_list *msr_list(void)
{
	struct kvm_msr_list *list;

	list = calloc(1, sizeof(*list) + MSRS_MAX * sizeof(list->indices[0]));
	if (!list)
		return NULL;
	list->nmsrs = MSRS_MAX;
	if (ioctl(vm_kvm_fd(), KVM_GET_MSR_INDEX_LIST, list) < 0) {
		free(list);
		return NULL;
	}
	return list;
}

/* One by one: KVM stops at the first that this vCPU has not, and those are left out for good. */
static struct kvm_msrs *read_msrs(int fd)
{
	struct kvm_msr_list *list = msr_list();
	struct kvm_msrs *msrs;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = {.head.nmsrs = 1};

	if (!list)
		return NULL;
	msrs = calloc(1, sizeof(*msrs) + list->nmsrs * sizeof(msrs->entries[0]));
	for (uint32_t i = 0; msrs && i < list->nmsrs; i++) {
		one.entry = (struct kvm_msr_entry){.index = list->indices[i]};
		if (is_reset(one.entry.index) && ioctl(fd, KVM_GET_MSRS, &one) == 1)
			msrs->entries[msrs->nmsrs++] = one.entry;
	}
	free(list);
	return msrs;
}

/*
 * KVM stops at one that it refuses (read-only ones, though it lists them): go on behind it. What has
 * its value already is left alone: KVM writes lines into the host's log about some of them.
 */
static void write_msrs(int fd, const struct kvm_msrs *msrs)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = {.head.nmsrs = 1};

	for (uint32_t i = 0; i < msrs->nmsrs; i++) {
		one.entry = msrs->entries[i];
		if (ioctl(fd, KVM_GET_MSRS, &one) == 1 && one.entry.data == msrs->entries[i].data)
			continue;
		one.entry = msrs->entries[i];
		(void)ioctl(fd, KVM_SET_MSRS, &one);
	}
}

struct vcpu_state *vcpu_state_read(int fd)
{
	struct vcpu_state *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->has_xcrs = vm_capability(KVM_CAP_XCRS) > 0;
	s->nested.state.size = sizeof(s->nested);
	s->has_nested = vm_capability(KVM_CAP_NESTED_STATE) > 0 &&
			ioctl(fd, KVM_GET_NESTED_STATE, &s->nested) >= 0;
	s->msrs = read_msrs(fd);
	if (!s->msrs || ioctl(fd, KVM_GET_REGS, &s->regs) < 0 ||
	    ioctl(fd, KVM_GET_SREGS, &s->sregs) < 0 || ioctl(fd, KVM_GET_XSAVE, &s->xsave) < 0 ||
	    (s->has_xcrs && ioctl(fd, KVM_GET_XCRS, &s->xcrs) < 0) ||
	    ioctl(fd, KVM_GET_DEBUGREGS, &s->debug) < 0 ||
	    ioctl(fd, KVM_GET_VCPU_EVENTS, &s->events) < 0 ||
	    ioctl(fd, KVM_GET_MP_STATE, &s->mp) < 0 || ioctl(fd, KVM_GET_LAPIC, &s->lapic) < 0) {
		vcpu_state_free(s);
		return NULL;
	}
	/* Write back all that KVM lets one choose about pending events: there are none. */
	s->events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	return s;
}

int vcpu_state_write(int fd, const struct vcpu_state *s)
{
	/*
	 * Out of a nested guest first, since the registers below are else those of that guest.
	 * The local APIC comes after the special registers, which tell its mode, and the MSRs,
	 * which arm its timer, before it.
	 */
	if (s->has_nested && ioctl(fd, KVM_SET_NESTED_STATE, &s->nested) < 0)
		return -errno;
	if (ioctl(fd, KVM_SET_REGS, &s->regs) < 0 || ioctl(fd, KVM_SET_SREGS, &s->sregs) < 0 ||
	    ioctl(fd, KVM_SET_XSAVE, &s->xsave) < 0 ||
	    (s->has_xcrs && ioctl(fd, KVM_SET_XCRS, &s->xcrs) < 0) ||
	    ioctl(fd, KVM_SET_DEBUGREGS, &s->debug) < 0)
		return -errno;
	write_msrs(fd, s->msrs);
	if (ioctl(fd, KVM_SET_LAPIC, &s->lapic) < 0 || ioctl(fd, KVM_SET_MP_STATE, &s->mp) < 0 ||
	    ioctl(fd, KVM_SET_VCPU_EVENTS, &s->events) < 0)
		return -errno;
	return 0;
}

void vcpu_state_free(struct vcpu_state *s)
{
	if (s)
		free(s->msrs);
	free(s);
}
