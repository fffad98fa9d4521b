// SPDX-License-Identifier: MIT OR GPL-2.0
#include "hypervisor-shim/pv/hypercall.h"

#include <ctype.h>
#include <sched.h>

#include "abi/platform.h"
#include "common/log.h"
#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/machine.h"
#include "hypervisor-shim/pv/guest_copy.h"
#include "hypervisor-shim/pv/platform.h"
#include "hypervisor-shim/pv/pv.h"
#include "ring/order.h"

static struct log_limit guest_words, guest_faults;

/* ---- SCHED_OP, VCPU_OP ------------------------------------------------------------------------ */

static int64_t shut_down(uint32_t reason)
{
	switch (reason) {
	case SCHED_SHUTDOWN_POWEROFF:
		machine_request(MACHINE_POWER_OFF);
		return 0;
	case SCHED_SHUTDOWN_REBOOT:
		machine_request(MACHINE_RESET);
		return 0;
	case SCHED_SHUTDOWN_CRASH:
	case SCHED_SHUTDOWN_WATCHDOG:
		machine_request(MACHINE_PANIC);
		return 0;
	case SCHED_SHUTDOWN_SUSPEND:
		return platform_suspend();
	default: /* SOFT_RESET: PLATFORM_OP_RESET is what a kexec needs here */
		return -EINVAL;
	}
}

int64_t hypercall_sched_op(uint64_t operation, uint64_t address)
{
	struct sched_shutdown_args args;
	int result;

	switch (operation) {
	case SCHED_OP_YIELD:
		sched_yield();
		return 0;
	case SCHED_OP_SHUTDOWN:
	case SCHED_OP_SHUTDOWN_CODE:
		result = copy_from_guest(&args, address, sizeof(args));
		if (result < 0)
			return result;
		if (args.reason > SCHED_SHUTDOWN_MAX)
			return -EINVAL;
		if (operation == SCHED_OP_SHUTDOWN)
			return shut_down(args.reason);
		log_info("the guest will shut down for reason %u", args.reason);
		return 0;
	default:
		return -ENOSYS;
	}
}

int64_t hypercall_vcpu_op(uint64_t operation, uint64_t vcpu, uint64_t address)
{
	/* APIC ids and ACPI ids are the vCPUs' numbers (cpuid.h, acpi.c). */
	struct vcpu_physical_id id = {.id = vcpu | vcpu << 32};

	if (operation != VCPU_OP_GET_PHYSICAL_ID)
		return -ENOSYS;
	if (vcpu >= vm_cpus())
		return -ENOENT;
	return copy_to_guest(address, &id, sizeof(id));
}

/* ---- PLATFORM --------------------------------------------------------------------------------- */

int64_t hypercall_log(uint64_t address, uint64_t size)
{
	char text[PLATFORM_LOG_BYTES_MAX + 1];
	int result;

	if (size > PLATFORM_LOG_BYTES_MAX)
		return -EINVAL;
	if (!size)
		return 0;
	result = copy_from_guest(text, address, size);
	if (result < 0)
		return result;
	for (uint64_t i = 0; i < size; i++) {
		if (!isprint((unsigned char)text[i]))
			text[i] = i + 1 == size && text[i] == '\n' ? '\0' : '?';
	}
	text[size] = '\0';
	log_peer(&guest_words, "the guest says: %s", text);
	return 0;
}

static int64_t platform_op(const struct platform_call *call)
{
	switch (call->argument[0]) {
	case PLATFORM_OP_SET_VECTORS:
		return platform_set_vectors(call->argument[1]);
	case PLATFORM_OP_RESET:
		return platform_reset();
	case PLATFORM_OP_LOG:
		return hypercall_log(call->argument[1], call->argument[2]);
	default:
		return -ENOSYS;
	}
}

/* ---- dispatch --------------------------------------------------------------------------------- */

/* What works before the guest has accepted features. */
static bool is_free(const struct platform_call *call)
{
	return call->number == HYPERCALL_PLATFORM &&
	       (call->argument[0] == PLATFORM_OP_RESET || call->argument[0] == PLATFORM_OP_LOG);
}

static int64_t dispatch(const struct platform_call *call)
{
	const uint64_t *argument = call->argument;

	if (call->size != sizeof(*call))
		return -EINVAL;
	if (!is_free(call) && !platform_accepted())
		return -EPERM;
	switch (call->number) {
	case HYPERCALL_GRANT_TABLE_OP:
		return hypercall_grant_table_op(argument[0], argument[1], argument[2]);
	case HYPERCALL_VCPU_OP:
		return hypercall_vcpu_op(argument[0], argument[1], argument[2]);
	case HYPERCALL_SCHED_OP:
		return hypercall_sched_op(argument[0], argument[1]);
	case HYPERCALL_EVENT_CHANNEL_OP:
		return hypercall_event_channel_op(argument[0], argument[1]);
	case HYPERCALL_PLATFORM:
		return platform_op(call);
	default:
		return -ENOSYS;
	}
}

/* The block is copied once: another vCPU may write it while the call is under way. */
static void entrance_write(uint16_t port, const void *data, unsigned int size)
{
	struct platform_call call, *block;
	uint64_t address;
	uint32_t value;

	if (size != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	address = (uint64_t)value << PLATFORM_CALL_SHIFT;
	block = guest_memory_at(vm_memory(), address, sizeof(*block));
	if (!block) {
		log_peer(&guest_faults, "a hypercall's block at 0x%llx is not in the guest's RAM",
			 (unsigned long long)address);
		return;
	}
	memcpy(&call, block, sizeof(call));
	order_store_relaxed(&block->result, dispatch(&call));
}

static const struct port_range entrance = {
	"hypercalls", PLATFORM_HYPERCALL_PORT, 1, NULL, entrance_write,
};

int hypercall_open(void)
{
	return bus_add_ports(&entrance);
}
