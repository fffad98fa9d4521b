/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Hypercalls: from the OUT instruction of pvkit's own entrance (abi/platform.h) to what the call does.
 *
 *	number			sub-operations
 *	GRANT_TABLE_OP		SETUP_TABLE, QUERY_SIZE, SET_VERSION, GET_VERSION, GET_STATUS_FRAMES
 *	VCPU_OP			GET_PHYSICAL_ID
 *	SCHED_OP		YIELD, SHUTDOWN, SHUTDOWN_CODE
 *	EVENT_CHANNEL_OP	all but BIND_PIRQ and the three of FIFO
 *	PLATFORM		all
 *
 * Everything else is -ENOSYS. What is left out, a guest with pvkit's modules has by other means: its
 * interrupts, timers and vCPUs are KVM's, its memory is all there from the start; and back-ends do not
 * map or copy grants by the shim.
 */
#ifndef PVKIT_HYPERVISOR_SHIM_PV_HYPERCALL_H
#define PVKIT_HYPERVISOR_SHIM_PV_HYPERCALL_H

#include <stdint.h>

/* The port range of the entrance, for the bus. 0 or -errno. */
int hypercall_open(void);

/*
 * Families, from any vCPU thread, for Xen's entrance too (xen_hypercall.h); what addresses are, says
 * guest_copy.h.
 */
int64_t hypercall_event_channel_op(uint64_t operation, uint64_t address);
int64_t hypercall_grant_table_op(uint64_t operation, uint64_t address, uint64_t count);
int64_t hypercall_sched_op(uint64_t operation, uint64_t address);
int64_t hypercall_vcpu_op(uint64_t operation, uint64_t vcpu, uint64_t address);
/* @size bytes of text at @address to the log. */
int64_t hypercall_log(uint64_t address, uint64_t size);

#endif
