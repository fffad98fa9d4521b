/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Hypercalls by Xen's own entrance: VMCALL or VMMCALL, which KVM passes on. Numbers, structs and
 * answers as in abi/hypercall.h; addresses are guest-virtual. Only 64-bit kernels are served.
 *
 *	number			sub-operations
 *	MEMORY_OP		ADD_TO_PHYSMAP of shared_info, grant frames and status frames,
 *				REMOVE_FROM_PHYSMAP of the latter two; MEMORY_MAP; CURRENT_,
 *				MAXIMUM_RESERVATION
 *	XEN_VERSION		VERSION, EXTRAVERSION, COMPILE_INFO, CAPABILITIES, CHANGESET,
 *				PLATFORM_PARAMETERS, GET_FEATURES, PAGESIZE, GUEST_HANDLE
 *	CONSOLE_IO		WRITE: to the shim's log
 *	GRANT_TABLE_OP		SETUP_TABLE, QUERY_SIZE, SET_VERSION, GET_VERSION, GET_STATUS_FRAMES
 *	VCPU_OP			IS_UP, REGISTER_VCPU_INFO, REGISTER_RUNSTATE_AREA, REGISTER_TIME_AREA,
 *				STOP_PERIODIC_TIMER, SET_ and STOP_SINGLESHOT_TIMER, GET_PHYSICAL_ID
 *	SCHED_OP		YIELD, POLL, SHUTDOWN, SHUTDOWN_CODE
 *	EVENT_CHANNEL_OP	all but BIND_PIRQ and the three of FIFO
 *	HVM_OP			SET_PARAMETER, GET_PARAMETER, SET_UPCALL_VECTOR
 *	SET_TIMER_OP
 *
 * Everything else is -ENOSYS. KVM itself answers SEND of connected ports, YIELD, POLL, and what sets
 * a timer that has a port.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_XEN_HYPERCALL_H
#define PVKIT_HYPERVISOR_SHIM_PV_XEN_HYPERCALL_H

#include <stdint.h>

struct grant_view;
struct kvm_xen_exit;

/* From the thread of vCPU @vcpu, which goes on with the result that this writes. */
void xen_hypercall(unsigned int vcpu, struct kvm_xen_exit *exit);

/* xen_memory.c */
int64_t xen_memory_op(uint64_t operation, uint64_t address);
/* Grant and status frames are nowhere in the guest any more. */
void xen_memory_reset(void);
extern const struct grant_view xen_memory_grants;

/* xen_version.c */
int64_t xen_version_op(uint64_t operation, uint64_t address);

#endif
