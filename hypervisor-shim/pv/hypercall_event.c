// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * EVENT_CHANNEL_OP: argument structs in and out of guest memory, around event_channel.h.
 */
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/hypercall.h"
#include "hypervisor-shim/pv/pv.h"

union event_channel_args {
	struct event_channel_bind_interdomain bind_interdomain;
	struct event_channel_bind_virq bind_virq;
	struct event_channel_port port;
	struct event_channel_status status;
	struct event_channel_alloc_unbound alloc_unbound;
	struct event_channel_bind_ipi bind_ipi;
	struct event_channel_bind_vcpu bind_vcpu;
	struct event_channel_reset reset;
};

/* BIND_PIRQ: no device interrupt is an event here. FIFO: PLATFORM_F_EVENT_FIFO is not offered. */
static const struct {
	uint8_t size; /* 0: refused */
	bool out; /* has output fields */
} operations[] = {
	[EVENT_CHANNEL_OP_BIND_INTERDOMAIN] = {sizeof(struct event_channel_bind_interdomain), true},
	[EVENT_CHANNEL_OP_BIND_VIRQ] = {sizeof(struct event_channel_bind_virq), true},
	[EVENT_CHANNEL_OP_CLOSE] = {sizeof(struct event_channel_port), false},
	[EVENT_CHANNEL_OP_SEND] = {sizeof(struct event_channel_port), false},
	[EVENT_CHANNEL_OP_STATUS] = {sizeof(struct event_channel_status), true},
	[EVENT_CHANNEL_OP_ALLOC_UNBOUND] = {sizeof(struct event_channel_alloc_unbound), true},
	[EVENT_CHANNEL_OP_BIND_IPI] = {sizeof(struct event_channel_bind_ipi), true},
	[EVENT_CHANNEL_OP_BIND_VCPU] = {sizeof(struct event_channel_bind_vcpu), false},
	[EVENT_CHANNEL_OP_UNMASK] = {sizeof(struct event_channel_port), false},
	[EVENT_CHANNEL_OP_RESET] = {sizeof(struct event_channel_reset), false},
};

#define OPERATIONS (sizeof(operations) / sizeof(*operations))

/* With the lock held. */
static int call(uint64_t operation, union event_channel_args *args)
{
	struct event_channels *channels = &pv.channels;

	switch (operation) {
	case EVENT_CHANNEL_OP_BIND_INTERDOMAIN:
		return event_channel_bind_interdomain(channels, &args->bind_interdomain);
	case EVENT_CHANNEL_OP_BIND_VIRQ:
		return event_channel_bind_virq(channels, &args->bind_virq);
	case EVENT_CHANNEL_OP_CLOSE:
		return event_channel_close(channels, args->port.port);
	case EVENT_CHANNEL_OP_SEND:
		return event_channel_send(channels, args->port.port);
	case EVENT_CHANNEL_OP_STATUS:
		return event_channel_status(channels, &args->status);
	case EVENT_CHANNEL_OP_ALLOC_UNBOUND:
		return event_channel_alloc_unbound(channels, &args->alloc_unbound);
	case EVENT_CHANNEL_OP_BIND_IPI:
		return event_channel_bind_ipi(channels, &args->bind_ipi);
	case EVENT_CHANNEL_OP_BIND_VCPU:
		return event_channel_bind_vcpu(channels, &args->bind_vcpu);
	case EVENT_CHANNEL_OP_UNMASK:
		return event_channel_unmask(channels, args->port.port);
	case EVENT_CHANNEL_OP_RESET:
		return event_channel_reset(channels, &args->reset);
	default:
		return -ENOSYS;
	}
}

int64_t hypercall_event_channel_op(uint64_t operation, uint64_t address)
{
	union event_channel_args args;
	int result;

	if (operation >= OPERATIONS || !operations[operation].size)
		return -ENOSYS;
	memset(&args, 0, sizeof(args));
	result = copy_from_guest(&args, address, operations[operation].size);
	if (result < 0)
		return result;
	pthread_mutex_lock(&pv.lock);
	result = call(operation, &args);
	pthread_mutex_unlock(&pv.lock);
	/* Cannot fail: it was readable, and RAM does not go away. */
	if (!result && operations[operation].out)
		result = copy_to_guest(address, &args, operations[operation].size);
	return result;
}
